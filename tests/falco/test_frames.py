from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.falco import frames
from edera_falcod.falco.frames import FrameError, Hello, Splitter, Welcome

NAMES = st.text("abcXYZ019._:@-", min_size=1, max_size=frames.MAX_NAME)
CODES = st.none() | st.lists(st.integers(0, 0xFFFF), max_size=600)


@given(NAMES, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.text("edera-falcod 0.1", max_size=20), CODES, st.booleans())
def test_hello_survives_the_wire(name: str, fields: int, hash_: int, software: str, codes: list[int] | None, ephemeral: bool) -> None:
    said = Hello(name, fields, hash_, software, codes, ephemeral)
    (frame,) = Splitter(frames.MAX_REQUEST).feed(frames.encode_hello(said))
    heard = frames.decode_hello(frame)
    for slot in ("name", "fields", "hash", "software", "codes", "ephemeral", "major", "minor"):
        assert getattr(heard, slot) == getattr(said, slot)


def test_welcome_and_the_small_frames_survive_the_wire() -> None:
    stream = (
        frames.encode_welcome(Welcome(7, 8, "edera-falcod 0.1.0", 99))
        + frames.encode_refused(frames.BUSY, "one is connected already")
        + frames.encode_ack(1 << 63)
        + frames.encode_syscalls([1, 2, 3])
        + frames.encode_syscalls(None)
        + frames.encode_shed(5, 9)
        + frames.frame(frames.PING)
    )
    welcome, refused, ack, some, none, shed, ping = Splitter(frames.MAX_FRAME).feed(stream)
    heard = frames.decode_welcome(welcome.payload)
    assert (heard.fields, heard.hash, heard.software, heard.acknowledged) == (7, 8, "edera-falcod 0.1.0", 99)
    assert frames.decode_refused(refused.payload) == (frames.BUSY, "one is connected already")
    assert frames.decode_ack(ack.payload) == 1 << 63
    assert frames.decode_syscalls(some.payload) == [1, 2, 3]
    assert frames.decode_syscalls(none.payload) is None
    assert frames.decode_shed(shed.payload) == (5, 9)
    assert (ping.type, ping.payload) == (frames.PING, b"")


def test_the_layout_is_the_documented_one() -> None:
    hello = frames.encode_hello(Hello("falco", 3, 4, "v", [9]))
    payload = b"EDFC" + struct.pack("<HHIQ", 1, 0, 3, 4) + b"\5\0falco" + b"\1\0v" + struct.pack("<IH", 1, 9)
    assert hello == struct.pack("<IBBH", len(payload), 1, 0, 0) + payload


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=50)), max_size=10), st.data())
def test_frames_come_out_whole_however_the_stream_is_cut(sent: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join([frames.frame(type_, payload) for type_, payload in sent])
    splitter = Splitter(64)
    got: list[tuple[int, bytes]] = []
    at = 0
    while at < len(stream):
        step = data.draw(st.integers(1, len(stream) - at))
        got += [(frame.type, frame.payload) for frame in splitter.feed(stream[at : at + step])]
        at += step
    assert got == sent
    assert splitter.pending() == 0


def test_a_frame_that_is_too_large_is_refused_at_its_header() -> None:
    with pytest.raises(FrameError, match="4294967295 bytes, at most 100"):
        Splitter(100).feed(b"\xff\xff\xff\xff\x01\0\0\0")


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "magic"),
        (b"EDFX" + bytes(40), "magic"),
        (b"EDFC" + struct.pack("<HHIQ", 1, 0, 3, 4), "consumer name: the frame ends"),
        (b"EDFC" + struct.pack("<HHIQ", 1, 0, 3, 4) + b"\xff\xff", "65535 bytes, at most 64"),
        (b"EDFC" + struct.pack("<HHIQ", 1, 0, 3, 4) + b"\5\0ab", "5 bytes in 2"),
        (b"EDFC" + struct.pack("<HHIQ", 1, 0, 3, 4) + b"\5\0fa/co\0\0\xff\xff\xff\xff", "a consumer's name is"),
        (b"EDFC" + struct.pack("<HHIQ", 1, 0, 3, 4) + b"\0\0\0\0\xff\xff\xff\xff", "a consumer's name is"),
        (b"EDFC" + struct.pack("<HHIQ", 1, 0, 3, 4) + b"\1\0a\0\0\2\0\0\0\1\0", "2 codes in 2 bytes"),
        (b"EDFC" + struct.pack("<HHIQ", 1, 0, 3, 4) + b"\1\0a\0\0", "syscall set: the frame ends"),
    ],
)
def test_a_broken_hello_is_refused_with_the_reason(payload: bytes, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        frames.decode_hello(frames.Frame(frames.HELLO, 0, payload))


def test_another_major_version_is_read_no_further_than_its_head() -> None:
    hello = frames.decode_hello(frames.Frame(frames.HELLO, 0, b"EDFC" + struct.pack("<HHIQ", 2, 7, 3, 4) + b"something new"))
    assert (hello.major, hello.minor, hello.fields) == (2, 7, 3)


def test_texts_of_peers_cannot_break_a_log_line() -> None:
    payload = b"EDFC" + struct.pack("<HHIQ", 1, 0, 3, 4) + b"\1\0a" + b"\6\0x\n\x1b[0\xff" + b"\xff\xff\xff\xff"
    assert frames.decode_hello(frames.Frame(frames.HELLO, 0, payload)).software == "x??[0\ufffd"


@given(st.binary(max_size=200))
def test_decoders_raise_nothing_but_frame_errors(data: bytes) -> None:
    decoders = (
        lambda: frames.decode_hello(frames.Frame(frames.HELLO, 0, b"EDFC" + data)),
        lambda: frames.decode_welcome(data),
        lambda: frames.decode_refused(data),
        lambda: frames.decode_ack(data),
        lambda: frames.decode_syscalls(data),
        lambda: frames.decode_shed(data),
        lambda: frames.items(data),
        lambda: Splitter(100).feed(data),
    )
    for decode in decoders:
        with contextlib.suppress(FrameError):
            decode()


def test_items_stay_within_their_batch() -> None:
    good = struct.pack("<IQB", frames.DEFINE << 28 | 11, 7, 3) + b"ab" + struct.pack("<IQ", frames.RELEASE << 28 | 8, 7)
    define, release = frames.items(good)
    assert (define.kind, good[define.start : define.end][9:]) == (frames.DEFINE, b"ab")
    assert (release.kind, release.end - release.start) == (frames.RELEASE, 8)
    short_event = struct.pack("<I", frames.EVENT << 28 | 71) + bytes(71)
    short_define = struct.pack("<I", frames.DEFINE << 28 | 8) + bytes(8)
    for bad in (good[:-1], good[:3], short_event, short_define):
        with pytest.raises(FrameError):
            frames.items(bad)
