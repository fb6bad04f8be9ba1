"""Files opened, copied and closed, and where a process stands in the file system (state-machine.md section 5; parsers.cpp)."""

from __future__ import annotations

from typing import Final

from ..scap.event import Event
from ..scap.format import NOT_AVAILABLE
from ..scap.tables import (
    PPM_AT_FDCWD,
    PPM_CL_PIPE_DST,
    PPM_CL_PIPE_SRC,
    PPM_CLOSE_RANGE_CLOEXEC,
    PPM_FCNTL_F_DUPFD,
    PPM_FCNTL_F_DUPFD_CLOEXEC,
    PPM_FCNTL_F_SETFD,
    PPM_FD_LOWER_LAYER,
    PPM_FD_LOWER_LAYER_CREAT,
    PPM_FD_UPPER_LAYER,
    PPM_FD_UPPER_LAYER_CREAT,
    PPM_O_CLOEXEC,
    PPM_O_DIRECTORY,
    PPM_O_F_CREATED,
    PPME_SYSCALL_BPF_2_X,
    PPME_SYSCALL_CHDIR_X,
    PPME_SYSCALL_CHROOT_X,
    PPME_SYSCALL_CLOSE_RANGE_X,
    PPME_SYSCALL_CLOSE_X,
    PPME_SYSCALL_CREAT_E,
    PPME_SYSCALL_CREAT_X,
    PPME_SYSCALL_DUP2_X,
    PPME_SYSCALL_DUP3_X,
    PPME_SYSCALL_DUP_1_X,
    PPME_SYSCALL_EPOLL_CREATE1_X,
    PPME_SYSCALL_EPOLL_CREATE_X,
    PPME_SYSCALL_EVENTFD2_X,
    PPME_SYSCALL_EVENTFD_X,
    PPME_SYSCALL_FCHDIR_X,
    PPME_SYSCALL_FCNTL_X,
    PPME_SYSCALL_GETCWD_X,
    PPME_SYSCALL_INOTIFY_INIT1_X,
    PPME_SYSCALL_INOTIFY_INIT_X,
    PPME_SYSCALL_IO_URING_SETUP_X,
    PPME_SYSCALL_MEMFD_CREATE_X,
    PPME_SYSCALL_OPEN_BY_HANDLE_AT_X,
    PPME_SYSCALL_OPEN_E,
    PPME_SYSCALL_OPEN_X,
    PPME_SYSCALL_OPENAT2_E,
    PPME_SYSCALL_OPENAT2_X,
    PPME_SYSCALL_OPENAT_2_E,
    PPME_SYSCALL_OPENAT_2_X,
    PPME_SYSCALL_PIDFD_GETFD_X,
    PPME_SYSCALL_PIDFD_OPEN_X,
    PPME_SYSCALL_PIPE2_X,
    PPME_SYSCALL_PIPE_X,
    PPME_SYSCALL_SIGNALFD4_X,
    PPME_SYSCALL_SIGNALFD_X,
    PPME_SYSCALL_TIMERFD_CREATE_X,
    PPME_SYSCALL_USERFAULTFD_X,
    SCAP_FD_BPF,
    SCAP_FD_DIRECTORY,
    SCAP_FD_EVENT,
    SCAP_FD_EVENTPOLL,
    SCAP_FD_FIFO,
    SCAP_FD_FILE_V2,
    SCAP_FD_INOTIFY,
    SCAP_FD_IOURING,
    SCAP_FD_MEMFD,
    SCAP_FD_PIDFD,
    SCAP_FD_SIGNALFD,
    SCAP_FD_TIMERFD,
    SCAP_FD_USERFAULTFD,
)
from .fd import EPOLL_CLOEXEC, OVERLAY_LOWER, OVERLAY_UPPER, SCAP_FD_UNINITIALIZED, Fd
from .limits import MAX_ENTER_SIZE, MAX_ENTERS, MAX_FDS, MAX_PATH, MAX_RAW_PATH
from .params import given, i64, returned, text, u8, u16, u32, u64
from .paths import concatenate
from .registry import parses
from .texts import cut
from .thread import Thread
from .zone import ZoneState

