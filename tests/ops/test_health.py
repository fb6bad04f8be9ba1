"""Liveness is fed by real progress: what the service manager hears of a daemon that works, and of one whose pipeline stands still."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edera_falcod.edera.lifecycle import State
from edera_falcod.edera.zonestream import ZoneStream
from edera_falcod.falco.batch import Batcher
from edera_falcod.ops import health
from tests.daemon.support import CAPTURE, FAST, World, consuming, until


class Manager:
    """A service manager's end of NOTIFY_SOCKET."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, watchdog: float) -> None:
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(self.path)
        self.said: list[str] = []
        monkeypatch.setenv("NOTIFY_SOCKET", self.path)
        monkeypatch.setenv("WATCHDOG_USEC", str(int(watchdog * 1e6)))
        monkeypatch.delenv("WATCHDOG_PID", raising=False)

    def hear(self) -> list[str]:
        """All lines so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.said += self.socket.recv(4096).decode().splitlines()
        return self.said

    def fed(self) -> int:
        return self.hear().count("WATCHDOG=1")


@contextlib.asynccontextmanager
async def managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[World, Manager]]:
    """A daemon that ticks fast, with a service manager."""
    monkeypatch.setattr("edera_falcod.daemon.TICK", 0.05)
    monkeypatch.setattr(health, "STALL", 0.5)
    manager = Manager(tmp_path, monkeypatch, 0.2)
    one = World(tmp_path)
    with manager.socket:
        async with one.host:
            running = asyncio.create_task(one.daemon.run())
            try:
                await one.daemon.ready.wait()
                yield one, manager
            finally:
                one.daemon.stop.set()
                await running
                manager.hear()


async def test_a_daemon_that_works_is_fed_and_says_how_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with managed(tmp_path, monkeypatch) as (one, manager):
        one.host.add_zone("a", CAPTURE, FAST, limit=50)
        async with consuming(one):
            await until(lambda: "STATUS=Edera up, 1 of 1 zones live, 1 consumers" in manager.hear())
            before = manager.fed()
            await until(lambda: manager.fed() > before + 2)
            assert one.daemon.watch.live
    assert manager.said.index("READY=1") < manager.said.index("STOPPING=1")


async def test_idle_zones_are_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with managed(tmp_path, monkeypatch) as (one, manager):
        one.host.add_zone("a", CAPTURE, FAST, limit=5)
        await until(lambda: one.host.zones["a"].opened)
        await asyncio.sleep(1.0)
        before = manager.fed()
        await until(lambda: manager.fed() > before)
        assert one.daemon.watch.stuck == []


async def test_a_pipeline_that_stands_still_is_no_longer_fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop runs on, only what zones send is not read: a timer would not notice."""
    stuck = asyncio.Event()
    hand = ZoneStream._hand

    async def hang(stream: ZoneStream, messages: list[bytes]) -> object:
        if stuck.is_set() and messages:
            await asyncio.sleep(3600)
        return await hand(stream, messages)

    monkeypatch.setattr(ZoneStream, "_hand", hang)
    async with managed(tmp_path, monkeypatch) as (one, manager):
        zone = one.host.add_zone("a", CAPTURE, FAST, limit=20)
        await until(lambda: one.daemon.pipelines.by_id and one.account("a").received >= 20)
        stuck.set()
        assert zone.feed is not None
        one.host.push("a", zone.feed.event(0, 0))
        await asyncio.sleep(0.1)
        one.host.push("a", zone.feed.event(0, 0))  # lies there unread
        await until(lambda: not one.daemon.watch.live)
        assert one.daemon.watch.stuck[0].startswith("zone a: what it sent has not been read for ")
        await until(lambda: "zone a: what it sent" in [line for line in manager.hear() if line.startswith("STATUS=")][-1])
        before = manager.fed()
        await asyncio.sleep(0.5)
        assert manager.fed() == before
        report = one.daemon.watch.report(time.time())
        assert not report.live and not report.ready
        assert any("has not been read" in text for text in one.daemon.view().stuck)
        one.host.remove_zone("a")
        stuck.clear()
        for task in asyncio.all_tasks():
            if task.get_name() == f"zone {zone.id}":
                task.cancel()
        await until(lambda: one.daemon.watch.live)


async def test_a_consumer_that_is_not_served_is_noticed_one_that_does_not_read_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = True
    real = Batcher.next
    monkeypatch.setattr(Batcher, "next", lambda batcher: real(batcher) if served else b"")
    async with managed(tmp_path, monkeypatch) as (one, _):
        zone = one.host.add_zone("a", CAPTURE, FAST, limit=20)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 20)
            served = False
            assert zone.feed is not None
            one.host.push("a", zone.feed.event(0, 0))
            await until(lambda: not one.daemon.watch.live)
            assert "consumer falco" in one.daemon.watch.stuck[0]
            served = True
            (link,) = one.daemon.server.links
            link._flush()
            await until(lambda: one.daemon.watch.live)
            link.pause_writing()
            one.host.push("a", zone.feed.event(0, 0))
            await asyncio.sleep(1.0)
            assert one.daemon.watch.live and one.daemon.watch.stuck == []
            link.resume_writing()


async def test_a_link_that_is_up_and_lists_nothing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LIST_STALL", -0.5)  # beside the interval, 1 s here
    async with managed(tmp_path, monkeypatch) as (one, _):
        await until(lambda: one.daemon.zones.link.value == "up")
        one.daemon.watch.reconcile = 1.0
        hanging: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(type(one.daemon.zones), "_reconcile", lambda *_: hanging)
        await until(lambda: not one.daemon.watch.live)
        assert "the zones have not been listed for" in one.daemon.watch.stuck[0]
        hanging.cancel()


async def test_a_zone_that_is_to_blame_itself_does_not_make_us_unready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with managed(tmp_path, monkeypatch) as (one, _):
        one.host.add_zone("a", CAPTURE, FAST, limit=5)
        await until(lambda: one.daemon.pipelines.by_id and one.account("a").received >= 5)
        (stream,) = one.daemon.zones.streams.values()
        for state, ready in (("SEEDING", False), ("QUARANTINED", True), ("BACKOFF", True), ("LIVE", True)):
            monkeypatch.setattr(stream, "state", State[state])
            report = one.daemon.watch.report(stream.since)
            assert report.ready is ready
            assert report.zones[0].ready is (state == "LIVE")
        monkeypatch.setattr(stream, "state", State.SEEDING)
        assert one.daemon.watch.report(stream.since + 1000).ready  # it has had its time


def test_a_process_as_systemd_starts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager(tmp_path, monkeypatch, 4.0)
    manager.socket.settimeout(10)
    command = [sys.executable, "-m", "edera_falcod", "run", "--edera-socket", str(tmp_path / "edera.sock")]
    command += ["--socket", str(tmp_path / "falco.sock"), "--ctl-socket", str(tmp_path / "ctl.sock")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=dict(os.environ))
    with manager.socket:
        said = ""
        while "WATCHDOG=1" not in said:
            said += manager.socket.recv(4096).decode() + "\n"
        assert "READY=1" in said
        assert "STATUS=Edera down, 0 of 0 zones live, 0 consumers" in said
        process.send_signal(signal.SIGTERM)
        while "STOPPING=1" not in said:
            said += manager.socket.recv(4096).decode() + "\n"
        assert process.wait(20) == 0
