"""Files opened, copied, closed; directories."""

from __future__ import annotations

import pytest

from edera_falcod.scap import tables as t
from edera_falcod.state.fd import EPOLL_CLOEXEC, MFD_CLOEXEC, OVERLAY_LOWER, OVERLAY_UPPER
from edera_falcod.state.limits import MAX_ENTER_SIZE, MAX_ENTERS
from edera_falcod.state.zone import ZoneState

from .support import (
    Value,
    check_stranger,
    check_without_main,
    closed,
    codes_of,
    event,
    event_of,
    fd_of,
    feed,
    files_of,
    has_fd,
    opened,
    out_of_files,
    quiet,
    small_zone,
    thread_of,
    told,
    told_fd,
    zone_of,
)

CWD = t.PPM_AT_FDCWD


@pytest.mark.parametrize(
    ("code", "values", "name", "raw", "flags"),
    [
        (t.PPME_SYSCALL_OPEN_X, {"name": "x", "flags": t.PPM_O_WRONLY, "dev": 5, "ino": 6}, b"/home/x", b"x", t.PPM_O_WRONLY),
        (t.PPME_SYSCALL_OPEN_X, {"name": "/a//b/../c", "flags": 1, "dev": 5, "ino": 6}, b"/a/c", b"/a//b/../c", 1),
        (t.PPME_SYSCALL_CREAT_X, {"name": "x", "mode": 0o644, "dev": 5, "ino": 6}, b"/home/x", b"x", 0),
        (t.PPME_SYSCALL_OPENAT_2_X, {"dirfd": CWD, "name": "x", "flags": 1, "dev": 5, "ino": 6}, b"/home/x", b"x", 1),
        (t.PPME_SYSCALL_OPENAT_2_X, {"dirfd": 1000, "name": "/x", "flags": 1, "dev": 5, "ino": 6}, b"/x", b"/x", 1),
        (t.PPME_SYSCALL_OPENAT_2_X, {"dirfd": 1000, "name": "x", "flags": 1, "dev": 5, "ino": 6}, b"<UNKNOWN>x", b"x", 1),
        (t.PPME_SYSCALL_OPENAT_2_X, {"dirfd": 9, "name": "x", "flags": 1, "dev": 5, "ino": 6}, b"/dir/x", b"x", 1),
        (t.PPME_SYSCALL_OPENAT2_X, {"dirfd": 9, "name": "../x", "flags": 1, "dev": 5, "ino": 6}, b"/x", b"../x", 1),
        (t.PPME_SYSCALL_OPEN_BY_HANDLE_AT_X, {"mountfd": 9, "flags": 1, "path": "/m/x", "dev": 5, "ino": 6}, b"/m/x", b"/m/x", 1),
    ],
)
def test_opening(code: int, values: dict[str, Value], name: bytes, raw: bytes, flags: int) -> None:
    zone = small_zone()
    feed(zone, opened(10, 9, "/dir", t.PPM_O_DIRECTORY | t.PPM_O_RDONLY))
    feed(zone, event_of(code, 10, {"fd": 7, **values}))
    fd = fd_of(zone, 10, 7)
    assert (fd.name, fd.name_raw, fd.open_flags, fd.dev, fd.ino, fd.kind) == (name, raw, flags, 5, 6, t.SCAP_FD_FILE_V2)
    assert zone.fd is fd and zone.event_fd is fd and zone.fd_num == 7 and zone.fd_name_changed
    failed = small_zone()
    feed(failed, event_of(code, 10, {"fd": -2, **values}))
    assert failed.fd is None and failed.fd_num == -1 and len(files_of(failed, 10)) == 3


