"""A small world of blocks in which every operation of docs/protocol.md has something to find."""

from __future__ import annotations

import struct

from edera_falcod.fields import names, slots

from . import fake

TS = 1_700_000_000_000_000_000
TID = 4711
ARGS = names.ARG_NAMES.index

ETYPE, ZONE, MAIN, THREAD, PARENT, GRAND, ENV, PARENT_ENV, FD, FILES, WORKLOAD, LINEAGE, BARE_ETYPE, EMPTY_LINEAGE, NO_LINEAGE = range(
    1, 16
)

DEFINITIONS = [
    fake.define(
        ETYPE,
        slots.KIND_ETYPE,
        fake.cells(
            numbers={
                slots.EVT_TYPE_NUMBER: names.EVENT_NAMES.index("openat"),
                slots.EVT_IS_IO: 1,
                slots.EVT_COUNT: 1,
                slots.EVT_LATENCY: 0,
            },
            texts={slots.EVT_TYPE: b"openat", slots.EVT_DIR: b"<", slots.EVT_CATEGORY: b"file"},
            raw={
                slots.EVT_PARAM_NAMES: struct.pack(
                    "<9H", *(ARGS(name) for name in ("fd", "name", "flags", "data", "size", "res", "tuple", "cpu")), 0xFFFF
                )
            },
        ),
    ),
    fake.define(BARE_ETYPE, slots.KIND_ETYPE, fake.cells()),
    fake.define(
        ZONE,
        slots.KIND_ZONE,
        fake.cells(
            numbers={slots.EDERA_ZONE_TAINTED: 1, slots.EDERA_ZONE_DOMID: 2**64 - 1},
            texts={slots.EDERA_ZONE_NAME: "zöne-1".encode(), slots.EDERA_ZONE_ID: b""},
            raw={slots.EDERA_ZONE_IP: bytes([10, 0, 0, 1]), slots.EDERA_ZONE_ANNOTATIONS: b"a\0one\0b\0\0a\0two\0odd\0"},
        ),
    ),
    fake.define(
        ENV,
        slots.KIND_ENV,
        fake.cells(texts={slots.PROC_ENV: b"A=1 B= x "}, raw={slots.PROC_ENV_LIST: b"A=1\0B=  x y \0E=\0E=2\0AB=3\0S=   \0"}),
    ),
    fake.define(PARENT_ENV, slots.KIND_ENV, fake.cells(texts={slots.PROC_ENV: b"P=parent"}, raw={slots.PROC_ENV_LIST: b"P=parent\0"})),
    fake.define(
        THREAD,
        slots.KIND_THREAD,
        fake.cells(
            numbers={
                slots.THREAD_ENV: ENV,
                slots.PROC_PID: 2**64 - 3,
                slots.PROC_PID_TS: TS - 1_000_000_001,
                slots.THREAD_ISMAIN: 0,
                slots.PROC_IS_EXE_WRITABLE: 7,
                slots.PROC_CMDNARGS: 3,
            },
            texts={slots.PROC_NAME: b"worker", slots.PROC_ARGS: b"-a  -c", slots.PROC_EXE: b""},
            raw={slots.PROC_ARGS_LIST: b"-a\0\0-c\0"},
        ),
    ),
    fake.define(
        MAIN,
        slots.KIND_THREAD,
        fake.cells(numbers={slots.PROC_PID: 4700}, texts={slots.PROC_NAME: b"main", slots.PROC_CWD: b"/home/", slots.PROC_EXE: b""}),
    ),
    fake.define(
        PARENT,
        slots.KIND_THREAD,
        fake.cells(
            numbers={slots.PROC_PID: 2, slots.PROC_PID_TS: TS - 5, slots.THREAD_ENV: PARENT_ENV},
            texts={slots.PROC_NAME: b"sh", slots.PROC_EXE: b"", slots.PROC_EXEPATH: b"/bin/sh"},
        ),
    ),
    fake.define(
        GRAND, slots.KIND_THREAD, fake.cells(numbers={slots.PROC_PID: 1}, texts={slots.PROC_NAME: b"init", slots.PROC_EXE: b"/init"})
    ),
    fake.define(
        LINEAGE,
        slots.KIND_LINEAGE,
        fake.cells(
            numbers={slots.LINEAGE_MAIN: MAIN, slots.SID_LEADER: PARENT, slots.PROC_PVPID: 2**64 - 1},
            raw={slots.LINEAGE_ANCESTORS: struct.pack("<2Q", PARENT, GRAND)},
        ),
    ),
    fake.define(EMPTY_LINEAGE, slots.KIND_LINEAGE, fake.cells(numbers={slots.LINEAGE_MAIN: MAIN})),
    fake.define(NO_LINEAGE, slots.KIND_LINEAGE, fake.cells()),
    fake.define(
        FD,
        slots.KIND_FD,
        fake.cells(
            numbers={slots.FD_CPORT: 1234, slots.FD_PORT_SOURCE: 1234, slots.FD_PORT_DEST: 443, slots.FD_IS_SERVER: 0},
            texts={
                slots.FD_NAME: b"10.0.0.1:1234->::1:443",
                slots.FD_PROTO_SOURCE: b"80",
                slots.FD_PROTO_DEST: b"80",
                slots.FD_NAMERAW: b"cold",
            },
            raw={
                slots.FD_CIP: bytes([10, 0, 0, 1]),
                slots.FD_SIP: bytes(15) + b"\1",
                slots.FD_IP_SOURCE: bytes([10, 0, 0, 1]),
                slots.FD_IP_DEST: bytes(15) + b"\1",
                slots.FD_LIP: b"\1\2\3",
                slots.FD_RIP: b"",
            },
        ),
    ),
    fake.define(
        FILES,
        slots.KIND_FILES,
        fake.cells(
            texts={slots.PROC_STDIN_TYPE: b"file"}, raw={slots.FD_TYPES: b"file\0ipv4\0", slots.FD_TYPE_TABLE: bytes([2, 0, 6, 1, 200])}
        ),
    ),
    fake.define(
        WORKLOAD,
        slots.KIND_WORKLOAD,
        fake.cells(
            numbers={slots.CONTAINER_START_TS: TS - 10},
            texts={slots.CONTAINER_ID: b"c0ffee"},
            raw={
                slots.CONTAINER_MOUNT_DESTS: b"/a\0/proc/x\0\0",
                slots.CONTAINER_MOUNT_SOURCES: b"/s/1\0/s/2\0/t\0",
                slots.CONTAINER_MOUNT_MODES: b"ro\0",
            },
        ),
    ),
]

