"""Conditions in Falco's language asked of events here, without Falco: the filter of `tail`.

What Falco does with a plugin's fields is done here (falco-framework-facts.md, Types and operators): what it refuses to load is refused
with the same meaning, and what it loads gives the same answer. Conditions for the host are first made conditions for zones, as
`rules retarget` does it. A comparison of a field without a value is false, ``!=`` too.

Falco's regular expressions are RE2's; here they are Python's, which agree on what rules use.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import ipaddress
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from ..fields.spec import Type
from . import names
from .condition import (
    Check,
    ConditionError,
    Expression,
    FieldRef,
    Junction,
    Left,
    ListName,
    Macro,
    Not,
    Operand,
    Text,
    Transformer,
    Values,
    parse,
)
from .rewrite import Unsupported, rewritten

View = TypeVar("View")
Value = Any  # int, str, bool, or a list of int or str; None: no value
Get = Callable[[View], Value]
Test = Callable[[View], bool]

MASK64: Final = (1 << 64) - 1
# Generic fields whose values are numbers; the others' are texts.
NUMBERS: Final = frozenset({"evt.num", "evt.rawtime", "evt.rawtime.s", "evt.rawtime.ns"})
ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
SETS: Final = frozenset({"in", "intersects"})
TEXTUAL: Final = frozenset({"contains", "icontains", "startswith", "endswith", "glob", "iglob", "regex", "pmatch"})
TEXTS: Final = frozenset({"tolower", "toupper", "basename", "b64"})  # transformers of a text to a text


def compile_condition(text: str, getter: Callable[[str], Get[View]]) -> Test[View]:
    """A predicate over events. ``getter`` gives for a field form, ``proc.aname[2]``, the function that finds its value.

    Raises ConditionError with the place and what is wrong with it."""
    condition = parse(text)
    if condition.leading:
        raise ConditionError(f"a condition cannot begin with {condition.leading!r}", 0)
    return _Compiler(text, getter).expression(condition.root)


class _Side:
    """The left side of a comparison: how its value is found, and of what type it is."""

    __slots__ = ("get", "is_list", "name", "type")

    def __init__(self, name: str, get: Get[Any], type_: Type, is_list: bool = False) -> None:
        self.name = name
        self.get = get
        self.type = type_
        self.is_list = is_list


class _Compiler:
    def __init__(self, text: str, getter: Callable[[str], Get[Any]], offset: int | None = None) -> None:
        self._text = text
        self._getter = getter
        self._offset = offset  # of a comparison that was rewritten: the place to name in errors

    def _wrong(self, node: Check | FieldRef | Transformer | Macro | Text, what: str) -> ConditionError:
        return ConditionError(what, node.start if self._offset is None else self._offset)

    def expression(self, node: Expression) -> Test[Any]:
        match node:
            case Macro():
                raise self._wrong(node, f"{node.name} is a macro, and there are none here: write what it stands for")
            case Not():
                inner = self.expression(node.child)
                return lambda view: not inner(view)
            case Junction():
                parts = [self.expression(child) for child in node.children]
                return _every(parts) if node.word == "and" else _any(parts)
            case Check():
                return self._check(node)

    def _check(self, check: Check) -> Test[Any]:
        if self._offset is None and not (check.operator == "intersects" and _is_list(check.left)):
            try:
                after = rewritten(check, self._text)
            except Unsupported as error:
                raise self._wrong(check, str(error)) from None
            if after is not None:
                return _Compiler(after, self._getter, check.start).expression(parse(after).root)
        left = self._left(check.left)
        get = left.get
        if check.operator == "exists":
            return lambda view: get(view) is not None
        if isinstance(check.right, Transformer):
            return self._against(left, check, check.right)
        return self._compare(left, check, self._given(check))

    def _given(self, check: Check) -> list[str]:
        match check.right:
            case Text():
                return [check.right.value()]
            case Values():
                return [item.value() for item in check.right.items]
            case ListName():
                raise self._wrong(check, f"{check.right.name} is a list, and there are none here: write its values in parentheses")
        raise self._wrong(check, f"{check.operator} needs a value")

    # ---- the left side

    def _left(self, node: Left) -> _Side:
        if isinstance(node, FieldRef):
            return self._field(node)
        args = node.args
        if node.name == "concat":
            return _Side("concat()", _concatenated([self._part(arg) for arg in args]), Type.STRING)
        if node.name in TEXTS or node.name in ("len", "val"):
            if len(args) != 1 or not isinstance(args[0], FieldRef | Transformer):
                raise self._wrong(node, f"{node.name}() takes one field")
            inner = self._left(args[0])
            if node.name == "val":
                return inner
            if node.name == "len":
                if not inner.is_list and inner.type not in (Type.STRING, Type.SIGNED):
                    raise self._wrong(node, f"len() takes a text or a list, and {inner.name} is neither")
                return _Side(f"len({inner.name})", _changed(inner.get, _length), Type.UINT64)
            if inner.type not in (Type.STRING, Type.SIGNED):
                raise self._wrong(node, f"{node.name}() takes a text, and {inner.name} is none")
            return _Side(f"{node.name}({inner.name})", _changed(inner.get, _TRANSFORMED[node.name]), Type.STRING, inner.is_list)
        raise self._wrong(node, f"{node.name}() cannot be used here")

    def _part(self, arg: Operand) -> Get[Any]:
        if isinstance(arg, Text):
            text = arg.value()
            return lambda _: text
        if isinstance(arg, FieldRef | Transformer):
            return self._left(arg).get
        raise ConditionError("concat() takes fields and texts", self._offset or 0)

    def _field(self, node: FieldRef) -> _Side:
        trouble = names.problem(node.name, node.arg)
        if trouble:
            raise self._wrong(node, trouble)
        try:
            get = self._getter(node.text())
        except ValueError as error:
            raise self._wrong(node, str(error)) from None
        declared = names.known(node.name)
        if declared is None:
            return _Side(node.name, get, Type.UINT64 if node.name in NUMBERS else Type.STRING)
        return _Side(node.text(), get, declared.type, declared.is_list)

    # ---- comparisons

    def _compare(self, left: _Side, check: Check, given: list[str]) -> Test[Any]:
        get, word = left.get, check.operator
        if left.is_list and word not in SETS:
            raise self._wrong(check, f"{left.name} is a list: compare it with in (all of its values are), intersects (one is) or exists")
        if left.type in (Type.IPADDR, Type.IPNET):
            return self._address(left, check, given)
        if left.type is Type.BOOL:
            return self._truth(left, check, given)
        if left.type in (Type.UINT64, Type.RELTIME, Type.ABSTIME):
            try:
                numbers = [_number(text) for text in given]
            except ValueError:
                raise self._wrong(check, f"{left.name} is a number; {' '.join(given)!r} is not (decimal digits)") from None
            if word in TEXTUAL:
                raise self._wrong(check, f"{left.name} is a number: {word} is for texts")
            return _plain(get, word, numbers, left.is_list)
        if word in ("=", "==", "!=", "in", "intersects") or word in ORDER:
            return _plain(get, word, given, left.is_list)
        if word in TEXTUAL:
            try:
                return _textual(get, word, given)
            except re.error as error:
                raise self._wrong(check, f"{given[0]!r} is not a regular expression: {error}") from None
        raise self._wrong(check, f"{word} cannot be used on {left.name}")

    def _truth(self, left: _Side, check: Check, given: list[str]) -> Test[Any]:
        if check.operator not in ("=", "==", "!=") or given[0] not in ("true", "false"):
            raise self._wrong(check, f"{left.name} is true or false: compare it with = true or = false")
        get, wanted = left.get, (given[0] == "true") == (check.operator != "!=")

        def test(view: Any) -> bool:
            value = get(view)
            return value is not None and bool(value) == wanted

        return test

    def _address(self, left: _Side, check: Check, given: list[str]) -> Test[Any]:
        word = check.operator
        if word not in ("=", "==", "!=", "in", "intersects"):
            raise self._wrong(check, f"{left.name} is an address: {word} cannot be used on it")
        one: Callable[[str], bool]
        try:
            if left.type is Type.IPNET:
                if not all("/" in text for text in given):
                    raise ValueError(f"{' '.join(given)!r} is no network: write it with its length, 10.0.0.0/8")
                networks = [ipaddress.ip_network(text, strict=False) for text in given]
                one = lambda value: _within(value, networks)  # noqa: E731
            else:
                wanted = {ipaddress.ip_address(text) for text in given}
                one = lambda value: ipaddress.ip_address(value) in wanted  # noqa: E731
        except ValueError as error:
            raise self._wrong(check, str(error)) from None
        get, is_list = left.get, left.is_list

        def test(view: Any) -> bool:
            value = get(view)
            if value is None:
                return False
            if is_list:
                return any(map(one, value)) if word == "intersects" else all(map(one, value))
            return one(value) != (word == "!=")

        return test

    def _against(self, left: _Side, check: Check, node: Transformer) -> Test[Any]:
        """A field against what is found in another one."""
        right = self._left(node)
        word = check.operator
        if word in TEXTUAL and word not in ("contains", "icontains", "startswith", "endswith"):
            raise self._wrong(check, f"{word} takes a value, not a field")
        if (left.type is Type.STRING) != (right.type in (Type.STRING, Type.SIGNED)) and left.type is not Type.SIGNED:
            raise self._wrong(check, f"{left.name} and {right.name} are not of the same type")
        mine, others, is_list = left.get, right.get, left.is_list

        def test(view: Any) -> bool:
            value, other = mine(view), others(view)
            if value is None or other is None:
                return False
            wanted = other if isinstance(other, list) else [other]
            if word in TEXTUAL:
                return bool(_textual(lambda _: value, word, [str(wanted[0])])(view))
            return bool(_plain(lambda _: value, word, wanted, is_list)(view))

        return test


def _is_list(left: Left) -> bool:
    declared = names.known(left.name) if isinstance(left, FieldRef) else None
    return declared is not None and declared.is_list


def _every(parts: Sequence[Test[Any]]) -> Test[Any]:
    return lambda view: _until(parts, view, False)


def _any(parts: Sequence[Test[Any]]) -> Test[Any]:
    return lambda view: _until(parts, view, True)


def _until(parts: Sequence[Test[Any]], view: Any, ends: bool) -> bool:
    """Ask one after the other until one answers ``ends``."""
    for part in parts:
        if part(view) is ends:
            return ends
    return not ends


def _number(text: str) -> int:
    """A decimal number as an unsigned one of 64 bits, as Falco reads it for plugins. Raises ValueError."""
    if not re.fullmatch(r"-?[0-9]+", text):
        raise ValueError(text)
    return int(text) & MASK64


def _plain(get: Get[Any], word: str, given: Sequence[Any], is_list: bool) -> Test[Any]:
    """Equality, order and sets, of numbers or texts."""
    wanted = frozenset(given)
    if is_list:
        if word == "intersects":
            return lambda view: not wanted.isdisjoint(get(view) or ())
        return lambda view: bool(found := get(view)) and wanted.issuperset(found)
    if word in ORDER:
        compare, limit = ORDER[word], given[0]
        return lambda view: (found := get(view)) is not None and compare(found, limit)
    if word == "!=":
        return lambda view: (found := get(view)) is not None and found not in wanted
    return lambda view: (found := get(view)) is not None and found in wanted


def _textual(get: Get[Any], word: str, given: Sequence[str]) -> Test[Any]:
    wanted = given[0] if given else ""
    test: Callable[[str], Any]
    match word:
        case "contains":
            test = lambda text: wanted in text  # noqa: E731
        case "icontains":
            lower = wanted.lower()
            test = lambda text: lower in text.lower()  # noqa: E731
        case "startswith":
            test = lambda text: text.startswith(wanted)  # noqa: E731
        case "endswith":
            test = lambda text: text.endswith(wanted)  # noqa: E731
        case "glob":
            test = re.compile(fnmatch.translate(wanted)).match
        case "iglob":
            test = re.compile(fnmatch.translate(wanted), re.IGNORECASE).match
        case "regex":
            test = re.compile(wanted).fullmatch
        case _:
            tops = [_parts(text) for text in given]
            test = lambda text: _below(_parts(text), tops)  # noqa: E731
    return lambda view: (found := get(view)) is not None and bool(test(found))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _below(path: list[str], tops: list[list[str]]) -> bool:
    """pmatch: the beginning of the path is like one of these, part by part."""
    return any(len(path) >= len(top) and all(map(fnmatch.fnmatchcase, path, top)) for top in tops)


def _within(value: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    found = ipaddress.ip_address(value)
    return any(found in network for network in networks)


def _changed(get: Get[Any], change: Callable[[Any], Value]) -> Get[Any]:
    return lambda view: None if (found := get(view)) is None else change(found)


def _length(found: Value) -> int:
    return len(found) if isinstance(found, list) else len(found.encode())


def _concatenated(parts: Sequence[Get[Any]]) -> Get[Any]:
    def get(view: Any) -> Value:
        found = [part(view) for part in parts]
        return None if None in found else "".join([str(one) for one in found])

    return get


def _b64(text: str) -> str | None:
    """What is not base64 has no value."""
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None


def _of_text(change: Callable[[str], str | None]) -> Callable[[Value], Value]:
    """On a list a transformer of texts has no value, as in Falco."""
    return lambda found: change(found) if isinstance(found, str) else None


_TRANSFORMED: Final[dict[str, Callable[[Value], Value]]] = {
    "tolower": _of_text(str.lower),
    "toupper": _of_text(str.upper),
    "basename": _of_text(lambda text: text.rpartition("/")[2]),
    "b64": _of_text(_b64),
}
