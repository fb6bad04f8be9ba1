"""What a consumer saw, held against what the simulated zones sent: nothing out of order, nothing missing without a word."""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edera_falcod.falco import notices
from edera_falcod.falco.client import Client, ClientRefused, Disconnected
from edera_falcod.falco.frames import FrameError
from edera_falcod.fields import registry, slots
from edera_falcod.fields.reader import BlockTable, EventView
from edera_falcod.fields.spec import Kind
from edera_falcod.scap.capture import read_capture

LOST = (Disconnected, OSError, TimeoutError, FrameError, ClientRefused)
HASHES = registry.prefix_hashes()
HOTPLUG = "cpu_hotplug"  # no event of the capture: the simulated host puts it in between
LAP_GAP = 1_000_000_000  # ns between laps: sim/player.py



class Recording:
    """The times of a capture's first ``limit`` events, and from them which lap and which event a time belongs to."""

    def __init__(self, capture: Path, limit: int) -> None:
        with capture.open("rb") as stream:
            self.times = [event.ts for event, _ in zip(read_capture(stream).events(), range(limit), strict=False)]
        assert sorted(set(self.times)) == self.times, "times have to tell events apart"
        self.first = self.times[0]
        self.period = self.times[-1] - self.first + LAP_GAP

    def place(self, ts: int) -> tuple[int, int]:
        """Lap and index; fails for a time that no event has."""
        lap, offset = divmod(ts - self.first, self.period)
        index = bisect_left(self.times, self.first + offset)
        assert index < len(self.times) and self.times[index] == self.first + offset, f"{ts} is the time of no event"
        return lap, index


@dataclass
class Entry:
    """One event: the sequence number, whose, when, and for what is no event of the capture its kind, cause and count."""

    seq: int
    zone: str
    ts: int
    kind: str = ""
    cause: str = ""
    count: int = 0
    tainted: bool = False
    redelivered: bool = False


def entry(view: EventView) -> Entry:
    kind = view.event.text(slots.EDERA_NOTICE_KIND) or ""
    etype = view.block(Kind.ETYPE)
    if etype is not None and etype.text(slots.EVT_TYPE) == HOTPLUG:
        kind = HOTPLUG
    block = view.block(Kind.ZONE)
    zone = (block.text(slots.EDERA_ZONE_NAME) or "") if block is not None else ""
    tainted = block is not None and block.cell(slots.EDERA_ZONE_TAINTED) == 1
    cause = view.event.text(slots.EDERA_NOTICE_CAUSE) or ""
    return Entry(view.seq, zone, view.ts, kind, cause, view.event.cell(slots.EDERA_NOTICE_COUNT) or 0, tainted, view.redelivered)


@dataclass
class Ledger:
    """All that a consumer was given over all its connections, each sequence number once. ``shed``: how many it was told not to come;
    ``acknowledged``: by the daemon's own word; ``again``: how many came a second time. What ``check`` has found: ``lost``: sequence numbers
    that never came; ``told``: how many notices have said that they were lost."""

    entries: dict[int, Entry] = field(default_factory=dict)
    shed: int = 0
    acknowledged: int = 0
    again: int = 0
    wrong: list[str] = field(default_factory=list)
    lost: int = 0
    told: int = 0
    _checked: int = 0
    _at: dict[str, tuple[int, int]] = field(default_factory=dict)
    _broken: set[str] = field(default_factory=set)  # whose next event need not follow the last one

    def add(self, one: Entry) -> None:
        known = self.entries.get(one.seq)
        if known is None:
            self.entries[one.seq] = one
            return
        self.again += 1
        if one.seq <= self.acknowledged:
            self.wrong.append(f"{one.seq} came again though {self.acknowledged} was acknowledged")
        if (one.ts, one.zone, one.kind) != (known.ts, known.zone, known.kind):
            self.wrong.append(f"{one.seq} was {known} and came again as {one}")
        if not one.redelivered:
            self.wrong.append(f"{one.seq} came again and was not marked")

    def events(self, zone: str) -> list[Entry]:
        return [one for _, one in sorted(self.entries.items()) if one.zone == zone and not one.kind]

    def notices(self, kind: str = "") -> list[Entry]:
        return [one for _, one in sorted(self.entries.items()) if one.kind not in ("", HOTPLUG) and kind in ("", one.kind)]

    def check(self, recordings: dict[str, Recording]) -> list[str]:
        """All that was wrong so far: zones' events that go back, or leave some out where nobody said so. ``recordings``: by zone; the one
        under "" is of all others."""
        for seq in sorted([seq for seq in self.entries if seq > self._checked]):
            one = self.entries[seq]
            anew = one.kind == notices.GAP and one.cause == "daemon_crashed"  # numbers begin again, higher, and this is the first
            if self._checked and seq > self._checked + 1 and not anew:
                self.lost += seq - self._checked - 1
                self._broken.update(self._at)  # of which zones it was is told by a notice that comes later
            self._checked = seq
            if one.kind == notices.GAP:
                self._broken.update([one.zone] if one.zone else self._at)
            elif one.kind == notices.CONSUMER_GAP:
                self.told += one.count
            elif not one.kind:
                recording = recordings.get(one.zone, recordings.get(""))
                if recording is not None:
                    self._follow(one, recording)
        return self.wrong

    def _follow(self, one: Entry, recording: Recording) -> None:
        place = recording.place(one.ts)
        before = self._at.get(one.zone)
        self._at[one.zone] = place
        if before is not None:
            if place <= before:
                self.wrong.append(f"{one.zone}: {place} came after {before} (seq {one.seq})")
            whole = len(recording.times) - 1
            due = (before[0], before[1] + 1) if before[1] < whole else (before[0] + 1, 0)
            if place != due and one.zone not in self._broken:
                self.wrong.append(f"{one.zone}: {place} came after {before}, and nobody said why (seq {one.seq})")
        self._broken.discard(one.zone)

    def thin(self) -> None:
        """Keep of what was checked and cannot come again only the notices."""
        done = min(self.acknowledged, self._checked)
        self.entries = {seq: one for seq, one in self.entries.items() if seq > done or one.kind}