IDS = {fake.ETYPE_ID: ETYPE, fake.ZONE_ID: ZONE, fake.THREAD_ID: THREAD, fake.FD_ID: FD, fake.FILES_ID: FILES, fake.WORKLOAD_ID: WORKLOAD}


def block(lineage: int = LINEAGE, **more: int) -> bytes:
    """The EVENT block: openat fd=-2(ENOENT) name=x flags=... with every form of raw value."""
    args = b"fd=-2(ENOENT) name=/e\xc3\xa9 flags=9(O_X) data=a.b. size=18446744073709551615 res=<NA> tuple=NULL cpu=8"
    raw = b"a\x01b\xff"
    names_ = (b"fd", b"name", b"flags", b"data", b"size", b"res", b"tuple", b"cpu")
    start = 16 * len(names_)
    texts: dict[bytes, tuple[int, int]] = {}
    for name in names_:
        at = args.index(name + b"=") + len(name) + 1
        end = args.find(b" ", at) if b" " in args[at:] else len(args)
        texts[name] = (at, end - at)
    texts[b"fd"] = (args.index(b"ENOENT"), 6)
    texts[b"flags"] = (args.index(b"O_X"), 3)

    def entry(name: bytes, form: int, value: int) -> bytes:
        at, length = texts[name]
        return struct.pack("<IIQ", start + at, length | form << 30, value)

    def slice_(at: int, length: int, binary: bool) -> int:
        return start + at | (1 << 31 if binary else 0) | length << 32

    table = b"".join(
        (
            entry(b"fd", 2, 2**64 - 2),
            entry(b"name", 3, slice_(*texts[b"name"], False)),
            entry(b"flags", 1, 9),
            entry(b"data", 3, slice_(len(args) + 1, len(raw), True)),
            entry(b"size", 1, 2**64 - 1),
            entry(b"res", 0, 0),
            entry(b"tuple", 3, slice_(texts[b"tuple"][0], 0, True)),
            entry(b"cpu", 1, 8),
        )
    )
    cells = fake.Block()
    at = cells.heap(table)
    cells.slice(slots.EVT_PARAMS, at, len(table))
    cells.slice(slots.EVT_ARGS, at + len(table), len(args))
    cells.heap(args + b"\0" + raw)
    numbers = {
        slots.LINEAGE: lineage, slots.EVT_CPU: 3, slots.EVT_RAWRES: 2**64 - 2, slots.EVT_DELTATIME: 3_000_000_007, slots.EVT_BUFLEN: 5,
        slots.FD_NUM: 2**64 - 2, slots.PROC_VMSIZE: 77, slots.PROC_NTHREADS: 2,
        slots.EVT_BITS: slots.BIT_OPEN_READ | slots.BIT_IO_IN | slots.BIT_IO_FILE | slots.BIT_ERROR_FILE,
    }  # fmt: skip
    for slot, number in numbers.items():
        cells.number(slot, number)
    cells.text(slots.EVT_RES, b"ENOENT")
    cells.text(slots.EVT_CATEGORY_EVENT, b"file!")
    return cells.finish()
