"""A snapshot becomes the state: what libsinsp makes of its scan of /proc (state-machine.md section 7; threadinfo.cpp,
thread_manager.cpp)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..scap import format as fmt
from ..scap.snapshot import SnapshotFd, SnapshotThread
from ..scap.tables import (
    PPM_CL_ACTIVE,
    PPM_CL_CLONE_FILES,
    PPM_CL_CLONE_THREAD,
    PPM_CL_CLOSED,
    SCAP_FD_IPV4_SERVSOCK,
    SCAP_FD_IPV4_SOCK,
    SCAP_FD_IPV6_SERVSOCK,
    SCAP_FD_IPV6_SOCK,
    SCAP_FD_PIDFD,
    SCAP_FD_UNIX_SOCK,
    SCAP_FD_UNKNOWN,
    SCAP_L4_TCP,
)
from . import sockinfo
from .fd import FROM_PROC, OVERLAY_LOWER, OVERLAY_UPPER, ROLE_CLIENT, ROLE_SERVER, ROLES, SOCKET_CONNECTED, Fd
from .limits import MAX_ARGS, MAX_COMM, MAX_ENV, MAX_PATH, MAX_RAW_PATH
from .paths import concatenate
from .sockinfo import ZERO, ZERO4, ZERO16, port_bytes
from .texts import cgroups_of, cut
from .thread import Thread, strings_of

if TYPE_CHECKING:
    from .zone import ZoneState

DELETED: Final = b" (deleted)"
CARRIED: Final = SOCKET_CONNECTED | OVERLAY_UPPER | OVERLAY_LOWER  # state flags that stand on their own


def add(zone: ZoneState, said: SnapshotThread) -> None:
    """One thread with its files. Ids that the message leaves out are those of a process of its own without a parent."""
    thread = Thread(said.tid, said.pid if said.pid >= 0 else said.tid, said.ptid if said.ptid >= 0 else 0)
    thread.sid = said.sid
    thread.vpgid = said.vpgid
    thread.pgid = said.pgid
    thread.vtid = said.vtid
    thread.vpid = said.vpid
    thread.comm = cut(zone, said.comm, MAX_COMM)
    thread.exe = cut(zone, said.exe, MAX_RAW_PATH)
    path = cut(zone, said.exepath, MAX_RAW_PATH)
    thread.exepath = path[: -len(DELETED)] if len(path) > len(DELETED) and path.endswith(DELETED) else path
    thread.exe_writable = said.exe_writable
    thread.exe_upper_layer = said.exe_upper_layer
    thread.exe_lower_layer = said.exe_lower_layer
    thread.exe_from_memfd = said.exe_from_memfd
    thread.args = strings_of(cut(zone, said.args, MAX_ARGS))
    if thread.tid == thread.pid:
        thread.env = strings_of(cut(zone, said.env, MAX_ENV))
        cwd = concatenate(b"", cut(zone, said.cwd, MAX_RAW_PATH))
        thread.cwd = cwd if cwd.endswith(b"/") else cwd + b"/"
    else:  # as the scan of /proc marks threads
        thread.flags |= PPM_CL_CLONE_THREAD | PPM_CL_CLONE_FILES
    thread.flags |= (said.flags | PPM_CL_ACTIVE) & ~PPM_CL_CLOSED
    thread.fdlimit = said.fdlimit
    thread.cap_permitted = said.cap_permitted
    thread.cap_effective = said.cap_effective
    thread.cap_inheritable = said.cap_inheritable
    thread.exe_ino = said.exe_ino
    thread.exe_ino_ctime = said.exe_ino_ctime
    thread.exe_ino_mtime = said.exe_ino_mtime
    thread.exe_ino_ctime_duration_clone_ts = said.exe_ino_ctime_duration_clone_ts
    thread.exe_ino_ctime_duration_pidns_start = said.exe_ino_ctime_duration_pidns_start
    thread.vmsize_kb = said.vmsize_kb
    thread.vmrss_kb = said.vmrss_kb
    thread.vmswap_kb = said.vmswap_kb
    thread.pfmajor = said.pfmajor
    thread.pfminor = said.pfminor
    thread.pidns_init_start_ts = said.pidns_init_start_ts
    thread.clone_ts = said.clone_ts
    thread.tty = said.tty
    thread.cgroups = cgroups_of(zone, said.cgroups, thread.cgroups)
    thread.root = cut(zone, said.root, MAX_PATH)
    thread.uid = said.uid
    thread.gid = said.gid
    thread.loginuid = said.loginuid
    thread.last_access_ts = zone.ts
    if not zone.table.add(thread, zone.ts, False):
        return
    if said.fds:
        files = thread.own_fds(zone.table.fd_budget)
        for one in said.fds:
            if one.fd >= 0 and one.kind != SCAP_FD_UNKNOWN:
                files.add(one.fd, import_fd(zone, one))


def import_fd(zone: ZoneState, said: SnapshotFd) -> Fd:
    """A file as the scan finds it (add_fd_from_scap). Roles of IPv4 sockets wait for ``end``. Flags are zero where the zone's
    agent took them from a scan of /proc; where it knows more, so do we."""
    fd = Fd(said.kind)
    fd.flags = FROM_PROC | said.state_flags & CARRIED
    fd.open_flags = said.open_flags
    fd.ino = said.ino
    fd.dev = said.dev
    fd.mount_id = said.mount_id
    kind = said.kind
    if kind in (SCAP_FD_IPV4_SOCK, SCAP_FD_IPV6_SOCK):
        if kind == SCAP_FD_IPV6_SOCK:
            fd.flags |= said.state_flags & ROLES
        import_connection(fd, said)
    elif kind in (SCAP_FD_IPV4_SERVSOCK, SCAP_FD_IPV6_SERVSOCK):
        size = 4 if kind == SCAP_FD_IPV4_SERVSOCK else 16
        address = sized(said.dip, size)
        fd.memory = (address + port_bytes(said.dport) + bytes((said.l4proto & 0xFF,)) + ZERO)[: sockinfo.SIZE]
        fd.name = fmt.endpoint(address, said.dport)
    elif kind == SCAP_FD_UNIX_SOCK:
        source = (said.source & sockinfo.MASK64).to_bytes(8, "little")
        fd.memory = source + (said.dest & sockinfo.MASK64).to_bytes(8, "little") + ZERO[16:]
        fd.name = cut(zone, said.name, MAX_PATH)
        fd.flags |= ROLE_SERVER if fd.name else ROLE_CLIENT
    else:
        fd.name = cut(zone, said.name, MAX_PATH)
        if kind == SCAP_FD_PIDFD and said.pid >= 0:
            fd.pid = said.pid
    sockinfo.view(fd)
    return fd


def import_connection(fd: Fd, said: SnapshotFd) -> None:
    """A connected socket; two IPv6 ends that stand for IPv4 make an IPv4 socket. An end of all zeros stays that: libsinsp scans before it
    knows the interfaces (sinsp.cpp, open_common)."""
    size = 4 if said.kind == SCAP_FD_IPV4_SOCK else 16
    sip = sized(said.sip, size)
    dip = sized(said.dip, size)
    if size == 16 and fmt.is_mapped(sip) and fmt.is_mapped(dip):
        sip = sip[12:]
        dip = dip[12:]
        fd.kind = SCAP_FD_IPV4_SOCK
    fd.memory = (sip + dip + port_bytes(said.sport) + port_bytes(said.dport) + bytes((said.l4proto & 0xFF,)) + ZERO)[: sockinfo.SIZE]
    if said.l4proto == SCAP_L4_TCP:
        fd.flags |= SOCKET_CONNECTED
    sockinfo.view(fd)
    fd.name = fmt.tuple_text(fd.sip, fd.sport, fd.dip, fd.dport)


def sized(address: bytes, size: int) -> bytes:
    """An address of that many bytes; what is none is the unspecified one. An IPv4 address in an IPv6 socket is a mapped one."""
    if len(address) == size:
        return address
    if len(address) == 4 and size == 16:
        return bytes(10) + b"\xff\xff" + address
    return ZERO4 if size == 4 else ZERO16


def finish(zone: ZoneState) -> Iterator[None]:
    """Groups, parents, and who is the server of each IPv4 connection: the end whose port somebody in the zone listens on. A step for each
    thread, several times."""
    table = zone.table
    yield from table.cut_cycles()
    threads = list(zone.threads.values())
    for thread in threads:
        table.tie(thread)
        yield
    ports: set[int] = set()
    for thread in threads:
        yield
        if thread.fds is not None:
            for fd in thread.fds.fds.values():
                if fd.kind == SCAP_FD_IPV4_SERVSOCK or fd.kind == SCAP_FD_IPV6_SERVSOCK:
                    ports.add(fd.dport)
    for thread in threads:
        yield
        if thread.fds is not None:
            for fd in thread.fds.fds.values():
                if fd.kind != SCAP_FD_IPV4_SOCK:
                    continue
                if fd.sport in ports:
                    sockinfo.swap(fd)
                    sockinfo.view(fd)
                    fd.name = fmt.tuple_text(fd.sip, fd.sport, fd.dip, fd.dport)
                    fd.flags |= ROLE_SERVER
                else:
                    fd.flags |= ROLE_CLIENT
