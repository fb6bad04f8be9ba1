"""Reading protobuf's wire format: varints, lengths, fields to be skipped.

Everything takes ``0 <= i <= end <= len(buf)`` and either moves forward within ``end`` or raises ``WireError``. As in Google's
reader, a varint has at most 10 bytes, of which bits beyond the 64th are dropped; a tag has at most 5 bytes and 32 bits.
"""

from __future__ import annotations

from typing import Final

from .errors import TAG, TRUNCATED, VARINT, WIRE_TYPE, WireError

VARINT_TYPE: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
GROUP: Final = 3
END_GROUP: Final = 4
FIXED32: Final = 5

MAX_DEPTH: Final = 100  # nested groups in a field that nobody knows; Google's limit
MASK32: Final = 0xFFFF_FFFF
MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF


def varint(buf: bytes, i: int, end: int) -> tuple[int, int]:
    """An unsigned 64 bit number and where it ends."""
    if i >= end:
        raise WireError(TRUNCATED)
    value = buf[i]
    i += 1
    if value < 0x80:
        return value, i
    value &= 0x7F
    shift = 7
    while i < end:
        byte = buf[i]
        i += 1
        if byte < 0x80:
            value |= byte << shift
            if shift == 63:
                value &= MASK64
            return value, i
        if shift == 63:
            raise WireError(VARINT)
        value |= (byte & 0x7F) << shift
        shift += 7
    raise WireError(TRUNCATED)


def tag(buf: bytes, i: int, end: int) -> tuple[int, int]:
    """A field's tag (number and wire type) and where it ends."""
    limit = i + 5
    value, i = varint(buf, i, end)
    if i > limit or value > MASK32 or value < 8:
        raise WireError(TAG)
    return value, i


def length(buf: bytes, i: int, end: int) -> tuple[int, int]:
    """The length of what follows, which lies within ``end``, and where it begins."""
    size, i = varint(buf, i, end)
    if size > end - i:
        raise WireError(TRUNCATED)
    return size, i


def signed(value: int) -> int:
    """A 64 bit number as two's complement."""
    return value - (1 << 64) if value >> 63 else value


def signed32(value: int) -> int:
    """An enum's number: the low 32 bits as two's complement."""
    value &= MASK32
    return value - (1 << 32) if value >> 31 else value


def skip(buf: bytes, i: int, end: int, field: int) -> int:
    """Where the value ends that begins at ``i``; ``field`` is its tag."""
    kind = field & 7
    if kind == VARINT_TYPE:
        return varint(buf, i, end)[1]
    if kind == BYTES:
        size, i = length(buf, i, end)
        return i + size
    if kind == GROUP:
        return _skip_group(buf, i, end, field)
    if kind == FIXED32:
        i += 4
    elif kind == FIXED64:
        i += 8
    else:
        raise WireError(WIRE_TYPE)
    if i > end:
        raise WireError(TRUNCATED)
    return i


def _skip_group(buf: bytes, i: int, end: int, field: int) -> int:
    """Past the end of a group (a form that proto3 no longer writes but that readers have to know)."""
    opened = [field]
    while opened:
        field, i = tag(buf, i, end)
        kind = field & 7
        if kind == GROUP:
            if len(opened) >= MAX_DEPTH:
                raise WireError(WIRE_TYPE)
            opened.append(field)
        elif kind == END_GROUP:
            if field >> 3 != opened.pop() >> 3:
                raise WireError(WIRE_TYPE)
        else:
            i = skip(buf, i, end, field)
    return i