UNKNOWN_DIRECTORY: Final = b"<UNKNOWN>"
FD_CLOEXEC: Final = 1
RETURNED_BITS: Final = ~(PPM_O_F_CREATED - 1)  # open flags that only the exit knows: created, and the overlay's layers


# What the zone's driver saw before the system call, where it sends it: what a program says then it cannot change any more under our eyes


@parses(PPME_SYSCALL_OPEN_E, PPME_SYSCALL_CREAT_E, PPME_SYSCALL_OPENAT_2_E, PPME_SYSCALL_OPENAT2_E)
def enter_open(zone: ZoneState, event: Event) -> None:
    if given(event.params, 0):
        keep_enter(zone, event)


def keep_enter(zone: ZoneState, event: Event) -> None:
    """Until the exit of the same thread; the oldest goes when too many wait."""
    if zone.thread is None:
        return
    size = 0
    for param in event.params:
        size += len(param)
    if size > MAX_ENTER_SIZE:
        return
    enters = zone.enters
    enters.pop(event.tid, None)
    if len(enters) >= MAX_ENTERS:
        del enters[next(iter(enters))]
    enters[event.tid] = event


# Opening


def directory(zone: ZoneState, thread: Thread, name: bytes, dirfd: int) -> bytes:
    """What ``name`` is relative to (parse_dirfd): ``.`` for an absolute one, the working directory, the directory's name with a
    slash, or ``<UNKNOWN>``."""
    if name.startswith(b"/"):
        return b"."
    if dirfd == PPM_AT_FDCWD:
        return zone.cwd(thread)
    fd = zone.find_fd(thread, dirfd)
    if fd is None:
        return UNKNOWN_DIRECTORY
    if not fd.name or fd.name.endswith(b"/"):
        return fd.name
    return fd.name + b"/"


@parses(PPME_SYSCALL_OPEN_X)
def open_(zone: ZoneState, event: Event) -> None:
    thread = zone.thread
    if thread is None:
        return
    params = event.params
    name = text(params, 1)
    flags = u32(params, 2)
    dev = u32(params, 4)
    ino = u64(params, 5) if given(params, 4) else 0
    enter = zone.enter_event(event)
    if enter is not None:
        said = text(enter.params, 0)
        if said != NOT_AVAILABLE:
            name = said
            flags = u32(enter.params, 1) | flags & RETURNED_BITS
    opened(zone, event, zone.cwd(thread), name, flags, dev, ino)


@parses(PPME_SYSCALL_CREAT_X)
def creat(zone: ZoneState, event: Event) -> None:
    """Its own flags say no more than the overlay's layer."""
    thread = zone.thread
    if thread is None:
        return
    params = event.params
    name = text(params, 1)
    flags = 0
    dev = u32(params, 3)
    ino = 0
    if given(params, 3):
        ino = u64(params, 4)
        if given(params, 4):
            layer = u16(params, 5)
            if layer & PPM_FD_UPPER_LAYER_CREAT:
                flags |= PPM_FD_UPPER_LAYER
            elif layer & PPM_FD_LOWER_LAYER_CREAT:
                flags |= PPM_FD_LOWER_LAYER
    enter = zone.enter_event(event)
    if enter is not None:
        said = text(enter.params, 0)
        if said != NOT_AVAILABLE:
            name = said
    opened(zone, event, zone.cwd(thread), name, flags, dev, ino)


@parses(PPME_SYSCALL_OPENAT_2_X, PPME_SYSCALL_OPENAT2_X)
def openat(zone: ZoneState, event: Event) -> None:
    thread = zone.thread
    if thread is None:
        return
    params = event.params
    name = text(params, 2)
    flags = u32(params, 3)
    at = 5 if event.code == PPME_SYSCALL_OPENAT_2_X else 6
    dev = 0
    ino = 0
    if given(params, at + 1):
        dev = u32(params, at)
        ino = u64(params, at + 1)
    source = params
    position = 1
    enter = zone.enter_event(event)
    if enter is not None:
        said = text(enter.params, 1)
        if said != NOT_AVAILABLE:
            name = said
            flags = u32(enter.params, 2) | flags & RETURNED_BITS
            source = enter.params
            position = 0
    base = directory(zone, thread, name, i64(source, position)) if given(source, position) else b""
    opened(zone, event, base, name, flags, dev, ino)