def test_directories_and_overlay_layers() -> None:
    zone = small_zone()
    feed(
        zone,
        opened(10, 4, "/d", t.PPM_O_DIRECTORY),
        opened(10, 5, "/u", t.PPM_FD_UPPER_LAYER),
        opened(10, 6, "/l", t.PPM_FD_LOWER_LAYER),
        event(t.PPME_SYSCALL_CREAT_X, 10, fd=7, name="/c", mode=0, dev=1, ino=2, creat_flags=t.PPM_FD_UPPER_LAYER_CREAT),
        event(t.PPME_SYSCALL_CREAT_X, 10, fd=8, name="/c", mode=0, dev=1, ino=2, creat_flags=t.PPM_FD_LOWER_LAYER_CREAT),
    )
    assert fd_of(zone, 10, 4).kind == t.SCAP_FD_DIRECTORY
    flags = [fd_of(zone, 10, number).flags & (OVERLAY_UPPER | OVERLAY_LOWER) for number in (4, 5, 6, 7, 8)]
    assert flags == [0, OVERLAY_UPPER, OVERLAY_LOWER, OVERLAY_UPPER, OVERLAY_LOWER]


def test_a_name_that_could_not_be_read() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_OPENAT_2_X, 10, fd=5, dirfd=CWD, flags=1))
    assert fd_of(zone, 10, 5).name == b"/home/<NA>"


def test_threads_open_for_their_process() -> None:
    zone = small_zone()
    feed(zone, opened(21, 5, "x"))
    assert fd_of(zone, 20, 5).name == b"/home/x" and fd_of(zone, 22, 5) is fd_of(zone, 20, 5)


def test_a_closed_file_is_seen_until_the_next_event() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/x"), closed(10, 5))
    assert zone.fd is not None and zone.fd.name == b"/x" and zone.fd_num == 5 and not zone.fd_name_changed
    assert has_fd(zone, 10, 5)
    quiet(zone, 20)
    assert not has_fd(zone, 10, 5)


def test_a_close_that_failed_closes_nothing() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/x"), closed(10, 5, res=-4))
    quiet(zone)
    assert has_fd(zone, 10, 5)
    feed(zone, closed(10, 77))
    assert zone.fd is None and zone.fd_num == 77


def test_close_range() -> None:
    zone = small_zone()
    for number in (3, 4, 5, 6):
        feed(zone, opened(10, number, "/x"))
    feed(zone, event(t.PPME_SYSCALL_CLOSE_RANGE_X, 10, res=0, first=4, last=5, flags=0))
    assert sorted(files_of(zone, 10).fds) == [0, 1, 2, 3, 6]
    feed(zone, event(t.PPME_SYSCALL_CLOSE_RANGE_X, 10, res=-22, first=0, last=100, flags=0))
    assert len(files_of(zone, 10)) == 5
    feed(zone, event(t.PPME_SYSCALL_CLOSE_RANGE_X, 10, res=0, first=3, last=0xFFFFFFFF, flags=t.PPM_CLOSE_RANGE_CLOEXEC))
    assert [number for number, fd in sorted(files_of(zone, 10).fds.items()) if fd.closes_on_exec()] == [3, 6]


def test_dup_copies_all_but_close_on_exec() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/x", t.PPM_O_CLOEXEC | t.PPM_O_WRONLY))
    feed(zone, event(t.PPME_SYSCALL_DUP_1_X, 10, res=6, oldfd=5))
    assert zone.fd_num == 6 and zone.fd is fd_of(zone, 10, 6) and not zone.fd_name_changed
    feed(zone, event(t.PPME_SYSCALL_DUP2_X, 10, res=0, oldfd=5, newfd=0))
    feed(zone, event(t.PPME_SYSCALL_DUP3_X, 10, res=1, oldfd=5, newfd=1, flags=t.PPM_O_CLOEXEC))
    for number, cloexec in ((5, True), (6, False), (0, False), (1, True)):
        fd = fd_of(zone, 10, number)
        assert (fd.name, fd.closes_on_exec()) == (b"/x", cloexec)
    assert thread_of(zone, 10).flags & (t.PPM_CL_PIPE_SRC | t.PPM_CL_PIPE_DST) == t.PPM_CL_PIPE_SRC | t.PPM_CL_PIPE_DST
    feed(zone, event(t.PPME_SYSCALL_DUP2_X, 10, res=-9, oldfd=5, newfd=77), event(t.PPME_SYSCALL_DUP_1_X, 10, res=78, oldfd=70))
    assert not has_fd(zone, 10, 77) and not has_fd(zone, 10, 78)


