"""Every operation of docs/protocol.md, through the shim: what is there, what is not, and what does not hold."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from edera_falcod.fields import names, slots
from edera_falcod.fields.catalog import FIELDS
from edera_falcod.fields.spec import Op

from . import fake, world
from .conftest import Build

# form -> value as shimcat --json prints it; None: no value
EXPECTED: dict[str, Any] = {
    # NONE
    "util.cnt": None,
    # CELL: numbers, texts, booleans, addresses; absent cells and blocks
    "evt.type": "openat",
    "evt.dir": "<",
    "evt.cpu": 3,
    "evt.is_io": True,
    "evt.is_io_read": None,
    "evt.latency": 0,
    "evt.rawres": "-2",
    "evt.rawres.unsigned": 2**64 - 2,
    "edera.zone.name": "zöne-1",
    "edera.zone.id": "",
    "edera.zone.domid": 2**64 - 1,
    "edera.zone.tainted": True,
    "edera.zone.ip": "10.0.0.1",
    "proc.pid": "-3",
    "proc.is_exe_writable": True,
    "proc.exepath": None,
    "fd.cip": "10.0.0.1",
    "fd.sip": "::1",
    "fd.lip": None,  # three bytes are no address
    "fd.rip": None,
    "fd.is_server": False,
    "proc.pvpid": "-1",
    "proc.vmsize": 77,
    "proc.stdin.type": "file",
    "proc.stdout.type": None,
    "fdlist.nums": None,
    # OVERRIDE
    "evt.category": "file!",
    "fd.nameraw": "cold",
    # ZERO
    "thread.totexectime": 0,
    # IFMAIN of a thread that is not main
    "thread.vmsize": 0,
    "thread.vmsize.b": 0,
    # MAIN, PARENT, LEADER
    "proc.cwd": "/home/",
    "proc.pname": "sh",
    "proc.pexe": "",
    "proc.pexepath": "/bin/sh",
    "proc.ppid": 2,
    "proc.pcmdline": None,
    "proc.sname": "sh",
    "proc.sid.exe": "",
    "proc.vpgid.name": "",
    "proc.pgid.exepath": "",
    # ANCESTOR
    "proc.aname": "sh init",
    "proc.aname[0]": "main",
    "proc.aname[1]": "sh",
    "proc.aname[2]": "init",
    "proc.aname[3]": None,
    "proc.aname[18446744073709551615]": None,
    "proc.aexe": "/init",  # no blank while nothing is there yet
    "proc.aexe[1]": "",
    "proc.aexepath": "/bin/sh ",  # a blank for what follows, though it is empty
    "proc.aargs": None,
    "proc.apid": 4700,
    "proc.apid[2]": 1,
    # ANCESTORS
    "proc.anames": ["sh", "init"],
    "proc.aexes": ["", "/init"],
    "proc.aexepaths": ["/bin/sh"],
    "proc.aargslist": None,
    "proc.apids": [2, 1],
    # ITEM
    "proc.args": "-a  -c",
    "proc.args[0]": "-a",
    "proc.args[1]": "",
    "proc.args[2]": "-c",
    "proc.args[3]": "",
    "proc.args[18446744073709551615]": "",
    # ENV, AENV, AENVS
    "proc.env": "A=1 B= x ",
    "proc.env[A]": "1",
    "proc.env[B]": "x y",
    "proc.env[E]": "2",
    "proc.env[S]": "",
    "proc.env[Z]": "",
    "proc.env[AB]": "3",
    "proc.aenv": "A=1 B= x ",
    "proc.aenv[0]": "A=1 B= x ",
    "proc.aenv[1]": "P=parent",
    "proc.aenv[2]": None,
    "proc.aenv[P]": "parent",
    "proc.aenv[A]": "",  # ancestors only
    "proc.aenvs": ["P=parent"],
    # SINCE, PSINCE
    "proc.duration": 1_000_000_001,
    "proc.ppid.duration": 5,
    "container.duration": 10,
    # ARG
    "evt.args": "fd=-2(ENOENT) name=/eé flags=9(O_X) data=a.b. size=18446744073709551615 res=<NA> tuple=NULL cpu=8",
    "evt.arg[0]": "ENOENT",
    "evt.arg[1]": "/eé",
    "evt.arg[6]": "NULL",
    "evt.arg[7]": "8",
    "evt.arg[8]": None,
    "evt.arg[18446744073709551615]": None,
    "evt.arg[fd]": "ENOENT",
    "evt.arg[nothing]": None,
    "evt.arg": None,
    "evt.arg.fd": "ENOENT",
    "evt.arg.name": "/eé",
    "evt.arg.flags": "O_X",
    "evt.arg.path": None,
    # RAWARG
    "evt.rawarg.fd": "-2",
    "evt.rawarg.fd.unsigned": 2**64 - 2,
    "evt.rawarg.name": "/eé",
    "evt.rawarg[flags]": "9",
    "evt.rawarg.flags": "9",
    "evt.rawarg.size": str(2**64 - 1),
    "evt.rawarg.cpu": 8,
    "evt.rawarg.res": None,
    "evt.rawarg.tuple": "",
    "evt.rawarg.path": None,
    # BUFFER
    "evt.buffer": "a.b.",
    # TYPEIS
    "evt.type.is.openat": 1,
    "evt.type.is.open": 0,
    "evt.type.is[openat]": 1,
    "evt.type.is[open]": 0,
    "evt.type.is[no such]": 0,
    # FDTYPE
    "fd.types": ["file", "ipv4"],
    "fd.types[0]": ["file"],
    "fd.types[1]": None,
    "fd.types[2]": ["ipv4"],
    "fd.types[3]": ["<NA>"],
    "fd.types[4]": ["<NA>"],
    "fd.types[5]": None,
    # CELLDIV, CELLMOD
    "evt.deltatime": 3_000_000_007,
    "evt.deltatime.s": 3,
    "evt.deltatime.ns": 7,
    # KEY, GLOB
    "edera.zone.annotation[a]": "one",
    "edera.zone.annotation[b]": "",
    "edera.zone.annotation[one]": None,
    "edera.zone.annotation[odd]": None,
    "edera.workload.annotation[a]": None,
    "container.mount.source[/a]": "/s/1",
    "container.mount.source[/proc*]": "/s/2",
    "container.mount.source[/proc/?]": "/s/2",
    "container.mount.source[2]": "/t",
    "container.mount.source[3]": None,
    "container.mount.mode[/s/1]": "ro",
    "container.mount.mode[/proc*]": None,
    "container.mount.dest[/s/1]": "/a",
    "container.mount.rdwr[0]": None,
    # BIT, MASKED, FAILED, RESULT
    "evt.is_open_read": True,
    "evt.is_open_write": False,
    "fd.name_changed": False,
    "evt.buflen": 5,
    "evt.buflen.in": 5,
    "evt.buflen.out": None,
    "evt.buflen.file.in": 5,
    "evt.buflen.net.in": None,
    "evt.failed": True,
    "evt.count.error": 1,
    "evt.count.error.file": 1,
    "evt.count.error.net": None,
    "evt.res": "ENOENT",
    # WITHTID, PREFIXED, ENDS, TID, FLAG
    "thread.nametid": "worker4711",
    "fd.uid": "4711-2",
    "fd.containername": "c0ffee:10.0.0.1:1234->::1:443",
    "fd.containerdirectory": None,
    "fd.port": [1234, 443],
    "fd.proto": ["80"],
    "fd.ip": ["10.0.0.1", "::1"],
    "fd.net": ["10.0.0.1", "::1"],
    "thread.tid": 4711,
    "edera.redelivered": False,
    "edera.notice.text": None,
}

# Without a block: no value of its kind
BARE: dict[str, Any] = {
    "evt.type": None,
    "evt.type.is.openat": 0,
    "evt.type.is[openat]": 0,
    "evt.arg.fd": None,
    "evt.arg[fd]": None,
    "evt.arg[0]": "ENOENT",
    "evt.buffer": None,
    "proc.aname": None,
    "proc.aname[0]": "main",
    "proc.aname[1]": None,
    "proc.anames": None,
    "proc.ppid": None,
    "proc.ppid.duration": None,
    "proc.sname": "",
    "proc.aenv[P]": "",
    "proc.aenv[1]": None,
    "proc.name": None,
    "proc.env": None,
    "proc.env[A]": None,
    "proc.duration": None,
    "proc.vmsize": 77,
    "thread.vmsize": None,
    "thread.totexectime": None,
    "fd.name": None,
    "fd.containername": None,
    "fd.port": None,
    "fd.types": None,
    "fd.types[0]": None,
    "fd.name_changed": None,
    "edera.zone.annotation[a]": None,
    "container.mount.source[0]": None,
    "thread.tid": 4711,
}


def one(build: Build, path: Path, forms: Iterable[str], *frames: bytes, count: int = 1, arguments: tuple[str, ...] = ()) -> Any:
    """What shimcat prints of the events in some frames."""

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.send(*frames)
        daemon.drain()

    with fake.FakeDaemon(path, script):
        result = build.run(path, "--json", "--fields", "-", "--count", str(count), "--timeout", "20", *arguments, stdin="\n".join(forms))
    assert result.code == 0, result.err
    assert result.metrics["malformed"] == 0 and result.metrics["connects"] == 1, result.err
    return result


def check(got: dict[str, Any], expected: dict[str, Any]) -> None:
    assert got == {form: value for form, value in expected.items() if value is not None}


def test_every_operation_is_here() -> None:
    covered = {field.op for field in FIELDS if any(form.split("[")[0] == field.name for form in EXPECTED)}
    assert covered == set(Op)


def test_operations(checked: Build, path: Path) -> None:
    frames = fake.batch(*world.DEFINITIONS, fake.event(1, world.block(), world.IDS, world.TS, world.TID))
    result = one(checked, path, EXPECTED, frames)
    (event,) = result.events
    assert {key: event[key] for key in ("num", "ts", "tid", "cpu", "type")} == {
        "num": 1,
        "ts": world.TS,
        "tid": 4711,
        "cpu": 3,
        "type": "openat",
    }
    # Binary parameters are hexadecimal in JSON lines and dotted for Falco
    assert event["fields"].pop("evt.rawarg.data", None) is None
    check(event["fields"], EXPECTED)


def test_binary_parameters(checked: Build, path: Path) -> None:
    frames = fake.batch(*world.DEFINITIONS, fake.event(1, world.block(), world.IDS, world.TS, world.TID))
    assert one(checked, path, ["evt.rawarg.data", "evt.rawarg[data]"], frames).events[0]["fields"] == {
        "evt.rawarg.data": "610162ff",
        "evt.rawarg[data]": "610162ff",
    }

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.send(frames)
        daemon.drain()

    with fake.FakeDaemon(path, script):
        text = checked.run(path, "--count", "1", "--output", "%evt.rawarg.data|%evt.rawarg.path|%proc.anames|%evt.is_io")
    assert text.out == "a.b.|<NA>|(sh,init)|true\n"


def test_without_blocks(checked: Build, path: Path) -> None:
    ids = {fake.ETYPE_ID: world.BARE_ETYPE}
    frames = fake.batch(*world.DEFINITIONS, fake.event(1, world.block(world.EMPTY_LINEAGE), ids, world.TS, world.TID))
    result = one(checked, path, BARE, frames)
    check(result.events[0]["fields"], BARE)
    assert result.metrics["doubtful_values"] == 0


def test_who_begot_whom(checked: Build, path: Path) -> None:
    """Ancestors are main threads; those that begot may be others, and then lines and lists are made of these."""
    threads = struct.pack("<2Q", world.THREAD, world.GRAND)
    lineage = fake.define(
        50,
        slots.KIND_LINEAGE,
        fake.cells(
            numbers={slots.LINEAGE_MAIN: world.MAIN},
            raw={slots.LINEAGE_ANCESTORS: struct.pack("<Q", world.PARENT), slots.LINEAGE_THREADS: threads},
        ),
    )
    forms = ["proc.aname", "proc.anames", "proc.aname[1]", "proc.pname", "proc.aenv[1]", "proc.aenvs", "proc.aenv[A]", "proc.aexepath"]
    fields = one(checked, path, forms, fake.batch(*world.DEFINITIONS, lineage, fake.event(1, world.block(50), world.IDS))).events[0][
        "fields"
    ]
    assert fields == {
        "proc.aname": "worker init",
        "proc.anames": ["worker", "init"],
        "proc.aname[1]": "sh",
        "proc.pname": "sh",
        "proc.aenv[1]": "A=1 B= x ",
        "proc.aenvs": ["A=1 B= x "],
        "proc.aenv[A]": "1",
    }


def test_a_thread_whose_process_is_not_known(checked: Build, path: Path) -> None:
    """No main thread: nobody begot it, and proc.aenv[n] is empty, not without value, as in libsinsp."""
    lineage = fake.define(50, slots.KIND_LINEAGE, fake.cells(numbers={slots.PROC_PVPID: 1}))
    forms = ["proc.aname", "proc.aname[0]", "proc.aenv[1]", "proc.aenv[A]", "proc.aenvs", "proc.sname"]
    one_event = fake.event(1, world.block(50), world.IDS)
    fields = one(checked, path, forms, fake.batch(*world.DEFINITIONS, lineage, one_event)).events[0]["fields"]
    assert fields == {"proc.aenv[1]": "", "proc.aenv[A]": "", "proc.sname": ""}


def test_a_line_has_blanks_for_what_is_empty(checked: Build, path: Path) -> None:
    """As libsinsp joins: nothing before the first text, a blank for each that follows."""
    names_ = [None, b"", b"a", None, b"", b"b", None]
    threads = [
        fake.define(100 + n, slots.KIND_THREAD, fake.cells(texts={} if name is None else {slots.PROC_NAME: name}))
        for n, name in enumerate(names_)
    ]
    ids = struct.pack(f"<{len(names_)}Q", *range(100, 100 + len(names_)))
    frames = fake.batch(
        *threads,
        fake.define(1, slots.KIND_LINEAGE, fake.cells(raw={slots.LINEAGE_ANCESTORS: ids})),
        fake.event(1, fake.cells(numbers={slots.LINEAGE: 1})),
    )
    assert one(checked, path, ["proc.aname", "proc.anames"], frames).events[0]["fields"] == {
        "proc.aname": "a   b ",
        "proc.anames": ["", "a", "", "b"],
    }


def test_without_a_main_thread(checked: Build, path: Path) -> None:
    """What belongs to the process is then what the thread itself knows; ancestor 0 is not known."""
    cwd = fake.define(60, slots.KIND_THREAD, fake.cells(texts={slots.PROC_CWD: b"/own/", slots.PROC_NAME: b"own"}))
    for lineage in (world.NO_LINEAGE, 0):
        block = fake.cells(numbers={slots.LINEAGE: lineage} if lineage else {})
        fields = one(
            checked, path, ["proc.cwd", "proc.aname[0]"], fake.batch(*world.DEFINITIONS, cwd, fake.event(1, block, {fake.THREAD_ID: 60}))
        ).events[0]["fields"]
        assert fields == {"proc.cwd": "/own/"}


def test_blocks_that_are_not_there(checked: Build, path: Path) -> None:
    """An event that names blocks which were never defined, or are of another kind: no value, and counted."""
    for wrong in (77, world.ZONE):
        ids = {place: wrong for place in range(6) if not (place == fake.ZONE_ID and wrong == world.ZONE)}
        frames = fake.batch(*world.DEFINITIONS, fake.event(1, world.block(wrong), ids, world.TS, world.TID))
        forms = [form for form in EXPECTED if not form.startswith("edera.")]
        fields = one(checked, path, forms, frames).events[0]["fields"]
        # what is left is what the event says of itself
        left = {
            "evt.cpu",
            "evt.rawres",
            "evt.rawres.unsigned",
            "evt.args",
            "evt.category",
            "evt.res",
            "evt.failed",
            "thread.tid",
            "fd.uid",
            "evt.is_open_read",
            "evt.is_open_write",
            "proc.vmsize",
        }
        kinds = ("evt.deltatime", "evt.buflen", "evt.count.error", "evt.arg[")
        assert {name for name in fields if not name.startswith(kinds)} == left
        assert (
            one(checked, path, ["proc.name", "proc.aname", "proc.pname", "fd.name"], frames).metrics["doubtful_values"] == 4 + 2
        )  # and the event's type, twice


def test_a_line_of_64_ancestors_and_no_more(checked: Build, path: Path) -> None:
    threads = [fake.define(100 + n, slots.KIND_THREAD, fake.cells(texts={slots.PROC_NAME: b"p%d" % n})) for n in range(65)]
    for count in (64, 65):
        ids = struct.pack(f"<{count}Q", *range(100, 100 + count))
        lineage = fake.define(1, slots.KIND_LINEAGE, fake.cells(raw={slots.LINEAGE_ANCESTORS: ids, slots.LINEAGE_THREADS: ids}))
        frames = fake.batch(*threads, lineage, fake.event(1, fake.cells(numbers={slots.LINEAGE: 1})))
        result = one(checked, path, ["proc.aname", "proc.anames", "proc.aname[64]"], frames)
        fields = result.events[0]["fields"]
        if count == 64:
            assert fields == {
                "proc.aname": " ".join(f"p{n}" for n in range(64)),
                "proc.anames": [f"p{n}" for n in range(64)],
                "proc.aname[64]": "p63",
            }
        else:
            assert fields == {} and result.metrics["doubtful_values"] == 3


def test_large_values(checked: Build, path: Path) -> None:
    """An environment of a megabyte comes through, whole and by entry."""
    entries = [b"NAME_%05d=" % n + b"x" * 100 for n in range(9000)]
    env = fake.define(
        1,
        slots.KIND_ENV,
        fake.cells(texts={slots.PROC_ENV: b" ".join(entries)}, raw={slots.PROC_ENV_LIST: b"".join(entry + b"\0" for entry in entries)}),
    )
    thread = fake.define(2, slots.KIND_THREAD, fake.cells(numbers={slots.THREAD_ENV: 1}))
    frames = fake.batch(env, thread, fake.event(1, fake.cells(), {fake.THREAD_ID: 2}))
    fields = one(checked, path, ["proc.env", "proc.env[NAME_08999]"], frames).events[0]["fields"]
    assert fields == {"proc.env": " ".join(entry.decode() for entry in entries), "proc.env[NAME_08999]": "x" * 100}


TEXTS = [
    b"\xff",
    b"a\xc3",
    b"\xc3(",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    b"12345678\x80",
    b"\xf5\x80\x80\x80",
    b"1234567\xe2\x82",
]
GOOD_TEXTS = ["", "a", "é", "12345678", "1234567é", "€uro", "\U0001f600", "\U0010ffff", "\ud7ff\ue000", "x" * 1000 + "é", "\x01\x7f\ufffd"]


@pytest.mark.parametrize("value", TEXTS)
def test_text_that_is_not_utf8_is_withheld(small: Build, path: Path, value: bytes) -> None:
    """Falco 0.39 to 0.43 end at the first such text in JSON output."""
    zone = fake.cells(
        texts={slots.EDERA_ZONE_NAME: value, slots.EDERA_ZONE_ID: b"z"}, raw={slots.EDERA_ZONE_ANNOTATIONS: b"k\0" + value + b"\0"}
    )
    thread = fake.cells(texts={slots.PROC_NAME: value}, raw={slots.PROC_ARGS_LIST: value + b"\0"})
    frames = fake.batch(
        fake.define(1, slots.KIND_ZONE, zone),
        fake.define(2, slots.KIND_THREAD, thread),
        fake.event(1, fake.cells(), {fake.ZONE_ID: 1, fake.THREAD_ID: 2}),
    )
    fields = one(
        small, path, ["edera.zone.name", "edera.zone.id", "edera.zone.annotation[k]", "proc.args[0]", "thread.nametid"], frames
    ).events[0]["fields"]
    assert fields == {"edera.zone.id": "z"}


def test_a_prefix_that_is_not_utf8(small: Build, path: Path) -> None:
    """Found by fuzzing: a text made of two was checked in its second half only."""
    workload = fake.define(1, slots.KIND_WORKLOAD, fake.cells(texts={slots.CONTAINER_ID: b"\xff"}))
    fd = fake.define(2, slots.KIND_FD, fake.cells(texts={slots.FD_NAME: b"/x"}))
    frames = fake.batch(
        workload, fd, fake.event(1, fake.cells(), {fake.WORKLOAD_ID: 1, fake.FD_ID: 2}), fake.event(2, fake.cells(), {fake.FD_ID: 2})
    )
    result = one(small, path, ["fd.containername"], frames, count=2)
    assert [event["fields"] for event in result.events] == [{}, {"fd.containername": ":/x"}]


def test_text_that_is_utf8(checked: Build, path: Path) -> None:
    events = [
        fake.item(fake.DEFINE, struct.pack("<QB", n + 1, slots.KIND_ZONE) + fake.cells(texts={slots.EDERA_ZONE_NAME: value.encode()}))
        for n, value in enumerate(GOOD_TEXTS)
    ]
    events += [fake.event(n + 1, fake.cells(), {fake.ZONE_ID: n + 1}) for n in range(len(GOOD_TEXTS))]
    result = one(checked, path, ["edera.zone.name"], fake.batch(*events), count=len(GOOD_TEXTS))
    assert [event["fields"]["edera.zone.name"] for event in result.events] == GOOD_TEXTS


def references(slot: int, at: int, length: int, heap: bytes) -> bytes:
    """A block with one reference as given."""
    return struct.pack("<IQQ", 1, 1 << slot, (at & 0xFFFFFFFF) | length << 32) + heap


@pytest.mark.parametrize(
    ("at", "length"),
    [
        (20, 6),
        (25, 0),
        (19, 7),
        (26, 0),
        (27, 0),
        (0xFFFFFFFF, 0),
        (0xFFFFFFFF, 1),
        (20, 0xFFFFFFFF),
        (0xFFFFFFF0, 0x20),
        (4, 0xFFFFFFFC),
        (0, 4),
    ],
)
def test_references_that_lead_astray(small: Build, path: Path, at: int, length: int) -> None:
    """A text that is not inside its block, or has no NUL behind it, is no value. The heap is `hello` and a NUL, at 20."""
    for slot, kind, form in (
        (slots.EDERA_ZONE_NAME, slots.KIND_ZONE, "edera.zone.name"),
        (slots.EDERA_ZONE_ANNOTATIONS, slots.KIND_ZONE, "edera.zone.annotation[hell]"),
        (slots.EDERA_ZONE_IP, slots.KIND_ZONE, "edera.zone.ip"),
    ):
        frames = fake.batch(fake.define(1, kind, references(slot, at, length, b"hello\0")), fake.event(1, fake.cells(), {fake.ZONE_ID: 1}))
        fields = one(small, path, [form], frames).events[0]["fields"]
        if form == "edera.zone.name" and (at, length) == (25, 0):
            assert fields == {form: ""}  # empty, with the NUL behind it
        elif form == "edera.zone.ip" and (at, length) == (0, 4):
            assert fields == {form: "1.0.0.0"}  # any four bytes inside the block are an address
        else:
            assert fields == {}


BINARY = 1 << 31


@pytest.mark.parametrize(
    ("entry", "fields"),
    [
        ((16, 3 | 1 << 30, 0), {"evt.arg[0]": "abc", "evt.rawarg.name": "0"}),
        ((0, 0 | 1 << 30, 7), {"evt.arg[0]": "", "evt.rawarg.name": "7"}),
        ((0xFFFFFFFF, 1, 0), {}),
        ((0xFFFFFFFF, 0, 0), {}),
        ((16, 0x3FFFFFFF, 0), {}),
        ((16, 4, 0), {}),
        ((20, 0, 0), {}),
        ((19, 0, 0), {"evt.arg[0]": ""}),
        ((16, 3 | 3 << 30, 0xFFFFFFFF_FFFFFFFF), {"evt.arg[0]": "abc"}),
        ((16, 3 | 3 << 30, 4 << 32 | 16), {"evt.arg[0]": "abc"}),
        ((16, 3 | 3 << 30, 3 << 32 | 16), {"evt.arg[0]": "abc", "evt.rawarg.name": "abc"}),
        ((16, 3 | 3 << 30, 4 << 32 | 16 | BINARY), {"evt.arg[0]": "abc"}),
        ((16, 3 | 3 << 30, 2 << 32 | 17 | BINARY), {"evt.arg[0]": "abc", "evt.rawarg.name": "6263"}),
        ((16, 3 | 3 << 30, 1 << 32 | 0x7FFFFFFF), {"evt.arg[0]": "abc"}),
    ],
)
def test_parameters_that_lead_astray(small: Build, path: Path, entry: tuple[int, int, int], fields: dict[str, str]) -> None:
    """Offsets and lengths of the parameter table, held against the block's end. Behind the table's one entry is abc, at 16."""
    etype = fake.define(1, slots.KIND_ETYPE, fake.cells(raw={slots.EVT_PARAM_NAMES: struct.pack("<H", names.ARG_NAMES.index("name"))}))
    cells = fake.Block()
    at = cells.heap(struct.pack("<IIQ", *entry) + b"abc")
    cells.slice(slots.EVT_PARAMS, at, 16)
    result = one(small, path, ["evt.arg[0]", "evt.rawarg.name"], fake.batch(etype, fake.event(1, cells.finish(), {fake.ETYPE_ID: 1})))
    assert result.events[0]["fields"] == fields


def test_times(checked: Build, path: Path) -> None:
    """A time that Falco could not hold becomes the present; durations may be negative modulo 2^64, as in libsinsp."""
    thread = fake.define(1, slots.KIND_THREAD, fake.cells(numbers={slots.PROC_PID_TS: 100}))
    times = [1, 2**63 - 1, 0, 2**63, 2**64 - 1]
    events = [fake.event(n + 1, fake.cells(), {fake.THREAD_ID: 1}, ts) for n, ts in enumerate(times)]
    result = one(checked, path, ["proc.duration"], fake.batch(thread, *events), count=5)
    shown = [event["ts"] for event in result.events]
    assert shown[:2] == [1, 2**63 - 1]
    assert all(1_700_000_000_000_000_000 < ts < 2**63 for ts in shown[2:])
    assert [event["fields"]["proc.duration"] for event in result.events] == [(ts - 100) % 2**64 for ts in times]


def test_tids(checked: Build, path: Path) -> None:
    tids = [0, 1, 2**32 - 1, 2**32, -1, 2**63 - 1, -(2**63)]
    events = [fake.event(n + 1, fake.cells(numbers={slots.FD_NUM: 1}), tid=tid) for n, tid in enumerate(tids)]
    result = one(checked, path, ["thread.tid", "fd.uid"], fake.batch(*events), count=len(tids))
    assert [event["tid"] for event in result.events] == tids
    assert [event["fields"].get("thread.tid") for event in result.events] == [tid if 0 <= tid < 2**32 else None for tid in tids]
    assert [event["fields"]["fd.uid"] for event in result.events] == [f"{tid}1" for tid in tids]


def test_numbers_of_main_threads(checked: Build, path: Path) -> None:
    """IFMAIN: the event's number for a main thread, shifted where the field is in bytes; no value where that is not known."""
    threads = [
        fake.define(n + 1, slots.KIND_THREAD, fake.cells(numbers=numbers))
        for n, numbers in enumerate(({slots.THREAD_ISMAIN: 1}, {slots.THREAD_ISMAIN: 0}, {}))
    ]
    events = [fake.event(n + 1, fake.cells(numbers={slots.PROC_VMSIZE: 77}), {fake.THREAD_ID: n + 1}) for n in range(3)]
    events.append(fake.event(4, fake.cells(), {fake.THREAD_ID: 1}))
    result = one(checked, path, ["thread.vmsize", "thread.vmsize.b"], fake.batch(*threads, *events), count=4)
    assert [event["fields"] for event in result.events] == [
        {"thread.vmsize": 77, "thread.vmsize.b": 77 << 10},
        {"thread.vmsize": 0, "thread.vmsize.b": 0},
        {},
        {},
    ]


