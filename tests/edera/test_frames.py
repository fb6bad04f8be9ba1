"""However a stream's bytes are cut, the same messages and the same fault come out, and no more is kept than the limits allow."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.edera.frames import FrameFault, FrameSplitter


def framed(message: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *[place % (len(data) + 1) for place in places]})
    return [data[a:b] for a, b in pairwise(edges)] or [b""]


def run(pieces: list[bytes], **limits: int) -> tuple[list[bytes], FrameFault | None]:
    splitter = FrameSplitter(**limits)
    messages: list[bytes] = []
    for piece in pieces:
        messages += splitter.feed(piece)
        assert splitter.pending <= max(limits.values(), default=1 << 30) + 5
    splitter.end()
    return messages, splitter.fault


@given(st.lists(st.binary(max_size=300), max_size=30), st.lists(st.integers(0, 10_000), max_size=40))
def test_messages_come_out_whole_and_in_order(messages: list[bytes], places: list[int]) -> None:
    stream = b"".join(framed(message) for message in messages)
    assert run(cut(stream, places)) == (messages, None)


@given(
    st.lists(st.tuples(st.sampled_from([0, 0, 0, 0, 1, 255]), st.sampled_from([b"", b"\x12", b"\x1a"]), st.integers(0, 60)), max_size=12),
    st.binary(max_size=8),
    st.lists(st.integers(0, 2_000), max_size=60),
)
def test_the_cuts_make_no_difference(parts: list[tuple[int, bytes, int]], rest: bytes, places: list[int]) -> None:
    stream = b"".join(framed(first + b"x" * size, flag) for flag, first, size in parts) + rest
    whole = run([stream], max_message=30, max_snapshot=50)
    assert run(cut(stream, places), max_message=30, max_snapshot=50) == whole
    assert run([stream[i : i + 1] for i in range(len(stream))], max_message=30, max_snapshot=50) == whole


@pytest.mark.parametrize(
    ("stream", "count", "fault"),
    [
        (framed(b"a") + framed(b"b", 1) + framed(b"c"), 1, FrameFault.COMPRESSED),
        (framed(b"\x12" * 10), 1, None),
        (framed(b"\x12" * 11), 0, FrameFault.MESSAGE_TOO_LARGE),
        (framed(b"\x1a" * 20), 1, None),
        (framed(b"\x1a" * 21), 0, FrameFault.SNAPSHOT_TOO_LARGE),
        (framed(b"ok") + framed(b"abc")[:-1], 1, FrameFault.TRUNCATED),
        (framed(b"ok") + b"\0", 1, FrameFault.TRUNCATED),
        (b"\0\xff\xff\xff\xff", 0, FrameFault.TRUNCATED),
    ],
)
def test_faults(stream: bytes, count: int, fault: FrameFault | None) -> None:
    messages, found = run([stream], max_message=10, max_snapshot=20)
    assert (len(messages), found) == (count, fault)


def test_nothing_comes_after_a_fault() -> None:
    splitter = FrameSplitter()
    assert splitter.feed(framed(b"a") + framed(b"", 1)) == [b"a"]
    assert splitter.feed(framed(b"b")) == []
    assert splitter.fault is FrameFault.COMPRESSED
    splitter.end()
    assert splitter.fault is FrameFault.COMPRESSED


def test_what_is_announced_is_known_while_it_is_collected() -> None:
    splitter = FrameSplitter(10, 1000)
    assert splitter.announced == 0
    splitter.feed(framed(b"\x1a" * 900)[:100])
    assert (splitter.announced, splitter.pending) == (900, 95)
    assert splitter.feed(framed(b"\x1a" * 900)[100:]) == [b"\x1a" * 900]
    assert (splitter.announced, splitter.pending) == (0, 0)
