"""Replies without what may be secret in them: arguments, environments, what was read and written.

Texts are overwritten where they stand, so that lengths, the number of arguments and the names of variables stay: a reply that was
redacted reads as before. Fields that are not known are emptied, since a newer zone may hold anything in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

from .errors import EMPTY, WIRE_TYPE, WireError
from .protobuf import BYTES, length, skip, tag, varint
from .tables import EVENTS, PT_BYTEBUF, PT_DYN

ARGUMENTS: Final = 1
ENVIRONMENT: Final = 2
BUFFERS: Final = 4
ALL: Final = ARGUMENTS | ENVIRONMENT | BUFFERS
NAMES: Final[dict[int, str]] = {ARGUMENTS: "arguments", ENVIRONMENT: "environment", BUFFERS: "buffers"}

FILL: Final = b"x"
EQUALS: Final = b"="
# Texts of one environment whose names are kept; those behind them are overwritten whole. Programs have some dozens of variables; a zone may
# send millions, and looking for each one's name would take seconds.
MAX_NAMES: Final = 4096
_FILLED: Final = b"\0" + FILL * 255  # each byte but 0 is overwritten

_VARIANT: Final = 8  # the first byte says what follows, and stays
_PARAM_LAST: Final = 5  # the highest field of ZoneKernelEventParam, ZoneKernelSyscallEvent, and ZoneKernelThreadInfo that is known
_EVENT_LAST: Final = 10
_THREAD_LAST: Final = 45


def _kind(name: bytes, type_: int) -> int:
    if name == b"args":
        return ARGUMENTS
    if name == b"env":
        return ENVIRONMENT
    if name != b"data":
        return 0
    return BUFFERS if type_ == PT_BYTEBUF else BUFFERS | _VARIANT if type_ == PT_DYN else 0


# By event code and parameter: what it is
_SECRETS: Final[list[list[int]]] = [[_kind(param.name, param.type) for param in info.params] for info in EVENTS]


def redact(reply: bytes, what: int) -> bytes:
    """The reply without ``what`` (bits of the constants above). Raises WireError for one that cannot be read: whoever cannot be sure
    of what is in it must not pass it on."""
    if what == 0:
        return reply
    redaction = Redaction(reply, what)
    redaction.step(len(reply))  # more than it has threads
    return redaction.result()


@final
class Redaction:
    """A reply that is redacted in slices, for a snapshot may be large: ``step`` until it is done, then ``result``."""

    __slots__ = ("_at", "_end", "_out", "_reply", "_what")

    def __init__(self, reply: bytes, what: int) -> None:
        """Raises WireError, as ``redact``."""
        self._reply = reply
        self._what = what
        member = 0
        first = 0
        last = 0
        i = 0
        end = len(reply)
        while i < end:
            field, i = tag(reply, i, end)
            if field == 0x12 or field == 0x1A:  # 2 syscall, 3 threadsnap
                if member != 0:
                    raise WireError(WIRE_TYPE)  # in pieces, as no zone sends it
                size, i = length(reply, i, end)
                member = field
                first = i
                i += size
                last = i
            elif field & 7 == BYTES and field >> 3 != 1:
                raise WireError(WIRE_TYPE)
            else:
                i = skip(reply, i, end, field)
        if member == 0:
            raise WireError(EMPTY)
        self._out = bytearray(reply)
        self._at = first
        self._end = last
        if member == 0x12:
            _event(reply, self._out, first, last, what)
            self._at = last

    def step(self, count: int) -> bool:
        """Go on with at most ``count`` threads of a snapshot. True: all is done. Raises WireError."""
        buf = self._reply
        i = self._at
        end = self._end
        while i < end and count > 0:
            field, i = tag(buf, i, end)
            if field & 7 == BYTES:
                size, i = length(buf, i, end)
                if field == 0x0A:  # 1 thread_info, an entry of the map
                    _entry(buf, self._out, i, i + size, self._what)
                elif field >> 3 > 3:
                    _empty(self._out, i, i + size)
                i += size
            else:
                i = skip(buf, i, end, field)
            count -= 1
        self._at = i
        return i >= end

    def result(self) -> bytes:
        return bytes(self._out)


def _event(buf: bytes, out: bytearray, i: int, end: int, what: int) -> None:
    """ZoneKernelSyscallEvent: what its parameters mean, its code says, which may stand behind them."""
    code = -1
    starts: list[int] = []
    ends: list[int] = []
    while i < end:
        field, i = tag(buf, i, end)
        if field & 7 == BYTES:
            size, i = length(buf, i, end)
            if field == 0x3A:  # 7 event_params
                starts.append(i)
                ends.append(i + size)
            elif field >> 3 > _EVENT_LAST:
                _empty(out, i, i + size)
            i += size
        elif field == 0x48:  # 9 event_type
            code, i = varint(buf, i, end)
            code &= 0xFFFF_FFFF
        else:
            i = skip(buf, i, end, field)
    known = code >= 0 and code < len(_SECRETS)
    for index in range(len(starts)):
        if not known:
            kind = ALL
        else:
            kinds = _SECRETS[code]
            kind = kinds[index] if index < len(kinds) else ALL
        _param(buf, out, starts[index], ends[index], kind if kind & what else 0)


def _members(buf: bytes, i: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message that have a length: the tag, and where the value begins and ends. Others hold numbers, and stay."""
    while i < end:
        field, i = tag(buf, i, end)
        if field & 7 == BYTES:
            size, i = length(buf, i, end)
            yield field, i, i + size
            i += size
        else:
            i = skip(buf, i, end, field)