@parses(PPME_SYSCALL_OPEN_BY_HANDLE_AT_X)
def open_by_handle_at(zone: ZoneState, event: Event) -> None:
    """The driver resolves the path: it is absolute."""
    if zone.thread is not None:
        params = event.params
        opened(zone, event, b"", text(params, 3), u32(params, 2), u32(params, 4), u64(params, 5))


def opened(zone: ZoneState, event: Event, base: bytes, name: bytes, flags: int, dev: int, ino: int) -> None:
    """A file or directory that was opened successfully, else nothing. ``flags``: PPM_O_*."""
    number = returned(event.params)
    if number < 0:
        return
    fd = Fd(SCAP_FD_DIRECTORY if flags & PPM_O_DIRECTORY else SCAP_FD_FILE_V2)
    fd.open_flags = flags
    fd.dev = dev
    fd.ino = ino
    # Beyond MAX_PATH the name is that of all such; what was given is kept longer while the zone has few files
    fd.name_raw = cut(zone, name, MAX_RAW_PATH if zone.table.fd_budget.entries < MAX_FDS else MAX_PATH)
    fd.name = concatenate(base, name)
    if flags & PPM_FD_UPPER_LAYER:
        fd.flags |= OVERLAY_UPPER
    if flags & PPM_FD_LOWER_LAYER:
        fd.flags |= OVERLAY_LOWER
    zone.add_fd(number, fd)


# Closing


@parses(PPME_SYSCALL_CLOSE_X)
def close(zone: ZoneState, event: Event) -> None:
    """Removed before the next event, so that rules on this one still see the file."""
    thread = zone.thread
    if thread is not None and zone.event_fd is not None and returned(event.params) >= 0:
        zone.closed = True
        zone.closed_tid = thread.tid
        zone.closed_fd = thread.last_fd


@parses(PPME_SYSCALL_CLOSE_RANGE_X)
def close_range(zone: ZoneState, event: Event) -> None:
    """At once: the event has no fd that rules could ask for."""
    thread = zone.thread
    params = event.params
    if thread is None or returned(params) < 0:
        return
    files = zone.fd_table(thread)
    if files is None:
        return
    first = u32(params, 1)
    last = u32(params, 2)
    known = files.fds
    if last - first < len(known):
        numbers = [number for number in range(first, last + 1) if number in known]
    else:
        numbers = [number for number in known if first <= number <= last]
    if u32(params, 3) & PPM_CLOSE_RANGE_CLOEXEC:
        for number in numbers:
            if known[number].open_flags & PPM_O_CLOEXEC == 0:
                fd = files.writable(number)
                if fd is not None:
                    fd.open_flags |= PPM_O_CLOEXEC
    else:
        for number in numbers:
            files.remove(number)


# Copying


def copy(zone: ZoneState, number: int, source: Fd, close_on_exec: bool) -> None:
    """The facts of one fd under another number; only close-on-exec does not come along."""
    fd = source.clone()
    fd.clear_close_on_exec()
    if close_on_exec:
        fd.open_flags |= PPM_O_CLOEXEC
    if fd.open_flags != source.open_flags:
        fd.touch()
    zone.add_fd(number, fd)


@parses(PPME_SYSCALL_DUP_1_X, PPME_SYSCALL_DUP2_X, PPME_SYSCALL_DUP3_X)
def dup(zone: ZoneState, event: Event) -> None:
    thread = zone.thread
    source = zone.event_fd
    number = returned(event.params)
    if thread is None or source is None or number < 0:
        return
    # A shell that ties its children's standard streams together
    if number == 0:
        thread.flags |= PPM_CL_PIPE_DST
    elif number == 1:
        thread.flags |= PPM_CL_PIPE_SRC
    copy(zone, number, source, event.code == PPME_SYSCALL_DUP3_X and u32(event.params, 3) & PPM_O_CLOEXEC != 0)


