"""Captures made from others."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from edera_falcod.scap.blocks import EVENT_BLOCKS, SECTION, Source, read_block


def rewritten(capture: Path, change: Callable[[int, bytes], bytes | None]) -> bytes:
    """The capture with what ``change`` makes of its blocks with events, given a block's kind and body; None leaves the block out."""
    out = [struct.pack("<IIIHHQI", SECTION, 28, 0x1A2B3C4D, 1, 2, 0xFFFFFFFFFFFFFFFF, 28)]
    with capture.open("rb") as stream:
        source = Source(stream)
        read_block(source)
        while (block := read_block(source)) is not None:
            kind, body = block
            data = change(kind, body.data) if kind in EVENT_BLOCKS else body.data
            if data is not None:
                total = len(data) + 12
                out.append(struct.pack("<II", kind, total) + data + struct.pack("<I", total))
    return b"".join(out)
