"""Frames of the consumer protocol (docs/protocol.md): bytes in, frames out, and the reverse. No I/O.

Both sides use this module, so each `decode_*` treats its input as hostile: a length is checked against what is there before
anything is read, and the only exception is `FrameError`, whose text names what was wrong and never repeats the peer's bytes raw.
"""

from __future__ import annotations

import struct
from typing import Final, final

MAJOR: Final = 1
MINOR: Final = 0

MAX_FRAME: Final = 4 << 20  # payload bytes, either direction: docs/protocol.md
MAX_REQUEST: Final = 160 << 10  # payload bytes from a consumer: a HELLO that mirrors every possible u16 code takes 131 kB
MAX_NAME: Final = 64  # bytes of a consumer's name: it becomes a metric label and a log field
MAX_TEXT: Final = 1024  # bytes of any other text: versions and reasons are short
MAX_CODES: Final = 0x10000  # ppm_sc codes are u16
NOT_MIRRORED: Final = 0xFFFF_FFFF

HELLO: Final = 1
WELCOME: Final = 2
REFUSED: Final = 3
BATCH: Final = 4
ACK: Final = 5
SYSCALLS: Final = 6
PING: Final = 7
SHED: Final = 8

HELLO_EPHEMERAL: Final = 1  # flag: begin with what comes next, and forget the consumer when it goes
BATCH_REDELIVERED: Final = 1  # flag: the consumer may have seen these before

VERSION: Final = 1
REGISTRY: Final = 2
BUSY: Final = 3
DENIED: Final = 4
LIMIT: Final = 5
CODES: Final = {VERSION: "VERSION", REGISTRY: "REGISTRY", BUSY: "BUSY", DENIED: "DENIED", LIMIT: "LIMIT"}

DEFINE: Final = 1
RELEASE: Final = 2
EVENT: Final = 3
KIND_SHIFT: Final = 28
MAX_BODY: Final = (1 << KIND_SHIFT) - 1

MAGIC: Final = b"EDFC"
HEADER: Final = struct.Struct("<IBBH")
HEADER_SIZE: Final = 8
WORD: Final = struct.Struct("<I")
DEFINE_HEAD: Final = struct.Struct("<IQB")  # item word, block id, block kind
EVENT_HEAD: Final = struct.Struct("<QQqQQQQQQ")  # seq, ts, tid, then the ids of ETYPE, ZONE, THREAD, FD, FILES, WORKLOAD
EVENT_HEAD_SIZE: Final = 72
SEQ_SIZE: Final = 8  # bytes of it that a record has not (fields/record.py)
_HELLO: Final = struct.Struct("<4sHHIQ")
_WELCOME: Final = struct.Struct("<HHIQ")
_U16: Final = struct.Struct("<H")
_U64: Final = struct.Struct("<Q")
_TWO_U64: Final = struct.Struct("<QQ")


class FrameError(Exception):
    """The peer broke the protocol; the connection cannot go on."""


@final
class Frame:
    """One frame: ``type`` as above (unknown types are passed on, to be skipped), ``flags``, ``payload``."""

    __slots__ = ("flags", "payload", "type")

    def __init__(self, type: int, flags: int, payload: bytes) -> None:
        self.type = type
        self.flags = flags
        self.payload = payload


@final
class Splitter:
    """Cuts a byte stream into frames. ``limit``: largest payload accepted, checked as soon as a header is there, so that
    a peer cannot make us buffer what it merely announces."""

    __slots__ = ("_buffer", "limit")

    def __init__(self, limit: int) -> None:
        self._buffer = bytearray()
        self.limit = limit

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes. Raises FrameError; the splitter is then of no further use."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        at = 0
        end = len(buffer)
        while end - at >= HEADER_SIZE:
            length, type_, flags, _ = HEADER.unpack_from(buffer, at)
            if length > self.limit:
                raise FrameError(f"frame of type {type_} announces {length} bytes, at most {self.limit} are allowed")
            if end - at - HEADER_SIZE < length:
                break
            start = at + HEADER_SIZE
            at = start + length
            frames.append(Frame(type_, flags, bytes(buffer[start:at])))
        if at:
            del buffer[:at]
        return frames

    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._buffer)


