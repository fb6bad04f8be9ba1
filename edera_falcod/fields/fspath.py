"""fs.path.*: the paths that a system call was given, whatever it does with them; only for calls that succeeded.

Source: userspace/libsinsp/sinsp_filtercheck_fspath.cpp (tables of create_fspath_checks, then extract_single); value-formats.md
section 4.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import read_i64_le

from ..scap import format as fmt
from ..scap import tables
from ..scap.event import Event
from ..scap.safetext import safe
from ..state import paths
from ..state.fd import Fd
from ..state.zone import ZoneState
from . import slots
from .cells import Cells
from .evtargs import working_directory

UNKNOWN: Final = b"<UNKNOWN>"

# Where a relative path starts
BASE_CWD: Final = 0
BASE_OPENED: Final = 1  # the path is the name of the file that was opened
BASE_DIRFD: Final = 2  # at the event's fd, if that is a directory
BASE_PARAM: Final = 3  # at the directory of the parameter before the path
BASE_UNKNOWN: Final = 4

NO_PATH: Final = -1
FD_NAME: Final = -2  # the path is the name of the event's fd


@final
class PathPlan:
    """Where an event type has a path. ``index``: the parameter, ``NO_PATH`` or ``FD_NAME``. ``base``: BASE_*."""

    __slots__ = ("index", "base")

    def __init__(self, index: int, base: int) -> None:
        self.index = index
        self.base = base


@final
class EventPlan:
    """The paths of an event type. ``result``: index of the parameter that tells success, ``opens``: whether that is a new fd
    (everything but -1 is a success then, even another error) rather than an error number that has to be 0."""

    __slots__ = ("result", "opens", "name", "source", "target")

    def __init__(self, result: int, opens: bool, name: PathPlan, source: PathPlan, target: PathPlan) -> None:
        self.result = result
        self.opens = opens
        self.name = name
        self.source = source
        self.target = target


_NONE: Final = PathPlan(NO_PATH, BASE_CWD)


def _index(code: int, name: bytes) -> int:
    """Index of a parameter by name; the tables have every name used here (tests/fields/test_fspath.py)."""
    for index, param in enumerate(tables.EVENTS[code].params):
        if param.name == name:
            return index
    raise LookupError(f"event {code} has no parameter {name.decode()}")


def _one(code: int, name: bytes, base: int) -> EventPlan:
    index = FD_NAME if name == b"" else _index(code, name)
    return EventPlan(_index(code, b"res"), False, PathPlan(index, base), _NONE, _NONE)


def _opened(code: int, base: int) -> EventPlan:
    return EventPlan(_index(code, b"fd"), True, PathPlan(_index(code, b"name"), base), _NONE, _NONE)


def _two(code: int, source: bytes, target: bytes, source_base: int, target_base: int) -> EventPlan:
    return EventPlan(
        _index(code, b"res"), False, _NONE,
        PathPlan(_index(code, source), source_base), PathPlan(_index(code, target), target_base),
    )


def _plans() -> list[EventPlan | None]:
    plans: list[EventPlan | None] = [None] * len(tables.EVENTS)
    for code, name, base in (
        (tables.PPME_SYSCALL_MKDIR_2_X, b"path", BASE_CWD),
        (tables.PPME_SYSCALL_MKDIRAT_X, b"path", BASE_DIRFD),
        (tables.PPME_SYSCALL_RMDIR_2_X, b"path", BASE_CWD),
        (tables.PPME_SYSCALL_UNLINK_2_X, b"path", BASE_CWD),
        (tables.PPME_SYSCALL_UNLINKAT_2_X, b"name", BASE_DIRFD),
        (tables.PPME_SYSCALL_FCHMODAT_X, b"filename", BASE_DIRFD),
        (tables.PPME_SYSCALL_CHMOD_X, b"filename", BASE_CWD),
        (tables.PPME_SYSCALL_FCHMOD_X, b"", BASE_CWD),
        (tables.PPME_SYSCALL_CHOWN_X, b"path", BASE_CWD),
        (tables.PPME_SYSCALL_LCHOWN_X, b"path", BASE_CWD),
        (tables.PPME_SYSCALL_FCHOWN_X, b"", BASE_CWD),
        (tables.PPME_SYSCALL_FCHOWNAT_X, b"pathname", BASE_DIRFD),
        (tables.PPME_SYSCALL_QUOTACTL_X, b"special", BASE_CWD),
        (tables.PPME_SYSCALL_UMOUNT_1_X, b"name", BASE_CWD),
        (tables.PPME_SYSCALL_UMOUNT2_X, b"name", BASE_CWD),
    ):
        plans[code] = _one(code, name, base)
    plans[tables.PPME_SYSCALL_OPEN_X] = _opened(tables.PPME_SYSCALL_OPEN_X, BASE_CWD)
    plans[tables.PPME_SYSCALL_OPENAT_2_X] = _opened(tables.PPME_SYSCALL_OPENAT_2_X, BASE_OPENED)
    plans[tables.PPME_SYSCALL_OPENAT2_X] = _opened(tables.PPME_SYSCALL_OPENAT2_X, BASE_OPENED)
    for code, source, target, source_base, target_base in (
        (tables.PPME_SYSCALL_RENAME_X, b"oldpath", b"newpath", BASE_CWD, BASE_CWD),
        (tables.PPME_SYSCALL_RENAMEAT_X, b"oldpath", b"newpath", BASE_CWD, BASE_CWD),
        (tables.PPME_SYSCALL_RENAMEAT2_X, b"oldpath", b"newpath", BASE_PARAM, BASE_PARAM),
        (tables.PPME_SYSCALL_LINK_2_X, b"newpath", b"oldpath", BASE_CWD, BASE_CWD),
        (tables.PPME_SYSCALL_LINKAT_2_X, b"newpath", b"oldpath", BASE_CWD, BASE_CWD),
        (tables.PPME_SYSCALL_SYMLINK_X, b"linkpath", b"target", BASE_CWD, BASE_CWD),
        (tables.PPME_SYSCALL_SYMLINKAT_X, b"linkpath", b"target", BASE_DIRFD, BASE_UNKNOWN),
        (tables.PPME_SYSCALL_MOUNT_X, b"dev", b"dir", BASE_CWD, BASE_CWD),
    ):
        plans[code] = _two(code, source, target, source_base, target_base)
    return plans


# By event code; None: the event has no paths
PLANS: Final[list[EventPlan | None]] = _plans()


def fspath_cells(cells: Cells, zone: ZoneState, event: Event, plan: EventPlan) -> None:
    """Write fs.path.{name,nameraw,source,sourceraw,target,targetraw} of an event, whose plan is ``plan``."""
    params = event.params
    if plan.result >= len(params):
        return
    result = params[plan.result]
    if len(result) != 8:
        return
    value = read_i64_le(result, 0)
    if plan.opens:
        if value == -1:
            return
    elif value != 0:
        return
    if plan.name.index != NO_PATH:
        _path(cells, zone, params, plan.name, slots.FS_PATH_NAME, slots.FS_PATH_NAMERAW)
        return
    _path(cells, zone, params, plan.source, slots.FS_PATH_SOURCE, slots.FS_PATH_SOURCERAW)
    _path(cells, zone, params, plan.target, slots.FS_PATH_TARGET, slots.FS_PATH_TARGETRAW)


def _path(cells: Cells, zone: ZoneState, params: list[bytes], plan: PathPlan, slot: int, raw_slot: int) -> None:
    """Write one path, as it was given and resolved."""
    if plan.index == FD_NAME:
        # fd.name of an fd that is not known is an empty text (sinsp_filtercheck_fd.cpp, extract_fdname_from_event)
        path = zone.fd.name if zone.fd is not None else b""
    elif plan.index < len(params):
        path = fmt.charbuf(params[plan.index])
    else:
        return
    raw_at = cells.text(raw_slot, safe(path))
    if zone.thread is None:
        return
    resolved = _resolved(zone, params, plan, path)
    if resolved == path:
        cells.slice(slot, raw_at, len(path))
    else:
        cells.text(slot, resolved)


def _resolved(zone: ZoneState, params: list[bytes], plan: PathPlan, path: bytes) -> bytes:
    """Safe to print."""
    if path.startswith(b"/"):
        return paths.shown(b"", path)
    base = plan.base
    if base == BASE_OPENED:
        opened = zone.event_fd
        return paths.shown(b"", opened.name if opened is not None else UNKNOWN)
    thread = zone.thread
    if base == BASE_CWD and thread is not None:
        return paths.shown(working_directory(zone, thread), path)
    if base == BASE_DIRFD:
        fd = zone.event_fd
        if fd is None or fd.kind != tables.SCAP_FD_DIRECTORY:
            return paths.shown(UNKNOWN, path)
        return paths.shown(_with_slash(fd), path)
    if base == BASE_PARAM and thread is not None:
        raw = params[plan.index - 1]
        number = read_i64_le(raw, 0) if len(raw) == 8 else -1
        if number == tables.PPM_AT_FDCWD:
            return paths.shown(working_directory(zone, thread), path)
        directory = zone.find_fd(thread, number) if number >= 0 else None
        if directory is not None:
            return paths.shown(_with_slash(directory), path)
    return paths.shown(UNKNOWN, path)


def _with_slash(fd: Fd) -> bytes:
    """The name of a directory with a ``/`` at its end; an empty name stays empty."""
    if not fd.name or fd.name.endswith(b"/"):
        return fd.name
    return fd.name + b"/"
