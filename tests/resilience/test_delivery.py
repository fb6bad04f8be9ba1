"""From the zones' streams to consumers, in numbers: what is kept and for how long, who takes whose room, how soon an overload is over, and
whose clock it is. Every loss that a consumer can find by sequence numbers is told to it by notices, event for event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edera_falcod.edera.lifecycle import State
from edera_falcod.falco import accounting, notices
from edera_falcod.falco.client import ClientRefused
from edera_falcod.falco.frames import BUSY
from edera_falcod.ops.metrics import Source
from edera_falcod.sim.player import Play

from .ledger import HOTPLUG, Ledger, Reader, Recording, sums
from .support import CAPTURE, World, hurry

LIMIT = 300
SMALL = 1 << 20  # bytes: the smallest buffer that can be configured


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def told_by_zone(ledger: Ledger, cause: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in ledger.notices(notices.CONSUMER_GAP):
        if one.cause == cause:
            found[one.zone] = found.get(one.zone, 0) + one.count
    return found


async def test_with_no_consumer_the_buffer_fills_and_the_rest_is_counted_and_told(tmp_path: Path) -> None:
    world = World(tmp_path, size=SMALL)
    async with world.host, world.running() as daemon:
        zone = world.host.add_zone("a", CAPTURE, Play(speed=0, loop=True), limit=LIMIT)
        falco = daemon.ring.consumers["falco"]
        await until(lambda: falco.dropped > 2000)
        assert 0.5 * SMALL < falco.bytes <= SMALL
        world.host.stall("a")
        account = next(one for one in daemon.ring.zones.values() if one.name == "a")
        await asyncio.sleep(0.2)
        dropped = dict(falco.shares[account.index].dropped)
        assert set(dropped) == {accounting.OVERLOAD} and sums(world.status()) == []
        assert world.status()["consumers"][0]["counters"]["dropped"] == dropped, "ctl reads the same counters"
        text = daemon.scrape.text(
            Source(daemon.view(), daemon.pipelines.by_id, daemon.watch.report(time.time()), daemon.scrape.latency, daemon.notices, 0)
        )
        assert f'events_dropped_total{{hop="daemon",cause="overload",consumer="falco"}} {dropped[accounting.OVERLOAD]}' in text
        ledger = Ledger()
        reader = Reader(world.falco, ledger)
        reader.start()
        recordings = {"a": Recording(CAPTURE, LIMIT)}
        await reader.until(lambda: ledger.check(recordings) or ledger.told == dropped[accounting.OVERLOAD])
        assert ledger.lost == ledger.told
        await reader.stop()
        assert (ledger.wrong, reader.missing) == ([], 0)
        assert told_by_zone(ledger, accounting.OVERLOAD) == {"a": dropped[accounting.OVERLOAD]}
        kinds = [one.kind for one in ledger.notices()]
        assert kinds[:3] == [notices.ZONE_DISCOVERED, notices.ZONE_LIVE, notices.OVERLOAD_BEGINS]
        assert zone.progress.events > 2000


async def test_what_nobody_takes_is_kept_for_so_long_and_no_longer(tmp_path: Path) -> None:
    world = World(tmp_path, age=1.0)
    async with world.host, world.running() as daemon:
        world.host.add_zone("a", CAPTURE, Play(speed=0), limit=LIMIT)
        falco = daemon.ring.consumers["falco"]
        await until(lambda: sum(share.waiting for share in falco.shares.values()) >= LIMIT + 2)
        kept = len(falco.queue.waiting)
        other = Ledger()
        briefly = Reader(world.falco, other, "other")  # comes once, and not again
        briefly.start()
        await until(lambda: "other" in daemon.ring.consumers)
        await briefly.stop()
        await until(lambda: not any(one.seq <= kept for one in falco.queue.waiting) and falco.dropped >= kept)
        assert sums(world.status()) == []
        await until(lambda: "other" not in daemon.ring.consumers)
        ledger = Ledger()
        reader = Reader(world.falco, ledger)
        reader.start()
        # Notices themselves age, too: then how many they were is told by another.
        await reader.until(lambda: told_by_zone(ledger, accounting.AGE).get("a", 0) >= LIMIT)
        await reader.stop()
        assert ledger.events("a") == [] and reader.missing == 0
        assert sums(world.status()) == []


async def test_a_second_connection_is_told_busy_and_disturbs_nobody(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.host, world.running() as daemon:
        world.host.add_zone("a", CAPTURE, Play(speed=4, loop=True), limit=LIMIT)
        ledger = Ledger()
        reader = Reader(world.falco, ledger)
        reader.start()
        await reader.more(20)
        for _ in range(5):
            with pytest.raises(ClientRefused) as refused:
                await Reader(world.falco, Ledger()).once()
            assert refused.value.code == BUSY
        await reader.more(20)
        await reader.stop()
        assert reader.connects == 1 and daemon.server.refused["BUSY"] == 5
        assert ledger.check({"a": Recording(CAPTURE, LIMIT)}) == [] and ledger.lost == 0


async def test_consumers_do_not_slow_each_other(tmp_path: Path) -> None:
    """One that never reads, one that reads and never acknowledges, passing ones: Falco gets every event, at once."""
    world = World(tmp_path)
    recording = Recording(CAPTURE, LIMIT)
    async with world.host, world.running() as daemon:
        _, stuck = await asyncio.open_unix_connection(str(world.falco))
        lazy = Reader(world.falco, Ledger(), "lazy", acknowledge=False)
        passing = Reader(world.falco, Ledger(), "tail-1", ephemeral=True)
        ledger = Ledger()
        reader = Reader(world.falco, ledger)
        for one in (lazy, passing, reader):
            one.start()
        zone = world.host.add_zone("a", CAPTURE, Play(speed=0), limit=LIMIT)
        await reader.until(lambda: len(ledger.events("a")) == LIMIT)
        for lap in range(2, 6):
            assert daemon.zones.resync(zone.id)
            await reader.until(lambda n=lap: len(ledger.events("a")) == n * LIMIT)  # type: ignore[misc]
        await until(lambda: daemon.ring.consumers["falco"].bytes == 0 or len(daemon.ring.consumers["falco"].queue.unacknowledged) < LIMIT)
        assert daemon.ring.consumers["lazy"].bytes > daemon.ring.consumers["falco"].bytes
        for one in (lazy, passing, reader):
            await one.stop()
        assert ledger.check({"a": recording}) == [] and (ledger.lost, reader.missing) == (0, 0)
        assert passing.ledger.check({"a": recording}) == [] and sums(world.status()) == []
        stuck.close()
        await stuck.wait_closed()


async def test_a_flooding_zone_takes_nothing_from_a_quiet_one_and_the_end_of_an_overload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two zones at full speed and a consumer that stands still: the quiet zone loses nothing. Then it reads: how soon is it over?"""
    monkeypatch.setattr(notices, "CALM", 1.0)
    world = World(tmp_path, size=8 << 20)
    quiet = Recording(CAPTURE, 100)
    async with world.host, world.running() as daemon:
        for name in ("loud", "louder"):
            world.host.add_zone(name, CAPTURE, Play(speed=0, loop=True), limit=LIMIT)
        falco = daemon.ring.consumers["falco"]
        most = 0
        await until(lambda: falco.dropped > 1000)
        world.host.add_zone("quiet", CAPTURE, Play(speed=20), limit=100)
        account = {one.name: one for one in daemon.ring.zones.values()}

        def kept() -> int:
            nonlocal most
            most = max(most, falco.bytes)
            found = next((one for one in daemon.ring.zones.values() if one.name == "quiet"), None)
            return falco.shares[found.index].waiting if found is not None and found.index in falco.shares else 0

        await until(lambda: kept() >= 102)  # it was discovered, it is live, and its events
        assert most <= falco.budget
        shares = {name: falco.shares[account[name].index] for name in ("loud", "louder")}
        sizes = sorted([share.bytes for share in shares.values()])
        assert sizes[0] > 0.5 * sizes[1], "who floods alike has alike"
        assert all(share.lost() for share in shares.values())
        for name in shares:
            world.host.stall(name)
        began = time.monotonic()
        ledger = Ledger()
        reader = Reader(world.falco, ledger)
        reader.start()
        await reader.until(lambda: falco.bytes == 0 or not falco.queue.waiting)
        drained = time.monotonic() - began
        await reader.until(lambda: ledger.notices(notices.OVERLOAD_ENDS))
        await reader.until(lambda: ledger.check({"quiet": quiet}) or ledger.told == falco.dropped)
        assert ledger.lost == ledger.told
        await reader.stop()
        assert (ledger.wrong, reader.missing) == ([], 0)
        assert len(ledger.events("quiet")) == 100 and "quiet" not in told_by_zone(ledger, accounting.OVERLOAD)
        assert set(told_by_zone(ledger, accounting.OVERLOAD)) == {"loud", "louder"}
        assert sums(world.status()) == []
        print(f"drained {most} bytes in {drained:.2f} s after an overload that lost {ledger.lost}")
        assert drained < 10


