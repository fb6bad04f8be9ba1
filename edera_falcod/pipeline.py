"""A zone's way through the core: replies in, records out. One object per zone, so that one zone's trouble stays its own.

`Pipelines` is what the edera room tells (edera/sink.py); `ZonePipeline` reads a zone's replies, keeps its state, and gives the ring
a record for each event. An event that no consumer has room for still changes the state, but is not encoded.
"""

from __future__ import annotations

import gc
import ipaddress
import time
from collections.abc import Callable
from typing import Any, Final, final

from .edera.lifecycle import State
from .edera.sink import Verdict, ZoneInfo
from .edera.workloads import WorkloadInfo
from .enrich import workload
from .falco import notices
from .falco.accounting import ZoneAccount
from .falco.intake import FAULT, REFUSED, Intake
from .falco.notices import Notices
from .falco.ring import Ring
from .falco.zoneblock import zone_block
from .fields.blocks import IDS
from .fields.record import Encoder
from .fields.workload import Workloads, host_block
from .scap.errors import EMPTY, OLD_EVENT, UNKNOWN_EVENT, WireError
from .scap.snapshot import SnapshotThread
from .scap.wire import SnapshotReader, parse_reply
from .state.block import Block
from .state.zone import ZoneState
from .turns import Turns

# Replies that we do not understand but that leave nothing wrong behind: of a zone that is newer, or older, than we are.
HARMLESS: Final = frozenset({UNKNOWN_EVENT, OLD_EVENT, EMPTY})
SLICE: Final = 0.001  # seconds of work on a snapshot before others get their turn
SCAN: Final = 1024  # outermost fields of a snapshot that are looked at before the clock is
LOSS_SPACING: Final = 30.0  # seconds between reseeds after losses (of the zone's driver, or by our own faults): a zone that loses all the
# time must not keep us busy with snapshots; it stays tainted meanwhile, and the last loss is always followed by a reseed
_OK: Final = Verdict.OK  # looking it up costs as much as decoding an event
RATE_MEMORY: Final = 5.0  # seconds over which a zone's rate is averaged


