"""What fd.* says of a file that is not known: a failed open, or a number that no event explained.

Source: userspace/libsinsp/sinsp_filtercheck_fd.cpp (extract_fdname_from_event), event.h (extract_typechar).
"""

from __future__ import annotations

from typing import Final

from ..scap import format as fmt
from ..scap import tables as t
from ..scap.event import Event
from ..scap.safetext import safe
from ..state import paths
from ..state.thread import Thread
from ..state.zone import ZoneState
from . import slots
from .cells import Cells
from .evtargs import working_directory
from .fd import collapse, directory_of

_UNKNOWN_DIRECTORY: Final = b"<UNKNOWN>"
_OTHER: Final = b"o"

_CHARS: Final[dict[int, bytes]] = {
    t.PPME_SYSCALL_OPENAT_2_X: b"f", t.PPME_SYSCALL_OPENAT2_X: b"f", t.PPME_SYSCALL_CREAT_X: b"f",
    t.PPME_SOCKET_SOCKET_X: b"4", t.PPME_SOCKET_ACCEPT_5_X: b"4", t.PPME_SOCKET_ACCEPT4_6_X: b"4",
    t.PPME_SYSCALL_PIPE_X: b"p", t.PPME_SYSCALL_PIPE2_X: b"p", t.PPME_SYSCALL_EVENTFD_X: b"e", t.PPME_SYSCALL_EVENTFD2_X: b"e",
    t.PPME_SYSCALL_SIGNALFD_X: b"s", t.PPME_SYSCALL_SIGNALFD4_X: b"s", t.PPME_SYSCALL_TIMERFD_CREATE_X: b"t",
    t.PPME_SYSCALL_INOTIFY_INIT_X: b"i", t.PPME_SYSCALL_INOTIFY_INIT1_X: b"i",
}  # fmt: skip


def fdname_cells(cells: Cells, zone: ZoneState, thread: Thread, event: Event) -> None:
    """Write the cells that stand in for those of the missing FD block."""
    code = event.code
    cells.text(slots.FD_TYPECHAR_EVENT, _CHARS.get(code | 1, _OTHER))
    if not code & 1:
        return
    params = event.params
    name: bytes | None = b""
    raw: bytes | None = b""
    if code == t.PPME_SYSCALL_OPEN_X or code == t.PPME_SYSCALL_CREAT_X:
        name = _path(zone, thread, params, 1)
        raw = name
    elif code == t.PPME_SOCKET_ACCEPT_5_X or code == t.PPME_SOCKET_ACCEPT4_6_X or code == t.PPME_SOCKET_CONNECT_X:
        name = fmt.socktuple(params[1]) if len(params) > 1 else b""
        raw = name
    elif code == t.PPME_SYSCALL_OPENAT_2_X or code == t.PPME_SYSCALL_OPENAT2_X:
        name = None
        raw = None
        if len(params) > 2 and params[2]:
            raw = fmt.charbuf(params[2])
            if len(params[1]) == 8:
                number = int.from_bytes(params[1], "little", signed=True)
                name = paths.shown(directory(zone, thread, raw, number), raw)
    elif code == t.PPME_SYSCALL_OPEN_BY_HANDLE_AT_X:
        name = fmt.charbuf(params[3]) if len(params) > 3 else fmt.NOT_AVAILABLE
        raw = name
    if raw is not None:
        cells.text(slots.FD_NAMERAW_EVENT, safe(collapse(raw)))
    if name is not None:
        text = safe(name)  # itself, where it is safe
        at = cells.text(slots.FD_NAME_EVENT, text)
        parent = directory_of(text)
        if parent == text:
            cells.slice(slots.FD_DIRECTORY_EVENT, at, len(text))
        else:
            cells.text(slots.FD_DIRECTORY_EVENT, parent)


def _path(zone: ZoneState, thread: Thread, params: list[bytes], index: int) -> bytes:
    """A path as evt.arg prints it: resolved from the working directory if it is relative."""
    path = fmt.charbuf(params[index]) if index < len(params) else fmt.NOT_AVAILABLE
    if path.startswith(b"/") or path == fmt.NOT_AVAILABLE:
        return path
    resolved = paths.concatenate(working_directory(zone, thread), path)
    return resolved if resolved else path


def directory(zone: ZoneState, thread: Thread, path: bytes, number: int) -> bytes:
    """Where a path that was given with a directory's fd begins (parsers.cpp, parse_dirfd)."""
    if path.startswith(b"/"):
        return b"."
    if number == t.PPM_AT_FDCWD:
        return working_directory(zone, thread)
    fd = zone.find_fd(thread, number)
    if fd is None:
        return _UNKNOWN_DIRECTORY
    return fd.name if fd.name.endswith(b"/") else fd.name + b"/"
