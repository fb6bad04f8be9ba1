"""The shape of a .scap file: blocks with their length in front and behind (as pcapng), read from a plain or gzip stream.

Source: libscap scap_savefile.h. ``capture`` says what the blocks hold.
"""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO, Final, final

from .errors import CaptureError

MAX_STATE_BLOCK: Final = 256 << 20  # a list of threads, files or interfaces; libscap has no limit, a big host's list is some 10 MB
MAX_EVENT_BLOCK: Final = 128 << 10  # libscap's READER_BUF_SIZE is 64 KiB; lengths of parameters are 16 bits
MAX_LARGE_EVENT_BLOCK: Final = 16 << 20  # events with 32 bit lengths (plugin and container payloads)

SECTION: Final = 0x0A0D0D0A
EVENT_BLOCKS: Final = frozenset((0x204, 0x8010ABCD, 0x208, 0x216, 0x217, 0x221, 0x222))
LARGE_EVENT_BLOCKS: Final = frozenset((0x221, 0x222))  # 32 bit lengths

_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_I64: Final = struct.Struct("<q")
_BLOCK: Final = struct.Struct("<II")

_GZIP_CHUNK: Final = 64 << 10
_READ_CHUNK: Final = 1 << 20  # at a time, so that memory follows what is there and not what a length announces


@final
class Source:
    """Exact reads from a stream, gzip or plain (told by the first two bytes), with the offset in the uncompressed bytes."""

    __slots__ = ("stream", "offset", "inflate", "packed", "ready", "ended")

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.offset = 0
        self.packed = b""  # read from the stream, not yet decompressed
        self.ready = b""  # decompressed (or looked at), not yet handed out
        self.ended = False
        magic = self._fill(2)
        self.inflate = zlib.decompressobj(31) if magic == b"\x1f\x8b" else None
        if self.inflate is not None:
            self.packed = magic
        else:
            self.ready = magic

    def _fill(self, size: int) -> bytes:
        """``size`` bytes of the stream itself, fewer only at its end."""
        parts: list[bytes] = []
        while size > 0:
            part = self.stream.read(min(size, _READ_CHUNK))
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _decompress(self, size: int) -> bytes:
        """At least one and at most ``size`` bytes, empty at the end of the last member."""
        while not self.ended:
            inflate = self.inflate
            assert inflate is not None  # only compressed files come here
            if inflate.eof:  # another member may follow
                self.packed = inflate.unused_data or self._fill(_GZIP_CHUNK)
                if not self.packed.strip(b"\0"):  # gzip allows padding
                    self.ended = True
                    return b""
                inflate = self.inflate = zlib.decompressobj(31)
            if not self.packed:
                self.packed = self._fill(_GZIP_CHUNK)
                if not self.packed:
                    raise CaptureError(self.offset + len(self.ready), "gzip data ends early")
            try:
                made = inflate.decompress(self.packed, size)
            except zlib.error as error:
                raise CaptureError(self.offset + len(self.ready), f"gzip data is damaged: {error}") from None
            self.packed = inflate.unconsumed_tail
            if made:
                return made
        return b""

    def read(self, size: int) -> bytes:
        """``size`` bytes, fewer only at the end of the file."""
        if self.inflate is None:
            data = self.ready[:size]
            self.ready = self.ready[size:]
            if len(data) < size:
                data += self._fill(size - len(data))
        else:
            if len(self.ready) < size:
                parts = [self.ready]
                have = len(self.ready)
                while have < size:
                    part = self._decompress(min(max(size - have, _GZIP_CHUNK), _READ_CHUNK))
                    if not part:
                        break
                    parts.append(part)
                    have += len(part)
                self.ready = b"".join(parts)
            data = self.ready[:size]
            self.ready = self.ready[size:]
        self.offset += len(data)
        return data


@final
class Body:
    """A block's body, read front to back. ``base``: its offset in the file."""

    __slots__ = ("data", "at", "end", "base")

    def __init__(self, data: bytes, base: int) -> None:
        self.data = data
        self.at = 0
        self.end = len(data)
        self.base = base

    def fail(self, reason: str) -> CaptureError:
        return CaptureError(self.base + self.at, reason)

    def left(self) -> int:
        return self.end - self.at

    def take(self, size: int, what: str) -> bytes:
        if size > self.end - self.at:
            raise self.fail(f"block ends within {what}")
        data = self.data[self.at : self.at + size]
        self.at += size
        return data

    def u8(self, what: str) -> int:
        return self.take(1, what)[0]

    def u16(self, what: str) -> int:
        value: int = _U16.unpack(self.take(2, what))[0]
        return value

    def u32(self, what: str) -> int:
        value: int = _U32.unpack(self.take(4, what))[0]
        return value

    def u64(self, what: str) -> int:
        value: int = _U64.unpack(self.take(8, what))[0]
        return value

    def i64(self, what: str) -> int:
        value: int = _I64.unpack(self.take(8, what))[0]
        return value

    def text(self, limit: int, what: str) -> bytes:
        """A 16 bit length and that many bytes."""
        size = self.u16(what)
        if size > limit:
            raise self.fail(f"{what} is {size} bytes long, {limit} is the most")
        return self.take(size, what)

    def string(self, limit: int, what: str) -> bytes:
        """A text that ends at its first NUL, as a C string does."""
        text = self.text(limit, what)
        end = text.find(b"\0")
        return text if end < 0 else text[:end]

    def strings(self, limit: int, what: str) -> bytes:
        """NUL-terminated strings; the last NUL is sometimes missing in the file."""
        text = self.text(limit, what)
        return text + b"\0" if text and text[-1] != 0 else text


def read_block(source: Source) -> tuple[int, Body] | None:
    """The next block's type and body, None at a clean end of the file."""
    start = source.offset
    head = source.read(8)
    if not head:
        return None
    if len(head) < 8:
        raise CaptureError(start, "the file ends within a block header")
    kind, total = _BLOCK.unpack(head)
    if kind in LARGE_EVENT_BLOCKS:
        limit = MAX_LARGE_EVENT_BLOCK
    elif kind in EVENT_BLOCKS:
        limit = MAX_EVENT_BLOCK
    else:
        limit = MAX_STATE_BLOCK
    if start == 0 and kind != SECTION:
        raise CaptureError(0, f"not a scap capture: the file begins with {kind:#010x}")
    if total < 12:
        raise CaptureError(start, f"block of type {kind:#x} is {total} bytes long, 12 is the least")
    if total > limit:
        raise CaptureError(start, f"block of type {kind:#x} is {total} bytes long, {limit} is the most")
    body = source.read(total - 12)
    tail = source.read(4)
    if len(body) < total - 12 or len(tail) < 4:
        raise CaptureError(start, f"the file ends within a block of type {kind:#x}")
    if _U32.unpack(tail)[0] != total:
        raise CaptureError(start, f"block of type {kind:#x} has length {total} in front and {_U32.unpack(tail)[0]} behind")
    return kind, Body(body, start + 8)
