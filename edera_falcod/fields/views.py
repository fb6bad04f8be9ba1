"""Records and blocks as a consumer sees them: bytes that may be anything, looked at cell by cell.

Every length is checked against what holds it; what does not fit is not there.
"""

from __future__ import annotations

import struct
from typing import Final

from . import names, slots
from .spec import NO_NAME, Field, Kind

_HEAD: Final = struct.Struct("<QQqQQQQQQ")
HEAD_SIZE: Final = _HEAD.size
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_PARAM: Final = struct.Struct("<IIQ")

MAX_WORDS: Final = 8

_ARG_NUMBERS: Final = {name: number for number, name in enumerate(names.ARG_NAMES)}


class BlockView:
    """A block's bytes, and its cells by number. Malformed bytes have no cells."""

    __slots__ = ("base", "data", "presence", "words")

    def __init__(self, data: bytes, base: int = 0) -> None:
        self.data = data
        self.base = base
        self.words = 0
        self.presence = 0
        if len(data) - base < 4:
            return
        words = _U32.unpack_from(data, base)[0]
        if not 1 <= words <= MAX_WORDS or len(data) - base < 4 + 8 * words:
            return
        presence = int.from_bytes(data[base + 4 : base + 4 + 8 * words], "little")
        if len(data) - base < 4 + 8 * (words + presence.bit_count()):
            return
        self.words = words
        self.presence = presence

    def cell(self, slot: int) -> int | None:
        """A cell's 64 bits."""
        if not self.presence >> slot & 1:
            return None
        before = (self.presence & ((1 << slot) - 1)).bit_count()
        number: int = _U64.unpack_from(self.data, self.base + 4 + 8 * (self.words + before))[0]
        return number

    def bytes(self, slot: int) -> bytes | None:
        """What a cell refers to."""
        cell = self.cell(slot)
        if cell is None:
            return None
        at = cell & 0xFFFF_FFFF
        length = cell >> 32
        if at + length > len(self.data) - self.base:
            return None
        return self.data[self.base + at : self.base + at + length]

    def text(self, slot: int) -> str | None:
        data = self.bytes(slot)
        return None if data is None else decoded(data)

    def strings(self, slot: int) -> list[str] | None:
        data = self.bytes(slot)
        if data is None:
            return None
        text = decoded(data)
        if text is None or (text and not text.endswith("\0")):
            return None
        return text.split("\0")[:-1]


