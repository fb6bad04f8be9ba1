"""THREAD and ENV blocks: what a thread is by itself.

Texts are safe (safetext.py) each by itself, as libsinsp makes them safe when they are extracted.
Source: userspace/libsinsp/sinsp_filtercheck_thread.cpp, _user.cpp, _group.cpp, threadinfo.cpp.
"""

from __future__ import annotations

from typing import Final

from ..scap.safetext import safe
from ..scap.tables import CAPABILITY_NAMES
from ..state.thread import Thread
from ..state.zone import ZoneState
from . import slots
from .cells import Cells
from .names import CGROUPS
from .user import group_name, user_facts

MAX_CAPS_TEXTS: Final = 4096  # remembered texts of capability sets; a process may invent 2^41
MAX_ID: Final = 0xFFFF_FFFF  # should_extract_xid: larger ids are not real ones

NO_CWD: Final = b"./"  # of a thread whose main thread is not known (get_cwd)

_CGROUP_SLOTS: Final[dict[bytes, int]] = {name.encode(): slots.THREAD_CGROUP_CPUSET + place for place, name in enumerate(CGROUPS)}

_caps_texts: Final[dict[int, bytes]] = {}


def caps_text(mask: int) -> bytes:
    """Names of the capabilities in a set, in order of their bits, joined by blanks (caps_to_string)."""
    text = _caps_texts.get(mask)
    if text is None:
        text = b" ".join([name for bit, name in enumerate(CAPABILITY_NAMES) if mask >> bit & 1])
        if len(_caps_texts) >= MAX_CAPS_TEXTS:
            _caps_texts.clear()
        _caps_texts[mask] = text
    return text


def safe_list(raw: bytes) -> list[bytes]:
    """The safe texts of NUL-separated strings."""
    return [safe(item) for item in raw.split(b"\0")] if raw else []


def env_cells(cells: Cells, raw: bytes) -> None:
    """An environment: NUL-separated NAME=value."""
    items = safe_list(raw)
    cells.text(slots.PROC_ENV, b" ".join(items))
    cells.strings(slots.PROC_ENV_LIST, items)


def thread_cells(cells: Cells, zone: ZoneState, thread: Thread) -> None:
    """All of THREAD but its reference to ENV."""
    comm = safe(thread.comm)
    exe = safe(thread.exe)
    raw_args = thread.args.raw
    args = safe_list(raw_args)
    joined = b" ".join(args)
    if args:
        # One copy of the arguments on the heap: exeline and cmdline end with them, args is their end.
        tail = b" " + joined
        at = cells.text(slots.PROC_CMDLINE, comm + tail)
        cells.slice(slots.PROC_ARGS, at + len(comm) + 1, len(joined))
        cells.strings(slots.PROC_ARGS_LIST, args)
        cells.text(slots.PROC_NAME, comm)
        cells.text(slots.PROC_EXELINE, exe + tail)
        cells.number(slots.PROC_CMDNARGS, len(args))
        cells.number(slots.PROC_CMDLENARGS, len(raw_args) - len(args) + 1)
    else:
        at = cells.text(slots.PROC_CMDLINE, comm)
        cells.slice(slots.PROC_NAME, at, len(comm))
        cells.slice(slots.PROC_ARGS, at + len(comm), 0)
        cells.slice(slots.PROC_ARGS_LIST, at, 0)
        cells.text(slots.PROC_EXELINE, exe + b" ")
        cells.number(slots.PROC_CMDNARGS, 0)
        cells.number(slots.PROC_CMDLENARGS, 0)
    at = cells.text(slots.PROC_EXE, exe)
    exepath = safe(thread.exepath)
    if exepath == exe:
        cells.slice(slots.PROC_EXEPATH, at, len(exe))
    else:
        cells.text(slots.PROC_EXEPATH, exepath)
    # These two are read from the main thread's block, or from the thread's own where that is not known.
    main = thread.main()
    if main is None:
        cells.text(slots.PROC_CWD, NO_CWD)
        cells.number(slots.PROC_FDLIMIT, 0)
    elif main is thread:
        cells.text(slots.PROC_CWD, safe(thread.cwd))
        cells.number(slots.PROC_FDLIMIT, thread.fdlimit)
    _id_cells(cells, thread)
    _exe_cells(cells, thread)
    cells.text(slots.THREAD_CAP_PERMITTED, caps_text(thread.cap_permitted))
    cells.text(slots.THREAD_CAP_INHERITABLE, caps_text(thread.cap_inheritable))
    cells.text(slots.THREAD_CAP_EFFECTIVE, caps_text(thread.cap_effective))
    if thread.cgroups.raw:
        _cgroup_cells(cells, thread.cgroups.raw)
    _user_cells(cells, zone, thread)


