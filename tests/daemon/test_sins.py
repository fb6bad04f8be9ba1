"""One zone with all sins beside two honest ones: theirs are the same events with the same values as without it, it is put in quarantine
when it misbehaves, and consumers and operators are told. tools/sins.py measures what it costs the others."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edera_falcod.edera import zonestream
from edera_falcod.falco import notices
from edera_falcod.falco.client import Disconnected
from edera_falcod.falco.ring import FRONT
from edera_falcod.fields import slots
from edera_falcod.fields.forms import fixed_forms, values
from edera_falcod.fields.reader import BlockTable, EventView, Value
from edera_falcod.fields.spec import Kind
from edera_falcod.ops.client import get_status
from edera_falcod.sim.host import MALFORMED, NAMESPACE
from edera_falcod.sim.player import Play
from edera_falcod.state import limits

from .sins import BURST, MARK, SINS, Sinner
from .support import DATA, FAST, World, until, world

HONEST = {"web": DATA / "attack1.scap", "db": DATA / "net1.scap"}
EVENTS = 300
Seen = dict[str, list[dict[str, Value]]]


class Watcher:
    """All that a consumer sees. ``seen``: values of the honest zones' events; ``foreign``: events of theirs that the sinner has made;
    ``notices``: zone id, kind and cause."""

    def __init__(self) -> None:
        self.seen: Seen = {name: [] for name in HONEST}
        self.notices: list[tuple[str, str, str]] = []
        self.sins = 0

    def take(self, view: EventView) -> None:
        zone = view.block(Kind.ZONE)
        name = (zone.text(slots.EDERA_ZONE_NAME) or "") if zone is not None else ""
        kind = view.event.text(slots.EDERA_NOTICE_KIND)
        if kind is not None:
            self.notices.append((view.event.text(slots.EDERA_NOTICE_ZONE) or "", kind, view.event.text(slots.EDERA_NOTICE_CAUSE) or ""))
        elif name in self.seen:
            assert MARK not in view.data
            self.seen[name].append({"ts": view.ts, "tid": view.tid, **values(view, fixed_forms())})
        else:
            self.sins += 1


@contextlib.asynccontextmanager
async def watching(one: World) -> AsyncIterator[Watcher]:
    table = BlockTable()
    client = one.client("falco", table)
    await client.connect()
    watcher = Watcher()

    async def read() -> None:
        with contextlib.suppress(Disconnected, ConnectionResetError):
            while True:
                for event in await client.next():
                    watcher.take(EventView(event.data, table))
                    if watcher.sins % 50 == 0:
                        await asyncio.sleep(0)

    reading = asyncio.create_task(read())
    try:
        yield watcher
    finally:
        if reading.done():
            reading.result()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await client.close()


async def honest(one: World, watcher: Watcher) -> Seen:
    for name, capture in HONEST.items():
        one.host.add_zone(name, capture, FAST, limit=EVENTS)
    await until(lambda: all(len(found) >= EVENTS for found in watcher.seen.values()), 60)
    return watcher.seen


async def sin(one: World, sinner: Sinner) -> None:
    """All sins but what cannot be read, over and over, as fast as it is taken."""
    for turn in itertools.count():
        for name in SINS:
            if name == "a huge snapshot" and turn % 4:
                continue
            for message in sinner.burst(name, time.time_ns()):
                one.host.push("bad", message)
            zone = one.host.zones["bad"]
            while any(player._pushed for player in zone.players) or not zone.players:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@pytest.mark.timeout(240)
async def test_the_others_do_not_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zonestream, "REOPEN_SPACING", 0.05)
    folders = [tmp_path / "without", tmp_path / "with"]
    for folder in folders:
        folder.mkdir()
    async with world(folders[0]) as one, watching(one) as watcher:
        alone = await honest(one, watcher)
    async with world(folders[1]) as one, watching(one) as watcher:
        bad = one.host.add_zone("bad", HONEST["db"], FAST, limit=1)
        sinning = asyncio.create_task(sin(one, Sinner(bad.id, str(uuid.uuid5(NAMESPACE, "web")))))
        await until(lambda: watcher.sins > 500, 60)
        beside = await honest(one, watcher)
        await until(lambda: one.daemon.pipelines.by_id[bad.id].imported > 1, 60)  # also its huge snapshot was taken
        sinning.cancel()
        await asyncio.gather(sinning, return_exceptions=True)
        assert beside == alone
        assert {zone for zone, kind, _ in watcher.notices if kind in (notices.GAP, notices.CONSUMER_GAP)} <= {bad.id}
        for name in HONEST:
            account = one.account(name)
            assert account.undecodable == {} and account.gaps == 0
            assert all(consumer.share(account).lost() == 0 for consumer in one.daemon.ring.consumers.values())
            assert not one.daemon.pipelines.by_id[one.host.zones[name].id].tainted
        state = one.daemon.pipelines.by_id[bad.id].state
        assert len(state.threads) <= limits.MAX_THREADS and state.table.text <= limits.MAX_ZONE_TEXT
        assert state.table.fd_budget.entries <= limits.MAX_ZONE_FDS

        # And now what cannot be read
        for turn in itertools.count():
            one.host.push("bad", MALFORMED[tuple(MALFORMED)[turn % len(MALFORMED)]])
            if one.daemon.zones.streams[bad.id].state.value == "quarantined":
                break
            await asyncio.sleep(0.02)
        await until(lambda: [one for one in watcher.notices if one[1] == notices.ZONE_QUARANTINED], 10)
        ((zone, _, cause),) = [one for one in watcher.notices if one[1] == notices.ZONE_QUARANTINED]
        assert zone == bad.id and cause.startswith("5 faults in 60 s, the last: ")
        status = await get_status(one.config.ctl.socket)
        assert f"zone bad is in quarantine: {cause}" in status.daemon.unwell
        assert {zone.name: zone.state for zone in status.zones} == {"bad": "quarantined", "web": "live", "db": "live"}


@pytest.mark.timeout(120)
async def test_what_becomes_much_does_not_fill_the_buffer_of_a_consumer_that_reads(tmp_path: Path) -> None:
    """Each event of the sinner's becomes five times as many bytes, in all twice what the buffer holds: none is shed, and at no time are
    there more of them in front of the others' events than a consumer takes in a moment."""
    async with world(tmp_path) as one, watching(one) as watcher:
        bad = one.host.add_zone("bad", HONEST["db"], FAST, limit=1)
        await until(lambda: watcher.sins > 0)
        sinner = Sinner(bad.id, bad.id)
        account, ring = one.account("bad"), one.daemon.ring
        consumer = ring.consumers["falco"]
        (link,) = one.daemon.server.links
        batcher = link.batcher
        assert batcher is not None
        before = account.entered
        most = 0
        for turn in range(1, 6):
            one.host.push("bad", b"".join(sinner.burst("parents in a circle", time.time_ns())))
            while account.entered < before + turn * BURST:
                await asyncio.sleep(0)
                most = max(most, consumer.bytes)
        share = consumer.share(account)
        await until(lambda: not share.waiting)
        assert share.lost() == 0
        assert batcher.bytes > consumer.budget and FRONT < most < 2 * FRONT, (batcher.bytes, most)