def decoded(data: bytes) -> str | None:
    """UTF-8 as text, None for what is not."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


_ABSENT: Final = BlockView(b"")


class BlockTable:
    """The blocks that a connection was told of."""

    def __init__(self) -> None:
        self._blocks: dict[int, BlockView] = {}
        self._kinds: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def define(self, id: int, kind: int, data: bytes) -> None:
        self._blocks[id] = BlockView(data)
        self._kinds[id] = kind

    def release(self, ids: list[int]) -> None:
        for id in ids:
            self._blocks.pop(id, None)
            self._kinds.pop(id, None)

    def get(self, id: int, kind: int) -> BlockView | None:
        return self._blocks.get(id) if self._kinds.get(id) == kind else None


class EventView:
    """One event's bytes (the body of an EVENT item) among the blocks that it names. ``hex_binary``: binary raw values as hexadecimal, as
    `replay --json` prints them; else with dots, as the shim serves them."""

    def __init__(self, data: bytes, table: BlockTable, redelivered: bool = False, hex_binary: bool = False) -> None:
        self.data = data
        self.table = table
        self.redelivered = redelivered
        self.hex_binary = hex_binary
        self.seq = self.ts = self.tid = 0
        self._ids: dict[int, int] = {}
        self._views: dict[int, BlockView | None] = {}
        if len(data) < HEAD_SIZE:
            self.event = _ABSENT
            return
        self.seq, self.ts, self.tid, etype, zone, thread, fd, files, workload = _HEAD.unpack_from(data)
        self.event = BlockView(data, HEAD_SIZE)
        self._ids = {
            Kind.ETYPE: etype, Kind.ZONE: zone, Kind.THREAD: thread, Kind.FD: fd, Kind.FILES: files, Kind.WORKLOAD: workload,
            Kind.LINEAGE: self.event.cell(slots.LINEAGE) or 0,
        }  # fmt: skip

    def block(self, kind: int) -> BlockView | None:
        """The event's block of a kind, None if it has none."""
        if kind == Kind.EVENT:
            return self.event
        if kind == Kind.ENV:
            return self.env_of(self.block(Kind.THREAD))
        if kind not in self._views:
            id = self._ids.get(kind, 0)
            self._views[kind] = self.table.get(id, kind) if id else None
        return self._views[kind]

    def named(self, holder: BlockView | None, slot: int, kind: int) -> BlockView | None:
        """The block that a cell names."""
        id = holder.cell(slot) if holder is not None else None
        return self.table.get(id, kind) if id else None

    def env_of(self, thread: BlockView | None) -> BlockView | None:
        return self.named(thread, slots.THREAD_ENV, Kind.ENV)

    def lineage(self, slot: int) -> list[BlockView]:
        """THREAD blocks whose ids a `bytes` cell of the LINEAGE block holds; up to the first that is not there."""
        holder = self.block(Kind.LINEAGE)
        data = holder.bytes(slot) if holder is not None else None
        found: list[BlockView] = []
        for at in range(0, len(data or b"") - 7, 8):
            thread = self.table.get(_U64.unpack_from(data or b"", at)[0], Kind.THREAD)
            if thread is None:
                break
            found.append(thread)
        return found

    def ancestors(self) -> list[BlockView]:
        """Main threads of the ancestors, the parent's first."""
        return self.lineage(slots.LINEAGE_ANCESTORS)

    def forebears(self) -> list[BlockView]:
        """The threads that begot, which mostly are the main threads."""
        holder = self.block(Kind.LINEAGE)
        if holder is not None and holder.cell(slots.LINEAGE_THREADS) is not None:
            return self.lineage(slots.LINEAGE_THREADS)
        return self.ancestors()

    def main(self) -> BlockView | None:
        """The own main thread's block, the thread's own if that is not known."""
        holder = self.block(Kind.LINEAGE)
        if holder is not None and holder.cell(slots.LINEAGE_MAIN) is not None:
            return self.named(holder, slots.LINEAGE_MAIN, Kind.THREAD)
        return self.block(Kind.THREAD)

    def bits(self) -> int:
        return self.event.cell(slots.EVT_BITS) or 0

    # Parameters

    def parameter(self, field: Field, arg: str | int | None) -> int:
        """Index of the parameter that an ARG or RAWARG field asks for, -1: the event has none."""
        number = field.slot
        if number == NO_NAME:
            if isinstance(arg, int):
                return arg if arg * _PARAM.size < len(self.event.bytes(slots.EVT_PARAMS) or b"") else -1
            found = _ARG_NUMBERS.get(arg) if arg is not None else None
            if found is None:
                return -1
            number = found
        etype = self.block(Kind.ETYPE)
        known = etype.bytes(slots.EVT_PARAM_NAMES) if etype is not None else None
        count = len(self.event.bytes(slots.EVT_PARAMS) or b"") // _PARAM.size
        for index in range(min(count, len(known or b"") // 2)):
            if int.from_bytes((known or b"")[2 * index : 2 * index + 2], "little") == number:
                return index
        return -1

    def entry(self, index: int) -> tuple[int, int, int, int]:
        """A parameter's text (offset, length), kind of raw value, raw value."""
        entries = self.event.bytes(slots.EVT_PARAMS) or b""
        offset, length, raw = _PARAM.unpack_from(entries, index * _PARAM.size)
        return offset, length & 0x3FFF_FFFF, length >> 30, raw

    def slice(self, offset: int, length: int) -> bytes | None:
        """Bytes at an offset from the parameter table's start."""
        table = (self.event.cell(slots.EVT_PARAMS) or 0) & 0xFFFF_FFFF
        start = self.event.base + table + offset
        return self.data[start : start + length] if start + length <= len(self.data) else None
