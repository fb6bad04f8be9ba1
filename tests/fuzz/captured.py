"""Inputs out of the captures of this repository, as the fuzzers begin with."""

from __future__ import annotations

import io
from functools import cache

from edera_falcod.scap.capture import Capture, CaptureEvent, read_capture
from edera_falcod.sim.encode import Encoder
from tests.state.captures import DATA

NAMES = ("net1", "attack1", "procs1", "extra1")
ZONE = "00000000-0000-0000-0000-000000000001"


def whole(name: str) -> bytes:
    return (DATA / f"{name}.scap").read_bytes()


@cache
def capture(name: str) -> tuple[Capture, tuple[CaptureEvent, ...]]:
    read = read_capture(io.BytesIO(whole(name)))
    return read, tuple(read.events())


@cache
def kinds() -> tuple[CaptureEvent, ...]:
    """Of each type of event two: the first, and the one with most bytes below a kilobyte."""
    found: dict[int, list[CaptureEvent]] = {}
    for name in NAMES:
        for event in capture(name)[1]:
            size = sum(map(len, event.params))
            kept = found.setdefault(event.code, [event])
            if size < 1024 and (len(kept) == 1 or size > sum(map(len, kept[1].params))):
                kept[1:] = [event]
    return tuple(event for kept in found.values() for event in kept)


def replies() -> list[bytes]:
    """One reply of each kind of event."""
    encoder = Encoder(ZONE)
    return [encoder.event(event) for event in kinds()]


def snapshots() -> list[bytes]:
    """Replies with snapshots of a few threads each."""
    encoder = Encoder(ZONE)
    found = []
    for name in NAMES:
        threads = capture(name)[0].threads
        for at in range(0, min(len(threads), 200), 25):
            few = threads[at : at + 3]
            for thread in few:
                thread.fds = thread.fds[:6]
            found.append(encoder.snapshot(few, 1_700_000_000_000_000_000))
    return found
