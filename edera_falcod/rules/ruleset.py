"""Falco rules files: read with places, changed by splices, so that comments, order and formatting stay as they were."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_FILE: Final = 16 << 20  # bytes; upstream's largest has 95 kB
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
    """One entry of the file's top list: a rule, macro, list or requirement. ``line`` counts from 1."""

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
        before = self.text[:offset]
        return f"{self.path}:{before.count(chr(10)) + 1}:{offset - (before.rfind(chr(10)) + 1) + 1}"

    def splice(self, start: int, end: int, replacement: str) -> None:
        self.splices.append((start, end, replacement))

    def changed(self) -> str:
        """The file with all splices made."""
        out: list[str] = []
        at = 0
        for start, end, replacement in sorted(self.splices):
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
            at = self.text.index("\n", scalar.start) + 1
        elif scalar.style is not None:
            at += 1
        places: list[int] = []
        for character in scalar.value:
            if character.isspace():
                places.append(at)
                if at < len(self.text) and self.text[at].isspace():
                    at += 1
                continue
            while self.text[at].isspace():
                at += 1
            if self.text[at] != character:
                return None
            places.append(at)
            at += 1
        places.append(at)
        return places


def _plain(node: Node) -> Any:
    if isinstance(node, MappingNode):
        return {str(_plain(key)): _plain(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [_plain(value) for value in node.value]
    if isinstance(node, ScalarNode) and node.style is None and str(node.tag).endswith(":bool"):
        return str(node.value).lower() in ("true", "yes", "on")
    return str(node.value)


def read(path: str, text: str) -> RulesFile:
    """Raises RulesError with file, line and column."""
    if len(text) > MAX_FILE:
        raise RulesError(f"{path}: {len(text)} characters, at most {MAX_FILE} are read")
    try:
        root = YAML(typ="safe", pure=True).compose(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise RulesError(f"{path}{where}: not YAML: {error.problem or error.context}") from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise RulesError(f"{path}: not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from None
    if root is None:
        return RulesFile(path, text, [])
    if not isinstance(root, SequenceNode):
        line = root.start_mark.line + 1
        raise RulesError(f"{path}:{line}:1: a rules file is a list of rules, macros and lists, each beginning with '- '")
    return RulesFile(path, text, [_item(path, node) for node in root.value])


def _item(path: str, node: Node) -> Item:
    place = f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
    if not isinstance(node, MappingNode):
        raise RulesError(f"{place}: expected an entry such as '- rule: NAME'")
    texts: dict[str, Scalar] = {}
    lists: dict[str, list[Any]] = {}
    keys: dict[str, tuple[int, int]] = {}
    data: dict[str, Any] = {}
    for key_node, value in node.value:
        key = str(key_node.value)
        if key in data:
            raise RulesError(f"{path}:{key_node.start_mark.line + 1}:{key_node.start_mark.column + 1}: {key!r} is given twice")
        data[key] = _plain(value)
        keys[key] = (key_node.start_mark.index, value.end_mark.index)
        if isinstance(value, ScalarNode):
            mark = value.start_mark
            texts[key] = Scalar(str(value.value), mark.index, value.end_mark.index, value.style, mark.line + 1, mark.column + 1)
        elif isinstance(value, SequenceNode):
            lists[key] = data[key]
    kind = next((kind for kind in KINDS if kind in data), "")
    if not kind:
        raise RulesError(f"{place}: expected one of the keys {', '.join(KINDS)}; found {', '.join(data) or 'none'}")
    name = data[kind] if isinstance(data[kind], str) else ""
    mark = node.start_mark
    return Item(kind, name, mark.line + 1, mark.index, node.end_mark.index, mark.column, texts, lists, data, keys, node)
