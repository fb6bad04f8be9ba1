"""Invariant: however the bytes of an HTTP/2 connection are cut, DATA of the streams that are read comes out whole, in order and within its
windows, and h2 gets everything else in its place: just what reading frame by frame gives."""

from __future__ import annotations

from edera_falcod.edera.http2 import HEADER, MAX_FRAME, DataFrames, Inflow, WindowError

from . import captured
from .dice import Dice

STREAMS = (1, 3)  # that are read
WINDOW = 2000  # bytes of a stream
CONNECTION = 3000  # bytes of all
PIECES = 200  # at most, or long inputs take long
DATA, HEADERS, PUSH_PROMISE, CONTINUATION = 0, 1, 5, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8

Read = tuple[bytes, tuple[bytes, ...], tuple[int, ...], bool]  # for h2; of each stream the DATA, and what is left of its window; exceeded


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


def corpus() -> list[bytes]:
    replies = [b"\0" + len(reply).to_bytes(4, "big") + reply for reply in captured.replies() if len(reply) < 200][:24]
    return [
        *[
            bytes([cuts]) + b"".join(frame(DATA, 0, 1 + 2 * (at % 2), replies[at + step]) for step in range(4))
            for at, cuts in zip(range(0, 20, 4), (0, 1, 7, 9, 30), strict=True)
        ],
        b"\3" + frame(HEADERS, END_HEADERS, 1, b"h") + frame(DATA, PADDED, 1, b"\4data\0\0\0\0") + frame(DATA, END_STREAM, 3, b"last"),
        b"\5" + frame(HEADERS, 0, 1, b"h") + frame(DATA, 0, 1, b"no") + frame(CONTINUATION, END_HEADERS, 1, b"h") + frame(DATA, 0, 1, b"y"),
        b"\2" + frame(4, 0, 0, bytes(6)) + frame(DATA, 0, 5, b"nobody's") + frame(DATA, PADDED, 1, b"\xff") + frame(DATA, 0, 1, b"late"),
        b"\0" + frame(DATA, 0, 1, bytes(1500)) + frame(DATA, 0, 3, bytes(1400)) + frame(DATA, 0, 3, bytes(200)),
        b"\0" + frame(DATA, PADDED, 3, b"\0") + frame(DATA, 0, 3, b"") + b"\xff\xff\xff\0\0\0\0\0\1",
    ]


def cut(pieces: list[bytes]) -> Read:
    """As the daemon reads."""
    frames = DataFrames(CONNECTION)
    inflows = [Inflow(WINDOW) for _ in STREAMS]
    for stream, inflow in zip(STREAMS, inflows, strict=True):
        frames.open(stream, inflow)
    rest = []
    exceeded = False
    try:
        for piece in pieces:
            frames.push(piece)
            while other := frames.next():
                rest.append(other)
    except WindowError:
        exceeded = True
    left = tuple(inflow.left for inflow in inflows)
    data = tuple(b"".join(iter(lambda: inflow.take(100), b"")) for inflow in inflows)  # noqa: B023 - taken at once
    if not exceeded:
        assert frames.consumed == sum(WINDOW - one for one in left) == sum(inflow.consumed for inflow in inflows)
        assert set(frames.touched) <= set(STREAMS)
    return b"".join(rest), data, left, exceeded


def told(stream: bytes) -> Read:
    """Frame by frame, as RFC 9113 has them."""
    rest = b""
    data = dict.fromkeys(STREAMS, b"")
    left = dict.fromkeys(STREAMS, WINDOW)
    headers = False
    at = 0
    while at + HEADER <= len(stream):
        size, kind, flags = int.from_bytes(stream[at : at + 3], "big"), stream[at + 3], stream[at + 4]
        number = int.from_bytes(stream[at + 5 : at + 9], "big") & 0x7FFF_FFFF
        whole, body = stream[at : at + HEADER + size], stream[at + HEADER : at + HEADER + size]
        if size > MAX_FRAME:
            rest += stream[at:]
            break
        if len(body) < size:
            break
        at += len(whole)
        if kind != DATA or number not in STREAMS or headers:
            rest += whole
            if kind in (HEADERS, PUSH_PROMISE, CONTINUATION):
                headers = not flags & END_HEADERS
            continue
        if flags & PADDED:
            if not body or body[0] >= size:
                rest += whole + stream[at:]
                break
            body = body[1 : size - body[0]]
        left[number] -= size
        if left[number] < 0 or sum(WINDOW - one for one in left.values()) > CONNECTION:
            return rest, tuple(data.values()), tuple(left.values()), True
        data[number] += body
        if flags & END_STREAM:
            rest += frame(DATA, END_STREAM, number, b"")
    return rest, tuple(data.values()), tuple(left.values()), False


def one(data: bytes) -> None:
    dice = Dice(data)
    piece = dice.below(64) + 1
    stream = dice.rest()
    piece = max(piece, len(stream) // PIECES)
    expected = told(stream)
    assert cut([stream]) == expected
    assert cut([stream[at : at + piece] for at in range(0, len(stream), piece)]) == expected
