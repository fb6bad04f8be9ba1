"""Expansion: appends, overrides, macros, lists and exceptions as Falco's loader joins them; the system calls that follow."""

from __future__ import annotations

import json

import pytest

from edera_falcod.rules.condition import parse
from edera_falcod.rules.expand import Expansion
from edera_falcod.rules.ruleset import RulesError, read
from edera_falcod.rules.syscalls import NOISY, codes_by_type, event_types, needed, state_codes


def expand(*texts: str) -> dict[str, str]:
    expansion = Expansion()
    for number, text in enumerate(texts):
        expansion.add(read(f"{number}.yaml", text))
    return {rule.name: rule.condition for rule in expansion.all()}


BASE = """\
- list: a
  items: [x, "y z"]
- list: b
  items: [a, w]
- macro: m
  condition: proc.name in (b) or n
- macro: n
  condition: proc.exe = "q"
- rule: R
  condition: evt.type = open and m
  output: o
  priority: INFO
"""


def test_macros_and_lists() -> None:
    assert expand(BASE) == {"R": 'evt.type = open and (proc.name in (x, "y z", w) or proc.exe = "q")'}


@pytest.mark.parametrize(("entry", "stands"), [("'v w'", "'v w'"), (r'"v\"w"', r'"v\"w"'), ("v'w", '"v\'w"')])
def test_quoted_list_entries_stand_as_they_are(entry: str, stands: str) -> None:
    text = f"- list: a\n  items:\n    - {json.dumps(entry)}\n"
    assert expand(BASE, text)["R"] == f'evt.type = open and (proc.name in ({stands}, w) or proc.exe = "q")'


@pytest.mark.parametrize("entry", ["'v", '"v', "'", "'v\"", "'v' w", r'"v\"'])
def test_list_entries_with_half_a_quote_are_refused(entry: str) -> None:
    """Falco puts an entry into the condition as it stands, and cannot read that then."""
    with pytest.raises(RulesError) as error:
        expand(BASE, f"- list: a\n  items: [v, {json.dumps(entry)}]\n")
    assert str(error.value) == f"0.yaml:9: rule 'R': the list entry {entry} begins with a quote and is not one quoted text"


def test_later_definitions_win_and_appends_add() -> None:
    assert expand(BASE, "- macro: n\n  condition: never\n- macro: never\n  condition: evt.num = 0\n")["R"].endswith("or evt.num = 0)")
    assert expand(BASE, "- list: a\n  items: [v]\n  append: true\n")["R"].startswith('evt.type = open and (proc.name in (x, "y z", v, w)')
    assert expand(BASE, "- rule: R\n  condition: and fd.num = 1\n  override: {condition: append}\n")["R"].endswith("and fd.num = 1")
    assert expand(BASE, "- rule: R\n  condition: evt.type = dup\n  override: {condition: replace}\n") == {"R": "evt.type = dup"}


def test_exceptions() -> None:
    text = BASE + """\
  exceptions:
    - name: pairs
      fields: [proc.name, fd.name]
      comps: [=, startswith]
      values:
        - [a1, /b]
        - [c1, "/d e"]
    - name: ones
      fields: proc.pname
      comps: in
      values: [p1, p2]
"""
    assert expand(text)["R"].endswith(
        'and not (proc.name = a1 and fd.name startswith /b) and not (proc.name = c1 and fd.name startswith "/d e") '
        "and not proc.pname in (p1, p2)"
    )


def test_exception_of_the_wrong_length() -> None:
    with pytest.raises(RulesError, match="2 fields but 1 values"):
        expand(BASE + "  exceptions:\n    - {name: e, fields: [proc.name, fd.name], values: [[a]]}\n")


@pytest.mark.parametrize(
    ("condition", "types"),
    [
        ("evt.type = open", {"open"}),
        ("evt.type in (open, dup) and evt.type != dup", {"open"}),
        ("evt.type = open and proc.name = x or evt.type = dup", {"open", "dup"}),
        ("not evt.type in (open)", None),
        ("proc.name = x", None),
        ("evt.type = open or proc.name = x", None),
        ("not (evt.type != open or proc.name = x)", {"open"}),
        ("evt.type.is.open = 1", {"open"}),
    ],
)
def test_event_types(condition: str, types: set[str] | None) -> None:
    found = event_types(parse(condition).root)
    if condition.startswith("not evt.type in"):
        assert found == frozenset(codes_by_type()) - {"open"} - NOISY
    else:
        assert found == types


def test_needed_says_why() -> None:
    expansion = Expansion()
    expansion.add(read("f.yaml", BASE + "- rule: S\n  condition: evt.type in (ptrace, open)\n  output: o\n  priority: INFO\n"))
    expansion.add(read("g.yaml", "- rule: T\n  condition: proc.name = x\n  output: o\n  priority: INFO\n"))
    found = needed(expansion.all())
    (ptrace,) = codes_by_type()["ptrace"]
    (opened,) = codes_by_type()["open"]
    assert found.codes[ptrace] == ["rule S"]
    assert found.codes[opened] == ["state", "rule R", "rule S"]
    assert found.unbounded == ["T"]
    assert state_codes() <= found.codes.keys()
    assert {code for name in ("clone", "execve", "close", "procexit", "connect") for code in codes_by_type()[name]} <= state_codes()
