"""Invariant: an event of any type with any bytes as its parameters gives, for every field that can be asked, a value of the field's type or
none; every text is UTF-8 without control characters that libsinsp would have taken out, and the zone's tables still agree."""

from __future__ import annotations

from edera_falcod.fields.forms import all_forms
from edera_falcod.fields.reader import value
from edera_falcod.fields.spec import Field, Type
from edera_falcod.scap.event import Event
from edera_falcod.scap.tables import EVENTS
from tests.fields.watch import Watch
from tests.state import invariants
from tests.state.captures import zone_from
from tests.state.support import told

from . import captured
from .dice import Dice

START = 1_700_000_000_000_000_000
CODES = tuple(info.code for info in EVENTS if not info.old and not info.unused)
FAMILY = (told(1, ptid=0), told(7), told(8, ptid=7), told(9, pid=8, ptid=7))


def corpus() -> list[bytes]:
    found = []
    for event in captured.kinds():
        if event.code in CODES:
            parts = [CODES.index(event.code).to_bytes(2, "little"), b"\1"]
            for param in event.params:
                parts += (min(len(param), 600).to_bytes(2, "little"), param[:600])
            found.append(b"".join(parts))
    return found


def drawn(dice: Dice) -> Event:
    code = CODES[dice.number(2) % len(CODES)]
    tid = (7, 8, 9, 1, 100, -1, 0)[dice.below(7)]
    params: list[bytes] = []
    while dice.left and len(params) < len(EVENTS[code].params):
        params.append(dice.take(dice.number(2) % 70_000))
    return Event(START, tid, 0, code, params)


def fits(field: Field, found: object) -> bool:
    """Whether it is a value of the field's type."""
    if isinstance(found, list):
        return all(fits(field, each) for each in found)
    if field.type is Type.BOOL:
        return isinstance(found, bool)
    if isinstance(found, int):
        return 0 <= found < 1 << 64
    assert isinstance(found, str)
    found.encode()  # no lone surrogates
    return "\0" not in found


def one(data: bytes) -> None:
    event = drawn(Dice(data))
    watch = Watch(zone_from(FAMILY))
    watch.see(event)
    for form, field, argument in all_forms(event.code):
        found = value(field, argument, watch.view)
        assert found is None or fits(field, found), f"{form} = {found!r}"
    invariants.check(watch.zone)