async def test_what_a_quiet_zone_sends_does_not_wait_behind_a_flood(tmp_path: Path) -> None:
    """A consumer that is slower than a zone that floods: thousands of that zone's events wait, and the other's is among the next ones
    that the consumer gets."""
    async with world(tmp_path) as one:
        table = BlockTable()
        client = one.client("falco", table)
        await client.connect()
        quiet = one.host.add_zone("quiet", HONEST["web"], FAST, limit=1)
        await until(lambda: quiet.id in one.daemon.pipelines.by_id and one.account("quiet").entered > 0)
        one.host.add_zone("loud", HONEST["db"], Play(speed=0, loop=True))
        await until(lambda: one.daemon.ring.lined > 8000)
        one.host.push("quiet", next(Sinner(quiet.id, quiet.id).burst("system calls without a thread", time.time_ns())))
        await until(lambda: one.account("quiet").lined == 1)
        behind = one.account("loud").lined
        assert behind > 8000
        wanted = one.account("quiet").entered + 1
        seen = found = 0
        while found < wanted:
            for event in await client.next():
                zone = EventView(event.data, table).block(Kind.ZONE)
                found += zone is not None and zone.text(slots.EDERA_ZONE_NAME) == "quiet"
                seen += 1
        assert seen < behind / 2 and one.account("loud").lined > behind / 2
        assert one.daemon.ring.verify() == []
        await client.close()
