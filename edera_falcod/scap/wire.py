"""Replies of a zone's kernel event stream, read straight from protobuf's wire format.

Of a MonitorZoneKernelEventReply (edera-control-protocol.md section 11) only what is needed is looked at: an event's time, thread,
CPU, code and raw parameters; a snapshot's threads are read one at a time by ``SnapshotReader``. The ``zone_id`` inside is not: a
zone is known by the stream it came on. ``string`` fields stay bytes, since a zone's text need not be UTF-8.

Semantics are protobuf's: unknown fields and known ones of another wire type are skipped, the last of several scalars counts,
repeated ones add up, the last member of a oneof counts and merges with a neighbour of the same kind.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import Final

from librt.strings import read_i32_le
from mypy_extensions import i64

from .errors import EMPTY, OLD_EVENT, TIMESTAMP, TOO_LONG, TOO_MANY_FIELDS, TOO_MANY_PARAMS, TRUNCATED, UNKNOWN_EVENT, VARINT, WireError
from .event import Event
from .protobuf import BYTES, MASK32, VARINT_TYPE, length, skip, tag
from .safetext import COMPILED
from .tables import EF_LARGE_PAYLOAD, EVENTS, PPM_EVENT_MAX
from .threads import SnapshotReader

__all__ = ["MAX_LARGE_PARAM", "MAX_PARAM", "MAX_PARAMS", "SnapshotReader", "parse_reply"]

MAX_PARAMS: Final = 32  # PPM_MAX_EVENT_PARAMS of the driver; more than the event table's number are cut off, newer zones may have more
MAX_PARAM: Final = 65_535  # bytes; the driver writes lengths with 16 bits
MAX_LARGE_PARAM: Final = 1 << 20  # bytes, where lengths have 32 bits (EF_LARGE_PAYLOAD: made by plugins and containers)
MAX_FIELDS: Final = 1024  # of a reply: there is one, and newer zones may have a few more
MAX_TIMESTAMP: Final = (1 << 63) - 1  # ns; the year 2262

_SIGN: Final[i64] = -(1 << 63)

# Four bytes as a number, of which two are tags and two numbers below 128: event_params (7), its length, param_name (1), its length; and
# param_type (2), its number, param_data (3), its length
_SHAPE: Final[i64] = 0x80FF80FF
_PARAM_HEAD: Final[i64] = 0x000A003A
_PARAM_TAIL: Final[i64] = 0x001A0010

# Number of parameters by event code, or that there is no such event, or that it is superseded
_NO_EVENT: Final = 255
_SUPERSEDED: Final = 254
_NPARAMS: Final = bytes([_NO_EVENT if info.unused else _SUPERSEDED if info.old else info.nparams for info in EVENTS])
_LARGE: Final[list[bool]] = [info.flags & EF_LARGE_PAYLOAD != 0 for info in EVENTS]


def parse_reply(buf: bytes, start: int, end: int) -> Event | SnapshotReader:
    """The event or the snapshot in ``buf[start:end]``, which is one reply without its gRPC prefix. Raises ``WireError``.

    A snapshot keeps ``buf`` and is checked while its threads are read.
    """
    if start < 0 or end < start or end > len(buf):
        raise WireError(TRUNCATED)
    if end - start > 3 and buf[start] == 0x12:
        # Nearly always one event, and nothing else
        size = buf[start + 1]
        i = start + 2
        if size >= 0x80:
            size = size & 0x7F | buf[i] << 7 if buf[i] < 0x80 else 0
            i += 1
        if i + size == end:
            event = None if COMPILED else _usual(buf, i, end)
            return event if event is not None else _event(buf, i, end)
    member = 0
    first = 0
    last = 0
    fields = 0
    parts: list[bytes] | None = None  # a member that came in pieces
    i = start
    while i < end:
        field, i = tag(buf, i, end)
        fields += 1
        if fields > MAX_FIELDS:
            raise WireError(TOO_MANY_FIELDS)
        if field == 0x12 or field == 0x1A:  # 2 syscall, 3 threadsnap
            size, i = length(buf, i, end)
            if field != member:
                member = field
                parts = None
            elif parts is None:
                parts = [buf[first:last], buf[i : i + size]]
            else:
                parts.append(buf[i : i + size])
            first = i
            i += size
            last = i
        else:
            i = skip(buf, i, end, field)
    if member == 0:
        raise WireError(EMPTY)
    if parts is not None:
        buf = b"".join(parts)
        first = 0
        last = len(buf)
    return _event(buf, first, last) if member == 0x12 else SnapshotReader(buf, first, last)


def _event(buf: bytes, start: i64, end: i64) -> Event:
    """ZoneKernelSyscallEvent. Tags, lengths and numbers of one byte, which nearly all are, are read in place: a call costs more than they
    do. A parameter that consists of a name, a type and short data is known by four bytes at its start and four before its data."""
    i = start
    ts: i64 = 0
    tid: i64 = 0
    code: i64 = 0
    cpu: i64 = 0
    longest: i64 = 0
    params: list[bytes] = []
    while i < end:
        if end - i > 8:
            word = i64(read_i32_le(buf, i))
            if word & _SHAPE == _PARAM_HEAD and len(params) < MAX_PARAMS:
                stop = i + 2 + (word >> 8 & 0x7F)
                at = i + 4 + (word >> 24 & 0x7F)
                if at + 4 <= stop and stop <= end:
                    word = i64(read_i32_le(buf, at))
                    if word & _SHAPE == _PARAM_TAIL and at + 4 + (word >> 24 & 0x7F) == stop:
                        params.append(buf[at + 4 : stop])
                        i = stop
                        continue
        field: i64 = buf[i]
        i += 1
        if field >= 0x80 or field < 8:
            found, after = tag(buf, i - 1, end)
            field = found
            i = after
        if field & 7 == BYTES:
            if i >= end:
                raise WireError(TRUNCATED)
            size: i64 = buf[i]
            i += 1
            if size >= 0x80:
                size, i = _varint(buf, i - 1, end)
            if size < 0 or size > end - i:
                raise WireError(TRUNCATED)
            if field == 0x3A:  # 7 event_params
                if len(params) >= MAX_PARAMS:
                    raise WireError(TOO_MANY_PARAMS)
                data = _param(buf, i, i + size)
                params.append(data)
                given: i64 = len(data)
                if given > longest:
                    longest = given
            i += size
        elif field & 7 == VARINT_TYPE:
            number: i64 = 0x80
            if i < end:
                number = buf[i]
            if number < 0x80:
                i += 1
            else:
                number, i = _varint(buf, i, end)
            if field == 0x10:  # 2 timestamp
                ts = number
            elif field == 0x18:  # 3 thread_id
                tid = number
            elif field == 0x48:  # 9 event_type
                code = number
            elif field == 0x50:  # 10 cpuid
                cpu = number
        else:
            i = skip(buf, i, end, field)

    code &= MASK32
    known: i64 = _NO_EVENT
    if code < PPM_EVENT_MAX:
        known = _NPARAMS[code]
    if known >= _SUPERSEDED:
        raise WireError(UNKNOWN_EVENT if known == _NO_EVENT else OLD_EVENT)
    if longest > MAX_PARAM and (longest > MAX_LARGE_PARAM or not _LARGE[code]):
        raise WireError(TOO_LONG)
    if ts < 0:  # beyond MAX_TIMESTAMP
        raise WireError(TIMESTAMP)
    if len(params) > known:
        del params[known:]
    return Event(ts, tid, cpu & MASK32, code, params)


def _varint(buf: bytes, i: i64, end: i64) -> tuple[i64, i64]:
    """As ``protobuf.varint``, in native integers: a number of 64 bits as two's complement, and where it ends."""
    value: i64 = 0
    shift: i64 = 0
    while i < end:
        byte: i64 = buf[i]
        i += 1
        if shift == 63:  # of the tenth byte one bit is left
            if byte >= 0x80:
                raise WireError(VARINT)
            if byte & 1 != 0:
                value |= _SIGN
            return value, i
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, i
        shift += 7
    raise WireError(TRUNCATED)


