"""The reader among bytes that nobody promised anything about; the values themselves are held against libsinsp's elsewhere."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edera_falcod.fields import slots
from edera_falcod.fields.catalog import FIELDS
from edera_falcod.fields.cells import Cells
from edera_falcod.fields.forms import all_forms, fixed_forms, values
from edera_falcod.fields.reader import RAW_BYTES, BlockTable, EventView, parse_form, value
from edera_falcod.fields.spec import Arg, Field, Kind, Type
from edera_falcod.fields.views import HEAD_SIZE, BlockView
from edera_falcod.scap import tables as t
from tests.state.support import event, inet_tuple, small_zone, told, told_fd, zone_of

from .watch import Watch

ARGUMENTS: tuple[str | int | None, ...] = (None, 0, 1, 3, 99, 1 << 40, "", "HOME", "cpu", "open", "*", "[", "fd")


def ask_all(view: EventView, fields: tuple[Field, ...] = FIELDS) -> None:
    """Every field with every argument that it takes: a value of its type, or none, and never an exception."""
    for field in fields:
        for argument in ARGUMENTS:
            if argument is None or (field.arg & (Arg.INDEX if isinstance(argument, int) else Arg.KEY)):
                found = value(field, argument, view)
                if found is None:
                    continue
                if field.is_list:
                    assert isinstance(found, list)
                elif field.type is Type.BOOL:
                    assert isinstance(found, bool)
                elif field.type in (Type.UINT64, Type.RELTIME, Type.ABSTIME):
                    assert isinstance(found, int) and 0 <= found < 1 << 64
                else:
                    assert isinstance(found, str)


SAMPLE = FIELDS[:340:3] + FIELDS[340::25]


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_garbage_for_an_event(data: bytes) -> None:
    ask_all(EventView(data, BlockTable()), SAMPLE)


def table_of(watch: Watch) -> list[tuple[int, int, bytes]]:
    """All blocks that the last event names, directly or not."""
    found = {}
    stack = list(watch.record.blocks)
    while stack:
        block = stack.pop()
        found[block.id] = (block.id, block.kind, block.data)
        stack.extend(block.refs)
    return sorted(found.values())


def whole() -> Watch:
    """An event with a value in nearly every kind of block."""
    files = [told_fd(0, t.SCAP_FD_FILE_V2, name=b"/dev/null"), told_fd(3, t.SCAP_FD_FILE_V2, name=b"/etc/x")]
    parent = told(10, env=b"HOME=/\0", args=b"a\0b\0", cgroups=b"cpu=/x\0", fds=files)
    watch = Watch(zone_of(told(1, ptid=0), parent, told(11, ptid=10, fds=files, args=b"z\0")))
    return watch.see(event(t.PPME_SYSCALL_READ_X, 11, res=2, fd=3, size=2, data=b"\x7fE"))


WHOLE = whole()
BLOCKS = table_of(WHOLE)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_bytes(data: st.DataObject) -> None:
    """Bits turned and ends cut off, in the event and in the blocks."""

    def damaged(raw: bytes, label: str) -> bytes:
        out = bytearray(raw)
        for _ in range(data.draw(st.integers(0, 4), label=f"{label} flips")):
            if out:
                out[data.draw(st.integers(0, len(out) - 1))] = data.draw(st.integers(0, 255))
        return bytes(out[: data.draw(st.integers(0, len(out)) | st.just(len(out)))])

    table = BlockTable()
    for id, kind, raw in BLOCKS:
        table.define(id, kind, damaged(raw, "block"))
    ask_all(EventView(damaged(WHOLE.record.item, "event"), table), SAMPLE)


@pytest.mark.parametrize("end", range(0, len(WHOLE.record.item), 7))
def test_an_event_cut_short(end: int) -> None:
    table = BlockTable()
    for id, kind, raw in BLOCKS:
        table.define(id, kind, raw)
    ask_all(EventView(WHOLE.record.item[:end], table), SAMPLE)


def test_blocks_that_are_not_there_or_of_another_kind() -> None:
    ask_all(EventView(WHOLE.record.item, BlockTable()))
    table = BlockTable()
    for id, kind, raw in BLOCKS:
        table.define(id, (kind + 1) % 9, raw)
    view = EventView(WHOLE.record.item, table)
    ask_all(view)
    assert view.block(Kind.THREAD) is None


def test_released_blocks_are_forgotten() -> None:
    table = BlockTable()
    for id, kind, raw in BLOCKS:
        table.define(id, kind, raw)
    view = EventView(WHOLE.record.item, table)
    assert value(*parse_form("proc.name"), view) == "comm11"
    table.release([id for id, _, _ in BLOCKS])
    assert len(table) == 0
    assert value(parse_form("proc.name")[0], None, EventView(WHOLE.record.item, table)) is None


def test_references_that_lead_outside_are_not_followed() -> None:
    cells = Cells()
    cells.number(0, 0xFFFF_FFFF << 32)
    cells.number(1, 0xFFFF_FFFC | 4 << 32)
    cells.number(2, 0xFFFF_FFFF_FFFF_FFFF)
    view = BlockView(cells.finish())
    assert [view.bytes(slot) for slot in range(4)] == [None] * 4


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\1\0\0", struct.pack("<I", 0), struct.pack("<IQ", 9, 0), struct.pack("<IQ", 2, 0), struct.pack("<IQ", 1, 1),
        struct.pack("<IQI", 1, 1, 0),
    ],
)  # fmt: skip
def test_malformed_blocks_have_no_cells(data: bytes) -> None:
    view = BlockView(data)
    assert view.cell(0) is None and view.text(0) is None and view.strings(0) is None


def test_text_that_is_not_utf8_is_no_value() -> None:
    cells = Cells()
    cells.text(0, b"\xff")
    cells.raw(1, b"a\0\xff\0")
    cells.raw(2, b"no end")
    view = BlockView(cells.finish())
    assert view.text(0) is None and view.strings(1) is None and view.strings(2) is None


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("proc.nam", "unknown field proc.nam"), ("proc.name[1]", "takes no argument"), ("proc.aname[x]", "takes a number"),
        ("proc.aname[1", "']' expected"), ("thread.cgroup", "requires an argument"), ("evt.around[x]", "takes a number"),
    ],
)  # fmt: skip
def test_forms_that_are_wrong_say_so(form: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("[", r"\[")):
        parse_form(form)


def test_forms_that_are_right() -> None:
    assert parse_form("proc.aname[2]")[1] == 2
    assert parse_form("proc.aenv[2]")[1] == 2 and parse_form("proc.aenv[HOME]")[1] == "HOME"
    assert parse_form("evt.arg[0]")[1] == 0 and parse_form("evt.arg[fd]")[1] == "fd"
    assert parse_form('container.mount.dest["/host*"]')[1] == "/host*"


def test_forms_that_replay_prints() -> None:
    """Those that libsinsp was asked for; what it can only compare, or what is ours, is not among them."""
    forms = {form for form, _, _ in fixed_forms()}
    assert {"proc.aname", "proc.aname[6]", "proc.aenv[ZONE_VAR]", "fd.types[3]", "thread.cgroup.cpu", "evt.rawres"} <= forms
    assert not forms & {"fd.ip", "proc.anames", "evt.rawres.unsigned", "container.id", "edera.zone.id", "evt.arg", "proc.aname[7]"}
    assert len(forms) == len(fixed_forms())
    both = {form for form, _, _ in all_forms(t.PPME_SYSCALL_READ_X)} - forms
    named = {f"evt.{kind}.{name}" for kind in ("arg", "rawarg") for name in ("res", "fd", "size", "data")}
    assert both == named | {f"evt.arg[{n}]" for n in range(4)}
    found = values(WHOLE.view, all_forms(t.PPME_SYSCALL_READ_X))
    assert found["evt.arg.data"] == ".E" and found["evt.rawarg.data"] == ".E" and found["evt.buffer"] == ".E"
    hexed = EventView(WHOLE.record.item, WHOLE.table, hex_binary=True)
    assert values(hexed, all_forms(t.PPME_SYSCALL_READ_X))["evt.rawarg.data"] == "7f45"


def test_redelivered_is_the_batchs() -> None:
    field = parse_form("edera.redelivered")[0]
    assert value(field, None, EventView(WHOLE.record.item, WHOLE.table, True)) is True
    assert value(field, None, EventView(WHOLE.record.item, WHOLE.table)) is False


def test_globs_and_keys() -> None:
    cells = Cells()
    cells.strings(slots.CONTAINER_MOUNT_SOURCES, [b"/host/a", b"/proc"])
    cells.strings(slots.CONTAINER_MOUNT_DESTS, [b"/a", b"/proc/x"])
    cells.strings(slots.CONTAINER_LABEL_LIST, [b"app", b"web", b"app", b"second", b"odd"])
    watch = Watch(small_zone())
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 10, uid=0))
    data = bytearray(watch.record.item)
    struct.pack_into("<Q", data, HEAD_SIZE - 8, 999_999)
    watch.table.define(999_999, Kind.WORKLOAD, cells.finish())
    watch.view = EventView(bytes(data), watch.table)
    assert watch.value("container.mount.dest[/host/*]") == "/a" and watch.value("container.mount.dest[1]") == "/proc/x"
    assert watch.value("container.mount.source[/proc/?]") == "/proc" and watch.value("container.mount.dest[/nil]") is None
    assert watch.value("container.mount.dest[2]") is None
    assert watch.value("container.label[app]") == "web" and watch.value("container.label[odd]") is None


def worlds() -> Iterator[Watch]:
    """Events of threads of whom more or less is known, about files of all kinds and of none."""
    strangers = zone_of(told(1, ptid=0), told(10), told(23, pid=99, ptid=10), told(24, ptid=23, args=b"a\0"))
    watch = Watch(strangers)
    for tid in (1, 10, 23, 24, 999):
        yield watch.see(event(t.PPME_SYSCALL_GETUID_X, tid, uid=0))
        yield watch.see(event(t.PPME_SYSCALL_OPEN_X, tid, fd=-2, name="x", flags=1))
        yield watch.see(event(t.PPME_SYSCALL_READ_X, tid, res=-9, fd=77, size=1))
        yield watch.see(event(t.PPME_SYSCALL_EXECVE_19_X, tid, res=-2, filename="/x"))
    watch = Watch(small_zone())
    yield watch.see(event(t.PPME_SOCKET_ACCEPT_5_X, 21, fd=5, tuple=inet_tuple("1.1.1.1", 1, "2.2.2.2", 2)))
    assert (watch.value("fd.ip"), watch.value("proc.sname")) == (["1.1.1.1", "2.2.2.2"], "comm20")


def test_every_field_of_threads_of_whom_little_is_known() -> None:
    for watch in worlds():
        ask_all(watch.view)


def test_environments_of_processes_that_are_not_known() -> None:
    watch = Watch(zone_of(told(1, ptid=0), told(23, pid=99, env=b"A=1\0")))
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 23, uid=0))
    assert (watch.value("proc.env"), watch.value("proc.env[A]"), watch.value("proc.sname")) == ("", "", "")


def test_ancestors_that_a_consumer_does_not_know() -> None:
    watch = Watch(zone_of(told(1, ptid=0), told(10), told(11, ptid=10), told(12, ptid=11)))
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 12, uid=0))
    assert watch.value("proc.aname[3]") == "comm1" and [thread.text(slots.PROC_NAME) for thread in watch.view.forebears()][:1] == ["comm11"]
    lineage = watch.view.ancestors()
    named = {block.id for block in watch.record.blocks}
    middle = [number for number, kind, _ in table_of(watch) if kind == Kind.THREAD and number not in named]
    watch.table.release(middle)
    assert len(watch.view.ancestors()) < len(lineage) == 3 and watch.value("proc.aname[3]") is None


def test_raw_values_that_lie_outside_or_have_another_type() -> None:
    watch = Watch(small_zone()).see(event(t.PPME_SYSCALL_READ_X, 10, res=1, fd=0, size=1, data=b"abc"))
    data = bytearray(watch.record.item)
    whole_view = EventView(bytes(data), watch.table)
    assert value(*parse_form("evt.rawarg.data"), whole_view) == "abc"
    offset, length, kind, raw = whole_view.entry(1)
    word = struct.pack("<Q", raw)
    at = bytes(data).index(word, 40)
    data[at : at + 8] = struct.pack("<Q", raw | 0x7FFF_FF00)
    assert value(*parse_form("evt.rawarg.data"), EventView(bytes(data), watch.table)) is None
    assert (length, kind) == (3, RAW_BYTES) and offset > 0