@pytest.mark.timeout(120)  # eight captures to read, and all at once
async def test_hotplug_of_many_zones_at_once_in_full_swing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every zone is learned anew. What was still on its way is handed on; the gap is told after it, where it is; from the hotplug to the
    snapshot all is tainted."""
    hurry(monkeypatch)
    world = World(tmp_path)
    names = [f"z{number}" for number in range(8)]
    recordings = {"": Recording(CAPTURE, LIMIT)}
    async with world.host, world.running():
        ledger = Ledger()
        reader = Reader(world.falco, ledger)
        reader.start()
        for name in names:
            world.host.add_zone(name, CAPTURE, Play(speed=8, loop=True), limit=LIMIT)
        await reader.until(lambda: len(ledger.notices(notices.ZONE_LIVE)) == len(names), 40)
        await reader.more(20 * len(names))
        for name in names:
            world.host.hotplug(name)
        await reader.until(lambda: len(ledger.notices(notices.ZONE_RESEEDED)) == len(names), 40)
        await reader.more(20 * len(names))
        for name in names:
            world.host.stall(name)
        await asyncio.sleep(0.2)
        await reader.stop()
        assert ledger.check(recordings) == [] and (ledger.lost, reader.missing) == (0, 0)
        for name in names:
            gap, reseeded = [next(one for one in ledger.notices(kind) if one.zone == name) for kind in (notices.GAP, notices.ZONE_RESEEDED)]
            assert gap.cause == "cpu_hotplug" and gap.seq < reseeded.seq
            plugged = next(one for one in ledger.entries.values() if one.zone == name and one.kind == HOTPLUG)
            events = ledger.events(name)
            assert not any(one.tainted for one in events if one.seq < plugged.seq or one.seq > reseeded.seq)
            # What came in one piece with the hotplug was made before anybody knew.
            first = next((one.seq for one in events if one.tainted), gap.seq)
            assert all(one.tainted for one in events if first <= one.seq < reseeded.seq)
            assert any(one.seq > reseeded.seq for one in events)
        assert sums(world.status()) == []


async def test_a_stalled_consumer_does_not_stop_the_zones(tmp_path: Path) -> None:
    """Dropping is the daemon's choice, not the zone's harm: what the zone does goes on, and its state with it."""
    world = World(tmp_path, size=SMALL)
    async with world.host, world.running() as daemon:
        zone = world.host.add_zone("a", CAPTURE, Play(speed=0), limit=1500)
        pipeline_of = daemon.pipelines.by_id
        await until(lambda: zone.progress.index == 1500 and pipeline_of[zone.id].account.received >= 1500)
        assert daemon.zones.streams[zone.id].state is State.LIVE and not pipeline_of[zone.id].tainted


@pytest.mark.parametrize("ahead", [3600, -86_400 * 365])
async def test_a_zone_whose_clock_is_off_is_served_with_its_own_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """Two zones, an hour or a year apart: each in its own order, with its own times; the skew is shown."""
    hurry(monkeypatch)
    world = World(tmp_path)
    recording = Recording(CAPTURE, LIMIT)
    async with world.host, world.running() as daemon:
        off = int(time.time() * 1e9) + ahead * 1_000_000_000 - recording.first
        zone = world.host.add_zone("off", CAPTURE, Play(speed=0), limit=LIMIT)
        zone.progress.shift = off - recording.period
        zone.progress.laps = 1  # the next lap adds a period
        right = world.host.add_zone("right", CAPTURE, Play(speed=0), limit=LIMIT)
        ledger = Ledger()
        reader = Reader(world.falco, ledger)
        reader.start()
        await reader.until(lambda: min(len(ledger.events("off")), len(ledger.events("right"))) == LIMIT)
        times = [one.ts for one in ledger.events("off")]
        assert times == [ts + off for ts in recording.times]
        assert [one.ts for one in ledger.events("right")] == recording.times
        await until(lambda: all(daemon.pipelines.by_id[one.id].skew is not None for one in (zone, right)))
        skew = daemon.pipelines.by_id[zone.id].skew
        assert skew is not None and abs(skew / 1e9 - ahead) < 30
        shown = {one["name"]: one for one in world.status()["zones"]}
        assert abs(shown["off"]["clock_skew"] / 1e9 - ahead) < 30
        # It jumps: back by more than it was off, in the middle of the stream.
        assert zone.feed is not None
        world.host.push("off", zone.feed.event(3, off - 2 * ahead * 1_000_000_000))
        world.host.push("off", zone.feed.event(4, off))
        await reader.until(lambda: len(ledger.events("off")) == LIMIT + 2)
        assert [one.ts - off for one in ledger.events("off")[-2:]] == [recording.times[3] - 2 * ahead * 1_000_000_000, recording.times[4]]
        await reader.stop()
        assert (reader.missing, ledger.shed) == (0, 0) and sums(world.status()) == []
