"""The state as a snapshot: what a zone's agent would tell if it were asked now. The inverse of ``snapshot``, as far as a
snapshot can carry things.

Not carried: threads of which nothing but the tid is known; when a program was started (libsinsp counts from the snapshot);
names of files as a program gave them; the role of an IPv4 socket, which is guessed from the ports that the zone listens on, and
with it the order of its ends; what lies in a socket's memory beyond its view; that a process calls itself a subreaper; exits of
the last two seconds; that a main thread exited before the other threads of its process.
"""

from __future__ import annotations

from ..scap.snapshot import SnapshotFd, SnapshotThread
from ..scap.tables import (
    SCAP_FD_IPV4_SERVSOCK,
    SCAP_FD_IPV4_SOCK,
    SCAP_FD_IPV6_SERVSOCK,
    SCAP_FD_IPV6_SOCK,
    SCAP_FD_PIDFD,
    SCAP_FD_UNIX_SOCK,
    SCAP_FD_UNKNOWN,
)
from .fd import Fd
from .thread import Strings, Thread
from .zone import ZoneState


def export_threads(zone: ZoneState) -> list[SnapshotThread]:
    """All threads with their files. Of the dead only main threads of processes that live: files and environment are theirs. The others
    are gone with the next event."""
    closing = zone.find_thread(zone.closed_tid) if zone.closed else None
    table = zone.fd_table(closing) if closing is not None else None
    told: list[SnapshotThread] = []
    for thread in zone.threads.values():
        if thread.group is None:
            continue
        if thread.is_dead() and (not thread.is_main() or thread.group.alive == 0):
            continue
        one = export_thread(thread)
        if thread.fds is not None:
            for number, fd in thread.fds.fds.items():
                if number >= 0 and not (thread.fds is table and number == zone.closed_fd) and fd.kind > SCAP_FD_UNKNOWN:
                    one.fds.append(export_fd(number, fd))
        told.append(one)
    return told


def export_thread(thread: Thread) -> SnapshotThread:
    told = SnapshotThread(thread.tid)
    told.pid = thread.pid
    told.ptid = thread.ptid
    told.sid = thread.sid
    told.vpgid = thread.vpgid
    told.pgid = thread.pgid
    told.vtid = thread.vtid
    told.vpid = thread.vpid
    told.comm = thread.comm
    told.exe = thread.exe
    told.exepath = thread.exepath
    told.exe_writable = thread.exe_writable
    told.exe_upper_layer = thread.exe_upper_layer
    told.exe_lower_layer = thread.exe_lower_layer
    told.exe_from_memfd = thread.exe_from_memfd
    told.args = terminated(thread.args)
    told.env = terminated(thread.env)
    told.cwd = thread.cwd
    told.root = thread.root
    told.cgroups = terminated(thread.cgroups)
    told.fdlimit = thread.fdlimit
    told.flags = thread.flags
    told.uid = thread.uid
    told.gid = thread.gid
    told.loginuid = thread.loginuid
    told.cap_permitted = thread.cap_permitted
    told.cap_effective = thread.cap_effective
    told.cap_inheritable = thread.cap_inheritable
    told.exe_ino = thread.exe_ino
    told.exe_ino_ctime = thread.exe_ino_ctime
    told.exe_ino_mtime = thread.exe_ino_mtime
    told.exe_ino_ctime_duration_clone_ts = thread.exe_ino_ctime_duration_clone_ts
    told.exe_ino_ctime_duration_pidns_start = thread.exe_ino_ctime_duration_pidns_start
    told.vmsize_kb = thread.vmsize_kb
    told.vmrss_kb = thread.vmrss_kb
    told.vmswap_kb = thread.vmswap_kb
    told.pfmajor = thread.pfmajor
    told.pfminor = thread.pfminor
    told.pidns_init_start_ts = thread.pidns_init_start_ts
    told.clone_ts = thread.clone_ts
    told.tty = thread.tty
    told.lastexec_ts = thread.lastexec_ts
    return told


def terminated(strings: Strings) -> bytes:
    return strings.raw + b"\0" if strings.raw else b""


def export_fd(number: int, fd: Fd) -> SnapshotFd:
    """The ends of a connection as the kernel lists them: the own one is the source."""
    told = SnapshotFd(number)
    told.kind = fd.kind
    told.ino = fd.ino
    told.state_flags = fd.flags
    told.open_flags = fd.open_flags
    told.dev = fd.dev
    told.mount_id = fd.mount_id
    if fd.kind in (SCAP_FD_IPV4_SOCK, SCAP_FD_IPV6_SOCK):
        swapped = fd.kind == SCAP_FD_IPV4_SOCK and fd.is_server()
        told.sip = fd.dip if swapped else fd.sip
        told.dip = fd.sip if swapped else fd.dip
        told.sport = fd.dport if swapped else fd.sport
        told.dport = fd.sport if swapped else fd.dport
        told.l4proto = fd.l4proto
    elif fd.kind in (SCAP_FD_IPV4_SERVSOCK, SCAP_FD_IPV6_SERVSOCK):
        told.dip = fd.dip
        told.dport = fd.dport
        told.l4proto = fd.l4proto
    elif fd.kind == SCAP_FD_UNIX_SOCK:
        told.source = fd.source
        told.dest = fd.dest
        told.name = fd.name
    else:
        told.name = fd.name
        if fd.kind == SCAP_FD_PIDFD:
            told.pid = fd.pid
    return told