@pytest.mark.parametrize("words", [1, 2, 8])
def test_presence_words(checked: Build, path: Path, words: int) -> None:
    """Cells are found behind any number of presence words, cells of later versions among them."""
    block = fake.Block()
    block.number(slots.EDERA_ZONE_DOMID, 5)
    for slot in range(20, 64 * words):
        block.number(slot, slot)
    block.text(slots.EDERA_ZONE_NAME, b"name")
    frames = fake.batch(fake.define(1, slots.KIND_ZONE, block.finish(words)), fake.event(1, fake.cells(words), {fake.ZONE_ID: 1}))
    fields = one(checked, path, ["edera.zone.name", "edera.zone.domid", "edera.zone.tainted"], frames).events[0]["fields"]
    assert fields == {"edera.zone.name": "name", "edera.zone.domid": 5}


def test_plugininfo(checked: Build, path: Path) -> None:
    notice = fake.cells(texts={slots.EDERA_NOTICE_TEXT: b"zone a: 12 events lost"})
    plain = world.block()
    long = fake.Block()
    long.text(slots.EVT_ARGS, "ü".encode() * 2000)
    frames = fake.batch(
        *world.DEFINITIONS,
        fake.event(1, notice),
        fake.event(2, plain, world.IDS),
        fake.event(3, fake.cells()),
        fake.event(4, long.finish(), {fake.ZONE_ID: world.ZONE}),
    )

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.send(frames)
        daemon.drain()

    with fake.FakeDaemon(path, script):
        lines = checked.run(path, "--count", "4", "--output", "%evt.num %evt.plugininfo").out.splitlines()
    assert lines[0] == "1 zone a: 12 events lost"
    assert lines[1].startswith("2 zöne-1: worker openat fd=-2(ENOENT) name=/eé")
    assert lines[2] == "3 <NA> <NA> "
    assert lines[3].startswith("4 zöne-1: <NA> <NA> üüü") and len(lines[3].encode()) <= 2 + 1023 and lines[3].endswith("ü")


def test_a_capture_of_another_connection(checked: Build, path: Path) -> None:
    """Block ids of an earlier connection mean nothing on a later one: after a reconnect the same ids are other blocks."""

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        name = b"first" if daemon.number == 0 else b"second"
        daemon.send(
            fake.batch(
                fake.define(1, slots.KIND_ZONE, fake.cells(texts={slots.EDERA_ZONE_NAME: name})),
                fake.event(daemon.number + 1, fake.cells(), {fake.ZONE_ID: 1}),
            )
        )
        if daemon.number == 0:
            assert daemon.ack() == 1
            return
        daemon.drain()

    with fake.FakeDaemon(path, script):
        result = checked.run(path, "--json", "--count", "2", "edera.zone.name")
    assert [event["fields"]["edera.zone.name"] for event in result.events] == ["first", "second"]
    assert result.metrics["connects"] == 2
