"""Falco rules files: read with places, changed by splices, so that comments, order and formatting stay as they were."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_FILE: Final = 4 << 20  # bytes; upstream's largest has 95 kB, and a second reads 200 kB
MAX_NODES: Final = 200_000  # values of one file with all aliases followed; upstream's largest has 3,000
MAX_NESTING: Final = 32  # lists in lists and mappings; exceptions go 5 deep
LISTS: Final = frozenset({"items", "exceptions", "tags"})
TEXTS: Final = frozenset({"condition", "output", "source", "desc", "priority"})
_BREAK: Final = re.compile(r"\r\n|\n|\r")  # a line's end
KINDS: Final = ("rule", "macro", "list", "required_engine_version", "required_plugin_versions")


class RulesError(ValueError):
    """A rules file that cannot be used; the text names file, line and column."""


@dataclass(slots=True)
class Scalar:
    """A text of the file. ``start``/``end``: characters of the file that it takes, quotes or block header included."""

    value: str
    start: int
    end: int
    style: str | None
    line: int
    column: int


@dataclass(slots=True)
class Item:
    """One entry of the file's list: a rule, macro, list or requirement. ``line`` counts from 1."""

    kind: str
    name: str
    line: int
    start: int
    end: int
    indent: int
    texts: dict[str, Scalar]
    lists: dict[str, list[Any]]
    data: dict[str, Any]
    keys: dict[str, tuple[int, int]]  # where a key and its value stand
    node: MappingNode

    @property
    def appends(self) -> bool:
        """True when the entry adds to or overrides an earlier one."""
        return self.data.get("append") in (True, "true") or "override" in self.data


@dataclass(slots=True)
class RulesFile:
    path: str
    text: str
    items: list[Item]
    splices: list[tuple[int, int, str]] = field(default_factory=list)

    def place(self, offset: int) -> str:
        """``file:line:column`` of a character of the file."""
        return f"{self.path}:{self.line(offset)}:{offset - self.text.rfind(self.newline[-1], 0, offset)}"

    def line(self, offset: int) -> int:
        """The line of a character of the file, from 1."""
        return self.text.count(self.newline[-1], 0, offset) + 1  # the last: lines may end in both ways that end with it

    def splice(self, start: int, end: int, replacement: str) -> None:
        self.splices.append((start, end, replacement))

    @property
    def newline(self) -> str:
        """How its lines end."""
        found = _BREAK.search(self.text)
        return found.group() if found is not None else "\n"

    @staticmethod
    def lines(part: str) -> list[str]:
        """The lines of a part of it, without their ends."""
        return _BREAK.split(part)

    def changed(self) -> str:
        """The file with all splices made. Raises RulesError where two of them meet (an anchor's text is changed once, for all its uses)."""
        out: list[str] = []
        at = 0
        for start, end, replacement in sorted(set(self.splices)):
            if start < at:
                raise RulesError(f"{self.place(start)}: an alias makes this part of two entries that have to be changed differently")
            out.append(self.text[at:start])
            out.append(replacement)
            at = end
        out.append(self.text[at:])
        return "".join(out)

    def offsets(self, scalar: Scalar) -> list[int] | None:
        """For every character of the scalar's value its place in the file, plus one for its end; None where it cannot be told
        (quoted texts with escapes)."""
        if scalar.style in ('"', "'") and scalar.value not in self.text[scalar.start : scalar.end]:
            return None
        at = scalar.start
        if scalar.style in ("|", ">"):
            first = _BREAK.search(self.text, at)
            if first is None:
                return None
            at = first.end()
        elif scalar.style is not None:
            at += 1
        places: list[int] = []
        for character in scalar.value:
            if character.isspace():
                places.append(at)
                if at < len(self.text) and self.text[at].isspace():
                    at += 1
                continue
            while self.text[at : at + 1].isspace():
                at += 1
            if self.text[at : at + 1] != character:
                return None
            places.append(at)
            at += 1
        places.append(at)
        return places


