"""Captures are read as libscap reads them, and refused with offset and reason where they are damaged."""

# ruff: noqa: C408
from __future__ import annotations

import contextlib
import gzip
import io
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.scap import blocks as format_blocks
from edera_falcod.scap import capture as capture_module
from edera_falcod.scap import tables as t
from edera_falcod.scap.capture import Capture, CaptureEvent, read_capture
from edera_falcod.scap.errors import CaptureError
from edera_falcod.scap.snapshot import SnapshotThread

from . import blocks as b
from .plain import plain

ROOT = Path(__file__).resolve().parents[2]
NET1 = ROOT / "tests" / "data" / "net1.scap"
SHARED = ROOT.parent / "shared" / "captures"

CLOSE = b.event(b.EV2, 100, 7, t.PPME_SYSCALL_CLOSE_X, [struct.pack("<q", 0), struct.pack("<q", 3)], cpu=2)
HEAD = b.section() + b.machine()


def read(data: bytes) -> tuple[Capture, list[CaptureEvent]]:
    capture = read_capture(io.BytesIO(data))
    return capture, list(capture.events())


def refused(data: bytes, reason: str) -> CaptureError:
    with pytest.raises(CaptureError) as caught:
        read(data)
    assert re.search(reason, caught.value.reason), caught.value.reason
    assert 0 <= caught.value.offset <= len(data)
    return caught.value


SMALL = b"".join(
    (
        HEAD,
        b.block(0x7777, b"of a later version"),
        b.interfaces(2, [(1, bytes((127, 0, 0, 1)), b"lo"), (2, bytes(15) + b"\1", b"lo")]),
        b.threads(9, [b.thread(9, 5), b.thread(9, 7)]),
        b.fds(
            2, 7,
            [
                b.fd(2, 0, t.SCAP_FD_FILE_V2, struct.pack("<I", 3) + b.text(b"/f") + struct.pack("<I", 0x801)),
                b.fd(2, 3, t.SCAP_FD_IPV4_SOCK, bytes((1, 2, 3, 4, 5, 6, 7, 8)) + struct.pack("<HHB", 80, 90, t.SCAP_L4_TCP)),
                b.fd(2, 4, t.SCAP_FD_UNIX_SOCK, struct.pack("<QQ", 0xFFFF, 0xEEEE) + b.text(b"/sock")),
            ],
        ),
        CLOSE,
        b.event(b.EVF2, 200, 8, t.PPME_SYSCALL_CLOSE_X, [b"", b"\1" * 8], flags=0x11),
    )
)  # fmt: skip


def test_small_capture() -> None:
    capture, events = read(SMALL)
    assert capture.machine.boot_epoch == 1_700_000_000_000_000_000
    assert capture.machine.hostname == b"host" and capture.machine.num_cpus == 4
    assert [(i.name, i.address) for i in capture.interfaces] == [(b"lo", b"\x7f\0\0\1"), (b"lo", bytes(15) + b"\1")]
    assert [thread.tid for thread in capture.threads] == [5, 7]
    assert [fd.fd for fd in capture.threads[1].fds] == [0, 3, 4] and capture.threads[0].fds == []
    file, sock, unix = capture.threads[1].fds
    assert (file.kind, file.ino, file.open_flags, file.name, file.dev) == (t.SCAP_FD_FILE_V2, 1000, 3, b"/f", 0x801)
    assert (sock.sip, sock.dip, sock.sport, sock.dport, sock.l4proto) == (b"\1\2\3\4", b"\5\6\7\x08", 80, 90, t.SCAP_L4_TCP)
    assert (unix.source, unix.dest, unix.name) == (0xFFFF, 0xEEEE, b"/sock")
    first, second = events
    assert (first.ts, first.tid, first.cpu, first.code, first.flags) == (100, 7, 2, t.PPME_SYSCALL_CLOSE_X, 0)
    assert first.params == [bytes(8), b"\3" + bytes(7)]
    assert second.flags == 0x11 and second.params == [b"", b"\1" * 8]


def test_gzip_is_the_same() -> None:
    expected = [(event.ts, event.params) for event in read(SMALL)[1]]
    members = gzip.compress(SMALL[:100]) + gzip.compress(SMALL[100:]) + bytes(64)
    for packed in (gzip.compress(SMALL), members):
        assert [(event.ts, event.params) for event in read(packed)[1]] == expected


