"""Rules as the engine sees them: appends and overrides done, macros and lists put in, exceptions joined to the condition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from .condition import Check, Condition, ConditionError, Expression, Junction, ListName, Macro, Not, Text, Values, is_quoted, parse, quote
from .ruleset import Item, RulesError, RulesFile

MAX_EXPANSION: Final = 64  # how deep macros may call macros; upstream's go 9 deep
MAX_COMPARISONS: Final = 50_000  # of one rule with its macros in it; upstream's largest has some 600
MAX_VALUES: Final = 100_000  # entries of one list with the lists in it; upstream's longest has about 300


@dataclass(slots=True)
class ExpandedRule:
    """A rule with nothing left to look up. ``condition`` and ``output`` are texts for Falco's compiler."""

    name: str
    file: str
    line: int
    source: str
    condition: str
    output: str
    priority: str
    enabled: bool
    tags: list[str]
    tree: Expression


@dataclass(slots=True)
class _Rule:
    item: Item
    file: RulesFile
    condition: str
    output: str
    data: dict[str, Any]
    exceptions: list[dict[str, Any]]


@dataclass(slots=True)
class Expansion:
    """All definitions of a sequence of files, later ones over earlier ones as Falco loads them."""

    lists: dict[str, list[str]] = field(default_factory=dict)
    macros: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)  # "macro NAME" / "rule NAME" -> file:line
    rules: dict[str, _Rule] = field(default_factory=dict)
    _trees: dict[str, Expression] = field(default_factory=dict)
    _weights: dict[str, int] = field(default_factory=dict)

    def add(self, file: RulesFile) -> None:
        for item in file.items:
            place = f"{file.path}:{item.line}"
            match item.kind:
                case "list":
                    items = [str(value) for value in item.data.get("items") or []]
                    known = self.lists.get(item.name, []) if _adds(item, "items") else []
                    self.lists[item.name] = known + items
                case "macro":
                    text = str(item.data.get("condition", ""))
                    if _adds(item, "condition"):
                        if item.name not in self.macros:
                            raise RulesError(f"{place}: macro {item.name!r} is appended to, but no file before defines it")
                        text = f"{self.macros[item.name]} {text}"
                    self.macros[item.name] = text
                    self.places[f"macro {item.name}"] = place
                case "rule":
                    self._add_rule(item, file, place)
        self._trees.clear()
        self._weights.clear()

    def _add_rule(self, item: Item, file: RulesFile, place: str) -> None:
        known = self.rules.get(item.name)
        if not item.appends and ("condition" in item.data or known is None):
            if "condition" not in item.data:
                raise RulesError(f"{place}: rule {item.name!r} has no condition, and no file before defines it")
            exceptions = [dict(entry) for entry in item.data.get("exceptions") or [] if isinstance(entry, dict)]
            self.rules[item.name] = _Rule(
                item, file, str(item.data["condition"]), str(item.data.get("output", "")), dict(item.data), exceptions
            )
            return
        if known is None:
            raise RulesError(f"{place}: rule {item.name!r} is appended to or overridden, but no file before defines it")
        for key in ("condition", "output"):
            if key in item.data:
                old = getattr(known, key)
                setattr(known, key, f"{old} {item.data[key]}" if _adds(item, key) else str(item.data[key]))
        for key in ("priority", "enabled", "tags", "source"):
            if key in item.data:
                known.data[key] = item.data[key]
        for entry in item.data.get("exceptions") or []:
            if not isinstance(entry, dict):
                continue
            same = next((old for old in known.exceptions if old.get("name") == entry.get("name")), None)
            if same is None or not _adds(item, "exceptions"):
                known.exceptions.append(dict(entry))
            else:
                same["values"] = list(same.get("values") or []) + list(entry.get("values") or [])

    def values(self, texts: list[Text]) -> list[Text]:
        """Entries of a list in parentheses with named lists put in."""
        out: list[Text] = []
        self._values([text.raw for text in texts], texts[0] if texts else None, out, 0)
        return out

    def _values(self, raws: list[str], at: Text | None, out: list[Text], depth: int) -> None:
        if depth > MAX_EXPANSION:
            raise RulesError("lists name each other in a circle")
        for raw in raws:
            if len(out) >= MAX_VALUES:
                raise RulesError(f"a list has more than {MAX_VALUES} entries with all lists put in")
            if raw in self.lists:
                self._values(self.lists[raw], at, out, depth + 1)
            else:
                out.append(Text(at.start if at else 0, at.end if at else 0, _entry(raw)))

    def expand(self, node: Expression, depth: int = 0) -> Expression:
        """Raises RulesError for an unknown macro or a circle."""
        if depth > MAX_EXPANSION:
            raise RulesError("macros call each other in a circle")
        match node:
            case Macro():
                return self._macro(node, depth)
            case Not():
                return Not(node.start, node.end, self.expand(node.child, depth))
            case Junction():
                return Junction(node.start, node.end, node.word, [self.expand(child, depth) for child in node.children])
            case Check():
                right = node.right
                if isinstance(right, Values):
                    right = Values(right.start, right.end, self.values(right.items))
                elif isinstance(right, ListName):
                    right = Values(right.start, right.end, self.values([Text(right.start, right.end, right.name)]))
                elif isinstance(right, Text) and right.raw in self.lists:  # Falco puts lists in wherever their name stands
                    values = self.values([right])
                    if len(values) != 1:
                        raise RulesError(f"{right.raw} is a list of {len(values)} values, and {node.operator!r} compares with one")
                    right = values[0]
                return Check(node.start, node.end, node.left, node.operator, right)

    def _macro(self, node: Macro, depth: int) -> Expression:
        if node.name not in self.macros:
            raise RulesError(f"unknown macro {node.name!r}")
        if node.name not in self._trees:
            try:
                root = parse(self.macros[node.name]).root
            except ConditionError as error:
                raise RulesError(f"{self.places[f'macro {node.name}']}: macro {node.name!r}: {error}") from None
            self._trees[node.name] = self.expand(root, depth + 1)
            self._weights[node.name] = self._weight(root)
        return self._trees[node.name]

    def _weight(self, node: Expression) -> int:
        """How many comparisons an expression has with its macros put in; they are known. Raises RulesError for too many: macros that
        name others twice double with each step."""
        if isinstance(node, Macro):
            return self._weights[node.name]
        if isinstance(node, Not):
            return self._weight(node.child)
        weight = sum([self._weight(child) for child in node.children]) if isinstance(node, Junction) else 1
        if weight > MAX_COMPARISONS:
            raise RulesError(f"more than {MAX_COMPARISONS} comparisons with all macros put in")
        return weight

    def expanded(self, rule: _Rule) -> ExpandedRule:
        """Raises RulesError with file, line and rule."""
        place = f"{rule.file.path}:{rule.item.line}: rule {rule.item.name!r}"
        try:
            root = _with_exceptions(parse(rule.condition), rule.exceptions)
            tree = self.expand(root)
            self._weight(root)
        except (ConditionError, RulesError) as error:
            raise RulesError(f"{place}: {error}") from None
        data = rule.data
        return ExpandedRule(
            rule.item.name, rule.file.path, rule.item.line, str(data.get("source", "syscall")), tree.text(), " ".join(rule.output.split()),
            str(data.get("priority", "")), data.get("enabled", True) is not False, [str(tag) for tag in data.get("tags") or []], tree,
        )  # fmt: skip

    def all(self) -> list[ExpandedRule]:
        return [self.expanded(rule) for rule in self.rules.values()]


