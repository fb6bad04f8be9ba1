"""Threads and thread groups of a zone."""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from ..scap.event import Event
from ..scap.tables import (
    PPM_CL_CHILD_IN_PIDNS,
    PPM_CL_CLOSED,
    PPM_CL_IS_MAIN_THREAD,
    PPM_CL_NAME_CHANGED,
)
from .block import Block
from .fdtable import FdBudget, FdTable

NO_ID: Final = 0xFFFF_FFFF  # a uid, gid or loginuid that is not set
NO_TYPE: Final = -1


@final
class Strings:
    """An immutable list of strings (arguments, environment, cgroups) that clones share by reference. Kept as one piece of bytes
    with NULs between the strings, which costs a tenth of a list when a zone makes thousands of short ones. ``holders``: threads
    of a table that have it (ThreadTable counts its bytes once)."""

    __slots__ = ("raw", "holders", "block")

    def __init__(self, items: list[bytes]) -> None:
        self.raw = b"\0".join(items)
        self.holders = 0
        self.block: Block | None = None

    @property
    def items(self) -> list[bytes]:
        """A new list each time. An empty piece is no string at all, never one empty string (utils.cpp, sinsp_split)."""
        return self.raw.split(b"\0") if self.raw else []


def strings_of(raw: bytes) -> Strings:
    """From a parameter: NUL-separated, with or without one at the end; inner empty strings stay (event.h, LT set_args)."""
    made = Strings([])
    made.raw = raw[:-1] if raw.endswith(b"\0") else raw
    return made


EMPTY: Final = Strings([])


@final
class Group:
    """A thread group (process): its live threads are counted as libsinsp counts them (state-machine.md section 6).

    ``threads``: those of its threads that are in the table, by tid, in the order in which they came; a dead main thread is among
    them as long as any other lives. ``main``: its main thread if known. ``reaper``: orphans of its descendants may come to it.
    """

    __slots__ = ("pid", "threads", "main", "alive", "reaper")

    def __init__(self, pid: int, reaper: bool) -> None:
        self.pid = pid
        self.threads: dict[int, Thread] = {}
        self.main: Thread | None = None
        self.alive = 0
        self.reaper = reaper


