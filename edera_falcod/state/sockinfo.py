"""What libsinsp knows of a socket's ends: one union of five views, and the rules that change it.

``sinsp_fdinfo`` keeps the facts of all socket types in one piece of memory (fdinfo.h, sinsp_sockinfo; tuples.h), and its
parsers change the type before or after they write through another type's view. What a listening UDP socket shows after its
first datagram, or a dual-stack socket after connecting to an IPv4 address, follows from the bytes that the earlier view left
there. So we keep those bytes (``Fd.memory``, ``b""`` = all zero), change them as libsinsp does, and read the attributes of
``Fd`` from them through the view of its kind.

| view | layout (host order is little-endian; addresses in network order) |
|---|---|
| IPV4_SOCK | sip 0-3, dip 4-7, sport 8-9, dport 10-11, l4proto 12 |
| IPV6_SOCK | sip 0-15, dip 16-31, sport 32-33, dport 34-35, l4proto 36 |
| IPV4_SERVSOCK | ip 0-3, port 4-5, l4proto 6 |
| IPV6_SERVSOCK | ip 0-15, port 16-17, l4proto 18 |
| UNIX_SOCK | source 0-7, dest 8-15 |
"""

from __future__ import annotations

from typing import Final, final

from ..scap import format as fmt
from ..scap.tables import (
    PPM_AF_INET,
    PPM_AF_INET6,
    PPM_AF_UNIX,
    SCAP_FD_IPV4_SERVSOCK,
    SCAP_FD_IPV4_SOCK,
    SCAP_FD_IPV6_SERVSOCK,
    SCAP_FD_IPV6_SOCK,
    SCAP_FD_UNIX_SOCK,
    SCAP_L4_ICMP,
    SCAP_L4_RAW,
    SCAP_L4_TCP,
    SCAP_L4_UDP,
)
from .fd import Fd

SIZE: Final = 40
MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF
ZERO: Final = bytes(SIZE)
ZERO4: Final = bytes(4)
ZERO16: Final = bytes(16)
UNKNOWN_NAME: Final = b"<unknown>"

V4_L4: Final = 12
V6_L4: Final = 36
V4_SERVER_L4: Final = 6
V6_SERVER_L4: Final = 18


def write(fd: Fd, at: int, data: bytes) -> None:
    """Put ``data`` into the union; ``view`` has to follow once all is written."""
    memory = fd.memory if fd.memory else ZERO
    fd.memory = memory[:at] + data + memory[at + len(data) :]


def write_byte(fd: Fd, at: int, value: int) -> None:
    write(fd, at, bytes((value & 0xFF,)))


def byte_at(fd: Fd, at: int) -> int:
    return fd.memory[at] if fd.memory else 0


def port_bytes(port: int) -> bytes:
    return bytes((port & 0xFF, port >> 8 & 0xFF))


def port_at(memory: bytes, at: int) -> int:
    return memory[at] | memory[at + 1] << 8


def view(fd: Fd) -> None:
    """Read the attributes of ``fd`` through the view of its kind. What has no view has no ends."""
    kind = fd.kind
    memory = fd.memory if fd.memory else ZERO
    if kind == SCAP_FD_IPV4_SOCK:
        fd.sip = memory[0:4]
        fd.dip = memory[4:8]
        fd.sport = memory[8] | memory[9] << 8
        fd.dport = memory[10] | memory[11] << 8
        fd.l4proto = memory[V4_L4]
    elif kind == SCAP_FD_IPV6_SOCK:
        fd.sip = memory[0:16]
        fd.dip = memory[16:32]
        fd.sport = memory[32] | memory[33] << 8
        fd.dport = memory[34] | memory[35] << 8
        fd.l4proto = memory[V6_L4]
    elif kind == SCAP_FD_IPV4_SERVSOCK:
        fd.sip = b""
        fd.dip = memory[0:4]
        fd.sport = 0
        fd.dport = memory[4] | memory[5] << 8
        fd.l4proto = memory[V4_SERVER_L4]
    elif kind == SCAP_FD_IPV6_SERVSOCK:
        fd.sip = b""
        fd.dip = memory[0:16]
        fd.sport = 0
        fd.dport = memory[16] | memory[17] << 8
        fd.l4proto = memory[V6_SERVER_L4]
    else:
        fd.sip = b""
        fd.dip = b""
        fd.sport = 0
        fd.dport = 0
        fd.l4proto = 0
    if kind == SCAP_FD_UNIX_SOCK:
        fd.source = int.from_bytes(memory[0:8], "little")
        fd.dest = int.from_bytes(memory[8:16], "little")
    else:
        fd.source = 0
        fd.dest = 0


