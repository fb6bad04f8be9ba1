"""Sockets: made, bound, connected, accepted (state-machine.md section 5; parsers.cpp).

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
    PPME_SOCKET_SOCKET_X,
    PPME_SOCKET_SOCKETPAIR_X,
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
from .fd import ROLE_CLIENT, ROLE_SERVER, SCAP_FD_UNINITIALIZED, Fd
from .files import keep_enter
from .params import given, i64, returned, u32, u64
from .registry import parses
from .sockinfo import V4_L4, V4_SERVER_L4, V6_L4, V6_SERVER_L4, Ends, port_at
from .zone import ZoneState

EINPROGRESS: Final = 115
MAX_UNIX_PATH: Final = 108  # the kernel's UNIX_PATH_MAX

# <netinet/in.h>, <bits/socket_type.h>
SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
SOCK_RAW: Final = 3
IPPROTO_IP: Final = 0
IPPROTO_ICMP: Final = 1
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_RAW: Final = 255


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
        # TCP fast open: the kernel has no tuple yet. libsinsp has the enter event or nothing; the exit event tells as much, if less surely,
        # and of a socket of which nothing is known so far.
        if entered:
            connect_to(fd, entered)
        elif not fd.name and kind in (SCAP_FD_IPV4_SOCK, SCAP_FD_IPV6_SOCK) and address and address[0] in (PPM_AF_INET, PPM_AF_INET6):
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
    assert name is not None  # fd is a socket of IPv4 or IPv6
    fd.name = name
