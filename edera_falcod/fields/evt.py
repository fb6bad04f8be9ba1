"""evt.*: what an event says by itself (its type) and on the file that it works on.

``etype_cells`` writes what follows from the type alone, once per type; ``evt_cells`` what changes with every event.
Source: userspace/libsinsp/sinsp_filtercheck_event.cpp (extract_single), event.cpp (get_category), event.h (return values).
"""

from __future__ import annotations

from struct import Struct
from typing import Final, final

from librt.strings import read_i32_le, read_i64_le
from mypy_extensions import i64

from ..scap import format as fmt
from ..scap import tables
from ..scap.event import Event
from ..scap.schema import EventInfo
from ..state import paths
from ..state.fd import Fd
from ..state.zone import ZoneState
from . import names, slots
from .cells import Cells
from .evtargs import args_cells, working_directory
from .spec import NO_NAME

CATEGORY_MASK: Final = tables.EC_SYSCALL - 1  # get_category() drops the bits that tell where an event comes from

CATEGORY_NAMES: Final[dict[int, bytes]] = {
    tables.EC_UNKNOWN: b"unknown",
    tables.EC_OTHER: b"other",
    tables.EC_FILE: b"file",
    tables.EC_NET: b"net",
    tables.EC_IPC: b"IPC",
    tables.EC_MEMORY: b"memory",
    tables.EC_PROCESS: b"process",
    tables.EC_SLEEP: b"sleep",
    tables.EC_SYSTEM: b"system",
    tables.EC_SIGNAL: b"signal",
    tables.EC_USER: b"user",
    tables.EC_TIME: b"time",
    tables.EC_PROCESSING: b"processing",
    tables.EC_WAIT: b"wait",
    tables.EC_SCHEDULER: b"scheduler",
    tables.EC_INTERNAL: b"internal",
}

# What a file is for evt.category and evt.count.error.*
CLASS_OTHER: Final = 0
CLASS_FILE: Final = 1
CLASS_NET: Final = 2
CLASS_UNIX: Final = 3  # a socket for evt.count.error, ipc for evt.category
CLASS_IPC: Final = 4

_CLASSES: Final[dict[int, int]] = {
    tables.SCAP_FD_FILE: CLASS_FILE,
    tables.SCAP_FD_FILE_V2: CLASS_FILE,
    tables.SCAP_FD_DIRECTORY: CLASS_FILE,
    tables.SCAP_FD_IPV4_SOCK: CLASS_NET,
    tables.SCAP_FD_IPV6_SOCK: CLASS_NET,
    tables.SCAP_FD_IPV4_SERVSOCK: CLASS_NET,
    tables.SCAP_FD_IPV6_SERVSOCK: CLASS_NET,
    tables.SCAP_FD_UNIX_SOCK: CLASS_UNIX,
    tables.SCAP_FD_FIFO: CLASS_IPC,
    tables.SCAP_FD_EVENT: CLASS_IPC,
    tables.SCAP_FD_SIGNALFD: CLASS_IPC,
    tables.SCAP_FD_INOTIFY: CLASS_IPC,
    tables.SCAP_FD_USERFAULTFD: CLASS_IPC,
}

# By SCAP_FD_*
_FD_CLASSES: Final[list[int]] = [_CLASSES.get(kind, CLASS_OTHER) for kind in range(len(tables.FD_TYPE_NAMES))]

# evt.category of a read or write, by the class of its file
_IO_CATEGORIES: Final[list[bytes]] = [b"unknown", b"file", b"net", b"ipc", b"ipc"]
_ERROR_BITS: Final[list[int]] = [
    slots.BIT_ERROR_OTHER, slots.BIT_ERROR_FILE, slots.BIT_ERROR_NET, slots.BIT_ERROR_NET, slots.BIT_ERROR_OTHER,
]  # fmt: skip

_EXECUTABLE: Final = 0o111  # PPM_S_IXUSR, IXGRP, IXOTH

_FILE_MAKERS: Final = (
    tables.PPME_SYSCALL_OPEN_X,
    tables.PPME_SYSCALL_CREAT_X,
    tables.PPME_SYSCALL_OPENAT_2_X,
    tables.PPME_SYSCALL_OPENAT2_X,
    tables.PPME_SYSCALL_OPEN_BY_HANDLE_AT_X,
)
_SOCKET_MAKERS: Final = (tables.PPME_SOCKET_ACCEPT_5_X, tables.PPME_SOCKET_ACCEPT4_6_X, tables.PPME_SOCKET_CONNECT_X)

