"""Field values out of records: what the shim does in C, for `tail`, `replay` and tests.

The rows of the registry say where a value lies (docs/protocol.md, How a field finds its value); there is one small function per
operation. Bytes may be anything: every length is checked against what holds it, and on any doubt a field has no value.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import translate
from re import compile as compile_pattern
from typing import Final

from ..scap.format import address, dotted
from . import names, registry, slots
from .spec import NO_NAME, Arg, Field, Kind, Op, Type
from .views import HEAD_SIZE, BlockTable, BlockView, EventView, decoded

__all__ = ["BlockTable", "BlockView", "EventView", "Value", "parse_form", "value"]

Value = int | str | bool | list[str] | list[int]

MAX_AENV: Final = 20  # ancestors that proc.aenv[NAME] looks at
MASK64: Final = (1 << 64) - 1
RAW_UNSIGNED: Final = 1
RAW_SIGNED: Final = 2
RAW_BYTES: Final = 3
BINARY: Final = 1 << 31
MAX_TID: Final = 0xFFFF_FFFF
HOST: Final = "host"  # container.id of the zone's own processes, of which libsinsp has no container id

_EVENT_NUMBERS: Final = {name: number for number, name in enumerate(names.EVENT_NAMES)}


def value(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    """A field's value, None if it has none. Numbers as int, SIGNED as decimal text, addresses as text, lists as lists."""
    return _OPERATIONS[field.op](field, arg, view)


def parse_form(form: str) -> tuple[Field, str | int | None]:
    """A field as rules write it, ``proc.aname[2]``: its declaration and its argument. Raises ValueError with what is wrong."""
    name, bracket, rest = form.partition("[")
    field = registry.by_name().get(name)
    if field is None:
        raise ValueError(f"unknown field {name}")
    if not bracket:
        if field.arg & Arg.REQUIRED:
            raise ValueError(f"{name} requires an argument: {name}[...]")
        return field, None
    if not rest.endswith("]"):
        raise ValueError(f"{form}: ']' expected at the end")
    text = rest[:-1].strip("\"'")
    if field.arg & Arg.INDEX and text.isdecimal():
        return field, int(text)
    if not field.arg & Arg.KEY:
        raise ValueError(f"{name} takes {'a number as' if field.arg & Arg.INDEX else 'no'} argument, not {text!r}")
    return field, text


def _serve(field: Field, block: BlockView | None, slot: int) -> Value | None:
    """A cell as the field's type has it."""
    if block is None:
        return None
    kind = field.type
    if kind is Type.STRING:
        return block.text(slot)
    if kind in (Type.IPADDR, Type.IPNET):
        data = block.bytes(slot)
        return address(data).decode() if data is not None and len(data) in (4, 16) else None
    number = block.cell(slot)
    return None if number is None else _number(field, number)


def _number(field: Field, number: int) -> Value:
    if field.type is Type.BOOL:
        return number != 0
    if field.type is Type.SIGNED:
        return str(number - (1 << 64) if number >> 63 else number)
    if field.type is Type.STRING:
        return str(number)
    return number


