"""Captures of this repository as events and snapshots, without anything between reader and state."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from edera_falcod.scap.capture import read_capture
from edera_falcod.scap.event import Event
from edera_falcod.scap.snapshot import SnapshotThread
from edera_falcod.state.zone import ZoneState

DATA = Path(__file__).parent.parent / "data"


@cache
def capture(name: str) -> tuple[tuple[SnapshotThread, ...], tuple[Event, ...]]:
    """Threads and events of ``tests/data/NAME.scap``."""
    with (DATA / f"{name}.scap").open("rb") as stream:
        read = read_capture(stream)
        events = tuple(Event(one.ts, one.tid, one.cpu, one.code, one.params) for one in read.events())
        return tuple(read.threads), events


def zone_from(threads: tuple[SnapshotThread, ...] | list[SnapshotThread]) -> ZoneState:
    zone = ZoneState()
    zone.interfaces.set_networks([(b"\x7f\0\0\1", 8), (bytes(15) + b"\1", 128)])
    zone.begin_snapshot(0)
    for thread in threads:
        zone.add_snapshot_thread(thread)
    zone.end_snapshot()
    return zone