def test_streams_that_give_little_at_a_time() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(7, size) if size is not None and size > 0 else 7)

    for data in (SMALL, gzip.compress(SMALL)):
        assert len(list(read_capture(Slow(data)).events())) == 2


def test_nothing_comes_after_the_end() -> None:
    capture, _ = read(SMALL)
    assert capture.next_event() is None and list(capture.events()) == []
    for data in (b"abc", gzip.compress(b"abc")):
        source = format_blocks.Source(io.BytesIO(data))
        assert [source.read(2), source.read(2), source.read(2), source.read(2)] == [b"ab", b"c", b"", b""]
        assert source.offset == 3


@pytest.mark.parametrize("version", range(1, 10))
def test_thread_list_versions(version: int) -> None:
    capture, _ = read(HEAD + b.threads(version, [b.thread(version, 5), b.thread(version, 7)]) + CLOSE)
    assert [thread.tid for thread in capture.threads] == [5, 7]
    expected = SnapshotThread(7)
    expected.loginuid = 0xFFFFFFFF
    values: dict[int, dict[str, object]] = {
        1: dict(
            pid=7, ptid=1, comm=b"comm", exe=b"exe", args=b"-a\0b\0", cwd=b"/cwd", fdlimit=1024, flags=5, uid=6, gid=7,
        ),
        2: dict(vmsize_kb=21, vmrss_kb=22, vmswap_kb=23, pfmajor=24, pfminor=25),
        3: dict(env=b"A=1\0B=2\0"),
        4: dict(vtid=2, vpid=3, cgroups=b"cpu=/x\0"),
        5: dict(root=b"/root"),
        6: dict(sid=10),
        7: dict(exepath=b"/bin/exe"),
        8: dict(vpgid=11),
        9: dict(
            pidns_init_start_ts=31, tty=32, loginuid=33, exe_writable=True, cap_inheritable=34, cap_permitted=35, cap_effective=36,
            exe_upper_layer=True, exe_ino=37, exe_ino_ctime=38, exe_ino_mtime=39, exe_from_memfd=True, exe_lower_layer=True, pgid=40,
        ),
    }  # fmt: skip
    for number in range(1, version + 1):
        for name, value in values[number].items():
            setattr(expected, name, value)
    assert plain(capture.threads[1]) == plain(expected)


def test_thread_entries_grow_at_their_end() -> None:
    newer = b.thread(9, 5, extra=b"a value of a later version")
    older = b.thread(9, 7, tail=8)  # up to exe_upper_layer
    capture, _ = read(HEAD + b.threads(9, [newer, older]) + CLOSE)
    assert [thread.tid for thread in capture.threads] == [5, 7]
    assert (capture.threads[0].pgid, capture.threads[1].pgid) == (40, -1)
    assert capture.threads[1].exe_upper_layer and capture.threads[1].exe_ino == 0


def test_thread_entries_before_libs_0_10_have_no_tty_before_loginuid() -> None:
    entry = b.thread(9, 5, tail=0)[4:] + struct.pack("<IBQQQ", 33, 1, 34, 35, 36)
    capture, _ = read(HEAD + b.threads(9, [struct.pack("<I", len(entry) + 4) + entry]) + CLOSE)
    thread = capture.threads[0]
    assert (thread.pidns_init_start_ts, thread.tty, thread.loginuid, thread.exe_writable) == (0, 0, 33, True)
    assert (thread.cap_inheritable, thread.cap_permitted, thread.cap_effective) == (34, 35, 36)