def test_fcntl() -> None:
    zone = small_zone()
    feed(
        zone,
        opened(10, 5, "/x"),
        event(t.PPME_SYSCALL_FCNTL_X, 10, res=8, fd=5, cmd=t.PPM_FCNTL_F_DUPFD, arg=8),
        event(t.PPME_SYSCALL_FCNTL_X, 10, res=9, fd=5, cmd=t.PPM_FCNTL_F_DUPFD_CLOEXEC, arg=8),
    )
    assert zone.fd_num == 9
    assert not fd_of(zone, 10, 8).closes_on_exec() and fd_of(zone, 10, 9).closes_on_exec()
    feed(zone, event(t.PPME_SYSCALL_FCNTL_X, 10, res=0, fd=8, cmd=t.PPM_FCNTL_F_SETFD, arg=1))
    feed(zone, event(t.PPME_SYSCALL_FCNTL_X, 10, res=0, fd=9, cmd=t.PPM_FCNTL_F_SETFD, arg=0))
    assert fd_of(zone, 10, 8).closes_on_exec() and not fd_of(zone, 10, 9).closes_on_exec()
    feed(zone, event(t.PPME_SYSCALL_FCNTL_X, 10, res=7, fd=5, cmd=t.PPM_FCNTL_F_GETFL, arg=0))
    assert not has_fd(zone, 10, 7)


@pytest.mark.parametrize(
    ("code", "values", "kind", "flags"),
    [
        (t.PPME_SYSCALL_EVENTFD_X, {"initval": 1, "flags": 2}, t.SCAP_FD_EVENT, 0),
        (t.PPME_SYSCALL_EVENTFD2_X, {"flags": t.PPM_O_CLOEXEC}, t.SCAP_FD_EVENT, t.PPM_O_CLOEXEC),
        (t.PPME_SYSCALL_SIGNALFD_X, {}, t.SCAP_FD_SIGNALFD, 0),
        (t.PPME_SYSCALL_SIGNALFD4_X, {"flags": t.PPM_O_CLOEXEC}, t.SCAP_FD_SIGNALFD, t.PPM_O_CLOEXEC),
        (t.PPME_SYSCALL_TIMERFD_CREATE_X, {"clockid": 1, "flags": 2}, t.SCAP_FD_TIMERFD, 2),
        (t.PPME_SYSCALL_INOTIFY_INIT_X, {}, t.SCAP_FD_INOTIFY, 0),
        (t.PPME_SYSCALL_INOTIFY_INIT1_X, {"flags": 64}, t.SCAP_FD_INOTIFY, 64),
        (t.PPME_SYSCALL_EPOLL_CREATE_X, {"size": 1}, t.SCAP_FD_EVENTPOLL, 0),
        (t.PPME_SYSCALL_EPOLL_CREATE1_X, {"flags": 1}, t.SCAP_FD_EVENTPOLL, t.PPM_O_CLOEXEC),
        (t.PPME_SYSCALL_USERFAULTFD_X, {"flags": 1}, t.SCAP_FD_USERFAULTFD, 0),
        (t.PPME_SYSCALL_IO_URING_SETUP_X, {}, t.SCAP_FD_IOURING, 0),
        (t.PPME_SYSCALL_BPF_2_X, {}, t.SCAP_FD_BPF, 0),
    ],
)
def test_nameless_files(code: int, values: dict[str, Value], kind: int, flags: int) -> None:
    result = t.EVENTS[code].params[0].name.decode()
    known = {param.name.decode() for param in t.EVENTS[code].params}
    values = {name: value for name, value in values.items() if name in known}
    zone = small_zone()
    feed(zone, event_of(code, 10, {result: 5, **values}))
    fd = fd_of(zone, 10, 5)
    assert (fd.kind, fd.open_flags, fd.name) == (kind, flags, b"")
    assert zone.fd is fd and zone.fd_num == 5 and not zone.fd_name_changed
    failed = small_zone()
    feed(failed, event_of(code, 10, {result: -24, **values}))
    assert len(files_of(failed, 10)) == 3 and failed.fd is None


