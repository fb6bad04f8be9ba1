"""Fields of files where there is little to say: unknown files, names from the event, lists of files."""

from __future__ import annotations

import pytest

from edera_falcod.fields import fd as fd_module
from edera_falcod.fields import fdlist
from edera_falcod.fields.fd import collapse, is_local
from edera_falcod.scap import tables as t
from edera_falcod.state.zone import ZoneState
from tests.state.support import (
    LOOPBACK6,
    Value,
    event,
    event_of,
    fd_of,
    feed,
    inet,
    inet6,
    inet6_tuple,
    inet_tuple,
    opened,
    small_zone,
    told,
    told_fd,
    unix_tuple,
    zone_of,
)

from .watch import Watch

PREFIX = bytes([0xFD]) + bytes(7)
AT_CWD = t.PPM_AT_FDCWD


def test_which_addresses_are_local() -> None:
    local = frozenset([b"\x0a\0\0\1", PREFIX + bytes(8)])
    assert is_local(b"\x0a\0\0\1", local) and is_local(PREFIX + b"\1" * 8, local)
    assert not is_local(b"\x0a\0\0\2", local) and not is_local(LOOPBACK6, local) and not is_local(LOOPBACK6, frozenset())


@pytest.mark.parametrize(
    ("name", "directory", "filename"),
    [(b"/a/b", "/a", "b"), (b"/a", "/", "a"), (b"/a/", "/a/", "/a/"), (b"plain", "/", "/"), (b"", "/", "/"), (b"/", "/", "/")],
)
@pytest.mark.parametrize("way", [False, True], ids=["interpreted", "as compiled"])
def test_directories_and_names_of_files(monkeypatch: pytest.MonkeyPatch, way: bool, name: bytes, directory: str, filename: str) -> None:
    monkeypatch.setattr(fd_module, "COMPILED", way)
    watch = Watch(zone_of(told(1, ptid=0), told(10, fds=[told_fd(5, t.SCAP_FD_FILE_V2, name=name)])))
    watch.see(event(t.PPME_SYSCALL_READ_X, 10, res=1, fd=5, size=1, data=b"x"))
    assert (watch.value("fd.directory"), watch.value("fd.filename")) == (directory, filename)


@pytest.mark.parametrize("way", [False, True], ids=["interpreted", "as compiled"])
def test_repeated_slashes_are_one(monkeypatch: pytest.MonkeyPatch, way: bool) -> None:
    monkeypatch.setattr(fd_module, "COMPILED", way)
    for path, one in ((b"", b""), (b"/", b"/"), (b"//", b"/"), (b"a/b/", b"a/b/"), (b"///a////b//", b"/a/b/")):
        assert collapse(path) == one


def test_layers_and_directories() -> None:
    fds = [told_fd(5, t.SCAP_FD_DIRECTORY, name=b"/d"), told_fd(6, t.SCAP_FD_FILE_V2, name=b"/a//b", dev=0x12345678)]
    watch = Watch(zone_of(told(1, ptid=0), told(10, fds=fds)))
    watch.see(event(t.PPME_SYSCALL_READ_X, 10, res=1, fd=5, size=1, data=b"x"))
    assert (watch.value("fd.type"), watch.value("fd.directory"), watch.value("fd.filename")) == ("directory", "/d", None)
    watch.see(opened(10, 7, "a//b", t.PPM_FD_UPPER_LAYER), opened(10, 8, "/c", t.PPM_FD_LOWER_LAYER))
    assert (watch.value("fd.is_upper_layer"), watch.value("fd.is_lower_layer")) == (False, True)
    watch.see(event(t.PPME_SYSCALL_READ_X, 10, res=1, fd=7, size=1, data=b"x"))
    assert (watch.value("fd.is_upper_layer"), watch.value("fd.name"), watch.value("fd.nameraw")) == (True, "/home/a/b", "a/b")


def sockets() -> ZoneState:
    """5: a listener, 6: one of IPv6, 7: a client, 8: a client of IPv6, 9: not connected, 10: a file without a name."""
    zone = small_zone()
    feed(
        zone,
        event(t.PPME_SOCKET_SOCKET_X, 10, fd=5, domain=2, type=1, proto=6),
        event(t.PPME_SOCKET_BIND_X, 10, res=0, addr=inet("1.1.1.1", 80), fd=5),
        event(t.PPME_SOCKET_SOCKET_X, 10, fd=6, domain=10, type=1, proto=6),
        event(t.PPME_SOCKET_BIND_X, 10, res=0, addr=inet6(LOOPBACK6, 81), fd=6),
        event(t.PPME_SOCKET_SOCKET_X, 10, fd=7, domain=2, type=1, proto=6),
        event(t.PPME_SOCKET_CONNECT_X, 10, res=0, tuple=inet_tuple("1.1.1.1", 1, "2.2.2.2", 2), fd=7),
        event(t.PPME_SOCKET_SOCKET_X, 10, fd=8, domain=10, type=1, proto=6),
        event(t.PPME_SOCKET_CONNECT_X, 10, res=0, tuple=inet6_tuple(LOOPBACK6, 3, LOOPBACK6, 4), fd=8),
        event(t.PPME_SOCKET_SOCKET_X, 10, fd=9, domain=2, type=2, proto=0),
        event(t.PPME_SYSCALL_EVENTFD_X, 10, res=11, initval=1, flags=0),
    )  # fmt: skip
    return zone


