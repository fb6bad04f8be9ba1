"""One comparison of a host's field, written anew so that it means the same in the plugin's fields (rules-usage.md section 2).

* An ancestor field without index, which libsinsp compares with every ancestor, becomes a list field, or one comparison for each ancestor.
* fd.ip, fd.net, fd.port and fd.proto, which libsinsp compares with both ends of a connection, become one comparison for each end.
* An order comparison of a number that may be negative, which a plugin serves as text, becomes one of its unsigned companion.
* A value that a plugin field reads otherwise (+5 as text, a service for a port, -1 for a number of 32 bits) is written as it is read.

What is right as it stands stays to the letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..fields.blocks import MAX_ANCESTORS
from ..fields.spec import Field, Op, Type
from . import names
from .condition import Check, FieldRef, Left, ListName, Operand, Text, Transformer, Values, quote
from .literals import FRACTIONS, NEVER_NEGATIVE, Unsupported, is_signed, written

__all__ = ["Unsupported", "cautions", "references", "rewritten"]

Lists = Mapping[str, list[str]]

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
ORDER: Final = frozenset({"<", "<=", ">", ">="})
EQUALITY: Final = frozenset({"=", "==", "!=", "in", "intersects", "exists"})
LIST_OPERATORS: Final = frozenset({"in", "intersects", "exists"})
BYTES: Final = ("bcontains", "bstartswith")
_MAX_LISTS: Final = 64  # how deep lists may name lists


def rewritten(check: Check, text: str, lists: Lists | None = None) -> str | None:
    """What a comparison has to read instead, None if it may stay; raises Unsupported. ``text`` is the condition it stands in, ``lists``
    the rules' lists."""
    lists = {} if lists is None else lists
    left = check.left
    if not isinstance(left, FieldRef):
        for ref in _refs(left):
            if ref.arg is None and (ref.name in ANCESTORS or ref.name in ENDS):
                raise Unsupported(f"{ref.name} without index in a transformer")
        return None
    declared = names.known(left.name)
    if declared is None:
        return None  # names.problem says so
    right = _right(check, text)
    changed = _literals(check, declared, lists)
    if left.arg is None and left.name in ANCESTORS:
        if check.operator in ORDER and declared.name in NEVER_NEGATIVE and (values := _values(check.right, lists)) and int(values[0]) < 0:
            return _unsigned_order(ANCESTORS[left.name], check.operator, int(values[0]), declared)
        return _ancestors(left.name, check, changed or right)
    if left.name in ENDS:
        return _ends(left.name, check, changed or right)
    if isinstance(check.right, Transformer):
        return _other_field(left, check, check.right, declared)
    if check.operator in ORDER:
        special = _order(left, check, declared, lists)
        if special is not None:
            return special
    _comparable(left, check, declared)
    return None if changed is None else f"{left.text()} {check.operator} {changed}"


def cautions(check: Check, lists: Lists | None = None) -> list[str]:
    """What the author of a comparison should know of it although it holds."""
    found = []
    for ref in references(check):
        declared = names.known(ref.name)
        if declared is not None and declared.op is Op.NONE:
            found.append(f"{ref.name} never has a value for a zone: what is compared with it is false")
    left = check.left
    if not isinstance(left, FieldRef) or check.right is None:
        return found
    if left.name in names.buffers() and any("." in value for value in _values(check.right, lists or {})):
        found.append(f"{left.name} has a dot for each byte that is not printable: one in a value may stand for such a byte")
    if left.name in FRACTIONS and check.operator not in ("<", ">="):
        found.append(f"{left.name} is the whole number below the host's fraction: compared with {check.operator!r} it may differ from that")
    return found


def _right(check: Check, text: str) -> str:
    """The right side as written."""
    right = check.right
    if right is None:
        return ""
    return text[right.start : right.end] if right.end else right.text()


def _values(right: Text | Values | ListName | Transformer | None, lists: Lists) -> list[str]:
    """What a comparison is with, lists put in, quotes and escapes resolved."""
    if isinstance(right, Text):
        return _flat([right.raw], lists) if right.raw in lists else [right.value()]
    if isinstance(right, ListName):
        return _flat([right.name], lists)
    return _flat([item.raw for item in right.items], lists) if isinstance(right, Values) else []


def _flat(raws: list[str], lists: Lists, depth: int = 0) -> list[str]:
    found: list[str] = []
    for raw in raws:
        if raw in lists and depth < _MAX_LISTS:
            found += _flat(lists[raw], lists, depth + 1)
        else:
            found.append(Text(0, 0, raw).value())
    return found


def _literals(check: Check, field: Field, lists: Lists) -> str | None:
    """The right side with its values as the plugin's field needs them, None if they may stay as they are."""
    if check.right is None or isinstance(check.right, Transformer):
        return None
    signed = is_signed(field, names.all_names())
    values = _values(check.right, lists)
    if field.name in names.buffers() and any(not value.isascii() or not value.isprintable() for value in values):
        raise Unsupported(f"{field.name} has a dot for each byte that is not printable ASCII")
    after = [written(field, signed, value) for value in values]
    if after == values:
        return None
    texts = [quote(value) for value in after]
    return texts[0] if isinstance(check.right, Text) and len(texts) == 1 else f"({', '.join(texts)})"


