"""FD blocks: what an open file or socket is; and what fd.* says where the file is not known.

Source: userspace/libsinsp/sinsp_filtercheck_fd.cpp, fdinfo.cpp, fdinfo.h.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from ..scap import tables as t
from ..scap.format import decimal
from ..scap.safetext import COMPILED, safe
from ..state.fd import OVERLAY_LOWER, OVERLAY_UPPER, SOCKET_CONNECTED, Fd
from . import slots
from .cells import Cells
from .names import FD_TYPES

TYPE_TEXTS: Final[list[bytes]] = [name.encode() for name in FD_TYPES]
UNKNOWN_TYPE: Final = b"<NA>"

# By scap_fd_type + 1. Source: sinsp_fdinfo::get_typechar
TYPE_CHARS: Final[list[bytes]] = [bytes((char,)) for char in b"?ofd4646pueXslitnfburmP"]
UNKNOWN_CHAR: Final = b"?"

_PROTOCOLS: Final[dict[int, bytes]] = {t.SCAP_L4_TCP: b"tcp", t.SCAP_L4_UDP: b"udp", t.SCAP_L4_ICMP: b"icmp", t.SCAP_L4_RAW: b"raw"}
_NO_PROTOCOL: Final = b"<NA>"


def type_text(kind: int) -> bytes:
    """fd.type of a ``scap_fd_type``."""
    return TYPE_TEXTS[kind + 1] if -1 <= kind < len(TYPE_TEXTS) - 1 else UNKNOWN_TYPE


def type_char(kind: int) -> bytes:
    """fd.typechar of a ``scap_fd_type``."""
    return TYPE_CHARS[kind + 1] if -1 <= kind < len(TYPE_CHARS) - 1 else UNKNOWN_CHAR


def directory_of(name: bytes) -> bytes:
    """fd.directory of a file's name: what is before the last slash, unless that is at the start or the end."""
    at: i64
    if COMPILED:  # looking for it here is a fifth of what a call of bytes' method takes
        at = len(name) - 1
        while at > 0 and name[at] != 0x2F:
            at -= 1
    else:
        at = name.rfind(b"/")
    if at <= 0:
        return b"/"
    return name[:at] if at < len(name) - 1 else name


def collapse(path: bytes) -> bytes:
    """Repeated slashes as one (remove_duplicate_path_separators)."""
    while _repeats_slash(path):
        path = path.replace(b"//", b"/")
    return path


def _repeats_slash(path: bytes) -> bool:
    if COMPILED:
        before: i64 = 0
        i: i64 = 0
        size: i64 = len(path)
        while i < size:
            byte: i64 = path[i]
            if byte == 0x2F and before == 0x2F:
                return True
            before = byte
            i += 1
        return False
    return b"//" in path


def is_local(address: bytes, local: frozenset[bytes]) -> bool:
    """Whether an address is one of the zone's. IPv4: the same. IPv6: the
    same first 64 bits, as libsinsp compares (ifinfo.cpp)."""
    if address in local:
        return True
    if len(address) == 16:
        prefix = address[:8]
        for own in local:
            if len(own) == 16 and own[:8] == prefix:
                return True
    return False


def fd_cells(cells: Cells, fd: Fd, local: frozenset[bytes]) -> None:
    """All of FD. ``local``: addresses of the zone's interfaces."""
    kind = fd.kind
    flags = fd.flags
    name = safe(fd.name)
    cells.text(slots.FD_TYPE, type_text(kind))
    cells.text(slots.FD_TYPECHAR, type_char(kind))
    at = cells.text(slots.FD_NAME, name)
    raw = safe(collapse(fd.name_raw))
    if raw == name:
        cells.slice(slots.FD_NAMERAW, at, len(name))
    else:
        cells.text(slots.FD_NAMERAW, raw)
    if kind == t.SCAP_FD_FILE_V2 or kind == t.SCAP_FD_FILE:
        cells.text(slots.FD_DIRECTORY, directory_of(name))
        slash = name.rfind(b"/")
        if slash < 0:
            cells.text(slots.FD_FILENAME, b"/")
        elif slash < len(name) - 1:
            cells.slice(slots.FD_FILENAME, at + slash + 1, len(name) - slash - 1)
        else:
            cells.slice(slots.FD_FILENAME, at, len(name))
    elif kind == t.SCAP_FD_DIRECTORY:
        cells.slice(slots.FD_DIRECTORY, at, len(name))
    protocol = _NO_PROTOCOL
    if t.SCAP_FD_IPV4_SOCK <= kind <= t.SCAP_FD_IPV6_SERVSOCK:
        protocol = _ip_cells(cells, fd, local)
    else:
        cells.number(slots.FD_IS_SERVER, 0)
        if kind == t.SCAP_FD_UNIX_SOCK:
            cells.text(slots.FD_SOCKFAMILY, b"unix")
        if fd.has_role():
            # fd.cproto is the only one of its kind that looks at roles alone: an empty text for what is not an IP socket
            cells.text(slots.FD_CPROTO, b"")
    cells.text(slots.FD_L4PROTO, protocol)
    cells.number(slots.FD_CONNECTED, 1 if flags & SOCKET_CONNECTED else 0)
    dev = fd.dev
    cells.number(slots.FD_DEV, dev)
    cells.number(slots.FD_DEV_MAJOR, (dev & 0xFFF00) >> 8)
    cells.number(slots.FD_DEV_MINOR, dev & 0xFF | dev >> 12 & 0xFFF00)
    cells.number(slots.FD_INO, fd.ino)
    cells.number(slots.FD_IS_UPPER_LAYER, 1 if flags & OVERLAY_UPPER else 0)
    cells.number(slots.FD_IS_LOWER_LAYER, 1 if flags & OVERLAY_LOWER else 0)