@final
class Thread:
    """One thread. Field names, units and defaults follow sinsp_threadinfo; ids signed, -1 = unknown; sizes kB; times ns.

    ``env``, ``cwd``, ``root`` and ``fds`` speak for the process where this is its main thread. Identity that blocks show
    changes only through ``ZoneState``'s parsers, each of which bumps ``version`` (own facts) and the zone's
    ``identity_epoch`` (facts that other threads' blocks show: lineage, leaders).

    ``children``: threads whose ``ptid`` is this thread's tid and that are in a group, by tid. ``reaper_tid``: who gets them, as
    the kernel told at exit, -1 if it did not. ``last_fd``: fd number of the last event. ``last_type``, ``enter``: code of the
    last enter event, and the event itself while its exit may still come. ``text``: bytes counted against MAX_ZONE_TEXT.
    """

    __slots__ = (
        "tid", "pid", "ptid", "sid", "vpgid", "pgid", "vtid", "vpid", "comm", "exe", "exepath", "args", "env", "cwd", "root",
        "cgroups", "flags", "fdlimit", "uid", "gid", "loginuid", "cap_permitted", "cap_effective", "cap_inheritable", "tty",
        "exe_writable", "exe_upper_layer", "exe_lower_layer", "exe_from_memfd", "exe_ino", "exe_ino_ctime", "exe_ino_mtime",
        "exe_ino_ctime_duration_clone_ts", "exe_ino_ctime_duration_pidns_start", "vmsize_kb", "vmrss_kb", "vmswap_kb",
        "pfmajor", "pfminor", "clone_ts", "lastexec_ts", "last_access_ts", "pidns_init_start_ts", "exectime", "totexectime",
        "cpu_user", "cpu_system", "group", "children", "reaper_tid", "fds", "version", "last_fd", "last_type", "enter", "enter_valid",
        "text", "block", "block_version", "block_epoch", "block_key", "lineage", "lineage_version", "lineage_main",
    )  # fmt: skip

    def __init__(self, tid: int, pid: int, ptid: int) -> None:
        self.tid = tid
        self.pid = pid
        self.ptid = ptid
        self.sid = -1
        self.vpgid = -1
        self.pgid = -1
        self.vtid = -1
        self.vpid = -1
        self.comm = b""
        self.exe = b""
        self.exepath = b""
        self.args: Strings = EMPTY
        self.env: Strings = EMPTY
        self.cwd = b""
        self.root = b""
        self.cgroups: Strings = EMPTY  # items "subsys=path"
        self.flags = PPM_CL_NAME_CHANGED
        self.fdlimit: i64 = -1
        self.uid = NO_ID
        self.gid = NO_ID
        self.loginuid = NO_ID
        self.cap_permitted = 0
        self.cap_effective = 0
        self.cap_inheritable = 0
        self.tty = 0
        self.exe_writable = False
        self.exe_upper_layer = False
        self.exe_lower_layer = False
        self.exe_from_memfd = False
        self.exe_ino = 0
        self.exe_ino_ctime = 0
        self.exe_ino_mtime = 0
        self.exe_ino_ctime_duration_clone_ts = 0
        self.exe_ino_ctime_duration_pidns_start = 0
        self.vmsize_kb: i64 = 0
        self.vmrss_kb: i64 = 0
        self.vmswap_kb: i64 = 0
        self.pfmajor = 0
        self.pfminor = 0
        self.clone_ts = 0
        self.lastexec_ts = 0
        self.last_access_ts = 0
        self.pidns_init_start_ts = 0
        self.exectime = 0
        self.totexectime = 0
        self.cpu_user = 0
        self.cpu_system = 0
        self.group: Group | None = None
        self.children: dict[int, Thread] = {}
        self.reaper_tid = -1
        # Most threads never have files of their own: the main thread's table serves them (ZoneState.fd_table).
        self.fds: FdTable | None = None
        self.version = 0
        self.last_fd = 0  # as libsinsp starts: the first event that looks has set it by then
        self.last_type = NO_TYPE
        self.enter: Event | None = None
        self.enter_valid = False
        self.text = 0
        # The fields room's caches (fields/blocks.py): this thread's block, made at ``block_version``; its lineage, found at the zone's
        # ``block_epoch``, at ``lineage_version`` of this thread and ``lineage_main`` of its main thread, and what it consists of.
        self.block: Block | None = None
        self.block_version = -1
        self.block_epoch = -1
        self.block_key: tuple[int, ...] = ()
        self.lineage: Block | None = None
        self.lineage_version = -1
        self.lineage_main = -1

    # threadinfo.h: what the other modules ask of a thread

    def is_main(self) -> bool:
        return self.tid == self.pid or self.flags & PPM_CL_IS_MAIN_THREAD != 0

    def is_invalid(self) -> bool:
        """A placeholder: all that is known is that the tid exists."""
        return self.tid < 0 or self.pid < 0 or self.ptid < 0

    def is_dead(self) -> bool:
        return self.flags & PPM_CL_CLOSED != 0

    def in_pid_namespace(self) -> bool:
        return self.flags & PPM_CL_CHILD_IN_PIDNS != 0 or (self.vtid >= 0 and self.vtid != self.tid)

    def main(self) -> Thread | None:
        """The main thread of its process, itself if it is that."""
        if self.tid == self.pid or self.flags & PPM_CL_IS_MAIN_THREAD != 0:
            return self
        group = self.group
        return group.main if group is not None else None

    def part(self) -> None:
        """Let go of the other threads, when the whole table is no more."""
        self.group = None
        self.children.clear()

    def own_fds(self, budget: FdBudget) -> FdTable:
        """The thread's own table, made now if it has none."""
        table = self.fds
        if table is None:
            table = FdTable(budget)
            self.fds = table
        return table