def _param(buf: bytes, start: i64, end: i64) -> bytes:
    """ZoneKernelEventParam: its param_data."""
    data = b""
    i = start
    while i < end:
        field: i64 = buf[i]
        i += 1
        if field >= 0x80 or field < 8:
            found, after = tag(buf, i - 1, end)
            field = found
            i = after
        if field & 7 == BYTES:
            if i >= end:
                raise WireError(TRUNCATED)
            size: i64 = buf[i]
            i += 1
            if size >= 0x80:
                size, i = _varint(buf, i - 1, end)
            if size < 0 or size > end - i:
                raise WireError(TRUNCATED)
            if field == 0x1A:  # 3 param_data
                data = buf[i : i + size]
            i += size
        elif field == 0x10 and i < end and buf[i] < 0x80:  # 2 param_type, not needed
            i += 1
        else:
            i = skip(buf, i, end, field)
    return data


# Interpreted, each byte that is looked at costs as much as a whole parameter does compiled. So an event that is written as Edera's daemon
# writes it (fields in the order of their numbers, none twice) is read in strides, and what repeats (small parameters, the type with the
# CPU, the upper part of the time, often all that is behind the thread) is known by its bytes. Whatever is different in the least is left
# to ``_event``.

LONGEST_REST: Final = 256  # bytes of an event from event_length on that are remembered, without the CPU: most have fewer
MAX_RESTS: Final = 8192  # of these: 4 MB
LONGEST_PART: Final = 64  # bytes of a ZoneKernelEventParam that is remembered: name, type and what is not a long text
MAX_PARTS: Final = 8192  # of these: 2 MB
MAX_TAILS: Final = 4096  # event types times CPUs, as many as there are in zones of usual size
LONGEST_TAIL: Final = 16  # bytes: three fields of at most 5
MAX_TOPS: Final = 64  # the upper part of the time changes every 0.27 s; clocks of zones may differ
_CONTINUED: Final = 0x80808080
_START: Final = Struct("<BI5sBB")  # timestamp and thread_id: a tag, the time's lower and upper part, another tag, and a byte