@final
class Ends:
    """Both ends of an IPv4 or IPv6 connection as an event tells them: addresses of 4 or 16 bytes in network order, ports."""

    __slots__ = ("sip", "sport", "dip", "dport")

    def __init__(self, data: bytes) -> None:
        """``data``: a valid PT_SOCKTUPLE of one of the two families."""
        size = 4 if data[0] == PPM_AF_INET else 16
        self.sip = data[1 : 1 + size]
        self.sport = data[1 + size] | data[2 + size] << 8
        self.dip = data[3 + size : 3 + 2 * size]
        self.dport = data[3 + 2 * size] | data[4 + 2 * size] << 8

    def reduce(self) -> None:
        """Two IPv6 addresses that both stand for IPv4 ones become these."""
        if len(self.sip) == 16 and fmt.is_mapped(self.sip) and fmt.is_mapped(self.dip):
            self.sip = self.sip[12:]
            self.dip = self.dip[12:]

    def is_wide(self) -> bool:
        return len(self.sip) == 16


def update(fd: Fd, ends: Ends) -> bool:
    """Learn both ends, by the family of ``ends``; ``view`` has to follow. The same ends or their mirror image change nothing,
    if the socket is of that family already (parsers.cpp, set_ipv4_addresses_and_ports, set_ipv6_addresses_and_ports). True if
    anything changed."""
    memory = fd.memory if fd.memory else ZERO
    size = len(ends.sip)
    after = 2 * size
    source = memory[0:size] + memory[after : after + 2]
    dest = memory[size:after] + memory[after + 2 : after + 4]
    new_source = ends.sip + port_bytes(ends.sport)
    new_dest = ends.dip + port_bytes(ends.dport)
    if new_source == source and new_dest == dest:
        return False
    if new_source == dest and new_dest == source and fd.kind == (SCAP_FD_IPV4_SOCK if size == 4 else SCAP_FD_IPV6_SOCK):
        return False
    fd.memory = ends.sip + ends.dip + new_source[size:] + new_dest[size:] + memory[after + 4 :]
    return True


def swap(fd: Fd) -> None:
    """Exchange source and destination; what is not an IPv4 socket is taken for an IPv6 one (parsers.cpp, swap_addresses)."""
    memory = fd.memory if fd.memory else ZERO
    if fd.kind == SCAP_FD_IPV4_SOCK:
        fd.memory = memory[4:8] + memory[0:4] + memory[10:12] + memory[8:10] + memory[12:]
    else:
        fd.memory = memory[16:32] + memory[0:16] + memory[34:36] + memory[32:34] + memory[36:]


def set_unix(fd: Fd, source: bytes, dest: bytes) -> None:
    """Kernel addresses of both ends, 8 bytes each."""
    memory = fd.memory if fd.memory else ZERO
    fd.memory = source + dest + memory[16:]


def name_of(fd: Fd) -> bytes | None:
    """The text of a connected IPv4 or IPv6 socket's ends (utils.cpp, sockinfo_to_str), None where libsinsp leaves its buffer as it was."""
    memory = fd.memory if fd.memory else ZERO
    if fd.kind == SCAP_FD_IPV4_SOCK:
        l4 = memory[V4_L4]
        if l4 in (SCAP_L4_TCP, SCAP_L4_UDP):
            return fmt.tuple_text(memory[0:4], port_at(memory, 8), memory[4:8], port_at(memory, 10))
        if l4 in (SCAP_L4_ICMP, SCAP_L4_RAW):
            return fmt.address4(memory[0:4]) + b"->" + fmt.address4(memory[4:8])
        return UNKNOWN_NAME
    if fd.kind == SCAP_FD_IPV6_SOCK:
        l4 = memory[V6_L4]
        sip = memory[0:16]
        dip = memory[16:32]
        mapped = fmt.is_mapped(sip) and fmt.is_mapped(dip)
        if l4 in (SCAP_L4_TCP, SCAP_L4_UDP):
            if mapped:  # the ports through the IPv4 view, as libsinsp has it
                return fmt.tuple_text(sip[12:], port_at(memory, 8), dip[12:], port_at(memory, 10))
            return fmt.tuple_text(sip, port_at(memory, 32), dip, port_at(memory, 34))
        if l4 == SCAP_L4_ICMP:
            if mapped:
                return fmt.address4(sip[12:]) + b"->" + fmt.address4(dip[12:])
            return fmt.address6(sip) + b"->" + fmt.address6(dip)
        return UNKNOWN_NAME
    return None


def is_valid_sockaddr(data: bytes) -> bool:
    """A PT_SOCKADDR that can be read (utils.cpp, is_sockaddr_valid)."""
    if not data:
        return False
    family = data[0]
    if family == PPM_AF_INET:
        return len(data) >= 7
    if family == PPM_AF_INET6:
        return len(data) >= 19
    if family == PPM_AF_UNIX:
        return len(data) >= 2 and data[-1] == 0
    return True


def is_valid_tuple(data: bytes) -> bool:
    """A PT_SOCKTUPLE that can be read (utils.cpp, is_socktuple_valid)."""
    if not data:
        return False
    family = data[0]
    if family == PPM_AF_INET:
        return len(data) >= 13
    if family == PPM_AF_INET6:
        return len(data) >= 37
    if family == PPM_AF_UNIX:
        return len(data) >= 18 and data[-1] == 0
    return True
