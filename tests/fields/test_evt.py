"""evt.*: results, categories, counts, opens, absolute paths, times."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edera_falcod.fields import names
from edera_falcod.fields.evt import PLANS, generic_syscall
from edera_falcod.scap import tables
from edera_falcod.scap.event import Event
from edera_falcod.scap.tables import PPM_O_CREAT, PPM_O_F_CREATED, PPM_O_RDONLY, PPM_O_RDWR, PPM_O_TMPFILE, PPM_O_WRONLY
from edera_falcod.scap.wire import MAX_TIMESTAMP

from .golden import World, look


def i64(number: int) -> bytes:
    return number.to_bytes(8, "little", signed=True)


def u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def openat(world: World, result: int, flags: int, mode: int = 0, dirfd: int = -100, path: bytes = b"/etc/x") -> list[object]:
    params = [i64(result), i64(dirfd), path + b"\0", u32(flags), u32(mode), u32(0), i64(0)]
    view = world.happen(tables.PPME_SYSCALL_OPENAT_2_X, params)
    return [look(view, f"evt.is_open_{what}") for what in ("read", "write", "exec", "create")]


def test_results() -> None:
    world = World()
    view = world.happen(tables.PPME_SYSCALL_CLOSE_X, [i64(-9), i64(99)])
    assert look(view, "evt.res") == "EBADF"
    assert look(view, "evt.rawres") == "-9"
    assert look(view, "evt.failed") is True
    assert look(view, "evt.count.error") == 1
    view = world.happen(tables.PPME_SYSCALL_CLOSE_X, [i64(0), i64(0)])
    assert look(view, "evt.res") == "SUCCESS"
    assert look(view, "evt.rawres") == "0"
    assert look(view, "evt.failed") is False
    assert look(view, "evt.count.error") == 0
    # An error number without a name
    view = world.happen(tables.PPME_SYSCALL_CLOSE_X, [i64(-4000), i64(0)])
    assert look(view, "evt.res") == "-4000"


@pytest.mark.parametrize(
    "code", [tables.PPME_GENERIC_X, tables.PPME_PROCEXIT_1_E, tables.PPME_SIGNALDELIVER_E, tables.PPME_SCHEDSWITCH_6_E]
)
def test_events_without_a_result(code: int) -> None:
    view = World().happen(code, [b"\1\0", b"\1\0"])
    for form in ("evt.res", "evt.rawres", "evt.failed", "evt.count.error", "evt.count.error.other"):
        assert look(view, form) is None


def test_a_result_of_32_bits_and_one_that_is_none() -> None:
    view = World().happen(tables.PPME_SYSCALL_GETUID_X, [u32(0xFFFF_FFFF)])
    assert look(view, "evt.rawres") == "-1"
    assert look(view, "evt.res") == "<NONE>"
    view = World().happen(tables.PPME_SYSCALL_CLOSE_X, [b"\1", i64(0)])
    assert look(view, "evt.rawres") == "0"
    assert look(view, "evt.res") == "SUCCESS"
    view = World().happen(tables.PPME_SYSCALL_CLOSE_X, [])
    assert look(view, "evt.rawres") is None


def test_what_follows_from_the_type() -> None:
    world = World()
    view = world.happen(tables.PPME_SYSCALL_WRITE_X, [i64(1), b"x", i64(0), u32(1)])
    assert [look(view, form) for form in ("evt.type", "syscall.type", "evt.dir", "evt.io_dir")] == ["write", "write", "<", "write"]
    assert [look(view, form) for form in ("evt.is_io", "evt.is_io_read", "evt.is_io_write", "evt.is_wait")] == [True, False, True, False]
    assert [look(view, form) for form in ("evt.count", "evt.count.exit", "evt.count.threadinfo", "evt.count.procinfo")] == [1, 1, 0, 0]
    assert [look(view, form) for form in ("evt.latency", "evt.latency.s", "evt.latency.human", "evt.wait_latency")] == [0, 0, "0ns", 0]
    assert look(view, "evt.cpu") == 1
    assert look(view, "evt.type.is.write") == 1
    assert look(view, "evt.type.is[read]") == 0
    view = world.happen(tables.PPME_SIGNALDELIVER_E, [i64(1), i64(1), b"\x0f"])
    assert look(view, "evt.dir") == ">"
    assert look(view, "syscall.type") is None
    assert look(view, "evt.count.exit") is None


def test_generic_events_have_the_name_of_their_system_call() -> None:
    world = World()
    view = world.happen(tables.PPME_GENERIC_X, [b"\x01\x00", b"\xdb\x00"])
    assert look(view, "evt.type") == "restart_syscall"
    assert look(view, "syscall.type") == "restart_syscall"
    assert look(view, "evt.category") == "other"
    # Unknown to the zone's driver: by its number
    view = world.happen(tables.PPME_GENERIC_X, [b"\x00\x00", b"\x00\x00"])
    assert look(view, "evt.type") == "read"
    view = world.happen(tables.PPME_GENERIC_X, [b"\x00\x00", b"\xff\xff"])
    assert look(view, "evt.type") == "unknown"
    assert generic_syscall(Event(0, 1, 0, tables.PPME_GENERIC_X, [b"\xff\xff"])) == 0
    assert generic_syscall(Event(0, 1, 0, tables.PPME_GENERIC_X, [])) == 0
    assert generic_syscall(Event(0, 1, 0, tables.PPME_SYSCALL_READ_X, [b"\1\0"])) == 0


@pytest.mark.parametrize(
    ("fd", "category"), [(0, "file"), (5, "file"), (6, "ipc"), (7, "ipc"), (8, "unknown"), (99, "unknown"), (-1, "unknown")]
)
def test_categories_of_reads(fd: int, category: str) -> None:
    view = World().happen(tables.PPME_SYSCALL_READ_X, [i64(3), b"abc", i64(fd), u32(3)])
    assert look(view, "evt.category") == category


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (tables.PPME_SYSCALL_BRK_4_X, "memory"), (tables.PPME_SYSCALL_KILL_X, "signal"), (tables.PPME_SCHEDSWITCH_6_E, "scheduler"),
        (tables.PPME_PROCINFO_E, "internal"), (tables.PPME_SYSCALL_NANOSLEEP_X, "sleep"), (tables.PPME_SYSCALL_POLL_X, "wait"),
        (tables.PPME_SYSCALL_EVENTFD_X, "IPC"),
    ],
)  # fmt: skip
def test_categories_of_types(code: int, category: str) -> None:
    assert look(World().happen(code, []), "evt.category") == category


def test_lengths_of_reads_and_writes() -> None:
    world = World()
    forms = ("", ".in", ".out", ".file", ".file.in", ".file.out", ".net", ".net.in", ".net.out")
    view = world.happen(tables.PPME_SYSCALL_READ_X, [i64(3), b"abc", i64(0), u32(3)])
    assert [look(view, "evt.buflen" + form) for form in forms] == [3, 3, None, 3, 3, None, None, None, None]
    view = world.happen(tables.PPME_SYSCALL_WRITE_X, [i64(3), b"abc", i64(6), u32(3)])
    assert [look(view, "evt.buflen" + form) for form in forms] == [3, None, 3, None, None, None, None, None, None]
    view = world.happen(tables.PPME_SYSCALL_READ_X, [i64(-4), b"", i64(0), u32(3)])
    assert [look(view, "evt.buflen" + form) for form in forms] == [None] * 9
    view = world.happen(tables.PPME_SYSCALL_READ_X, [i64(3), b"abc", i64(99), u32(3)])
    assert [look(view, "evt.buflen" + form) for form in forms] == [None] * 9
    world.happen(tables.PPME_SOCKET_SOCKET_X, [i64(20), u32(2), u32(1), u32(6), u32(0)])
    view = world.happen(tables.PPME_SYSCALL_READ_X, [i64(3), b"abc", i64(20), u32(3)])
    assert [look(view, "evt.buflen" + form) for form in forms] == [3, 3, None, None, None, None, 3, 3, None]


def test_which_errors_count_for_what() -> None:
    world = World()
    forms = ("file", "net", "memory", "other")

    def counts(code: int, params: list[bytes]) -> list[object]:
        view = world.happen(code, params)
        return [look(view, "evt.count.error." + form) for form in forms]

    assert counts(tables.PPME_SYSCALL_READ_X, [i64(-4), b"", i64(0), u32(3)]) == [1, None, None, None]
    assert counts(tables.PPME_SYSCALL_READ_X, [i64(4), b"", i64(0), u32(3)]) == [0, None, None, None]
    assert counts(tables.PPME_SYSCALL_READ_X, [i64(-4), b"", i64(7), u32(3)]) == [None, 1, None, None]
    assert counts(tables.PPME_SYSCALL_READ_X, [i64(-4), b"", i64(6), u32(3)]) == [None, None, None, 1]
    assert counts(tables.PPME_SYSCALL_READ_X, [i64(-4), b"", i64(99), u32(3)]) == [None, None, None, 1]
    assert counts(tables.PPME_SYSCALL_CREAT_X, [i64(-2), b"/x\0", u32(0), u32(0), i64(0), b"\0\0"]) == [1, None, None, None]
    assert counts(tables.PPME_SOCKET_ACCEPT_5_X, [i64(-11), b"", b"\0", u32(0), u32(0)]) == [None, 1, None, None]
    assert counts(tables.PPME_SYSCALL_MUNMAP_X, [i64(-22), u32(0), u32(0), u32(0), i64(0), i64(0)]) == [None, None, 1, None]
    mapped = [i64(-22), u32(0), u32(0), u32(0), i64(0), i64(0), u32(1), u32(1), i64(0), i64(0)]
    assert counts(tables.PPME_SYSCALL_MMAP_X, mapped) == [1, None, 1, None]


def test_opens() -> None:
    world = World()
    assert openat(world, 9, PPM_O_RDONLY) == [True, False, False, False]
    assert openat(world, 9, PPM_O_WRONLY) == [False, True, False, False]
    assert openat(world, 9, PPM_O_RDWR | PPM_O_CREAT, 0o644) == [True, True, False, False]
    assert openat(world, 9, PPM_O_RDWR | PPM_O_CREAT | PPM_O_F_CREATED, 0o744) == [True, True, True, True]
    assert openat(world, 9, PPM_O_WRONLY | PPM_O_TMPFILE, 0o100) == [False, True, True, True]
    assert openat(world, -1, PPM_O_WRONLY | PPM_O_TMPFILE) == [False, True, False, False]
    assert openat(world, 9, PPM_O_RDWR, 0o777) == [True, True, False, False]
    view = world.happen(tables.PPME_SYSCALL_CREAT_X, [i64(3), b"/x\0", u32(0o111), u32(0), i64(0), b"\0\0"])
    assert look(view, "evt.is_open_exec") is True
    assert look(view, "evt.is_open_write") is False
    handle = [i64(3), i64(-100), u32(PPM_O_RDWR | PPM_O_CREAT), b"/x\0", u32(0), i64(0)]
    view = world.happen(tables.PPME_SYSCALL_OPEN_BY_HANDLE_AT_X, handle)
    assert look(view, "evt.is_open_read") is True
    assert look(view, "evt.is_open_exec") is False
    view = world.happen(tables.PPME_SYSCALL_READ_X, [i64(3), b"abc", i64(0), u32(3)])
    assert look(view, "evt.is_open_read") is False


def test_absolute_paths() -> None:
    world = World()

    def paths(code: int, params: list[bytes]) -> list[object]:
        view = world.happen(code, params)
        return [look(view, "evt.abspath" + form) for form in ("", ".src", ".dst")]

    def opened(dirfd: int, path: bytes) -> object:
        openat(world, -2, 1, 0, dirfd, path)
        params = [i64(-2), i64(dirfd), path, u32(1), u32(0), u32(0), i64(0)]
        found = paths(tables.PPME_SYSCALL_OPENAT_2_X, params)
        assert found[0] == found[1] == found[2]
        return found[0]

    assert opened(-100, b"a/../b\0") == "/root/b"
    assert opened(5, b"syslog\0") == "/var/log/syslog"
    assert opened(5, b"/etc//x/\0") == "/etc/x"
    assert opened(99, b"x\0") == "<UNKNOWN>/x"
    assert opened(5, b"") is None
    assert opened(5, b"\0") == ""
    assert opened(5, b"\xff\0") == "/var/log/\ufffd"
    rename = [i64(0), i64(5), b"a\0", i64(-100), b"b\0", u32(0)]
    assert paths(tables.PPME_SYSCALL_RENAMEAT2_X, rename) == ["/var/log/a", "/var/log/a", "/root/b"]
    rename[1] = b""
    assert paths(tables.PPME_SYSCALL_RENAMEAT2_X, rename) == [None, None, "/root/b"]
    assert paths(tables.PPME_SYSCALL_RENAMEAT2_X, rename[:2]) == [None, None, None]
    handle = [i64(3), i64(-100), u32(1), b"/x/./y\0", u32(0), i64(0)]
    assert paths(tables.PPME_SYSCALL_OPEN_BY_HANDLE_AT_X, handle) == ["/x/y"] * 3
    handle[0] = i64(-2)
    assert paths(tables.PPME_SYSCALL_OPEN_BY_HANDLE_AT_X, handle) == [None] * 3
    assert paths(tables.PPME_SYSCALL_UNLINK_2_X, [i64(0), b"x\0"]) == [None] * 3


def test_a_directory_that_ends_with_a_slash_gets_no_other() -> None:
    world = World()
    openat(world, 9, 1, 0, -100, b"/")
    view = world.happen(tables.PPME_SYSCALL_UNLINKAT_2_X, [i64(0), i64(9), b"etc\0", u32(0)])
    assert look(view, "evt.abspath") == "/etc"


def test_syslog() -> None:
    world = World()
    write = [i64(1), b"x", i64(9), u32(1)]
    openat(world, 9, 3, 0, -100, b"/dev/log")
    assert look(world.happen(tables.PPME_SYSCALL_WRITE_X, write), "evt.is_syslog") is True
    assert look(world.happen(tables.PPME_SYSCALL_READ_X, write), "evt.is_syslog") is False
    write[2] = i64(0)
    assert look(world.happen(tables.PPME_SYSCALL_WRITE_X, write), "evt.is_syslog") is False


def test_time_since_the_event_before() -> None:
    world = World()
    params = [i64(0), i64(0)]
    forms = ("evt.deltatime", "evt.deltatime.s", "evt.deltatime.ns")

    def delta(ts: int) -> list[object]:
        view = world.happen(tables.PPME_SYSCALL_CLOSE_X, params, 1, ts)
        return [look(view, form) for form in forms]

    assert delta(10**18) == [0, 0, 0]
    assert delta(10**18 + 2_000_000_005) == [2_000_000_005, 2, 5]
    assert delta(10**18 + 2_000_000_004)[0] == 2**64 - 1  # a clock that went back, as libsinsp has it


def test_process_information_counts_for_main_threads() -> None:
    world = World()
    procinfo = [(0).to_bytes(8, "little")] * 2
    view = world.happen(tables.PPME_PROCINFO_E, procinfo, 1)
    assert [look(view, form) for form in ("evt.count.procinfo", "evt.count.threadinfo")] == [1, 1]
    view = world.happen(tables.PPME_PROCINFO_E, procinfo, 33)
    assert [look(view, form) for form in ("evt.count.procinfo", "evt.count.threadinfo")] == [0, 1]


def test_plans_have_an_index_for_every_parameter_they_name() -> None:
    for code in (
        tables.PPME_SYSCALL_RENAMEAT_X, tables.PPME_SYSCALL_RENAMEAT2_X, tables.PPME_SYSCALL_SYMLINKAT_X, tables.PPME_SYSCALL_OPENAT_2_X,
        tables.PPME_SYSCALL_OPENAT2_X, tables.PPME_SYSCALL_LINKAT_2_X, tables.PPME_SYSCALL_UNLINKAT_2_X, tables.PPME_SYSCALL_MKDIRAT_X,
        tables.PPME_SYSCALL_FCHMODAT_X, tables.PPME_SYSCALL_FCHOWNAT_X,
    ):  # fmt: skip
        assert PLANS[code].dir1 >= 0 and PLANS[code].path1 >= 0
    for code in (tables.PPME_SYSCALL_RENAMEAT_X, tables.PPME_SYSCALL_RENAMEAT2_X, tables.PPME_SYSCALL_LINKAT_2_X):
        assert PLANS[code].dir2 >= 0 and PLANS[code].path2 >= 0
    assert {param.name.decode() for info in tables.EVENTS for param in info.params} <= set(names.ARG_NAMES)


@settings(deadline=None)
@given(
    st.sampled_from([info.code for info in tables.EVENTS if not info.old and not info.unused]),
    st.lists(st.one_of(st.binary(max_size=20), st.integers(-200, 200).map(i64), st.just(b"/\0")), max_size=31),
    st.sampled_from([1, 3, 99, -1]),
    st.integers(0, MAX_TIMESTAMP),
)
def test_any_event_has_values_of_the_right_kind(code: int, params: list[bytes], tid: int, ts: int) -> None:
    view = World().happen(code, params, tid, ts)
    for form in ("evt.res", "evt.rawres", "evt.category", "evt.abspath", "evt.abspath.src", "evt.abspath.dst", "evt.type", "evt.io_dir"):
        assert look(view, form) is None or isinstance(look(view, form), str)
    for form in ("evt.buflen", "evt.deltatime", "evt.count.error", "evt.count.error.file", "evt.count.error.other"):
        assert look(view, form) is None or isinstance(look(view, form), int)
    assert isinstance(look(view, "evt.type"), str)
    assert isinstance(look(view, "evt.category"), str)
    assert isinstance(look(view, "evt.is_open_create"), bool)
