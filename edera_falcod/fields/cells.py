"""Writing a block: docs/protocol.md, Blocks.

The cells' values lie in an array of native integers and the heap in one growing buffer, so that a compiled core makes a block without
making objects on the way.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter, write_i16_le, write_i32_le, write_i64_le
from librt.vecs import vec
from mypy_extensions import i16, i32, i64

MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF
MAX_SLOTS: Final = 128  # two presence words; the protocol allows eight

# Presence words in pieces of 16 bits: compiled, a literal's shift has 32 bits and a sign, so larger pieces would be read wrong.
_PARTS: Final = 8
_SMALL: Final = 1 << 60  # numbers below are native integers as they are
_SIGN16: Final = 1 << 15


@final
class Cells:
    """Collects the cells of one block, in any order, each slot at most once; ``start`` makes it ready for the next.

    Offsets on the heap that the methods take and return are relative to the heap's start.
    """

    __slots__ = ("_heap", "_out", "_presence", "_references", "_values")

    def __init__(self) -> None:
        self._values: vec[i64] = vec[i64]([0] * MAX_SLOTS)
        self._presence: vec[i64] = vec[i64]([0] * _PARTS)
        self._references: vec[i64] = vec[i64]([0] * _PARTS)  # slots whose value is a heap offset and a length
        self._heap = BytesWriter()
        self._out = BytesWriter()

    def start(self) -> None:
        """Forget all cells."""
        part: i64 = 0
        while part < _PARTS:
            self._presence[part] = 0
            self._references[part] = 0
            part += 1
        self._heap.truncate(0)

    def number(self, slot: i64, value: int) -> None:
        """A number, a boolean or a block's id; negative ones as two's complement."""
        if -_SMALL < value < _SMALL:
            self._values[slot] = value
        else:
            value &= MASK64
            self._values[slot] = value - (1 << 64) if value >> 63 else value
        part = slot >> 4
        self._presence[part] |= 1 << (slot & 15)

    def slice(self, slot: i64, at: i64, length: i64) -> None:
        """Text that lies on the heap already and ends where a NUL is; or any bytes that do."""
        self._values[slot] = at | length << 32
        part = slot >> 4
        bit: i64 = 1 << (slot & 15)
        self._presence[part] |= bit
        self._references[part] |= bit

    def heap(self, data: bytes) -> i64:
        """Put bytes on the heap, followed by nothing; returns their offset."""
        heap = self._heap
        at: i64 = len(heap)
        heap.write(data)
        return at

    def text(self, slot: i64, value: bytes) -> i64:
        """A safe text (valid UTF-8, no NUL). Returns its offset."""
        heap = self._heap
        at: i64 = len(heap)
        heap.write(value)
        heap.append(0)
        self.slice(slot, at, len(value))
        return at

    def raw(self, slot: i64, data: bytes) -> i64:
        """Bytes or an address. Returns their offset."""
        heap = self._heap
        at: i64 = len(heap)
        heap.write(data)
        self.slice(slot, at, len(data))
        return at

    def strings(self, slot: i64, items: list[bytes]) -> i64:
        """A list of safe texts. Returns the offset of the first."""
        return self.raw(slot, b"\0".join(items) + b"\0" if items else b"")

    def write(self, out: BytesWriter) -> None:
        """Append the block's bytes to ``out``."""
        presence = self._presence
        words: i64 = 1 if presence[4] | presence[5] | presence[6] | presence[7] == 0 else 2
        write_i32_le(out, i32(words))
        cells = words
        part: i64 = 0
        while part < 4 * words:
            bits = presence[part]
            write_i16_le(out, i16(bits if bits < _SIGN16 else bits - (_SIGN16 << 1)))
            while bits != 0:
                bits &= bits - 1
                cells += 1
            part += 1
        base: i64 = 4 + 8 * cells
        values = self._values
        part = 0
        while part < 4 * words:
            bits = presence[part]
            references = self._references[part]
            slot = part << 4
            while bits != 0:
                if bits & 1 != 0:
                    write_i64_le(out, values[slot] + base if references & 1 != 0 else values[slot])
                bits >>= 1
                references >>= 1
                slot += 1
            part += 1
        out.write(self._heap.getvalue())

    def finish(self) -> bytes:
        """The block's bytes."""
        out = self._out
        out.truncate(0)
        self.write(out)
        return out.getvalue()
