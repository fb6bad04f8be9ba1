"""Invariant: however the bytes of a gRPC stream are cut into DATA frames, the same messages and the same fault come out, and no more is
kept than the limits and what was sent."""

from __future__ import annotations

from edera_falcod.edera.frames import PREFIX, FrameFault, FrameSplitter

from . import captured
from .dice import Dice

MAX_MESSAGE = 300
MAX_SNAPSHOT = 900


def corpus() -> list[bytes]:
    replies = [reply for reply in captured.replies() if len(reply) < 250][:40]
    framed = [b"\0" + len(reply).to_bytes(4, "big") + reply for reply in replies]
    return [bytes([cuts]) + b"".join(framed[at : at + 5]) for at, cuts in zip(range(0, 40, 5), range(1, 9), strict=True)] + [
        b"\3\0\0\0\3\0\x1a" + b"x" * 767,
        b"\3\1\0\0\0\1x",
        b"\3\0\0\0\4\0\x1a",
        b"\3\0\0\0\2\0\x12",
    ]


def run(pieces: list[bytes]) -> tuple[list[bytes], FrameFault | None]:
    splitter = FrameSplitter(MAX_MESSAGE, MAX_SNAPSHOT)
    messages = []
    given = taken = 0
    for piece in pieces:
        given += len(piece)
        for message in splitter.feed(piece):
            assert len(message) <= (MAX_SNAPSHOT if message[:1] == b"\x1a" else MAX_MESSAGE)
            taken += PREFIX + len(message)
            messages.append(message)
        assert splitter.pending <= MAX_SNAPSHOT + PREFIX
        assert splitter.fault is not None or splitter.pending == given - taken - (PREFIX if splitter.announced else 0)
    splitter.end()
    return messages, splitter.fault


def one(data: bytes) -> None:
    dice = Dice(data)
    piece = dice.below(64) + 1
    stream = dice.rest()
    whole = run([stream])
    assert run([stream[at : at + piece] for at in range(0, len(stream), piece)]) == whole
    messages, fault = whole
    framed = b"".join(b"\0" + len(message).to_bytes(4, "big") + message for message in messages)
    assert stream.startswith(framed)
    assert fault is not None or framed == stream
