"""Replies of a zone's kernel event stream, read straight from protobuf's wire format.

Of a MonitorZoneKernelEventReply (edera-control-protocol.md section 11) only what is needed is looked at: an event's time, thread,
CPU, code and raw parameters; a snapshot's threads are read one at a time by ``SnapshotReader``. The ``zone_id`` inside is not: a
zone is known by the stream it came on. ``string`` fields stay bytes, since a zone's text need not be UTF-8.

Semantics are protobuf's: unknown fields and known ones of another wire type are skipped, the last of several scalars counts,
repeated ones add up, the last member of a oneof counts and merges with a neighbour of the same kind.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from .errors import EMPTY, OLD_EVENT, TIMESTAMP, TOO_LONG, TOO_MANY_FIELDS, TOO_MANY_PARAMS, TRUNCATED, UNKNOWN_EVENT, WireError
from .event import Event
from .protobuf import BYTES, MASK32, VARINT_TYPE, length, signed, skip, tag, varint
from .tables import EF_LARGE_PAYLOAD, EVENTS, PPM_EVENT_MAX
from .threads import SnapshotReader

__all__ = ["MAX_LARGE_PARAM", "MAX_PARAM", "MAX_PARAMS", "SnapshotReader", "parse_reply"]

MAX_PARAMS: Final = 32  # PPM_MAX_EVENT_PARAMS of the driver; more than the event table's number are cut off, newer zones may have more
MAX_PARAM: Final = 65_535  # bytes; the driver writes lengths with 16 bits
MAX_LARGE_PARAM: Final = 1 << 20  # bytes, where lengths have 32 bits (EF_LARGE_PAYLOAD: made by plugins and containers)
MAX_FIELDS: Final = 1024  # of a reply: there is one, and newer zones may have a few more
MAX_TIMESTAMP: Final = (1 << 63) - 1  # ns; the year 2262

# Number of parameters by event code; -1: no such event, -2: superseded
_NPARAMS: Final[list[int]] = [-1 if info.unused else -2 if info.old else info.nparams for info in EVENTS]
_LARGE: Final[list[bool]] = [info.flags & EF_LARGE_PAYLOAD != 0 for info in EVENTS]


def parse_reply(buf: bytes, start: int, end: int) -> Event | SnapshotReader:
    """The event or the snapshot in ``buf[start:end]``, which is one reply without its gRPC prefix. Raises ``WireError``.

    A snapshot keeps ``buf`` and is checked while its threads are read.
    """
    if start < 0 or end < start or end > len(buf):
        raise WireError(TRUNCATED)
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
    """ZoneKernelSyscallEvent. Tags and lengths of one byte, which nearly all are, are read in place: a call costs more than they do."""
    i = start
    ts = 0
    tid = 0
    code = 0
    cpu = 0
    longest = 0
    params: list[bytes] = []
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
                number, after = length(buf, i - 1, end)  # which may have 64 bits, and has fewer when it has been checked
                size = number
                i = after
            if size > end - i:
                raise WireError(TRUNCATED)
            if field == 0x3A:  # 7 event_params
                if len(params) >= MAX_PARAMS:
                    raise WireError(TOO_MANY_PARAMS)
                data = _param(buf, i, i + size)
                if len(data) > longest:
                    longest = len(data)
                params.append(data)
            i += size
        elif field == 0x10:  # 2 timestamp
            ts, after = varint(buf, i, end)
            i = after
        elif field & 7 == VARINT_TYPE:
            if i < end and buf[i] < 0x80:
                number = buf[i]
                i += 1
            else:
                number, after = varint(buf, i, end)
                i = after
            if field == 0x18:  # 3 thread_id
                tid = number
            elif field == 0x48:  # 9 event_type
                code = number
            elif field == 0x50:  # 10 cpuid
                cpu = number
        else:
            i = skip(buf, i, end, field)

    code &= MASK32
    known = _NPARAMS[code] if code < PPM_EVENT_MAX else -1
    if known < 0:
        raise WireError(UNKNOWN_EVENT if known == -1 else OLD_EVENT)
    if longest > MAX_PARAM and (longest > MAX_LARGE_PARAM or not _LARGE[code]):
        raise WireError(TOO_LONG)
    if ts > MAX_TIMESTAMP:
        raise WireError(TIMESTAMP)
    if len(params) > known:
        del params[known:]
    return Event(ts, signed(tid), cpu & MASK32, code, params)


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
                number, after = length(buf, i - 1, end)  # which may have 64 bits, and has fewer when it has been checked
                size = number
                i = after
            if size > end - i:
                raise WireError(TRUNCATED)
            if field == 0x1A:  # 3 param_data
                data = buf[i : i + size]
            i += size
        elif field == 0x10 and i < end and buf[i] < 0x80:  # 2 param_type, not needed
            i += 1
        else:
            i = skip(buf, i, end, field)
    return data