@final
class ZonePipeline:
    """One zone. ``refused_snapshots`` counts snapshots that could not be read, ``imported`` those that could, ``import_time`` the
    seconds that the last one took. ``skew``: ns that the zone's clock is ahead of ours (behind: below 0), by its newest events within a
    second; what events take to come makes it look behind. None: no event yet."""

    __slots__ = (
        "_ahead", "_drops", "_log", "_loss_at", "_loss_pending", "_rate_count", "_ring", "_wall", "account", "encoder",
        "import_time", "imported", "info", "intake", "rate", "refused_snapshots", "seeded", "skew", "state", "stream_state", "tainted",
        "told",
        "workloads",
    )  # fmt: skip

    def __init__(
        self, ring: Ring, info: ZoneInfo, host: Block, attribution: int | None, log: Any, wall: Callable[[], float] = time.time
    ) -> None:
        self._ring = ring
        self._wall = wall
        self._log = log.bind(zone=info.id, name=info.name)
        self.account: ZoneAccount = ring.add_zone(info.id, info.name)
        self.state = ZoneState()
        self.workloads = Workloads(attribution, host) if attribution is not None else None
        self.encoder = Encoder(self.account.index, self.state, None, self.workloads)
        self.intake = Intake(ring, self.account, self.state, self.encoder)
        self.info = info
        self.told: tuple[list[WorkloadInfo], tuple[str, ...]] = ([], ())  # of workloads: the last ones, and the keys of annotations
        self.stream_state = State.DISCOVERED
        self.tainted = True  # until the first snapshot
        self.seeded = False
        self.imported = 0
        self.refused_snapshots = 0
        self.import_time = 0.0
        self.rate = 0.0
        self._rate_count = 0
        self._drops = 0
        self._loss_at = -LOSS_SPACING
        self._loss_pending = False
        self._ahead: int | None = None
        self.skew: int | None = None
        self.change(info)

    @property
    def codes(self) -> list[int]:
        """Events received by code; a new list."""
        return self.intake.codes

    def change(self, info: ZoneInfo) -> None:
        """What the host says of the zone is now this."""
        if not self.imported or info.ips != self.info.ips:
            self.state.interfaces.set_addresses(_addresses(info.ips))
        before, self.info = self.info, info
        self.account.name = info.name
        self._make_block()
        if self.told[0] and (before.ips, before.annotations) != (info.ips, info.annotations):
            self.replace_workloads(*self.told)  # they show the zone's address, and its annotations where they have none

    def taint(self, tainted: bool) -> None:
        if tainted != self.tainted:
            self.tainted = tainted
            self._make_block()

    def _make_block(self) -> None:
        info = self.info
        own = tuple(address for address in _addresses(info.ips) if not ipaddress.ip_address(address).is_loopback)
        self.encoder.zone_block = zone_block(
            info.id, info.name, info.state, info.host, info.domid, own, info.kernel, info.annotations, info.ready_at, self.tainted
        )
        self.account.block = self.encoder.zone_block

    def replace_workloads(self, found: list[WorkloadInfo], keys: tuple[str, ...]) -> None:
        """The zone runs these workloads now."""
        if self.workloads is None:
            return
        self.told = (found, keys)
        first = IDS.last + 1
        IDS.last += len(found)
        self.workloads.replace([workload(info, self.info, keys) for info in found], first)

    def messages(self, batch: list[bytes], start: int, stop: int) -> tuple[int, Verdict]:
        """See ``ZoneSink.messages``."""
        account = self.account
        intake = self.intake
        verdict = _OK
        before = account.last_ts
        at = intake.take(batch, start, stop)
        while intake.why == REFUSED or intake.why == FAULT:
            if intake.why == FAULT:
                verdict |= self._fault(intake.error, "reading a reply" if intake.code < 0 else f"event {intake.code}")
            else:
                if intake.cause not in HARMLESS:
                    verdict |= Verdict.MALFORMED
                self._log.warning("reply refused", cause=intake.cause, bytes=len(batch[at]))
            at = intake.take(batch, at + 1, stop)
        if intake.hotplug:
            intake.hotplug = False
            verdict |= Verdict.HOTPLUG
        if account.last_ts != before:
            ahead = account.last_ts - int(self._wall() * 1e9)
            if self._ahead is None or ahead > self._ahead:
                self._ahead = ahead
        drops = self.state.counters.drop_events
        if drops != self._drops:  # the zone's own driver has told of a loss
            self._drops = drops
            verdict |= self._lost()
        return at, verdict

    def _fault(self, error: Exception | None, what: str) -> Verdict:
        """An error of ours, whatever the zone sent. The event is lost, and the state may be wrong."""
        self._log.error("internal error", what=what, exc_info=error)
        return self._lost()

    def _lost(self) -> Verdict:
        """Something of the zone was lost: seed again, but not all the time."""
        now = time.monotonic()
        if now - self._loss_at < LOSS_SPACING:
            self.account.gaps += 1
            self.taint(True)
            self._loss_pending = True
            return Verdict.OK
        self._loss_at = now
        return Verdict.LOSS

    async def snapshot(self, message: bytes) -> Verdict:
        """See ``ZoneSink.snapshot``. It is read whole before the old state is given up, in slices, so that other zones go on."""
        began = time.monotonic()
        # What was made so far is no longer the collector's: it would look at hundreds of thousands of young objects at a time, and find
        # none that is garbage.
        turns = Turns(SLICE, gc.freeze)
        try:
            reader = parse_reply(message, 0, len(message))
            if not isinstance(reader, SnapshotReader):
                raise WireError(EMPTY)
            while not reader.scan(SCAN):
                await turns.give()
            threads: list[SnapshotThread] = []
            while (thread := reader.next_thread()) is not None:
                threads.append(thread)
                await turns.give()
        except WireError as error:
            self.refused_snapshots += 1
            self._log.warning("snapshot refused", cause=error.cause, bytes=len(message))
            return Verdict.MALFORMED
        state = self.state
        old = state.begin_snapshot(reader.boot_epoch)  # let go bit by bit, as is what was read: all at once would take too long
        for one in old:
            one.part()
            await turns.give()
        while old:
            old.pop()
            await turns.give()
        threads.reverse()
        while threads:
            state.add_snapshot_thread(threads.pop())
            await turns.give()
        for _ in state.finish_snapshot():
            await turns.give()
        self._loss_pending = False
        self.imported += 1
        self.import_time = time.monotonic() - began
        self._drops = state.counters.drop_events
        self.taint(False)
        left_out = reader.dropped_threads + reader.dropped_fds
        self._log.info(
            "snapshot imported",
            threads=len(state.threads),
            bytes=len(message),
            ms=round(1000 * self.import_time),
            left_out=left_out or None,
        )
        return Verdict.OK

    def tick(self, seconds: float) -> bool:
        """``seconds`` have passed. True: it is time for the reseed that a loss has to be followed by."""
        weight = min(1.0, seconds / RATE_MEMORY)
        self.rate += weight * ((self.account.received - self._rate_count) / max(seconds, 0.001) - self.rate)
        self._rate_count = self.account.received
        self.skew, self._ahead = self._ahead if self._ahead is not None else self.skew, None
        now = time.monotonic()
        if not self._loss_pending or now - self._loss_at < LOSS_SPACING or self.stream_state is not State.LIVE:
            return False
        self._loss_pending = False
        self._loss_at = now
        return True


