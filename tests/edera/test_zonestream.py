"""One zone's stream: every row of the lifecycle table that the outside world can cause, over real gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edera_falcod.edera import pace, zonestream
from edera_falcod.edera.backoff import FIRST, JITTER
from edera_falcod.edera.sink import Verdict
from edera_falcod.edera.zonestream import Settings, SnapshotBudget, ZoneStream
from edera_falcod.scap.tables import PPME_CPU_HOTPLUG_E, SYSCALL_EXIT_EVENTS, SYSCALL_NAMES
from edera_falcod.sim.host import MALFORMED, SimHost
from edera_falcod.sim.player import AtEnd, Play

from .support import CAPTURE, Sink, following, until

FAST = Play(speed=0)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[SimHost]:
    async with SimHost(tmp_path / "edera.sock") as host:
        yield host


async def test_hotplug_stops_reopens_and_reseeds(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, FAST, limit=100)
    other = host.add_zone("other", CAPTURE, FAST, limit=100)
    async with following(host.path, sink):
        await until(lambda: sink.events["one"] == 100 and sink.events["other"] == 100)
        host.hotplug("one")
        await until(lambda: sink.events["one"] == 201)
        assert sink.states["one"] == ["opening", "seeding", "live", "reseeding", "reseeding", "live"]
        assert sink.codes["one"][PPME_CPU_HOTPLUG_E] == 1
        assert sink.gaps["one"] == ["cpu_hotplug"]
        assert (zone.stopped, zone.opened, sink.snapshots["one"]) == (1, 2, 2)
        assert (other.stopped, other.opened, sink.gaps["other"]) == (0, 1, [])


async def test_hotplug_of_many_zones_at_once_loses_no_reseed(host: SimHost) -> None:
    sink = Sink()
    names = [f"z{number}" for number in range(20)]
    for name in names:
        host.add_zone(name, CAPTURE, FAST, limit=20)
    async with following(host.path, sink):
        await until(lambda: all(sink.events[name] == 20 for name in names))
        for name in names:
            host.hotplug(name)
        await until(lambda: all(sink.snapshots[name] == 2 for name in names))
        assert all(sink.state(name) == "live" for name in names)


async def test_what_is_on_its_way_when_a_stream_is_stopped_is_not_lost(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, FAST, limit=50)
    assert zone.feed is not None
    async with following(host.path, sink):
        await until(lambda: sink.events["one"] == 50)
        host.push("one", zone.feed.hotplug(1) + b"".join(zone.feed.event(index) for index in range(30)))
        await until(lambda: sink.snapshots["one"] == 2)
        await until(lambda: sink.events["one"] == 50 + 1 + 30 + 50)


@pytest.mark.parametrize("kind", ["garbage", "empty", "event", "snapshot"])
async def test_a_malformed_reply_is_counted_and_the_zone_reseeds(host: SimHost, kind: str) -> None:
    sink = Sink()
    host.add_zone("bad", CAPTURE, FAST, limit=100)
    good = host.add_zone("good", CAPTURE, FAST, limit=100)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["bad"] == 100 and sink.events["good"] == 100)
        host.malformed("bad", kind)
        await until(lambda: sink.snapshots["bad"] == 2)
        assert sink.refused["bad"] == 1
        assert sink.gaps["bad"] == ["malformed"]
        assert zones.streams[host.zones["bad"].id].counters["fault.malformed"] == 1
        assert sink.states["bad"][3:] == ["reseeding", "reseeding", "live"]
        assert (good.opened, sink.gaps["good"], sink.states["good"]) == (1, [], ["opening", "seeding", "live"])


@pytest.mark.parametrize(
    ("kind", "cause"), [("compressed", "compressed"), ("huge", "message_too_large"), ("huge-snapshot", "snapshot_too_large")]
)
async def test_a_stream_that_cannot_be_cut_is_opened_again(host: SimHost, kind: str, cause: str) -> None:
    sink = Sink()
    host.add_zone("bad", CAPTURE, FAST, limit=100)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["bad"] == 100)
        host.malformed("bad", kind)
        await until(lambda: sink.snapshots["bad"] == 2)
        assert sink.gaps["bad"] == ["unreadable"]
        assert zones.streams[host.zones["bad"].id].counters[f"fault.{cause}"] == 1
        assert sink.states["bad"][3:] == ["backoff", "opening", "seeding", "live"]


async def test_every_kind_of_nonsense_is_tried() -> None:
    assert set(MALFORMED) == {"garbage", "empty", "event", "snapshot", "compressed", "huge", "huge-snapshot"}


async def test_a_stream_that_breaks_off_mid_frame_is_opened_again(host: SimHost) -> None:
    sink = Sink()
    host.add_zone("one", CAPTURE, FAST, limit=100)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["one"] == 100)
        host.cut("one")
        await until(lambda: sink.snapshots["one"] == 2)
        assert sink.gaps["one"] == ["stream_lost"]
        assert zones.streams[host.zones["one"].id].counters["fault.lost"] == 1
        assert sink.refused["one"] == 0, "half a message is no message"


async def test_a_stream_that_ends_is_opened_again(host: SimHost) -> None:
    sink = Sink()
    host.add_zone("one", CAPTURE, FAST, limit=100)
    async with following(host.path, sink):
        await until(lambda: sink.events["one"] == 100)
        host.end("one")
        await until(lambda: sink.snapshots["one"] == 2)
        assert sink.gaps["one"] == ["stream_ended"]


async def test_delays_grow_while_a_stream_keeps_ending(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, Play(speed=0, at_end=AtEnd.END), limit=5)
    async with following(host.path, sink) as zones:
        await until(lambda: zone.opened == 3)
        stream = zones.streams[zone.id]
        starts = [step.at for step in stream.history if step.state.value == "opening"]
        shortest = zonestream.EXIT_GRACE + (1 - JITTER) * FIRST
        assert starts[1] - starts[0] >= shortest
        assert starts[2] - starts[1] >= shortest + (1 - JITTER) * FIRST
        assert stream._backoff.tries == 2


async def test_a_refused_stream_is_tried_again(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, FAST, limit=100)
    zone.refuses = True
    async with following(host.path, sink) as zones:
        await until(lambda: zones.streams and zones.streams[zone.id].counters["fault.refused"] >= 2)
        assert sink.states["one"][:4] == ["opening", "seeding", "backoff", "opening"]
        assert sink.reasons["one"][2] == f"FAILED_PRECONDITION: zone {zone.id} has no agent"
        zone.refuses = False
        await until(lambda: sink.events["one"] == 100)


@pytest.mark.parametrize("state", ["backoff", "quarantined", "seeding", "reseeding"])
async def test_a_zone_exits_in_any_state(host: SimHost, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if state == "quarantined":
        monkeypatch.setattr(zonestream, "MAX_FAULTS", 1)
    sink = Sink()
    zone = host.add_zone("one", None if state == "seeding" else CAPTURE, FAST, limit=10)
    async with following(host.path, sink) as zones:
        if state == "seeding":
            await until(lambda: sink.state("one") == "seeding")
        else:
            await until(lambda: sink.events["one"] == 10)
            if state == "reseeding":
                monkeypatch.setattr(zonestream, "REOPEN_SPACING", 60.0)
                zones.resync(zone.id)
            else:
                zone.refuses = True
                host.malformed("one", "compressed")
            await until(lambda: sink.state("one") == state)
        host.remove_zone("one")
        await until(lambda: sink.gone, 4)
        assert sink.state("one") == "gone"
        assert not zones.streams


async def test_what_the_daemon_does_not_take_in_time_is_given_up(host: SimHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream whose end after Stop does not come."""
    monkeypatch.setattr(zonestream, "DRAIN_TIME", 0.1)
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, Play(speed=0), limit=10)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["one"] == 10)
        host.stall("one")
        zones.resync(zone.id)
        await until(lambda: sink.snapshots["one"] == 2)
        assert zones.streams[zone.id].counters["drain_late"] == 1


