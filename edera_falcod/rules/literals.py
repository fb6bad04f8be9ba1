"""Values of comparisons: what libsinsp reads in them for its own field, and how they are written for the plugin's field of that name.

libsinsp parses a value by its field's type (value_parser.cpp). A plugin field has fewer types: numbers are unsigned and of 64 bits, or
text where they may be negative, and a port is a number without the names of services. A value that a field's type cannot hold keeps
Falco from loading the whole file, so it is found here.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import cache
from typing import Final

from ..fields.spec import Field, Type
from ..scap import tables as t

NUMBER: Final = re.compile(r"\s*([+-]?[0-9]+)")

PORTS: Final = frozenset("fd.cport fd.sport fd.lport fd.rport fd.port fd.port.source fd.port.dest fd.proto".split())
# Numbers of 64 bits with a sign in libsinsp that never are below zero, served as unsigned ones
NEVER_NEGATIVE: Final = frozenset(
    """proc.loginshellid proc.ppid proc.apid proc.apids proc.vpid proc.exe_ino proc.fdlimit thread.tid thread.vtid fd.ino fd.dev
    fd.dev.major fd.dev.minor evt.cpu proc.fdusage thread.cpu thread.cpu.user thread.cpu.system""".split()
)
# Unsigned numbers of 32 bits in libsinsp: -1 is 4294967295
WORDS: Final = frozenset("user.uid group.gid proc.tty".split())
# Fractions in libsinsp, served as the whole number below
FRACTIONS: Final = frozenset("proc.fdusage thread.cpu thread.cpu.user thread.cpu.system".split())

_BITS: Final = {
    t.PT_INT8: 8, t.PT_UINT8: 8, t.PT_FLAGS8: 8, t.PT_ENUMFLAGS8: 8, t.PT_SIGTYPE: 8, t.PT_L4PROTO: 8, t.PT_INT16: 16, t.PT_UINT16: 16,
    t.PT_FLAGS16: 16, t.PT_ENUMFLAGS16: 16, t.PT_SYSCALLID: 16, t.PT_PORT: 16, t.PT_INT32: 32, t.PT_UINT32: 32, t.PT_FLAGS32: 32,
    t.PT_ENUMFLAGS32: 32, t.PT_MODE: 32, t.PT_UID: 32, t.PT_GID: 32, t.PT_FD32: 32, t.PT_PID32: 32, t.PT_BOOL: 32,
}  # fmt: skip


class Unsupported(Exception):
    """A comparison that no plugin field can express; the text is the reason."""


def is_signed(field: Field, known: frozenset[str]) -> bool:
    """Whether the field is a number served as text because it may be negative. ``known``: the names of all fields."""
    return field.type is Type.SIGNED or (field.type is Type.STRING and f"{field.name}.unsigned" in known)


@cache
def _bits_of(name: str) -> int:
    """How many bits libsinsp gives a field that is an unsigned number."""
    if name in WORDS:
        return 32
    if not name.startswith("evt.rawarg."):
        return 64
    raw = name.removeprefix("evt.rawarg.").encode()
    return max([_BITS.get(param.type, 64) for event in t.EVENTS for param in event.params if param.name == raw], default=64)


def port(value: str) -> str:
    """A port's number. A service is looked up in this machine's list, as libsinsp does in that of the machine it runs on."""
    if value.isascii() and value.isdigit():
        return str(int(value) % 65536)
    try:
        return str(socket.getservbyname(value))
    except (OSError, ValueError):
        raise Unsupported(f"{value!r} is neither a port nor a service that this machine knows") from None


def written(field: Field, signed: bool, value: str) -> str:
    """The value as the plugin's field needs it; the very same text where it may stay. Raises Unsupported."""
    name = field.name
    if name in PORTS:
        number = port(value)
        return value if value.isascii() and value.isdigit() and int(value) == int(number) else number
    match field.type:
        case Type.BOOL:
            if value not in ("true", "false"):
                raise Unsupported(f"{name} is true or false, not {value!r}")
        case Type.IPADDR:
            _address(name, value)
        case Type.IPNET:
            _net(name, value)
        case Type.UINT64 | Type.RELTIME | Type.ABSTIME:
            number = _number(name, value)
            if (int(number) < 0 and name not in NEVER_NEGATIVE) or int(number) >> 64 > 0:
                return str(int(number) % (1 << _bits_of(name)))
        case _ if signed:
            number = _number(name, value)
            return value if value == number else number
    return value


def _number(name: str, value: str) -> str:
    found = NUMBER.fullmatch(value)
    if found is None:
        raise Unsupported(f"{name} is a number, not {value!r}")
    return str(int(found[1]))


def _address(name: str, value: str) -> None:
    try:
        ipaddress.IPv4Address(value) if "." in value else ipaddress.IPv6Address(value)
    except ValueError:
        raise Unsupported(f"{name} is an address, not {value!r}") from None


def _net(name: str, value: str) -> None:
    address, _, length = value.partition("/")
    try:
        if not length.isdigit():
            raise ValueError
        ipaddress.IPv4Network(value, strict=False) if "." in address else ipaddress.IPv6Network(value, strict=False)
    except ValueError:
        raise Unsupported(f"{name} is compared with networks such as 10.0.0.0/8, not {value!r}") from None
