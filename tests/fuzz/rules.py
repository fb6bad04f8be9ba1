"""Invariant: any text is read as rules, retargeted and expanded, or refused with the place; what is written out is read again with the same
rules, and a condition that is parsed prints as one that means the same."""

from __future__ import annotations

from edera_falcod.rules.condition import ConditionError, parse
from edera_falcod.rules.expand import Expansion
from edera_falcod.rules.rename import renamed
from edera_falcod.rules.retarget import Report, Retarget, defines
from edera_falcod.rules.ruleset import RulesError, RulesFile, read
from tests.rules.answers import FILES

from .dice import Dice

CONDITION, FILE = range(2)
FAMILY = """- list: shells
  items: [bash, "sh"]
- list: shells
  items: [zsh]
  append: true
- macro: spawned
  condition: (evt.type in (execve, execveat) and evt.dir=<)
- macro: by_shell
  condition: proc.name in (shells) or proc.aname[2] in (shells)
- rule: A
  desc: x
  condition: spawned and by_shell and not proc.pname startswith a
  output: "a %proc.name %proc.aname[2] %container.id"
  priority: WARNING
  tags: [a, b]
  exceptions:
    - name: one
      fields: [proc.name, fd.sport]
      comps: [=, in]
      values: [[a, [80, 443]], ["b", [1]]]
    - {name: two, fields: proc.pname, comps: endswith, values: [c, d]}
- rule: A
  condition: and fd.name glob /etc/* and not fd.sip = 10.0.0.1
  append: true
- rule: A
  exceptions: [{name: one, values: [[e, [2]]]}]
  override: {exceptions: append}
- rule: A
  output: new %evt.args
  enabled: false
  override: {output: replace, enabled: replace}
- rule: B
  source: k8s_audit
  condition: ka.verb = get
  output: b
  priority: INFO
"""


def corpus() -> list[bytes]:
    found = [bytes([FILE]) + FAMILY.encode()]
    for file in FILES:
        text = file.read_text()
        parts = text.split("\n- ")
        found += [bytes([FILE]) + f"- {part}".encode() for part in parts[1:]]
        found.append(bytes([FILE]) + "\n- ".join(["", *parts[1:6]]).encode())
        for item in read(str(file), text).items:
            if "condition" in item.texts:
                found.append(bytes([CONDITION]) + item.texts["condition"].value.encode())
    return found


def kept(file: RulesFile, report: Report) -> list[str]:
    """Names of the entries that are not left out. A rule is left out with all that adds to it, up to where it is defined anew."""
    left_out = {(change.line, change.entry) for change in report.left_out}
    gone: dict[str, bool] = {}
    found = []
    for item in file.items:
        if item.kind == "rule":
            if item.name not in gone or defines(item):
                gone[item.name] = (item.line, f"rule {item.name}".strip()) in left_out
            if gone[item.name]:
                continue
        found.append(item.name)
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
    assert [item.name for item in again.items] == kept(file, retarget.report)
    try:
        expansion = Expansion()
        expansion.add(again)
        expansion.all()
        renamed([again])
    except RulesError as error:
        assert str(error)