@parses(PPME_SYSCALL_FCNTL_X)
def fcntl(zone: ZoneState, event: Event) -> None:
    params = event.params
    command = u8(params, 2)
    source = zone.event_fd
    number = returned(params)
    if zone.thread is None or source is None or number < 0:
        return
    if command == PPM_FCNTL_F_SETFD:
        fd = zone.change_fd()
        if fd is not None:
            fd.clear_close_on_exec()
            if u64(params, 3) & FD_CLOEXEC:
                fd.open_flags |= PPM_O_CLOEXEC
            zone.fd_changed(fd.kind)
    elif command in (PPM_FCNTL_F_DUPFD, PPM_FCNTL_F_DUPFD_CLOEXEC):
        copy(zone, number, source, command == PPM_FCNTL_F_DUPFD_CLOEXEC)


@parses(PPME_SYSCALL_PIDFD_GETFD_X)
def pidfd_getfd(zone: ZoneState, event: Event) -> None:
    """Another process's fd, if both are known. As in libsinsp a failed call leaves an entry under its negative result."""
    thread = zone.thread
    params = event.params
    if thread is None:
        return
    pidfd = zone.find_fd(thread, i64(params, 1, -1))
    if pidfd is None or pidfd.kind != SCAP_FD_PIDFD:
        return
    other = zone.find_thread(pidfd.pid)
    if other is None:
        return
    source = zone.find_fd(other, i64(params, 2, -1))
    if source is not None:
        zone.old_name = source.name
        copy(zone, returned(params), source, True)


# Making what has no path


@parses(PPME_SYSCALL_PIPE_X, PPME_SYSCALL_PIPE2_X)
def pipe(zone: ZoneState, event: Event) -> None:
    params = event.params
    if zone.thread is None or returned(params) < 0:
        return
    flags = u32(params, 4) if event.code == PPME_SYSCALL_PIPE2_X else 0
    for position in (1, 2):
        fd = Fd(SCAP_FD_FIFO)
        fd.ino = u64(params, 3)
        fd.open_flags = flags
        zone.add_fd(i64(params, position, -1), fd)


@parses(PPME_SYSCALL_EVENTFD_X, PPME_SYSCALL_EVENTFD2_X)
def eventfd(zone: ZoneState, event: Event) -> None:
    made(zone, event, SCAP_FD_EVENT, u16(event.params, 1) if event.code == PPME_SYSCALL_EVENTFD2_X else 0)


@parses(PPME_SYSCALL_SIGNALFD_X, PPME_SYSCALL_SIGNALFD4_X)
def signalfd(zone: ZoneState, event: Event) -> None:
    made(zone, event, SCAP_FD_SIGNALFD, u16(event.params, 1) if event.code == PPME_SYSCALL_SIGNALFD4_X else 0)


@parses(PPME_SYSCALL_TIMERFD_CREATE_X)
def timerfd_create(zone: ZoneState, event: Event) -> None:
    made(zone, event, SCAP_FD_TIMERFD, u8(event.params, 2))


@parses(PPME_SYSCALL_INOTIFY_INIT_X, PPME_SYSCALL_INOTIFY_INIT1_X)
def inotify_init(zone: ZoneState, event: Event) -> None:
    made(zone, event, SCAP_FD_INOTIFY, u16(event.params, 1) if event.code == PPME_SYSCALL_INOTIFY_INIT1_X else 0)


@parses(PPME_SYSCALL_EPOLL_CREATE_X, PPME_SYSCALL_EPOLL_CREATE1_X)
def epoll_create(zone: ZoneState, event: Event) -> None:
    asked = event.code == PPME_SYSCALL_EPOLL_CREATE1_X and u32(event.params, 1) & EPOLL_CLOEXEC != 0
    made(zone, event, SCAP_FD_EVENTPOLL, PPM_O_CLOEXEC if asked else 0)


