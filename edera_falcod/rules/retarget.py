"""Make rules for the host's system calls rules for zones: the same meaning, in fields that a plugin can serve.

What has to change (rules-usage.md section 2):

* ``source: edera_zone`` on every rule for system calls;
* comparisons that a plugin field cannot make as they stand (rewrite.py), in conditions, macros and exceptions;
* a required version of the container plugin becomes one of this plugin.

Everything else stays as it is, to the letter. A rule that cannot be carried over is commented out, with its reason, wherever the files
speak of it: Falco loads one file after the other, and one rule that does not compile after any of them ends it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from . import names
from .condition import Check, Expression, checks, parse
from .expand import ExpandedRule, Expansion, exception_checks, parsed
from .rewrite import ANCESTORS, Lists, Unsupported, cautions, references, rewritten
from .ruleset import Item, RulesError, RulesFile, Scalar, read

SOURCE: Final = "edera_zone"
PLUGIN_NAME: Final = "edera"
PLUGIN_VERSION: Final = "0.1.0"

OUTPUT_FIELD: Final = re.compile(r"%(?:\*)?((?:[a-z0-9]+\()*)([a-zA-Z][a-zA-Z0-9_]*(?:\.[a-zA-Z][a-zA-Z0-9_]*)+)(?:\[([^\]]*)\])?")
DROPPED_BY_FALCO: Final = "container.info"  # Falco takes it out of outputs by itself
ANY_OF: Final = frozenset({"=", "==", "in", "intersects"})  # what "intersects" says of the list of ancestors


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


def output_problems(output: str) -> list[str]:
    found = []
    for _, name, arg in OUTPUT_FIELD.findall(output):
        trouble = names.problem(name, arg or None)
        if trouble and name != DROPPED_BY_FALCO:
            found.append(trouble)
    return found


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


@dataclass(slots=True)
class _Life:
    """A rule from one full definition to the next: ``reason`` says why it cannot be carried over, "" if it can."""

    name: str
    source: str
    reason: str = ""

    @property
    def ours(self) -> bool:
        return self.source in ("syscall", SOURCE)


class Retarget:
    """Retargets files together: ``add`` all of them in Falco's order, then ask for the ``text`` of each; or ``files`` does both. What was
    done goes to ``report``. Each raises RulesError."""

    def __init__(self) -> None:
        self.report = Report()
        self.expansion = Expansion()
        self._lives: dict[str, list[_Life]] = {}
        self._life_of: dict[int, _Life] = {}  # by the entry's identity; the files keep them alive
        self._files: list[RulesFile] = []
        self._told: list[_Life] = []

    def files(self, files: list[RulesFile]) -> list[str]:
        """The retargeted texts of all files."""
        for file in files:
            self.add(file)
        return [self.text(file) for file in files]

    def add(self, file: RulesFile) -> None:
        """Take in one file, as Falco loads it behind those before."""
        known = {*self.expansion.macros, *self.expansion.lists}
        self.expansion.add(file)
        self._files.append(file)
        touched = []
        for item in file.items:
            if item.kind != "rule":
                continue
            lives = self._lives.setdefault(item.name, [])
            if not lives or defines(item):
                lives.append(_Life(item.name, ""))
            lives[-1].source = str(self.expansion.rules[item.name].data.get("source", "syscall"))
            self._life_of[id(item)] = lives[-1]
            touched.append(item.name)
        # An entry that changes a macro or list of a file before changes the rules of that file too.
        if any(item.kind in ("macro", "list") and item.name in known for item in file.items):
            touched = list(self.expansion.rules)
        try:
            for name in dict.fromkeys(touched):
                self._look(name)
        except RulesError:
            for item in file.items:  # the place in the text says more than the rule's
                if item.kind in ("rule", "macro") and "condition" in item.texts:
                    parsed(file, item, f"{item.kind} {item.name}")
            raise

    def _look(self, name: str) -> None:
        rule = self.expansion.rules[name]
        life = self._lives[name][-1]
        if life.reason or not life.ours:
            return
        expanded = self.expansion.expanded(rule)
        found = obstacles(expanded.tree, expanded.output)
        found += _exception_problems(rule.exceptions, self.expansion.lists)
        life.reason = " ".join("; ".join(dict.fromkeys(found)).split())

    def text(self, file: RulesFile) -> str:
        """One file's retargeted text, once all are added."""
        if not self.report.carried and not self.report.untouched:
            self._report_rules()
        for item in file.items:
            entry = f"{item.kind} {item.name}".strip()
            if item.kind == "required_plugin_versions":
                self._required_plugins(file, item)
            elif item.kind == "rule":
                life = self._life_of[id(item)]
                if life.reason:
                    if not any(life is one for one in self._told):
                        self._told.append(life)
                        self.report.left_out.append(Change(file.path, item.line, entry, life.reason))
                    _comment_out(file, item, life.reason)
                elif life.ours:
                    self._condition(file, item, entry)
                    self._exceptions(file, item, entry)
                    self._source(file, item, entry)
            elif item.kind == "macro":
                self._condition(file, item, entry)
        text = file.changed()
        try:
            read(file.path, text)
        except RulesError as error:  # such as an anchor in a rule that is left out
            raise RulesError(f"{file.path}: its entries cannot be changed one by one; it would be no rules file then ({error})") from None
        return text

    def file(self, file: RulesFile) -> str:
        """The retargeted text of a file that stands for itself."""
        return self.files([file])[0]

    def _report_rules(self) -> None:
        for name, rule in self.expansion.rules.items():
            life = self._lives[name][-1]
            if not life.ours:
                self.report.untouched.append(name)
            elif life.reason:
                for earlier in self._lives[name][:-1]:  # it was replaced, and must not come back
                    earlier.reason = earlier.reason or f"a later definition replaces it, which is left out: {life.reason}"
            else:
                self.report.carried.append(name)
                self._warn(rule.file, rule.item, self.expansion.expanded(rule))

    def _warn(self, file: RulesFile, item: Item, rule: ExpandedRule) -> None:
        for check in checks(rule.tree):
            for caution in cautions(check):
                self._warning(file, item, caution)
            for ref in references(check):
                if ref.name != "evt.type" or check.right is None or check.operator not in ("=", "==", "!=", "in"):
                    continue
                for value in re.findall(r"[^\s(),\"']+", check.right.text()):
                    if value not in names.event_types():
                        self._warning(file, item, f"evt.type is never {value!r}")

    def _warning(self, file: RulesFile, item: Item, reason: str) -> None:
        change = Change(file.path, item.line, f"rule {item.name}", reason)
        if change not in self.report.warnings:
            self.report.warnings.append(change)

    def _condition(self, file: RulesFile, item: Item, entry: str) -> None:
        scalar = item.texts.get("condition")
        if scalar is None:
            return
        condition = parsed(file, item, entry)
        edits: list[tuple[int, int, str]] = []
        for check in checks(condition.root):
            try:
                after = rewritten(check, scalar.value, self.expansion.lists)
            except Unsupported:
                continue  # the rules that come to this comparison are left out
            if after is not None:
                edits.append((check.start, check.end, after))
        if edits:
            self._splice(file, item, entry, scalar, edits)

    def _splice(self, file: RulesFile, item: Item, entry: str, scalar: Scalar, edits: list[tuple[int, int, str]]) -> None:
        # In flow style a plain text holds no brackets or commas.
        places = None if item.node.flow_style and scalar.style is None else file.offsets(scalar)
        value = scalar.value
        for start, end, after in edits:
            line = scalar.line if places is None else file.line(places[start])
            self.report.changes.append(Change(file.path, line, entry, "means the same in plugin fields", value[start:end], after))
        for start, end, after in reversed(edits):
            if places is None:
                value = value[:start] + after + value[end:]
            else:
                file.splice(places[start], places[end - 1] + 1, after.replace("'", "''") if scalar.style == "'" else after)
        if places is None:
            end = scalar.start + len(file.text[scalar.start : scalar.end].rstrip())
            plain = value.isprintable()  # else: line breaks, and what only double quotes can hold
            file.splice(scalar.start, end, "'" + value.replace("'", "''") + "'" if plain else json.dumps(value, ensure_ascii=False))

    def _exceptions(self, file: RulesFile, item: Item, entry: str) -> None:
        """Exceptions by any ancestor: by the list of them."""
        for exception in _entries(item.node, "exceptions"):
            parts = {str(key.value): value for key, value in exception.value}
            fields = parts.get("fields")
            listed = fields.value if isinstance(fields, SequenceNode) else [fields]
            if not any(isinstance(one, ScalarNode) and one.value in ANCESTORS for one in listed):
                continue
            assert fields is not None
            comps = parts.get("comps")
            default = "=" if isinstance(fields, SequenceNode) else "in"
            given = comps.value if isinstance(comps, SequenceNode) else [comps] if comps is not None else []
            operators = [str(one.value) for one in given] or [default] * len(listed)
            for place, one in enumerate(listed):
                if one.value not in ANCESTORS:
                    continue
                file.splice(one.start_mark.index, one.end_mark.index, ANCESTORS[one.value])
                operators[place] = "intersects"
                if given:
                    file.splice(given[place].start_mark.index, given[place].end_mark.index, "intersects")
                change = Change(
                    file.path, one.start_mark.line + 1, entry, "means the same in plugin fields", str(one.value), ANCESTORS[one.value]
                )
                self.report.changes.append(change)
            if not given:
                words = f"[{', '.join(operators)}]" if isinstance(fields, SequenceNode) else operators[0]
                between = ", " if exception.flow_style else f"{file.newline}{' ' * exception.start_mark.column}"
                at = _end(file, fields)
                file.splice(at, at, f"{between}comps: {words}")

    def _source(self, file: RulesFile, item: Item, entry: str) -> None:
        source = item.texts.get("source")
        if source is not None:
            if source.value == "syscall":
                file.splice(source.start, source.end, SOURCE)
                self.report.changes.append(Change(file.path, source.line, entry, "source", "syscall", SOURCE))
            return
        if not defines(item):
            return  # it changes a rule that has its source already
        name = item.texts["rule"]
        if item.node.flow_style:
            file.splice(name.end, name.end, f", source: {SOURCE}")
        else:
            at = name.start + len(file.text[name.start : name.end].rstrip())
            at = next((place for place in range(at, len(file.text)) if file.text[place] in "\r\n"), len(file.text))
            file.splice(at, at, f"{file.newline}{' ' * item.indent}source: {SOURCE}")
        self.report.changes.append(Change(file.path, item.line, entry, "source", "", SOURCE))

    def _required_plugins(self, file: RulesFile, item: Item) -> None:
        listed = _entries(item.node, "required_plugin_versions")
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