def frame(type: int, payload: bytes = b"", flags: int = 0) -> bytes:
    if len(payload) > MAX_FRAME:
        raise FrameError(f"payload of {len(payload)} bytes, at most {MAX_FRAME} are allowed")
    return HEADER.pack(len(payload), type, flags, 0) + payload


@final
class Hello:
    """What a consumer says first. ``fields`` and ``hash``: length and hash of its registry. ``codes``: the mirrored syscall
    set, None if it does not mirror. ``ephemeral``: see HELLO_EPHEMERAL."""

    __slots__ = ("codes", "ephemeral", "fields", "hash", "major", "minor", "name", "software")

    def __init__(
        self,
        name: str,
        fields: int,
        hash: int,
        software: str,
        codes: list[int] | None = None,
        ephemeral: bool = False,
        major: int = MAJOR,
        minor: int = MINOR,
    ) -> None:
        self.name = name
        self.fields = fields
        self.hash = hash
        self.software = software
        self.codes = codes
        self.ephemeral = ephemeral
        self.major = major
        self.minor = minor


@final
class Welcome:
    """The daemon's answer. ``acknowledged``: the last sequence number that this consumer has acknowledged."""

    __slots__ = ("acknowledged", "fields", "hash", "major", "minor", "software")

    def __init__(self, fields: int, hash: int, software: str, acknowledged: int, major: int = MAJOR, minor: int = MINOR) -> None:
        self.fields = fields
        self.hash = hash
        self.software = software
        self.acknowledged = acknowledged
        self.major = major
        self.minor = minor


def _pack_text(text: str, limit: int) -> bytes:
    raw = text.encode("utf-8", "replace")[:limit]
    return _U16.pack(len(raw)) + raw


def _text(payload: bytes, at: int, limit: int, what: str) -> tuple[str, int]:
    """A u16-counted text at ``at`` and where it ends; unprintable characters become '?', for it goes into logs."""
    if len(payload) - at < 2:
        raise FrameError(f"{what}: the frame ends before its length")
    length = _U16.unpack_from(payload, at)[0]
    at += 2
    if length > limit:
        raise FrameError(f"{what} of {length} bytes, at most {limit} are allowed")
    if length > len(payload) - at:
        raise FrameError(f"{what} of {length} bytes in {len(payload) - at} that are left")
    text = payload[at : at + length].decode("utf-8", "replace")
    return "".join([c if c.isprintable() else "?" for c in text]), at + length


def _codes(payload: bytes, at: int) -> list[int] | None:
    if len(payload) - at < 4:
        raise FrameError("syscall set: the frame ends before its length")
    count = WORD.unpack_from(payload, at)[0]
    if count == NOT_MIRRORED:
        return None
    if count > MAX_CODES or 2 * count > len(payload) - at - 4:
        raise FrameError(f"syscall set of {count} codes in {len(payload) - at - 4} bytes that are left")
    return list(struct.unpack_from(f"<{count}H", payload, at + 4))


def _pack_codes(codes: list[int] | None) -> bytes:
    if codes is None:
        return WORD.pack(NOT_MIRRORED)
    return struct.pack(f"<I{len(codes)}H", len(codes), *codes)


def check_name(name: str) -> str:
    """A consumer's name, or FrameError: 1 to MAX_NAME letters, digits and any of ``._:@-``."""
    if not name or len(name) > MAX_NAME or not all(c.isascii() and (c.isalnum() or c in "._:@-") for c in name):
        raise FrameError(f"a consumer's name is 1 to {MAX_NAME} ASCII letters, digits and any of . _ : @ -")
    return name


def encode_hello(hello: Hello) -> bytes:
    payload = (
        _HELLO.pack(MAGIC, hello.major, hello.minor, hello.fields, hello.hash)
        + _pack_text(hello.name, MAX_NAME)
        + _pack_text(hello.software, MAX_TEXT)
        + _pack_codes(hello.codes)
    )
    return frame(HELLO, payload, HELLO_EPHEMERAL if hello.ephemeral else 0)


