"""The registry: names that Falco takes, rows that make sense, and a lock that only grows."""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from edera_falcod.fields import names, registry, slots
from edera_falcod.fields.catalog import FIELDS
from edera_falcod.fields.layout import BITS, CELLS
from edera_falcod.fields.markdown import markdown
from edera_falcod.fields.spec import NO_NAME, Arg, Kind, Op, Type
from edera_falcod.scap import tables as t
from edera_falcod.scap.format import dotted

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"

GENERIC = """evt.num evt.time evt.time.s evt.time.iso8601 evt.datetime evt.datetime.s evt.rawtime evt.rawtime.s evt.rawtime.ns evt.reltime
    evt.reltime.s evt.reltime.ns evt.pluginname evt.plugininfo evt.source evt.is_async evt.asynctype evt.hostname""".split()


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_fields", ROOT / "tools/generate_fields.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Names


def test_names_are_unique() -> None:
    assert [name for name, count in Counter([field.name for field in FIELDS]).items() if count > 1] == []


def test_names_are_what_falco_takes() -> None:
    part = r"[a-zA-Z][a-zA-Z0-9_]*"
    bad = [field.name for field in FIELDS if not re.fullmatch(rf"{part}(\.{part})+", field.name)]
    assert bad == []


def test_no_name_begins_with_a_generic_field() -> None:
    """Falco serves these for every source; one that begins with such a name loads but cannot be used."""
    assert [field.name for field in FIELDS if any(field.name.startswith(name) for name in GENERIC)] == []