def test_pipes() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_PIPE_X, 10, res=0, fd1=5, fd2=6, ino=9))
    assert zone.fd_num == 6  # the second end
    feed(zone, event(t.PPME_SYSCALL_PIPE2_X, 10, res=0, fd1=7, fd2=8, ino=10, flags=t.PPM_O_CLOEXEC))
    feed(zone, event(t.PPME_SYSCALL_PIPE_X, 10, res=-24, fd1=9, fd2=10, ino=9))
    pipes = [(number, fd.ino, fd.open_flags) for number, fd in sorted(files_of(zone, 10).fds.items()) if fd.kind == t.SCAP_FD_FIFO]
    assert pipes == [(5, 9, 0), (6, 9, 0), (7, 10, t.PPM_O_CLOEXEC), (8, 10, t.PPM_O_CLOEXEC)]


def test_memfd() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_MEMFD_CREATE_X, 10, fd=5, name="stage2", flags=1))
    fd = fd_of(zone, 10, 5)
    assert (fd.kind, fd.name, fd.closes_on_exec()) == (t.SCAP_FD_MEMFD, b"stage2", True)
    # As libsinsp: the failure is an entry of its own
    feed(zone, event(t.PPME_SYSCALL_MEMFD_CREATE_X, 10, fd=-22, name="x", flags=1))
    assert zone.fd_num == -22 and zone.event_fd is not None and zone.event_fd.kind == -1
    assert len(files_of(zone, 10)) == 5


def test_pidfds() -> None:
    zone = small_zone()
    feed(zone, opened(20, 3, "/secret", t.PPM_O_RDONLY), event(t.PPME_SYSCALL_PIDFD_OPEN_X, 10, fd=5, pid=20, flags=0))
    assert fd_of(zone, 10, 5).name == b"/proc/20" and fd_of(zone, 10, 5).pid == 20
    feed(zone, event(t.PPME_SYSCALL_PIDFD_GETFD_X, 10, fd=6, pid_fd=5, target_fd=3, flags=0))
    assert fd_of(zone, 10, 6).name == b"/secret" and fd_of(zone, 10, 6).closes_on_exec() and not zone.fd_name_changed
    assert not fd_of(zone, 20, 3).closes_on_exec()
    for pidfd, target in ((0, 3), (5, 99), (88, 3)):
        feed(zone, event(t.PPME_SYSCALL_PIDFD_GETFD_X, 10, fd=7, pid_fd=pidfd, target_fd=target, flags=0))
        assert not has_fd(zone, 10, 7)


def cwd_of(zone: ZoneState, tid: int) -> bytes:
    return zone.cwd(thread_of(zone, tid))


def test_working_directories() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_CHDIR_X, 10, res=0, path="a/../b"))
    assert cwd_of(zone, 10) == b"/home/b/"
    feed(zone, event(t.PPME_SYSCALL_CHDIR_X, 10, res=-2, path="/nowhere"))
    assert cwd_of(zone, 10) == b"/home/b/"
    feed(zone, opened(10, 5, "/var", t.PPM_O_DIRECTORY), event(t.PPME_SYSCALL_FCHDIR_X, 10, res=0, fd=5))
    assert cwd_of(zone, 10) == b"/var/"
    feed(zone, event(t.PPME_SYSCALL_FCHDIR_X, 10, res=0, fd=55))
    assert cwd_of(zone, 10) == b"/var/"
    feed(zone, event(t.PPME_SYSCALL_GETCWD_X, 10, res=5, path="/real"))
    assert cwd_of(zone, 10) == b"/real/"
    feed(zone, event(t.PPME_SYSCALL_CHDIR_X, 10, res=0, path="/"))
    assert cwd_of(zone, 10) == b"/"