_rests: Final[dict[bytes, tuple[int, list[bytes]]]] = {}  # code and parameters, which all events of these bytes share
_parts: Final[dict[bytes, bytes]] = {}
_tails: Final[dict[bytes, tuple[int, int, int]]] = {}
_tops: Final[dict[bytes, int]] = {}


def _usual(buf: bytes, at: int, end: int) -> Event | None:
    """The event, if it is written in the usual way; all that ``_event`` refuses is not."""
    try:
        size = buf[at + 1]
        if buf[at] != 0x0A or size >= 0x80:  # 1 zone_id
            return None
        at += 2 + size
        field, low, top, next_field, tid = _START.unpack_from(buf, at)
        # 2 timestamp, in the 9 bytes that it has since 1972, and 3 thread_id
        if field != 0x10 or low & _CONTINUED != _CONTINUED or next_field != 0x18:
            return None
        ts = _tops.get(top, -1)
        if ts < 0:
            ts = _top(top)
        ts |= low & 0x7F | low >> 1 & 0x3F80 | low >> 2 & 0x1FC000 | low >> 3 & 0xFE00000
        at += 12
        if tid >= 0x80:
            tid = tid & 0x7F | buf[at] << 7
            at += 1
            if tid >= 0x4000:
                tid = tid & 0x3FFF | buf[at] << 14
                at += 1
                if tid >= 0x200000:
                    return None
        # Last is 10 cpuid, unless it is 0. What is before it is complete without it, if it was once: then these two bytes are a field.
        last = buf[end - 1]
        if buf[end - 2] == 0x50 and last < 0x80:
            rest = buf[at : end - 2]
        else:
            rest = buf[at:end]
            last = 0
        again = _rests.get(rest)
        if again is not None:
            return Event(ts, tid, last, again[0], again[1])
        if buf[at] == 0x20:  # 4 event_length, not needed
            at += 2 if buf[at + 1] < 0x80 else 3
            if buf[at - 1] >= 0x80:
                return None
        if buf[at] == 0x2A:  # 5 event_name, not needed
            size = buf[at + 1]
            if size >= 0x80:
                return None
            at += 2 + size
        if buf[at] == 0x32:  # 6 event_category, not needed
            size = buf[at + 1]
            if size >= 0x80:
                return None
            at += 2 + size
        params: list[bytes] = []
        while buf[at] == 0x3A:  # 7 event_params
            size = buf[at + 1]
            at += 2
            if size >= 0x80:
                if buf[at] >= 0x80:
                    return None
                size = size & 0x7F | buf[at] << 7
                at += 1
            part = buf[at : at + size]
            data = _parts.get(part)
            if data is None:
                data = _part(part)
            params.append(data)
            at += size
        tail = buf[at:end]  # empty, which is never known, if a field went beyond the end
        known = _tails.get(tail)
        if known is None:
            known = _tail(tail)
    except (IndexError, StructError, WireError):
        return None
    code, cpu, count = known
    if len(params) > count:
        if len(params) > MAX_PARAMS:
            return None
        del params[count:]
    if len(rest) <= LONGEST_REST and cpu == last:
        if len(_rests) >= MAX_RESTS:
            _rests.clear()
        _rests[rest] = code, params
    return Event(ts, tid, cpu, code, params)


def _top(data: bytes) -> int:
    """Bits 28 to 62 of a timestamp; raises WireError if it does not end with ``data``."""
    value, after = _varint(data, 0, len(data))
    if after != 5:
        raise WireError(VARINT)
    if len(_tops) >= MAX_TOPS:
        _tops.clear()
    top = _tops[data] = value << 28
    return top


def _part(data: bytes) -> bytes:
    """What ``_param`` says of a parameter; remembered if it is short."""
    found = _param(data, 0, len(data))
    if len(data) <= LONGEST_PART:
        if len(_parts) >= MAX_PARTS:
            _parts.clear()
        _parts[data] = found
    return found


def _tail(data: bytes) -> tuple[int, int, int]:
    """Code, CPU and number of parameters of the type, where an event ends with ``data``: 8 event_flags, 9 event_type and 10 cpuid, each of
    which may be missing. Raises WireError if that is not all that there is."""
    found = [0, 0, 0]
    at = 0
    end = len(data)
    for place, field in enumerate((0x40, 0x48, 0x50)):
        if at < end and data[at] == field:
            found[place], at = _varint(data, at + 1, end)
    code = found[1]
    if at != end or end > LONGEST_TAIL or not 0 <= code < PPM_EVENT_MAX or _NPARAMS[code] >= _SUPERSEDED:
        raise WireError(UNKNOWN_EVENT)
    if len(_tails) >= MAX_TAILS:
        _tails.clear()
    known = _tails[data] = (code, found[2] & MASK32, _NPARAMS[code])
    return known