@pytest.mark.skipif(not SHARED.exists(), reason="needs the lists of libsinsp's fields")
def test_every_field_of_libsinsp_and_of_the_container_plugin_is_there() -> None:
    ours = registry.by_name()
    with (SHARED / "spec/libsinsp-fields.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (SHARED / "spec/container-plugin-fields.csv").open(newline="") as stream:
        container = list(csv.DictReader(stream))
    wanted = [row["name"] for row in rows if row["generic"] == "syscall-only"] + [row["name"] for row in container]
    assert [name for name in wanted if name not in ours] == []
    assert {row["name"] for row in rows if row["generic"] == "generic"} == set(GENERIC)
    types = {"string": Type.STRING, "bool": Type.BOOL, "abstime": Type.ABSTIME, "reltime": Type.RELTIME}
    for row in container:
        assert ours[row["name"]].type is types[row["plugin_type"]], row["name"]
        assert bool(ours[row["name"]].arg & Arg.REQUIRED) == ("Required" in row["arg"]), row["name"]


def test_every_parameter_and_event_name_of_the_tables_is_there() -> None:
    params = {param.name.decode() for event in t.EVENTS for param in event.params}
    assert params == set(names.ARG_NAMES) and len(names.ARG_NAMES) == len(set(names.ARG_NAMES)) == 223
    events = {event.name.decode() for event in t.EVENTS} - {"NA"}
    assert events == set(names.EVENT_NAMES) and len(names.EVENT_NAMES) == len(events)
    ours = registry.by_name()
    for name in names.ARG_NAMES:
        assert f"evt.arg.{name}" in ours and f"evt.rawarg.{name}" in ours
    for name in names.EVENT_NAMES:
        assert f"evt.type.is.{name}" in ours


# Types


def test_a_signed_number_has_an_unsigned_companion() -> None:
    ours = registry.by_name()
    signed = [field for field in FIELDS if field.type is Type.SIGNED]
    assert {"fd.num", "evt.rawres", "user.loginuid", "proc.pid"} <= {field.name for field in signed}
    for field in signed:
        companion = ours[f"{field.name}.unsigned"]
        assert companion.type is Type.UINT64
        assert (companion.op, companion.kind, companion.slot) == (field.op, field.kind, field.slot)


def test_rawarg_is_a_number_only_where_every_current_event_makes_it_an_unsigned_one() -> None:
    ours = registry.by_name()
    assert ours["evt.rawarg.ino"].type is Type.UINT64
    assert ours["evt.rawarg.res"].type is Type.STRING and "evt.rawarg.res.unsigned" in ours
    assert ours["evt.rawarg.fd"].type is Type.STRING and "evt.rawarg.fd.unsigned" in ours
    assert ours["evt.rawarg.addr"].type is Type.STRING, "a socket address in some events"
    assert "evt.rawarg.addr.unsigned" not in ours
    assert ours["evt.rawarg.data"].type is Type.STRING
    signed = {t.PT_INT8, t.PT_INT16, t.PT_INT32, t.PT_INT64, t.PT_ERRNO, t.PT_FD, t.PT_PID, t.PT_FD32, t.PT_PID32}
    for event in t.EVENTS:
        if not event.old and not event.unused:
            for param in event.params:
                if param.type in signed:
                    assert ours[f"evt.rawarg.{param.name.decode()}"].type is Type.STRING


# Rows

LIST_OPS = {Op.ANCESTORS, Op.AENVS, Op.FDTYPE, Op.ENDS}
ARG_OPS = {Op.ANCESTOR, Op.ITEM, Op.ENV, Op.AENV, Op.ARG, Op.RAWARG, Op.TYPEIS, Op.FDTYPE, Op.KEY, Op.GLOB, Op.NONE}
THREAD_OPS = {Op.MAIN, Op.PARENT, Op.LEADER, Op.ANCESTOR, Op.ANCESTORS, Op.PSINCE}
FREE_SLOTS = {Op.NONE, Op.ARG, Op.RAWARG, Op.BUFFER, Op.TYPEIS, Op.FLAG, Op.TID, Op.BIT, Op.FAILED}
EVENT_CELLS = {Op.ZERO, Op.MASKED, Op.IFMAIN}
SECOND_EVENT = {Op.OVERRIDE, Op.PREFIXED, Op.FAILED, Op.RESULT}


def test_rows_make_sense() -> None:
    for field in FIELDS:
        assert field.is_list == (field.op in LIST_OPS), field
        assert not field.arg or field.op in ARG_OPS, field
        assert field.op is not Op.KEY or field.arg == Arg.REQUIRED_KEY, field
        if field.op in THREAD_OPS:
            assert field.kind is Kind.THREAD, field
        if field.op in (Op.ENV, Op.AENV, Op.AENVS):
            assert field.kind is Kind.ENV, field
        if field.op in EVENT_CELLS:
            assert field.slot < len(CELLS[Kind.EVENT]), field
        elif field.op not in FREE_SLOTS:
            assert field.slot < len(CELLS[field.kind]), field
        if field.op in SECOND_EVENT:
            assert field.slot2 < len(CELLS[Kind.EVENT]), field
        if field.op is Op.LEADER:
            assert CELLS[Kind.LINEAGE][field.slot2].endswith("_LEADER"), field
        if field.op is Op.BIT:
            assert field.slot < len(BITS), field
        if field.op in (Op.FAILED, Op.MASKED):
            assert (field.slot if field.op is Op.FAILED else field.slot2) < 1 << len(BITS), field
        if field.op in (Op.ARG, Op.RAWARG):
            assert field.slot == NO_NAME or names.ARG_NAMES[field.slot] == field.name.split(".")[2], field
        assert 0 <= field.slot <= 0xFFFF and 0 <= field.slot2 <= 0xFFFF, field
        assert field.doc and field.doc.isascii() and "|" not in field.doc + field.note, field


def test_cells_have_names_of_their_own() -> None:
    cells = [cell for kind in CELLS.values() for cell in kind]
    assert len(cells) == len(set(cells))
    for kind, held in CELLS.items():
        assert len(held) <= 128
        for slot, cell in enumerate(held):
            assert getattr(slots, cell) == slot
        assert getattr(slots, f"KIND_{kind.name}") == kind
    for number, bit in enumerate(BITS):
        assert getattr(slots, f"BIT_{bit}") == 1 << number


def test_cgroup_cells_are_in_the_order_of_their_names() -> None:
    """fields/proc.py counts from the first."""
    for place, name in enumerate(names.CGROUPS):
        assert getattr(slots, f"THREAD_CGROUP_{name.upper()}") == slots.THREAD_CGROUP_CPUSET + place


def test_types_of_files_are_libsinsps() -> None:
    assert len(names.FD_TYPES) == t.SCAP_FD_PIDFD + 2
    assert names.FD_TYPES[t.SCAP_FD_FILE_V2 + 1] == "file" and names.FD_TYPES[t.SCAP_FD_UNSUPPORTED + 1] == "<NA>"


# What is made of it


def test_json_is_what_a_plugin_host_takes() -> None:
    entries = registry.fields_json()
    assert len(entries) == len(FIELDS)
    for entry, field in zip(entries, FIELDS, strict=True):
        assert entry["type"] in ("string", "uint64", "bool", "reltime", "abstime", "ipaddr", "ipnet")
        assert entry["desc"] and dotted(entry["desc"].encode()) == entry["desc"].encode(), "printable ASCII only"
        if field.arg:
            assert not entry["arg"]["isRequired"] or entry["arg"]["isIndex"] or entry["arg"]["isKey"]
    suggested = [entry["name"] for entry in entries if entry.get("addOutput")]
    assert "edera.zone.name" in suggested and "container.id" in suggested and len(suggested) <= 8


def test_hash_is_fnv1a() -> None:
    assert registry.fnv1a(b"") == 0xCBF29CE484222325
    assert registry.fnv1a(b"a") == 0xAF63DC4C8601EC8C
    assert registry.fnv1a(b"foobar") == 0x85944171F73967E8


def test_prefixes_are_compatible_and_nothing_else_is() -> None:
    hashes = registry.prefix_hashes()
    assert len(hashes) == len(FIELDS) + 1 and len(set(hashes)) == len(hashes)
    text = "".join([field.line() + "\n" for field in FIELDS]).encode()
    assert hashes[-1] == registry.fnv1a(text)
    for count in (0, 1, 500, len(FIELDS)):
        assert registry.compatible(count, hashes[count]) is True
        assert registry.compatible(count, hashes[count] ^ 1) is False
    assert registry.compatible(len(FIELDS) + 1, 0) is None, "the peer has more: it has to judge"


def test_generated_files_are_fresh() -> None:
    done = subprocess.run([sys.executable, "tools/generate_fields.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("lines, refused", [(["a", "b"], None), (["a", "b", "c"], None), (["a", "x"], "line 2"), (["a"], "line 2")])
def test_the_lock_only_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], refused: str | None) -> None:
    module = generator()
    lock = tmp_path / "registry.lock"
    lock.write_text("a\nb\n")
    monkeypatch.setattr(module, "LOCK", lock)
    why = module.check_lock("".join([line + "\n" for line in lines]))
    assert why is None if refused is None else refused in (why or "")


def test_the_lock_holds_what_both_sides_must_agree_on() -> None:
    first = FIELDS[0]
    assert first.line() == "evt.latency|RELTIME|CELL|ETYPE|14|0|0|one"
    assert (ROOT / "edera_falcod/fields/registry.lock").read_text().splitlines()[0] == first.line()


def test_the_reference_page_is_made_of_the_catalog() -> None:
    page = markdown()
    assert page == (ROOT / "docs/fields.md").read_text()
    rows = set(re.findall(r"^\| ([a-zA-Z_.0-9]+) \|", page, re.MULTILINE))
    named = {field.name for field in FIELDS if not field.name.startswith(("evt.arg.", "evt.rawarg.", "evt.type.is."))}
    assert named - rows == set() and {name.split(".")[2] for name in registry.by_name() if name.startswith("evt.arg.")} - rows == set()


def test_fields_are_found_by_name_and_number() -> None:
    registry.by_name.cache_clear()
    registry.ids.cache_clear()
    assert all(FIELDS[number] is registry.by_name()[name] for name, number in registry.ids().items())
    assert registry.compatible(len(FIELDS) + 1, 0) is None
