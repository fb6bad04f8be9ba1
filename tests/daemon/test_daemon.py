"""The whole daemon: what zones send is what consumers get, whatever happens on either side."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edera_falcod.falco import notices
from edera_falcod.falco.listener import ListenError
from edera_falcod.fields.record import Encoder, Record
from edera_falcod.pipeline import ZonePipeline
from edera_falcod.rules.syscalls import codes_by_type
from edera_falcod.scap.capture import read_capture
from edera_falcod.scap.event import Event
from edera_falcod.sim.player import AtEnd, Play, Reopen
from edera_falcod.state.block import Block
from tests.support.debug import said

from .support import CAPTURE, DATA, FAST, World, consuming, until, world


def recorded(path: Path, limit: int) -> list[tuple[int, int]]:
    """(ts, tid) of a capture's events."""
    with path.open("rb") as stream:
        return [(event.ts, event.tid) for event in itertools.islice(read_capture(stream).events(), limit)]


async def test_served_events_are_the_captures_in_order(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("net", CAPTURE, FAST, limit=1500)
        one.host.add_zone("attack", DATA / "attack1.scap", FAST, limit=1200)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 2700)
            assert consumer.of("net") == recorded(CAPTURE, 1500)
            assert consumer.of("attack") == recorded(DATA / "attack1.scap", 1200)
            assert consumer.seqs == list(range(1, one.daemon.ring.head + 1))
            assert consumer.notices.count((notices.ZONE_DISCOVERED, "")) == 2
            assert consumer.notices.count((notices.ZONE_LIVE, "")) == 2
            assert not any(consumer.tainted)


async def test_events_are_kept_for_a_consumer_that_comes_later(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("net", CAPTURE, FAST, limit=400)
        await until(lambda: one.host.zones["net"].id in one.daemon.pipelines.by_id and one.account("net").received == 400 + 2)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 400)
        async with consuming(one, "late") as late:
            one.host.add_zone("more", CAPTURE, FAST, limit=10)
            await until(lambda: len(late.events) == 10)
            assert late.of("net") == []


async def test_what_a_consumer_had_not_acknowledged_comes_again(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("net", CAPTURE, FAST, limit=1000)
        client = one.client(acknowledge=False)
        await client.connect()
        seen = 0
        while seen < 500:
            seen += len(await client.next())
        client.ack(300)
        await until(lambda: one.daemon.ring.consumers["falco"].acknowledged == 300)
        await client.close()
        await until(lambda: not one.daemon.ring.consumers["falco"].attached)
        async with consuming(one) as again:
            await until(lambda: again.seqs and again.seqs[-1] >= 1000)
            assert again.seqs == list(range(301, again.seqs[-1] + 1))
            assert again.redelivered[0] == 301
            assert again.redelivered == list(range(301, 301 + len(again.redelivered)))
            assert len(again.redelivered) >= seen - 300


async def test_a_malformed_reply_costs_only_its_own_zone_a_reseed(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("bad", CAPTURE, Play(speed=0, reopen=Reopen.CONTINUE), limit=300)
        one.host.add_zone("good", CAPTURE, FAST, limit=300)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 600)
            one.host.malformed("bad")
            await until(lambda: (notices.ZONE_RESEEDED, "reseeding") in consumer.notices)
            assert (notices.GAP, "malformed") in consumer.notices
            assert sum(one.account("bad").undecodable.values()) == 1
            assert one.account("good").undecodable == {}
            assert one.host.zones["good"].opened == 1
            assert one.host.zones["bad"].opened == 2
            assert not one.daemon.pipelines.by_id[one.host.zones["bad"].id].tainted


async def test_an_event_type_that_we_do_not_know_is_counted_and_no_more(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("new", CAPTURE, FAST, limit=50)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 50)
            one.host.malformed("new", "event")
            one.host.malformed("new", "empty")
            await until(lambda: one.account("new").undecodable == {"unknown_event": 1, "empty": 1})
            assert one.host.zones["new"].opened == 1
            assert one.account("new").received == 52 + 2


async def test_an_error_of_our_own_stays_with_its_event_and_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    class Failing:
        """An encoder that fails at the 10th and 20th event that it is given."""

        def __init__(self, *args: Any) -> None:
            self._real = Encoder(*args)
            self.zone_block: Block | None = None

        def encode(self, event: Event) -> Record:
            self._real.zone_block = self.zone_block
            calls.append(event.code)
            if len(calls) in (10, 20):
                raise RuntimeError("a bug")
            return self._real.encode(event)

    monkeypatch.setattr("edera_falcod.pipeline.Encoder", Failing)
    async with world(tmp_path) as one:
        one.host.add_zone("a", CAPTURE, Play(speed=0, reopen=Reopen.CONTINUE), limit=200)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 198)
            assert one.account("a").undecodable == {"internal": 2}
            await until(lambda: one.host.zones["a"].opened == 2)  # once: the second fault came too soon after the first
            one.host.add_zone("b", CAPTURE, FAST, limit=200)
            await until(lambda: len(consumer.of("b")) == 200)
            assert one.host.zones["a"].opened == 2