@parses(PPME_SYSCALL_BPF_2_X)
def bpf(zone: ZoneState, event: Event) -> None:
    """Whatever the command: libsinsp does not ask whether it makes a fd."""
    made(zone, event, SCAP_FD_BPF, 0)


@parses(PPME_SYSCALL_USERFAULTFD_X)
def userfaultfd(zone: ZoneState, event: Event) -> None:
    made(zone, event, SCAP_FD_USERFAULTFD, 0)


@parses(PPME_SYSCALL_IO_URING_SETUP_X)
def io_uring_setup(zone: ZoneState, event: Event) -> None:
    made(zone, event, SCAP_FD_IOURING, 0)


def made(zone: ZoneState, event: Event, kind: int, flags: int) -> None:
    """A nameless fd, if the call succeeded."""
    number = returned(event.params)
    if zone.thread is not None and number >= 0:
        fd = Fd(kind)
        fd.open_flags = flags
        zone.add_fd(number, fd)


@parses(PPME_SYSCALL_MEMFD_CREATE_X)
def memfd_create(zone: ZoneState, event: Event) -> None:
    """As in libsinsp a failed call leaves an entry without a type under its negative result."""
    if zone.thread is None:
        return
    params = event.params
    number = returned(params)
    fd = Fd(SCAP_FD_UNINITIALIZED)
    if number >= 0:
        fd.kind = SCAP_FD_MEMFD
        fd.name = cut(zone, text(params, 1), MAX_PATH)
        fd.open_flags = u32(params, 2)
    zone.add_fd(number, fd)


@parses(PPME_SYSCALL_PIDFD_OPEN_X)
def pidfd_open(zone: ZoneState, event: Event) -> None:
    params = event.params
    number = returned(params)
    if zone.thread is None or number < 0:
        return
    fd = Fd(SCAP_FD_PIDFD)
    fd.pid = i64(params, 1)
    fd.name = b"/proc/%d" % fd.pid
    fd.open_flags = u32(params, 2)
    zone.add_fd(number, fd)


# Where a process stands


def set_cwd(zone: ZoneState, thread: Thread, path: bytes) -> None:
    """The process's working directory, from the thread's own one and ``path``: a thread that is not the main one has none of
    its own, as in libsinsp (update_cwd)."""
    main = thread.main()
    if main is None:
        return
    cwd = concatenate(thread.cwd, path)
    if not cwd.endswith(b"/"):
        cwd += b"/"
    if cwd != main.cwd:
        main.cwd = cwd
        zone.table.charge(main)
        zone.changed(main, main.group is not None and len(main.group.threads) > 1)


@parses(PPME_SYSCALL_CHDIR_X, PPME_SYSCALL_GETCWD_X)
def chdir(zone: ZoneState, event: Event) -> None:
    """getcwd tells where a process is whose chdir was lost."""
    if zone.thread is not None and returned(event.params) >= 0:
        set_cwd(zone, zone.thread, text(event.params, 1))


@parses(PPME_SYSCALL_FCHDIR_X)
def fchdir(zone: ZoneState, event: Event) -> None:
    if zone.thread is not None and zone.event_fd is not None and returned(event.params) >= 0:
        set_cwd(zone, zone.thread, zone.event_fd.name)


@parses(PPME_SYSCALL_CHROOT_X)
def chroot(zone: ZoneState, event: Event) -> None:
    """A relative path is resolved from the working directory, an absolute one taken as it is."""
    thread = zone.thread
    if thread is None or returned(event.params) != 0:
        return
    path = text(event.params, 1)
    if path and path != NOT_AVAILABLE and not path.startswith(b"/"):
        path = concatenate(zone.cwd(thread), path)
    thread.root = cut(zone, path, MAX_PATH)
    zone.table.charge(thread)
    zone.changed(thread, False)