def _comparable(left: FieldRef, check: Check, field: Field) -> None:
    """Raises Unsupported for an operator that libsinsp refuses for the field."""
    operator = check.operator.partition(" ")[0]
    if operator in BYTES:
        raise Unsupported(f"{operator} needs a field of bytes, which a plugin cannot serve")
    if field.is_list:
        allowed = LIST_OPERATORS
    elif field.type in (Type.BOOL, Type.IPADDR, Type.IPNET):
        allowed = EQUALITY
    elif field.type is Type.STRING and not is_signed(field, names.all_names()):
        return
    else:
        allowed = EQUALITY | ORDER
    if operator in allowed:
        return
    if field.is_list:
        raise Unsupported(f"{left.text()} is a list: compare it with in, intersects or exists")
    raise Unsupported(f"{left.text()} cannot be compared with {operator!r}: that is for {'numbers' if operator in ORDER else 'texts'}")


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
            if name != "proc.aenv":  # without index that is the own environment
                return None  # the field's text is the ancestors' joined by blanks: what has none is found in it just the same
    if " " in check.operator or check.operator in BYTES:
        raise Unsupported(f"{name} without index with {check.operator!r}")
    # No operator of a list does it: ask each, of as many as are known.
    return "(" + " or ".join(f"{name}[{level}] {check.operator} {right}" for level in range(1, MAX_ANCESTORS + 1)) + ")"


def _ends(name: str, check: Check, right: str) -> str:
    source, dest = ENDS[name]
    if isinstance(check.right, Transformer):
        raise Unsupported(f"{name} compared with a transformer")
    match check.operator:
        case "exists":
            return "fd.type exists"
        case "!=":
            return f"({source} != {right} and {dest} != {right})"
        case "=" | "==" | "in":
            return f"({source} {check.operator} {right} or {dest} {check.operator} {right})"
        case "<" | "<=" | ">" | ">=" if name in ("fd.port", "fd.proto"):
            return f"({source} {check.operator} {right} or {dest} {check.operator} {right})"
    raise Unsupported(f"{name} with {check.operator!r}")


def _other_field(left: FieldRef, check: Check, right: Transformer, declared: Field) -> str | None:
    """Compared with another field: where libsinsp's types are the same and the plugin's are not, by the unsigned companion."""
    other = right.args[0] if right.name == "val" and len(right.args) == 1 else None
    if not isinstance(other, FieldRef) or (known := names.known(other.name)) is None:
        return None
    if check.operator in ORDER and Type.SIGNED in (declared.type, known.type):
        raise Unsupported(f"{left.text()} {check.operator} {other.text()}: of numbers that may be negative only equality can be told")
    if known.type is declared.type or Type.SIGNED not in (known.type, declared.type):
        return None
    sides = [f"{ref.name}.unsigned" if field.type is Type.SIGNED else ref.text() for ref, field in ((left, declared), (other, known))]
    return f"{sides[0]} {check.operator} val({sides[1]})"


def _order(left: FieldRef, check: Check, field: Field, lists: Lists) -> str | None:
    """An order comparison with a number, where it cannot stay."""
    signed = is_signed(field, names.all_names())
    if field.type is Type.STRING and not signed:
        if field.name.startswith("evt.rawarg.") and any(value.lstrip("+-").isdigit() for value in _values(check.right, lists)):
            raise Unsupported(f"{left.text()} is text, which has no order of numbers")
        return None
    if field.type in (Type.BOOL, Type.IPADDR, Type.IPNET):
        return None  # refused by _comparable
    values = _values(check.right, lists)
    if len(values) != 1:
        raise Unsupported(f"{left.text()} {check.operator} something that is not a number")
    name, operator, number = left.text(), check.operator, int(values[0])  # a number: _literals has looked
    if not signed:
        return _unsigned_order(name, operator, number, field)
    if number == 0 and operator in ("<", ">="):
        return None if values[0] == "0" else f"{name} {operator} 0"  # as text, "-" sorts before every digit
    if number == -1:
        return {
            "<": f"({name} < 0 and {name} != -1)", "<=": f"{name} < 0", ">": f"{name} >= 0", ">=": f"({name} >= 0 or {name} = -1)",
        }[operator]  # fmt: skip
    companion = f"{left.name}.unsigned" + ("" if left.arg is None else f"[{left.arg}]")
    if names.known(f"{left.name}.unsigned") is None:
        raise Unsupported(f"{name} {operator} {number}: served as text, and it has no unsigned companion")
    if number < 0:  # as an unsigned number it lies above all that are not negative
        number += 1 << 64
        joined = f"{name} >= 0 or" if operator in (">", ">=") else f"{name} < 0 and"
    else:
        joined = f"{name} >= 0 and" if operator in (">", ">=") else f"{name} < 0 or"
    return f"({joined} {companion} {operator} {number})"


def _unsigned_order(name: str, operator: str, number: int, field: Field) -> str | None:
    if number < 0 and field.name in NEVER_NEGATIVE:
        # Of no such field a value is below zero.
        return f"{name} exists" if operator in (">", ">=") else f"({name} exists and not {name} exists)"
    if field.name in FRACTIONS and operator in ("<=", ">"):
        # The whole number below: 80.5 is above 80, and is served as 80.
        return f"{name} {'<' if operator == '<=' else '>='} {number}"
    return None


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
