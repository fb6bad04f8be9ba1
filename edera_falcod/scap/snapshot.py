"""What a snapshot says of a zone's threads and open files: plain data between the wire reader and the state room."""

from __future__ import annotations

from typing import final


@final
class SnapshotFd:
    """One open file. ``kind``: ``scap_fd_type`` number. Addresses are 4 or 16 bytes in network order as ``kind`` asks, ``b""``
    where it asks for none; ports in host order. A listening socket has its own address in ``dip`` and ``dport``.

    ``name``: file name, unix path or link text. ``l4proto``: ``scap_l4_proto`` number. ``source``/``dest``: unix socket
    kernel addresses. ``pid``: the process of a pidfd, -1 otherwise. Source: ZoneKernelFdInfo of edera-control-protocol.md.
    """

    __slots__ = (
        "fd", "kind", "ino", "open_flags", "state_flags", "name", "mount_id", "dev",
        "sip", "dip", "sport", "dport", "l4proto", "source", "dest", "pid",
    )

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.kind = 0
        self.ino = 0
        self.open_flags = 0
        self.state_flags = 0
        self.name = b""
        self.mount_id = 0
        self.dev = 0
        self.sip = b""
        self.dip = b""
        self.sport = 0
        self.dport = 0
        self.l4proto = 0
        self.source = 0
        self.dest = 0
        self.pid = -1


@final
class SnapshotThread:
    """One thread. Ids are signed 64 bit, -1 where the message has none. ``args``, ``env`` and ``cgroups`` are the
    NUL-separated bytes of the message. Units: ``vm*`` kB, times ns. Source: ZoneKernelThreadInfo."""

    __slots__ = (
        "tid", "pid", "ptid", "sid", "vpgid", "pgid", "vtid", "vpid", "comm", "exe", "exepath",
        "exe_writable", "exe_upper_layer", "exe_lower_layer", "exe_from_memfd", "args", "env", "cwd", "root", "cgroups",
        "fdlimit", "flags", "uid", "gid", "loginuid", "cap_permitted", "cap_effective", "cap_inheritable",
        "exe_ino", "exe_ino_ctime", "exe_ino_mtime", "exe_ino_ctime_duration_clone_ts", "exe_ino_ctime_duration_pidns_start",
        "vmsize_kb", "vmrss_kb", "vmswap_kb", "pfmajor", "pfminor", "pidns_init_start_ts", "filtered_out", "clone_ts",
        "tty", "lastexec_ts", "reaper", "fds",
    )

    def __init__(self, tid: int) -> None:
        self.tid = tid
        self.pid = -1
        self.ptid = -1
        self.sid = -1
        self.vpgid = -1
        self.pgid = -1
        self.vtid = -1
        self.vpid = -1
        self.comm = b""
        self.exe = b""
        self.exepath = b""
        self.exe_writable = False
        self.exe_upper_layer = False
        self.exe_lower_layer = False
        self.exe_from_memfd = False
        self.args = b""
        self.env = b""
        self.cwd = b""
        self.root = b""
        self.cgroups = b""
        self.fdlimit = 0
        self.flags = 0
        self.uid = 0
        self.gid = 0
        self.loginuid = 0
        self.cap_permitted = 0
        self.cap_effective = 0
        self.cap_inheritable = 0
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
        self.pidns_init_start_ts = 0
        self.filtered_out = False
        self.clone_ts = 0
        self.tty = 0
        self.lastexec_ts = 0
        self.reaper = False
        self.fds: list[SnapshotFd] = []
