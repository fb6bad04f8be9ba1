"""Recordings of a zone's stream: what `ctl record` writes, and what `sim` and `replay` play again.

    edera-falcod recording 1\n
    {"zone": {...}, "redacted": [...], ...}\n
    replies as the zone sent them, each with its gRPC prefix (a zero byte, its length as four bytes big-endian)

The first reply is a snapshot. A recording that was cut off is good up to its last whole reply. Whatever the file holds, the outcome
is data or a ``CaptureError`` that names the offset and the reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final

from .errors import CaptureError

MAGIC: Final = b"edera-falcod recording 1\n"
MAX_HEADER: Final = 64 << 10  # bytes; a zone has some addresses and names
MAX_REPLY: Final = 1 << 30  # bytes; the largest snapshot that edera.max_snapshot can allow
PREFIX: Final = 5


def header(facts: Mapping[str, Any]) -> bytes:
    """What a recording begins with."""
    return MAGIC + json.dumps(facts, separators=(",", ":")).encode() + b"\n"


def framed(reply: bytes) -> bytes:
    """A reply with its prefix."""
    return b"\0" + len(reply).to_bytes(4, "big") + reply


class Recording:
    """Reads a recording from ``stream``. ``facts``: of its header. ``cut``: whether the file ends within a reply, once that was read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at = len(MAGIC)
        self.cut = False
        if stream.read(len(MAGIC)) != MAGIC:
            raise CaptureError(0, "not a recording of edera-falcod, or one of another version")
        line = stream.readline(MAX_HEADER)
        try:
            facts = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):  # lists in lists in lists
            facts = None
        if not isinstance(facts, dict):
            raise CaptureError(self._at, "the recording's header cannot be read")
        self.facts: dict[str, Any] = facts
        self._at += len(line)

    @property
    def addresses(self) -> list[str]:
        """The zone's own, as texts; what is none is left out by whoever reads them."""
        zone = self.facts.get("zone")
        found = zone.get("ips") if isinstance(zone, dict) else None
        return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []

    def _read(self, size: int) -> bytes:
        """Fewer bytes at the end, also where a compressed file was cut."""
        try:
            return self._stream.read(size)
        except EOFError:
            self.cut = True
            return b""

    def replies(self) -> Iterator[bytes]:
        while prefix := self._read(PREFIX):
            if len(prefix) < PREFIX:
                self.cut = True
                return
            size = int.from_bytes(prefix[1:], "big")
            if prefix[0] or size > MAX_REPLY:
                raise CaptureError(self._at, "no reply begins here: the recording is damaged")
            reply = self._read(size)
            if len(reply) < size:
                self.cut = True
                return
            self._at += PREFIX + size
            yield reply