def test_a_thread_moves_its_process() -> None:
    zone = small_zone()
    epoch = zone.identity_epoch
    feed(zone, event(t.PPME_SYSCALL_CHDIR_X, 21, res=0, path="/srv"))
    assert cwd_of(zone, 20) == cwd_of(zone, 22) == b"/srv/"
    assert zone.identity_epoch > epoch
    # A thread has no directory of its own to start from, so libsinsp resolves what is relative from nowhere
    feed(zone, event(t.PPME_SYSCALL_CHDIR_X, 21, res=0, path="sub"))
    assert cwd_of(zone, 20) == b"sub/"


def test_no_main_thread_no_directory() -> None:
    zone = zone_of(told(1, ptid=0), told(31, pid=30))
    assert cwd_of(zone, 31) == b"./"
    assert zone.fd_table(thread_of(zone, 31)) is None
    feed(zone, opened(31, 5, "x"), event(t.PPME_SYSCALL_CHDIR_X, 31, res=0, path="/x"))
    assert zone.fd is None


def test_chroot() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_CHROOT_X, 10, res=0, path="jail/../cell"))
    assert thread_of(zone, 10).root == b"/home/cell"
    feed(zone, event(t.PPME_SYSCALL_CHROOT_X, 10, res=-1, path="/x"), event(t.PPME_SYSCALL_CHROOT_X, 10, res=1, path="/x"))
    assert thread_of(zone, 10).root == b"/home/cell"
    feed(zone, event(t.PPME_SYSCALL_CHROOT_X, 10, res=0, path="/a/../b"))
    assert thread_of(zone, 10).root == b"/a/../b"


def test_enter_events_win_where_a_zone_sends_them() -> None:
    """What was asked for before the call cannot be changed during it; what only the exit knows is added."""
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_OPENAT_2_E, 10, dirfd=CWD, name="/real", flags=t.PPM_O_WRONLY, mode=0))
    feed(zone, opened(10, 5, "/fake", t.PPM_O_RDONLY | t.PPM_O_F_CREATED))
    fd = fd_of(zone, 10, 5)
    assert (fd.name, fd.open_flags) == (b"/real", t.PPM_O_WRONLY | t.PPM_O_F_CREATED)
    assert not zone.enters
    feed(zone, opened(10, 6, "/plain"))
    assert fd_of(zone, 10, 6).name == b"/plain"
    feed(zone, event(t.PPME_SYSCALL_OPEN_E, 10, name="/one", flags=1, mode=0), event(t.PPME_SYSCALL_OPEN_X, 10, fd=7, name="/two", flags=1))
    assert fd_of(zone, 10, 7).name == b"/one"
    feed(zone, event(t.PPME_SYSCALL_CREAT_E, 10, name="/one", mode=0), event(t.PPME_SYSCALL_CREAT_X, 10, fd=8, name="/two", mode=0))
    assert fd_of(zone, 10, 8).name == b"/one"
    # One of another call, or one that could not be read, is of no use
    feed(zone, event(t.PPME_SYSCALL_OPEN_E, 10, name="/one", flags=1, mode=0), opened(10, 9, "/two"))
    assert fd_of(zone, 10, 9).name == b"/two"
    feed(zone, event(t.PPME_SYSCALL_OPENAT_2_E, 10, dirfd=CWD, flags=1, mode=0), opened(10, 9, "/two"))
    assert fd_of(zone, 10, 9).name == b"/two"


def test_pidfds_of_a_snapshot_know_their_process() -> None:
    zone = zone_of(told(1, ptid=0), told(10, fds=[told_fd(3, t.SCAP_FD_PIDFD, name=b"anon_inode:[pidfd]", pid=1)]))
    assert fd_of(zone, 10, 3).pid == 1


@pytest.mark.parametrize("code", codes_of("files"))
def test_threads_that_are_not_known(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    check_without_main(code)
    check_stranger(monkeypatch, code)


def test_names_relative_to_what_is_no_directory() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_PIPE_X, 10, res=0, fd1=5, fd2=6, ino=1), opened(10, 7, "/", t.PPM_O_DIRECTORY))
    feed(zone, opened(10, 8, "x", dirfd=5), opened(10, 9, "x", dirfd=7))
    assert (fd_of(zone, 10, 8).name, fd_of(zone, 10, 9).name) == (b"x", b"/x")


