"""What rules must match: a small reader and evaluator of Falco rules of its own, over libsinsp's answers to a capture.

It shares nothing with edera_falcod/rules. It takes the rules as their author wrote them, for the host's system calls, and speaks of
values as libsinsp does (userspace/libsinsp, 0.25.4): numbers are numbers, an ancestor field without index is any ancestor, fd.ip and
its like are either end of a connection. So it says what a rule means before it is retargeted.
"""

from __future__ import annotations

import base64
import fnmatch
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

Fields = Mapping[str, Any]
Test = Callable[[Fields], bool]

TOKENS = re.compile(
    r"""\s*(?:
      (?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<punctuation>[(),])
    | (?P<operator><=|>=|!=|==|=|<|>)
    | (?P<field>[a-zA-Z]\w*(?:\.[a-zA-Z]\w*)+(?:\[[^\]]*\])?(?=[\s,()=!<>]|$))
    | (?P<word>[^()"'\s=,<>!\[]+(?:\[[^\]\s]*\])?)
    )""",
    re.VERBOSE | re.DOTALL,
)
OPERATORS = {
    "=", "==", "!=", "<", "<=", ">", ">=", "contains", "icontains", "bcontains", "startswith", "bstartswith", "endswith", "glob", "iglob",
    "regex", "in", "intersects", "pmatch", "exists",
}  # fmt: skip
TRANSFORMERS = {"tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt", "val"}
ANCESTORS = {"proc.aname": "proc.aname", "proc.aexe": "proc.aexe", "proc.aexepath": "proc.aexepath"}
ENDS = {"fd.ip": ("fd.cip", "fd.sip"), "fd.net": ("fd.cip", "fd.sip"), "fd.port": ("fd.cport", "fd.sport")}
TUPLE = re.compile(r"([0-9.]+|[0-9a-f:]+):(\d+)->([0-9.]+|[0-9a-f:]+):(\d+)")


@dataclass
class Rule:
    """``used``: (field form, operator) of every comparison, macros put in; ``inside``: fields in transformers; ``printed``: field forms
    of the output."""

    name: str
    condition: str
    output: str
    enabled: bool = True
    source: str = "syscall"
    exceptions: list[dict[str, Any]] = field(default_factory=list)
    used: set[tuple[str, str]] = field(default_factory=set)
    transformers: set[str] = field(default_factory=set)
    inside: set[str] = field(default_factory=set)
    printed: list[str] = field(default_factory=list)
    matches: Test = lambda _: False


class Rules:
    """The rules of files, later ones over earlier ones, ready to be asked."""

    def __init__(self, *files: Path) -> None:
        self.lists: dict[str, list[str]] = {}
        self.macros: dict[str, str] = {}
        self.rules: dict[str, Rule] = {}
        for file in files:
            for entry in YAML(typ="base").load(file.read_text()):  # every scalar a text, as Falco's reader has it
                self._take(entry)
        for rule in self.rules.values():
            reader = _Reader(self, rule)
            tests = [reader.condition(rule.condition)]
            tests += [_negated(reader.condition(clause)) for clause in self._exceptions(rule)]
            rule.matches = _every(tests)
            rule.printed = re.findall(r"%([a-z0-9_]+(?:\.[a-zA-Z_]\w*)+(?:\[[^\]]*\])?)", rule.output)

    def _take(self, entry: dict[str, Any]) -> None:
        override = entry.get("override", {})

        def adds(key: str) -> bool:
            return override[key] == "append" if key in override else entry.get("append") == "true"

        if "list" in entry:
            items = [str(item) for item in entry["items"]]
            self.lists[entry["list"]] = [*(self.lists[entry["list"]] if adds("items") else []), *items]
        elif "macro" in entry:
            before = self.macros[entry["macro"]] + " " if adds("condition") else ""
            self.macros[entry["macro"]] = before + entry["condition"]
        elif "rule" in entry:
            rule = self.rules.get(entry["rule"])
            if rule is None or (not (override or entry.get("append")) and "condition" in entry):
                self.rules[entry["rule"]] = Rule(
                    entry["rule"], entry["condition"], entry["output"], entry.get("enabled") != "false", entry.get("source", "syscall"),
                    entry.get("exceptions", []),
                )  # fmt: skip
                return
            for key in ("condition", "output"):
                if key in entry:
                    setattr(rule, key, f"{getattr(rule, key)} {entry[key]}" if adds(key) else entry[key])
            rule.enabled = entry["enabled"] != "false" if "enabled" in entry else rule.enabled
            for exception in entry.get("exceptions", []):
                known = next((one for one in rule.exceptions if one["name"] == exception["name"]), None)
                if known is None:
                    rule.exceptions.append(exception)
                else:
                    known.setdefault("values", []).extend(exception["values"])

    @staticmethod
    def _exceptions(rule: Rule) -> Iterator[str]:
        """Each line of values as the condition that it stands for."""
        for exception in rule.exceptions:
            fields, comps = exception["fields"], exception.get("comps")
            values = exception.get("values", [])
            if isinstance(fields, str):
                yield f"{fields} {comps or 'in'} ({', '.join(_literal(value) for value in values)})"
                continue
            for line in values:
                parts = []
                for name, comp, value in zip(fields, comps or ["="] * len(fields), line, strict=True):
                    text = f"({', '.join(_literal(item) for item in value)})" if isinstance(value, list) else _literal(value)
                    parts.append(f"{name} {comp} {text}")
                yield " and ".join(parts)

    def items(self, words: list[tuple[str, str]]) -> list[str]:
        """The values of a list in parentheses: texts, names of lists and what is in those."""
        found: list[str] = []
        for kind, text in words:
            if kind != "quoted" and text in self.lists:
                found += self.items([_word(item) for item in self.lists[text]])
            else:
                found.append(text)
        return found