def defines(item: Item) -> bool:
    """Whether a rule's entry defines it, and does not add to one before."""
    return not item.appends and "condition" in item.data


def _entries(node: MappingNode, key: str) -> list[MappingNode]:
    """The mappings in the list under a key."""
    found: list[MappingNode] = []
    for name, value in node.value:
        if name.value == key and isinstance(value, SequenceNode):
            found += [entry for entry in value.value if isinstance(entry, MappingNode)]
    return found


def _end(file: RulesFile, node: Node) -> int:
    """Where a node's text ends; that of a list in block style reaches to the next entry."""
    start: int = node.start_mark.index
    return start + len(file.text[start : node.end_mark.index].rstrip())


def _exception_problems(exceptions: list[dict[str, object]], lists: Lists) -> list[str]:
    """Why Falco would refuse an exception, or where it would mean something else."""
    bad: list[str] = []
    for entry in exceptions:
        fields = entry.get("fields")
        for name in fields if isinstance(fields, list) else [fields]:
            base, _, rest = str(name).partition("[")
            trouble = names.problem(base, rest.rstrip("]") or None)
            if trouble:
                bad.append(f"exception {entry.get('name')!r}: {trouble}")
        for check in exception_checks(entry):
            ancestors = check.left.text() in ANCESTORS
            try:
                after = rewritten(check, check.text(), lists)
            except Unsupported as error:
                bad.append(f"exception {entry.get('name')!r}: {error}")
                continue
            if after is not None and not (ancestors and check.operator in ANY_OF):
                bad.append(
                    f"exception {entry.get('name')!r}: {check.left.text()} {check.operator} needs a comparison of its own: write the "
                    f"exception into the condition, as 'and not {after}'"
                )
    return bad


def _comment_out(file: RulesFile, item: Item, reason: str) -> None:
    last_of_line = file.newline[-1]
    start = file.text.rfind(last_of_line, 0, item.start) + 1
    body = file.text[start : item.end].rstrip()
    while (last := body.rpartition(last_of_line)[2]).lstrip().startswith("#") and len(last) - len(last.lstrip()) < item.indent:
        body = body[: -len(last)].rstrip()  # a comment that stands before the next entry
    lines = file.newline.join(f"# {line}".rstrip() for line in file.lines(body))
    file.splice(start, start + len(body), f"# edera-falcod: left out, {reason}{file.newline}{lines}")
