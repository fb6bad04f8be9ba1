"""Give rules, macros and lists names of their own, so that retargeted files load beside those they were made from.

Falco keeps one rule, macro or list for a name, whatever its source: the later one replaces the earlier."""

from __future__ import annotations

from typing import Final

from ruamel.yaml.nodes import ScalarNode, SequenceNode

from .condition import Expression, ListName, Values, checks, macros
from .expand import parsed
from .retarget import SOURCE
from .ruleset import Item, RulesFile

RULE_SUFFIX: Final = " (zone)"
OURS: Final = frozenset({SOURCE, "syscall"})
NAME_SUFFIX: Final = "_zone"  # macros and lists: letters, digits and underscores only


def renamed(files: list[RulesFile]) -> list[str]:
    """The texts of the files, every definition in them renamed and every use of it too. Names of other files stay, and those of rules
    for other sources: loaded twice under one name they are one rule, under two names they would tell everything twice."""
    own = {kind: {item.name for file in files for item in file.items if item.kind == kind} for kind in ("rule", "macro", "list")}
    for file in files:
        own["rule"] -= {item.name for item in file.items if item.kind == "rule" and item.data.get("source", SOURCE) not in OURS}
    return [_file(file, own) for file in files]


def _suffixed(name: str, suffix: str) -> str:
    return name if name.endswith(suffix) else name + suffix


def _scalar(text: str, style: str | None) -> str:
    """A text as YAML, in the style that it had where that can hold it."""
    if style is None:
        return text
    if style == '"' and text.isprintable():
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "'" + text.replace("'", "''") + "'"


def _file(file: RulesFile, own: dict[str, set[str]]) -> str:
    for item in file.items:
        if item.kind in own and item.name in own[item.kind]:
            suffix = RULE_SUFFIX if item.kind == "rule" else NAME_SUFFIX
            scalar = item.texts[item.kind]
            file.splice(scalar.start, scalar.end, _scalar(_suffixed(item.name, suffix), scalar.style))
        if item.kind == "list":
            _items(file, item, own["list"])
        elif item.kind in ("rule", "macro") and "condition" in item.texts:
            _condition(file, item, own)
    return file.changed()


def _items(file: RulesFile, item: Item, lists: set[str]) -> None:
    for key, value in item.node.value:
        if key.value == "items" and isinstance(value, SequenceNode):
            for entry in value.value:
                if isinstance(entry, ScalarNode) and entry.value in lists:  # quoted or not: Falco sees no difference
                    named = _scalar(_suffixed(entry.value, NAME_SUFFIX), entry.style)
                    file.splice(entry.start_mark.index, entry.end_mark.index, named)


def _condition(file: RulesFile, item: Item, own: dict[str, set[str]]) -> None:
    scalar = item.texts["condition"]
    root = parsed(file, item, f"{item.kind} {item.name}").root
    edits = [(start, end, _suffixed(name, NAME_SUFFIX)) for start, end, name in _uses(root, own)]
    places = file.offsets(scalar)
    if places is not None:
        for start, end, name in edits:
            file.splice(places[start], places[end - 1] + 1, name)
    elif edits:
        value = scalar.value
        for start, end, name in sorted(edits, reverse=True):
            value = value[:start] + name + value[end:]
        file.splice(scalar.start, scalar.end, "'" + value.replace("'", "''") + "'")


def _uses(root: Expression, own: dict[str, set[str]]) -> list[tuple[int, int, str]]:
    found = [(macro.start, macro.end, macro.name) for macro in macros(root) if macro.name in own["macro"]]
    for check in checks(root):
        if isinstance(check.right, Values):
            found += [(item.start, item.end, item.raw) for item in check.right.items if item.raw in own["list"]]
        elif isinstance(check.right, ListName) and check.right.name in own["list"]:
            found.append((check.right.start, check.right.end, check.right.name))
    return found
