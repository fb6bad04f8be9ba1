"""Events as text and JSON, for `tail` and `replay`: Falco's output format over the fields of this registry."""

from __future__ import annotations

import difflib
import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from .fields import names, registry, slots
from .fields.reader import EventView, Value, parse_form, value
from .fields.spec import Field, Kind
from .scap.tables import EVENTS

MISSING: Final = "<NA>"  # what Falco prints for a field without a value

# What Falco serves for every source by itself, and so does not take from the plugin.
GENERIC: Final = (
    "evt.num", "evt.time", "evt.time.s", "evt.time.iso8601", "evt.datetime", "evt.datetime.s", "evt.rawtime", "evt.rawtime.s",
    "evt.rawtime.ns", "evt.source", "evt.pluginname", "evt.plugininfo",
)  # fmt: skip

_FIELD: Final = re.compile(r"%\*?([a-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+)(\[(?:\"[^\"]*\"|'[^']*'|[^\]]*)\])?|%%")


class FormatError(Exception):
    """A format or a field name that cannot be used; the text says which."""


def _near(name: str) -> str:
    close = difflib.get_close_matches(name, [*registry.by_name(), *GENERIC], n=1)
    return f"; did you mean {close[0]}?" if close else "; see: edera-falcod fields"


def split_fields(text: str) -> list[str]:
    """Field forms separated by commas; a comma in brackets separates nothing."""
    forms: list[str] = []
    depth = 0
    current = ""
    for c in text:
        depth += (c == "[") - (c == "]")
        if c == "," and depth <= 0:
            forms.append(current)
            current = ""
        else:
            current += c
    forms.append(current)
    return [form.strip() for form in forms if form.strip()]