def read(watch: Watch, number: int) -> Watch:
    return watch.see(event(t.PPME_SYSCALL_READ_X, 10, res=-11, fd=number, size=1))


def test_a_listening_sockets_one_end_stands_for_both() -> None:
    watch = Watch(sockets())
    for number, ip, port in ((5, "1.1.1.1", 80), (6, "::1", 81)):
        read(watch, number)
        assert (watch.value("fd.is_server"), watch.value("fd.sip"), watch.value("fd.sport")) == (True, ip, port)
        assert watch.value("fd.ip") == [ip] and watch.value("fd.port") == [port] and watch.value("fd.cip") is None
        assert watch.value("fd.l4proto") == "tcp"
    read(watch, 9)
    assert (watch.value("fd.sip"), watch.value("fd.l4proto"), watch.value("fd.connected")) == (None, "<NA>", False)


def test_lists_of_files() -> None:
    watch = Watch(sockets())
    numbers = (5, 6, 7, 8, 11, 99)
    fds = len(numbers).to_bytes(2, "little") + b"".join(number.to_bytes(8, "little") + b"\1\0" for number in numbers)
    watch.see(event(t.PPME_SYSCALL_POLL_X, 10, res=1, fds=fds, timeout=1))
    assert watch.value("fdlist.nums") == "5,6,7,8,11,99"
    assert watch.value("fdlist.names") == "1.1.1.1:80,::1:81,1.1.1.1:1->2.2.2.2:2,::1:3->::1:4,<NA>,<NA>"
    assert (watch.value("fdlist.cips"), watch.value("fdlist.sips")) == ("1.1.1.1,::1", "1.1.1.1,0.0.0.0,2.2.2.2,::1")
    assert (watch.value("fdlist.cports"), watch.value("fdlist.sports")) == ("1,3", "2,4")
    short = event(t.PPME_SYSCALL_POLL_X, 10, res=1)
    del short.params[1:]
    watch.see(short)
    assert watch.value("fdlist.nums") is None and watch.value("fdlist.names") is None
    watch.see(event(t.PPME_SYSCALL_PPOLL_X, 10, res=0, fds=b"\0\0"))
    assert watch.value("fdlist.nums") is None


@pytest.mark.parametrize(("limit", "found"), [(7, "5,6,7,8"), (6, "5,6,7"), (5, "5,6")])
def test_lists_of_files_are_cut_between_two(monkeypatch: pytest.MonkeyPatch, limit: int, found: str) -> None:
    monkeypatch.setattr(fdlist, "MAX_LIST_TEXT", limit)
    fds = b"\4\0" + b"".join(number.to_bytes(8, "little") + b"\1\0" for number in (5, 6, 7, 8))
    watch = Watch(sockets()).see(event(t.PPME_SYSCALL_POLL_X, 10, res=1, fds=fds))
    assert watch.value("fdlist.nums") == found


NAMES = [
    (t.PPME_SYSCALL_OPEN_X, {"name": "x"}, "/home/x", "/home/x"),
    (t.PPME_SYSCALL_OPEN_X, {"name": "/x"}, "/x", "/x"),
    (t.PPME_SYSCALL_OPEN_X, {}, "<NA>", "<NA>"),
    (t.PPME_SYSCALL_CREAT_X, {"name": "x"}, "/home/x", "/home/x"),
    (t.PPME_SYSCALL_CREAT_X, {"name": ""}, "", ""),
    (t.PPME_SYSCALL_OPENAT_2_X, {"dirfd": AT_CWD, "name": "x"}, "/home/x", "x"),
    (t.PPME_SYSCALL_OPENAT_2_X, {"dirfd": 5, "name": "x"}, "/d/x", "x"),
    (t.PPME_SYSCALL_OPENAT_2_X, {"dirfd": 6, "name": "x"}, "/x", "x"),
    (t.PPME_SYSCALL_OPENAT_2_X, {"dirfd": 77, "name": "x"}, "<UNKNOWN>x", "x"),
    (t.PPME_SYSCALL_OPENAT_2_X, {"dirfd": 77, "name": "/a//x"}, "/a/x", "/a/x"),
    (t.PPME_SYSCALL_OPENAT_2_X, {"name": "x"}, None, "x"),
    (t.PPME_SYSCALL_OPENAT_2_X, {"dirfd": 5}, None, None),
    (t.PPME_SYSCALL_OPENAT2_X, {"dirfd": 5, "name": "x"}, "/d/x", "x"),
    (t.PPME_SYSCALL_OPEN_BY_HANDLE_AT_X, {"path": "/m/x"}, "/m/x", "/m/x"),
    (t.PPME_SYSCALL_EVENTFD_X, {"initval": 1}, "", ""),
    (t.PPME_SOCKET_CONNECT_X, {"tuple": inet_tuple("1.1.1.1", 1, "2.2.2.2", 2), "fd": 77}, "1.1.1.1:1->2.2.2.2:2", "1.1.1.1:1->2.2.2.2:2"),
]


