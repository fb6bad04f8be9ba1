"""Sockets: made, bound, connected, accepted, and what is learned of their ends from each message (state-machine.md section 5; parsers.cpp).

libsinsp's wish is that source is the client and dest the server. Who is who follows from connect and accept where they were
seen, else it is guessed from the ports that the process uses.
"""

from __future__ import annotations

from typing import Final

from ..scap import format as fmt
from ..scap.event import Event
from ..scap.tables import (
    PPM_AF_INET,
    PPM_AF_INET6,
    PPM_AF_NETLINK,
    PPM_AF_UNIX,
    PPM_O_CLOEXEC,
    PPME_SOCKET_ACCEPT4_6_X,
    PPME_SOCKET_ACCEPT_5_X,
    PPME_SOCKET_BIND_X,
    PPME_SOCKET_CONNECT_E,
    PPME_SOCKET_CONNECT_X,
    PPME_SOCKET_RECV_X,
    PPME_SOCKET_RECVFROM_X,
    PPME_SOCKET_RECVMMSG_X,
    PPME_SOCKET_RECVMSG_X,
    PPME_SOCKET_SEND_X,
    PPME_SOCKET_SENDMMSG_X,
    PPME_SOCKET_SENDMSG_X,
    PPME_SOCKET_SENDTO_X,
    PPME_SOCKET_SOCKET_X,
    PPME_SOCKET_SOCKETPAIR_X,
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
    SCAP_FD_IPV6_SERVSOCK,
    SCAP_FD_IPV6_SOCK,
    SCAP_FD_NETLINK,
    SCAP_FD_UNIX_SOCK,
    SCAP_FD_UNKNOWN,
    SCAP_L4_ICMP,
    SCAP_L4_RAW,
    SCAP_L4_TCP,
    SCAP_L4_UDP,
    SCAP_L4_UNKNOWN,
)
from . import sockinfo
from .fd import CONNECTION_FAILED, CONNECTION_PENDING, ROLE_CLIENT, ROLE_SERVER, SCAP_FD_UNINITIALIZED, SOCKET_CONNECTED, Fd
from .files import keep_enter
from .limits import MAX_PASSED_FDS
from .params import given, i64, returned, u32, u64
from .registry import parses
from .sockinfo import V4_L4, V4_SERVER_L4, V6_L4, V6_SERVER_L4, Ends, port_at
from .thread import Thread
from .zone import ZoneState

EINPROGRESS: Final = 115
MAX_UNIX_PATH: Final = 108  # the kernel's UNIX_PATH_MAX

CONNECTION: Final = SOCKET_CONNECTED | CONNECTION_PENDING | CONNECTION_FAILED

# <netinet/in.h>, <bits/socket_type.h>
SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
SOCK_RAW: Final = 3
IPPROTO_IP: Final = 0
IPPROTO_ICMP: Final = 1
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_RAW: Final = 255

SEND_TUPLE: Final = 4  # position of the tuple in all send* events

# struct cmsghdr of a 64 bit kernel: length u64, level i32, type i32
CMSG_HEADER: Final = 16
SCM_RIGHTS: Final = 1


# Making


@parses(PPME_SOCKET_SOCKET_X)
def socket(zone: ZoneState, event: Event) -> None:
    params = event.params
    number = returned(params)
    if zone.thread is not None and number >= 0:
        add_socket(zone, number, u32(params, 1), u32(params, 2), u32(params, 3), u32(params, 4))


def add_socket(zone: ZoneState, number: int, domain: int, kind: int, protocol: int, flags: int) -> None:
    """A socket without ends. ``kind``: SOCK_* with its flags; ``flags``: PPM_O_*."""
    fd = Fd(SCAP_FD_UNKNOWN)
    fd.open_flags = flags
    if domain == PPM_AF_UNIX:
        fd.kind = SCAP_FD_UNIX_SOCK
    elif domain == PPM_AF_INET:
        fd.kind = SCAP_FD_IPV4_SOCK
        sockinfo.write_byte(fd, V4_L4, l4proto_of(kind, protocol))
        sockinfo.view(fd)
    elif domain == PPM_AF_INET6:
        fd.kind = SCAP_FD_IPV6_SOCK
        sockinfo.write_byte(fd, V6_L4, l4proto_of(kind, protocol))
        sockinfo.view(fd)
    elif domain == PPM_AF_NETLINK:
        fd.kind = SCAP_FD_NETLINK
    zone.add_fd(number, fd)