@pytest.mark.parametrize("version", [1, 2])
def test_every_kind_of_file(version: int) -> None:
    six = bytes(range(16))
    infos = {
        t.SCAP_FD_UNKNOWN: b"",
        t.SCAP_FD_IPV4_SOCK: b"\1\2\3\4\5\6\7\x08" + struct.pack("<HHB", 1, 2, t.SCAP_L4_UDP),
        t.SCAP_FD_IPV6_SOCK: six + six[::-1] + struct.pack("<HHB", 1, 2, t.SCAP_L4_UDP),
        t.SCAP_FD_IPV4_SERVSOCK: b"\1\2\3\4" + struct.pack("<HB", 2, t.SCAP_L4_TCP),
        t.SCAP_FD_IPV6_SERVSOCK: six + struct.pack("<HB", 2, t.SCAP_L4_TCP),
        t.SCAP_FD_UNIX_SOCK: struct.pack("<QQ", 1, 2) + b.text(b"name"),
        t.SCAP_FD_FILE_V2: struct.pack("<I", 3) + b.text(b"name"),
    }
    kinds = range(t.SCAP_FD_UNKNOWN, t.SCAP_FD_PIDFD + 1)
    entries = [b.fd(version, kind, kind, infos.get(kind, b.text(b"name"))) for kind in kinds]
    capture, _ = read(HEAD + b.threads(9, [b.thread(9, 5)]) + b.fds(version, 5, entries) + CLOSE)
    fds = {fd.fd: fd for fd in capture.threads[0].fds}
    assert list(fds) == list(kinds)
    for kind, fd in fds.items():
        assert (fd.kind, fd.ino, fd.pid) == (kind, 1000 + kind, -1)
        assert fd.name == (b"" if kind < 7 and kind not in (1, 2) else b"name")
    assert (fds[3].sip, fds[3].dip) == (b"\1\2\3\4", b"\5\6\7\x08")
    assert (fds[4].sip, fds[4].dip, fds[4].sport, fds[4].dport) == (six, six[::-1], 1, 2)
    assert (fds[5].sip, fds[5].dip, fds[5].sport, fds[5].dport, fds[5].l4proto) == (b"", b"\1\2\3\4", 0, 2, t.SCAP_L4_TCP)
    assert (fds[6].sip, fds[6].dip) == (b"", six)
    assert fds[16].dev == 0


def test_files_of_later_versions() -> None:
    entries = [b.fd(2, 1, 77, b"who knows"), b.fd(2, 2, t.SCAP_FD_FIFO, b.text(b"pipe"), extra=b"more")]
    capture, _ = read(HEAD + b.threads(9, [b.thread(9, 5)]) + b.fds(2, 5, entries) + CLOSE)
    odd, pipe = capture.threads[0].fds
    assert (odd.kind, odd.name) == (t.SCAP_FD_UNSUPPORTED, b"unknown-type:[77]")
    assert pipe.name == b"pipe"
    refused(HEAD + b.fds(1, 5, [b.fd(1, 1, 77, b"who knows")]) + CLOSE, "unknown type")


def test_files_of_unlisted_threads_are_counted() -> None:
    capture, _ = read(HEAD + b.fds(2, 99, [b.fd(2, 1, t.SCAP_FD_FIFO, b.text(b"x"))]) + CLOSE)
    assert capture.orphan_fds == 1 and capture.threads == []


def test_old_interface_list() -> None:
    entries = [(1, b"\1\2\3\4", b"a"), (2, bytes(16), b"bb"), (3, b"\5\6\7\x08", b"ccc"), (4, b"\1" * 16, b"dddd")]
    for version in (1, 2):
        capture, _ = read(HEAD + b.interfaces(version, entries) + CLOSE)
        assert [(i.name, i.address) for i in capture.interfaces] == [(name, address) for _, address, name in entries]


@pytest.mark.parametrize("kind", [b.EV, b.EVF, b.EV2, b.EVF2, b.EV2_LARGE, b.EVF2_LARGE])
@pytest.mark.parametrize("count", [0, 1, 5, 6])
def test_event_blocks(kind: int, count: int) -> None:
    params = [b"x" * size for size in (8, 0, 3, 70, 1, 6)][:count]
    _, events = read(HEAD + b.event(kind, 1, -1, t.PPME_SYSCALL_OPEN_X, params, flags=9))
    assert events[0].params == params and events[0].tid == -1
    assert events[0].flags == (0 if kind in (b.EV, b.EV2, b.EV2_LARGE) else 9)


@pytest.mark.parametrize("code", [t.PPME_NOTIFICATION_E, t.PPME_INFRASTRUCTURE_EVENT_E])
def test_old_recorders_wrote_a_length_that_is_three_too_long(code: int) -> None:
    params = [b"id\0", b"text\0"]
    lengths = struct.pack("<HH", *[len(param) for param in params])
    size = 22 + len(lengths) + sum(len(param) for param in params)
    body = struct.pack("<HQqIH", 0, 1, 1, size + 3, code) + lengths + b"".join(params)
    _, events = read(HEAD + b.block(b.EV, body))
    assert events[0].code == code and events[0].params == params