@pytest.mark.parametrize(("code", "values", "name", "raw"), NAMES)
def test_names_of_files_that_were_not_opened_are_the_events(code: int, values: dict[str, Value], name: str | None, raw: str | None) -> None:
    """As libsinsp makes them from the event (sinsp_filtercheck_fd.cpp, extract_fdname_from_event)."""
    zone = small_zone()
    feed(zone, opened(10, 5, "/d", t.PPM_O_DIRECTORY), opened(10, 6, "/", t.PPM_O_DIRECTORY))
    watch = Watch(zone)
    result = t.EVENTS[code].params[0].name.decode()
    watch.see(event_of(code, 10, {result: -2, **values}))
    assert (watch.value("fd.name"), watch.value("fd.nameraw")) == (name, raw)
    if name is not None and name.startswith("/"):
        assert watch.value("fd.directory") == (name.rpartition("/")[0] or "/")


@pytest.mark.parametrize("code", [t.PPME_SOCKET_ACCEPT_5_X, t.PPME_SOCKET_CONNECT_X, t.PPME_SYSCALL_OPEN_X, t.PPME_SYSCALL_OPENAT_2_X,
                                  t.PPME_SYSCALL_OPEN_BY_HANDLE_AT_X])  # fmt: skip
def test_events_that_end_before_the_name(code: int) -> None:
    short = event_of(code, 10, {t.EVENTS[code].params[0].name.decode(): -2})
    del short.params[1:]
    watch = Watch(small_zone()).see(short)
    wanted = {t.PPME_SYSCALL_OPENAT_2_X: None, t.PPME_SYSCALL_OPEN_X: "<NA>", t.PPME_SYSCALL_OPEN_BY_HANDLE_AT_X: "<NA>"}.get(code, "")
    assert watch.value("fd.name") == wanted


def test_an_enter_event_says_only_what_kind_of_file_it_is_about() -> None:
    watch = Watch(small_zone()).see(event(t.PPME_SYSCALL_OPENAT_2_E, 10, dirfd=AT_CWD, name="/x", flags=1))
    assert watch.value("fd.typechar") == "f" and watch.value("fd.name") is None


def test_ends_of_a_client_and_of_a_unix_socket() -> None:
    watch = Watch(sockets())
    for number, ends in ((7, ["1.1.1.1", 1, "2.2.2.2", 2]), (8, ["::1", 3, "::1", 4])):
        read(watch, number)
        assert [watch.value(f"fd.{end}") for end in ("cip", "cport", "sip", "sport")] == ends
    watch.see(event(t.PPME_SOCKET_ACCEPT4_6_X, 10, fd=12, tuple=unix_tuple(1, 2, "/run/s"), flags=0))
    assert (watch.value("fd.sockfamily"), watch.value("fd.cproto"), watch.value("fd.sip")) == ("unix", "", None)
    watch.see(event(t.PPME_SOCKET_ACCEPT4_6_X, 10, fd=13, tuple=inet_tuple("3.3.3.3", 5, "1.1.1.1", 80), flags=0))
    assert [watch.value(f"fd.{end}") for end in ("cip", "cport", "sip", "sport")] == ["3.3.3.3", 5, "1.1.1.1", 80]


@pytest.mark.parametrize(("own", "remote", "port"), [("1.1.1.1", "2.2.2.2", 2), ("2.2.2.2", "1.1.1.1", 1), ("9.9.9.9", "1.1.1.1", 1)])
def test_which_end_is_remote(own: str, remote: str, port: int) -> None:
    zone = sockets()
    zone.local_ips = frozenset([bytes(int(part) for part in own.split("."))])
    watch = read(Watch(zone), 7)
    assert (watch.value("fd.rip"), watch.value("fd.rport")) == (remote, port)
    assert (watch.value("fd.lip"), watch.value("fd.lport")) == ("2.2.2.2" if remote == "1.1.1.1" else "1.1.1.1", 3 - port)


def test_a_listening_socket_without_a_role_has_no_server_address() -> None:
    zone = sockets()
    fd_of(zone, 10, 5).flags = 0
    watch = read(Watch(zone), 5)
    assert (watch.value("fd.is_server"), watch.value("fd.sip"), watch.value("fd.sport")) == (True, None, 80)


def test_a_root_that_could_not_be_opened() -> None:
    watch = Watch(small_zone()).see(event(t.PPME_SYSCALL_OPEN_X, 10, fd=-13, name="/", flags=1))
    assert (watch.value("fd.name"), watch.value("fd.directory")) == ("/", "/")
