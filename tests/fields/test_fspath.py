"""fs.path.*: which calls have paths, when, and where relative ones begin."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edera_falcod.fields import fspath
from edera_falcod.fields.fspath import NO_PATH, PLANS
from edera_falcod.scap import tables
from edera_falcod.state import threadtable

from .golden import World, look

FORMS = ("name", "nameraw", "source", "sourceraw", "target", "targetraw")
WITH_PATHS = [code for code, plan in enumerate(PLANS) if plan is not None]


def i64(number: int) -> bytes:
    return number.to_bytes(8, "little", signed=True)


def u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def seen(world: World, code: int, params: list[bytes], tid: int = 1) -> dict[str, object]:
    view = world.happen(code, params, tid)
    found = {form: look(view, "fs.path." + form) for form in FORMS}
    return {form: value for form, value in found.items() if value is not None}


def one(world: World, code: int, index: int, path: bytes, dirfd: int = -100) -> object:
    """fs.path.name of a successful call with a path as parameter ``index``."""
    params = [i64(0), i64(dirfd), b"", b"", b"", b"", b""]
    params[index] = path
    return seen(world, code, params).get("name")


def test_only_successful_calls_have_paths() -> None:
    world = World()
    assert seen(world, tables.PPME_SYSCALL_UNLINK_2_X, [i64(0), b"a//b/\0"]) == {"name": "/root/a/b", "nameraw": "a//b/"}
    assert seen(world, tables.PPME_SYSCALL_UNLINK_2_X, [i64(-2), b"a\0"]) == {}
    assert seen(world, tables.PPME_SYSCALL_UNLINK_2_X, [i64(1), b"a\0"]) == {}
    assert seen(world, tables.PPME_SYSCALL_UNLINK_2_X, [b"", b"a\0"]) == {}
    assert seen(world, tables.PPME_SYSCALL_UNLINK_2_X, []) == {}
    assert seen(world, tables.PPME_SYSCALL_UNLINK_2_X, [i64(0)]) == {}
    assert seen(world, tables.PPME_SYSCALL_CREAT_X, [i64(3), b"/a\0", u32(0), u32(0), i64(0), b"\0\0"]) == {}


def test_opens_count_as_success_unless_they_return_minus_one() -> None:
    world = World()
    opened = [i64(9), i64(5), b"x\0", u32(1), u32(0), u32(0), i64(0)]
    assert seen(world, tables.PPME_SYSCALL_OPENAT_2_X, opened) == {"name": "/var/log/x", "nameraw": "x"}
    opened[0] = i64(-2)
    assert seen(world, tables.PPME_SYSCALL_OPENAT_2_X, opened) == {"name": "<UNKNOWN>", "nameraw": "x"}
    opened[2] = b"/etc/../x\0"
    assert seen(world, tables.PPME_SYSCALL_OPENAT_2_X, opened) == {"name": "/x", "nameraw": "/etc/../x"}
    opened[0] = i64(-1)
    assert seen(world, tables.PPME_SYSCALL_OPENAT_2_X, opened) == {}
    assert seen(world, tables.PPME_SYSCALL_OPEN_X, [i64(-2), b"x\0", u32(1), u32(0), u32(0), i64(0)])["name"] == "/root/x"


@pytest.mark.parametrize(
    ("code", "index"),
    [
        (tables.PPME_SYSCALL_MKDIRAT_X, 2), (tables.PPME_SYSCALL_UNLINKAT_2_X, 2), (tables.PPME_SYSCALL_FCHMODAT_X, 2),
        (tables.PPME_SYSCALL_FCHOWNAT_X, 2),
    ],
)  # fmt: skip
def test_calls_with_a_directory(code: int, index: int) -> None:
    world = World()
    assert one(world, code, index, b"x/../y\0", 5) == "/var/log/y"
    assert one(world, code, index, b"y\0", -100) == "<UNKNOWN>y"  # the working directory is no file, as libsinsp has it
    assert one(world, code, index, b"y\0", 0) == "<UNKNOWN>y"  # a file, but no directory
    assert one(world, code, index, b"y\0", 99) == "<UNKNOWN>y"
    assert one(world, code, index, b"/y\0", 99) == "/y"
    assert one(world, code, index, b"\0", 5) == ""


@pytest.mark.parametrize(
    ("code", "index"),
    [
        (tables.PPME_SYSCALL_MKDIR_2_X, 1), (tables.PPME_SYSCALL_RMDIR_2_X, 1), (tables.PPME_SYSCALL_UNLINK_2_X, 1),
        (tables.PPME_SYSCALL_CHMOD_X, 1), (tables.PPME_SYSCALL_CHOWN_X, 1), (tables.PPME_SYSCALL_LCHOWN_X, 1),
        (tables.PPME_SYSCALL_UMOUNT_1_X, 1), (tables.PPME_SYSCALL_UMOUNT2_X, 1),
    ],
)  # fmt: skip
def test_calls_from_the_working_directory(code: int, index: int) -> None:
    world = World()
    assert one(world, code, index, b"./x/../y\0") == "/root/y"
    assert one(world, code, index, b"../../y\0") == "/y"  # more steps up than there are
    assert one(world, code, index, b"") == "/root/<NA>"


def test_calls_on_an_open_file() -> None:
    world = World()
    assert seen(world, tables.PPME_SYSCALL_FCHMOD_X, [i64(0), i64(5), u32(0)]) == {"name": "/var/log", "nameraw": "/var/log"}
    owned = seen(world, tables.PPME_SYSCALL_FCHOWN_X, [i64(0), i64(6), u32(0), u32(0)])
    assert owned == {"name": "/root/pipe:[123]", "nameraw": "pipe:[123]"}  # a name that is no path counts as a relative one
    assert seen(world, tables.PPME_SYSCALL_FCHMOD_X, [i64(0), i64(99), u32(0)]) == {"name": "", "nameraw": ""}


def test_calls_with_two_paths() -> None:
    world = World()

    def two(code: int, params: list[bytes]) -> tuple[object, object]:
        found = seen(world, code, params)
        assert "name" not in found
        return found.get("source"), found.get("target")

    assert two(tables.PPME_SYSCALL_RENAME_X, [i64(0), b"a\0", b"/b\0"]) == ("/root/a", "/b")
    assert two(tables.PPME_SYSCALL_RENAMEAT_X, [i64(0), i64(5), b"a\0", i64(5), b"b\0"]) == ("/root/a", "/root/b")
    at2 = [i64(0), i64(5), b"a\0", i64(-100), b"b\0", u32(0)]
    assert two(tables.PPME_SYSCALL_RENAMEAT2_X, at2) == ("/var/log/a", "/root/b")
    assert two(tables.PPME_SYSCALL_RENAMEAT2_X, [i64(0), i64(99), b"a\0", i64(-5), b"b\0", u32(0)]) == ("<UNKNOWN>a", "<UNKNOWN>b")
    assert two(tables.PPME_SYSCALL_LINK_2_X, [i64(0), b"old\0", b"new\0"]) == ("/root/new", "/root/old")
    at = [i64(0), i64(5), b"old\0", i64(5), b"new\0", u32(0)]
    assert two(tables.PPME_SYSCALL_LINKAT_2_X, at) == ("/root/new", "/root/old")
    assert two(tables.PPME_SYSCALL_SYMLINK_X, [i64(0), b"to\0", b"link\0"]) == ("/root/link", "/root/to")
    assert two(tables.PPME_SYSCALL_SYMLINKAT_X, [i64(0), b"to\0", i64(5), b"link\0"]) == ("/var/log/link", "<UNKNOWN>to")
    assert two(tables.PPME_SYSCALL_MOUNT_X, [i64(0), b"proc\0", b"/proc\0", b"proc\0", u32(0)]) == ("/root/proc", "/proc")
    assert two(tables.PPME_SYSCALL_RENAME_X, [i64(-2), b"a\0", b"/b\0"]) == (None, None)
    assert two(tables.PPME_SYSCALL_RENAME_X, [i64(0), b"a\0"]) == ("/root/a", None)


def test_paths_are_made_safe() -> None:
    found = seen(World(), tables.PPME_SYSCALL_UNLINK_2_X, [i64(0), b"a\n\xff\0"])
    assert found == {"name": "/root/a\ufffd\ufffd", "nameraw": "a\ufffd\ufffd"}


def test_paths_that_are_too_long() -> None:
    found = seen(World(), tables.PPME_SYSCALL_UNLINK_2_X, [i64(0), b"a" * 1024 + b"\0"])
    assert found == {"name": "/DIR_TOO_LONG/FILENAME_TOO_LONG", "nameraw": "a" * 1024}


def test_every_plan_names_parameters_of_its_event() -> None:
    assert len(WITH_PATHS) == 26
    for code in WITH_PATHS:
        plan = PLANS[code]
        assert plan is not None
        for path in (plan.name, plan.source, plan.target):
            if path.index >= 0:
                assert tables.EVENTS[code].params[path.index].type in (tables.PT_FSPATH, tables.PT_FSRELPATH, tables.PT_CHARBUF)
        assert (plan.name.index == NO_PATH) != (plan.source.index == NO_PATH)


@settings(deadline=None)
@given(
    st.sampled_from(WITH_PATHS),
    st.lists(st.one_of(st.binary(max_size=30), st.just(i64(0)), st.just(i64(5)), st.just(i64(-100))), max_size=9),
    st.sampled_from([1, 33, 99]),
)
def test_any_bytes(code: int, params: list[bytes], tid: int) -> None:
    for value in seen(World(), code, params, tid).values():
        assert isinstance(value, str)
        assert "\0" not in value


def test_names_that_are_no_parameters() -> None:
    with pytest.raises(LookupError, match="no parameter nope"):
        fspath._index(tables.PPME_SYSCALL_OPENAT_2_X, b"nope")


def test_an_event_without_a_thread_has_paths_as_they_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(threadtable, "MAX_THREADS", len(world.zone.threads))
    assert seen(world, tables.PPME_SYSCALL_UNLINK_2_X, [i64(0), b"a\0"], 4321) == {"nameraw": "a"}


def test_directories_without_a_name_and_the_root() -> None:
    world = World()
    world.happen(tables.PPME_SYSCALL_OPENAT_2_X, [i64(40), i64(-100), b"/\0", u32(tables.PPM_O_DIRECTORY), u32(0), u32(0), i64(0)])
    world.happen(tables.PPME_SYSCALL_PIPE_X, [i64(0), i64(41), i64(42), i64(7)])
    assert one(world, tables.PPME_SYSCALL_UNLINKAT_2_X, 2, b"x", 40) == "/x"
    for number, found in ((40, "/x"), (41, "x")):
        renamed = seen(world, tables.PPME_SYSCALL_RENAMEAT2_X, [i64(0), i64(number), b"x\0", i64(number), b"x\0", u32(0)])
        assert renamed["source"] == renamed["target"] == found
