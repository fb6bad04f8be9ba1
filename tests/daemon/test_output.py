from __future__ import annotations

import struct

import pytest

from edera_falcod.falco.frames import EVENT_HEAD
from edera_falcod.fields import slots
from edera_falcod.fields.cells import Cells
from edera_falcod.fields.reader import BlockTable, EventView
from edera_falcod.output import EventTypes, Form, Format, FormatError, json_object, printed, split_fields


def view(ts: int = 1_700_000_000_123_456_789, etype: bytes = b"openat", params: tuple[int, ...] = (), **texts: bytes) -> EventView:
    """An event of type ``etype`` by a thread with these texts."""
    table = BlockTable()
    cells = Cells()
    cells.text(slots.EVT_TYPE, etype)
    cells.raw(slots.EVT_PARAM_NAMES, struct.pack(f"<{len(params)}H", *params))
    table.define(2, slots.KIND_ETYPE, cells.finish())
    cells = Cells()
    for name, text in texts.items():
        cells.text(getattr(slots, name), text)
    table.define(3, slots.KIND_THREAD, cells.finish())
    event = Cells()
    event.text(slots.EVT_ARGS, b"fd=3")
    event.number(slots.EVT_CPU, 1)
    return EventView(EVENT_HEAD.pack(7, ts, 42, 2, 0, 3, 0, 0, 0) + event.finish(), table)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("%evt.type %proc.name", "openat sh"),
        ("%proc.name.", "sh."),
        ("(%proc.name)%%", "(sh)%"),
        ("%*proc.name %fd.name", "sh <NA>"),
        ("%evt.num %evt.rawtime %evt.rawtime.s %evt.rawtime.ns", "5 1700000000123456789 1700000000 123456789"),
        ("%evt.time.iso8601", "2023-11-14T22:13:20.123456789+0000"),
        ("%evt.source %evt.plugininfo", "edera_zone openat fd=3"),
        ("no field, 100 %, a%b", "no field, 100 %, a%b"),
        ("%thread.tid", "42"),
    ],
)
def test_formats(text: str, line: str) -> None:
    assert Format(text).line(view(PROC_NAME=b"sh"), 5) == line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("%proc.nam", "proc.nam: unknown field; did you mean proc.name?"),
        ("%nothing.like.it", "nothing.like.it: unknown field"),
        ("%edera.zone.annotation", "requires an argument"),
        ("%proc.name[3]", "takes no argument"),
    ],
)
def test_formats_that_cannot_be(text: str, says: str) -> None:
    with pytest.raises(FormatError) as error:
        Format(text)
    assert says in str(error.value)


def test_a_terminal_gets_no_control_characters() -> None:
    assert printed("a\x1b[31m\nb") == "a\ufffd[31m\ufffdb"
    assert printed(["x", "y"]) == "(x,y)"
    assert printed(True) == "true"


def test_the_last_time_that_a_zone_can_claim_has_a_text() -> None:
    assert Format("%evt.time.iso8601").line(view(ts=(1 << 64) - 1), 1) == "2554-07-21T23:34:33.709551615+0000"


def test_json_objects_leave_out_what_has_no_value() -> None:
    one = view(PROC_NAME=b"sh")
    found = json_object(one, 3, EventTypes().of(one), [Form("proc.name"), Form("fd.name")])
    assert found == {"num": 3, "ts": one.ts, "tid": 42, "cpu": 1, "etype": -1, "type": "openat", "fields": {"proc.name": "sh"}}


def test_a_generic_events_type_is_the_tables() -> None:
    from edera_falcod.fields.names import ARG_NAMES

    numbers = tuple([ARG_NAMES.index(name) for name in ("ID", "nativeID")])
    found = EventTypes().of(view(etype=b"uname", params=numbers))
    assert found.name == "syscall"
    assert [form.text for form in found.forms][:3] == ["evt.arg[0]", "evt.arg.ID", "evt.rawarg.ID"]


def test_field_lists_are_split_at_commas_outside_of_brackets() -> None:
    assert split_fields("a, b[1],c[x,y] ,,d") == ["a", "b[1]", "c[x,y]", "d"]
