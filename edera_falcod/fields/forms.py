"""The field forms that `replay --json` prints of an event: those that libsinsp was asked for when its answers to our captures were made,
so that the two can be held against each other value by value.

The answers hold every system call field of libsinsp that has a value by itself, some indexes and keys of those that take one, and of
each parameter of the event ``evt.arg[i]``, ``evt.arg.NAME`` and ``evt.rawarg.NAME``. Which indexes and keys is nothing but what was
asked then: a form that was not asked for cannot be told from one without a value, so it is not printed.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from ..scap.tables import EVENTS
from .catalog import FIELDS
from .reader import EventView, Value, parse_form, value
from .spec import Arg, Field, Op

INDEXED: Final[dict[str, tuple[str, ...]]] = {
    "proc.aname": ("0", "1", "2", "3", "4", "5", "6"),
    "proc.apid": ("0", "1", "2", "3", "4", "5", "6"),
    "proc.aexe": ("0", "1", "2", "3", "4"),
    "proc.aexepath": ("0", "1", "2", "3", "4"),
    "proc.acmdline": ("0", "1", "2", "3", "4"),
    "proc.aargs": ("1", "2", "3"),
    "proc.args": ("0", "1", "2", "3"),
    "proc.aenv": ("1", "2", "EMPTY", "HOME", "HOSTNAME", "LANG", "PATH", "ZONE_VAR"),
    "proc.env": ("EMPTY", "HOME", "HOSTNAME", "LANG", "PATH", "ZONE_VAR"),
    "fd.types": ("0", "1", "2", "3"),
}
"""Arguments of the fields that take one; each is printed without argument too."""

CGROUPS: Final = frozenset(("blkio", "cpu", "cpuacct", "cpuset", "memory"))

# Classes of fields that libsinsp has for system calls; of the rest (container.*, k8s.*, edera.*) it knows nothing.
_CLASSES: Final = frozenset(("evt", "syscall", "proc", "thread", "user", "group", "fd", "fs", "fdlist"))
# In libsinsp these can only be compared, so there is no answer
_FILTER_ONLY: Final = frozenset(("fd.ip", "fd.port", "fd.proto", "fd.net"))


def _is_asked(field: Field) -> bool:
    name = field.name
    if name.split(".", 1)[0] not in _CLASSES or field.op is Op.NONE or name in _FILTER_ONLY:
        return False
    if name.startswith(("evt.arg", "evt.rawarg", "evt.type.is", "proc.is_container_")) and name != "evt.args":
        return False
    if name.startswith("thread.cgroup."):
        return name.rsplit(".", 1)[1] in CGROUPS
    return not field.arg & Arg.REQUIRED and field.note != "not in libsinsp"


@cache
def fixed_forms() -> tuple[tuple[str, Field, str | int | None], ...]:
    """The forms that are asked of every event: how they are written, field, argument."""
    forms: list[tuple[str, Field, str | int | None]] = []
    for field in FIELDS:
        if not _is_asked(field):
            continue
        forms.append((field.name, field, None))
        for argument in INDEXED.get(field.name, ()):
            form = f"{field.name}[{argument}]"
            forms.append((form, *parse_form(form)))
    return tuple(forms)


@cache
def parameter_forms(code: int) -> tuple[tuple[str, Field, str | int | None], ...]:
    """The forms that are asked for the parameters of an event type."""
    forms: list[tuple[str, Field, str | int | None]] = []
    for index, param in enumerate(EVENTS[code].params):
        name = param.name.decode()
        for form in (f"evt.arg[{index}]", f"evt.arg.{name}", f"evt.rawarg.{name}"):
            forms.append((form, *parse_form(form)))
    return tuple(forms)


def all_forms(code: int) -> tuple[tuple[str, Field, str | int | None], ...]:
    """Every form that is printed for an event of type ``code``."""
    return fixed_forms() + parameter_forms(code)


def values(view: EventView, forms: tuple[tuple[str, Field, str | int | None], ...]) -> dict[str, Value]:
    """The values of the forms that have one."""
    found: dict[str, Value] = {}
    for form, field, argument in forms:
        served = value(field, argument, view)
        if served is not None:
            found[form] = served
    return found
