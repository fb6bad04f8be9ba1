"""What messages tell of the sockets that they go through (state-machine.md sections 5.2 to 5.6; parsers.cpp, parse_read_exit,
parse_write_exit)."""

from __future__ import annotations

from typing import Final

from ..scap import format as fmt
from ..scap.event import Event
from ..scap.tables import (
    PPM_AF_INET,
    PPM_AF_INET6,
    PPM_AF_UNIX,
    PPME_SOCKET_RECV_X,
    PPME_SOCKET_RECVFROM_X,
    PPME_SOCKET_RECVMMSG_X,
    PPME_SOCKET_RECVMSG_X,
    PPME_SOCKET_SEND_X,
    PPME_SOCKET_SENDMMSG_X,
    PPME_SOCKET_SENDMSG_X,
    PPME_SOCKET_SENDTO_X,
    PPME_SYSCALL_PREAD_X,
    PPME_SYSCALL_PREADV_X,
    PPME_SYSCALL_PWRITE_X,
    PPME_SYSCALL_PWRITEV_X,
    PPME_SYSCALL_READ_X,
    PPME_SYSCALL_READV_X,
    PPME_SYSCALL_WRITE_X,
    PPME_SYSCALL_WRITEV_X,
    SCAP_FD_IPV4_SERVSOCK,
    SCAP_FD_IPV4_SOCK,
    SCAP_FD_IPV6_SOCK,
    SCAP_FD_UNIX_SOCK,
    SCAP_L4_UDP,
    SCAP_L4_UNKNOWN,
)
from . import sockinfo
from .fd import CONNECTION_FAILED, CONNECTION_PENDING, ROLE_CLIENT, ROLE_SERVER, SOCKET_CONNECTED, Fd
from .limits import MAX_PASSED_FDS
from .params import given, i64, returned
from .registry import parses
from .sockets import IPPROTO_UDP, SOCK_DGRAM, add_socket, name_by_ends
from .sockinfo import V4_L4, V4_SERVER_L4, V6_L4, Ends
from .thread import Thread
from .zone import ZoneState

CONNECTION: Final = SOCKET_CONNECTED | CONNECTION_PENDING | CONNECTION_FAILED

SEND_TUPLE: Final = 4  # position of the tuple in all send* events

# struct cmsghdr of a 64 bit kernel: length u64, level i32, type i32
CMSG_HEADER: Final = 16
SCM_RIGHTS: Final = 1


@parses(PPME_SYSCALL_READ_X, PPME_SYSCALL_READV_X, PPME_SYSCALL_PREAD_X, PPME_SYSCALL_PREADV_X)
def read(zone: ZoneState, event: Event) -> None:
    note_traffic(zone, event)


@parses(PPME_SOCKET_RECV_X)
def recv(zone: ZoneState, event: Event) -> None:
    if note_traffic(zone, event):
        learn(zone, event, 4, True)


@parses(PPME_SOCKET_RECVFROM_X)
def recvfrom(zone: ZoneState, event: Event) -> None:
    if note_traffic(zone, event):
        learn(zone, event, 2, True)


@parses(PPME_SOCKET_RECVMSG_X)
def recvmsg(zone: ZoneState, event: Event) -> None:
    if note_traffic(zone, event):
        learn(zone, event, 3, True)
        forget_passed(zone, event, 4)


@parses(PPME_SOCKET_RECVMMSG_X)
def recvmmsg(zone: ZoneState, event: Event) -> None:
    if given(event.params, 0) and note_traffic(zone, event):
        learn(zone, event, 4, True)
        forget_passed(zone, event, 5)


@parses(PPME_SYSCALL_WRITE_X, PPME_SYSCALL_WRITEV_X, PPME_SYSCALL_PWRITE_X, PPME_SYSCALL_PWRITEV_X)
def write(zone: ZoneState, event: Event) -> None:
    note_traffic(zone, event)


