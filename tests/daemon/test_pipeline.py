"""A zone's way through the core: what a loss brings about and when, and between which events a snapshot takes effect."""

from __future__ import annotations

import asyncio
import copy
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest
import structlog

from edera_falcod import pipeline
from edera_falcod.edera.lifecycle import State
from edera_falcod.edera.sink import Verdict, ZoneInfo
from edera_falcod.falco.ring import Ring
from edera_falcod.fields import slots
from edera_falcod.fields.blocks import IDS
from edera_falcod.fields.reader import BlockTable, EventView
from edera_falcod.fields.spec import Kind
from edera_falcod.fields.workload import host_block
from edera_falcod.pipeline import LOSS_SPACING, ZonePipeline
from edera_falcod.scap.capture import CaptureEvent
from edera_falcod.scap.event import Event
from edera_falcod.scap.tables import PPME_DROP_E
from edera_falcod.scap.wire import parse_reply
from edera_falcod.sim.feed import Feed
from edera_falcod.sim.player import Play, Reopen

from .support import CAPTURE, until, world

PREFIX: Final = 5  # bytes of gRPC's prefix
ZONE: Final = "2dd04ab9-5f34-59ac-806a-0399fe1cf910"


class Clock:
    """In place of the module `time`: ``now`` is moved by tests."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Losing:
    """A zone that is live and whose driver tells of losses."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        patch.setattr(pipeline, "time", SimpleNamespace(monotonic=self.clock.monotonic, time=time.time))
        self.feed = Feed(CAPTURE, ZONE, limit=1)
        zone = ZoneInfo(ZONE, "web")
        self.pipeline = ZonePipeline(Ring(first=1), zone, host_block(IDS.next()), None, structlog.get_logger())

    async def seed(self) -> None:
        assert await self.pipeline.snapshot(self.feed.snapshot()[PREFIX:]) is Verdict.OK
        self.pipeline.stream_state = State.LIVE

    def lose(self) -> Verdict:
        message = self.feed.encoder.event(CaptureEvent(self.feed.first, 1, 0, PPME_DROP_E, 0, [b"\x01\0\0\0"]))
        at, verdict = self.pipeline.messages([message], 0, 1)
        assert at == 1
        return verdict

    def at(self, seconds: float) -> bool:
        """So many seconds after the beginning: whether it is time to seed anew."""
        self.clock.now = 1000.0 + seconds
        return self.pipeline.tick(1.0)


async def test_a_loss_is_followed_by_a_reseed_at_once_and_the_next_ones_30_s_later(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LOSS_SPACING == 30.0, "docs/delivery.md"
    zone = Losing(monkeypatch)
    await zone.seed()
    assert not zone.at(0.0)
    assert zone.lose() is Verdict.LOSS
    await zone.seed()
    # All the time, and none of it costs a snapshot; but it is known that the state may be wrong.
    for second in range(1, 30):
        assert not zone.at(second)
        assert zone.lose() is Verdict.OK
        assert zone.pipeline.tainted
    assert zone.pipeline.account.gaps == 29
    assert not zone.at(29.99)
    assert zone.at(30.0), "the last loss is always followed by a reseed"
    assert not zone.at(30.01), "by one"
    await zone.seed()
    assert not zone.pipeline.tainted
    # From then on it is 30 s again, of which the last loss need not be a part.
    assert not zone.at(31.0)
    assert zone.lose() is Verdict.OK
    assert not zone.at(59.99)
    assert zone.at(60.0)
    await zone.seed()
    assert not zone.at(200.0)
    assert zone.lose() is Verdict.LOSS, "it has been quiet for long enough"


async def test_a_snapshot_for_another_reason_is_the_reseed_that_a_loss_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = Losing(monkeypatch)
    await zone.seed()
    assert zone.lose() is Verdict.LOSS
    await zone.seed()
    assert not zone.at(10.0)
    assert zone.lose() is Verdict.OK
    await zone.seed()
    assert not zone.pipeline.tainted
    assert not zone.at(31.0)


async def test_a_zone_that_is_not_live_is_seeded_anew_when_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = Losing(monkeypatch)
    await zone.seed()
    assert zone.lose() is Verdict.LOSS
    await zone.seed()
    zone.at(10.0)
    assert zone.lose() is Verdict.OK
    zone.pipeline.stream_state = State.BACKOFF
    assert not zone.at(31.0)
    zone.pipeline.stream_state = State.LIVE
    assert zone.at(32.0)


async def test_a_snapshot_takes_effect_exactly_between_the_events_around_it(tmp_path: Path) -> None:
    """Snapshots and events in one batch of messages, as one DATA frame brings them: each event is shown with what was known then."""
    async with world(tmp_path) as one:
        zone = one.host.add_zone("net", CAPTURE, Play(speed=0, reopen=Reopen.CONTINUE), limit=1)
        await until(lambda: one.host.zones["net"].id in one.daemon.pipelines.by_id and one.account("net").entered >= 3)
        feed = zone.feed
        assert isinstance(feed, Feed)
        threads = feed._threads
        read = parse_reply(feed.event(0), PREFIX, len(feed.event(0)))
        assert isinstance(read, Event)
        tid = read.tid
        known = next(thread for thread in threads if thread.tid == tid).comm.decode()

        def named(name: bytes) -> bytes:
            """The snapshot, in which that process has this name."""
            changed = [copy.copy(thread) for thread in threads]
            next(thread for thread in changed if thread.tid == tid).comm = name
            own, feed._threads = feed._threads, changed
            try:
                return feed.snapshot()
            finally:
                feed._threads = own

        batches: list[int] = []
        one.daemon.zones.streams[zone.id].taps.append(lambda messages: batches.append(len(messages)))
        table = BlockTable()
        client = one.client("falco", table)
        await client.connect()
        event = feed.event(0)
        one.host.push("net", b"".join([named(b"one"), event, event, named(b"two"), event, named(b"three"), named(b"four"), event]))
        found: list[str] = []
        async with asyncio.timeout(20):
            while len(found) < 5:
                for received in await client.next():
                    view = EventView(received.data, table, received.redelivered)
                    thread = view.block(Kind.THREAD)
                    if view.tid == tid and thread is not None:
                        found.append(thread.text(slots.PROC_NAME) or "")
        assert found == [known, "one", "one", "two", "four"]
        assert [size for size in batches if size] == [8], "they came together"
        assert zone.opened == 1
        await client.close()
