"""Writing a block: docs/protocol.md, Blocks."""

from __future__ import annotations

import struct
from typing import Final, final

MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF
MAX_SLOTS: Final = 128  # two presence words; the protocol allows eight

# Heads of blocks by number of words to write: the count of presence words, those, and the cells
_HEADS: Final[list[struct.Struct]] = [struct.Struct(f"<I{count}Q") for count in range(MAX_SLOTS + 3)]


@final
class Cells:
    """Collects the cells of one block, in any order, each slot at most once; ``start`` makes it ready for the next.

    Offsets on the heap that the methods take and return are relative to the heap's start.
    """

    __slots__ = ("order", "parts", "references", "size", "values")

    def __init__(self) -> None:
        self.order: list[int] = []  # slots in order of writing
        self.values: list[int] = [0] * MAX_SLOTS
        self.references = 0  # slots whose value is a heap offset and a length
        self.parts: list[bytes] = []
        self.size = 0

    def start(self) -> None:
        """Forget all cells."""
        self.order.clear()
        self.references = 0
        self.parts.clear()
        self.size = 0

    def number(self, slot: int, value: int) -> None:
        """A number, a boolean or a block's id; negative ones as two's complement."""
        self.order.append(slot)
        self.values[slot] = value if 0 <= value <= MASK64 else value & MASK64

    def heap(self, data: bytes) -> int:
        """Put bytes on the heap, followed by nothing; returns their offset."""
        at = self.size
        self.parts.append(data)
        self.size = at + len(data)
        return at

    def text(self, slot: int, value: bytes) -> int:
        """A safe text (valid UTF-8, no NUL). Returns its offset."""
        at = self.size
        length = len(value)
        self.order.append(slot)
        self.values[slot] = at | length << 32
        self.references |= 1 << slot
        self.parts.append(value)
        self.parts.append(b"\0")
        self.size = at + length + 1
        return at

    def slice(self, slot: int, at: int, length: int) -> None:
        """Text that lies on the heap already and ends where a NUL is; or any bytes that do."""
        self.order.append(slot)
        self.values[slot] = at | length << 32
        self.references |= 1 << slot

    def strings(self, slot: int, items: list[bytes]) -> int:
        """A list of safe texts. Returns the offset of the first."""
        return self.raw(slot, b"\0".join(items) + b"\0" if items else b"")

    def raw(self, slot: int, data: bytes) -> int:
        """Bytes or an address. Returns their offset."""
        at = self.size
        length = len(data)
        self.order.append(slot)
        self.values[slot] = at | length << 32
        self.references |= 1 << slot
        self.parts.append(data)
        self.size = at + length
        return at

    def finish(self) -> bytes:
        """The block's bytes."""
        order = sorted(self.order)
        words = (order[-1] >> 6) + 1 if order else 1
        base = 4 + 8 * (words + len(order))
        values = self.values
        references = self.references
        presence = 0
        body: list[int] = []
        for slot in order:
            presence |= 1 << slot
            value = values[slot]
            body.append(value + base if references >> slot & 1 else value)
        head: list[int] = [words, presence & MASK64]
        if words > 1:
            head.append(presence >> 64)
        head.extend(body)
        self.parts.insert(0, _HEADS[words + len(order)].pack(*head))
        return b"".join(self.parts)