@parses(PPME_SOCKET_SEND_X, PPME_SOCKET_SENDTO_X, PPME_SOCKET_SENDMSG_X)
def send(zone: ZoneState, event: Event) -> None:
    if zone.event_fd is None:
        infer(zone, event)
    if note_traffic(zone, event):
        learn(zone, event, SEND_TUPLE, False)


@parses(PPME_SOCKET_SENDMMSG_X)
def sendmmsg(zone: ZoneState, event: Event) -> None:
    if given(event.params, 0) and note_traffic(zone, event):
        learn(zone, event, SEND_TUPLE, False)


def note_traffic(zone: ZoneState, event: Event) -> bool:
    """Data went through the event's fd: a socket of IPv4 or IPv6 is connected. False if none did."""
    fd = zone.event_fd
    if fd is None or zone.thread is None or returned(event.params) < 0:
        return False
    if (fd.kind == SCAP_FD_IPV4_SOCK or fd.kind == SCAP_FD_IPV6_SOCK) and fd.flags & CONNECTION != SOCKET_CONNECTED:
        own = zone.change_fd()
        if own is not None:
            own.set_connected()
            zone.fd_changed(own.kind)
    return True


def infer(zone: ZoneState, event: Event) -> None:
    """Something was sent through a fd that we do not know, with an address: a UDP socket, whose making we missed
    (infer_send_sendto_sendmsg_fdinfo)."""
    params = event.params
    if zone.thread is None or returned(params) < 0 or not given(params, SEND_TUPLE) or not given(params, 2):
        return
    family = params[SEND_TUPLE][0]
    if family in (PPM_AF_INET, PPM_AF_INET6):
        add_socket(zone, i64(params, 2, -1), family, SOCK_DGRAM, IPPROTO_UDP, 0)


def learn(zone: ZoneState, event: Event, position: int, incoming: bool) -> None:
    """The tuple of a message, for sockets whose name is not known or that are not IPv4 TCP. Data that comes in is told from the
    sender's point of view."""
    fd = zone.event_fd
    thread = zone.thread
    params = event.params
    if fd is None or thread is None or position >= len(params):
        return
    if fd.name and fd.is_tcp4():
        return
    data = params[position]
    if not sockinfo.is_valid_tuple(data) or is_known(fd, data):
        return
    # On a copy, for most messages tell nothing new and the fd's block is to stay
    new = fd.clone()
    if update_fd(zone, new, data):
        if new.kind == SCAP_FD_IPV4_SOCK or new.kind == SCAP_FD_IPV6_SOCK:
            if not new.has_role():
                guess_role(zone, thread, fd, new, incoming)
            if new.flags & (ROLE_CLIENT if incoming else ROLE_SERVER) != 0:
                sockinfo.swap(new)
                sockinfo.view(new)
            name_by_ends(new)
        else:
            new.name = fmt.socktuple(data)
    if new.kind != fd.kind or new.flags != fd.flags or new.name != fd.name or new.memory != fd.memory:
        kind = fd.kind
        own = zone.change_fd()
        if own is not None:
            own.kind = new.kind
            own.flags = new.flags
            own.name = new.name
            own.memory = new.memory
            sockinfo.view(own)
            zone.fd_changed(kind)


def is_known(fd: Fd, data: bytes) -> bool:
    """The tuple, or its mirror image, is what an IPv4 socket has: nothing will change. A quick look at the most frequent case;
    ``update_fd`` decides."""
    if len(data) != 13 or data[0] != PPM_AF_INET or fd.kind != SCAP_FD_IPV4_SOCK:
        return False
    memory = fd.memory if fd.memory else sockinfo.ZERO
    source = memory[0:4] + memory[8:10]
    dest = memory[4:8] + memory[10:12]
    return (data[1:7] == source and data[7:13] == dest) or (data[7:13] == source and data[1:7] == dest)