async def test_a_snapshot_that_never_comes(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("mute", None)
    host.add_zone("good", CAPTURE, FAST, limit=100)
    async with following(host.path, sink, Settings(reconcile=5, snapshot_timeout=0.2)) as zones:
        await until(lambda: zone.opened >= 2)
        assert sink.gaps["mute"][0] == "snapshot_late"
        assert sink.states["mute"][:4] == ["opening", "seeding", "backoff", "opening"]
        assert zones.streams[zone.id].counters["fault.snapshot_late"] >= 1
        assert sink.state("good") == "live"


async def test_events_without_a_snapshot_do_not_put_it_off(host: SimHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone that sends events all the time but no snapshot is late nevertheless."""
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, Play(speed=0, loop=True))
    assert zone.feed is not None
    monkeypatch.setattr(zone.feed, "snapshot", lambda shift=0: zone.feed.event(0) if zone.feed else b"")
    # feed is final and slotless, so the instance takes the patch
    async with following(host.path, sink, Settings(reconcile=5, snapshot_timeout=0.3)):
        await until(lambda: sink.gaps["one"])
        assert sink.gaps["one"][0] == "snapshot_late"
        assert sink.events["one"] > 100


async def test_a_snapshot_that_stops_half_way(host: SimHost) -> None:
    """A large one is announced and begun on a live stream, and holds its part of the budget; both end in time."""
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, FAST, limit=100)
    async with following(host.path, sink, Settings(reconcile=5, snapshot_timeout=0.4)) as zones:
        await until(lambda: sink.events["one"] == 100)
        host.push("one", b"\0" + (64 << 20).to_bytes(4, "big") + b"\x1a" + b"x" * 1000)
        await until(lambda: zones.streams[zone.id]._reserved == 64 << 20)
        await until(lambda: sink.snapshots["one"] == 2)
        assert sink.gaps["one"] == ["snapshot_late"]
        assert zones._budget._left == zones._budget._total


async def test_faults_without_end_lead_to_quarantine(host: SimHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zonestream, "REOPEN_SPACING", 0.0)
    monkeypatch.setattr(zonestream, "QUARANTINE_FIRST", 2.0)
    sink = Sink()
    zone = host.add_zone("bad", CAPTURE, FAST, limit=10)
    other = host.add_zone("good", CAPTURE, FAST, limit=10)
    with capture_logs() as logs:
        async with following(host.path, sink) as zones:

            async def misbehave() -> None:
                while True:
                    host.malformed("bad")
                    await asyncio.sleep(0.02)

            task = asyncio.create_task(misbehave())
            await until(lambda: sink.state("bad") == "quarantined")
            task.cancel()
            assert sink.reasons["bad"][-1] == "5 faults in 60 s, the last: malformed"
            opened = zone.opened
            await asyncio.sleep(0.3)
            assert zone.opened == opened, "it is left alone"
            await until(lambda: sink.state("bad") == "live", what="it gets another chance")
            assert zones.streams[zone.id].counters["too_many_faults"] == 1
            assert other.opened == 1
    assert any(log["event"] == "zone quarantined" and log["log_level"] == "warning" for log in logs)


async def test_an_operator_ends_backing_off_and_quarantine(host: SimHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zonestream, "MAX_FAULTS", 1)
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, FAST, limit=10)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["one"] == 10)
        host.malformed("one")
        await until(lambda: sink.state("one") == "quarantined")
        assert zones.resync(zone.id, "operator")
        await until(lambda: sink.state("one") == "live")
        assert sink.reasons["one"][-3:] == ["operator", "opened", "snapshot"]
        assert not zones.resync("nobody")


async def test_resync_brings_a_new_snapshot(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, FAST, limit=10)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["one"] == 10)
        zones.resync(zone.id)
        await until(lambda: sink.snapshots["one"] == 2 and sink.state("one") == "live")
        assert zone.stopped == 1


async def test_a_loss_on_our_side_brings_a_new_snapshot(host: SimHost) -> None:
    sink = Sink()
    host.add_zone("one", CAPTURE, FAST, limit=10)
    async with following(host.path, sink):
        await until(lambda: sink.events["one"] == 10)
        sink.lose = True
        host.push("one", MALFORMED["event"][:0] + (host.zones["one"].feed or pytest.fail()).event(0))
        await until(lambda: sink.snapshots["one"] == 2)
        assert sink.gaps["one"] == ["loss"]


async def test_a_bug_in_the_sink_costs_one_snapshot(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, FAST, limit=10)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["one"] == 10)
        sink.fail = True
        host.hotplug("one")
        await until(lambda: sink.snapshots["one"] == 2 and sink.state("one") == "live")
        assert zones.streams[zone.id].counters["fault.internal"] == 1


async def test_an_unasked_snapshot_replaces_everything(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, FAST, limit=10)
    assert zone.feed is not None
    async with following(host.path, sink):
        await until(lambda: sink.events["one"] == 10)
        host.push("one", zone.feed.event(0) + zone.feed.snapshot() + zone.feed.event(1))
        await until(lambda: sink.events["one"] == 12)
        assert sink.snapshots["one"] == 2
        assert sink.states["one"] == ["opening", "seeding", "live", "live"]
        assert not sink.gaps["one"]


async def test_a_snapshot_does_not_heal_a_hotplug_before_it(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, FAST, limit=10)
    assert zone.feed is not None
    async with following(host.path, sink):
        await until(lambda: sink.events["one"] == 10)
        host.push("one", zone.feed.hotplug(1) + zone.feed.snapshot())
        await until(lambda: sink.snapshots["one"] == 3)
        assert sink.states["one"][2:] == ["live", "live", "reseeding", "reseeding", "live"]


async def test_system_calls_are_asked_for_and_changed_on_the_open_stream(host: SimHost) -> None:
    sink = Sink()
    read, write = SYSCALL_NAMES.index(b"read"), SYSCALL_NAMES.index(b"write")
    zone = host.add_zone("one", CAPTURE, Play(speed=0), limit=3000)
    async with following(host.path, sink, Settings(reconcile=5, syscalls=(read,))) as zones:
        await until(lambda: zone.progress.index == 3000)
        assert zone.requests == [(read,)]
        await until(lambda: sink.events["one"] == zone.progress.events > 0)
        assert set(sink.codes["one"]) == {SYSCALL_EXIT_EVENTS[read]}
        zones.set_syscalls((read, write))
        await until(lambda: len(zone.requests) == 2)
        assert zone.requests[1] == (read, write)
        assert zone.opened == 1
        zones.set_syscalls((read, write))
        host.add_zone("later", CAPTURE, FAST, limit=10)
        await until(lambda: host.zones["later"].requests)
        assert host.zones["later"].requests == [(read, write)]
        assert len(zone.requests) == 2


async def test_a_slow_snapshot_stops_its_own_zone_only(host: SimHost) -> None:
    sink = Sink()
    sink.slow = 0.5
    host.add_zone("one", CAPTURE, FAST, limit=100)
    async with following(host.path, sink):
        await until(lambda: sink.names)
        await until(lambda: sink.events["one"] == 100)
        host.add_zone("two", CAPTURE, FAST, limit=100)
        await until(lambda: sink.state("two") == "seeding")
        host.push("one", (host.zones["one"].feed or pytest.fail()).event(0))
        await until(lambda: sink.events["one"] == 101, 0.3)
        assert sink.events["two"] == 0, "events wait for the snapshot before them"
        await until(lambda: sink.events["two"] == 100)


async def test_history_says_what_happened_and_why(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, FAST, limit=10)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["one"] == 10)
        host.cut("one")
        await until(lambda: sink.snapshots["one"] == 2)
        stream = zones.streams[zone.id]
        assert [(step.event.value, step.state.value) for step in stream.history] == [
            ("start", "opening"), ("opened", "seeding"), ("snapshot", "live"), ("stream_lost", "backoff"),
            ("time_is_up", "opening"), ("opened", "seeding"), ("snapshot", "live"),
        ]  # fmt: skip
        assert "reset" in stream.history[3].reason
        assert stream.history[0].at <= stream.history[-1].at == stream.since


async def test_the_budget_of_snapshots_is_shared() -> None:
    budget = SnapshotBudget(100)
    await budget.take(60)
    waiting = asyncio.create_task(budget.take(60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    await budget.give(60)
    await waiting
    await budget.give(60)
    await budget.take(1000)  # more than all: all
    await budget.give(1000)
    assert budget._left == 100


async def test_what_is_asked_while_a_snapshot_is_imported_is_done_behind_it(host: SimHost) -> None:
    """Although the zone then has nothing to send that would wake its stream."""
    sink = Sink()
    sink.slow = 0.3
    zone = host.add_zone("one", CAPTURE, FAST, limit=1)
    async with following(host.path, sink) as zones:
        await until(lambda: zones.streams)
        (stream,) = zones.streams.values()
        await until(lambda: sink.events["one"] == 1)
        stream.resync("a test")  # a snapshot, and nothing behind it that would wake the stream
        await until(lambda: len(zone.requests) == 2 and stream._handing and not (stream._call or pytest.fail()).readable)
        zones.set_syscalls((3, 59))
        await until(lambda: zone.requests[2:] == [(3, 59)])
        assert stream.state.value == "live"


async def test_a_zone_whose_snapshot_is_being_imported_is_not_unread(host: SimHost) -> None:
    """However long that takes: what comes behind it waits for it, and the watchdog need not bark (ops/health.py)."""
    sink = Sink()
    sink.slow = 0.5
    host.add_zone("one", CAPTURE, FAST, limit=100)
    async with following(host.path, sink) as zones:
        await until(lambda: zones.streams)
        (stream,) = zones.streams.values()
        await until(lambda: stream._handing)
        host.push("one", (host.zones["one"].feed or pytest.fail()).event(0))
        await until(lambda: stream._call is not None and stream._call.readable, 0.4)
        assert stream._handing and not stream.readable
        await until(lambda: sink.events["one"] == 101)
        assert not stream._handing


class Slow(Sink):
    """Each piece takes longer than a zone's turn, as long as ``slow_pieces`` are left. ``pieces``: how large they were."""

    def __init__(self) -> None:
        super().__init__()
        self.slow_pieces = 0
        self.pieces: list[int] = []

    def messages(self, zone_id: str, batch: list[bytes], start: int, stop: int) -> tuple[int, Verdict]:
        self.pieces.append(stop - start)
        if self.slow_pieces:
            self.slow_pieces -= 1
            time.sleep(pace.SLICE)
        return super().messages(zone_id, batch, start, stop)


@contextlib.asynccontextmanager
async def one_event(host: SimHost, sink: Sink) -> AsyncIterator[tuple[ZoneStream, bytes]]:
    """The stream of a zone of which one event was handed on, and that event, to be sent again."""
    host.add_zone("one", CAPTURE, FAST, limit=1)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["one"] == 1)
        (stream,) = zones.streams.values()
        yield stream, (host.zones["one"].feed or pytest.fail()).event(0)


async def test_events_that_take_long_are_handed_on_in_smaller_pieces(host: SimHost) -> None:
    """So that others have their turn between them; and in larger ones again when they do not."""
    sink = Slow()
    async with one_event(host, sink) as (stream, event):
        sink.pieces.clear()
        sink.slow_pieces = 12
        turns = 0
        host.push("one", event * 400)
        while sink.events["one"] < 401:
            turns += sink.slow_pieces > 0
            await asyncio.sleep(0)
        sizes = [pace.MAX_PACE >> halved for halved in range(6)]
        assert sorted(set(sink.pieces) & set(sizes), reverse=True) == sizes and 1 in sink.pieces
        assert turns >= 10, "others run between two pieces"
        assert sum(sink.pieces) >= 400 and stream._pace.next == pace.MAX_PACE


class Keeping(Sink):
    """Keeps what comes for a consumer, ``size`` bytes of each event. ``consume``: who takes all that waits whenever it has its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self.kept = 0
        self.most = 0
        self.pieces: list[int] = []

    def messages(self, zone_id: str, batch: list[bytes], start: int, stop: int) -> tuple[int, Verdict]:
        self.pieces.append(stop - start)
        self.kept += self.size * (stop - start)
        self.most = max(self.most, self.kept)
        return super().messages(zone_id, batch, start, stop)

    def held(self, zone_id: str) -> int:
        return self.kept

    async def consume(self) -> None:
        while True:
            self.kept = 0
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def consumed(sink: Keeping) -> AsyncIterator[None]:
    task = asyncio.create_task(sink.consume())
    try:
        yield
    finally:
        task.cancel()


async def test_a_zone_of_which_much_is_made_leaves_consumers_their_turn(host: SimHost) -> None:
    sink = Keeping()
    async with one_event(host, sink) as (stream, event), consumed(sink):
        sink.size = pace.PORTION // 8
        sink.pieces.clear()
        host.push("one", event * 400)
        await until(lambda: sink.events["one"] == 401)
    assert min(sink.pieces) <= 4 and stream._pace.next <= 8
    assert sink.most <= (pace.MAX_PACE + 2) * sink.size, "but for the first piece, of which nobody could know"


async def test_a_zone_waits_for_no_consumer(host: SimHost) -> None:
    sink = Keeping()
    async with one_event(host, sink) as (stream, event):
        sink.size = pace.PORTION // 8
        sink.pieces.clear()
        host.push("one", event * 400)
        await until(lambda: sink.events["one"] == 401)
    assert min(sink.pieces) <= 4 and stream._pace.next <= 8
    assert sink.kept == 400 * sink.size


async def test_a_zone_of_which_little_is_made_is_not_cut_small(host: SimHost) -> None:
    sink = Keeping()
    sink.size = 1
    host.add_zone("one", CAPTURE, FAST, limit=200)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["one"] == 200)
        (stream,) = zones.streams.values()
        assert stream._pace.next >= pace.MAX_PACE // 2 and max(sink.pieces) > 1
