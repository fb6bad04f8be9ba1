"""Zones' lines of a status in protobuf's wire format, written straight.

betterproto takes more than a millisecond for one, and while it is at it no zone is read: a daemon with a thousand zones would stand
still for seconds. tests/ops/test_encode.py holds what is written here against betterproto's.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from .proto.ctl import ZoneStatus

Count = tuple[str, str, int]  # name, cause, value of a Counter

_SMALL: Final = [bytes([value]) for value in range(0x80)]


def varint(value: int) -> bytes:
    """A number of at most 64 bits, not negative."""
    if value < 0x80:
        return _SMALL[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""


def text(field: int, value: str) -> bytes:
    data = value.encode()
    return varint(field << 3 | 2) + varint(len(data)) + data if data else b""


@cache
def _names(name: str, cause: str) -> bytes:
    """Names and causes are words of ours, and few."""
    return text(1, name) + text(2, cause)


def counter(field: int, count: Count) -> bytes:
    """A Counter as the field of a message."""
    data = _names(count[0], count[1]) + number(3, count[2])
    return varint(field << 3 | 2) + varint(len(data)) + data


class EncodedZone(ZoneStatus):
    """A zone's line as its bytes: good for being sent, and for nothing else."""

    def __init__(self, data: bytes) -> None:
        object.__setattr__(self, "_encoded", data)

    def __bytes__(self) -> bytes:
        data: bytes = object.__getattribute__(self, "_encoded")
        return data


def zone(
    *, id: str, name: str, state: str, reason: str, since: int, domid: int, threads: int, fds: int, tainted: bool, last_event_ts: int,
    clock_skew: int, counters: list[Count],
) -> EncodedZone:  # fmt: skip
    """As ZoneStatus with the same arguments."""
    return EncodedZone(
        b"".join(
            [
                text(1, id), text(2, name), text(3, state), text(4, reason), number(5, since), number(6, domid), number(7, threads),
                number(8, fds), number(9, int(tainted)), *[counter(10, count) for count in counters], number(11, last_event_ts),
                number(12, clock_skew * 2 if clock_skew >= 0 else -clock_skew * 2 - 1),  # zigzag
            ]
        )
    )  # fmt: skip