def _word(item: str) -> tuple[str, str]:
    """An entry of a list of the file; one that holds quotes of its own is a quoted text."""
    return ("quoted", item[1:-1]) if item[:1] in ("'", '"') else ("word", item)


def _literal(value: object) -> str:
    text = str(value)
    return text if text[:1] in ("'", '"') else f'"{text}"'


def _negated(test: Test) -> Test:
    return lambda fields: not test(fields)


def _every(tests: list[Test]) -> Test:
    return lambda fields: all(test(fields) for test in tests)


def _any(tests: list[Test]) -> Test:
    return lambda fields: any(test(fields) for test in tests)


class _Reader:
    """A recursive descent over one condition at a time."""

    def __init__(self, rules: Rules, rule: Rule) -> None:
        self._rules = rules
        self._rule = rule
        self._tokens: list[tuple[str, str]] = []

    def condition(self, text: str) -> Test:
        outer, self._tokens = self._tokens, list(_tokens(text))
        test = self._or()
        assert not self._tokens, (self._rule.name, self._tokens[:3])
        self._tokens = outer
        return test

    def _peek(self) -> tuple[str, str]:
        return self._tokens[0] if self._tokens else ("end", "")

    def _next(self) -> tuple[str, str]:
        return self._tokens.pop(0)

    def _expect(self, text: str) -> None:
        found = self._next()
        assert found == ("punctuation", text), (self._rule.name, found, text)

    def _or(self) -> Test:
        parts = [self._and()]
        while self._peek() == ("word", "or"):
            self._next()
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else _any(parts)

    def _and(self) -> Test:
        parts = [self._not()]
        while self._peek() == ("word", "and"):
            self._next()
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else _every(parts)

    def _not(self) -> Test:
        if self._peek() == ("word", "not"):
            self._next()
            return _negated(self._not())
        if self._peek() == ("punctuation", "("):
            self._next()
            test = self._or()
            self._expect(")")
            return test
        kind, text = self._peek()
        if kind == "word" and text not in TRANSFORMERS:
            self._next()
            return self.condition(self._rules.macros[text])
        return self._check()

    def _check(self) -> Test:
        form, values = self._operand()
        _, operator = self._next()
        assert operator in OPERATORS, (self._rule.name, form, operator)
        if form:
            self._rule.used.add((form, operator))
        if operator == "exists":
            return lambda fields: bool(values(fields))
        kind, text = self._peek()
        if kind == "word" and text in TRANSFORMERS and self._tokens[1:2] == [("punctuation", "(")]:
            _, right = self._operand()

            def compare(fields: Fields) -> bool:
                others = right(fields)
                return bool(others) and _compare(form, operator, values(fields), [_text(other) for other in others])

            return compare
        given: list[str]
        if kind == "punctuation":
            given = self._rules.items(self._list())
        elif operator in ("in", "intersects", "pmatch"):
            given = self._rules.items([self._next()])
        else:
            given = [self._next()[1]]
        return lambda fields: _compare(form, operator, values(fields), given)

    def _list(self) -> list[tuple[str, str]]:
        self._expect("(")
        found: list[tuple[str, str]] = []
        while self._peek() != ("punctuation", ")"):
            found.append(self._next())
            if self._peek() == ("punctuation", ","):
                self._next()
        self._next()
        return found

    def _operand(self) -> tuple[str, Callable[[Fields], list[Any]]]:
        """A field's form, "" for a transformer, and its values."""
        kind, text = self._next()
        if kind == "field":
            self._rule.inside.add(text)
            return text, lambda fields: _values(text, fields)
        assert text in TRANSFORMERS, (self._rule.name, text)
        self._rule.transformers.add(text)
        self._expect("(")
        _, inner = self._operand()
        self._expect(")")
        return "", lambda fields: [changed for value in inner(fields) if (changed := _transformed(text, value)) is not None]


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = TOKENS.match(text, at)
        assert found is not None, text[at : at + 40]
        kind = str(found.lastgroup)
        value = found[kind]
        if kind == "quoted":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        yield kind, value
        at = found.end()


