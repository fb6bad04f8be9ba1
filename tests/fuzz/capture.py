"""Invariant: any file is read as a capture or refused with the place of what is wrong, and what is read keeps the reader's limits."""

from __future__ import annotations

import io
import zlib

from edera_falcod.scap.capture import MAX_FDS, MAX_PARAMS, read_capture
from edera_falcod.scap.errors import CaptureError

from . import captured


def _plain(name: str) -> bytes:
    data = captured.whole(name)
    return zlib.decompressobj(31).decompress(data) if data[:2] == b"\x1f\x8b" else data


def _cut(data: bytes, events: int) -> bytes:
    """The blocks of a plain capture with its long lists left out, up to so many events."""
    out = []
    at = 0
    while at + 8 <= len(data) and events:
        kind, size = int.from_bytes(data[at : at + 4], "little"), int.from_bytes(data[at + 4 : at + 8], "little")
        events -= kind in (0x204, 0x208, 0x216, 0x217)
        if size < 6000:
            out.append(data[at : at + size])
        at += size
    return b"".join(out)


def corpus() -> list[bytes]:
    found = []
    for name in captured.NAMES:
        plain = _cut(_plain(name), 12)
        found += [plain, plain[:1000]]
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        found.append(packer.compress(plain) + packer.flush())
    return found


def one(data: bytes) -> None:
    try:
        read = read_capture(io.BytesIO(data))
        for count, event in enumerate(read.events()):
            assert len(event.params) <= MAX_PARAMS
            if count > 1000:
                break
    except CaptureError as error:
        assert str(error)
        return
    assert all(len(thread.fds) <= MAX_FDS for thread in read.threads)
