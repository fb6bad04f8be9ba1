"""Connections that break anywhere, consumers that restart at any time: nothing is missing without a word, nothing comes twice within
what was acknowledged, nothing out of order, and the counters add up."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from edera_falcod.falco import frames
from edera_falcod.falco.client import Client, ClientRefused, Disconnected
from edera_falcod.falco.ring import Ring

from ..support.proxy import Cut, proxied
from .records import block
from .test_server import FIELDS, Daemon, collect, prefix_hash, running, until

LOST = (Disconnected, OSError, TimeoutError, frames.FrameError)


def client(path: Path, acknowledge: bool = True) -> Client:
    return Client(str(path), "falco", FIELDS, prefix_hash, "1.1", acknowledge=acknowledge)


async def free(daemon: Daemon) -> None:
    await until(lambda: not daemon.ring.consumers["falco"].attached)


def boundaries(stream: bytes) -> list[int]:
    """Where the frames of a recorded conversation begin and end."""
    found = [0]
    while found[-1] < len(stream):
        length = frames.HEADER.unpack_from(stream, found[-1])[0]
        found.append(found[-1] + frames.HEADER_SIZE + length)
    return found


async def test_cut_at_every_frame_boundary_and_at_random_bytes(tmp_path: Path) -> None:
    choose = random.Random(20261124)
    ring = Ring()
    ring.declare("falco")
    async with running(tmp_path, ring) as daemon, proxied(tmp_path / "proxy.sock", Path(daemon.path)) as proxy:

        def batch() -> None:
            for _ in range(12):
                parent = block(b"p" * choose.randrange(200))
                daemon.put(choose.randrange(1, 30), b"x" * choose.randrange(300), (block(b"t", (parent,)),))

        batch()
        whole = client(proxy.path)
        await whole.connect()
        await collect(whole, ring.head)
        await whole.close()
        await free(daemon)
        passed = bytes(proxy.recorded[0].down)
        cuts = boundaries(passed)
        assert len(cuts) > 2 and cuts[-1] == len(passed)
        cuts += [choose.randrange(1, len(passed)) for _ in range(60)]
        for cut in cuts:
            batch()
            proxy.arm(Cut(0, True, max(cut, 1)))
            broken = client(proxy.path)
            try:
                welcome = await broken.connect()
                assert welcome.acknowledged == ring.consumers["falco"].acknowledged
                last = welcome.acknowledged
                while True:
                    for event in await broken.next():
                        assert event.seq == last + 1
                        last = event.seq
            except LOST:
                pass
            finally:
                await broken.close()
            await free(daemon)
            assert ring.verify() == []
            assert broken.missing == 0
            if choose.random() < 0.2:  # some progress in between
                proxy.disarm()
                good = client(proxy.path)
                await good.connect()
                await collect(good, ring.head - ring.consumers["falco"].acknowledged)
                good.ack(choose.randrange(ring.consumers["falco"].acknowledged + 1, ring.head + 1))
                await good.close()
                await free(daemon)
        proxy.disarm()
        final = client(proxy.path)
        await final.connect()
        first = ring.consumers["falco"].acknowledged + 1
        assert await collect(final, ring.head + 1 - first) == list(range(first, ring.head + 1))
        assert final.missing == final.shed == 0
        await final.close()
        await free(daemon)


async def test_trickling_bytes_change_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon, proxied(tmp_path / "proxy.sock", Path(daemon.path)) as proxy:
        proxy.chunk = 3
        slow = client(proxy.path)
        await slow.connect()
        daemon.put(100, b"x" * 50, (block(b"t" * 100),))
        assert await collect(slow, 100) == list(range(1, 101))
        await slow.close()


async def test_a_stall_sheds_and_tells_and_ends(tmp_path: Path) -> None:
    ring = Ring(budget=1 << 20)
    async with running(tmp_path, ring) as daemon, proxied(tmp_path / "proxy.sock", Path(daemon.path)) as proxy:
        stalled = client(proxy.path)
        await stalled.connect()
        proxy.flowing.clear()
        for _ in range(40):
            daemon.put(200, b"x" * 500)
            await asyncio.sleep(0)
        share = ring.consumers["falco"].shares[daemon.zone.index]
        assert ring.charged(ring.consumers["falco"]) <= ring.budget
        proxy.flowing.set()
        seen = 0
        while stalled.due <= ring.head or ring.lined:
            daemon.put(1)
            seen += len(await stalled.next())
        assert seen + stalled.shed == ring.head
        assert stalled.shed == share.lost() > 0
        assert stalled.missing == 0
        await stalled.close()


@pytest.mark.parametrize("seed", range(4))
async def test_restarts_at_random_during_load(tmp_path: Path, seed: int) -> None:
    """25 rounds each: a consumer connects, works for a while, acknowledges some, and is killed; events never stop."""
    choose = random.Random(seed)
    ring = Ring(budget=2 << 20)
    ring.declare("falco")
    done: set[int] = set()
    async with running(tmp_path, ring) as daemon:

        async def load() -> None:
            while True:
                daemon.put(choose.randrange(1, 60), b"x" * choose.randrange(600))
                await asyncio.sleep(0.0005)

        loader = asyncio.create_task(load())
        for _ in range(25):
            one = client(Path(daemon.path), acknowledge=False)
            try:
                welcome = await one.connect()
            except ClientRefused as error:
                assert error.code == frames.BUSY
                await asyncio.sleep(0.002)
                continue
            acknowledged = welcome.acknowledged
            due = acknowledged + 1
            try:
                async with asyncio.timeout(choose.random() * 0.1):
                    while True:
                        events = await one.next()
                        for event in events:
                            assert event.seq >= due, "out of order, or twice"
                            assert event.seq not in done, "twice within what was acknowledged"
                            due = event.seq + 1
                        if choose.random() < 0.7:
                            last = choose.choice(events).seq
                            one.ack(last)
                            done.update(range(acknowledged + 1, last + 1))
                            acknowledged = max(acknowledged, last)
            except LOST:
                pass
            finally:
                await one.close()
            assert one.missing == 0
            await free(daemon)
            # What was acknowledged on the way down may or may not have arrived: the daemon's word counts.
            done = set(range(1, ring.consumers["falco"].acknowledged + 1))
            assert ring.verify() == []
        loader.cancel()
        await asyncio.gather(loader, return_exceptions=True)
        last_one = client(Path(daemon.path))
        await last_one.connect()
        daemon.put(1)
        while last_one.due <= ring.head:
            await last_one.next()
        assert last_one.missing == 0
        last_one.ack(ring.head)
        await until(lambda: ring.consumers["falco"].acknowledged == ring.head)
        await last_one.close()
        await free(daemon)
        share = ring.consumers["falco"].shares[daemon.zone.index]
        assert share.waiting == 0
        assert share.total() == daemon.zone.entered == ring.head
