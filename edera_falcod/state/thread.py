"""Threads and thread groups of a zone."""

from __future__ import annotations

from typing import final

from .block import Block
from .fdtable import FdTable


@final
class Strings:
    """An immutable list of strings (arguments or environment) that clones share by reference."""

    __slots__ = ("items", "block")

    def __init__(self, items: list[bytes]) -> None:
        self.items = items
        self.block: Block | None = None


@final
class Group:
    """A thread group (process): its live threads are counted as libsinsp counts them (state-machine.md section 6)."""

    __slots__ = ("pid", "threads", "alive", "reaper")

    def __init__(self, pid: int, reaper: bool) -> None:
        self.pid = pid
        self.threads: list[Thread] = []  # main thread first
        self.alive = 0
        self.reaper = reaper


@final
class Thread:
    """One thread. Field names, units and defaults follow sinsp_threadinfo; ids signed, -1 = unknown; sizes kB; times ns.

    ``env``, ``cwd``, ``root`` and ``fds`` speak for the process where this is its main thread. Identity that blocks show
    changes only through ``ZoneState``'s parsers, each of which bumps ``version`` (own facts) and the zone's
    ``identity_epoch`` (facts that other threads' blocks show: lineage, leaders).
    """

    __slots__ = (
        "tid", "pid", "ptid", "sid", "vpgid", "pgid", "vtid", "vpid", "comm", "exe", "exepath", "args", "env", "cwd", "root",
        "cgroups", "flags", "fdlimit", "uid", "gid", "loginuid", "cap_permitted", "cap_effective", "cap_inheritable", "tty",
        "exe_writable", "exe_upper_layer", "exe_lower_layer", "exe_from_memfd", "exe_ino", "exe_ino_ctime", "exe_ino_mtime",
        "exe_ino_ctime_duration_clone_ts", "exe_ino_ctime_duration_pidns_start", "vmsize_kb", "vmrss_kb", "vmswap_kb",
        "pfmajor", "pfminor", "clone_ts", "lastexec_ts", "last_access_ts", "pidns_init_start_ts", "exectime", "totexectime",
        "group", "children", "fds", "version", "last_fd", "block", "block_epoch", "block_version", "block_key",
    )

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
        self.flags = 0
        self.fdlimit = 0
        self.uid = 0
        self.gid = 0
        self.loginuid = 0
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
        self.vmsize_kb = 0
        self.vmrss_kb = 0
        self.vmswap_kb = 0
        self.pfmajor = 0
        self.pfminor = 0
        self.clone_ts = 0
        self.lastexec_ts = 0
        self.last_access_ts = 0
        self.pidns_init_start_ts = 0
        self.exectime = 0
        self.totexectime = 0
        self.group: Group | None = None
        self.children: list[Thread] = []
        self.fds = FdTable()
        self.version = 0
        self.last_fd = -1
        # The fields room's cache of this thread's block and what it was built from.
        self.block: Block | None = None
        self.block_epoch = -1
        self.block_version = -1
        self.block_key: tuple[int, ...] = ()


EMPTY = Strings([])