def _adds(item: Item, key: str) -> bool:
    """Does the entry's ``key`` go behind what an earlier entry has, instead of in its place?"""
    override = item.data.get("override")
    if isinstance(override, dict):
        return override.get(key) == "append"
    return item.data.get("append") is True


def parsed(file: RulesFile, item: Item, entry: str) -> Condition:
    """An entry's condition. Raises RulesError with the place in the file."""
    scalar = item.texts["condition"]
    try:
        return parse(scalar.value)
    except ConditionError as error:
        places = file.offsets(scalar)
        where = file.place(places[min(error.offset, len(places) - 1)]) if places else f"{file.path}:{scalar.line}:{scalar.column}"
        raise RulesError(f"{where}: {entry}: {error}") from None


def exception_checks(entry: dict[str, Any]) -> list[Check]:
    """Every comparison that an exception's lines of values make. Raises RulesError."""
    return [check for clause in _clauses(entry) for check in clause]


def _clauses(entry: dict[str, Any]) -> list[list[Check]]:
    """An exception's lines of values as comparisons that hold together; values of a single field are one line."""
    name, fields, comps, lines = entry.get("name"), entry.get("fields"), entry.get("comps"), entry.get("values") or []
    if not isinstance(lines, list) or not lines:
        return []
    if not isinstance(fields, list):
        lines = [[[value for line in lines for value in (line if isinstance(line, list) else [line])]]]
        fields, comps = [fields], [comps or "in"]
    operators = [str(comp) for comp in comps] if isinstance(comps, list) else ["="] * len(fields)
    found = []
    for line in lines:
        values = list(line) if isinstance(line, list) else [line]
        if len(fields) != len(operators):
            raise RulesError(f"exception {name!r}: {len(fields)} fields but {len(operators)} comps")
        if len(fields) != len(values):
            raise RulesError(f"exception {name!r}: {len(fields)} fields but {len(values)} values")
        clause = []
        for field_name, operator, value in zip(fields, operators, values, strict=True):
            root = parse(f"{field_name} {operator} {_value(value, operator)}").root
            if not isinstance(root, Check):
                raise RulesError(f"exception {name!r}: {field_name!r} is no field")
            clause.append(root)
        found.append(clause)
    return found


def _with_exceptions(condition: Condition, exceptions: list[dict[str, Any]]) -> Expression:
    """The condition, and none of its exceptions: ``and not (field comp value and ...)`` for each line of values."""
    root = condition.root
    clauses: list[Expression] = []
    for entry in exceptions:
        for line in _clauses(entry):
            clauses.append(Not(0, 0, line[0] if len(line) == 1 else Junction(0, 0, "and", list(line))))
    return Junction(root.start, root.end, "and", [root, *clauses]) if clauses else root


def _entry(raw: str) -> str:
    """A list's entry as a condition can hold it. Falco puts it in as it stands, so one that begins with a quote has to end with it."""
    if raw[:1] not in ("'", '"'):
        return quote(raw)
    if not is_quoted(raw):
        raise RulesError(f"the list entry {raw} begins with a quote and is not one quoted text")
    return raw


def _quoted(value: Any) -> str:
    text = str(value)
    return text if text[:1] in ("'", '"') else quote(text)


def _value(value: Any, operator: str) -> str:
    if operator in ("in", "intersects", "pmatch"):
        items = value if isinstance(value, list) else [value]
        text = str(value)
        return text if not isinstance(value, list) and text.startswith("(") else f"({', '.join(_quoted(item) for item in items)})"
    return _quoted(value)