# evt.abspath: names of the parameters with a directory and a path, for the first and for the second pair
_ABSPATHS: Final[tuple[tuple[int, bytes, bytes, bytes, bytes], ...]] = (
    (tables.PPME_SYSCALL_RENAMEAT_X, b"olddirfd", b"oldpath", b"newdirfd", b"newpath"),
    (tables.PPME_SYSCALL_RENAMEAT2_X, b"olddirfd", b"oldpath", b"newdirfd", b"newpath"),
    (tables.PPME_SYSCALL_SYMLINKAT_X, b"linkdirfd", b"linkpath", b"", b""),
    (tables.PPME_SYSCALL_OPENAT_2_X, b"dirfd", b"name", b"", b""),
    (tables.PPME_SYSCALL_OPENAT2_X, b"dirfd", b"name", b"", b""),
    (tables.PPME_SYSCALL_LINKAT_2_X, b"olddir", b"oldpath", b"newdir", b"newpath"),
    (tables.PPME_SYSCALL_UNLINKAT_2_X, b"dirfd", b"name", b"", b""),
    (tables.PPME_SYSCALL_MKDIRAT_X, b"dirfd", b"path", b"", b""),
    (tables.PPME_SYSCALL_FCHMODAT_X, b"dirfd", b"filename", b"", b""),
    (tables.PPME_SYSCALL_FCHOWNAT_X, b"dirfd", b"pathname", b"", b""),
)

_ARG_NUMBERS: Final[dict[bytes, int]] = {name.encode(): number for number, name in enumerate(names.ARG_NAMES)}
_EVENT_NUMBERS: Final[dict[bytes, int]] = {name.encode(): number for number, name in enumerate(names.EVENT_NAMES)}


def fd_class(fd: Fd) -> int:
    """CLASS_* of a file."""
    kind = fd.kind
    return _FD_CLASSES[kind] if 0 <= kind < len(_FD_CLASSES) else CLASS_OTHER


@final
class TypePlan:
    """What evt_cells has to do for an event type, worked out once from the event table.

    ``returns``: the first parameter is the result. ``kind``: EC_* category. ``io``: it is a read, a write or the like. ``writes``:
    to a file, so that it may be a message to syslog. ``no_fd_bit``: which evt.count.error.* it counts for without a known file.
    ``flags`` and ``mode``: indexes of the parameters of an open, -1: it has none. ``handle``: path that follows from no directory.
    ``dir1``, ``path1``, ``dir2``, ``path2``: indexes of evt.abspath's parameters, -1: it has none.
    """

    __slots__ = (
        "returns", "kind", "io", "writes", "no_fd_bit", "opens", "flags", "mode", "handle", "dir1", "path1", "dir2", "path2",
    )

    def __init__(self, info: EventInfo) -> None:
        code = info.code
        self.returns = info.is_syscall and info.is_exit and info.nparams > 0 and code != tables.PPME_GENERIC_X
        self.kind = info.category & CATEGORY_MASK
        self.io = self.kind & tables.EC_IO_BASE != 0
        self.writes = info.flags & tables.EF_WRITES_TO_FD != 0
        self.no_fd_bit = slots.BIT_ERROR_OTHER
        if code in _FILE_MAKERS:
            self.no_fd_bit = slots.BIT_ERROR_FILE
        elif code in _SOCKET_MAKERS:
            self.no_fd_bit = slots.BIT_ERROR_NET
        elif self.kind == tables.EC_MEMORY:
            self.no_fd_bit = slots.BIT_ERROR_MEMORY
        self.opens = code in _FILE_MAKERS
        self.flags = -1
        self.mode = -1
        if self.opens:
            self.flags = _index(info, b"flags")
            self.mode = _index(info, b"mode")
        self.handle = _index(info, b"path") if code == tables.PPME_SYSCALL_OPEN_BY_HANDLE_AT_X else -1
        self.dir1 = -1
        self.path1 = -1
        self.dir2 = -1
        self.path2 = -1
        for of, dir1, path1, dir2, path2 in _ABSPATHS:
            if of == code:
                self.dir1 = _index(info, dir1)
                self.path1 = _index(info, path1)
                self.dir2 = _index(info, dir2)
                self.path2 = _index(info, path2)


def _index(info: EventInfo, name: bytes) -> int:
    for index, param in enumerate(info.params):
        if param.name == name:
            return index
    return -1


# By event code
PLANS: Final[list[TypePlan]] = [TypePlan(info) for info in tables.EVENTS]

_NAME_NUMBERS: Final[list[bytes]] = [
    Struct(f"<{info.nparams}H").pack(*[_ARG_NUMBERS.get(param.name, NO_NAME) for param in info.params]) for info in tables.EVENTS
]


