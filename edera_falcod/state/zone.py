"""A zone as it looks now: threads, files, clocks, and the event being looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

from mypy_extensions import i64 as native

from ..scap.event import Event
from ..scap.safetext import COMPILED
from ..scap.snapshot import SnapshotThread
from ..scap.tables import (
    PPM_CL_ACTIVE,
    PPM_CL_CLONE_FILES,
    PPM_EVENT_MAX,
    PPME_SYSCALL_EXECVE_19_X,
    PPME_SYSCALL_EXECVEAT_E,
)
from . import snapshot
from .fd import Fd
from .fdtable import FdTable
from .interfaces import Interfaces
from .limits import MAX_SHARED_CGROUPS, SET_BACK, Counters
from .params import i64
from .preparation import BIRTH, DEATH, ENTER, EXIT, FD_POSITION, HAS_FD, LOOKUP, NOBODY, PREPARATION, USES_FD
from .registry import PARSERS
from .thread import NO_TYPE, Strings, Thread
from .threadtable import PGID, SID, VPGID, ThreadTable
from .users import Users

NO_FD: Final = -1
NO_CWD: Final = b"./"  # what libsinsp takes for the working directory where the main thread is not known


@final
class ZoneState:
    """State of one zone.

    ``apply(event)`` brings the state up to the event; afterwards the attributes below describe the event until the next
    ``apply`` (so that fields still see a thread that just exited and a file that was just closed: deferred removals).

    ``thread``: the event's thread or None. ``fd_num``: the fd that the event used or made, as libsinsp's m_lastevent_fd: -1 for
    none and for what failed, -100 where a directory is the working directory. ``fd``: what fd.* fields show: the file of that
    number as known after parsing. ``event_fd``: the same unless libsinsp attaches none to the event (sinsp_evt::get_fd_info),
    which decides over evt.buffer and the like. ``exectime``: ns since the last switch of this CPU, for switch events, else 0.
    ``cpu_user``, ``cpu_system``: growth since the thread's last procinfo event, -1 for others.

    ``removes_threads``: libsinsp's set_auto_threads_purging; without it threads that exited stay, dead, and so does their
    children's parent, as in the recorded answers that we are held against. ``num_cpus``: as in libsinsp, no CPU time is
    measured while it is 0, that is not known.
    """

    __slots__ = (
        "boot_epoch", "table", "threads", "counters", "interfaces", "users", "removes_threads", "num_cpus",
        "thread", "fd", "event_fd", "fd_num", "fd_name_changed", "prev_ts", "ts", "exectime", "cpu_user", "cpu_system",
        "old_name", "doomed", "doomed_tid", "closed", "closed_tid", "closed_fd", "enters", "switches", "cgroups",
        "_parsers", "_found", "_found_at",
    )  # fmt: skip

    def __init__(self) -> None:
        self.boot_epoch = 0  # ns, the snapshot's zone_boot_epoch
        self.counters = Counters()
        self.table = ThreadTable(self.counters)
        self.threads: dict[int, Thread] = self.table.threads
        self.interfaces = Interfaces()
        self.users = Users(self.counters)
        self.removes_threads = True
        self.num_cpus = 0
        # About the event last applied
        self.thread: Thread | None = None
        self.fd: Fd | None = None
        self.event_fd: Fd | None = None
        self.fd_num = NO_FD
        self.fd_name_changed = False
        self.prev_ts = 0  # ts of the zone's previous event, 0 before the first
        self.ts = 0
        self.exectime = 0
        self.cpu_user = -1
        self.cpu_system = -1
        # Between prepare and the end of apply
        self.old_name = b""  # of event_fd, before the event
        # To be done before the next event
        self.doomed = False
        self.doomed_tid = 0
        self.closed = False
        self.closed_tid = 0
        self.closed_fd = NO_FD
        self.enters: dict[int, Event] = {}  # tid -> enter event that its exit will ask for
        self.switches: dict[int, int] = {}  # cpu -> ts of its last context switch
        self.cgroups: dict[bytes, Strings] = {}  # as sent -> as kept, so that threads share them
        self._parsers = PARSERS  # here it is found faster than by its name
        self._found: Thread | None = None  # by the last look into the table, when that had changed so often
        self._found_at: native = 0

    @property
    def identity_epoch(self) -> int:
        """Grows with every change that other threads' blocks can show."""
        return self.table.epoch

    @property
    def local_ips(self) -> frozenset[bytes]:
        """Addresses of the zone's interfaces, 4 or 16 bytes."""
        return self.interfaces.addresses

    @local_ips.setter
    def local_ips(self, addresses: frozenset[bytes]) -> None:
        self.interfaces.set_addresses(sorted(addresses))

    # Events

    def apply(self, event: Event) -> None:
        """Never raises, whatever the zone sent."""
        ts = event.ts
        self.prev_ts = self.ts
        self.ts = ts
        table = self.table
        if self.removes_threads:
            if self.doomed:
                table.note_exit(self.doomed_tid, ts)
                table.remove(self.doomed_tid, ts)
            due = table.next_purge
            if ts >= due or ts < due - SET_BACK:
                table.purge(ts)
        self.doomed = False
        if self.closed:
            self.closed = False
            closer = self.threads.get(self.closed_tid)
            files = self.fd_table(closer) if closer is not None else None
            if files is not None:
                files.remove(self.closed_fd)
        self.exectime = 0
        self.cpu_user = -1
        self.cpu_system = -1
        code = event.code
        if code < 0 or code >= PPM_EVENT_MAX:
            code = 0
        self.prepare(event)
        parser = self._parsers[code]
        if parser is not None:
            parser(self, event)
        thread = self.thread
        if thread is None:
            thread = self.threads.get(event.tid)
            self.thread = thread
        self.fd = None
        self.fd_num = NO_FD
        if thread is not None and HAS_FD[code]:
            self.fd_num = thread.last_fd
            fd = self.event_fd
            if fd is not None:
                self.fd = fd
                self.fd_name_changed = fd.name != self.old_name
            elif self.fd_num >= 0:
                self.fd = self.find_fd(thread, self.fd_num)
        if self.enters and code & 1 != 0:
            self.enters.pop(event.tid, None)

    def prepare(self, event: Event) -> None:
        """The event's thread, and the fd that it uses (sinsp_parser::reset)."""
        self.event_fd = None
        self.old_name = b""
        self.fd_name_changed = False
        code = event.code
        how = PREPARATION[code] if 0 <= code < PPM_EVENT_MAX else NOBODY
        if how in (EXIT, ENTER):
            thread = self._find(event.tid) if COMPILED else self.threads.get(event.tid)
            if thread is None:
                thread = self.table.placeholder(event.tid, event.ts)
                if thread is None:
                    self.thread = None
                    return
            if thread.flags & PPM_CL_ACTIVE == 0:
                thread.flags |= PPM_CL_ACTIVE
        elif how == NOBODY:
            self.thread = None
            return
        else:
            thread = self._find(event.tid) if COMPILED else self.threads.get(event.tid)
            if thread is None:
                self.thread = None
                return
        self.thread = thread
        thread.last_access_ts = event.ts
        if how == LOOKUP:
            return
        if how in (ENTER, DEATH):
            thread.last_fd = NO_FD
            thread.last_type = code
            if USES_FD[code]:
                thread.last_fd = i64(event.params, FD_POSITION[code], NO_FD)
                self._use_fd(thread)
            return
        # The exit of the enter event before it, if zones send one at all, keeps the fd of that
        last = thread.last_type
        if last != NO_TYPE and (code == last + 1 or (code == PPME_SYSCALL_EXECVE_19_X and last == PPME_SYSCALL_EXECVEAT_E)):
            thread.enter_valid = True
            thread.last_type = NO_TYPE
        else:
            thread.enter_valid = False
            thread.last_fd = NO_FD
        if how == BIRTH:
            return
        if USES_FD[code]:
            if thread.last_fd == NO_FD:
                thread.last_fd = i64(event.params, FD_POSITION[code], NO_FD)
            self._use_fd(thread)

    def _find(self, tid: int) -> Thread | None:
        """Compiled: a thread of the table. Events come in runs, and asking a dictionary takes ten times as long as remembering."""
        thread = self._found
        if thread is None or thread.tid != tid or self._found_at != self.table.changes:
            thread = self.threads.get(tid)
            self._found = thread
            self._found_at = self.table.changes
        return thread

    def _use_fd(self, thread: Thread) -> None:
        number = thread.last_fd
        if number >= 0:
            files = self.fd_table(thread)
            fd = files.map.fds.get(number) if files is not None else None
            if fd is not None:
                self.event_fd = fd
                self.old_name = fd.name

    def enter_event(self, event: Event) -> Event | None:
        """The enter event that belongs to this exit event, where the zone's driver sends both (retrieve_enter_event)."""
        thread = self.thread
        if thread is None or not thread.enter_valid:
            return None
        enter = self.enters.get(thread.tid)
        if enter is None or enter.code != event.code - 1:
            return None
        return enter

    # Files

    def fd_table(self, thread: Thread) -> FdTable | None:
        """The open files of a thread's process; None for a thread whose main thread is not known."""
        if thread.flags & PPM_CL_CLONE_FILES != 0:
            main = thread.main()
            if main is None:
                return None
            thread = main
        files = thread.fds
        return files if files is not None else thread.own_fds(self.table.fd_budget)

    def find_fd(self, thread: Thread, number: int) -> Fd | None:
        """What is known of a thread's fd; never anything for a negative number."""
        if number < 0:
            return None
        files = self.fd_table(thread)
        return files.find(number) if files is not None else None

    def add_fd(self, number: int, fd: Fd) -> None:
        """A fd that the event made, in place of any of that number; it becomes the event's fd."""
        self.event_fd = None
        thread = self.thread
        if thread is None:
            return
        files = self.fd_table(thread)
        if files is None:
            return
        if files.add(number, fd):
            self.event_fd = fd
        thread.last_fd = number

    def change_fd(self) -> Fd | None:
        """The event's fd, to be changed in place; ``fd_changed`` has to follow."""
        thread = self.thread
        if thread is None or self.event_fd is None:
            return None
        files = self.fd_table(thread)
        if files is None:
            return None
        fd = files.writable(thread.last_fd)
        self.event_fd = fd
        return fd

    def fd_changed(self, kind_before: int) -> None:
        thread = self.thread
        if thread is None:
            return
        files = self.fd_table(thread)
        if files is not None:
            files.changed(thread.last_fd, kind_before)

    # Threads

    def find_thread(self, tid: int) -> Thread | None:
        return self.threads.get(tid)

    def main_thread(self, thread: Thread) -> Thread | None:
        """The main thread of a thread's process, itself if it is that."""
        return thread.main()

    def parent(self, thread: Thread) -> Thread | None:
        """The main thread of the parent process, as proc.p* see it."""
        return self.table.ancestor(thread, 1)

    def ancestor(self, thread: Thread, n: int) -> Thread | None:
        """The main thread of the n-th ancestor process, 0 = the own one."""
        return self.table.ancestor(thread, n)

    def lineage(self, thread: Thread, limit: int) -> list[Thread]:
        """What ptid leads to, thread by thread, nearest first, self excluded: the ancestors of fields without an index."""
        return self.table.lineage(thread, limit)

    def session_leader(self, thread: Thread) -> Thread | None:
        return self.table.leader(thread, SID)

    def vpgid_leader(self, thread: Thread) -> Thread | None:
        return self.table.leader(thread, VPGID)

    def pgid_leader(self, thread: Thread) -> Thread | None:
        return self.table.leader(thread, PGID)

    def nthreads(self, thread: Thread) -> int:
        """Live threads of the process."""
        group = thread.group
        return group.alive if group is not None else 0

    def nchilds(self, thread: Thread) -> int:
        """Live threads of the process but its main thread."""
        group = thread.group
        if group is None:
            return 0
        main = thread.main()
        if main is not None and not main.is_dead():
            return group.alive - 1
        return group.alive

    def cwd(self, thread: Thread) -> bytes:
        """The working directory of the process, with a slash at its end."""
        main = thread.main()
        return main.cwd if main is not None else NO_CWD

    def changed(self, thread: Thread, others: bool) -> None:
        """A thread's identity changed; ``others``: so that blocks of other threads show it."""
        thread.version += 1
        if others:
            self.table.epoch += 1

    def share_cgroups(self, raw: bytes, made: Strings) -> Strings:
        """Remember what became of a cgroup parameter: most threads of a zone send the same."""
        if len(self.cgroups) >= MAX_SHARED_CGROUPS:
            self.cgroups.clear()
        self.cgroups[raw] = made
        return made

    # Snapshots

    def begin_snapshot(self, boot_epoch: int) -> list[Thread]:
        """Forget everything and start to import a snapshot. Returns the old threads: whoever wants their memory back soon parts them
        (``Thread.part``)."""
        self.boot_epoch = boot_epoch
        old = self.table.clear()
        self.users.clear()
        self.enters.clear()
        self.switches.clear()
        self.cgroups.clear()
        self.thread = None
        self.fd = None
        self.event_fd = None
        self.fd_num = NO_FD
        self.fd_name_changed = False
        self.doomed = False
        self.closed = False
        self.counters.snapshots += 1
        return old

    def add_snapshot_thread(self, thread: SnapshotThread) -> None:
        snapshot.add(self, thread)

    def end_snapshot(self) -> None:
        """Tie the imported threads together and apply the fix-ups of state-machine.md section 7."""
        for _ in self.finish_snapshot():
            pass

    def finish_snapshot(self) -> Iterator[None]:
        """The same in small steps, between which others may run; no event must be applied before the last."""
        return snapshot.finish(self)