def _ip_cells(cells: Cells, fd: Fd, local: frozenset[bytes]) -> bytes:
    """Ends of an IP socket; returns fd.l4proto."""
    kind = fd.kind
    cells.text(slots.FD_SOCKFAMILY, b"ip")
    sport = fd.sport
    dport = fd.dport
    if kind == t.SCAP_FD_IPV4_SERVSOCK or kind == t.SCAP_FD_IPV6_SERVSOCK:
        cells.number(slots.FD_IS_SERVER, 1)
        address = cells.raw(slots.FD_IP_DEST, fd.dip)
        cells.slice(slots.FD_IP_SOURCE, address, len(fd.dip))
        cells.number(slots.FD_PORT_SOURCE, dport)
        cells.number(slots.FD_PORT_DEST, dport)
        text = decimal(dport)
        at = cells.text(slots.FD_PROTO_DEST, text)
        cells.slice(slots.FD_PROTO_SOURCE, at, len(text))
        cells.number(slots.FD_SPORT, dport)
        cells.text(slots.FD_SPROTO, b"")
        if fd.has_role():
            cells.slice(slots.FD_SIP, address, len(fd.dip))
            cells.text(slots.FD_CPROTO, b"")
        return _PROTOCOLS.get(fd.l4proto, _NO_PROTOCOL)
    cells.number(slots.FD_IS_SERVER, 1 if is_local(fd.dip, local) else 0)
    source = cells.raw(slots.FD_IP_SOURCE, fd.sip)
    dest = cells.raw(slots.FD_IP_DEST, fd.dip)
    cells.number(slots.FD_PORT_SOURCE, sport)
    cells.number(slots.FD_PORT_DEST, dport)
    stext = decimal(sport)
    dtext = decimal(dport)
    sproto = cells.text(slots.FD_PROTO_SOURCE, stext)
    dproto = cells.text(slots.FD_PROTO_DEST, dtext)
    if not fd.has_role():
        return b"raw" if fd.l4proto == t.SCAP_L4_RAW else _NO_PROTOCOL
    cells.slice(slots.FD_CIP, source, len(fd.sip))
    cells.slice(slots.FD_SIP, dest, len(fd.dip))
    cells.number(slots.FD_CPORT, sport)
    cells.number(slots.FD_SPORT, dport)
    cells.slice(slots.FD_CPROTO, sproto, len(stext))
    cells.slice(slots.FD_SPROTO, dproto, len(dtext))
    if is_local(fd.sip, local):
        cells.slice(slots.FD_LIP, source, len(fd.sip))
        cells.slice(slots.FD_RIP, dest, len(fd.dip))
        cells.number(slots.FD_LPORT, sport)
        cells.number(slots.FD_RPORT, dport)
        cells.slice(slots.FD_LPROTO, sproto, len(stext))
        cells.slice(slots.FD_RPROTO, dproto, len(dtext))
    else:
        cells.slice(slots.FD_LIP, dest, len(fd.dip))
        cells.slice(slots.FD_RIP, source, len(fd.sip))
        cells.number(slots.FD_LPORT, dport)
        cells.number(slots.FD_RPORT, sport)
        cells.slice(slots.FD_LPROTO, dproto, len(dtext))
        cells.slice(slots.FD_RPROTO, sproto, len(stext))
    return _PROTOCOLS.get(fd.l4proto, _NO_PROTOCOL)