def decode_hello(frame_: Frame) -> Hello:
    """Raises FrameError. What follows the fixed head is read only for our own major version: another one's layout is unknown."""
    payload = frame_.payload
    if frame_.type != HELLO:
        raise FrameError(f"expected HELLO, got a frame of type {frame_.type}")
    if len(payload) < _HELLO.size or payload[:4] != MAGIC:
        raise FrameError("HELLO does not begin with the protocol's magic")
    _, major, minor, fields, hash_ = _HELLO.unpack_from(payload)
    if major != MAJOR:
        return Hello("", fields, hash_, "", None, False, major, minor)
    name, at = _text(payload, _HELLO.size, MAX_NAME, "consumer name")
    software, at = _text(payload, at, MAX_TEXT, "software version")
    codes = _codes(payload, at)
    return Hello(check_name(name), fields, hash_, software, codes, bool(frame_.flags & HELLO_EPHEMERAL), major, minor)


def encode_welcome(welcome: Welcome) -> bytes:
    payload = (
        _WELCOME.pack(welcome.major, welcome.minor, welcome.fields, welcome.hash)
        + _pack_text(welcome.software, MAX_TEXT)
        + _U64.pack(welcome.acknowledged)
    )
    return frame(WELCOME, payload)


def decode_welcome(payload: bytes) -> Welcome:
    if len(payload) < _WELCOME.size:
        raise FrameError("WELCOME is too short")
    major, minor, fields, hash_ = _WELCOME.unpack_from(payload)
    software, at = _text(payload, _WELCOME.size, MAX_TEXT, "software version")
    if len(payload) - at < 8:
        raise FrameError("WELCOME ends before the acknowledged sequence number")
    return Welcome(fields, hash_, software, _U64.unpack_from(payload, at)[0], major, minor)


def encode_refused(code: int, text: str) -> bytes:
    return frame(REFUSED, _U16.pack(code) + _pack_text(text, MAX_TEXT))


def decode_refused(payload: bytes) -> tuple[int, str]:
    if len(payload) < 2:
        raise FrameError("REFUSED is too short")
    return _U16.unpack_from(payload)[0], _text(payload, 2, MAX_TEXT, "reason")[0]


def encode_ack(seq: int) -> bytes:
    return frame(ACK, _U64.pack(seq))


def decode_ack(payload: bytes) -> int:
    if len(payload) < 8:
        raise FrameError("ACK is too short")
    seq: int = _U64.unpack_from(payload)[0]
    return seq


def encode_syscalls(codes: list[int] | None) -> bytes:
    return frame(SYSCALLS, _pack_codes(codes))


def decode_syscalls(payload: bytes) -> list[int] | None:
    return _codes(payload, 0)


def encode_shed(first: int, last: int) -> bytes:
    return HEADER.pack(16, SHED, 0, 0) + _TWO_U64.pack(first, last)


def decode_shed(payload: bytes) -> tuple[int, int]:
    """First and last sequence number that will not come."""
    if len(payload) < 16:
        raise FrameError("SHED is too short")
    first, last = _TWO_U64.unpack_from(payload)
    if first > last:
        raise FrameError("SHED ends before it begins")
    return first, last


@final
class Item:
    """One item of a BATCH: ``kind``, and where its body lies in the payload."""

    __slots__ = ("end", "kind", "start")

    def __init__(self, kind: int, start: int, end: int) -> None:
        self.kind = kind
        self.start = start
        self.end = end


def items(payload: bytes) -> list[Item]:
    """The items of a BATCH; raises FrameError if a length leads outside it or an event is too short for its head."""
    found: list[Item] = []
    at = 0
    end = len(payload)
    while at < end:
        if end - at < 4:
            raise FrameError(f"BATCH ends within an item's head at byte {at}")
        word = WORD.unpack_from(payload, at)[0]
        length = word & MAX_BODY
        kind = word >> KIND_SHIFT
        at += 4
        if length > end - at:
            raise FrameError(f"item of {length} bytes at byte {at} of a BATCH of {end}")
        if (kind == DEFINE and length < 9) or (kind == EVENT and length < EVENT_HEAD_SIZE):
            raise FrameError(f"item of kind {kind} with only {length} bytes at byte {at}")
        found.append(Item(kind, at, at + length))
        at += length
    return found