def generic_syscall(event: Event) -> int:
    """The system call (PPM_SC_*) of a generic event, 0 (unknown) for all others. A call newer than the zone's driver knows is
    looked up by its x86-64 number, as libsinsp does when it reads a capture (TYPE_TYPE)."""
    if event.code != tables.PPME_GENERIC_X:
        return 0
    params = event.params
    if len(params) < 1 or len(params[0]) != 2:
        return 0
    number = params[0][0] | params[0][1] << 8
    if number == 0 and len(params) > 1 and len(params[1]) == 2:
        number = tables.X86_64_SYSCALLS.get(params[1][0] | params[1][1] << 8, 0)
    return number if number < tables.PPM_SC_MAX else 0


def etype_cells(cells: Cells, code: int, scid: int) -> None:
    """Write what depends on the event's type only. ``scid``: what ``generic_syscall`` says of the event."""
    info = tables.EVENTS[code]
    cells.raw(slots.EVT_PARAM_NAMES, _NAME_NUMBERS[code])
    cells.number(slots.EVT_TYPE_NUMBER, _EVENT_NUMBERS.get(info.name, NO_NAME))
    name = tables.SYSCALL_NAMES[scid] if code == tables.PPME_GENERIC_X else info.name
    cells.text(slots.EVT_TYPE, name)
    if info.is_syscall:
        cells.text(slots.SYSCALL_TYPE, name)
    cells.text(slots.EVT_DIR, b"<" if info.is_exit else b">")
    # A read or write whose file is not known has no better category; evt_cells says more where there is one
    cells.text(slots.EVT_CATEGORY, CATEGORY_NAMES.get(info.category & CATEGORY_MASK, b"unknown"))
    reads = info.flags & tables.EF_READS_FROM_FD != 0
    writes = info.flags & tables.EF_WRITES_TO_FD != 0
    cells.number(slots.EVT_IS_IO, 1 if reads or writes else 0)
    cells.number(slots.EVT_IS_IO_READ, 1 if reads else 0)
    cells.number(slots.EVT_IS_IO_WRITE, 1 if writes else 0)
    if writes:
        cells.text(slots.EVT_IO_DIR, b"write")
    elif reads:
        cells.text(slots.EVT_IO_DIR, b"read")
    cells.number(slots.EVT_IS_WAIT, 1 if info.flags & tables.EF_WAITS else 0)
    cells.number(slots.EVT_COUNT, 1)
    if info.is_exit:
        cells.number(slots.EVT_COUNT_EXIT, 1)
    cells.number(slots.EVT_COUNT_THREADINFO, 1 if code == tables.PPME_PROCINFO_E else 0)
    cells.number(slots.EVT_LATENCY, 0)
    cells.text(slots.EVT_LATENCY_HUMAN, b"0ns")


def evt_cells(cells: Cells, zone: ZoneState, event: Event) -> None:
    """Write the evt.* cells of an event that ``zone`` has just applied."""
    plan = PLANS[event.code]
    params = event.params
    fd = zone.event_fd
    first = args_cells(cells, zone, event)
    cells.native(slots.EVT_CPU, event.cpu)
    previous = zone.prev_ts
    cells.native(slots.EVT_DELTATIME, event.ts - previous if previous else 0)
    bits = 0
    kind = CLASS_OTHER if fd is None else fd_class(fd)
    result: i64 = 0
    if plan.returns and params:
        result = return_value(params)
        cells.native(slots.EVT_RAWRES, result)
        if result < 0:
            cells.text(slots.EVT_RES, first)
        bits |= plan.no_fd_bit if fd is None else _ERROR_BITS[kind]
        if plan.kind == tables.EC_MEMORY:
            # Counted for memory as well as for what the file is
            bits |= slots.BIT_ERROR_MEMORY
    if fd is not None:
        if plan.io:
            cells.text(slots.EVT_CATEGORY_EVENT, _IO_CATEGORIES[kind])
            if plan.returns and params and result >= 0:
                cells.native(slots.EVT_BUFLEN, result)
            bits |= _io_bits(plan.kind, fd.kind)
        if plan.writes and b"/dev/log" in fd.name:
            bits |= slots.BIT_SYSLOG
    if zone.fd_name_changed:
        bits |= slots.BIT_NAME_CHANGED
    if plan.opens:
        bits |= _open_bits(plan, event.code, params, result)
        if plan.handle >= 0 and zone.thread is not None and plan.handle < len(params) and result > 0:
            _abspath_cells(cells, paths.shown(b"", fmt.charbuf(params[plan.handle])))
    if event.code == tables.PPME_PROCINFO_E:
        thread = zone.thread
        if thread is not None and thread.tid == thread.pid:
            bits |= slots.BIT_PROCINFO_MAIN
    if bits:
        cells.native(slots.EVT_BITS, bits)
    if plan.dir1 >= 0:
        _abspaths(cells, zone, plan, params)