class Reader:
    """A consumer that comes back whenever it is cut off, and writes all it is given into ``ledger``. ``missing``: sequence numbers that
    never came without a word; ``connects``: how often it was welcomed."""

    def __init__(self, path: Path, ledger: Ledger, name: str = "falco", acknowledge: bool = True, ephemeral: bool = False) -> None:
        self.ephemeral = ephemeral
        self.acknowledge = acknowledge
        self.path = path
        self.ledger = ledger
        self.name = name
        self.missing = 0
        self.connects = 0
        self.progress = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def once(self) -> None:
        """One connection, to its end. Raises what ends it."""
        table = BlockTable()
        fields, path = len(HASHES) - 1, str(self.path)
        client = Client(path, self.name, fields, lambda n: HASHES[n], "test 1.0", table, self.ephemeral, self.acknowledge)
        left_out = 0
        try:
            welcome = await client.connect()
            self.connects += 1
            if welcome.acknowledged < self.ledger.acknowledged:
                self.ledger.wrong.append(f"{self.ledger.acknowledged} was acknowledged, now it is {welcome.acknowledged}")
            self.ledger.acknowledged = welcome.acknowledged
            due = 0 if self.ephemeral else welcome.acknowledged + 1
            while True:
                events = await client.next()
                # `next` has acknowledged what it gave before
                for event in events:
                    if due not in (0, event.seq):
                        left_out += event.seq - due
                        if left_out > client.shed:
                            self.ledger.wrong.append(f"{due} was due and {event.seq} came")
                        self.ledger.shed += event.seq - due
                    due = event.seq + 1
                    self.ledger.add(entry(EventView(event.data, table, event.redelivered)))
                self.progress.set()
        finally:
            self.missing += client.missing
            await client.close()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(*LOST):
                await self.once()
            await asyncio.sleep(0.01)

    def start(self) -> None:
        self._task = asyncio.create_task(self.run())

    async def stop(self) -> None:
        if self._task is not None:
            if self._task.done():
                self._task.result()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def until(self, condition: Callable[[], object], seconds: float = 20.0, what: Callable[[], object] = str) -> None:
        """Wait until what has come fulfils ``condition``. ``what``: what to say if it does not."""
        end = asyncio.get_running_loop().time() + seconds
        while not condition():
            if self._task is not None and self._task.done():
                self._task.result()
            assert asyncio.get_running_loop().time() < end, f"waited in vain; {len(self.ledger.entries)} came; {what()}"
            self.progress.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):  # what else the condition may look at makes no noise
                    await self.progress.wait()

    async def more(self, count: int) -> None:
        """Wait until so many events have come that are newer than all before."""
        last = max(self.ledger.entries, default=0)
        fresh = len(self.ledger.entries) + count
        await self.until(lambda: len(self.ledger.entries) >= fresh and max(self.ledger.entries) > last, 30)


def sums(status: dict[str, Any]) -> list[str]:
    """What `ctl status --json` contradicts itself in: the equations of falco/accounting.py."""
    wrong: list[str] = [f"unwell: {text}" for text in status["unwell"] if "add up" in text]
    tables = [*[zone["counters"] for zone in status["zones"]], status["gone"], status["own"]]
    entered = 0
    for table in tables:
        undecodable = sum(table.get("undecodable", {}).values())
        if table.get("received", 0) != undecodable + table.get("lined", 0) + table.get("entered", 0):
            wrong.append(f"received is not undecodable + lined + entered: {table}")
        entered += table.get("lined", 0) + table.get("entered", 0)
    for one in status["consumers"]:
        counters = one["counters"]
        total = counters["before"] + one["acknowledged"] + counters["unacknowledged"] + one["waiting"]
        total += sum(counters.get("dropped", {}).values())
        if total != entered:
            wrong.append(f"consumer {one['name']}: {total} accounted for, {entered} entered or lined up")
    return wrong