def l4proto_of(kind: int, protocol: int) -> int:
    """SCAP_L4_* from what socket() was asked for; libsinsp compares the unmasked type with SOCK_RAW."""
    raw = kind == SOCK_RAW
    if protocol == IPPROTO_TCP:
        return SCAP_L4_RAW if raw else SCAP_L4_TCP
    if protocol == IPPROTO_UDP:
        return SCAP_L4_RAW if raw else SCAP_L4_UDP
    if protocol == IPPROTO_IP:
        if kind & 0xFF == SOCK_STREAM:
            return SCAP_L4_TCP
        if kind & 0xFF == SOCK_DGRAM:
            return SCAP_L4_UDP
    elif protocol == IPPROTO_ICMP:
        return SCAP_L4_RAW if raw else SCAP_L4_ICMP
    elif protocol == IPPROTO_RAW:
        return SCAP_L4_RAW
    return SCAP_L4_UNKNOWN


@parses(PPME_SOCKET_SOCKETPAIR_X)
def socketpair(zone: ZoneState, event: Event) -> None:
    params = event.params
    thread = zone.thread
    if thread is None or returned(params) < 0:
        return
    first = i64(params, 1, -1)
    second = i64(params, 2, -1)
    if first == second:
        return
    ends = u64(params, 3).to_bytes(8, "little") + u64(params, 4).to_bytes(8, "little")
    one = Fd(SCAP_FD_UNIX_SOCK)
    one.memory = ends + sockinfo.ZERO[16:]
    sockinfo.view(one)
    other = one.clone()
    zone.add_fd(first, one)
    attached = zone.event_fd
    zone.add_fd(second, other)  # the number of the event is now the second one, its file the first
    zone.event_fd = attached


@parses(PPME_SOCKET_ACCEPT_5_X, PPME_SOCKET_ACCEPT4_6_X)
def accept(zone: ZoneState, event: Event) -> None:
    """A server's end of a connection; TCP whatever the listening socket was."""
    params = event.params
    thread = zone.thread
    number = returned(params)
    if thread is None or number < 0:
        return
    thread.last_fd = number
    data = params[1] if len(params) > 1 else b""
    if not sockinfo.is_valid_tuple(data):
        return
    family = data[0]
    fd = Fd(SCAP_FD_UNINITIALIZED)
    if family in (PPM_AF_INET, PPM_AF_INET6):
        ends = Ends(data)
        ends.reduce()
        sockinfo.update(fd, ends)
        fd.kind = SCAP_FD_IPV6_SOCK if ends.is_wide() else SCAP_FD_IPV4_SOCK
        sockinfo.write_byte(fd, V6_L4 if ends.is_wide() else V4_L4, SCAP_L4_TCP)
    elif family == PPM_AF_UNIX:
        fd.kind = SCAP_FD_UNIX_SOCK
        sockinfo.set_unix(fd, data[1:9], data[9:17])
    else:
        return
    sockinfo.view(fd)
    fd.name = fmt.socktuple(data)
    if event.code == PPME_SOCKET_ACCEPT4_6_X:
        fd.open_flags = u32(params, 5) & PPM_O_CLOEXEC
    fd.flags = ROLE_SERVER
    fd.set_connected()
    zone.add_fd(number, fd)


@parses(PPME_SOCKET_BIND_X)
def bind(zone: ZoneState, event: Event) -> None:
    """A socket with a port of its own is one that listens, a server; its name is the address whatever that is."""
    params = event.params
    data = params[1] if len(params) > 1 else b""
    if returned(params) < 0 or not sockinfo.is_valid_sockaddr(data):
        return
    fd = zone.change_fd()
    if fd is None:
        return
    kind = fd.kind
    family = data[0]
    if family == PPM_AF_INET and (data[5] or data[6]):
        listen(fd, data[1:5], data[5:7], sockinfo.byte_at(fd, V4_L4))
    elif family == PPM_AF_INET6 and (data[17] or data[18]):
        address = data[1:17]
        listen(fd, address[12:] if fmt.is_mapped(address) else address, data[17:19], sockinfo.byte_at(fd, V6_L4))
    fd.name = fmt.sockaddr(data)
    zone.fd_changed(kind)


def listen(fd: Fd, address: bytes, port: bytes, l4proto: int) -> None:
    """Address and port as in the event."""
    if len(address) == 4:
        fd.kind = SCAP_FD_IPV4_SERVSOCK
        sockinfo.write(fd, 0, address + port)
        sockinfo.write_byte(fd, V4_SERVER_L4, l4proto)
    else:
        fd.kind = SCAP_FD_IPV6_SERVSOCK
        sockinfo.write(fd, 0, address + port)
        sockinfo.write_byte(fd, V6_SERVER_L4, l4proto)
    fd.flags |= ROLE_SERVER
    sockinfo.view(fd)