def update_fd(zone: ZoneState, fd: Fd, data: bytes) -> bool:
    """Learn the ends from a valid tuple; True if anything changed, or for unix and other families always (sinsp_parser::update_fd)."""
    family = data[0]
    if family in (PPM_AF_INET, PPM_AF_INET6):
        ends = Ends(data)
        ends.reduce()
        if family == PPM_AF_INET and fd.kind == SCAP_FD_IPV4_SERVSOCK:
            sockinfo.write_byte(fd, V4_L4, sockinfo.byte_at(fd, V4_SERVER_L4))
        if not ends.is_wide():
            fd.kind = SCAP_FD_IPV4_SOCK
        changed = sockinfo.update(fd, ends)
        if not changed:
            sockinfo.view(fd)
            return False
    elif family == PPM_AF_UNIX:
        fd.kind = SCAP_FD_UNIX_SOCK
        sockinfo.set_unix(fd, data[1:9], data[9:17])
        sockinfo.view(fd)
        return True
    # A tuple that changes is not one of a TCP connection
    if fd.kind == SCAP_FD_IPV4_SOCK:
        if sockinfo.byte_at(fd, V4_L4) == SCAP_L4_UNKNOWN:
            sockinfo.write_byte(fd, V4_L4, SCAP_L4_UDP)
    elif fd.kind == SCAP_FD_IPV6_SOCK and sockinfo.byte_at(fd, V6_L4) == SCAP_L4_UNKNOWN:
        sockinfo.write_byte(fd, V6_L4, SCAP_L4_UDP)
    sockinfo.view(fd)
    zone.interfaces.complete(fd)
    return True


def guess_role(zone: ZoneState, thread: Thread, fd: Fd, new: Fd, incoming: bool) -> None:
    """A server if the process has bound the destination port and nothing of it uses the source port; whoever reads first if
    both; else a client. The ports are those of the IPv4 view whatever the socket is, and ``new``, what ``fd`` is about to
    become, is itself among the process's files (set_net_role_by_guessing)."""
    memory = new.memory if new.memory else sockinfo.ZERO
    sport = sockinfo.port_at(memory, 8)
    dport = sockinfo.port_at(memory, 10)
    files = zone.fd_table(thread)
    assert files is not None  # fd is one of them
    bound = False
    used = False
    for entry in files.fds.values():
        other = new if entry is fd else entry
        if other.kind == SCAP_FD_IPV4_SOCK:
            if other.dport == dport:
                bound = True
            if other.sport == sport:
                used = True
        elif other.kind == SCAP_FD_IPV4_SERVSOCK and other.dport == dport:
            bound = True
    if not bound:
        new.flags |= ROLE_CLIENT
    elif not used:
        new.flags |= ROLE_SERVER
    else:
        new.flags |= ROLE_SERVER if incoming else ROLE_CLIENT


def forget_passed(zone: ZoneState, event: Event, position: int) -> None:
    """SCM_RIGHTS: the kernel gave the process new fds, so that whatever we know of these numbers is of files that are closed.
    libsinsp looks the new ones up in /proc, which is out of reach here; the sender's numbers are in no event."""
    fd = zone.event_fd
    thread = zone.thread
    params = event.params
    if fd is None or thread is None or fd.kind != SCAP_FD_UNIX_SOCK or position >= len(params):
        return
    control = params[position]
    if len(control) < CMSG_HEADER:
        return
    files = zone.fd_table(thread)
    assert files is not None  # fd is one of them
    at = 0
    end = len(control)
    while end - at >= CMSG_HEADER:
        length = int.from_bytes(control[at : at + 8], "little")
        if length < CMSG_HEADER or length > end - at:
            return
        size = length - CMSG_HEADER
        if int.from_bytes(control[at + 12 : at + 16], "little") == SCM_RIGHTS:
            if size % 4 != 0 or size // 4 > MAX_PASSED_FDS:
                return
            for start in range(at + CMSG_HEADER, at + length, 4):
                number = int.from_bytes(control[start : start + 4], "little", signed=True)
                if number >= 0 and number != thread.last_fd:
                    files.remove(number)
        at += (length + 7) // 8 * 8