def _id_cells(cells: Cells, thread: Thread) -> None:
    pid = thread.pid
    vpid = thread.vpid
    if -1 <= pid <= MAX_ID:
        cells.number(slots.PROC_PID, pid)
    if vpid != -1:
        cells.number(slots.PROC_VPID, vpid)
    if thread.vtid != -1:
        cells.number(slots.THREAD_VTID, thread.vtid)
    cells.number(slots.PROC_SID, thread.sid)
    cells.number(slots.PROC_VPGID, thread.vpgid)
    cells.number(slots.PROC_PGID, thread.pgid)
    cells.number(slots.PROC_TTY, thread.tty)
    cells.number(slots.PROC_IS_SID_LEADER, 1 if thread.sid == vpid else 0)
    cells.number(slots.PROC_IS_VPGID_LEADER, 1 if thread.vpgid == vpid else 0)
    cells.number(slots.PROC_IS_PGID_LEADER, 1 if thread.pgid == pid else 0)
    cells.number(slots.THREAD_ISMAIN, 1 if thread.is_main() else 0)
    if thread.clone_ts != 0:
        cells.number(slots.PROC_PID_TS, thread.clone_ts)
    if thread.pidns_init_start_ts != 0:
        cells.number(slots.PROC_PIDNS_INIT_START_TS, thread.pidns_init_start_ts)


def _exe_cells(cells: Cells, thread: Thread) -> None:
    cells.number(slots.PROC_IS_EXE_WRITABLE, 1 if thread.exe_writable else 0)
    cells.number(slots.PROC_IS_EXE_UPPER_LAYER, 1 if thread.exe_upper_layer else 0)
    cells.number(slots.PROC_IS_EXE_LOWER_LAYER, 1 if thread.exe_lower_layer else 0)
    cells.number(slots.PROC_IS_EXE_FROM_MEMFD, 1 if thread.exe_from_memfd else 0)
    # 0 stands for "not known" in all of these
    if thread.exe_ino != 0:
        cells.number(slots.PROC_EXE_INO, thread.exe_ino)
    if thread.exe_ino_ctime != 0:
        cells.number(slots.PROC_EXE_INO_CTIME, thread.exe_ino_ctime)
    if thread.exe_ino_mtime != 0:
        cells.number(slots.PROC_EXE_INO_MTIME, thread.exe_ino_mtime)
    if thread.exe_ino_ctime_duration_clone_ts != 0:
        cells.number(slots.PROC_EXE_INO_CTIME_DURATION_PROC_START, thread.exe_ino_ctime_duration_clone_ts)
    if thread.exe_ino_ctime_duration_pidns_start != 0:
        cells.number(slots.PROC_EXE_INO_CTIME_DURATION_PIDNS_START, thread.exe_ino_ctime_duration_pidns_start)


def _cgroup_cells(cells: Cells, raw: bytes) -> None:
    """thread.cgroups, and each path once on the heap: as a list for thread.cgroup[NAME], of which the named cells are slices."""
    items = safe_list(raw)
    cells.text(slots.THREAD_CGROUPS, b" ".join(items))
    pairs: list[bytes] = []
    places: list[tuple[int, int, int]] = []
    seen = 0
    at = 0
    for item in items:
        name, _, path = item.partition(b"=")
        pairs.append(name)
        pairs.append(path)
        at += len(name) + 1
        slot = _CGROUP_SLOTS.get(name, -1)
        if slot >= 0 and not seen >> slot & 1:
            seen |= 1 << slot
            places.append((slot, at, len(path)))
        at += len(path) + 1
    start = cells.strings(slots.THREAD_CGROUP_LIST, pairs)
    for slot, offset, length in places:
        cells.slice(slot, start + offset, length)


def _user_cells(cells: Cells, zone: ZoneState, thread: Thread) -> None:
    uid = thread.uid
    loginuid = thread.loginuid
    name, home, shell = user_facts(zone, uid)
    cells.number(slots.USER_UID, uid)
    cells.text(slots.USER_NAME, name)
    cells.text(slots.USER_HOMEDIR, home)
    cells.text(slots.USER_SHELL, shell)
    cells.number(slots.USER_LOGINUID, loginuid if loginuid < MAX_ID else -1)
    cells.text(slots.USER_LOGINNAME, user_facts(zone, loginuid)[0])
    cells.number(slots.GROUP_GID, thread.gid)
    cells.text(slots.GROUP_NAME, group_name(zone, thread.gid))