class Form:
    """One field as it is written, with its argument."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.generic = text in GENERIC
        self.field: Field | None = None
        self.arg: str | int | None = None
        if not self.generic:
            try:
                self.field, self.arg = parse_form(text)
            except ValueError as error:
                hint = _near(name) if (name := text.partition("[")[0]) not in registry.by_name() else ""
                raise FormatError(f"{error}{hint}") from None

    def value(self, view: EventView, num: int) -> Value | None:
        if self.field is not None:
            return value(self.field, self.arg, view)
        return generic(self.text, view, num)


def generic(name: str, view: EventView, num: int) -> Value | None:
    """The value of a field that Falco serves for every source."""
    seconds, ns = divmod(view.ts, 1_000_000_000)
    if name == "evt.num":
        return num
    if name == "evt.source":
        return "edera_zone"
    if name == "evt.pluginname":
        return "edera"
    if name == "evt.plugininfo":
        return info(view)
    if name == "evt.rawtime":
        return view.ts
    if name == "evt.rawtime.s":
        return seconds
    if name == "evt.rawtime.ns":
        return ns
    when = datetime.fromtimestamp(seconds, UTC)
    if name == "evt.time.iso8601":
        return f"{when:%Y-%m-%dT%H:%M:%S}.{ns:09}+0000"
    local = when.astimezone()
    if name.startswith("evt.datetime"):
        return f"{local:%Y-%m-%d %H:%M:%S}" + ("" if name.endswith(".s") else f".{ns:09}")
    return f"{local:%H:%M:%S}" + ("" if name.endswith(".s") else f".{ns:09}")


def is_notice(view: EventView) -> bool:
    return view.event.cell(slots.EDERA_NOTICE_KIND) is not None


def info(view: EventView) -> str:
    """An event in one line; of a notice its text."""
    if is_notice(view):
        return view.event.text(slots.EDERA_NOTICE_TEXT) or ""
    etype = view.block(Kind.ETYPE)
    name = etype.text(slots.EVT_TYPE) if etype is not None else None
    return f"{name or MISSING} {view.event.text(slots.EVT_ARGS) or ''}".rstrip()


def printed(found: Value | None) -> str:
    """As Falco prints it; control characters, which a terminal would obey, as U+FFFD."""
    if found is None:
        return MISSING
    if isinstance(found, bool):
        return "true" if found else "false"
    text = "(" + ",".join([str(item) for item in found]) + ")" if isinstance(found, list) else str(found)
    return text if text.isprintable() else "".join([c if c.isprintable() else "\ufffd" for c in text])


class Format:
    """A text with %fields, as in the output of a Falco rule: `%proc.name`, `%proc.aname[2]`, `%evt.arg[fd]`; %% is a %."""

    def __init__(self, text: str) -> None:
        self.parts: list[str | Form] = []
        at = 0
        for match in _FIELD.finditer(text):
            if match.start() > at:
                self.parts.append(text[at : match.start()])
            if match[0] == "%%":
                self.parts.append("%")
                at = match.end()
                continue
            name = match[1]
            # A sentence may go on right behind a field: `%fd.name.` ends with the longest name that there is.
            while name not in registry.by_name() and name not in GENERIC and "." in name:
                name = name.rpartition(".")[0]
            if "." not in name:
                raise FormatError(f"{match[1]}: unknown field{_near(match[1])}")
            if name == match[1]:
                self.parts.append(Form(name + (match[2] or "")))
                at = match.end()
            else:
                self.parts.append(Form(name))
                at = match.start(1) + len(name)
        if at < len(text):
            self.parts.append(text[at:])

    def line(self, view: EventView, num: int) -> str:
        return "".join([part if isinstance(part, str) else printed(part.value(view, num)) for part in self.parts])


_CODES: Final[dict[tuple[str, tuple[str, ...]], int]] = {
    (info_.name.decode(), tuple([param.name.decode() for param in info_.params])): code
    for code, info_ in enumerate(EVENTS)
    if not info_.old and not info_.unused
}
_SYSCALL: Final = "syscall"  # the table's name of a generic event, whose evt.type is the system call's


class EventType:
    """What an ETYPE block says: ``name`` as in the event table, ``code`` (PPME, -1 unknown), ``forms``: evt.arg[i], evt.arg.NAME and
    evt.rawarg.NAME of its parameters."""

    def __init__(self, name: str, params: tuple[str, ...]) -> None:
        self.code = _CODES.get((name, params), -1)
        self.name = name
        if self.code < 0 and (_SYSCALL, params) in _CODES:
            self.name = _SYSCALL
            self.code = _CODES[_SYSCALL, params]
        self.forms: list[Form] = []
        for index, param in enumerate(params):
            self.forms += [Form(f"evt.arg[{index}]"), Form(f"evt.arg.{param}"), Form(f"evt.rawarg.{param}")]


class EventTypes:
    """Event types by ETYPE block, each worked out once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], EventType] = {}

    def of(self, view: EventView) -> EventType:
        etype = view.block(Kind.ETYPE)
        name = (etype.text(slots.EVT_TYPE) if etype is not None else None) or ""
        numbers = (etype.bytes(slots.EVT_PARAM_NAMES) if etype is not None else None) or b""
        key = (name, numbers)
        if key not in self._known:
            found = [int.from_bytes(numbers[at : at + 2], "little") for at in range(0, len(numbers) - 1, 2)]
            params = tuple([names.ARG_NAMES[number] if number < len(names.ARG_NAMES) else "" for number in found])
            self._known[key] = EventType(name, params)
        return self._known[key]


def json_object(view: EventView, num: int, etype: EventType, forms: list[Form]) -> dict[str, Any]:
    """One event as `replay --json` and `tail --json` print it: num, ts, tid, cpu, etype, type, fields; a field without a value is left
    out."""
    fields: dict[str, Any] = {}
    for form in forms:
        found = form.value(view, num)
        if found is not None:
            fields[form.text] = found
    return {
        "num": num,
        "ts": view.ts,
        "tid": view.tid,
        "cpu": view.event.cell(slots.EVT_CPU) or 0,
        "etype": etype.code,
        "type": etype.name,
        "fields": fields,
    }


def json_line(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