def test_enter_events_that_say_nothing() -> None:
    """Without parameters, without a name, or of another thread or call: the exit event alone counts."""
    for enter in (
        event(t.PPME_SYSCALL_OPEN_E, 10),
        event(t.PPME_SYSCALL_OPEN_E, 10, flags=2),
        event(t.PPME_SYSCALL_OPEN_E, 10, name="<NA>", flags=2),
        event(t.PPME_SYSCALL_OPEN_E, 20, name="/enter", flags=2),
        event(t.PPME_SYSCALL_CREAT_E, 10, name="/enter", mode=1),
        event(t.PPME_SYSCALL_OPEN_E, 10, name="/" + "x" * MAX_ENTER_SIZE, flags=2),
    ):
        zone = small_zone()
        feed(zone, enter, event(t.PPME_SYSCALL_OPEN_X, 10, fd=5, name="/exit", flags=1))
        assert (fd_of(zone, 10, 5).name, fd_of(zone, 10, 5).open_flags) == (b"/exit", 1)
    for name, found in (("<NA>", b"/exit"), ("/enter", b"/enter")):
        zone = small_zone()
        feed(zone, event(t.PPME_SYSCALL_CREAT_E, 10, name=name, mode=1), event(t.PPME_SYSCALL_CREAT_X, 10, fd=5, name="/exit", mode=1))
        assert fd_of(zone, 10, 5).name == found
        feed(
            zone,
            event(t.PPME_SYSCALL_OPENAT_2_E, 10, dirfd=CWD, name=name, flags=2),
            event(t.PPME_SYSCALL_OPENAT_2_X, 10, fd=6, dirfd=CWD, name="/exit", flags=1),
        )
        assert fd_of(zone, 10, 6).name == found


def test_as_many_enter_events_wait_as_there_may_be() -> None:
    zone = small_zone()
    for tid in range(100, 100 + MAX_ENTERS):
        feed(zone, event(t.PPME_SYSCALL_OPEN_E, tid, name="/x", flags=2))
    assert list(zone.enters) == list(range(100, 100 + MAX_ENTERS))
    feed(zone, event(t.PPME_SYSCALL_OPEN_E, 10, name="/x", flags=2))
    assert list(zone.enters) == [*range(101, 100 + MAX_ENTERS), 10]


@pytest.mark.parametrize(
    ("values", "dev", "ino", "flags"),
    [
        ({}, 0, 0, 0),
        ({"dev": 5}, 5, 0, 0),
        ({"dev": 5, "ino": 6}, 5, 6, 0),
        ({"ino": 6, "creat_flags": t.PPM_FD_UPPER_LAYER_CREAT}, 0, 0, 0),
        ({"dev": 5, "ino": 6, "creat_flags": t.PPM_FD_LOWER_LAYER_CREAT}, 5, 6, t.PPM_FD_LOWER_LAYER),
    ],
)
def test_creat_as_older_drivers_tell_it(values: dict[str, Value], dev: int, ino: int, flags: int) -> None:
    zone = small_zone()
    feed(zone, event_of(t.PPME_SYSCALL_CREAT_X, 10, {"fd": 5, "name": "/x", "mode": 1, **values}))
    fd = fd_of(zone, 10, 5)
    assert (fd.dev, fd.ino, fd.open_flags) == (dev, ino, flags)


def test_openat_as_older_drivers_tell_it() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_OPENAT_2_X, 10, fd=5, dirfd=CWD, name="/x", flags=1, dev=3))
    assert (fd_of(zone, 10, 5).dev, fd_of(zone, 10, 5).ino) == (0, 0), "both or neither"
    feed(zone, event(t.PPME_SYSCALL_OPENAT_2_X, 10, fd=6, name="x", flags=1))
    assert fd_of(zone, 10, 6).name == b"x", "relative to nothing where no directory is told"


