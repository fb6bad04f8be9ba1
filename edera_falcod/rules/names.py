"""Which fields a rule for zones may name, and which it may have meant."""

from __future__ import annotations

import difflib
from functools import cache
from typing import Final

from ..fields.catalog import FIELDS
from ..fields.spec import Arg, Field
from ..scap.tables import EVENTS, PT_BYTEBUF, SYSCALL_NAMES

# Served by libsinsp itself for every event source (falco-plugin-abi.md section 3); a plugin must not declare them.
GENERIC: Final = frozenset(
    """evt.num evt.time evt.time.s evt.time.iso8601 evt.datetime evt.datetime.s evt.rawtime evt.rawtime.s evt.rawtime.ns evt.reltime
    evt.reltime.s evt.reltime.ns evt.pluginname evt.plugininfo evt.source evt.is_async evt.asynctype evt.hostname""".split()
)


@cache
def _fields() -> dict[str, Field]:
    return {entry.name: entry for entry in FIELDS}


def known(name: str) -> Field | None:
    """The declaration of a plugin field, None for others (generic ones too)."""
    return _fields().get(name)


@cache
def all_names() -> frozenset[str]:
    """The names of all plugin fields."""
    return frozenset(_fields())


@cache
def buffers() -> frozenset[str]:
    """Fields that libsinsp compares as bytes and a plugin serves as text, a dot for each byte that is not printable."""
    params = {f"evt.rawarg.{param.name.decode()}" for event in EVENTS for param in event.params if param.type == PT_BYTEBUF}
    return frozenset(params) | {"evt.buffer"}


def nearest(name: str) -> list[str]:
    """Up to three known names that look like ``name``, best first."""
    return difflib.get_close_matches(name, [*_fields(), *GENERIC], n=3, cutoff=0.6)


def problem(name: str, arg: str | None) -> str | None:
    """Why Falco would refuse the field in this form, None if it would not."""
    if name in GENERIC:
        return None if arg is None else f"field {name} takes no argument"
    entry = known(name)
    if entry is None:
        near = nearest(name)
        return f"unknown field {name}" + (f"; did you mean {' or '.join(near)}?" if near else "")
    if arg is None:
        return f"field {name} requires an argument: {name}[...]" if entry.arg & Arg.REQUIRED else None
    if not entry.arg & Arg.INDEX_OR_KEY:
        return f"field {name} takes no argument"
    if not entry.arg & Arg.KEY and not arg.strip("\"'").isdigit():
        return f"field {name} takes a number as argument, not {arg!r}"
    return None


@cache
def event_types() -> frozenset[str]:
    """Every value that evt.type can have."""
    return frozenset(name.decode() for name in [*(info.name for info in EVENTS), *SYSCALL_NAMES])