class _Reader:
    """Turns YAML's nodes into plain values, within limits: aliases make much of little."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._left = MAX_NODES

    def fail(self, node: Node, what: str) -> RulesError:
        return RulesError(f"{self.path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}: {what}")

    def plain(self, node: Node, depth: int = 0) -> Any:
        self._left -= 1
        if self._left < 0:
            raise self.fail(node, f"the file has more than {MAX_NODES} values, aliases followed")
        if depth > MAX_NESTING:
            raise self.fail(node, f"nested deeper than {MAX_NESTING}")
        if isinstance(node, MappingNode):
            return {str(self.plain(key, depth + 1)): self.plain(value, depth + 1) for key, value in node.value}
        if isinstance(node, SequenceNode):
            return [self.plain(value, depth + 1) for value in node.value]
        if isinstance(node, ScalarNode) and node.style is None and str(node.tag).endswith(":bool"):
            return str(node.value).lower() in ("true", "yes", "on")
        return str(node.value)

    def check(self, kind: str, key: Node, value: Node) -> None:
        """Raises RulesError for a value that Falco would not take either."""
        name = str(key.value)
        if name == kind and kind in ("rule", "macro", "list"):
            if not isinstance(value, ScalarNode):
                raise self.fail(key, f"the name of a {kind} is a text")
            if not value.value or str(value.tag).endswith(":null"):
                raise self.fail(key, f"the {kind} has no name")
        if name in TEXTS and not isinstance(value, ScalarNode):
            raise self.fail(key, f"{name} is a text")
        if name not in LISTS or (isinstance(value, ScalarNode) and not value.value):
            return
        if not isinstance(value, SequenceNode):
            raise self.fail(key, f"{name} is a list")
        if name == "exceptions" and not all(isinstance(entry, MappingNode) for entry in value.value):
            raise self.fail(key, f"{name} is a list of mappings with name, fields, comps and values")


def read(path: str, text: str) -> RulesFile:
    """Raises RulesError with file, line and column."""
    if len(text) > MAX_FILE:
        raise RulesError(f"{path}: {len(text)} characters, at most {MAX_FILE} are read")
    try:
        roots = [root for root in YAML(typ="safe", pure=True).compose_all(io.StringIO(text, newline="")) if root is not None]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise RulesError(f"{path}{where}: not YAML: {error.problem or error.context}") from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise RulesError(f"{path}: not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from None
    items: list[Item] = []
    reader = _Reader(path)
    for root in roots:  # documents; nearly always one
        if not isinstance(root, SequenceNode):
            if isinstance(root, ScalarNode) and root.value == "":
                continue  # nothing but comments
            line = root.start_mark.line + 1
            raise RulesError(f"{path}:{line}:1: a rules file is a list of rules, macros and lists, each beginning with '- '")
        items += [_item(reader, text, node) for node in root.value]
    return RulesFile(path, text, items)


def _content(text: str, start: int) -> int:
    """Where a node's own text begins, behind an anchor or tag."""
    while text[start : start + 1] in ("&", "!"):
        while start < len(text) and not text[start].isspace():
            start += 1
        while start < len(text) and text[start].isspace():
            start += 1
    return start


def _item(reader: _Reader, text: str, node: Node) -> Item:
    if not isinstance(node, MappingNode):
        raise reader.fail(node, "expected an entry such as '- rule: NAME'")
    texts: dict[str, Scalar] = {}
    lists: dict[str, list[Any]] = {}
    keys: dict[str, tuple[int, int]] = {}
    data: dict[str, Any] = {}
    for key_node, value in node.value:
        key = str(key_node.value)
        if key in data:
            raise reader.fail(key_node, f"{key!r} is given twice")
        data[key] = reader.plain(value)
        keys[key] = (key_node.start_mark.index, value.end_mark.index)
        if isinstance(value, ScalarNode):
            mark = value.start_mark
            start = _content(text, mark.index)
            texts[key] = Scalar(str(value.value), start, value.end_mark.index, value.style, mark.line + 1, mark.column + 1)
        elif isinstance(value, SequenceNode):
            lists[key] = data[key]
    kind = next((kind for kind in KINDS if kind in data), "")
    if not kind:
        found = ", ".join(list(data)[:10]) or "none"
        raise reader.fail(node, f"expected one of the keys {', '.join(KINDS)}; found {found[:200]}")
    for key_node, value in node.value:
        reader.check(kind, key_node, value)
    name = data[kind] if isinstance(data[kind], str) else ""
    mark = node.start_mark
    return Item(kind, name, mark.line + 1, mark.index, node.end_mark.index, mark.column, texts, lists, data, keys, node)
