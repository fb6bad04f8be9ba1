"""What the encoder writes reads back as what the capture held, and is written as protobuf writes it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.scap import errors
from edera_falcod.scap import tables as t
from edera_falcod.scap.capture import CaptureEvent, read_capture
from edera_falcod.scap.errors import WireError
from edera_falcod.scap.event import Event
from edera_falcod.scap.snapshot import SnapshotFd, SnapshotThread
from edera_falcod.scap.wire import SnapshotReader, parse_reply
from edera_falcod.sim.encode import Encoder, category_text
from tests.scap import control
from tests.scap.plain import names, plain

NET1 = Path(__file__).resolve().parents[1] / "data" / "net1.scap"
ZONE = "8c4a9a3e-0000-4000-8000-0123456789ab"


def read_back(data: bytes) -> list[SnapshotThread]:
    reader = parse_reply(data, 0, len(data))
    assert isinstance(reader, SnapshotReader)
    found = []
    while (thread := reader.next_thread()) is not None:
        found.append(thread)
    return found


def full(thread: SnapshotThread) -> dict[str, Any]:
    return plain(thread) | {"fds": [plain(fd) for fd in thread.fds]}


U8, U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 64))
IDS = st.one_of(st.integers(-1, 1 << 22), st.integers(-(1 << 63), (1 << 63) - 1))
TEXT = st.binary(max_size=12)


@st.composite
def fds(draw: st.DrawFn) -> SnapshotFd:
    fd = SnapshotFd(draw(IDS))
    fd.kind = draw(st.integers(0, t.SCAP_FD_PIDFD))
    fd.ino = draw(U64)
    fd.state_flags = draw(U32)
    fd.open_flags = draw(U32)
    if fd.kind in (t.SCAP_FD_IPV4_SOCK, t.SCAP_FD_IPV6_SOCK):
        size = 4 if fd.kind == t.SCAP_FD_IPV4_SOCK else 16
        fd.sip, fd.dip = draw(st.binary(min_size=size, max_size=size)), draw(st.binary(min_size=size, max_size=size))
        fd.sport, fd.dport, fd.l4proto = draw(U16), draw(U16), draw(st.integers(0, 5))
    elif fd.kind in (t.SCAP_FD_IPV4_SERVSOCK, t.SCAP_FD_IPV6_SERVSOCK):
        size = 4 if fd.kind == t.SCAP_FD_IPV4_SERVSOCK else 16
        fd.dip, fd.dport, fd.l4proto = draw(st.binary(min_size=size, max_size=size)), draw(U16), draw(st.integers(0, 5))
    elif fd.kind == t.SCAP_FD_UNIX_SOCK:
        fd.source, fd.dest, fd.name = draw(U64), draw(U64), draw(TEXT)
    elif fd.kind == t.SCAP_FD_FILE_V2:
        fd.name, fd.mount_id, fd.dev = draw(TEXT), draw(U32), draw(U32)
    elif fd.kind == t.SCAP_FD_PIDFD and draw(st.booleans()):
        fd.pid = draw(st.integers(0, 1 << 22))
    elif fd.kind != t.SCAP_FD_UNKNOWN:
        fd.name = draw(TEXT)
    return fd


@st.composite
def snapshot_threads(draw: st.DrawFn) -> SnapshotThread:
    thread = SnapshotThread(0)
    for name in names(SnapshotThread):
        value = getattr(thread, name)
        if isinstance(value, bool):
            setattr(thread, name, draw(st.booleans()))
        elif isinstance(value, bytes):
            setattr(thread, name, draw(TEXT))
        elif name in ("tid", "pid", "ptid", "sid", "vpgid", "pgid", "vtid", "vpid", "fdlimit"):
            setattr(thread, name, draw(IDS))
        elif name in ("flags", "uid", "gid", "loginuid", "tty", "vmsize_kb", "vmrss_kb", "vmswap_kb"):
            setattr(thread, name, draw(U32))
        elif name != "fds":
            setattr(thread, name, draw(U64))
    thread.fds = draw(st.lists(fds(), max_size=3))
    return thread


@given(st.lists(snapshot_threads(), max_size=3))
def test_threads_read_back(threads: list[SnapshotThread]) -> None:
    for thread in threads:
        thread.tid = max(thread.tid, 0)  # -1 means "unknown" and is not sent: the key says it
    data = Encoder(ZONE).snapshot(threads, 77)
    assert [full(thread) for thread in read_back(data)] == [full(thread) for thread in threads]
    google = control.reply("entries").FromString(data)
    assert google.SerializeToString() == data
    assert google.threadsnap.zone_id == ZONE.encode() and google.threadsnap.zone_boot_epoch == 77


CODES = st.integers(0, t.PPM_EVENT_MAX - 1)
TIMES = st.integers(0, (1 << 63) - 1)
PARAMS = st.lists(st.binary(max_size=200), max_size=32)


@given(CODES, TIMES, IDS, U16, PARAMS, st.booleans())
def test_events_read_back(code: int, ts: int, tid: int, cpu: int, params: list[bytes], pretty: bool) -> None:
    data = Encoder(ZONE, pretty=pretty).event(CaptureEvent(ts, tid, cpu, code, 0, params))
    info = t.EVENTS[code]
    google = control.reply("bytes").FromString(data)
    assert (google.syscall.event_name, google.syscall.event_flags, google.syscall.event_type) == (info.name, info.flags, code)
    assert google.syscall.event_length == 26 + sum(2 + len(param) for param in params)
    assert [param.param_data for param in google.syscall.event_params] == params
    for sent, known in zip(google.syscall.event_params, info.params, strict=False):
        assert (sent.name, sent.param_type, bool(sent.param_type_pretty)) == (known.name, known.type, pretty)
    if not pretty and ts and tid:  # these two are always written
        assert google.SerializeToString() == data
    if info.old or info.unused:
        with pytest.raises(WireError) as caught:
            parse_reply(data, 0, len(data))
        assert caught.value.cause == (errors.UNKNOWN_EVENT if info.unused else errors.OLD_EVENT)
        return
    event = parse_reply(data, 0, len(data))
    assert isinstance(event, Event)
    assert (event.ts, event.tid, event.cpu, event.code, event.params) == (ts, tid, cpu, code, params[: info.nparams])


def test_shift_moves_every_time_but_those_of_inodes() -> None:
    thread = SnapshotThread(5)
    for name in ("pidns_init_start_ts", "clone_ts", "lastexec_ts", "exe_ino_ctime", "exe_ino_mtime", "exe_ino_ctime_duration_clone_ts"):
        setattr(thread, name, 1000)
    unknown = SnapshotThread(6)
    encoder = Encoder(ZONE, shift=7)
    moved, still = read_back(encoder.snapshot([thread, unknown], 50))
    assert (moved.pidns_init_start_ts, moved.clone_ts, moved.lastexec_ts) == (1007, 1007, 1007)
    assert (moved.exe_ino_ctime, moved.exe_ino_mtime, moved.exe_ino_ctime_duration_clone_ts) == (1000, 1000, 1000)
    assert (still.pidns_init_start_ts, still.clone_ts, still.lastexec_ts) == (0, 0, 0)
    data = encoder.snapshot([], 50)
    reader = parse_reply(data, 0, len(data))
    assert isinstance(reader, SnapshotReader) and reader.boot_epoch == 57
    data = encoder.event(CaptureEvent(100, 1, 0, t.PPME_SYSCALL_CLOSE_X, 0, []))
    event = parse_reply(data, 0, len(data))
    assert isinstance(event, Event) and event.ts == 107


def test_category_text() -> None:
    assert category_text(t.EVENTS[t.PPME_SYSCALL_OPENAT_2_X].category) == b"EC_FILE | EC_SYSCALL"
    assert category_text(t.EVENTS[t.PPME_PROCEXIT_1_E].category) == b"EC_PROCESS | EC_TRACEPOINT"
    assert category_text(0) == b"EC_UNKNOWN"
    for info in t.EVENTS:
        names_of = [name for name in category_text(info.category).decode().split(" | ") if name != "EC_UNKNOWN"]
        assert sum(getattr(t, name) for name in names_of) == info.category


def test_replies_of_a_capture() -> None:
    capture = read_capture(io.BytesIO(NET1.read_bytes()))
    replies = list(Encoder(ZONE).replies(capture))
    assert len(replies) == 1 + 9235
    assert [full(thread) for thread in read_back(replies[0])] == [full(thread) for thread in capture.threads]
    sockets = {fd.kind for thread in capture.threads for fd in thread.fds}
    assert {t.SCAP_FD_IPV4_SERVSOCK, t.SCAP_FD_FILE_V2, t.SCAP_FD_UNIX_SOCK} <= sockets, "the capture is to have several kinds"
