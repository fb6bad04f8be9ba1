"""Values of hand-made events, held against what libsinsp printed for them.

The values were made with a newer libs than our reference, on a machine with a user database; what differs by that, and what a
plugin field cannot print as libsinsp does, is listed below, case by case.
"""

from __future__ import annotations

from typing import Any

import pytest

from edera_falcod.fields.reader import Value
from edera_falcod.scap import tables

from .golden import cases, code_of, golden, look, run

NO_USERS = "the library asked its machine's user database"

# (case, field) -> why
EXCEPTIONS = {
    ("setuid", "evt.arg[1]"): NO_USERS,
    ("setuid", "evt.args"): NO_USERS,
    ("setuid", "evt.info"): NO_USERS,
    ("execve", "evt.args"): NO_USERS,
    ("execve", "evt.info"): NO_USERS,
    ("execve ENOENT", "evt.args"): NO_USERS,
    ("execve ENOENT", "evt.info"): NO_USERS,
    ("setuid", "user.name"): NO_USERS,
    ("setuid", "user.homedir"): NO_USERS,
    ("tid 3", "user.name"): NO_USERS,
    ("tid 3", "user.homedir"): NO_USERS,
    ("execve", "user.loginname"): NO_USERS,
    ("write err", "evt.buffer"): "an empty buffer has no value here, and what an earlier event left in libsinsp",
    ("ptrace", "evt.buffer"): "libsinsp prints as much as of an earlier event",
    ("fchmodat", "evt.rawarg.mode"): "the library could not print this type",
    ("chmod", "evt.rawarg.mode"): "the library could not print this type",
    ("chmod 0", "evt.rawarg.mode"): "the library could not print this type",
    ("tid 33 worker open", "proc.fdopencount"): "the library was given a thread that shares no files, which our snapshots do not know",
}


def printed(value: Value, form: str, code: int) -> str:
    """A value as libsinsp prints it: numbers in the field's print format, which plugin fields do not have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "(" + ",".join(sorted([str(item) for item in value])) + ")"
    if form == "fd.dev":
        return f"{int(value):X}"
    if form.startswith("evt.rawarg.") and isinstance(value, (int, str)):
        for param in tables.EVENTS[code].params:
            if param.name.decode() == form[len("evt.rawarg.") :]:
                if param.fmt == tables.PF_HEX:
                    return f"{int(value):X}"
                if param.fmt == tables.PF_OCT:
                    return f"{int(value):o}"
    return str(value)


def wanted(case: dict[str, Any], form: str) -> str | None:
    text: str | None = case["values"].get(form)
    if text is not None and form.startswith("fd.types"):
        return "(" + ",".join(sorted(text[1:-1].split(","))) + ")"
    if text is not None and form == "proc.fdusage":
        return text.split(".")[0]  # a fraction, served as the whole number below it
    return text


@pytest.mark.parametrize("name", cases())
def test_case(name: str) -> None:
    case = next(case for case in golden()["cases"] if case["case"] == name)
    view = run(case)
    code = code_of(case["events"][-1]["code"])
    wrong = {}
    excused = set()
    for form in golden()["fields"]:
        served = look(view, form)
        text = None if served is None else printed(served, form, code)
        if text != wanted(case, form):
            if (name, form) in EXCEPTIONS:
                excused.add(form)
            else:
                wrong[form] = (wanted(case, form), text)
    assert not wrong
    # An exception that is none any more has to go
    assert excused == {form for of, form in EXCEPTIONS if of == name}


def test_every_case_is_there() -> None:
    assert len(cases()) == 82
    assert {of for of, _ in EXCEPTIONS} <= set(cases())