def _values(form: str, fields: Fields) -> list[Any]:
    """All that a field is compared with."""
    if form in ENDS:
        return _ends(form, fields)
    value = fields.get(form)
    if value is None:
        return []
    if form in ANCESTORS:
        return str(value).split(" ")
    return list(value) if isinstance(value, list) else [value]


def _ends(form: str, fields: Fields) -> list[Any]:
    """Both ends of a socket, client and server known or not (compare_ip, compare_port); a server has one, a new socket zeros."""
    family = fields.get("fd.typechar")
    if family not in ("4", "6"):
        return []
    if "fd.sip" in fields:
        return [fields[name] for name in ENDS[form] if name in fields]
    found = TUPLE.fullmatch(str(fields.get("fd.name", "")))
    if found is None or ("." in found[1]) != (family == "4"):
        return [0] if form == "fd.port" else ["0.0.0.0" if family == "4" else "::"]
    return [int(found[2]), int(found[4])] if form == "fd.port" else [found[1], found[3]]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _transformed(name: str, value: Any) -> Any:
    """None: no value."""
    text = _text(value)
    match name:
        case "val":
            return value
        case "tolower":
            return text.lower()
        case "toupper":
            return text.upper()
        case "basename":
            return text.rsplit("/", 1)[-1]
        case "len":
            return len(text.encode())
        case "b64":
            # What is not base64 has no value.
            return base64.b64decode(text).decode("latin-1") if len(text) % 4 == 0 else None
    raise AssertionError(name)


def _compare(form: str, operator: str, values: list[Any], given: list[str]) -> bool:
    if not values:
        return False
    if operator == "!=":
        return all(_one(form, "!=", value, given) for value in values)
    return any(_one(form, operator, value, given) for value in values)


def _one(form: str, operator: str, value: Any, given: list[str]) -> bool:
    if form.endswith("net"):
        inside = any(ipaddress.ip_address(value) in ipaddress.ip_network(text) for text in given)
        return inside != (operator == "!=")
    if operator in ("=", "==", "!=", "in", "intersects"):
        return any(_same(value, text) for text in given) != (operator == "!=")
    text, wanted = _text(value), given[0] if given else ""
    match operator:
        case "<":
            return int(value) < int(wanted)
        case "<=":
            return int(value) <= int(wanted)
        case ">":
            return int(value) > int(wanted)
        case ">=":
            return int(value) >= int(wanted)
        case "contains":
            return wanted in text
        case "icontains":
            return wanted.lower() in text.lower()
        case "startswith":
            return text.startswith(wanted)
        case "endswith":
            return text.endswith(wanted)
        case "glob":
            return fnmatch.fnmatchcase(text, wanted)
        case "iglob":
            return fnmatch.fnmatchcase(text.lower(), wanted.lower())
        case "regex":
            return re.fullmatch(wanted, text) is not None
        case "pmatch":
            return any(_below(text, top) for top in given)
    raise AssertionError(operator)


def _same(value: Any, text: str) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return value == int(text)
    return _text(value) == text


def _below(path: str, pattern: str) -> bool:
    """pmatch: a part of the path, from its beginning, is like the pattern, part by part."""
    parts, wanted = [part for part in path.split("/") if part], [part for part in pattern.split("/") if part]
    return len(parts) >= len(wanted) and all(fnmatch.fnmatchcase(part, like) for part, like in zip(parts, wanted, strict=False))
