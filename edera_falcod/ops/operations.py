"""What `ctl` asks of the daemon beside its status: one zone, its processes, a new snapshot, the log's level, the configuration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from operator import add
from typing import Final, Protocol

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from ..edera.zones import Zones
from ..edera.zonestream import ZoneStream
from ..falco.accounting import ZoneAccount
from ..scap.tables import EVENTS, PPM_EVENT_MAX
from ..state.thread import Thread
from ..state.zone import ZoneState
from .access import require_trust
from .proto.ctl import (
    Counter,
    GetHealthReply,
    GetStatusReply,
    GetSyscallsReply,
    GetZoneReply,
    Process,
    ProcessPage,
    RecordChunk,
    RecordRequest,
    ReloadReply,
    ZoneStatus,
    ZoneStep,
)
from .record import Recorder

PAGE: Final = 64  # processes in one message: some 3 ms of encoding, so that a call for a large zone holds nobody up
MAX_PROCESSES: Final = 8192  # a call shows; more are left out, and said so
MAX_DEPTH: Final = 256  # deeper processes are shown at this depth
MAX_SHOWN_ARGS: Final = 64  # arguments of a process that are shown
MAX_SHOWN_TEXT: Final = 256  # bytes of one of them
SLICE: Final = 0.005  # seconds of work before others get their turn
ZONES_AT_ONCE: Final = 64  # whose events are added up before others get their turn: a millisecond
MIN_PREFIX: Final = 4  # characters of an id that are enough if only one zone's begins so


class Pipeline(Protocol):
    """What is asked of a zone's pipeline (edera_falcod/pipeline.py)."""

    @property
    def account(self) -> ZoneAccount: ...
    @property
    def state(self) -> ZoneState: ...
    @property
    def codes(self) -> list[int]: ...
    @property
    def imported(self) -> int: ...
    @property
    def import_time(self) -> float: ...


@dataclass
class Reloaded:
    """What became of a new configuration."""

    error: str = ""
    applied: list[str] = field(default_factory=list)
    needs_restart: list[str] = field(default_factory=list)


@dataclass
class Operations:
    """``describe``: the status; ``health``: see health.py; ``set_level``: sets the log's level and returns the one before."""

    zones: Zones
    pipelines: Mapping[str, Pipeline]
    describe: Callable[[], GetStatusReply]
    zone_status: Callable[[str], ZoneStatus]
    health: Callable[[], GetHealthReply]
    set_level: Callable[[str], str]
    reload: Callable[[], Reloaded]
    syscalls: Callable[[], GetSyscallsReply]
    recorder: Recorder

    def find(self, text: str) -> tuple[str, ZoneStream]:
        """The zone of this id, name, or beginning of an id. Raises NOT_FOUND or INVALID_ARGUMENT."""
        streams = self.zones.streams
        if text in streams:
            return text, streams[text]
        found = [zone_id for zone_id, stream in streams.items() if stream.zone.name == text]
        if not found and len(text) >= MIN_PREFIX:
            found = [zone_id for zone_id in streams if zone_id.startswith(text)]
        if len(found) == 1:
            return found[0], streams[found[0]]
        if found:
            raise GRPCError(Status.INVALID_ARGUMENT, f"{text!r} means {len(found)} zones: {', '.join(found[:4])}; say which by its id")
        names = [stream.zone.name or zone_id for zone_id, stream in streams.items()]
        there = f"there are {', '.join(names[:8])}" + (", ..." if len(names) > 8 else "") if names else "there are no zones"
        raise GRPCError(Status.NOT_FOUND, f"there is no zone {text[:64]!r}; {there}")

    def zone(self, text: str) -> GetZoneReply:
        zone_id, stream = self.find(text)
        reply = GetZoneReply(
            zone=self.zone_status(zone_id),
            history=[ZoneStep(int(step.at * 1e9), step.event.value, step.reason, step.state.value) for step in stream.history],
            workloads=[one.name or one.id for one in self.zones.directory.of(zone_id)],
            syscalls=list(stream.syscalls),
            stream=[Counter(name=name, value=value) for name, value in sorted(stream.counters.items()) if value],
        )
        pipeline = self.pipelines.get(zone_id)
        if pipeline is not None:
            reply.types = types(pipeline.codes)
            reply.snapshots = pipeline.imported
            reply.import_ns = int(pipeline.import_time * 1e9)
            reply.text_bytes = pipeline.state.table.text
        return reply

    async def types(self, text: str) -> list[Counter]:
        """Events by type, of one zone or ("") of all."""
        chosen = [self.find(text)[0]] if text else list(self.zones.streams)
        sums = [0] * PPM_EVENT_MAX
        for place, zone_id in enumerate(chosen, 1):
            pipeline = self.pipelines.get(zone_id)
            if pipeline is not None:
                sums = list(map(add, sums, pipeline.codes))
            if place % ZONES_AT_ONCE == 0:
                await asyncio.sleep(0)
        return types(sums)

    async def processes(self, text: str, arguments: bool) -> AsyncIterator[ProcessPage]:
        """Pages of a zone's processes, parents before their children. The tree is the one at the time of the call, as far as the zone does
        not change it while it is read."""
        if arguments:
            require_trust()
        zone_id, _ = self.find(text)
        pipeline = self.pipelines.get(zone_id)
        order = await tree(pipeline.state) if pipeline is not None else []
        page = ProcessPage(total=len(order), left_out=max(0, len(order) - MAX_PROCESSES))
        for thread, depth in order[:MAX_PROCESSES]:
            page.processes.append(describe_process(thread, depth, arguments))
            if len(page.processes) == PAGE:
                yield page
                page = ProcessPage()
                await asyncio.sleep(0)
        if page.processes or not order:
            yield page

    def resync(self, text: str, everyone: bool) -> list[str]:
        """Names of the zones that will be learned anew."""
        if everyone:
            chosen = list(self.zones.streams)
        else:
            chosen = [self.find(text)[0]]
        for zone_id in chosen:
            self.zones.resync(zone_id, "asked for by ctl")
        return [self.zones.streams[zone_id].zone.name or zone_id for zone_id in chosen]

    def record(self, request: RecordRequest) -> AsyncGenerator[RecordChunk, None]:
        """See record.py. Has to be closed by whoever does not read it to its end."""
        return self.recorder.record(self.find(request.zone)[0], request)

    def reloaded(self) -> ReloadReply:
        found = self.reload()
        return ReloadReply(error=found.error, applied=found.applied, needs_restart=found.needs_restart)


