"""The parameter table and evt.args: what each type prints with a zone's state, and that any bytes give text."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edera_falcod.fields import evtargs, record, slots
from edera_falcod.fields.evtargs import PLANS, fd_text, shown_l4proto, type_char
from edera_falcod.fields.reader import BINARY, RAW_BYTES, EventView
from edera_falcod.scap import tables
from edera_falcod.scap.format import MAX_MEMO
from edera_falcod.scap.schema import EventInfo, ParamInfo
from edera_falcod.state import fd as fdmod
from edera_falcod.state import threadtable
from edera_falcod.state.fd import Fd
from edera_falcod.state.thread import Thread

from .golden import World, look

CURRENT = [info for info in tables.EVENTS if not info.old and not info.unused]


def i64(number: int) -> bytes:
    return number.to_bytes(8, "little", signed=True)


def u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def args(view: EventView) -> object:
    return look(view, "evt.args")


def entries(view: EventView) -> list[tuple[int, int, int, int]]:
    count = len(view.event.bytes(slots.EVT_PARAMS) or b"") // 16
    return [view.entry(index) for index in range(count)]


def test_texts_are_slices_of_evt_args() -> None:
    view = World().happen(tables.PPME_SYSCALL_READ_X, [i64(5), b"hello", i64(0), u32(5)])
    assert args(view) == "res=5 data=hello fd=0(<f>/dev/null) size=5"
    texts = [view.slice(offset, length) for offset, length, _, _ in entries(view)]
    assert texts == [b"5", b"hello", b"<f>/dev/null", b"5"]
    begin = len(entries(view)) * 16 + 1  # evt.args begins behind the first label's blank
    for offset, length, _, _ in entries(view):
        assert begin <= offset and offset + length <= begin + len("res=5 data=hello fd=0(<f>/dev/null) size=5")
    # The bytes that were read are printable, so they are not sent twice
    _, _, kind, raw = entries(view)[1]
    assert kind == RAW_BYTES and raw & BINARY
    assert raw & 0x7FFF_FFFF == entries(view)[1][0]


def test_binary_raw_values_keep_their_bytes() -> None:
    view = World().happen(tables.PPME_SYSCALL_READ_X, [i64(5), b"a\0\xffb\n", i64(0), u32(5)])
    assert look(view, "evt.arg.data") == "a..b."
    assert look(view, "evt.rawarg.data") == "6100ff620a"
    view.hex_binary = False
    assert look(view, "evt.rawarg.data") == "a..b."
    assert look(view, "evt.buffer") == "a..b."


def test_empty_buffers() -> None:
    view = World().happen(tables.PPME_SYSCALL_READ_X, [i64(0), b"", i64(0), u32(5)])
    assert args(view) == "res=0 data=NULL fd=0(<f>/dev/null) size=5"
    assert look(view, "evt.rawarg.data") == ""
    assert look(view, "evt.buffer") is None


def test_unsafe_text_is_replaced_but_stays_in_the_raw_value() -> None:
    view = World().happen(tables.PPME_SYSCALL_MKDIR_2_X, [i64(0), b"/a\n\xff\xc3\xa9/\0", u32(0)])
    assert look(view, "evt.arg.path") == "/a\ufffd\ufffdé/"
    assert look(view, "evt.rawarg.path") == "/a\n\ufffdé/"


def test_signed_and_unsigned_numbers() -> None:
    view = World().happen(tables.PPME_SYSCALL_CLOSE_RANGE_X, [i64(-9), u32(0xFFFF_FFFF), u32(7), u32(0)])
    assert args(view) == "res=-9(EBADF) first=-1 last=7 flags=0"
    assert look(view, "evt.rawarg.first") == 0xFFFF_FFFF
    assert look(view, "evt.rawarg.res") == "-9"
    assert look(view, "evt.rawarg.res.unsigned") == 2**64 - 9


def test_a_number_of_the_wrong_width_is_not_available() -> None:
    view = World().happen(tables.PPME_SYSCALL_CLOSE_RANGE_X, [i64(0), b"\1\2\3", b"", u32(0)])
    assert args(view) == "res=0 first=<NA> last=<NA> flags=0"
    assert look(view, "evt.arg.first") == "<NA>"
    assert look(view, "evt.rawarg.first") is None


def test_fewer_and_more_parameters_than_the_table_has() -> None:
    world = World()
    view = world.happen(tables.PPME_SYSCALL_CLOSE_RANGE_X, [i64(0)])
    assert args(view) == "res=0"
    assert look(view, "evt.arg.first") is None
    assert look(view, "evt.arg[1]") is None
    view = world.happen(tables.PPME_SYSCALL_CLOSE_RANGE_X, [i64(0), u32(1), u32(2), u32(0), b"more", b"and more"])
    assert args(view) == "res=0 first=1 last=2 flags=0"
    view = world.happen(tables.PPME_SYSCALL_CLOSE_RANGE_X, [])
    assert args(view) == ""
    assert look(view, "evt.arg[0]") is None


def test_generic_events_print_no_arguments_but_have_them() -> None:
    view = World().happen(tables.PPME_GENERIC_X, [b"\x01\x00", b"\xdb\x00"])
    assert args(view) == ""
    assert look(view, "evt.arg.ID") == "restart_syscall"
    assert look(view, "evt.arg.nativeID") == "219"
    assert look(view, "evt.rawarg.ID") == 1
    view = World().happen(tables.PPME_GENERIC_X, [b"\xff\xff", b"\xdb\x00"])
    assert look(view, "evt.arg.ID") == "<unknown syscall>"


def test_threads_are_named() -> None:
    view = World().happen(tables.PPME_SYSCALL_KILL_X, [i64(0), i64(2), b"\x0f"])
    assert args(view) == "res=0 pid=2(sh) sig=15(SIGTERM)"
    view = World().happen(tables.PPME_SYSCALL_KILL_X, [i64(0), i64(99), b"\x22"])
    assert args(view) == "res=0 pid=99 sig=34"


def test_users() -> None:
    world = World()
    added = [u32(7), u32(8), b"ada\0", b"/home/ada\0", b"/bin/sh\0", b"\0"]
    world.happen(tables.PPME_USER_ADDED_E, added)
    world.happen(tables.PPME_GROUP_ADDED_E, [u32(8), b"wheel\n\0", b"\0"])
    assert args(world.happen(tables.PPME_SYSCALL_SETUID_X, [i64(0), u32(7)])) == "res=0 uid=7(ada)"
    assert args(world.happen(tables.PPME_SYSCALL_SETGID_X, [i64(0), u32(8)])) == "res=0 gid=8(wheel\ufffd)"
    assert args(world.happen(tables.PPME_SYSCALL_SETUID_X, [i64(0), u32(0)])) == "res=0 uid=0(root)"
    assert args(world.happen(tables.PPME_SYSCALL_SETUID_X, [i64(0), u32(0xFFFF_FFFE)])) == "res=0 uid=-2(<NA>)"
    assert args(world.happen(tables.PPME_SYSCALL_SETUID_X, [i64(0), u32(0xFFFF_FFFF)])) == "res=0 uid=-1(<NONE>)"


def test_variants() -> None:
    world = World()
    trace = [i64(0), b"\x00" + (16).to_bytes(8, "little"), b"\x01\x05", b"\x04\x00", i64(2)]
    assert str(args(world.happen(tables.PPME_SYSCALL_PTRACE_X, trace))).startswith("res=0 addr=10 data=5(SIGTRAP) request=4")
    option = [i64(0), i64(0), b"\x01", b"\x14", b"\x04" + (2_500_000_000).to_bytes(8, "little"), u32(8)]
    view = world.happen(tables.PPME_SOCKET_SETSOCKOPT_X, option)
    assert look(view, "evt.arg.val") == "2.5s"
    assert look(view, "evt.rawarg.val") == "0400f9029500000000"
    for val, text in (
        (b"", "NULL"), (b"\xff", "INVALID DYNAMIC PARAMETER"), (b"\x04", "<NA>"), (b"\x00a\x01", "a."), (b"\x00", ""),
        (b"\x01" + i64(-111), "ECONNREFUSED"),
    ):  # fmt: skip
        option[4] = val
        assert look(world.happen(tables.PPME_SOCKET_SETSOCKOPT_X, option), "evt.arg.val") == text


def test_lists_of_files() -> None:
    fds = (3).to_bytes(2, "little") + i64(0) + b"\x01\0" + i64(77) + b"\x04\0" + i64(6) + b"\x00\x00"
    view = World().happen(tables.PPME_SYSCALL_POLL_X, [i64(1), fds, i64(-1)])
    assert look(view, "evt.arg.fds") == "0:f1 77:?4 6:p0"


def test_relative_paths_begin_at_their_directory() -> None:
    world = World()

    def name(dirfd: int, path: bytes) -> object:
        opened = [i64(-2), i64(dirfd), path + b"\0", u32(1), u32(0), u32(0), i64(0)]
        return look(world.happen(tables.PPME_SYSCALL_OPENAT_2_X, opened), "evt.arg.name")

    assert name(-100, b"x/../y") == "/root/y"
    assert name(5, b"syslog") == "/var/log/syslog"
    assert name(99, b"x") == "x"
    assert name(-1, b"x") == "x"
    assert name(5, b"/abs") == "/abs"
    assert name(5, b"") == ""
    short = [i64(-2), b"\1", b"x\0"]
    assert look(world.happen(tables.PPME_SYSCALL_OPENAT_2_X, short), "evt.arg.name") == "x"


def test_text_of_a_fd() -> None:
    fd = Fd(tables.SCAP_FD_IPV4_SOCK)
    fd.l4proto = tables.SCAP_L4_TCP
    fd.name = b"a\nb"
    assert fd_text(fd) == "<4>a\ufffdb".encode()  # no role, so no transport
    fd.flags = fdmod.ROLE_CLIENT
    assert fd_text(fd) == "<4>a\ufffdb".encode()  # cached until touched
    fd.touch()
    assert fd_text(fd) == "<4t>a\ufffdb".encode()
    fd.flags = 0
    fd.l4proto = tables.SCAP_L4_RAW
    assert shown_l4proto(fd) == tables.SCAP_L4_RAW
    fd.kind = tables.SCAP_FD_IPV6_SERVSOCK
    fd.l4proto = tables.SCAP_L4_UDP
    assert shown_l4proto(fd) == tables.SCAP_L4_UDP
    fd.kind = tables.SCAP_FD_FILE_V2
    assert shown_l4proto(fd) == tables.SCAP_L4_NA
    fd.kind = tables.SCAP_FD_IPV4_SERVSOCK
    fd.l4proto = 99
    fd.touch()
    assert fd_text(fd) == "<4>a\ufffdb".encode()  # a transport that has no letter
    assert type_char(-1) == b"?"
    assert type_char(1000) == b"?"


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(CURRENT),
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.binary(min_size=8, max_size=8),
            st.binary(min_size=4, max_size=4),
            st.sampled_from([b"\x01", b"\x02", b"\x0a"]).flatmap(lambda family: st.binary(max_size=40).map(lambda rest: family + rest)),
            st.integers(-200, 200).map(i64),
            st.text(max_size=20).map(lambda text: text.encode() + b"\0"),
        ),
        max_size=33,
    ),
    st.sampled_from([1, 3, 33, 99, -1]),
)
def test_any_bytes_in_any_parameter_give_a_value_or_none(info: EventInfo, params: list[bytes], tid: int) -> None:
    world = World()
    view = world.happen(info.code, params, tid)
    text = args(view)
    assert isinstance(text, str)
    found = entries(view)
    assert len(found) == min(len(params), info.nparams)
    for index, (offset, length, kind, raw) in enumerate(found):
        served = look(view, f"evt.arg[{index}]")
        assert isinstance(served, str)
        assert "\0" not in served
        data = view.slice(offset, length)
        assert data is not None
        if info.code != tables.PPME_GENERIC_X:
            assert served in text
        if kind == RAW_BYTES:
            bytes_of = view.slice(raw & 0x7FFF_FFFF, raw >> 32)
            assert bytes_of is not None
            if raw & BINARY:
                assert bytes_of == params[index]
            else:
                bytes_of.decode()
                assert b"\0" not in bytes_of
        elif kind:
            assert PLANS[info.code][index].size == len(params[index])


@pytest.mark.parametrize(("code", "index"), [
    (tables.PPME_SYSCALL_READ_X, 1), (tables.PPME_SYSCALL_MKDIR_2_X, 1), (tables.PPME_SYSCALL_POLL_X, 1),
    (tables.PPME_SOCKET_SETSOCKOPT_X, 4), (tables.PPME_SYSCALL_EXECVE_19_X, 2), (tables.PPME_SYSCALL_EXECVE_19_X, 14),
    (tables.PPME_SYSCALL_EXECVE_19_X, 15), (tables.PPME_SYSCALL_EXECVE_19_X, 27), (tables.PPME_SYSCALL_CHDIR_X, 1),
    (tables.PPME_SYSCALL_OPENAT_2_X, 2), (tables.PPME_SYSCALL_RENAMEAT2_X, 4),
])  # fmt: skip
def test_time_grows_with_length(code: int, index: int) -> None:
    """64 times the bytes take far less than 64 times 64 the time, which a quadratic step would."""
    world = World()

    def cost(size: int) -> float:
        params = [i64(0)] * tables.EVENTS[code].nparams
        params[index] = b"\x00\xff../\x01" * (size // 6)
        best = 1.0
        for _ in range(3):
            start = time.perf_counter()
            world.happen(code, params)
            best = min(best, time.perf_counter() - start)
        return best

    assert cost(65_536) < 0.002 + 600 * cost(1_024)


def test_memo_dictionaries_are_bounded() -> None:
    world = World()
    for number in range(MAX_MEMO + 20):
        world.happen(tables.PPME_SYSCALL_CLOSE_RANGE_X, [i64(0), u32(0), u32(0), u32(number)])
        world.happen(tables.PPME_SOCKET_ACCEPT_5_X, [i64(-1), b"\x02" + u32(number) + bytes(8), b"\0", u32(0), u32(0)])
    assert len(evtargs._tuple_memo) <= MAX_MEMO
    assert all(len(memo) <= MAX_MEMO for memo in evtargs._memos.values())


def test_every_parameter_of_every_event() -> None:
    """Of the right width with the least, the greatest and some numbers between; of every variant; and one byte too long."""
    world = World()
    contents = [b"", b"x\0", b"a\nb\xff\0", b"../x\0", b"/abs\0", b"\2" + bytes(12), b"\1" + bytes(16) + b"/s\0", b"\x0a" + bytes(36)]
    for code, info in enumerate(tables.EVENTS):
        if info.unused:
            continue
        values: list[list[bytes]] = []
        for plan in PLANS[code]:
            width = plan.size
            if width:
                numbers = [0, 1, 5, 64, (1 << (8 * width - 1)) - 1, 1 << (8 * width - 1), (1 << 8 * width) - 100, (1 << 8 * width) - 1]
                values.append([(number % (1 << 8 * width)).to_bytes(width, "little") for number in numbers] + [bytes(width + 1)])
            else:
                chosen = [bytes([choice]) + bytes(variant.size) for choice, variant in enumerate(plan.variants)]
                values.append([*contents, *chosen, *[one + b"x" for one in chosen], (1).to_bytes(2, "little") + i64(0) + b"\1\0"])
        for turn in range(max([len(one) for one in values], default=0)):
            view = world.happen(code, [one[turn % len(one)] for one in values])
            text = args(view)
            assert isinstance(text, str)
            for index, (offset, length, _, _) in enumerate(entries(view)):
                served = view.slice(offset, length)
                assert served is not None and look(view, f"evt.arg[{index}]") == served.decode()
                if code != tables.PPME_GENERIC_X:
                    assert served.decode() in text, info.code_name


def test_numbers_of_kinds_that_no_rule_shows_raw() -> None:
    view = World().happen(tables.PPME_SYSCALL_FUTEX_X, [i64(-110), i64(0), b"\0\0", i64(0)])
    assert look(view, "evt.arg.res") == "ETIMEDOUT"
    world = World()
    assert args(world.happen(tables.PPME_SYSCALL_POLL_X, [i64(1), b"\0\0", i64(-1)])) == "res=1 fds= timeout=-1"


def test_paths_without_a_directorys_fd_begin_at_the_working_directory() -> None:
    """As libsinsp has it where the table names a parameter that is not there or is no fd (event.cpp, get_base_dir)."""
    params = tables.EVENTS[tables.PPME_SYSCALL_OPENAT_2_X].params
    assert [plan.dirfd for plan in evtargs._plan(params)][2] == 1
    assert evtargs._plan(params[2:])[0].dirfd == -1
    assert [plan.dirfd for plan in evtargs._plan((params[2],))] == [-1]


def test_what_is_remembered_of_parameters_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evtargs, "MAX_SHOWN", 3)
    evtargs._shown_count[0] = 3
    world = World()
    for number in range(12_345_678, 12_345_698):
        assert args(world.happen(tables.PPME_SYSCALL_CLOSE_RANGE_X, [i64(0), u32(number), u32(7), u32(0)])) == (
            f"res=0 first={number} last=7 flags=0"
        )
        assert sum(len(memo) for memo in evtargs._shown) <= 4


def test_an_event_without_a_thread_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(threadtable, "MAX_THREADS", len(world.zone.threads))
    assert args(world.happen(tables.PPME_SYSCALL_SETUID_X, [i64(0), u32(0)], 4321)) == "res=0 uid=0(<NA>)"
    assert args(world.happen(tables.PPME_SYSCALL_CLOSE_X, [i64(0), i64(0)], 4321)) == "res=0 fd=0"
    fds = (1).to_bytes(2, "little") + i64(0) + b"\x01\0"
    assert look(world.happen(tables.PPME_SYSCALL_POLL_X, [i64(1), fds, i64(-1)], 4321), "evt.arg.fds") == "0:?1"
    opened = [i64(-2), i64(-100), b"x\0", u32(1), u32(0), u32(0), i64(0)]
    assert look(world.happen(tables.PPME_SYSCALL_OPENAT_2_X, opened, 4321), "evt.arg.name") == "x"


def test_flags_without_a_table_have_no_names() -> None:
    (plan,) = evtargs._plan((ParamInfo(b"x", tables.PT_FLAGS32, tables.PF_HEX, None, (), -1),))
    assert evtargs._names(plan, 5) == b""


def test_what_is_shown_of_a_file_follows_its_number_and_label() -> None:
    """It is kept on the file: another name of the parameter, another number of the same file."""
    world = World()
    thread = world.zone.find_thread(1)
    assert thread is not None
    files = world.zone.fd_table(thread)
    assert files is not None
    fd = Fd(tables.SCAP_FD_FILE_V2)
    fd.name = b"/a"
    files.add(7, fd)
    for _ in range(2):
        assert args(world.happen(tables.PPME_SYSCALL_FSTAT_X, [i64(0), i64(7)])) == "res=0 fd=7(<f>/a)"
        assert args(world.happen(tables.PPME_SYSCALL_UNLINKAT_2_X, [i64(0), i64(7), b"/b\0", u32(0)])) == (
            "res=0 dirfd=7(<f>/a) name=/b flags=0"
        )
        assert args(world.happen(tables.PPME_SYSCALL_FSTAT_X, [i64(0), i64(88)])) == "res=0 fd=88"
    assert fd.shown is not None
    copy = fd.clone()
    assert copy.shown is None
    copy.shown = fd.shown
    files.add(89, copy)
    assert args(world.happen(tables.PPME_SYSCALL_FSTAT_X, [i64(0), i64(89)])) == "res=0 fd=89(<f>/a)"


@pytest.mark.parametrize("way", [False, True], ids=["interpreted", "as compiled"])
def test_other_memos_are_bounded(monkeypatch: pytest.MonkeyPatch, way: bool) -> None:
    for module in (evtargs, record):
        monkeypatch.setattr(module, "COMPILED", way)
    world = World()
    for number in range(max(MAX_MEMO, evtargs.MAX_TEXTS) + 10):
        both = number.to_bytes(2, "little")
        world.happen(tables.PPME_GENERIC_X, [both, both])
        world.happen(tables.PPME_SYSCALL_CHDIR_X, [i64(0), b"/%d\0" % number])
    assert len(evtargs._generic) <= MAX_MEMO and len(evtargs._texts) <= evtargs.MAX_TEXTS
    long = b"/" + b"x" * evtargs.LONGEST_TEXT + b"\0"
    world.happen(tables.PPME_SYSCALL_CHDIR_X, [i64(0), long])
    assert long not in evtargs._texts


@pytest.mark.parametrize("way", [False, True], ids=["interpreted", "as compiled"])
def test_generic_events_of_any_shape(monkeypatch: pytest.MonkeyPatch, way: bool) -> None:
    for module in (evtargs, record):
        monkeypatch.setattr(module, "COMPILED", way)
    world = World()
    for params in ([b"\x01\0", b"\x02\0"], [b"\x01\0"], [b"\x01", b"\0\x02\0"], [b"", b""]):
        for _ in range(2):
            view = world.happen(tables.PPME_GENERIC_X, params)
            assert args(view) == "" and len(entries(view)) == len(params)
            given = [int.from_bytes(param, "little") if len(param) == 2 else None for param in params]
            assert [look(view, f"evt.rawarg.{name}") for name in ("ID", "nativeID")[: len(params)]] == given


@pytest.mark.parametrize("path", [b"/a\0", b"/a\x01\0", b"rel\0", b""])
def test_texts_are_the_same_compiled(path: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    params = [i64(0), path]
    known = args(world.happen(tables.PPME_SYSCALL_CHDIR_X, params))
    monkeypatch.setattr(evtargs, "COMPILED", True)
    assert args(world.happen(tables.PPME_SYSCALL_CHDIR_X, params)) == known


ERROR = -2  # ENOENT

CASES: list[tuple[int, list[bytes], int]] = [
    (tables.PPME_GENERIC_X, [b"\x07\0", b"\x08\0"], 1),
    (tables.PPME_SYSCALL_READ_X, [i64(1), b"x", i64(0), u32(7)], 1),  # the event's own file
    (tables.PPME_SYSCALL_DUP2_X, [i64(1), i64(0), i64(1)], 1),  # files under other numbers
    (tables.PPME_SYSCALL_READ_X, [i64(1), b"x", i64(77), u32(7)], 1),  # a file that nobody knows
    (tables.PPME_SYSCALL_OPENAT_2_X, [i64(ERROR), i64(tables.PPM_AT_FDCWD), b"/a\0", u32(1), u32(0), u32(0), i64(0)], 1),
    (tables.PPME_SYSCALL_OPENAT_2_X, [i64(ERROR), i64(0), b"a\0", u32(1), u32(0), u32(0), i64(0)], 4711),  # a thread that nobody knows
    (tables.PPME_SYSCALL_LSEEK_X, [i64(1 << 40), i64(0), i64(-5), b"\x01"], 1),
    (tables.PPME_SYSCALL_LSEEK_X, [b"short", b"", i64(1 << 62)], 1),
    (tables.PPME_SYSCALL_KILL_X, [i64(0), i64(1), b"\x09"], 1),
]


@pytest.mark.parametrize(("code", "params", "tid"), CASES)
def test_parameters_are_the_same_compiled(code: int, params: list[bytes], tid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made for the first time and found again, with numbers of the same place in between."""
    forms = ["evt.args", *[f"evt.{kind}.{param.name.decode()}" for param in tables.EVENTS[code].params for kind in ("arg", "rawarg")]]
    world = World()
    known = [look(world.happen(code, params, tid), form) for form in forms]
    for module in (evtargs, record):
        monkeypatch.setattr(module, "COMPILED", True)
    others = [i64(evtargs.RECENT | 1 << 6) if len(param) == 8 else param for param in params]
    for sent in (params, params, others, params):
        view = World().happen(code, sent, tid)
        if sent is params:
            assert [look(view, form) for form in forms] == known


def test_an_event_of_nobody_names_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.zone.thread = None
    for way in (False, True):
        monkeypatch.setattr(evtargs, "COMPILED", way)
        assert evtargs._fd_shown(PLANS[tables.PPME_SYSCALL_CLOSE_X][1], 0, world.zone) is None


def test_a_thread_without_a_process_has_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.zone.thread = Thread(4711, 4712, 1)
    world.zone.thread.flags |= tables.PPM_CL_CLONE_FILES
    plan = PLANS[tables.PPME_SYSCALL_CLOSE_X][1]
    for way in (False, True):
        monkeypatch.setattr(evtargs, "COMPILED", way)
        shown = evtargs._fd_shown(plan, 5, world.zone)
        assert shown is not None and shown.text == b"5" and shown.arg == b"5"
