"""A sink that reads what zones send with the real wire reader, and the means to wait for what should happen."""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from edera_falcod.edera.lifecycle import State
from edera_falcod.edera.sink import Verdict, ZoneInfo
from edera_falcod.edera.workloads import WorkloadInfo
from edera_falcod.edera.zones import Zones
from edera_falcod.edera.zonestream import Settings
from edera_falcod.scap.errors import WireError
from edera_falcod.scap.tables import PPME_CPU_HOTPLUG_E
from edera_falcod.scap.threads import SnapshotReader
from edera_falcod.scap.wire import parse_reply

DATA = Path(__file__).parent.parent / "data"
CAPTURE = DATA / "attack1.scap"


class Sink:
    """What came, by zone name."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.zones: dict[str, ZoneInfo] = {}
        self.events: Counter[str] = Counter()
        self.codes: dict[str, Counter[int]] = defaultdict(Counter)
        self.times: dict[str, list[int]] = defaultdict(list)
        self.threads: dict[str, int] = {}
        self.snapshots: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.states: dict[str, list[str]] = defaultdict(list)
        self.reasons: dict[str, list[str]] = defaultdict(list)
        self.gaps: dict[str, list[str]] = defaultdict(list)
        self.doubts: Counter[str] = Counter()
        self.gone: dict[str, str] = {}
        self.workloads_of: dict[str, list[WorkloadInfo]] = {}
        self.changes: Counter[str] = Counter()
        self.fail = False  # raise in messages()
        self.lose = False  # say that something was lost, once
        self.slow = 0.0  # seconds that a snapshot takes

    def zone_changed(self, zone: ZoneInfo) -> None:
        self.names[zone.id] = zone.name
        self.zones[zone.name] = zone
        self.changes[zone.name] += 1
        self.gone.pop(zone.name, None)

    def workloads(self, zone_id: str, workloads: list[WorkloadInfo]) -> None:
        self.workloads_of[self.names[zone_id]] = workloads

    def zone_state(self, zone_id: str, state: State, reason: str) -> None:
        name = self.names[zone_id]
        assert name not in self.gone, "a state after the zone was gone"
        self.states[name].append(state.value)
        self.reasons[name].append(reason)

    def messages(self, zone_id: str, batch: list[bytes], start: int, stop: int) -> tuple[int, Verdict]:
        name = self.names[zone_id]
        assert name not in self.gone, "a message after the zone was gone"
        if self.fail:
            self.fail = False
            raise RuntimeError("a bug")
        verdict = Verdict.OK
        if self.lose:
            self.lose = False
            verdict |= Verdict.LOSS
        for index in range(start, stop):
            message = batch[index]
            try:
                reply = parse_reply(message, 0, len(message))
            except WireError as error:
                self.refused[name] += 1
                verdict |= Verdict.MALFORMED
                assert error.cause
                continue
            if isinstance(reply, SnapshotReader):
                return index, verdict
            self.events[name] += 1
            self.codes[name][reply.code] += 1
            self.times[name].append(reply.ts)
            if reply.code == PPME_CPU_HOTPLUG_E:
                verdict |= Verdict.HOTPLUG
        return stop, verdict

    def held(self, zone_id: str) -> int:
        return 0  # nobody reads

    async def snapshot(self, zone_id: str, message: bytes) -> Verdict:
        name = self.names[zone_id]
        reader = parse_reply(message, 0, len(message))
        assert isinstance(reader, SnapshotReader)
        await asyncio.sleep(self.slow)
        threads = 0
        try:
            while reader.next_thread() is not None:
                threads += 1
        except WireError:
            self.refused[name] += 1
            return Verdict.MALFORMED
        self.snapshots[name] += 1
        self.threads[name] = threads
        return Verdict.OK

    def doubt(self, zone_id: str) -> None:
        self.doubts[self.names[zone_id]] += 1

    def gap(self, zone_id: str, cause: str) -> None:
        self.gaps[self.names[zone_id]].append(cause)

    def zone_gone(self, zone_id: str, reason: str) -> None:
        self.gone[self.names[zone_id]] = reason

    def state(self, name: str) -> str:
        return self.states[name][-1] if self.states[name] else ""


async def until(condition: Callable[[], object], seconds: float = 10.0, what: str = "") -> None:
    """Wait for ``condition``; fail if it does not come true in time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end, what or "waited in vain"
        await asyncio.sleep(0.005)


def open_files() -> set[str]:
    """What this process has open: sockets and files."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except OSError:
            continue  # the descriptor of this listing
    return found


@asynccontextmanager
async def following(path: Path, sink: Sink, settings: Settings | None = None) -> AsyncIterator[Zones]:
    """The zones behind ``path``, followed; at the end everything must be cleaned up."""
    before = asyncio.all_tasks()
    zones = Zones(str(path), sink, settings or Settings(reconcile=0.3))
    task = asyncio.create_task(zones.run())
    try:
        yield zones
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        left = {one for one in asyncio.all_tasks() - before if not one.done() and "request_handler" not in repr(one)}
        assert left == set()