def _none(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    return None


def _cell(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    return _serve(field, view.block(field.kind), field.slot)


def _override(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    if view.event.cell(field.slot2) is not None:
        return _serve(field, view.event, field.slot2)
    return _serve(field, view.block(field.kind), field.slot)


def _zero(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    return None if view.block(field.kind) is None else _number(field, view.event.cell(field.slot) or 0)


def _main(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    return _serve(field, view.main(), field.slot)


def _parent_block(view: EventView) -> BlockView | None:
    ancestors = view.ancestors()
    return ancestors[0] if ancestors else None


def _parent(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    return _serve(field, _parent_block(view), field.slot)


def _leader(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    lineage = view.block(Kind.LINEAGE)
    if lineage is None:
        return None
    if lineage.cell(field.slot2) is None:
        return ""
    return _serve(field, view.named(lineage, field.slot2, Kind.THREAD), field.slot)


def _ancestor(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    lineage = view.block(Kind.LINEAGE)
    if lineage is None:
        return None
    if isinstance(arg, int):
        if arg == 0:
            return _serve(field, view.named(lineage, slots.LINEAGE_MAIN, Kind.THREAD), field.slot)
        ancestors = view.ancestors()
        return _serve(field, ancestors[arg - 1], field.slot) if arg <= len(ancestors) else None
    if field.type is not Type.STRING:
        return _serve(field, view.named(lineage, slots.LINEAGE_MAIN, Kind.THREAD), field.slot)
    joined = ""
    for thread in view.forebears():
        if joined:
            joined += " "
        joined += thread.text(field.slot) or ""
    return joined or None


def _ancestors(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    return _list(field, [_serve(field, thread, field.slot) for thread in view.forebears()])


def _list(field: Field, values: list[Value | None]) -> Value | None:
    """A list without what is absent; none at all if nothing is left."""
    if field.type in (Type.STRING, Type.IPADDR, Type.IPNET):
        texts = [item for item in values if isinstance(item, str)]
        return texts or None
    numbers = [item for item in values if isinstance(item, int)]
    return numbers or None


def _item(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    block = view.block(field.kind)
    if not isinstance(arg, int):
        return _serve(field, block, field.slot)
    items = block.strings(field.slot2) if block is not None else None
    if items is None:
        return None
    return items[arg] if arg < len(items) else ""


def _variable(env: BlockView | None, slot: int, name: str) -> str | None:
    """The value of a variable, "" if it is not there; None without an environment."""
    items = env.strings(slot) if env is not None else None
    if items is None:
        return None
    prefix = name + "="
    for item in items:
        if item.startswith(prefix) and len(item) > len(prefix):
            return item[len(prefix) :].strip(" ")
    return ""


def _env(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    env = view.block(Kind.ENV)
    if isinstance(arg, str):
        return _variable(env, field.slot2, arg)
    return _serve(field, env, field.slot)


def _aenv(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    if isinstance(arg, str):
        if view.block(Kind.LINEAGE) is None:
            return None
        for thread in view.forebears()[:MAX_AENV]:
            found = _variable(view.env_of(thread), field.slot2, arg)
            if found:
                return found
        return ""
    if not arg:
        return _serve(field, view.block(Kind.ENV), field.slot)
    lineage = view.block(Kind.LINEAGE)
    if lineage is not None and lineage.cell(slots.LINEAGE_MAIN) is None:
        return ""
    forebears = view.forebears()
    return _serve(field, view.env_of(forebears[arg - 1]), field.slot) if arg <= len(forebears) else None


def _aenvs(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    return _list(field, [_serve(field, view.env_of(thread), field.slot) for thread in view.forebears()])


def _elapsed(field: Field, view: EventView, since: int | None) -> Value | None:
    return None if not since else (view.ts - since) & MASK64


def _since(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    block = view.block(field.kind)
    return _elapsed(field, view, block.cell(field.slot) if block is not None else None)


def _psince(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    parent = _parent_block(view)
    return _elapsed(field, view, parent.cell(field.slot) if parent is not None else None)


def _arg(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    index = view.parameter(field, arg)
    if index < 0:
        return None
    offset, length, _, _ = view.entry(index)
    data = view.slice(offset, length)
    return None if data is None else decoded(data)


def _rawarg(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    index = view.parameter(field, arg)
    if index < 0:
        return None
    _, _, kind, raw = view.entry(index)
    if kind == RAW_BYTES:
        data = view.slice(raw & 0x7FFF_FFFF, raw >> 32) if field.type is Type.STRING else None
        if data is None:
            return None
        if not raw & BINARY:
            return decoded(data)
        return data.hex() if view.hex_binary else dotted(data).decode("ascii")
    if kind == RAW_SIGNED and field.type is Type.STRING:
        return str(raw - (1 << 64) if raw >> 63 else raw)
    return _number(field, raw) if kind in (RAW_UNSIGNED, RAW_SIGNED) else None


def _buffer(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    index = view.parameter(field, arg)
    if index < 0:
        return None
    _, _, kind, raw = view.entry(index)
    return _arg(field, arg, view) if kind == RAW_BYTES and raw >> 32 else None


def _typeis(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    wanted = field.slot if field.slot != NO_NAME else _EVENT_NUMBERS.get(str(arg), -1)
    etype = view.block(Kind.ETYPE)
    return int(etype is not None and etype.cell(field.slot2) == wanted)


def _fdtype(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    files = view.block(Kind.FILES)
    if files is None or view.event.cell(slots.FD_NUM) is None:
        return None
    if not isinstance(arg, int):
        return files.strings(field.slot) or None
    table = files.bytes(field.slot2) or b""
    if arg >= len(table) or table[arg] == 0:
        return None
    number = table[arg]
    return [names.FD_TYPES[number] if number < len(names.FD_TYPES) else names.FD_TYPES[0]]


def _celldiv(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    block = view.block(field.kind)
    number = block.cell(field.slot) if block is not None else None
    return None if number is None else number // 1_000_000_000


def _cellmod(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    block = view.block(field.kind)
    number = block.cell(field.slot) if block is not None else None
    return None if number is None else number % 1_000_000_000


def _key(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    block = view.block(field.kind)
    items = block.strings(field.slot) if block is not None else None
    for place in range(0, len(items or []) - 1, 2):
        if (items or [])[place] == arg:
            return (items or [])[place + 1]
    return None


def _glob(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    block = view.block(field.kind)
    items = block.strings(field.slot) if block is not None else None
    keys = block.strings(field.slot2) if block is not None else None
    if items is None or keys is None or arg is None:
        return None
    if isinstance(arg, int):
        return items[arg] if arg < len(items) else None
    pattern = compile_pattern(translate(arg))
    for place in range(min(len(items), len(keys))):
        if pattern.match(keys[place]):
            return items[place]
    return None


def _flag(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    return view.redelivered


def _bit(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    return None if view.block(field.kind) is None else _number(field, view.bits() >> field.slot & 1)


def _masked(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    return _serve(field, view.event, field.slot) if view.bits() & field.slot2 == field.slot2 else None


def _failed(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    result = view.event.cell(field.slot2)
    if result is None or view.bits() & field.slot != field.slot:
        return None
    return _number(field, result >> 63)


def _result(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    if view.event.cell(field.slot) is not None:
        return view.event.text(field.slot)
    return "SUCCESS" if view.event.cell(field.slot2) is not None else None


def _ifmain(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    thread = view.block(Kind.THREAD)
    ismain = thread.cell(slots.THREAD_ISMAIN) if thread is not None else None
    if ismain is None:
        return None
    number = view.event.cell(field.slot) if ismain else 0
    return None if number is None else number << field.slot2 & MASK64


def _withtid(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    if field.kind is Kind.THREAD:
        thread = view.block(Kind.THREAD)
        text = thread.text(field.slot) if thread is not None else None
        return None if text is None else f"{text}{view.tid}"
    number = view.event.cell(field.slot)
    return None if number is None else f"{view.tid}{number - (1 << 64) if number >> 63 else number}"


def _prefixed(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    text = _override(field, arg, view)
    if text is None:
        return None
    workload = view.block(Kind.WORKLOAD)
    prefix = workload.text(slots.CONTAINER_ID) if workload is not None else None
    return f"{prefix if prefix and prefix != HOST else ''}:{text}"


def _ends(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    block = view.block(field.kind)
    values = [_serve(field, block, field.slot)]
    second = _serve(field, block, field.slot2)
    if second != values[0]:
        values.append(second)
    return _list(field, values)


def _tid(field: Field, arg: str | int | None, view: EventView) -> Value | None:
    return view.tid if len(view.data) >= HEAD_SIZE and 0 <= view.tid <= MAX_TID else None


_OPERATIONS: Final[dict[Op, Callable[[Field, str | int | None, EventView], Value | None]]] = {
    Op.NONE: _none, Op.CELL: _cell, Op.OVERRIDE: _override, Op.ZERO: _zero, Op.MAIN: _main, Op.PARENT: _parent, Op.LEADER: _leader,
    Op.ANCESTOR: _ancestor, Op.ANCESTORS: _ancestors, Op.ITEM: _item, Op.ENV: _env, Op.AENV: _aenv, Op.AENVS: _aenvs, Op.SINCE: _since,
    Op.PSINCE: _psince, Op.ARG: _arg, Op.RAWARG: _rawarg, Op.BUFFER: _buffer, Op.TYPEIS: _typeis, Op.FDTYPE: _fdtype, Op.CELLDIV: _celldiv,
    Op.CELLMOD: _cellmod, Op.KEY: _key, Op.GLOB: _glob, Op.FLAG: _flag, Op.BIT: _bit, Op.MASKED: _masked, Op.FAILED: _failed,
    Op.RESULT: _result, Op.IFMAIN: _ifmain, Op.WITHTID: _withtid, Op.PREFIXED: _prefixed, Op.ENDS: _ends, Op.TID: _tid,
}  # fmt: skip