# Connecting


@parses(PPME_SOCKET_CONNECT_E)
def enter_connect(zone: ZoneState, event: Event) -> None:
    keep_enter(zone, event)


@parses(PPME_SOCKET_CONNECT_X)
def connect(zone: ZoneState, event: Event) -> None:
    """libsinsp's default, without tracking of connections: one that is under way counts as made, one that failed changes nothing."""
    params = event.params
    result = returned(params)
    if result < 0 and result != -EINPROGRESS:
        return
    fd = zone.change_fd()
    if fd is None:
        return
    kind = fd.kind
    fd.set_connected()
    enter = zone.enter_event(event)
    entered = enter.params[1] if enter is not None and given(enter.params, 1) else b""
    if not sockinfo.is_valid_sockaddr(entered):
        entered = b""
    data = params[1] if len(params) > 1 else b""
    address = params[3] if len(params) > 3 else b""
    if not sockinfo.is_valid_sockaddr(address):
        address = b""
    if not data:
        # TCP fast open: the kernel has no tuple yet. libsinsp has the enter event or nothing; the exit event tells as much, if less surely.
        if entered:
            connect_to(fd, entered)
        elif address and address[0] in (PPM_AF_INET, PPM_AF_INET6):
            connect_to(fd, address)
    elif sockinfo.is_valid_tuple(data):
        connect_ends(fd, data, address, entered)
    zone.fd_changed(kind)


def connect_to(fd: Fd, address: bytes) -> None:
    """Only the destination is known (fill_client_socket_info_from_addr)."""
    family = address[0]
    if family == PPM_AF_INET:
        fd.kind = SCAP_FD_IPV4_SOCK
        sockinfo.write(fd, 4, address[1:5])
        sockinfo.write(fd, 10, address[5:7])
    elif family == PPM_AF_INET6 and fmt.is_mapped(address[1:17]):
        fd.kind = SCAP_FD_IPV4_SOCK
        sockinfo.write(fd, 4, address[13:17])
        sockinfo.write(fd, 10, address[17:19])
    elif family == PPM_AF_INET6:
        fd.kind = SCAP_FD_IPV6_SOCK
        sockinfo.write(fd, 16, address[1:17])
        sockinfo.write(fd, 34, address[17:19])
    else:
        fd.name = fmt.EMPTY_BUFFER
    sockinfo.view(fd)


def connect_ends(fd: Fd, data: bytes, address: bytes, entered: bytes) -> None:
    """Both ends are known. ``address``: what the program said, as seen at exit; where the tuple's destination is only that,
    what it said at entry (``entered``) is to be trusted more (fill_client_socket_info)."""
    family = data[0]
    same_family = len(address) > 0 and len(entered) > 0 and address[0] == family and entered[0] == family
    if family in (PPM_AF_INET, PPM_AF_INET6):
        ends = Ends(data)
        size = len(ends.dip)
        if same_family and address[1 : 1 + size] == ends.dip and port_at(address, 1 + size) == ends.dport:
            ends.dip = entered[1 : 1 + size]
            ends.dport = port_at(entered, 1 + size)
        ends.reduce()
        fd.kind = SCAP_FD_IPV6_SOCK if ends.is_wide() else SCAP_FD_IPV4_SOCK
        changed = sockinfo.update(fd, ends)
        sockinfo.view(fd)
        if changed and fd.is_server() and fd.is_udp4():
            sockinfo.swap(fd)
            sockinfo.view(fd)
        name_by_ends(fd)
    elif fd.kind == SCAP_FD_UNIX_SOCK and len(data) >= 18:
        path = fmt.cstring(data[17:])
        if same_family and path[:MAX_UNIX_PATH] == fmt.cstring(address[1:])[:MAX_UNIX_PATH]:
            path = fmt.cstring(entered[1:])
        sockinfo.set_unix(fd, data[1:9], data[9:17])
        sockinfo.view(fd)
        fd.name = fmt.unix_tuple_text(fd.source, fd.dest, path)
    else:
        return
    if not fd.has_role():
        fd.flags |= ROLE_CLIENT


def name_by_ends(fd: Fd) -> None:
    name = sockinfo.name_of(fd)
    if name is not None:
        fd.name = name


# Reading and writing


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
    bound = False
    used = False
    if files is not None:
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
    if files is None:
        return
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
