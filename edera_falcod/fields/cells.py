"""Writing a block: docs/protocol.md, Blocks.

Compiled, the cells' values lie in an array of native integers and the heap in one growing buffer, so that a block is made without
making objects on the way. Interpreted, where each step costs as much as a whole block does compiled, they lie in dictionaries, and one
call of struct puts them together.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, final

from librt.strings import BytesWriter, write_i16_le, write_i32_le, write_i64_le
from librt.vecs import vec
from mypy_extensions import i16, i32, i64

from ..scap.safetext import COMPILED

MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF
MAX_SLOTS: Final = 128  # two presence words; the protocol allows eight

_SMALL: Final = 1 << 60  # numbers below are native integers as they are
# Presence is kept in pieces of 32 bits, which are positive as native integers, and written in pieces of 16. Bits are shifted with
# <<=, for compiled, the << of a constant has 32 bits and a sign.
_PIECE: Final = 32
_MASK16: Final = 0xFFFF
_SIGN16: Final = 1 << 15

_structs: Final[dict[int, Struct]] = {}  # interpreted: by presence words << 8 | cells


@final
class Cells:
    """Collects the cells of one block, in any order, each slot at most once; ``start`` makes it ready for the next.

    Offsets on the heap that the methods take and return are relative to the heap's start.
    """

    __slots__ = ("_heap", "_numbers", "_out", "_p0", "_p1", "_p2", "_p3", "_r0", "_r1", "_r2", "_r3", "_slices", "_values")

    def __init__(self) -> None:
        self._values: vec[i64] = vec[i64]([0] * MAX_SLOTS)
        # Which slots have a value, and of which it is a heap offset and a length, 32 slots each
        self._p0: i64 = 0
        self._p1: i64 = 0
        self._p2: i64 = 0
        self._p3: i64 = 0
        self._r0: i64 = 0
        self._r1: i64 = 0
        self._r2: i64 = 0
        self._r3: i64 = 0
        self._numbers: dict[int, int] = {}  # interpreted: slot -> number
        self._slices: dict[int, int] = {}  # interpreted: slot -> heap offset | length << 32
        self._heap = BytesWriter()
        self._out = BytesWriter()

    def start(self) -> None:
        """Forget all cells."""
        if COMPILED:
            self._p0 = 0
            self._p1 = 0
            self._p2 = 0
            self._p3 = 0
            self._r0 = 0
            self._r1 = 0
            self._r2 = 0
            self._r3 = 0
        else:
            self._numbers.clear()
            self._slices.clear()
        self._heap.truncate(0)

    def number(self, slot: i64, value: int) -> None:
        """A number, a boolean or a block's id; negative ones as two's complement."""
        if not COMPILED:
            self._numbers[slot] = value
            return
        self._values[slot] = _native(value)
        bit: i64 = 1
        if slot < _PIECE:
            bit <<= slot
            self._p0 |= bit
        elif slot < 2 * _PIECE:
            bit <<= slot - _PIECE
            self._p1 |= bit
        elif slot < 3 * _PIECE:
            bit <<= slot - 2 * _PIECE
            self._p2 |= bit
        else:
            bit <<= slot - 3 * _PIECE
            self._p3 |= bit

    def numbers(self, slot: i64, a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int, i: int) -> None:
        """Nine numbers in neighbouring slots of one piece of 32, which is where nearly every event has them."""
        if not COMPILED:
            numbers = self._numbers
            for value in (a, b, c, d, e, f, g, h, i):
                numbers[slot] = value
                slot += 1
            return
        values = self._values
        values[slot] = _native(a)
        values[slot + 1] = _native(b)
        values[slot + 2] = _native(c)
        values[slot + 3] = _native(d)
        values[slot + 4] = _native(e)
        values[slot + 5] = _native(f)
        values[slot + 6] = _native(g)
        values[slot + 7] = _native(h)
        values[slot + 8] = _native(i)
        bits: i64 = 0x1FF
        bits <<= slot
        self._p0 |= bits

    def slice(self, slot: i64, at: i64, length: i64) -> None:
        """Text that lies on the heap already and ends where a NUL is; or any bytes that do."""
        if not COMPILED:
            self._slices[slot] = at | length << 32
            return
        self._values[slot] = at | length << 32
        bit: i64 = 1
        if slot < _PIECE:
            bit <<= slot
            self._p0 |= bit
            self._r0 |= bit
        elif slot < 2 * _PIECE:
            bit <<= slot - _PIECE
            self._p1 |= bit
            self._r1 |= bit
        elif slot < 3 * _PIECE:
            bit <<= slot - 2 * _PIECE
            self._p2 |= bit
            self._r2 |= bit
        else:
            bit <<= slot - 3 * _PIECE
            self._p3 |= bit
            self._r3 |= bit

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
        if COMPILED:
            words: i64 = 1 if self._p2 | self._p3 == 0 else 2
            write_i32_le(out, i32(words))
            cells = words + _write_presence(out, self._p0) + _write_presence(out, self._p1)
            if words == 2:
                cells += _write_presence(out, self._p2) + _write_presence(out, self._p3)
            base: i64 = 4 + 8 * cells
            self._write_values(out, base, 0, self._p0, self._r0)
            self._write_values(out, base, _PIECE, self._p1, self._r1)
            if words == 2:
                self._write_values(out, base, 2 * _PIECE, self._p2, self._r2)
                self._write_values(out, base, 3 * _PIECE, self._p3, self._r3)
        else:
            out.write(self._packed())
        out.write(self._heap.getvalue())

    def _write_values(self, out: BytesWriter, base: i64, slot: i64, bits: i64, references: i64) -> None:
        values = self._values
        while bits != 0:
            if bits & 1 != 0:
                write_i64_le(out, values[slot] + base if references & 1 != 0 else values[slot])
            bits >>= 1
            references >>= 1
            slot += 1

    def _packed(self) -> bytes:
        """Interpreted: the block's bytes before its heap."""
        cells = self._numbers
        count = len(cells) + len(self._slices)
        places = sorted([*cells, *self._slices])
        words = 1 if not places or places[-1] < 64 else 2
        base = 4 + 8 * (words + count)
        for place, value in self._slices.items():
            cells[place] = value + base
        presence = 0
        for place in places:
            presence |= 1 << place
        form = _structs.get(words << 8 | count)
        if form is None:
            form = _structs[words << 8 | count] = Struct(f"<I{words + count}Q")
        values = [cells[place] & MASK64 for place in places]
        if words == 1:
            return form.pack(1, presence, *values)
        return form.pack(2, presence & MASK64, presence >> 64, *values)

    def finish(self) -> bytes:
        """The block's bytes."""
        out = self._out
        out.truncate(0)
        self.write(out)
        return out.getvalue()


def _native(value: int) -> i64:
    """The low 64 bits of a number."""
    if -_SMALL < value < _SMALL:
        return value
    value &= MASK64
    return value - (1 << 64) if value >> 63 else value


def _write_presence(out: BytesWriter, bits: i64) -> i64:
    """Write a piece of the presence words; returns how many bits are set in it."""
    low = bits & _MASK16
    high = bits >> 16
    write_i16_le(out, i16(low if low < _SIGN16 else low - (_SIGN16 << 1)))
    write_i16_le(out, i16(high if high < _SIGN16 else high - (_SIGN16 << 1)))
    count: i64 = 0
    while bits != 0:
        bits &= bits - 1
        count += 1
    return count
