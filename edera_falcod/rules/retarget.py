"""Make rules for the host's system calls rules for zones: the same meaning, in fields that a plugin can serve.

What has to change (rules-usage.md section 2):

* ``source: edera_zone`` on every rule for system calls;
* an ancestor field without index, which libsinsp compares with any ancestor, becomes a list field with ``intersects``;
* fd.ip, fd.net, fd.port and fd.proto, which libsinsp compares with both ends of a connection, become one comparison for each end;
* an order comparison of a signed number, which a plugin serves as text, with anything but 0 becomes one of its unsigned companion;
* a required version of the container plugin becomes one of this plugin.

Everything else stays as it is, to the letter. A rule that cannot be carried over is commented out, with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from ..fields.spec import Type
from . import names
from .condition import Check, ConditionError, Expression, FieldRef, Junction, Left, Macro, Not, Operand, Text, Transformer, parse
from .expand import Expansion
from .ruleset import Item, RulesError, RulesFile, Scalar

SOURCE: Final = "edera_zone"
PLUGIN_NAME: Final = "edera"
PLUGIN_VERSION: Final = "0.1.0"

ANCESTORS: Final = {
    "proc.aname": "proc.anames",
    "proc.aexe": "proc.aexes",
    "proc.aexepath": "proc.aexepaths",
    "proc.acmdline": "proc.acmdlines",
    "proc.apid": "proc.apids",
    "proc.aenv": "proc.aenvs",
}
ENDS: Final = {
    "fd.ip": ("fd.ip.source", "fd.ip.dest"),
    "fd.net": ("fd.net.source", "fd.net.dest"),
    "fd.port": ("fd.port.source", "fd.port.dest"),
    "fd.proto": ("fd.port.source", "fd.port.dest"),
}
NEVER_A_VALUE: Final = frozenset({"fd.cip.name", "fd.sip.name", "fd.lip.name", "fd.rip.name"})
ORDER: Final = frozenset({"<", "<=", ">", ">="})
OUTPUT_FIELD: Final = re.compile(r"%(?:\*)?((?:[a-z0-9]+\()*)([a-zA-Z][a-zA-Z0-9_]*(?:\.[a-zA-Z][a-zA-Z0-9_]*)+)(?:\[([^\]]*)\])?")


class Unsupported(Exception):
    """A comparison that no plugin field can express; the text is the reason."""


@dataclass(slots=True)
class Change:
    """One thing that was changed, or (``after`` empty) that could not be."""

    file: str
    line: int
    entry: str  # "rule NAME", "macro NAME", ...
    reason: str
    before: str = ""
    after: str = ""


@dataclass(slots=True)
class Report:
    """``carried``: names of the rules that hold for zones; ``left_out``: those that do not, with the reason."""

    changes: list[Change] = field(default_factory=list)
    left_out: list[Change] = field(default_factory=list)
    warnings: list[Change] = field(default_factory=list)
    carried: list[str] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)  # rules of other sources


def rewritten(check: Check, text: str) -> str | None:
    """What a comparison has to read instead, None if it may stay; raises Unsupported. ``text`` is the condition it stands in."""
    left = check.left
    if not isinstance(left, FieldRef):
        for ref in _refs(left):
            if ref.arg is None and (ref.name in ANCESTORS or ref.name in ENDS):
                raise Unsupported(f"{ref.name} without index in a transformer")
        return None
    right = "" if check.right is None else text[check.right.start : check.right.end] if check.right.end else check.right.text()
    if left.arg is None and left.name in ANCESTORS:
        return _ancestors(left.name, check, right)
    if left.name in ENDS:
        return _ends(left.name, check, right)
    declared = names.known(left.name)
    if declared is not None and declared.type is Type.SIGNED and check.operator in ORDER:
        return _order(left, check)
    if left.name == "evt.buffer" and check.operator in ("bcontains", "bstartswith"):
        raise Unsupported(f"{check.operator} needs a field of bytes, which a plugin cannot serve")
    return None


def _ancestors(name: str, check: Check, right: str) -> str | None:
    plural = ANCESTORS[name]
    if isinstance(check.right, Transformer):
        raise Unsupported(f"{name} without index compared with a transformer")
    match check.operator:
        case "=" | "==":
            return f"{plural} intersects ({right})"
        case "!=":
            return f"({plural} exists and not {plural} in ({right}))"
        case "in" | "intersects":
            return f"{plural} intersects {right}"
        case "exists":
            return f"{plural} exists"
        case "contains" | "icontains" if isinstance(check.right, Text) and not any(c.isspace() for c in check.right.value()):
            return None  # the field's text is the ancestors' joined by blanks: what has none is found in it just the same
    raise Unsupported(f"{name} without index with {check.operator!r}: name an index, for example {name}[2]")


def _ends(name: str, check: Check, right: str) -> str:
    source, dest = ENDS[name]
    if isinstance(check.right, Transformer):
        raise Unsupported(f"{name} compared with a transformer")
    if name == "fd.proto" and check.operator != "exists":
        texts = re.findall(r"[^\s(),\"']+", right)
        if not all(item.isdigit() for item in texts):
            raise Unsupported("fd.proto with the name of a service: write the port's number")
    match check.operator:
        case "exists":
            return "fd.type exists"
        case "!=":
            return f"({source} != {right} and {dest} != {right})"
        case "=" | "==" | "in" | "<" | "<=" | ">" | ">=":
            return f"({source} {check.operator} {right} or {dest} {check.operator} {right})"
    raise Unsupported(f"{name} with {check.operator!r}")


def _order(left: FieldRef, check: Check) -> str | None:
    try:
        number = int(check.right.value() if isinstance(check.right, Text) else "")
    except ValueError:
        raise Unsupported(f"{left.name} {check.operator} something that is not a number") from None
    name, operator = left.text(), check.operator
    if number == 0 and operator in ("<", ">="):
        return None  # as text, "-" sorts before every digit
    if number == -1:
        return {
            "<": f"({name} < 0 and {name} != -1)", "<=": f"{name} < 0", ">": f"{name} >= 0", ">=": f"({name} >= 0 or {name} = -1)",
        }[operator]  # fmt: skip
    if number < -1:
        raise Unsupported(f"{name} {operator} {number}: a signed number is served as text, which has no order below -1")
    companion = f"{left.name}.unsigned" + ("" if left.arg is None else f"[{left.arg}]")
    if names.known(f"{left.name}.unsigned") is None:
        raise Unsupported(f"{name} {operator} {number}: served as text, and it has no unsigned companion")
    if operator in ("<", "<="):
        return f"({name} < 0 or {companion} {operator} {number})"
    return f"({name} >= 0 and {companion} {operator} {number})"


def checks(node: Expression) -> Iterator[Check]:
    match node:
        case Check():
            yield node
        case Not():
            yield from checks(node.child)
        case Junction():
            for child in node.children:
                yield from checks(child)


def macros(node: Expression) -> Iterator[Macro]:
    match node:
        case Macro():
            yield node
        case Not():
            yield from macros(node.child)
        case Junction():
            for child in node.children:
                yield from macros(child)


def _refs(operand: Left | Operand) -> Iterator[FieldRef]:
    if isinstance(operand, FieldRef):
        yield operand
    elif isinstance(operand, Transformer):
        for item in operand.args:
            yield from _refs(item)
    elif isinstance(operand, list):
        for item in operand:
            yield from _refs(item)


def references(check: Check) -> Iterator[FieldRef]:
    """Every field that a comparison names, on either side."""
    yield from _refs(check.left)
    if isinstance(check.right, Transformer):
        yield from _refs(check.right)


def output_problems(output: str) -> list[str]:
    return [text for _, name, arg in OUTPUT_FIELD.findall(output) if (text := names.problem(name, arg or None))]


def obstacles(tree: Expression, output: str) -> list[str]:
    """Why a rule, macros and lists put in, cannot hold for zones; empty if it can."""
    found: list[str] = []
    for check in checks(tree):
        text = check.text()
        try:
            after = rewritten(parse_check(text), text)
        except Unsupported as error:
            found.append(str(error))
            continue
        for ref in references(check) if after is None else ():
            trouble = names.problem(ref.name, ref.arg)
            if trouble:
                found.append(trouble)
    found += [f"output: {trouble}" for trouble in output_problems(output)]
    return list(dict.fromkeys(found))


def parse_check(text: str) -> Check:
    root = parse(text).root
    assert isinstance(root, Check)
    return root


class Retarget:
    """Retargets files in the order given, later ones seeing the macros and lists of those before."""

    def __init__(self) -> None:
        self.report = Report()
        self.expansion = Expansion()

    def file(self, file: RulesFile) -> str:
        """The retargeted text of one file; what was done goes to ``report``. Raises RulesError."""
        self.expansion.add(file)
        left_out = self._left_out(file)
        for item in file.items:
            entry = f"{item.kind} {item.name}".strip()
            if item.kind == "required_plugin_versions":
                self._required_plugins(file, item)
            elif item.kind == "rule" and item.name in left_out:
                reason = left_out[item.name]
                self.report.left_out.append(Change(file.path, item.line, entry, reason))
                _comment_out(file, item, reason)
            elif item.kind in ("rule", "macro"):
                if item.kind == "rule" and not self._for_system_calls(item):
                    self.report.untouched.append(item.name)
                    continue
                self._condition(file, item, entry)
                if item.kind == "rule":
                    self._source(file, item, entry)
        return file.changed()

    def _for_system_calls(self, item: Item) -> bool:
        rule = self.expansion.rules.get(item.name)
        source = str((rule.data if rule else item.data).get("source", "syscall"))
        return source in ("syscall", SOURCE)

    def _left_out(self, file: RulesFile) -> dict[str, str]:
        reasons: dict[str, str] = {}
        for name in dict.fromkeys(item.name for item in file.items if item.kind == "rule"):
            rule = self.expansion.rules[name]
            source = str(rule.data.get("source", "syscall"))
            if source not in ("syscall", SOURCE):
                continue
            expanded = self.expansion.expanded(rule)
            found = obstacles(expanded.tree, expanded.output)
            found += [f"exception {bad}" for bad in _exception_fields(rule.exceptions)]
            if found:
                reasons[name] = "; ".join(found)
            else:
                self.report.carried.append(name)
                self._warn(file, name, expanded.tree)
        return reasons

    def _warn(self, file: RulesFile, name: str, tree: Expression) -> None:
        line = self.expansion.rules[name].item.line
        for check in checks(tree):
            for ref in references(check):
                if ref.name in NEVER_A_VALUE:
                    self._warning(file, line, name, f"{ref.name} never has a value for a zone: what is compared with it is false")
            if isinstance(check.left, FieldRef) and check.left.name == "evt.type" and check.right is not None:
                for value in re.findall(r"[^\s(),\"']+", check.right.text()):
                    if check.operator in ("=", "==", "!=", "in") and value not in names.event_types():
                        self._warning(file, line, name, f"evt.type is never {value!r}")

    def _warning(self, file: RulesFile, line: int, name: str, reason: str) -> None:
        change = Change(file.path, line, f"rule {name}", reason)
        if change not in self.report.warnings:
            self.report.warnings.append(change)

    def _condition(self, file: RulesFile, item: Item, entry: str) -> None:
        scalar = item.texts.get("condition")
        if scalar is None:
            return
        try:
            condition = parse(scalar.value)
        except ConditionError as error:
            places = file.offsets(scalar)
            where = file.place(places[min(error.offset, len(places) - 1)]) if places else f"{file.path}:{scalar.line}:{scalar.column}"
            raise RulesError(f"{where}: {entry}: {error}") from None
        edits: list[tuple[int, int, str]] = []
        for check in checks(condition.root):
            try:
                after = rewritten(check, scalar.value)
            except Unsupported:
                continue  # the rules that come to this comparison are left out
            if after is not None:
                edits.append((check.start, check.end, after))
        if edits:
            self._splice(file, item, entry, scalar, edits)

    def _splice(self, file: RulesFile, item: Item, entry: str, scalar: Scalar, edits: list[tuple[int, int, str]]) -> None:
        places = file.offsets(scalar)
        value = scalar.value
        for start, end, after in edits:
            line = item.line if places is None else file.text.count("\n", 0, places[start]) + 1
            self.report.changes.append(Change(file.path, line, entry, "means the same in plugin fields", value[start:end], after))
        for start, end, after in reversed(edits):
            if places is not None:
                if scalar.style == "'":
                    after = after.replace("'", "''")
                file.splice(places[start], places[end - 1] + 1, after)
            else:
                value = value[:start] + after + value[end:]
        if places is None:
            file.splice(scalar.start, scalar.end, "'" + value.replace("'", "''") + "'")

    def _source(self, file: RulesFile, item: Item, entry: str) -> None:
        source = item.texts.get("source")
        if source is not None:
            if source.value == "syscall":
                file.splice(source.start, source.end, SOURCE)
                self.report.changes.append(Change(file.path, source.line, entry, "source", "syscall", SOURCE))
            return
        if item.appends or "condition" not in item.data:
            return  # it changes a rule that has its source already
        end = item.texts["rule"].end
        if item.node.flow_style:
            file.splice(end, end, f", source: {SOURCE}")
        else:
            newline = file.text.find("\n", end)
            at = len(file.text) if newline < 0 else newline
            file.splice(at, at, f"\n{' ' * item.indent}source: {SOURCE}")
        self.report.changes.append(Change(file.path, item.line, entry, "source", "", SOURCE))

    def _required_plugins(self, file: RulesFile, item: Item) -> None:
        for key, value in item.node.value:
            if key.value != "required_plugin_versions" or not isinstance(value, SequenceNode):
                continue
            listed = [entry for entry in value.value if isinstance(entry, MappingNode)]
            have = {str(v.value) for entry in listed for k, v in entry.value if k.value == "name"}
            for entry in listed:
                parts = {str(k.value): v for k, v in entry.value}
                name, version = parts.get("name"), parts.get("version")
                if not isinstance(name, ScalarNode) or name.value != "container" or PLUGIN_NAME in have:
                    continue
                file.splice(name.start_mark.index, name.end_mark.index, PLUGIN_NAME)
                if isinstance(version, ScalarNode):
                    file.splice(version.start_mark.index, version.end_mark.index, PLUGIN_VERSION)
                have.add(PLUGIN_NAME)
                before = f"container {version.value if isinstance(version, ScalarNode) else ''}".strip()
                self.report.changes.append(
                    Change(file.path, item.line, "required_plugin_versions", "zones need no container plugin", before,
                           f"{PLUGIN_NAME} {PLUGIN_VERSION}")
                )  # fmt: skip


def _exception_fields(exceptions: list[dict[str, object]]) -> list[str]:
    bad: list[str] = []
    for entry in exceptions:
        fields = entry.get("fields")
        for name in fields if isinstance(fields, list) else [fields]:
            base, _, rest = str(name).partition("[")
            trouble = names.problem(base, rest.rstrip("]") or None)
            if trouble is None and not rest and (base in ANCESTORS or base in ENDS):
                trouble = f"names {base}, which a plugin field cannot express there: write the exception into the condition"
            if trouble:
                bad.append(f"{entry.get('name')!r}: {trouble}")
    return bad


def _comment_out(file: RulesFile, item: Item, reason: str) -> None:
    start = file.text.rfind("\n", 0, item.start) + 1
    end = item.end
    body = file.text[start:end].rstrip()
    lines = "\n".join(f"# {line}".rstrip() for line in body.split("\n"))
    file.splice(start, start + len(body), f"# edera-falcod: left out, {reason}\n{lines}")
