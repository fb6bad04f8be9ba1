"""Writing a block: docs/protocol.md, Blocks."""

from __future__ import annotations

import struct
from typing import Final, final

MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF


@final
class Cells:
    """Collects the cells of one block, in any order, each slot at most once.

    Heap offsets that ``heap`` and ``text`` return are relative to the heap's start; ``base`` is known only at the end, so
    whoever writes offsets into the heap itself (the parameter table) does it in ``finish``'s caller with ``heap_base``.
    """

    __slots__ = ("words", "presence", "cells", "parts", "size")

    def __init__(self, words: int) -> None:
        self.words = words
        self.presence = 0
        self.cells: dict[int, tuple[int, int]] = {}  # slot -> (value, -1) or (heap offset, length)
        self.parts: list[bytes] = []
        self.size = 0

    def number(self, slot: int, value: int) -> None:
        """A number, a boolean or a block's id; negative ones as two's complement."""
        self.presence |= 1 << slot
        self.cells[slot] = (value & MASK64, -1)

    def heap(self, data: bytes) -> int:
        """Put bytes on the heap, followed by nothing; returns their offset from the heap's start."""
        at = self.size
        self.parts.append(data)
        self.size += len(data)
        return at

    def text(self, slot: int, value: bytes) -> int:
        """A safe text (valid UTF-8, no NUL). Returns its offset from the heap's start."""
        at = self.size
        self.presence |= 1 << slot
        self.cells[slot] = (at, len(value))
        self.parts.append(value)
        self.parts.append(b"\0")
        self.size += len(value) + 1
        return at

    def slice(self, slot: int, at: int, length: int) -> None:
        """Text that lies on the heap already and ends where a NUL is."""
        self.presence |= 1 << slot
        self.cells[slot] = (at, length)

    def strings(self, slot: int, items: list[bytes]) -> int:
        """A list of safe texts."""
        data = b"".join([item + b"\0" for item in items])
        return self.raw(slot, data)

    def raw(self, slot: int, data: bytes) -> int:
        """Bytes or an address."""
        at = self.size
        self.presence |= 1 << slot
        self.cells[slot] = (at, len(data))
        self.parts.append(data)
        self.size += len(data)
        return at

    def heap_base(self) -> int:
        """Where the heap begins in the block, once no further cell is added."""
        return 4 + 8 * self.words + 8 * len(self.cells)

    def finish(self) -> bytes:
        base = self.heap_base()
        head: list[int] = [(self.presence >> (64 * word)) & MASK64 for word in range(self.words)]
        for slot in sorted(self.cells):
            value, length = self.cells[slot]
            head.append(value if length < 0 else (value + base) | (length << 32))
        return struct.pack(f"<I{len(head)}Q", self.words, *head) + b"".join(self.parts)