def types(codes: list[int]) -> list[Counter]:
    """Events by the name of their type, most frequent first."""
    sums: dict[str, int] = {}
    for code, count in enumerate(codes):
        if count:
            name = EVENTS[code].name.decode() if code < len(EVENTS) else f"code {code}"
            sums[name] = sums.get(name, 0) + count
    return [Counter(name=name, value=count) for name, count in sorted(sums.items(), key=lambda item: (-item[1], item[0]))]


async def tree(state: ZoneState) -> list[tuple[Thread, int]]:
    """Live processes with their depths, children under their parents, in the order of their pids; in slices."""
    mains = [thread for thread in list(state.threads.values()) if thread.is_main() and not thread.is_dead() and not thread.is_invalid()]
    await asyncio.sleep(0)
    by_pid = {thread.pid: thread for thread in mains}
    children: dict[int, list[Thread]] = {}
    roots: list[Thread] = []
    pause = time.monotonic() + SLICE
    for thread in mains:
        parent = state.threads.get(thread.ptid)
        pid = parent.pid if parent is not None else -1
        if pid in by_pid and pid != thread.pid:
            children.setdefault(pid, []).append(thread)
        else:
            roots.append(thread)
        if time.monotonic() >= pause:
            await asyncio.sleep(0)
            pause = time.monotonic() + SLICE
    order: list[tuple[Thread, int]] = []
    seen: set[int] = set()
    left = sorted(mains, key=_pid)  # a circle, which the table does not let arise, has no root: its members come last, as roots
    for start in (sorted(roots, key=_pid), left):
        stack = [(thread, 0) for thread in reversed(start)]
        while stack:
            thread, depth = stack.pop()
            if thread.pid in seen:
                continue
            seen.add(thread.pid)
            order.append((thread, depth))
            stack += [(child, min(depth + 1, MAX_DEPTH)) for child in sorted(children.get(thread.pid, ()), key=_pid, reverse=True)]
            if time.monotonic() >= pause:
                await asyncio.sleep(0)
                pause = time.monotonic() + SLICE
    return order


def _pid(thread: Thread) -> int:
    return thread.pid


def _text(raw: bytes) -> str:
    return raw[:MAX_SHOWN_TEXT].decode("utf-8", "replace")


def describe_process(thread: Thread, depth: int, arguments: bool) -> Process:
    parent = thread.group.main if thread.group is not None else None
    files = parent.fds if parent is not None else thread.fds
    return Process(
        pid=thread.pid,
        ppid=thread.ptid,
        depth=depth,
        name=_text(thread.comm),
        exepath=_text(thread.exepath),
        uid=thread.uid,
        threads=thread.group.alive if thread.group is not None else 1,
        fds=len(files) if files is not None else 0,
        started_at=max(0, thread.clone_ts),
        args=[_text(arg) for arg in thread.args.items[:MAX_SHOWN_ARGS]] if arguments else [],
    )