def _addresses(texts: tuple[str, ...]) -> list[bytes]:
    found: list[bytes] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_address(text.partition("/")[0]).packed)
        except ValueError:
            continue
    return found


@final
class Pipelines:
    """All zones' pipelines, told by the edera room. ``by_id``: those that live. ``attribution``: see fields/workload.py, None says
    nothing of workloads. ``wall``: seconds since the epoch."""

    def __init__(self, ring: Ring, told: Notices, attribution: int | None, log: Any, wall: Callable[[], float] = time.time) -> None:
        self.by_id: dict[str, ZonePipeline] = {}
        self.annotation_keys: tuple[str, ...] = ()
        self.removes_threads = True  # see ZoneState; replay may want it otherwise
        self.closing = False  # zones that go now go with us: no notice
        self._ring = ring
        self._notices = told
        self._attribution = attribution
        self._host = host_block(IDS.next())
        self._log = log
        self._wall = wall

    def _tell(self, kind: str, pipeline: ZonePipeline, text: str, cause: str = "") -> None:
        self._notices.tell(kind, text, int(self._wall() * 1e9), pipeline.account, cause)

    # What the edera room tells

    def zone_changed(self, zone: ZoneInfo) -> None:
        pipeline = self.by_id.get(zone.id)
        if pipeline is None:
            pipeline = ZonePipeline(self._ring, zone, self._host, self._attribution, self._log, self._wall)
            pipeline.state.removes_threads = self.removes_threads
            self.by_id[zone.id] = pipeline
            self._tell(notices.ZONE_DISCOVERED, pipeline, f"zone {zone.name or zone.id} was discovered")
        else:
            pipeline.change(zone)

    def workloads(self, zone_id: str, workloads: list[WorkloadInfo]) -> None:
        self.by_id[zone_id].replace_workloads(workloads, self.annotation_keys)

    def zone_state(self, zone_id: str, state: State, reason: str) -> None:
        pipeline = self.by_id[zone_id]
        before, pipeline.stream_state = pipeline.stream_state, state
        if state is State.LIVE and before is not State.LIVE:
            name = pipeline.info.name or zone_id
            threads = len(pipeline.state.threads)
            if pipeline.seeded:
                self._tell(notices.ZONE_RESEEDED, pipeline, f"zone {name} was learned anew: {threads} threads", before.value)
            else:
                self._tell(notices.ZONE_LIVE, pipeline, f"zone {name} is live with {threads} threads")
            pipeline.seeded = True
        elif state is State.QUARANTINED and before is not State.QUARANTINED:
            name = pipeline.info.name or zone_id
            self._tell(notices.ZONE_QUARANTINED, pipeline, f"zone {name} is left alone for a while: {reason}", reason)

    def messages(self, zone_id: str, batch: list[bytes], start: int, stop: int) -> tuple[int, Verdict]:
        return self.by_id[zone_id].messages(batch, start, stop)

    def held(self, zone_id: str) -> int:
        return self._ring.held(self.by_id[zone_id].account)

    async def snapshot(self, zone_id: str, message: bytes) -> Verdict:
        pipeline = self.by_id[zone_id]
        verdict = await pipeline.snapshot(message)
        if verdict is Verdict.OK and pipeline.imported == 1:
            # What a snapshot makes lives long: the collector need not look at it again and again. Only once for each zone, since
            # what is frozen is not collected before some zone goes.
            gc.freeze()
        return verdict

    def doubt(self, zone_id: str) -> None:
        self.by_id[zone_id].taint(True)

    def gap(self, zone_id: str, cause: str) -> None:
        pipeline = self.by_id[zone_id]
        pipeline.account.gaps += 1
        pipeline.taint(True)
        if not self.closing:
            name = pipeline.info.name or zone_id
            self._tell(notices.GAP, pipeline, f"events of zone {name} may be missing here: {cause.replace('_', ' ')}", cause)

    def zone_gone(self, zone_id: str, reason: str) -> None:
        pipeline = self.by_id.pop(zone_id)
        if not self.closing:
            self._tell(notices.ZONE_GONE, pipeline, f"zone {pipeline.info.name or zone_id} is gone: {reason}", reason)
        self._ring.remove_zone(pipeline.account)
        gc.unfreeze()  # so that what it leaves behind can be collected

    def tick(self, seconds: float) -> list[str]:
        """``seconds`` have passed. Returns the ids of zones that should be seeded anew."""
        return [zone_id for zone_id, pipeline in self.by_id.items() if pipeline.tick(seconds)]
