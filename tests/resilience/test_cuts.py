"""Connections that break at every frame boundary and at random bytes, on either side of the daemon: the counters add up, nothing is out of
order, nothing comes twice within what was acknowledged, and nothing is missing without a notice of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edera_falcod.edera.lifecycle import State
from edera_falcod.falco import frames, notices
from edera_falcod.sim.player import Play, Reopen

from ..support.proxy import ANY, Cut, Flow, proxied
from .ledger import Ledger, Reader, Recording, sums
from .support import CAPTURE, ROOT, World, hurry

SHIMCAT = ROOT / "shim" / "shimcat"
LIMIT = 40  # events of a conversation: long enough for several frames of each kind
RANDOM_CUTS = 10
SEED = 20261124
PREFACE = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


def http2_boundaries(stream: bytes, client: bool) -> list[int]:
    """Where the HTTP/2 frames of one direction begin and end (RFC 9113, section 4.1)."""
    at = PREFACE if client else 0
    found = [at] if at else []
    while at + 9 <= len(stream):
        at += 9 + int.from_bytes(stream[at : at + 3], "big")
        found.append(at)
    return [place for place in found if 0 < place <= len(stream)]


def frame_boundaries(stream: bytes) -> list[int]:
    """Likewise for docs/protocol.md's frames."""
    found: list[int] = []
    at = 0
    while at + frames.HEADER_SIZE <= len(stream):
        at += frames.HEADER_SIZE + frames.HEADER.unpack_from(stream, at)[0]
        found.append(at)
    return [place for place in found if place <= len(stream)]


