"""IP addresses between text, as Edera's messages have them, and bytes in network order, as everything else here has them."""

from __future__ import annotations

import ipaddress
from typing import Final

_LONGEST: Final = 64  # an IPv6 address with an embedded IPv4 address has 45 characters, a scope may follow
_MAPPED: Final = bytes(10) + b"\xff\xff"


def parse_address(text: bytes, width: int) -> bytes:
    """The ``width`` (4 or 16) bytes of an address, ``b""`` if ``text`` is none. An IPv4 address where an IPv6 one belongs is
    taken as IPv4-mapped, and the other way round."""
    if len(text) > _LONGEST:
        return b""
    if width == 4:  # nearly always the plain form, a tenth of the time
        packed = _dotted(text)
        if packed:
            return packed
    try:
        packed = ipaddress.ip_address(text.decode("ascii")).packed
    except ValueError:
        return b""
    if len(packed) == width:
        return packed
    if width == 16:
        return _MAPPED + packed
    return packed[12:] if packed[:12] == _MAPPED else b""


def _dotted(text: bytes) -> bytes:
    """``1.2.3.4`` as 4 bytes, ``b""`` for anything else."""
    parts = text.split(b".")
    if len(parts) != 4:
        return b""
    numbers: list[int] = []
    for part in parts:
        if not 0 < len(part) <= 3 or not part.isdigit() or (len(part) > 1 and part[0] == 48):
            return b""
        number = int(part)
        if number > 255:
            return b""
        numbers.append(number)
    return bytes(numbers)


def format_address(packed: bytes) -> str:
    """The usual text of 4 or 16 bytes, IPv4-mapped ones as ``::ffff:1.2.3.4``. Raises ``ValueError`` for other lengths."""
    if len(packed) == 16 and packed[:12] == _MAPPED:
        return "::ffff:" + str(ipaddress.IPv4Address(packed[12:]))
    return str(ipaddress.ip_address(packed))
