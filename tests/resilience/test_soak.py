"""A daemon under load for a long time, with zones that come and go in every way and consumers that do too: it ends as it began.
EDERA_FALCOD_SOAK sets how many seconds (`make soak`: 600)."""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import time
from pathlib import Path

import pytest

from edera_falcod.falco import notices
from edera_falcod.sim.host import MALFORMED, SimHost
from edera_falcod.sim.player import Play

from .ledger import LOST, Ledger, Reader, Recording, sums
from .support import CAPTURE, Process, process

SECONDS = float(os.environ.get("EDERA_FALCOD_SOAK", "15"))
ZONES = 6  # at a time
LIMIT = 300
SEED = 17
WARM_UP = 0.3  # of the time: accounts of gone zones fill up, caches too
GROWTH = 8 << 20  # bytes between the medians of the two halves of what follows: what the allocator does in so many minutes


class Sample:
    """What the daemon holds, as the kernel and its own metrics see it."""

    def __init__(self, pid: int, metrics: dict[str, float]) -> None:
        self.threads = len(os.listdir(f"/proc/{pid}/task"))
        self.fds = len(os.listdir(f"/proc/{pid}/fd"))
        self.memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        self.tasks = int(metrics["edera_falcod_tasks"])

    def held(self) -> tuple[int, int, int]:
        return self.tasks, self.threads, self.fds


async def scrape(path: Path) -> dict[str, float]:
    """Metrics without labels."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).partition(b"\r\n\r\n")[2].decode()
    finally:
        writer.close()
        await writer.wait_closed()
    lines = [line.split(" ") for line in text.splitlines() if line[:1] not in ("#", "") and "{" not in line]
    return {line[0]: float(line[1]) for line in lines}


class Soak:
    """``made``: zones that there have been; ``done``: what was done to them, by name."""

    def __init__(self, host: SimHost, daemon: Process, choose: random.Random) -> None:
        self.host = host
        self.daemon = daemon
        self.choose = choose
        self.made = 0
        self.done: dict[str, int] = {}
        self.failed: list[str] = []

    async def sample(self) -> Sample:
        assert self.daemon.process is not None
        return Sample(self.daemon.process.pid, await scrape(self.daemon.folder / "metrics.sock"))

    def change(self) -> None:
        """Something happens to the zones: mostly they come and go."""
        choose, host = self.choose, self.host
        for name in self.failed:  # the host forgets it
            host.zones.pop(name, None)
        self.failed.clear()
        while len(host.zones) < ZONES:
            self.made += 1
            host.add_zone(f"z{self.made}", CAPTURE, Play(speed=choose.choice((1.0, 4.0)), loop=True), limit=LIMIT)
        name = choose.choice(list(host.zones))
        what = choose.choice(("exit", "exit", "exit", "fail", "cut", "end", "hotplug", "malformed", "annotate"))
        self.done[what] = self.done.get(what, 0) + 1
        if what == "exit":
            host.remove_zone(name)
        elif what == "fail":
            host.fail_zone(name)
            self.failed.append(name)
        elif what == "cut":
            host.cut(name)
        elif what == "end":
            host.end(name)
        elif what == "hotplug":
            host.hotplug(name)
        elif what == "malformed":
            host.malformed(name, choose.choice(list(MALFORMED)))
        else:
            zone = host.zones[name]
            zone.annotations["round"] = str(self.made)
            host.announce(zone)

    async def passing(self) -> None:
        """A consumer such as tail comes, stays for a moment, reads or does not, and goes."""
        reader = Reader(self.daemon.falco, Ledger(), f"tail-{self.made}", ephemeral=True)
        try:
            async with asyncio.timeout(self.choose.random()):
                await reader.once()
        except LOST:
            pass

    async def settle(self) -> None:
        """All zones go."""
        for name in self.failed:
            self.host.zones.pop(name, None)
        for name in list(self.host.zones):
            self.host.remove_zone(name)
        async with asyncio.timeout(30):
            while (await self.daemon.status())["zones"]:  # noqa: ASYNC110, another process
                await asyncio.sleep(0.1)


@pytest.mark.timeout(120 + 2 * SECONDS)
async def test_soak(tmp_path: Path) -> None:
    settings = (f"metrics.listen=unix:{tmp_path / 'metrics.sock'}", "buffer.size=8MiB", "log.level=info")
    async with SimHost(tmp_path / "edera.sock") as host, process(tmp_path, *settings) as daemon:
        await daemon.start()
        ledger = Ledger()
        reader = Reader(daemon.falco, ledger)
        reader.start()
        soak = Soak(host, daemon, random.Random(SEED))
        for _ in range(20):  # every kind of zone once, so that what is made on first use is there
            soak.change()
            await asyncio.sleep(0.05)
        await soak.settle()
        before = await soak.sample()
        recordings = {"": Recording(CAPTURE, LIMIT)}
        began = time.monotonic()
        samples: list[tuple[float, Sample]] = []
        while (at := time.monotonic() - began) < SECONDS:
            soak.change()
            if soak.choose.random() < 0.2:
                await soak.passing()
            await asyncio.sleep(0.1)
            if not samples or at - samples[-1][0] >= 1:
                samples.append((at, await soak.sample()))
                assert sums(await daemon.status()) == []
                assert ledger.check(recordings) == []
                ledger.thin()
        await soak.settle()
        async with asyncio.timeout(30):
            while (status := await daemon.status())["gone"].get("lined") or status["own"].get("lined"):  # noqa: ASYNC110, another process
                await asyncio.sleep(0.1)
        falco = next(one for one in status["consumers"] if one["name"] == "falco")
        dropped = sum(falco["counters"].get("dropped", {}).values())
        await reader.until(lambda: ledger.check(recordings) or ledger.lost == ledger.told == dropped, 30, lambda: (ledger, dropped))
        after = await soak.sample()
        await reader.stop()
        assert ledger.check(recordings) == []
        assert (reader.missing, ledger.lost, ledger.told) == (0, dropped, dropped), "what was shed was told, event for event"
        assert len(ledger.notices(notices.ZONE_GONE)) >= soak.made - ZONES
        status = await daemon.status()
        assert sums(status) == []
        errors = [line for line in daemon.log.read_text().splitlines() if json.loads(line).get("level") in ("error", "critical")]
        assert errors == []
        received = status["gone"]["received"] - status["gone"]["notices"]
        await daemon.stop()
    late = [sample.memory for at, sample in samples if at >= WARM_UP * SECONDS]
    first, second = statistics.median(late[: len(late) // 2]), statistics.median(late[len(late) // 2 :])
    figures = {
        "seconds": SECONDS, "zones": soak.made, "done": soak.done, "events": received, "lost": ledger.lost, "told": ledger.told,
        "memory_early": first, "memory_late": second, "memory_most": max(late),
        "held_before": before.held(), "held_after": after.held(),
    }  # fmt: skip
    print(json.dumps(figures))
    assert second - first < GROWTH, figures
    assert after.held() == before.held(), figures