def cuts_of(recorded: list[Flow], choose: random.Random) -> list[Cut]:
    cuts: list[Cut] = []
    for number, flow in enumerate(recorded):
        for down, stream in ((True, bytes(flow.down)), (False, bytes(flow.up))):
            places = http2_boundaries(stream, client=not down)
            places += [choose.randrange(1, len(stream)) for _ in range(RANDOM_CUTS // 2)]
            cuts += [Cut(number, down, place) for place in dict.fromkeys(places)]
    choose.shuffle(cuts)
    return cuts


async def test_between_host_and_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The conversation of a daemon that finds a zone and follows it, cut at each of its frames, one after the other."""
    hurry(monkeypatch)
    monkeypatch.setattr("edera_falcod.edera.zonestream.MAX_FAULTS", 1000)  # cuts are not the zone's fault, but half a message looks so
    choose = random.Random(SEED)
    recording = Recording(CAPTURE, LIMIT)
    world = World(tmp_path, tmp_path / "proxy.sock")
    async with world.host, proxied(tmp_path / "proxy.sock", world.edera) as proxy:
        zone = world.host.add_zone("web", CAPTURE, Play(speed=0), limit=LIMIT)
        async with world.running() as daemon:
            ledger = Ledger()
            reader = Reader(world.falco, ledger)
            reader.start()

            def whole(lap: int) -> bool:
                """That lap has come to its end, so the zone is live and served."""
                events = ledger.events("web")
                return bool(events) and recording.place(events[-1].ts) >= (lap, LIMIT - 1)

            def again() -> bool:
                return zone.opened > opened and whole(zone.progress.laps - 1)

            await reader.until(lambda: whole(0))
            proxy.record()
            opened = zone.opened
            proxy.break_all()
            # The control connection's list of zones and the zone's stream.
            await reader.until(lambda: again() and len(proxy.recorded) == 2 and all(len(flow.down) > 500 for flow in proxy.recorded))
            cuts = cuts_of(proxy.recorded, choose)
            assert len(cuts) > 30
            for cut in cuts:
                opened = zone.opened
                proxy.arm(cut)
                proxy.break_all()
                await reader.until(again)
                # A conversation is not always the same length: a place that it did not reach costs nothing.
                proxy.disarm()
                assert sums(world.status()) == [], cut
            stream = daemon.zones.streams[zone.id]
            assert stream.state is State.LIVE
            # Which of the two connections is made first differs, and they are not of the same length.
            assert proxy.cuts > len(cuts) / 2, f"{proxy.cuts} of {len(cuts)} cuts took place"
            await reader.stop()
            assert ledger.check({"web": recording}) == []
            assert (reader.missing, ledger.shed, ledger.lost) == (0, 0, 0)
            gaps = len(ledger.notices(notices.GAP))
            assert gaps >= len(cuts), "each break of a live stream is told"
            assert daemon.ring.zones[1].gaps == gaps
            assert not daemon.pipelines.by_id[zone.id].tainted


async def test_trickling_and_stalling_between_host_and_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    recording = Recording(CAPTURE, LIMIT)
    world = World(tmp_path, tmp_path / "proxy.sock")
    async with world.host, proxied(tmp_path / "proxy.sock", world.edera) as proxy:
        proxy.chunk = 97
        zone = world.host.add_zone("web", CAPTURE, Play(speed=0, reopen=Reopen.CONTINUE), limit=LIMIT)
        async with world.running() as daemon:
            ledger = Ledger()
            reader = Reader(world.falco, ledger)
            reader.start()
            await reader.until(lambda: len(ledger.events("web")) == LIMIT)
            proxy.flowing.clear()
            assert zone.feed is not None
            world.host.push("web", zone.feed.event(0, recording.period))
            await asyncio.sleep(0.1)
            assert daemon.zones.streams[zone.id].state is State.LIVE
            proxy.flowing.set()
            await reader.until(lambda: len(ledger.events("web")) == LIMIT + 1)
            await reader.stop()
            assert ledger.check({"web": recording}) == []
            assert [one.kind for one in ledger.notices()] == [notices.ZONE_DISCOVERED, notices.ZONE_LIVE]
            assert sums(world.status()) == []


async def test_between_daemon_and_consumer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer that comes back after each cut: at every frame and at random bytes of what it is sent and of what it says."""
    hurry(monkeypatch)
    choose = random.Random(SEED)
    recording = Recording(CAPTURE, 200)
    world = World(tmp_path)
    async with world.host, proxied(tmp_path / "proxy.sock", world.falco) as proxy:
        zone = world.host.add_zone("web", CAPTURE, Play(speed=0), limit=200)
        async with world.running() as daemon:
            ledger = Ledger()
            reader = Reader(proxy.path, ledger)
            reader.start()
            await reader.until(lambda: len(ledger.events("web")) == 200)
            flow = proxy.recorded[0]
            down = frame_boundaries(bytes(flow.down)) + [choose.randrange(1, len(flow.down)) for _ in range(30)]
            up = frame_boundaries(bytes(flow.up)) + [choose.randrange(1, len(flow.up)) for _ in range(8)]
            cuts = [Cut(0, True, at) for at in down] + [Cut(0, False, at) for at in up]
            choose.shuffle(cuts)
            assert len(down) > 32 and len(up) > 8
            events = laps = 0

            def carried() -> bool:
                return zone.progress.laps > laps and len(ledger.events("web")) >= events + 200

            for cut in cuts:
                proxy.arm(cut)
                proxy.break_all()
                # Events for it to carry; a reseed has them all come anew, with later times.
                events, laps = len(ledger.events("web")), zone.progress.laps
                assert daemon.zones.resync(zone.id)
                await reader.until(carried)
                proxy.disarm()
                assert sums(world.status()) == [], cut
                assert daemon.ring.verify() == []
            assert proxy.cuts > 0.8 * len(cuts), f"{proxy.cuts} of {len(cuts)} cuts took place"
            await reader.until(lambda: daemon.ring.consumers["falco"].sent == daemon.ring.head)
            await reader.stop()
            assert ledger.check({"web": recording}) == []
            assert (reader.missing, ledger.shed, ledger.lost) == (0, 0, 0)
            assert ledger.again > 0, "something had to come twice"
            assert len(ledger.entries) == max(ledger.entries) - min(ledger.entries) + 1


@contextlib.asynccontextmanager
async def plugin(socket: Path, output: Path, errors: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The plugin in a process that prints what it is given. It does not outlive the test: it would come back to the next one's socket, if
    that is at the same path, and take its events."""
    with output.open("wb") as out, errors.open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            str(SHIMCAT), "--socket", str(socket), "--json", "--metrics", "edera.redelivered", "edera.notice.kind",
            stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=err,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.timeout(180)  # the plugin waits longer each time before it tries again
@pytest.mark.parametrize("where", ["random", "frames"])
async def test_between_daemon_and_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """The plugin, loaded as Falco loads it: its connection is cut at random bytes while a zone is busy, or a new one at each frame of its
    first conversation, and it comes back by itself."""
    hurry(monkeypatch)
    if not SHIMCAT.exists():
        pytest.skip("the shim is not built: make shim")
    choose = random.Random(SEED)
    limit = 1500 if where == "random" else 200
    recording = Recording(CAPTURE, limit)
    world = World(tmp_path)
    output, errors = tmp_path / "events", tmp_path / "shim.log"
    async with (
        world.host,
        proxied(tmp_path / "proxy.sock", world.falco) as proxy,
        world.running() as daemon,
        plugin(proxy.path, output, errors) as shim,
    ):
        consumer = daemon.ring.declare("shimcat")
        began = daemon.ring.head
        world.host.add_zone("quiet")

        async def settled(laps: int) -> None:
            """So many laps have come, not only left the host (what is under way when a zone is seeded anew is lost, and said to be), and
            the plugin is done with all that there is."""
            async with asyncio.timeout(20):  # the plugin is another process: there is no event for it
                while not (came() == laps * limit and consumer.acknowledged == daemon.ring.head > began):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

        def came() -> int:
            return sum(one.account.received - one.account.notices for one in daemon.pipelines.by_id.values())

        await settled(0)  # an earlier batch and its acknowledgement: there is a zone, which does nothing
        zone = world.host.add_zone("web", CAPTURE, Play(speed=0), limit=limit)
        await settled(1)
        if where == "random":
            cuts = [Cut(ANY, True, choose.randrange(40, 400_000)) for _ in range(8)]
        else:
            cuts = []
            for down, stream in ((True, bytes(proxy.recorded[0].down)), (False, bytes(proxy.recorded[0].up))):
                places = frame_boundaries(stream)
                assert len(places) >= 3
                places += [place + 4 for place in places if place + 4 < len(stream)]  # within the next frame's header
                cuts += [Cut(0, down, place) for place in dict.fromkeys(places)]
            choose.shuffle(cuts)
        for laps, cut in enumerate(cuts, 2):
            proxy.arm(cut)
            if cut.connection != ANY:
                proxy.break_all()
            assert daemon.zones.resync(zone.id)
            await settled(laps)
            proxy.disarm()
            assert sums(world.status()) == []
        shim.terminate()
        assert await shim.wait() == 0, errors.read_text()
        connections = consumer.connections
    last = (0, -1)
    for line in output.read_text().splitlines():
        event = json.loads(line)
        fields = event["fields"]
        if "edera.notice.kind" in fields:
            continue
        place = recording.place(event["ts"])
        if place <= last:
            assert fields["edera.redelivered"] is True, f"{place} came again and was not marked"
            continue
        assert place in ((last[0], last[1] + 1), (last[0] + 1, 0)) and (place[1] or last[1] in (-1, limit - 1)), (last, place)
        last = place
    assert last == (len(cuts), limit - 1), "the last event of the last lap"
    assert connections >= proxy.cuts + 1 > len(cuts) // 2
    metrics = json.loads(errors.read_text().splitlines()[-1])
    assert metrics["missing"] == metrics["malformed"] == metrics["shed"] == 0
