"""What the simulated host sends and when, read over real gRPC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edera_falcod.edera.control import monitor_stop, monitor_update
from edera_falcod.edera.transport import Lost, Refused
from edera_falcod.scap.tables import SYSCALL_EXIT_EVENTS, SYSCALL_NAMES
from edera_falcod.sim.host import SimHost
from edera_falcod.sim.player import AtEnd, Play, Reopen

from .support import CAPTURE, Reader


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[SimHost]:
    async with SimHost(tmp_path / "edera.sock") as host:
        yield host


async def test_a_snapshot_then_all_events_then_silence(host: SimHost) -> None:
    zone = host.add_zone("z", CAPTURE, Play(speed=0))
    assert zone.feed is not None
    async with Reader(host, "z") as reader:
        await reader.read(len(zone.feed))
        assert reader.order == ["S", *[zone.feed.time(index) for index in range(len(zone.feed))]]
        with pytest.raises(TimeoutError):
            await reader.read(10**9, 0.1)
        assert not reader.call.ended
        await reader.call.send(monitor_stop(zone.id), end=True)
        await reader.read(10**9)
        reader.call.status()
    assert (zone.opened, zone.stopped, zone.players) == (1, 1, [])


async def test_many_messages_to_a_frame_as_tonic_does(host: SimHost) -> None:
    host.add_zone("z", CAPTURE, Play(speed=0), limit=3000)
    async with Reader(host, "z") as reader:
        await reader.read(3000)
        assert max(reader.frames) == 16384
        assert len(reader.frames) < 120


async def test_one_message_to_a_frame(host: SimHost) -> None:
    zone = host.add_zone("z", CAPTURE, Play(speed=0, single=True), limit=3000)
    assert zone.feed is not None
    async with Reader(host, "z") as reader:
        await reader.read(3000)
        assert reader.frames[-3000:] == [len(zone.feed.event(index)) for index in range(3000)]


async def test_paces(host: SimHost) -> None:
    zone = host.add_zone("z", CAPTURE, Play(speed=0), limit=2000)
    assert zone.feed is not None
    recorded = (zone.feed.last - zone.feed.first) / 1e9
    speed = recorded / 0.6
    host.add_zone("paced", CAPTURE, Play(speed=speed), limit=2000)
    began = time.monotonic()
    async with Reader(host, "paced") as reader:
        await reader.read(1)
        await reader.read(2000)
    assert 0.5 < time.monotonic() - began < 2.0
    began = time.monotonic()
    async with Reader(host, "z") as reader:
        await reader.read(2000)
    assert time.monotonic() - began < 0.5


async def test_a_loop_has_fresh_snapshots_and_later_times(host: SimHost) -> None:
    zone = host.add_zone("z", CAPTURE, Play(speed=0, loop=True), limit=50)
    assert zone.feed is not None
    async with Reader(host, "z") as reader:
        await reader.read(170)
        assert [index for index, what in enumerate(reader.order) if what == "S"][:4] == [0, 51, 102, 153]
        times = [event.ts for event in reader.events]
        lap = zone.feed.last - zone.feed.first + 10**9
        assert [b - a for a, b in zip(times[:50], times[50:100], strict=True)] == [lap] * 50
        assert reader.boots[1] - reader.boots[0] == lap


@pytest.mark.parametrize("reopen", list(Reopen))
async def test_a_stream_that_is_opened_again(host: SimHost, reopen: Reopen) -> None:
    zone = host.add_zone("z", CAPTURE, Play(speed=0, reopen=reopen), limit=100)
    assert zone.feed is not None
    async with Reader(host, "z") as first:
        await first.read(100)
    async with Reader(host, "z") as second:
        if reopen is Reopen.RESTART:
            await second.read(100)
            assert second.order[0] == "S"
            assert second.events[0].ts > first.events[-1].ts
            assert len(second.events) == 100
        else:
            with pytest.raises(TimeoutError):
                await second.read(1, 0.2)
            assert second.order == ["S"]


@pytest.mark.parametrize("at_end", [AtEnd.END, AtEnd.EXIT])
async def test_what_follows_the_end(host: SimHost, at_end: AtEnd) -> None:
    host.add_zone("z", CAPTURE, Play(speed=0, at_end=at_end), limit=20)
    async with Reader(host, "z") as reader:
        await reader.read(10**9)
        assert len(reader.events) == 20
        reader.call.status()
    assert ("z" in host.zones) == (at_end is AtEnd.END)


async def test_only_what_was_asked_for(host: SimHost) -> None:
    zone = host.add_zone("z", CAPTURE, Play(speed=0))
    close = SYSCALL_NAMES.index(b"close")
    async with Reader(host, "z", (close,)) as reader:
        await asyncio.sleep(0)
        while zone.progress.index < len(zone.feed or ()):
            await reader.read(len(reader.events) + 1)
        reader.take()
        assert {event.code for event in reader.events} == {SYSCALL_EXIT_EVENTS[close]}


async def test_an_update_counts_from_then_on(host: SimHost) -> None:
    zone = host.add_zone("z", CAPTURE, Play(speed=0, loop=True), limit=200)
    close = SYSCALL_NAMES.index(b"close")
    async with Reader(host, "z") as reader:
        await reader.read(1000)
        await reader.call.send(monitor_update(zone.id, (close,)))
        while zone.requests[-1] != (close,):
            await reader.read(len(reader.events) + 1)
        await reader.read(len(reader.events) + 10_000, 40)
        assert {event.code for event in reader.events[-50:]} == {SYSCALL_EXIT_EVENTS[close]}


async def test_refusals(host: SimHost) -> None:
    zone = host.add_zone("z", CAPTURE, Play(speed=0), limit=1)
    for request, text in (
        (monitor_update("nobody", ()), "NOT_FOUND: zone nobody not found"),
        (monitor_stop(zone.id), "INVALID_ARGUMENT: the first request must be an update"),
    ):
        reader = Reader(host, "z")
        reader.request = request
        async with reader:
            await reader.read(1)
            with pytest.raises(Refused, match=text):
                reader.call.status()


async def test_stall_and_resume(host: SimHost) -> None:
    host.add_zone("z", CAPTURE, Play(speed=0, loop=True), limit=100)
    async with Reader(host, "z") as reader:
        await reader.read(500)
        host.stall("z")
        with pytest.raises(TimeoutError):
            await reader.read(10**9, 0.3)
        count = len(reader.events)
        with pytest.raises(TimeoutError):
            await reader.read(10**9, 0.1)
        assert len(reader.events) == count
        host.resume("z")
        await reader.read(count + 500)


async def test_a_stream_is_cut_inside_a_message(host: SimHost) -> None:
    host.add_zone("z", CAPTURE, Play(speed=0), limit=100)
    async with Reader(host, "z") as reader:
        await reader.read(100)
        host.cut("z")
        await reader.read(10**9)
        assert reader.splitter.pending > 5
        with pytest.raises(Lost, match="reset"):
            reader.call.status()


async def test_a_host_that_is_shut_down_ends_what_it_has_begun(host: SimHost) -> None:
    """Whoever reads to the end gets every event that was counted as sent, and no stream is opened any more."""
    host.add_zone("web", CAPTURE, Play(speed=0, loop=True))
    host.add_zone("stalled", CAPTURE, Play(speed=0))
    async with Reader(host, "web") as reader, Reader(host, "stalled") as stalled:
        await reader.read(100)
        await stalled.read(1)
        host.stall("stalled")
        draining = asyncio.create_task(host.drain(10))
        await reader.read(1 << 30)
        await draining
        assert len(reader.events) == host.zones["web"].progress.events
        reader.call.status()
        async with Reader(host, "web") as late:
            await late.read(1)
            with pytest.raises(Refused, match="UNAVAILABLE"):
                late.call.status()
    await host.stop()
    await host.start()
    async with Reader(host, "web") as again:
        await again.read(1)


async def test_stop_and_start(host: SimHost) -> None:
    host.add_zone("z", CAPTURE, Play(speed=0), limit=10)
    async with Reader(host, "z") as reader:
        await reader.read(10)
        await host.stop()
        assert not host.running and not host.path.exists()
        await reader.read(10**9)
        with pytest.raises(Lost):
            reader.call.status()
    await host.restart(0.01)
    async with Reader(host, "z") as reader:
        await reader.read(10)
    await host.stop()
    await host.stop()


async def test_names_are_used_once(host: SimHost) -> None:
    host.add_zone("z", None)
    with pytest.raises(ValueError, match="already a zone named z"):
        host.add_zone("z", None)


async def test_times_are_of_now_where_that_is_asked_for(host: SimHost) -> None:
    """Of each event, lap after lap; and later for each event, as before."""
    began = time.time_ns()
    host.add_zone("z", CAPTURE, Play(speed=0.5, loop=True, now=True), limit=100)
    async with Reader(host, "z") as reader:
        await reader.read(250)
    times = [event.ts for event in reader.events]
    assert times == sorted(times)
    assert began <= times[0] and times[-1] <= time.time_ns() + 100_000_000  # what is due within a tick goes together