def test_large_parameters() -> None:
    _, events = read(HEAD + b.event(b.EV2_LARGE, 1, 1, t.PPME_PLUGINEVENT_E, [b"\1\0\0\0", b"x" * 200_000]))
    assert len(events[0].params[1]) == 200_000


def test_events_beyond_the_table_are_skipped() -> None:
    capture, events = read(HEAD + CLOSE + b.event(b.EV2, 1, 1, t.PPM_EVENT_MAX, [b"x"]) + CLOSE)
    assert len(events) == 2 and capture.skipped_events == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\x1f\x8b", "ends early"),
        (b"\x1f\x8b" + bytes(30), "damaged"),
        (gzip.compress(b""), "empty"),
        (b"PK\3\4 not a capture at all", "not a scap capture"),
        (b.machine() + CLOSE, "begins with 0x00000201"),
        (b.section(magic=0x4D3C2B1A), "other byte order"),
        (b.section(magic=1), "not a scap capture"),
        (b.section(major=2), "version 2"),
        (b.section(), "no events"),
        (HEAD[:-2], "ends within a block"),
        (HEAD + CLOSE[:-1] + b"\1", "in front and"),
        (HEAD + struct.pack("<II", 0x216, 8), "12 is the least"),
        (HEAD + struct.pack("<II", 0x216, 0xFFFFFFFF), "is the most"),
        (HEAD + struct.pack("<II", 0x201, 0xFFFFFFFF), "is the most"),
        (b.section() + b.block(b.MACHINE, b"short"), "ends within the machine info"),
        (HEAD + b.section() + CLOSE, "second section"),
        (HEAD + CLOSE + b.section(), "only events"),
        (HEAD + b.threads(9, [b.thread(9, 5)[:-8]]), "left in its block"),
        (HEAD + b.threads(9, [struct.pack("<I", 40) + b.thread(9, 5)[4:]]), "longer than its length"),
        (HEAD + b.threads(1, [struct.pack("<qqq", 1, 1, 1) + struct.pack("<H", 1025) + bytes(2000)]), "comm is 1025"),
        (HEAD + b.threads(1, [b.thread(1, 5)[:-3]]), "ends within gid"),
        (HEAD + b.fds(2, 5, [b.fd(2, 1, t.SCAP_FD_FIFO, b.text(b"name")[:-1])]), "ends within|longer than"),
        (HEAD + b.fds(2, 5, [struct.pack("<I", 3) + bytes(20)]), "3 bytes long"),
        (HEAD + b.interfaces(2, [(9, bytes(4), b"x")]), "unknown type 9"),
        (HEAD + b.interfaces(1, [(1, bytes(4), b"x" * 1024)]), "1024 bytes long"),
        (HEAD + b.block(b.INTERFACES[2], struct.pack("<I", 40) + bytes(20)), "40 bytes long, 20 are left"),
        (HEAD + b.block(b.INTERFACES[2], struct.pack("<IHH", 4, 1, 2) + bytes(24)), "longer than its length"),
        (HEAD + b.block(b.EV2, bytes(10)), "ends within an event header"),
        (HEAD + b.block(b.EV2, struct.pack("<HQqIHI", 0, 1, 1, 26 + 2, t.PPME_SYSCALL_CLOSE_X, 1) + b"\x09\0"), "within parameter 0"),
        (HEAD + b.block(b.EV2, struct.pack("<HQqIHI", 0, 1, 1, 27, t.PPME_SYSCALL_CLOSE_X, 1) + b"\0\0"), "within its 1 lengths"),
        (HEAD + b.block(b.EV2, struct.pack("<HQqIHI", 0, 1, 1, 900, t.PPME_SYSCALL_CLOSE_X, 0)), "is 900 bytes long"),
        (HEAD + b.block(b.EV2, struct.pack("<HQqIHI", 0, 1, 1, 3, t.PPME_SYSCALL_CLOSE_X, 0)), "is 3 bytes long"),
        (HEAD + b.event(b.EV2, 1, 1, t.PPME_SYSCALL_CLOSE_X, [b""] * 33), "33 parameters"),
        (HEAD + b.event(b.EV, 1, 1, t.PPME_SYSCALL_CLOSE_X, [b"", b"", b"x"]), "cannot be told"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    refused(data, reason)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = b.threads(1, [b.thread(1, tid) for tid in range(5)])
    files = b.fds(2, 5, [b.fd(2, number, t.SCAP_FD_FIFO, b.text(b"x")) for number in range(5)])
    nets = b.interfaces(2, [(1, bytes(4), b"x")] * 5)
    for name, data, reason in (
        ("MAX_THREADS", listing, "more than 4 threads"),
        ("MAX_FDS", files, "more than 4 open files"),
        ("MAX_INTERFACES", nets, "more than 4 interfaces"),
    ):
        assert read(HEAD + data + CLOSE)[1]
        monkeypatch.setattr(capture_module, name, 4)
        refused(HEAD + data + CLOSE, reason)


def test_a_length_alone_takes_no_memory() -> None:
    """A block that announces the most and brings nothing is told as short; what was asked for is never allocated ahead."""
    error = refused(HEAD + struct.pack("<II", 0x215, format_blocks.MAX_STATE_BLOCK), "ends within a block")
    assert error.offset == len(HEAD)


def test_truncated_at_every_byte() -> None:
    whole = read(SMALL)[1]
    ends = {len(SMALL) - 0: 2}
    ends[SMALL.rindex(CLOSE) + len(CLOSE)] = 1
    for size in range(len(SMALL)):
        try:
            events = read(SMALL[:size])[1]
        except CaptureError as error:
            assert size not in ends, f"a clean end was refused: {error}"
            assert 0 <= error.offset <= size
        else:
            assert len(events) == ends[size]
            assert [event.params for event in events] == [event.params for event in whole[: len(events)]]


def test_truncated_gzip_at_every_byte() -> None:
    packed = gzip.compress(SMALL)
    for size in range(len(packed)):
        with pytest.raises(CaptureError):
            read(packed[:size])


@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_bytes(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL)
    for at, value in changes:
        data[at] = value
    try:
        read(bytes(data))
    except CaptureError as error:
        assert 0 <= error.offset <= len(data)


@given(st.binary(max_size=200), st.sampled_from([b"", b.section(), HEAD, HEAD + CLOSE]))
def test_any_bytes(data: bytes, head: bytes) -> None:
    with contextlib.suppress(CaptureError):
        read(head + data)


KINDS = [*b.THREADS.values(), *b.FDS.values(), *b.INTERFACES.values(), b.EV, b.EVF, b.EV2, b.EVF2, b.EV2_LARGE, b.EVF2_LARGE]


@given(st.sampled_from(KINDS), st.binary(max_size=200))
def test_any_body(kind: int, body: bytes) -> None:
    with contextlib.suppress(CaptureError):
        read(HEAD + b.block(kind, body) + CLOSE)


@pytest.mark.skipif(not NET1.exists(), reason="tests/data/net1.scap is not here")
def test_a_recorded_capture() -> None:
    with NET1.open("rb") as stream:
        capture = read_capture(stream)
        events = list(capture.events())
    assert len(events) == 9235 and len(capture.threads) == 8
    assert [(i.name, len(i.address)) for i in capture.interfaces] == [(b"lo", 4), (b"lo", 16)]
    for event in events:
        info = t.EVENTS[event.code]
        assert not info.old and not info.unused
        assert len(event.params) == info.nparams
    assert events == sorted(events, key=lambda event: event.ts)


def manifest() -> list[tuple[str, int]]:
    path = SHARED / "MANIFEST.md"
    if not path.exists():
        return []
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in path.read_text().splitlines() if line.startswith("|")]
    column = rows[0].index("events")
    return [(row[0], int(row[column])) for row in rows[2:]]


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is not here")
@pytest.mark.parametrize(("name", "count"), [row for row in manifest() if row[0] != "busy"])
def test_shared_captures(name: str, count: int) -> None:
    """All events are there. Of captures with old event versions the manifest counts what libsinsp's converter lets through: not
    what is unused, and no enter event that it merges into its exit event."""
    with (SHARED / f"{name}.scap").open("rb") as stream:
        seen = 0
        for event in read_capture(stream).events():
            info = t.EVENTS[event.code]
            merged = not info.is_exit and (info.old or info.flags & t.EF_CONVERTER_MANAGED)
            seen += not (info.unused or merged)
    assert seen == count
