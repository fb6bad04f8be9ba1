"""Invariant: any text is read as rules, retargeted and expanded, or refused with the place; what is written out is read again with the same
rules, and a condition that is parsed prints as one that means the same."""

from __future__ import annotations

from edera_falcod.rules.condition import ConditionError, parse
from edera_falcod.rules.expand import Expansion
from edera_falcod.rules.rename import renamed
from edera_falcod.rules.retarget import Retarget
from edera_falcod.rules.ruleset import RulesError, read
from tests.rules.answers import FILES

from .dice import Dice

CONDITION, FILE = range(2)


def corpus() -> list[bytes]:
    found = []
    for file in FILES:
        text = file.read_text()
        parts = text.split("\n- ")
        found += [bytes([FILE]) + f"- {part}".encode() for part in parts[1:]]
        for item in read(str(file), text).items:
            if "condition" in item.texts:
                found.append(bytes([CONDITION]) + item.texts["condition"].value.encode())
    return found


def one(data: bytes) -> None:
    dice = Dice(data)
    kind = dice.below(2)
    text = dice.rest().decode("utf-8", "replace")
    if kind == CONDITION:
        try:
            condition = parse(text)
        except ConditionError as error:
            assert str(error) and 0 <= error.offset <= len(text)
            return
        printed = condition.text()
        assert parse(printed).text() == printed
        return
    try:
        file = read("x.yaml", text)
        retarget = Retarget()
        written = retarget.file(file)
    except RulesError as error:
        assert str(error)
        return
    again = read("y.yaml", written)
    left_out = {change.entry for change in retarget.report.left_out}
    assert [item.name for item in again.items] == [item.name for item in file.items if f"{item.kind} {item.name}" not in left_out]
    try:
        expansion = Expansion()
        expansion.add(again)
        expansion.all()
        renamed([again])
    except RulesError as error:
        assert str(error)