def _param(buf: bytes, out: bytearray, i: int, end: int, kind: int) -> None:
    """ZoneKernelEventParam: its data, and the text that a zone may have made of it."""
    for field, start, stop in _members(buf, i, end):
        number = field >> 3
        if number > _PARAM_LAST:
            _empty(out, start, stop)
        elif kind & BUFFERS and number == 3:  # param_data
            _overwrite(out, start + 1 if kind & _VARIANT else start, stop)
        elif kind and number == 3:
            _texts(out, start, stop, kind == ENVIRONMENT)
        elif kind and number == 4:  # param_pretty
            _overwrite(out, start, stop)


def _entry(buf: bytes, out: bytearray, i: int, end: int, what: int) -> None:
    for field, start, stop in _members(buf, i, end):
        if field == 0x12:
            _thread(buf, out, start, stop, what)
        else:
            _empty(out, start, stop)


def _thread(buf: bytes, out: bytearray, i: int, end: int, what: int) -> None:
    """ZoneKernelThreadInfo."""
    for field, start, stop in _members(buf, i, end):
        number = field >> 3
        if number == 14 and what & ARGUMENTS:
            _texts(out, start, stop, False)
        elif number == 15 and what & ENVIRONMENT:
            _texts(out, start, stop, True)
        elif number > _THREAD_LAST:
            _empty(out, start, stop)


def _texts(out: bytearray, i: int, end: int, names: bool) -> None:
    """Overwrite texts that end with a zero byte each; ``names``: what stands before their first = stays, if there is one."""
    left = MAX_NAMES if names else 0
    while i < end and left > 0:
        stop = out.find(0, i, end)
        if stop < 0:
            stop = end
        equals = out.find(EQUALS, i, stop)
        if equals >= 0:
            i = equals + 1
        _overwrite(out, i, stop)
        i = stop + 1
        left -= 1
    if i < end:
        out[i:end] = out[i:end].translate(_FILLED)


def _overwrite(out: bytearray, i: int, end: int) -> None:
    out[i:end] = FILL * (end - i)


def _empty(out: bytearray, i: int, end: int) -> None:
    out[i:end] = bytes(end - i)
