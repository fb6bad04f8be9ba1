"""Writing a block: docs/protocol.md, Blocks.

Compiled, the cells' values lie in an array of native integers and the heap in one growing buffer, so that a block is made without
making objects on the way. Interpreted, where each step costs as much as a whole block does compiled, they lie in a dictionary, and one
call of struct puts them together.
"""

from __future__ import annotations

from operator import itemgetter
from struct import Struct
from typing import Final, final

from librt.strings import BytesWriter, write_i16_le, write_i32_le, write_i64_le
from librt.vecs import vec
from mypy_extensions import i16, i32, i64

from ..scap.safetext import COMPILED
from . import slots

MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF
MAX_SLOTS: Final = 128  # two presence words; the protocol allows eight

_SMALL: Final = 1 << 60  # numbers below are native integers as they are
# Presence is kept in pieces of 32 bits, which are positive as native integers, and written in pieces of 16. Bits are shifted with
# <<=, for compiled, the << of a constant has 32 bits and a sign.
_PIECE: Final = 32
_MASK16: Final = 0xFFFF
_SIGN16: Final = 1 << 15

_HOT: Final[i64] = 1 << slots.LINEAGE | 0x1FF << slots.PROC_VMSIZE

# Interpreted: the shapes of blocks that were made lately. There are some hundreds, by what the code does; but the order of a thread's
# control groups, which have cells of their own, is up to the zone.
MAX_SHAPES: Final = 1024

_shapes: Final[dict[tuple[int, ...], Shape]] = {}


@final
class Shape:
    """Interpreted: blocks whose cells were written in the same order. ``pick``: puts their values into the order of their slots.
    ``form``: presence words and values. ``presence``: what is written before the values. ``base``: where the heap begins."""

    __slots__ = ("base", "form", "pick", "presence")

    def __init__(self, written: tuple[int, ...]) -> None:
        places = sorted(written)
        words = 1 if not places or places[-1] < 64 else 2
        presence = 0
        for place in places:
            presence |= 1 << place
        self.presence = (1, presence) if words == 1 else (2, presence & MASK64, presence >> 64)
        self.form = Struct(f"<I{words + len(places)}Q")
        self.base = self.form.size
        # With one index or none itemgetter would not give a tuple
        self.pick: itemgetter[tuple[int, ...]] | None = itemgetter(*places) if len(places) > 1 else None


@final
class Cells:
    """Collects the cells of one block, in any order, each slot at most once; ``start`` makes it ready for the next.

    Offsets on the heap that the methods take and return are relative to the heap's start. ``heap``: to append to directly.
    """

    __slots__ = ("_numbers", "_out", "_p0", "_p1", "_p2", "_p3", "_r0", "_r1", "_r2", "_r3", "_slices", "_values", "heap")

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
        self._numbers: dict[int, int] = {}  # interpreted: slot -> number, or heap offset | length << 32
        self._slices: dict[int, bool] = {}  # interpreted: slots of the latter
        self.heap = BytesWriter()
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
        self.heap.truncate(0)

    def number(self, slot: i64, value: int) -> None:
        """A number, a boolean or a block's id; negative ones as two's complement."""
        if COMPILED:
            self.native(slot, _native(value))
        else:
            self._numbers[slot] = value & MASK64

    def native(self, slot: i64, value: i64) -> None:
        """A number of 64 bits with its sign."""
        if not COMPILED:
            self._numbers[slot] = value & MASK64
            return
        self._values[slot] = value
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

    def hot(self, lineage: i64, a: i64, b: i64, c: i64, d: int, e: int, f: i64, g: i64, h: i64, i: i64) -> None:
        """LINEAGE, and the nine numbers from PROC_VMSIZE on in their order, of which two have all of their 64 bits from the zone: nearly
        every event has them."""
        if not COMPILED:
            numbers = self._numbers
            numbers[slots.LINEAGE] = lineage
            numbers[slots.PROC_VMSIZE] = a
            numbers[slots.PROC_VMSIZE + 1] = b
            numbers[slots.PROC_VMSIZE + 2] = c
            numbers[slots.PROC_VMSIZE + 3] = d & MASK64
            numbers[slots.PROC_VMSIZE + 4] = e & MASK64
            numbers[slots.PROC_VMSIZE + 5] = f & MASK64
            numbers[slots.PROC_VMSIZE + 6] = g & MASK64
            numbers[slots.PROC_VMSIZE + 7] = h
            numbers[slots.PROC_VMSIZE + 8] = i
            return
        values = self._values
        values[slots.LINEAGE] = lineage
        values[slots.PROC_VMSIZE] = a
        values[slots.PROC_VMSIZE + 1] = b
        values[slots.PROC_VMSIZE + 2] = c
        values[slots.PROC_VMSIZE + 3] = _native(d)
        values[slots.PROC_VMSIZE + 4] = _native(e)
        values[slots.PROC_VMSIZE + 5] = f
        values[slots.PROC_VMSIZE + 6] = g
        values[slots.PROC_VMSIZE + 7] = h
        values[slots.PROC_VMSIZE + 8] = i
        self._p0 |= _HOT

    def slice(self, slot: i64, at: i64, length: i64) -> None:
        """Text that lies on the heap already and ends where a NUL is; or any bytes that do."""
        if not COMPILED:
            self._numbers[slot] = at | length << 32
            self._slices[slot] = True
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

    def text(self, slot: i64, value: bytes) -> i64:
        """A safe text (valid UTF-8, no NUL). Returns its offset."""
        heap = self.heap
        at: i64 = len(heap)
        heap.write(value)
        heap.append(0)
        self.slice(slot, at, len(value))
        return at

    def raw(self, slot: i64, data: bytes) -> i64:
        """Bytes or an address. Returns their offset."""
        heap = self.heap
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
            out.write(self.packed())
        out.write(self.heap.getvalue())

    def _write_values(self, out: BytesWriter, base: i64, slot: i64, bits: i64, references: i64) -> None:
        values = self._values
        while bits != 0:
            if bits & 1 != 0:
                write_i64_le(out, values[slot] + base if references & 1 != 0 else values[slot])
            bits >>= 1
            references >>= 1
            slot += 1

    def packed(self) -> bytes:
        """Interpreted: the block's bytes before its heap."""
        cells = self._numbers
        written = tuple(cells)
        shape = _shapes.get(written)
        if shape is None:
            if len(_shapes) >= MAX_SHAPES:
                _shapes.clear()
            shape = _shapes[written] = Shape(written)
        base = shape.base
        for place in self._slices:
            cells[place] += base
        values = cells.values() if shape.pick is None else shape.pick(cells)
        return shape.form.pack(*shape.presence, *values)

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
    # The sums of pairs, of fours, of eights, and these together
    pairs = bits - (bits >> 1 & 0x5555_5555)
    fours = (pairs & 0x3333_3333) + (pairs >> 2 & 0x3333_3333)
    eights = fours + (fours >> 4) & 0x0F0F_0F0F
    return eights * 0x0101_0101 >> 24 & 0x3F