async def test_after_a_gap_events_are_tainted_until_the_next_snapshot(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        zone = one.host.add_zone("cut", CAPTURE, Play(speed=0, reopen=Reopen.CONTINUE), limit=200)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 200)
            pipeline = one.daemon.pipelines.by_id[zone.id]
            assert not pipeline.tainted
            one.host.cut("cut")
            await until(lambda: pipeline.tainted)
            assert zone.feed is not None
            await until(lambda: zone.players)
            await until(lambda: not pipeline.tainted)
            one.host.push("cut", zone.feed.event(0, 0))
            await until(lambda: len(consumer.events) == 201)
            assert consumer.tainted[-1] is False
            assert [kind for kind, _ in consumer.notices] == [
                notices.ZONE_DISCOVERED, notices.ZONE_LIVE, notices.GAP, notices.ZONE_RESEEDED,
            ]  # fmt: skip


async def test_a_zones_last_events_come_before_it_is_gone(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        zone = one.host.add_zone("brief", CAPTURE, Play(speed=0, at_end=AtEnd.EXIT), limit=700)
        async with consuming(one) as consumer:
            await until(lambda: any(kind == notices.ZONE_GONE for kind, _ in consumer.notices))
            assert consumer.of("brief") == recorded(CAPTURE, 700)
            assert consumer.seqs == list(range(1, 700 + 4))
            assert zone.id not in one.daemon.pipelines.by_id
            assert one.daemon.ring.zones[1].gone


async def test_notices_can_be_switched_off(tmp_path: Path) -> None:
    async with world(tmp_path, notices=False) as one:
        one.host.add_zone("quiet", CAPTURE, FAST, limit=20)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 20)
            assert consumer.notices == []
            assert one.daemon.ring.head == 20


async def test_the_mirrored_set_reaches_the_zones(tmp_path: Path) -> None:
    one = World(tmp_path)
    one.daemon.syscalls.configure("mirror", ())
    exits = codes_by_type()["procexit"]  # no system call, so in no driver's table; state needs it
    async with one.host:
        one.host.add_zone("z", CAPTURE, FAST, limit=20)
        running = asyncio.create_task(one.daemon.run())
        await one.daemon.ready.wait()
        asked = one.host.zones["z"].requests
        await until(lambda: asked == [()])
        client = one.client()
        await client.connect([59, 3, 2])
        await until(lambda: asked == [(), tuple(sorted((2, 3, 59, *exits)))])
        client.mirror([3])
        await until(lambda: asked[2:] == [tuple(sorted((3, *exits)))])
        await client.close()
        await asyncio.sleep(0.05)
        assert len(asked) == 3  # a Falco that restarts wants the same again
        one.daemon.stop.set()
        await running


async def test_a_daemon_that_cannot_have_its_socket_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        second = World(tmp_path)
        with pytest.raises(ListenError, match="another edera-falcod listens there"):
            await second.daemon.run()
        async with consuming(one):
            pass
    (tmp_path / "ctl.sock").write_text("in the way")
    third = World(tmp_path)
    with pytest.raises(ListenError, match="not a socket"):
        await third.daemon.run()
    (tmp_path / "ctl.sock").unlink()
    assert os.listdir(tmp_path) == []


async def test_a_large_snapshot_lets_other_zones_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one zone's snapshot is imported in slices, another zone's events are served."""
    monkeypatch.setattr("edera_falcod.pipeline.SLICE", 0.0)
    order: list[str] = []
    snapshot = ZonePipeline.snapshot

    async def slow(pipeline: ZonePipeline, message: bytes) -> object:
        order.append(f"{pipeline.info.name} begins")
        found = await snapshot(pipeline, message)
        order.append(f"{pipeline.info.name} ends")
        return found

    monkeypatch.setattr(ZonePipeline, "snapshot", slow)
    async with world(tmp_path) as one:
        for number in range(4):
            one.host.add_zone(f"z{number}", CAPTURE, FAST, limit=10)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 40)
    begun = [place for place, what in enumerate(order) if what.endswith("begins")]
    first_end = min(place for place, what in enumerate(order) if what.endswith("ends"))
    assert sum(1 for place in begun if place < first_end) > 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_the_process_cleanly(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "edera_falcod", "run", "--edera-socket", str(tmp_path / "edera.sock")]
    command += ["--socket", str(tmp_path / "falco.sock"), "--ctl-socket", str(tmp_path / "ctl.sock"), "--set", "log.format=json"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = (line for line in process.stderr if said(line))
    assert '"event": "listening"' in next(lines)
    assert '"event": "waiting for the Edera daemon"' in next(lines)
    process.send_signal(number)
    _, rest = process.communicate(timeout=20)
    assert process.returncode == 0
    assert '"event": "stopped"' in rest
    assert os.listdir(tmp_path) == []


def test_hangup_reloads_what_it_can(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    sockets = f'[edera]\nsocket="{tmp_path}/e"\n[falco]\nsocket="{tmp_path}/f"\n[ctl]\nsocket="{tmp_path}/c"\n'
    config.write_text(sockets)
    process = subprocess.Popen([sys.executable, "-m", "edera_falcod", "run", "-c", str(config)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "listening" in next(line for line in process.stderr if said(line))
    config.write_text(sockets + '[buffer]\nage = "1h"\n[log]\nlevel = "debug"\n')
    process.send_signal(signal.SIGHUP)
    line = next(line for line in process.stderr if '"configuration ' in line)
    assert "buffer.age" in line
    config.write_text("[buffer]\nage = 0\n")
    process.send_signal(signal.SIGHUP)
    line = next(line for line in process.stderr if '"configuration ' in line)
    assert "buffer.age = 0: must be" in line
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 0
