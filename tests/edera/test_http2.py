"""Invariant: however a connection's bytes are cut, the DATA of open streams comes out whole and in order, h2 gets every other byte in
its place, and no window is passed over."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edera_falcod.edera.http2 import HEADER, MAX_FRAME, MAX_PIECES, DataFrames, Inflow, WindowError, window_update

DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
WINDOW = 1 << 20


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


def padded(data: bytes, padding: int) -> bytes:
    return bytes((padding,)) + data + bytes(padding)


def opened(*streams: int, window: int = WINDOW) -> tuple[DataFrames, dict[int, Inflow]]:
    frames = DataFrames(16 * WINDOW)
    inflows = {stream: Inflow(window) for stream in streams}
    for stream, inflow in inflows.items():
        frames.open(stream, inflow)
    return frames, inflows


def read(frames: DataFrames, *parts: bytes) -> bytes:
    """What h2 gets."""
    rest = b""
    for part in parts:
        frames.push(part)
        while other := frames.next():
            rest += other
    return rest


FRAMES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from((1, 3, 5)), st.binary(max_size=40), st.none() | st.integers(0, 20)),
        st.tuples(st.sampled_from((SETTINGS, PING, HEADERS, 0xFA)), st.binary(max_size=20)),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(FRAMES, st.data())
def test_any_frames_cut_anywhere(content: list[tuple[int, bytes, int | None] | tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b""
    expected = {1: b"", 3: b""}
    others = b""
    flow = {1: 0, 3: 0}
    for one in content:
        if len(one) == 2:
            made = frame(one[0], 0x4, 7, one[1])
            others += made
        else:
            body = one[1] if one[2] is None else padded(one[1], one[2])
            made = frame(DATA, 0 if one[2] is None else 0x8, one[0], body)
            if one[0] in expected:
                expected[one[0]] += one[1]
                flow[one[0]] += len(body)
            else:
                others += made  # nobody has opened 5
        stream += made
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    frames, inflows = opened(1, 3)
    assert read(frames, *parts) == others
    for number, inflow in inflows.items():
        assert inflow.left == WINDOW - flow[number]
        assert inflow.take(1 << 30) == expected[number]
        assert inflow.consumed == flow[number]
        assert not inflow.waits
    assert frames.consumed == sum(flow.values())
    assert set(frames.touched) <= {1, 3}


def test_h2_sees_what_opens_a_stream_before_its_data_are_looked_at() -> None:
    frames = DataFrames(WINDOW)
    inflow = Inflow(WINDOW)
    headers = frame(HEADERS, 0x4, 1, b"headers")
    frames.push(headers + frame(DATA, 0, 1, b"first"))
    assert frames.next() == headers
    frames.open(1, inflow)
    assert frames.next() == b""
    assert inflow.take(100) == b"first"


def test_the_end_of_a_stream_is_told_to_h2() -> None:
    frames, inflows = opened(1)
    trailers = frame(HEADERS, 0x5, 1, b"t")
    assert read(frames, frame(DATA, 0x1, 1, b"last") + trailers) == frame(DATA, 0x1, 1, b"") + trailers
    assert inflows[1].take(100) == b"last"


def test_a_stream_that_is_closed_is_left_to_h2() -> None:
    frames, inflows = opened(1)
    frames.close(1)
    late = frame(DATA, 0, 1, b"late")
    assert read(frames, late) == late
    assert not inflows[1].waits


@pytest.mark.parametrize(
    "wrong",
    [
        frame(DATA, 0, 1, bytes(MAX_FRAME + 1)),
        (MAX_FRAME + 1).to_bytes(3, "big") + bytes((DATA, 0)) + (1).to_bytes(4, "big"),  # its head is enough
        frame(DATA, 0x8, 1, b""),  # padded, but without a length of the padding
        frame(DATA, 0x8, 1, b"\x05" + bytes(4)),  # more padding than there is
    ],
)
def test_from_a_frame_that_breaks_a_rule_on_all_is_h2s(wrong: bytes) -> None:
    frames, inflows = opened(1)
    after = frame(DATA, 0, 1, b"after")
    assert read(frames, frame(DATA, 0, 1, b"before") + wrong + after, after) == wrong + after + after
    assert inflows[1].take(100) == b"before"


def test_the_largest_frame_is_taken() -> None:
    frames, inflows = opened(1)
    assert read(frames, frame(DATA, 0, 1, bytes(MAX_FRAME))) == b""
    assert inflows[1].take(1 << 20) == bytes(MAX_FRAME)


def test_data_within_a_header_block_is_h2s() -> None:
    frames, inflows = opened(1)
    begun = frame(HEADERS, 0, 3, b"a")
    data = frame(DATA, 0, 1, b"x")
    assert read(frames, begun + data) == begun + data
    ended = frame(CONTINUATION, 0x4, 3, b"b")
    assert read(frames, ended + data) == ended
    assert inflows[1].take(10) == b"x"


def test_a_streams_window_is_held() -> None:
    frames, inflows = opened(1, window=100)
    assert read(frames, frame(DATA, 0x8, 1, padded(bytes(50), 49))) == b""
    assert inflows[1].left == 0
    with pytest.raises(WindowError):
        read(frames, frame(DATA, 0, 1, b"x"))
    frames, inflows = opened(1, window=100)
    read(frames, frame(DATA, 0, 1, bytes(100)))
    assert inflows[1].take(1) == bytes(100)
    inflows[1].left += inflows[1].consumed
    assert read(frames, frame(DATA, 0, 1, bytes(100))) == b""


def test_the_connections_window_is_held() -> None:
    frames = DataFrames(150)
    for stream in (1, 3):
        frames.open(stream, Inflow(WINDOW))
    read(frames, frame(DATA, 0, 1, bytes(100)))
    frames.consumed = 0  # given back
    read(frames, frame(DATA, 0, 1, bytes(100)))
    with pytest.raises(WindowError):
        read(frames, frame(DATA, 0, 3, bytes(51)))


def test_tiny_and_empty_frames_do_not_pile_up() -> None:
    frames, inflows = opened(1)
    assert read(frames, frame(DATA, 0, 1, b"") * 10_000) == b""
    assert not inflows[1].waits
    assert read(frames, frame(DATA, 0, 1, b"x") * (3 * MAX_PIECES)) == b""
    assert len(inflows[1]._pieces) <= MAX_PIECES
    assert inflows[1].take(1 << 20) == b"x" * (3 * MAX_PIECES)


def test_take_gives_whole_frames_until_it_has_enough() -> None:
    inflow = Inflow(WINDOW)
    for piece in (b"abc", b"de", b"f"):
        inflow.add(piece, len(piece))
    assert inflow.take(4) == b"abcde"
    assert inflow.consumed == 5
    assert inflow.take(4) == b"f"
    assert inflow.take(4) == b""


def test_an_update_of_a_window_is_a_frame() -> None:
    assert window_update(5, 1 << 20) == frame(8, 0, 5, (1 << 20).to_bytes(4, "big"))
    assert len(window_update(0, 1)) == HEADER + 4
