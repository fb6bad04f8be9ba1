"""Words to declare fields with: catalog.py and its parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from .layout import BITS, SLOTS
from .spec import Arg, Field, Kind, Op, Type

S: Final = Type.STRING
U: Final = Type.UINT64
I: Final = Type.SIGNED  # noqa: E741
B: Final = Type.BOOL
REL: Final = Type.RELTIME
ABS: Final = Type.ABSTIME
IP: Final = Type.IPADDR
NET: Final = Type.IPNET


def slot_of(cell: str) -> int:
    """The number of a cell in its kind of block."""
    return SLOTS[cell][1]


def field_at(
    name: str, type: Type, doc: str, op: Op, cell: str = "", second: str = "", arg: Arg = Arg.NO, is_list: bool = False,
    hidden: bool = False, note: str = "", suggested: bool = False,
) -> Field:  # fmt: skip
    """A field whose operation takes one or two cells."""
    kind, slot = SLOTS[cell] if cell else (Kind.EVENT, 0)
    return Field(name, type, doc, op, kind, slot, slot_of(second) if second else 0, arg, is_list, suggested, hidden, note)


def cell_field(name: str, type: Type, doc: str, cell: str = "", hidden: bool = False, note: str = "", suggested: bool = False) -> Field:
    """A field that is a cell; the cell has the field's name unless told."""
    return field_at(name, type, doc, Op.CELL, cell or name.upper().replace(".", "_"), hidden=hidden, note=note, suggested=suggested)


def numbered_field(name: str, type: Type, doc: str, op: Op, kind: Kind, slot: int, slot2: int = 0, hidden: bool = False) -> Field:
    """A field whose slots are plain numbers."""
    return Field(name, type, doc, op, kind, slot, slot2, hidden=hidden)


def bit_field(name: str, type: Type, doc: str, bit: str, kind: Kind = Kind.EVENT, hidden: bool = False) -> Field:
    """A field that is a bit of EVT_BITS."""
    return numbered_field(name, type, doc, Op.BIT, kind, BITS.index(bit), hidden=hidden)


def mask_of(*bits: str) -> int:
    """Bits of EVT_BITS, or-ed."""
    return sum([1 << BITS.index(bit) for bit in bits])


def no_field(name: str, type: Type, doc: str, arg: Arg = Arg.NO, hidden: bool = True, note: str = "") -> Field:
    """A field that never has a value, declared so that rules load."""
    return Field(name, type, doc, Op.NONE, arg=arg, hidden=hidden, note=note)


CONSTANT: Final = "Deprecated in libsinsp, kept so that rules load"
_UNSIGNED: Final = "unsigned, for order comparisons: use it beside a test that the value is at least 0 (a negative one reads as 2^64 less)"


def unsigned_field(of: Field) -> Field:
    """The companion of a signed number: plugin fields have no signed type, and text has no numeric order."""
    return replace(of, name=f"{of.name}.unsigned", type=U, doc=f"The number {of.name} as {_UNSIGNED}.", note="not in libsinsp")


