"""The threads of a zone, the groups they form, and who is whose parent (thread_manager.cpp; state-machine.md section 6).

Invariants, whatever a zone sends: a thread of the table is either a placeholder (``is_invalid``) without a group, or in the group of its
pid; a group holds at least one thread of the table, and counts those that live; ``children`` names exactly those threads of the
table that are in a group and whose ``ptid`` is the owner's tid, as long as the owner was there first; following ``ptid`` ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

from mypy_extensions import i64

from ..scap.tables import PPM_CL_CLOSED
from .fdtable import FdBudget
from .limits import (
    MAX_LINEAGE,
    MAX_RECENTLY_EXITED,
    MAX_THREADS,
    MAX_ZONE_TEXT,
    PLACEHOLDER_IDLE,
    PURGE_ABOVE,
    PURGE_AT_ONCE,
    PURGE_FIRST,
    PURGE_IDLE,
    PURGE_INTERVAL,
    PURGE_SHARE,
    RECENTLY_EXITED,
    SET_BACK,
    Counters,
)
from .thread import EMPTY, Group, Strings, Thread

SID: Final = 0
VPGID: Final = 1
PGID: Final = 2

UNKNOWN: Final = b"<NA>"  # comm and exe of a placeholder
MASK32: Final = 0xFFFF_FFFF
ALWAYS: Final = -(1 << 61)  # ns, before any event, also by SET_BACK: a purge with each
REFUSALS_A_PURGE: Final = 1_024  # a full table is searched for what may go once in so many refusals


def _key(ptid: int, tid: int) -> int:
    return (ptid & MASK32) << 32 | tid & MASK32


@final
class ThreadTable:
    """``epoch`` grows with every change that another thread's block may show, ``changes`` whenever a tid leads elsewhere than
    before. ``text``: bytes counted against MAX_ZONE_TEXT."""

    __slots__ = (
        "threads", "groups", "counters", "fd_budget", "epoch", "changes", "events", "next_scan", "text", "exited", "next_purge",
        "last_refused_purge", "idle", "_after",
    )  # fmt: skip

    def __init__(self, counters: Counters) -> None:
        self.threads: dict[int, Thread] = {}
        self.groups: dict[int, Group] = {}
        self.counters = counters
        self.fd_budget = FdBudget(counters)
        self.epoch = 0
        self.changes: i64 = 0
        self.events: i64 = 0  # seen by ``purge``, and when there may be another scan
        self.next_scan: i64 = 0
        self.text = 0
        self.exited: dict[int, int] = {}  # (ptid, tid) of threads that exited lately -> when, oldest first
        self.next_purge = 0
        self.last_refused_purge = -REFUSALS_A_PURGE
        self.idle: list[int] = []  # tids of which too many were found idle at a time, the last goes first
        self._after = 0  # the next purge once they have gone

    def clear(self) -> list[Thread]:
        """Forget everything. Returns the threads, which nobody knows any more but they each other: ``part`` them, which takes its time."""
        old = list(self.threads.values())
        self.threads.clear()
        self.changes += 1
        self.groups.clear()
        self.exited.clear()
        self.fd_budget = FdBudget(self.counters)
        self.text = 0
        self.next_purge = 0
        self.idle.clear()
        self.epoch += 1
        return old

    # Adding

    def placeholder(self, tid: int, ts: int) -> Thread | None:
        """The entry of ``tid``; if there is none, one of which only the tid is known. None when the table is full."""
        thread = self.threads.get(tid)
        if thread is not None:
            return thread
        thread = Thread(tid, -1, -1)
        thread.comm = UNKNOWN
        thread.exe = UNKNOWN
        thread.last_access_ts = ts
        if not self.add(thread, ts):
            return None
        self.counters.placeholders += 1
        return thread

    def add(self, thread: Thread, ts: int, tied: bool = True) -> bool:
        """Put a thread that is in no table into this one, in place of any of the same tid; False when the table is full. ``tied``: with its
        group and parent. Whoever takes the tid of another thread has to ``remove`` that one first."""
        old = self.threads.get(thread.tid)
        if old is not None:  # the same thread, better known now: its children are still its children
            if not thread.is_invalid():
                thread.children = old.children
                old.children = {}
            self._erase(old)
        if len(self.threads) >= MAX_THREADS:
            self._make_room(ts)
            if len(self.threads) >= MAX_THREADS:
                self.counters.threads_refused += 1
                if thread.fds is not None:
                    thread.fds.clear()
                return False
        thread.flags &= ~PPM_CL_CLOSED
        thread.args = self._hold(thread.args)
        thread.env = self._hold(thread.env)
        thread.cgroups = self._hold(thread.cgroups)
        self.threads[thread.tid] = thread
        self.changes += 1
        self.charge(thread)
        self.counters.threads_added += 1
        self.epoch += 1
        if tied:
            self.tie(thread)
        return True

    def tie(self, thread: Thread) -> None:
        """Into the group of its pid, and to its parent: for a new thread, or a placeholder of which the ids became known
        (create_thread_dependencies)."""
        if thread.group is not None or thread.is_invalid():
            return
        group = self.groups.get(thread.pid)
        if group is None:
            group = Group(thread.pid, thread.pid == 1 or thread.vpid == 1)
            self.groups[thread.pid] = group
        thread.flags &= ~PPM_CL_CLOSED  # whoever acts lives, even a placeholder whose exit was told
        group.threads[thread.tid] = thread
        group.alive += 1
        if thread.is_main():
            group.main = thread
        thread.group = group
        thread.version += 1
        self.epoch += 1
        parent = self.threads.get(thread.ptid) if thread.pid != 1 else None
        if parent is None or parent.is_invalid():
            thread.ptid = 0
        elif parent is thread or (thread.children and self._is_below(parent, thread)):
            self.counters.cycles_cut += 1
            thread.ptid = 0
        else:
            parent.children[thread.tid] = thread

    # Texts

    def charge(self, thread: Thread) -> None:
        """Count the texts of a thread of the table anew."""
        size = len(thread.comm) + len(thread.exe) + len(thread.exepath) + len(thread.cwd) + len(thread.root)
        self.text += size - thread.text
        thread.text = size

    def set_args(self, thread: Thread, args: Strings) -> None:
        if args is not thread.args:
            self._drop(thread.args)
            thread.args = self._hold(args)

    def set_env(self, thread: Thread, env: Strings) -> None:
        if env is not thread.env:
            self._drop(thread.env)
            thread.env = self._hold(env)

    def set_cgroups(self, thread: Thread, cgroups: Strings) -> None:
        if cgroups is not thread.cgroups:
            self._drop(thread.cgroups)
            thread.cgroups = self._hold(cgroups)

    def _hold(self, strings: Strings) -> Strings:
        """Count one more holder; texts for which there is no room are left out."""
        size = len(strings.raw)
        if size == 0:
            return strings
        if strings.holders == 0:
            if self.text + size > MAX_ZONE_TEXT:
                self.counters.text_refused += 1
                return EMPTY
            self.text += size
        strings.holders += 1
        return strings

    def _drop(self, strings: Strings) -> None:
        size = len(strings.raw)
        if size == 0:
            return
        strings.holders -= 1
        if strings.holders == 0:
            self.text -= size

    # Removing

    def remove(self, tid: int, ts: int) -> None:
        """Take a thread out (remove_thread): its children go to a reaper; a main thread stays, dead, as long as its group lives."""
        thread = self.threads.get(tid)
        if thread is None:
            return
        group = thread.group
        if group is None:
            self._erase(thread)
            return
        if not thread.is_dead():
            group.alive -= 1
            thread.flags |= PPM_CL_CLOSED
        if thread.children:
            self._reparent(thread, ts)
        if group.alive == 0:
            # libsinsp takes out the thread whose tid is the pid; dead threads that no removal is due for would stay for ever
            for other in list(group.threads.values()):
                self._erase(other)
        elif not thread.is_main():
            self._erase(thread)
        self.epoch += 1

    def _erase(self, thread: Thread) -> None:
        """Out of the table, its group and its parent's children, whatever they say."""
        if self.threads.get(thread.tid) is not thread:
            return  # room was made while its children were given away, and it went then
        del self.threads[thread.tid]
        self.changes += 1
        self._drop(thread.args)
        self._drop(thread.env)
        self._drop(thread.cgroups)
        self.text -= thread.text
        thread.text = 0
        if thread.fds is not None:
            thread.fds.clear()
        self._leave_parent(thread)
        group = thread.group
        if group is not None:
            if not thread.is_dead():
                group.alive -= 1
                thread.flags |= PPM_CL_CLOSED
            group.threads.pop(thread.tid, None)
            if group.main is thread:
                group.main = None
            if not group.threads and self.groups.get(group.pid) is group:
                del self.groups[group.pid]
            thread.group = None
        for child in thread.children.values():
            child.ptid = 0
            child.version += 1
        thread.children.clear()
        self.counters.threads_removed += 1
        self.epoch += 1

    def _leave_parent(self, thread: Thread) -> None:
        parent = self.threads.get(thread.ptid)
        if parent is not None and parent.children.get(thread.tid) is thread:
            del parent.children[thread.tid]

    def _reparent(self, thread: Thread, ts: int) -> None:
        reaper: Thread | None = None
        if thread.reaper_tid > 0:
            reaper = self.placeholder(thread.reaper_tid, ts)
            if reaper is not None and not reaper.is_invalid() and self._is_below(reaper, thread):
                self.counters.cycles_cut += 1
                reaper = None
        if reaper is None or reaper.is_invalid():
            reaper = self.find_new_reaper(thread)
        if reaper is not None:
            thread.reaper_tid = reaper.tid
            if reaper.pid != thread.pid and reaper.group is not None:
                reaper.group.reaper = True
        for child in thread.children.values():
            child.version += 1
            if reaper is None:
                child.ptid = 0
            else:
                child.ptid = reaper.tid
                reaper.children[child.tid] = child
        thread.children.clear()

    def find_new_reaper(self, thread: Thread) -> Thread | None:
        """Who takes a dying thread's children when the kernel did not say, or said one that we do not know: another live thread
        of its process, else the first ancestor in the same kind of pid namespace that is a reaper with a live thread, else
        nobody."""
        group = thread.group
        if group is not None and group.alive > 0:
            other = _first_alive(group, thread)
            if other is not None and not self._is_below(other, thread):
                return other
        in_namespace = thread.in_pid_namespace()
        seen: set[int] = {thread.tid}
        parent = self.threads.get(thread.ptid)
        while parent is not None:
            if parent.tid in seen or len(seen) > MAX_LINEAGE:
                self.counters.lineage_cut += 1
                return None
            seen.add(parent.tid)
            if parent.in_pid_namespace() != in_namespace:
                return None
            group = parent.group
            if group is not None and group.reaper and group.alive > 0:
                found = _first_alive(group, thread)
                return None if found is None or self._is_below(found, thread) else found
            parent = self.threads.get(parent.ptid)
        return None

    def _is_below(self, thread: Thread, top: Thread) -> bool:
        """``thread`` is ``top`` or a descendant of it, or too deep to tell."""
        step: Thread | None = thread
        for _ in range(MAX_LINEAGE):
            if step is None:
                return False
            if step is top:
                return True
            step = self.threads.get(step.ptid)
        self.counters.lineage_cut += 1
        return True

    def cut_cycles(self) -> Iterator[None]:
        """For threads of a snapshot, whose parents may be anything, before they are tied: make following ``ptid`` end
        everywhere. Linear in the number of threads; a step for each."""
        ends: set[int] = set()  # tids from which the way up is known to end
        for start in list(self.threads.values()):
            yield
            path: dict[int, Thread] = {}
            step: Thread | None = start
            while step is not None and step.tid not in ends:
                if step.tid in path:
                    step.ptid = 0
                    self.counters.cycles_cut += 1
                    break
                path[step.tid] = step
                step = self.threads.get(step.ptid) if step.ptid != 0 else None
            ends.update(path)

    # Exits

    def note_exit(self, tid: int, ts: int) -> None:
        """Remember that a thread exited, for ``exited_recently``."""
        thread = self.threads.get(tid)
        key = _key(thread.ptid if thread is not None else -1, tid)
        self.exited.pop(key, None)
        self.exited[key] = ts
        if len(self.exited) > MAX_RECENTLY_EXITED:
            del self.exited[next(iter(self.exited))]

    def exited_recently(self, tid: int, ptid: int, ts: int) -> bool:
        """The child of this parent exited within two seconds: its clone event at the caller's side comes late."""
        when = self.exited.get(_key(ptid, tid), -1)
        return when >= 0 and 0 <= ts - when < RECENTLY_EXITED

    # Purging

    def purge(self, ts: int) -> None:
        """Every 20 min of event time, first after 30 s: remove placeholders that nothing came of, and, when the table is half
        full, threads that did nothing for 30 min. libsinsp asks /proc whether these still live, which a zone cannot be
        asked. The zone chooses the times of its events: a scan has to be earned by a share of events for each thread of the table, and
        twenty thousand threads that go at once would take longer than a zone's turn is, so a few go with each of the next events."""
        self.events += 1
        if self.idle:
            for _ in range(min(PURGE_SHARE, len(self.idle))):
                self._purge_one(self.idle.pop(), ts)
            if not self.idle:
                self.next_purge = self._after
            return
        if self.next_purge == 0:
            self.next_purge = ts + PURGE_FIRST
            return
        if ts <= self.next_purge:
            if ts < self.next_purge - SET_BACK:  # the zone's clock was set back
                self.next_purge = ts + PURGE_INTERVAL
            return
        if self.events < self.next_scan:
            return
        self.next_scan = self.events + len(self.threads) // PURGE_SHARE
        self.next_purge = ts + PURGE_INTERVAL
        self._purge_idle(ts, PURGE_IDLE if len(self.threads) > PURGE_ABOVE else -1)

    def _purge_idle(self, ts: int, idle: int) -> None:
        doomed: list[int] = []
        for thread in self.threads.values():
            if thread.last_access_ts == 0:  # from a snapshot that came before the first event: counted from now
                thread.last_access_ts = ts
            if _is_idle(thread, ts, idle):
                doomed.append(thread.tid)
        doomed.reverse()
        for _ in range(min(PURGE_AT_ONCE, len(doomed))):
            self._purge_one(doomed.pop(), ts)
        if not self.idle:
            self._after = self.next_purge
        self.idle = doomed
        self.next_purge = ALWAYS if doomed else self._after

    def _purge_one(self, tid: int, ts: int) -> None:
        """This thread goes, if it did nothing since it was found idle."""
        thread = self.threads.get(tid)
        if thread is not None and _is_idle(thread, ts, PURGE_IDLE):
            self.remove(tid, ts)
            self.counters.threads_purged += 1

    def _make_room(self, ts: int) -> None:
        """The table is full: look for what may go, but not each time."""
        if self.counters.threads_refused - self.last_refused_purge < REFUSALS_A_PURGE:
            return
        self.last_refused_purge = self.counters.threads_refused
        self._purge_idle(ts, PURGE_IDLE)

    # Lineage

    def ancestor(self, thread: Thread, n: int) -> Thread | None:
        """Main thread of the n-th ancestor process, 0 = the own one; None beyond the root (get_ancestor_process)."""
        step = thread.main()
        if n > MAX_LINEAGE:
            return None
        for _ in range(n):
            if step is None:
                return None
            parent = self.threads.get(step.ptid)
            if parent is None:
                return None
            step = parent.main()
        return step

    def lineage(self, thread: Thread, limit: int) -> list[Thread]:
        """The threads that ``ptid`` leads to, nearest first, self excluded, at most ``limit`` (traverse_parent_state)."""
        found: list[Thread] = []
        bound = limit if limit < MAX_LINEAGE else MAX_LINEAGE
        step = self.threads.get(thread.ptid)
        while step is not None and step is not thread and step.tid != -1:
            if len(found) >= bound:
                break
            found.append(step)
            step = self.threads.get(step.ptid)
        return found

    def leader(self, thread: Thread, which: int) -> Thread | None:
        """Whose name stands for the session (SID) or process group (VPGID, PGID): the thread with that id if ids can be looked
        up, which those of a pid namespace cannot; else the oldest of the nearest ancestors that have the same id. None if there
        is none (get_oldest_matching_ancestor)."""
        wanted = _id_of(thread, which)
        if wanted == -1:
            return None
        if which == PGID or not thread.in_pid_namespace():
            found = self.threads.get(wanted)
            if found is not None:
                return found
        leader: Thread | None = None
        step = self.threads.get(thread.ptid)
        for _ in range(MAX_LINEAGE):
            if step is None or step is thread or step.tid == -1 or _id_of(step, which) != wanted:
                break
            leader = step
            step = self.threads.get(step.ptid)
        return leader


def _id_of(thread: Thread, which: int) -> int:
    if which == SID:
        return thread.sid
    if which == VPGID:
        return thread.vpgid
    return thread.pgid


def _is_idle(thread: Thread, ts: int, idle: int) -> bool:
    """A placeholder that nothing came of, or, unless ``idle`` is -1, a thread that did nothing for so long."""
    unused = ts - thread.last_access_ts
    if thread.is_invalid():
        return unused > PLACEHOLDER_IDLE
    return idle >= 0 and (unused > idle or (thread.group is not None and thread.group.alive == 0))


def _first_alive(group: Group, but: Thread) -> Thread | None:
    """The main thread if it lives, else the longest known other one."""
    main = group.main
    if main is not None and main is not but and not main.is_dead():
        return main
    for thread in group.threads.values():
        if thread is not but and not thread.is_dead():
            return thread
    return None