def return_value(params: list[bytes]) -> i64:
    """The result of a system call: the first parameter as a signed number of 32 or 64 bits, 0 if it is neither (event.h,
    get_syscall_return_value)."""
    data = params[0]
    if len(data) == 8:
        return read_i64_le(data, 0)
    if len(data) == 4:
        return i64(read_i32_le(data, 0))
    return 0


def _io_bits(category: int, kind: int) -> int:
    """Which of evt.buflen.* speak of this event."""
    bits = 0
    if category == tables.EC_IO_READ:
        bits = slots.BIT_IO_IN
    elif category == tables.EC_IO_WRITE:
        bits = slots.BIT_IO_OUT
    if kind in (tables.SCAP_FD_FILE, tables.SCAP_FD_FILE_V2):
        bits |= slots.BIT_IO_FILE
    elif tables.SCAP_FD_IPV4_SOCK <= kind <= tables.SCAP_FD_IPV6_SERVSOCK:
        bits |= slots.BIT_IO_NET
    return bits


def _unsigned32(params: list[bytes], index: int) -> int:
    """A parameter of 32 bits; 0 if the event does not have it."""
    if index < 0 or index >= len(params) or len(params[index]) != 4:
        return 0
    return i64(read_i32_le(params[index], 0)) & 0xFFFF_FFFF


def _open_bits(plan: TypePlan, code: int, params: list[bytes], result: int) -> int:
    """evt.is_open_read, _write, _exec and _create."""
    executable = _unsigned32(params, plan.mode) & _EXECUTABLE != 0
    if code == tables.PPME_SYSCALL_CREAT_X:
        return slots.BIT_OPEN_EXEC if executable else 0
    flags = _unsigned32(params, plan.flags)
    bits = 0
    if flags & tables.PPM_O_RDONLY:  # PPM_O_RDWR is both
        bits |= slots.BIT_OPEN_READ
    if flags & tables.PPM_O_WRONLY:
        bits |= slots.BIT_OPEN_WRITE
    if executable and flags & (tables.PPM_O_TMPFILE | tables.PPM_O_CREAT):
        bits |= slots.BIT_OPEN_EXEC
    if flags & tables.PPM_O_F_CREATED or (flags & tables.PPM_O_TMPFILE and params and result >= 0):
        bits |= slots.BIT_OPEN_CREATE
    return bits


def _abspath_cells(cells: Cells, text: bytes) -> None:
    """One path for evt.abspath and both of its variants."""
    at = cells.text(slots.EVT_ABSPATH, text)
    cells.slice(slots.EVT_ABSPATH_SRC, at, len(text))
    cells.slice(slots.EVT_ABSPATH_DST, at, len(text))


def _abspaths(cells: Cells, zone: ZoneState, plan: TypePlan, params: list[bytes]) -> None:
    first = _abspath(zone, params, plan.dir1, plan.path1)
    if plan.dir2 < 0:
        if first is not None:
            _abspath_cells(cells, first)
        return
    if first is not None:
        at = cells.text(slots.EVT_ABSPATH, first)
        cells.slice(slots.EVT_ABSPATH_SRC, at, len(first))
    second = _abspath(zone, params, plan.dir2, plan.path2)
    if second is not None:
        cells.text(slots.EVT_ABSPATH_DST, second)


def _abspath(zone: ZoneState, params: list[bytes], directory: int, path_index: int) -> bytes | None:
    """A path from the directory of a parameter, safe to print; None where either was not sent (extract_abspath)."""
    thread = zone.thread
    if thread is None or directory >= len(params) or path_index >= len(params):
        return None
    raw = params[directory]
    if len(raw) != 8 or len(params[path_index]) == 0:
        return None
    path = fmt.charbuf(params[path_index])
    if path.startswith(b"/"):
        return paths.shown(b"", path)
    number = read_i64_le(raw, 0)
    if number == tables.PPM_AT_FDCWD:
        return paths.shown(working_directory(zone, thread), path)
    fd = zone.find_fd(thread, number) if number >= 0 else None
    if fd is None:
        return paths.shown(b"<UNKNOWN>/", path)
    # libsinsp puts another slash behind a name that has one (docs/differences.md)
    return paths.shown(fd.name if fd.name.endswith(b"/") else fd.name + b"/", path)
