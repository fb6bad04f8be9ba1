"""The daemon killed with SIGKILL or restarted, and the consumer restarted, at random during load. EDERA_FALCOD_ROUNDS sets how many
rounds there are (`make soak`: 100); the seeds are fixed."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from edera_falcod.falco import notices
from edera_falcod.sim.host import SimHost
from edera_falcod.sim.player import Play

from .ledger import Ledger, Reader, Recording, sums
from .support import CAPTURE, process

ROUNDS = int(os.environ.get("EDERA_FALCOD_ROUNDS", "6"))
LIMIT = 400
SPEED = 4.0
SEED = 5


class Restarts:
    """How often the daemon was killed and restarted, and which gaps have to be told of it. What a daemon that is killed had not delivered
    is lost, also the notice of a restart before; the notice of the kill itself then stands for both."""

    def __init__(self, ledger: Ledger) -> None:
        self.kills = self.plans = 0
        self.excused = 0
        self._ledger = ledger

    def causes(self) -> list[str]:
        return [one.cause for one in self._ledger.notices(notices.GAP) if not one.zone]

    def killed(self) -> None:
        self.excused = self.kills + self.plans - len(self.causes())
        self.kills += 1

    def told(self) -> bool:
        return len(self.causes()) >= self.kills + self.plans - self.excused

    def check(self) -> None:
        causes = self.causes()
        assert self.told(), self
        assert causes.count("daemon_crashed") <= self.kills and causes.count("daemon_stops") <= self.plans, self
        assert set(causes) <= {"daemon_crashed", "daemon_stops"}, self

    def __repr__(self) -> str:
        return f"{self.kills} kills, {self.plans} planned, {self.excused} excused, told: {self.causes()}"


@pytest.mark.timeout(60 + 30 * ROUNDS)
async def test_rounds(tmp_path: Path) -> None:
    choose = random.Random(SEED)
    recordings = {name: Recording(CAPTURE, LIMIT) for name in ("a", "b", "c")}
    async with SimHost(tmp_path / "edera.sock") as host, process(tmp_path, f"buffer.handover={tmp_path / 'handover'}") as daemon:
        for name in recordings:
            host.add_zone(name, CAPTURE, Play(speed=SPEED, loop=True), limit=LIMIT)
        await daemon.start()
        ledger = Ledger()
        reader = Reader(daemon.falco, ledger)
        restarts = Restarts(ledger)
        reader.start()
        for number in range(ROUNDS):
            await reader.more(200)
            await asyncio.sleep(choose.random() * 0.1)
            what = choose.choice(("kill", "kill", "restart", "restart", "consumer", "both"))
            if what in ("consumer", "both"):
                await reader.stop()
            if what in ("kill", "both"):
                await daemon.kill()
                restarts.killed()
                await daemon.start()
            elif what == "restart":
                await daemon.stop()
                restarts.plans += 1
                await daemon.start()
            if what in ("consumer", "both"):
                await asyncio.sleep(choose.random() * 0.1)
                reader.start()
            await reader.more(50)
            assert sums(await daemon.status()) == [], (number, what)
            assert ledger.check(recordings) == [], (number, what)
        # The end: everything that was sent is there, or was told.
        for name in recordings:
            host.stall(name)
        await reader.until(restarts.told, what=lambda: restarts)
        await reader.stop()
        status = await daemon.status()
        assert sums(status) == []
        await daemon.stop()
    restarts.check()
    assert ledger.check(recordings) == []
    assert (reader.missing, ledger.shed, ledger.lost) == (0, 0, 0)
    assert all(len(ledger.events(name)) > LIMIT // 2 for name in recordings)


async def test_a_planned_restart_loses_nothing_that_it_had(tmp_path: Path) -> None:
    """What nobody has taken, and what was taken and not acknowledged, comes from the next daemon under the same numbers."""
    recording = Recording(CAPTURE, LIMIT)
    async with SimHost(tmp_path / "edera.sock") as host, process(tmp_path, f"buffer.handover={tmp_path / 'handover'}") as daemon:
        host.add_zone("a", CAPTURE, Play(speed=0), limit=LIMIT)
        await daemon.start()
        async with asyncio.timeout(20):
            while not (zones := (await daemon.status())["zones"]) or zones[0]["counters"].get("entered", 0) < LIMIT + 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        first = Ledger()
        reader = Reader(daemon.falco, first, acknowledge=False)
        reader.start()
        await reader.until(lambda: len(first.entries) >= 100)
        await reader.stop()
        await daemon.stop()
        assert (tmp_path / "handover").stat().st_mode & 0o777 == 0o600
        await daemon.start()
        assert not (tmp_path / "handover").exists(), "nothing is handed over twice"
        ledger = Ledger()
        reader = Reader(daemon.falco, ledger)
        reader.start()

        def all_places() -> set[tuple[int, int]]:
            return {recording.place(one.ts) for one in (*first.events("a"), *ledger.events("a"))}

        await reader.until(lambda: len(all_places()) == 2 * LIMIT)
        await reader.stop()
        assert sums(await daemon.status()) == []
        assert set(first.entries) <= set(ledger.entries)
        for seq in first.entries:
            assert ledger.entries[seq].ts == first.entries[seq].ts and ledger.entries[seq].redelivered
        assert min(ledger.entries) <= max(first.entries) + 1
        assert ledger.check({"a": recording}) == []
        assert (reader.missing, ledger.shed, ledger.lost) == (0, 0, 0)
        assert [one.cause for one in ledger.notices(notices.GAP)] == ["daemon_stops"]
        await daemon.stop()


async def test_what_was_lost_up_to_a_planned_restart_is_told_by_the_next_daemon(tmp_path: Path) -> None:
    """Also what nobody has looked at before the daemon stops, in the midst of a flood."""
    settings = (f"buffer.handover={tmp_path / 'handover'}", "buffer.size=1MiB")
    async with SimHost(tmp_path / "edera.sock") as host, process(tmp_path, *settings) as daemon:
        host.add_zone("a", CAPTURE, Play(speed=0, loop=True), limit=LIMIT)
        await daemon.start()
        async with asyncio.timeout(20):
            while sum((await daemon.status())["consumers"][0]["counters"].get("dropped", {}).values()) < 1000:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await daemon.stop()
        host.remove_zone("a")
        await daemon.start()
        ledger = Ledger()
        reader = Reader(daemon.falco, ledger)
        reader.start()
        recordings = {"a": Recording(CAPTURE, LIMIT)}
        await reader.until(lambda: ledger.check(recordings) or ledger.notices(notices.GAP))
        await reader.stop()
        assert ledger.check(recordings) == []
        assert ledger.told == ledger.lost >= 1000 and reader.missing == 0
        assert [one.cause for one in ledger.notices(notices.GAP)] == ["daemon_stops"]
        await daemon.stop()


async def test_a_handover_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    for content, mode in ((b"nonsense", 0o600), (b"EDFH" + bytes(100), 0o600), (b"", 0o644)):
        file = tmp_path / "handover"
        file.write_bytes(content)
        file.chmod(mode)
        async with process(tmp_path, f"buffer.handover={file}") as daemon:
            await daemon.start()
            ledger = Ledger()
            reader = Reader(daemon.falco, ledger)
            reader.start()
            await reader.until(lambda: ledger.notices(notices.GAP))  # noqa: B023
            await reader.stop()
            assert [one.cause for one in ledger.notices(notices.GAP)] == ["handover_lost"]
            await daemon.stop()
        file.unlink()