def test_marking_and_closing_a_range_when_the_zone_is_out_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for event_ in (
        event(t.PPME_SYSCALL_CLOSE_RANGE_X, 30, res=0, first=0, last=2, flags=t.PPM_CLOSE_RANGE_CLOEXEC),
        event(t.PPME_SYSCALL_CLOSE_RANGE_X, 30, res=0, first=0, last=2, flags=0),
        event(t.PPME_SYSCALL_FCNTL_X, 30, res=0, fd=1, cmd=t.PPM_FCNTL_F_SETFD, arg=1),
    ):
        zone = out_of_files(monkeypatch)
        feed(zone, event_)
        assert len(files_of(zone, 30)) == 0 and zone.counters.fds_refused == 3
        assert not any(fd.closes_on_exec() for fd in files_of(zone, 10).fds.values()) and len(files_of(zone, 10)) == 3


def test_marking_a_range_leaves_alone_what_is_marked() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/x", t.PPM_O_CLOEXEC))
    before = fd_of(zone, 10, 5)
    feed(zone, event(t.PPME_SYSCALL_CLOSE_RANGE_X, 10, res=0, first=2, last=5, flags=t.PPM_CLOSE_RANGE_CLOEXEC))
    assert fd_of(zone, 10, 5) is before and fd_of(zone, 10, 2).closes_on_exec()


def test_pidfds_of_nobody() -> None:
    zone = small_zone()
    for number, pid in ((5, 999), (6, 20)):
        feed(zone, event(t.PPME_SYSCALL_PIDFD_OPEN_X, 10, fd=number, pid=pid, flags=0))
    for pidfd, wanted in ((5, 0), (6, 77), (0, 0), (99, 0)):
        feed(zone, event(t.PPME_SYSCALL_PIDFD_GETFD_X, 10, fd=40, pid_fd=pidfd, target_fd=wanted, flags=0))
        assert not has_fd(zone, 10, 40)
    feed(zone, event(t.PPME_SYSCALL_PIDFD_OPEN_X, 10, fd=-3, pid=20, flags=0))
    assert not has_fd(zone, 10, -3) and sorted(files_of(zone, 10).fds) == [0, 1, 2, 5, 6]


def test_directories_that_cannot_be_changed_to() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_CHDIR_X, 10, res=-2, path="/nowhere"), event(t.PPME_SYSCALL_CHROOT_X, 10, res=-1, path="/nowhere"))
    feed(zone, opened(10, 5, "/d", t.PPM_O_DIRECTORY), event(t.PPME_SYSCALL_FCHDIR_X, 10, res=-13, fd=5))
    assert (thread_of(zone, 10).cwd, thread_of(zone, 10).root) == (b"/home/", b"/")
    feed(zone, event(t.PPME_SYSCALL_GETCWD_X, 10, res=0, path="/home"))
    version = thread_of(zone, 10).version
    feed(zone, event(t.PPME_SYSCALL_CHDIR_X, 10, res=0, path="."))
    assert thread_of(zone, 10).version == version, "the same directory is no change"


def test_which_files_an_execve_closes() -> None:
    """The bit has another value for some kinds."""
    zone = small_zone()
    feed(
        zone,
        event(t.PPME_SYSCALL_PIPE2_X, 10, res=0, fd1=5, fd2=6, ino=1, flags=t.PPM_O_CLOEXEC),
        event(t.PPME_SYSCALL_PIPE_X, 10, res=0, fd1=7, fd2=8, ino=1),
        event(t.PPME_SYSCALL_MEMFD_CREATE_X, 10, fd=9, name="m", flags=MFD_CLOEXEC),
        event(t.PPME_SYSCALL_MEMFD_CREATE_X, 10, fd=11, name="m", flags=0),
        event(t.PPME_SYSCALL_EPOLL_CREATE1_X, 10, res=12, flags=EPOLL_CLOEXEC),
        event(t.PPME_SYSCALL_EPOLL_CREATE1_X, 10, res=13, flags=0),
        opened(10, 14, "/x", t.PPM_O_RDONLY | MFD_CLOEXEC),
    )
    said = {number: fd.closes_on_exec() for number, fd in files_of(zone, 10).fds.items() if number > 2}
    assert said == {5: True, 6: True, 7: False, 8: False, 9: True, 11: False, 12: True, 13: False, 14: False}
