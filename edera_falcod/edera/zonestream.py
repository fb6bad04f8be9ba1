"""One zone's kernel event stream, for as long as the zone lives: opened, read, opened again, as ``lifecycle.py`` says.

A zone is the task that runs ``ZoneStream.run``. What it reads goes to the sink in the order in which it came; what others want of
it (its exit, a new snapshot, other system calls) they leave in a field and wake it, so that one task alone decides.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

import structlog

from ..turns import Turns
from .backoff import Backoff
from .control import MONITOR, monitor_stop, monitor_update
from .frames import MAX_EVENT, MAX_SNAPSHOT, FrameSplitter
from .lifecycle import FAULTS, GAPS, Action, Event, State, step
from .pace import SLICE, Pace
from .sink import Verdict, ZoneInfo, ZoneSink
from .transport import Call, LinkError, Links

# Bytes that are handed on before other tasks get their turn: some hundred events. Zones that have something to read at the same time
# share it, so that a turn of the loop takes no longer with many of them, and ctl is answered in time. A DATA frame is never cut.
TURN: Final = 64 << 10
# Opening takes a round trip through the daemon, which asks the zone's agent; a daemon that is this slow is stuck.
OPEN_TIME: Final = 10.0
# After Stop: how long what is still on its way is waited for.
DRAIN_TIME: Final = 2.0
# The stream of a zone that exits ends about when its exit is announced: no gap is told if that comes within this time.
EXIT_GRACE: Final = 0.5
# A zone that stays live for so long has recovered: its next failure is again a first one.
STEADY_TIME: Final = 30.0
# A stream is not opened again sooner than this after it was opened last, so that hotplug events at full speed cost one snapshot
# in this time.
REOPEN_SPACING: Final = 0.5
# So many faults in so many seconds mean that trying again does not help.
MAX_FAULTS: Final = 5
FAULT_WINDOW: Final = 60.0
QUARANTINE_FIRST: Final = 60.0
QUARANTINE_LONGEST: Final = 900.0
# Snapshots above one event's size that all zones together may be sending at a time: each is kept whole until it is imported.
SNAPSHOTS_TOTAL: Final = 4 * MAX_SNAPSHOT
# What is kept of a zone's past, for people.
HISTORY: Final = 32

# Looking up a member of an enumeration costs as much as decoding an event.
_READ: Final = Action.READ
_LIVE: Final = State.LIVE
_OK: Final = Verdict.OK


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set. Seconds, bytes, numbers."""

    reconcile: float = 5.0
    snapshot_timeout: float = 30.0
    max_snapshot: int = MAX_SNAPSHOT
    max_zones: int = 1024
    syscalls: tuple[int, ...] = ()  # PPM_SC codes; none: the zone's default set


@dataclass(frozen=True, slots=True)
class Step:
    """One transition: when (s since the epoch), what happened and why, and where it led."""

    at: float
    event: Event
    reason: str
    state: State


@final
class Busy:
    """How many zones have something to read."""

    def __init__(self) -> None:
        self.count = 0


@final
class SnapshotBudget:
    """Bytes of large snapshots that may be under way at a time, over all zones."""

    def __init__(self, total: int = SNAPSHOTS_TOTAL) -> None:
        self._left = total
        self._total = total
        self._changed = asyncio.Condition()

    async def take(self, size: int) -> None:
        """Wait until ``size`` bytes are free, and take them. More than there are in all count as all."""
        size = min(size, self._total)
        async with self._changed:
            await self._changed.wait_for(lambda: self._left >= size)
            self._left -= size

    async def give(self, size: int) -> None:
        async with self._changed:
            self._left += min(size, self._total)
            self._changed.notify_all()


@final
class ZoneStream:
    """The life of one zone. ``counters``: by what happened, and ``fault.<cause>`` for what was wrong. ``since``: s since the epoch
    since when it is in its state, ``reason``: why."""

    def __init__(
        self,
        zone: ZoneInfo,
        links: Links,
        sink: ZoneSink,
        settings: Settings,
        budget: SnapshotBudget,
        link_up: Callable[[], bool],
        busy: Busy,
    ) -> None:
        self.zone = zone
        self.state = State.DISCOVERED
        self.since = time.time()
        self.reason = ""
        self.counters: Counter[str] = Counter()
        self.history: deque[Step] = deque(maxlen=HISTORY)
        self.taps: list[Callable[[list[bytes]], None]] = []  # are shown what comes before the sink gets it; must neither wait nor raise
        self._links = links
        self._sink = sink
        self._settings = settings
        self._budget = budget
        self._link_up = link_up
        self._busy = busy
        self._syscalls = settings.syscalls
        self._backoff = Backoff()
        self._quarantine = Backoff(QUARANTINE_FIRST, QUARANTINE_LONGEST)
        self._faults: deque[float] = deque(maxlen=MAX_FAULTS)
        self._live_since = 0.0  # loop time, 0 when not live
        self._opened_at = -REOPEN_SPACING
        self._reserved = 0  # bytes of the budget that are ours
        self._handing = False  # events or a snapshot, in slices between which others run: on a busy machine a large one takes long
        self._pace = Pace()
        self._gap = ""  # why, of the one that has to be told once what is on its way has been handed on
        # What others want
        self._exit = ""
        self._resync = ""
        self._update = False
        self._woken = asyncio.Event()
        self._call: Call | None = None
        self._log = structlog.get_logger().bind(room="edera", zone=zone.id, name=zone.name)

    # ---- what others want

    def exit(self, reason: str) -> None:
        """The zone is no more. ``run`` returns soon."""
        self._exit = self._exit or reason
        self.wake()

    def resync(self, reason: str) -> None:
        """Get a new snapshot."""
        self._resync = reason
        self.wake()

    def set_syscalls(self, syscalls: tuple[int, ...]) -> None:
        """Ask the zone for these system calls from now on."""
        if syscalls != self._syscalls:
            self._syscalls = syscalls
            self._update = True
            self.wake()

    @property
    def syscalls(self) -> tuple[int, ...]:
        """PPM_SC codes that the zone is asked for; none: its default set."""
        return self._syscalls

    @property
    def readable(self) -> bool:
        """Whether what the zone sent lies here and none of it is being read."""
        return self._call is not None and self._call.readable and not self._handing

    def change(self, settings: Settings) -> None:
        """From now on; ``settings.syscalls`` is left alone."""
        self._settings = settings

    def wake(self) -> None:
        """Something that it may wait for has changed."""
        self._woken.set()
        if self._call is not None:
            self._call.wake()

    # ---- the life

    async def run(self) -> None:
        """Live until the zone is gone. Raises nothing but ``CancelledError``."""
        action = self._on(Event.EXITED, self._exit) if self._exit else self._on(Event.START, "")
        while self.state is not State.GONE:
            if action is Action.OPEN:
                action = await self._stream()
            elif action is Action.STOP_AND_REOPEN:  # the stream has been stopped by then
                await self._sleep(self._opened_at + REOPEN_SPACING - asyncio.get_running_loop().time(), stop_for_resync=False)
                action = await self._stream()
            elif action is Action.WAIT_AND_RETRY:
                action = await self._wait(self._backoff.next())
            elif action is Action.WAIT_IN_QUARANTINE:
                action = await self._wait(self._quarantine.next())
            else:
                raise AssertionError(f"{action} in {self.state}")

    def _on(self, event: Event, reason: str) -> Action | None:
        """Enter the next state. None: the event means nothing here."""
        found = step(self.state, event)
        if found is None:
            return None
        before = self.state
        self.state, action = found
        now = time.time()
        if self.state is not before:
            self.since = now
        self.reason = reason
        self.history.append(Step(now, event, reason, self.state))
        self.counters[event.value] += 1
        gap = (before, event) in GAPS
        self._keep_time(event, gap)
        if gap or event is Event.OPEN_FAILED or self.state is State.QUARANTINED:
            tell = self._log.warning
        elif self.state is before or self.state in (State.OPENING, State.SEEDING):
            tell = self._log.debug
        else:
            tell = self._log.info
        tell(f"zone {self.state.value}", why=event.value, reason=reason or None)
        if gap and action is Action.STOP_AND_REOPEN:
            # Events that are still on their way are whole and in order: the gap comes after them.
            self._sink.doubt(self.zone.id)
            self._gap = event.value
        elif gap:
            self._sink.gap(self.zone.id, event.value)
        self._sink.zone_state(self.zone.id, self.state, reason or event.value)
        return action

    def _keep_time(self, event: Event, gap: bool) -> None:
        now = asyncio.get_running_loop().time()
        if gap and self._live_since and now - self._live_since >= STEADY_TIME:
            self._backoff.reset()
            self._quarantine.reset()
        self._live_since = (self._live_since or now) if self.state is State.LIVE else 0.0
        if event in FAULTS:
            self._faults.append(now)

    def _fault(self, event: Event, cause: str) -> Action | None:
        """Something is wrong with the stream; too often, and the zone is put in quarantine."""
        self.counters[f"fault.{cause}"] += 1
        action = self._on(event, cause)
        faults = self._faults
        if event in FAULTS and len(faults) == MAX_FAULTS and faults[-1] - faults[0] <= FAULT_WINDOW:
            faults.clear()
            action = self._on(Event.TOO_MANY_FAULTS, f"{MAX_FAULTS} faults in {FAULT_WINDOW:g} s, the last: {cause}")
        return action

    async def _wait(self, delay: float) -> Action:
        """Wait until the daemon answers at all, which discovery knows, and then for ``delay`` seconds."""
        self._log.debug("zone waits", seconds=round(delay, 2))
        while not self._link_up() and not self._exit and not self._resync:
            self._woken.clear()
            await self._woken.wait()
        await self._sleep(delay)
        if self._exit:
            return self._expect(self._on(Event.EXITED, self._exit))
        if self._resync:
            reason, self._resync = self._resync, ""
            return self._expect(self._on(Event.RESYNC, reason))
        return self._expect(self._on(Event.TIME_IS_UP, ""))

    @staticmethod
    def _expect(action: Action | None) -> Action:
        assert action is not None
        return action

    async def _sleep(self, delay: float, *, stop_for_resync: bool = True) -> None:
        """Sleep, but not past an exit, nor past a resync if that is asked for."""
        end = asyncio.get_running_loop().time() + delay
        while not self._exit and not (self._resync and stop_for_resync):
            self._woken.clear()
            try:
                async with asyncio.timeout_at(end):
                    await self._woken.wait()
            except TimeoutError:
                return

    # ---- one stream

    async def _stream(self) -> Action:
        """Open a stream and read it until something ends it; what has to be done then."""
        if self._exit:
            return self._expect(self._on(Event.EXITED, self._exit))
        self._opened_at = asyncio.get_running_loop().time()
        self._resync = ""  # a snapshot is about to come
        call = self._links.call(MONITOR)
        try:
            try:
                async with asyncio.timeout(OPEN_TIME):
                    await call.__aenter__()
                    self._update = False
                    await call.send(monitor_update(self.zone.id, self._syscalls))
            except TimeoutError:
                return self._expect(self._fault(Event.OPEN_FAILED, "late"))
            except LinkError as error:
                self.counters[f"fault.{error.cause}"] += 1
                return self._expect(self._on(Event.OPEN_FAILED, str(error)))
            self._call = call
            return await self._read(call)
        finally:
            if self._gap:
                self._sink.gap(self.zone.id, self._gap)
                self._gap = ""
            self._call = None
            await call.__aexit__(None, None, None)
            if self._reserved:
                await self._budget.give(self._reserved)
                self._reserved = 0

    async def _read(self, call: Call) -> Action:
        loop = asyncio.get_running_loop()
        splitter = FrameSplitter(MAX_EVENT, max(MAX_EVENT, self._settings.max_snapshot))
        self._on(Event.OPENED, "")
        deadline: float | None = loop.time() + self._settings.snapshot_timeout
        while True:
            if call.readable:
                self._busy.count += 1
                try:
                    await asyncio.sleep(0)  # the others' turn
                finally:
                    self._busy.count -= 1
            elif self._exit or self._update or self._resync:
                pass  # said while something was handed on: nobody wakes us for it again
            elif deadline is None:
                await call.wait()
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline):
                        await call.wait()
            share = TURN // (self._busy.count + 1)
            if self._exit:
                await self._stop(call, splitter)
                return self._expect(self._on(Event.EXITED, self._exit))
            if self._update:
                self._update = False
                try:
                    async with asyncio.timeout(OPEN_TIME):
                        await call.send(monitor_update(self.zone.id, self._syscalls))
                except (LinkError, TimeoutError):
                    self.counters["fault.update"] += 1  # the stream ends too, or the next one has it
            messages = splitter.feed(call.take(share))
            action = await self._hand(messages)
            if action is not _READ:
                if action is Action.STOP_AND_REOPEN:
                    await self._stop(call, splitter)
                return action
            if splitter.fault is not None:
                return self._expect(self._fault(Event.UNREADABLE, splitter.fault.value))
            if call.ended:
                return await self._ended(call, splitter)
            if self._resync:
                reason, self._resync = self._resync, ""
                if self._on(Event.RESYNC, reason) is Action.STOP_AND_REOPEN:
                    await self._stop(call, splitter)
                    return Action.STOP_AND_REOPEN
            deadline = await self._set_deadline(deadline, splitter)
            if deadline is not None and loop.time() >= deadline:  # also when something else keeps coming
                return self._expect(self._fault(Event.SNAPSHOT_LATE, "snapshot_late"))

    async def _set_deadline(self, deadline: float | None, splitter: FrameSplitter) -> float | None:
        """A snapshot that is awaited, or large and begun, has to be complete in time. A large one first gets its part of the budget."""
        if splitter.announced <= MAX_EVENT:
            return None if self.state is _LIVE else deadline
        loop = asyncio.get_running_loop()
        if not self._reserved:
            size = splitter.announced
            await self._budget.take(size)
            self._reserved = size
            return loop.time() + self._settings.snapshot_timeout
        return deadline

    async def _ended(self, call: Call, splitter: FrameSplitter) -> Action:
        splitter.end()
        try:
            call.status()
        except LinkError as error:
            self.counters[f"fault.{error.cause}"] += 1
            return self._expect(self._on(Event.STREAM_LOST, str(error)))
        if splitter.fault is not None:
            return self._expect(self._fault(Event.UNREADABLE, splitter.fault.value))
        await self._sleep(EXIT_GRACE, stop_for_resync=False)
        if self._exit:
            return self._expect(self._on(Event.EXITED, self._exit))
        return self._expect(self._on(Event.STREAM_ENDED, "the daemon has ended the stream"))

    async def _hand(self, messages: list[bytes]) -> Action:
        """Give messages to the sink; what follows from them."""
        for tap in self.taps:
            tap(messages)
        action: Action | None = None
        found = _OK
        zone = self.zone.id
        at = 0
        while at < len(messages):
            try:
                at, verdict = await self._events(messages, at)
                if verdict is not _OK:
                    found |= verdict
                if at < len(messages):
                    self._handing = True
                    try:
                        verdict = await self._sink.snapshot(zone, messages[at])
                    finally:
                        self._handing = False
                    at += 1
                    if self._reserved:
                        await self._budget.give(self._reserved)
                        self._reserved = 0
                    if verdict & Verdict.MALFORMED:
                        found |= verdict
                    else:
                        found = found & Verdict.HOTPLUG | verdict  # what else was before the snapshot no longer matters
                        action = self._on(Event.SNAPSHOT, "")
            except Exception:  # a bug of ours: costs this zone a new snapshot, nobody else anything
                self._log.exception("internal error while reading a zone")
                self.counters["fault.internal"] += 1
                found |= Verdict.MALFORMED
                break
        self.counters["messages"] += len(messages)
        if found is _OK:
            return action or _READ
        if found & Verdict.HOTPLUG:
            action = self._on(Event.CPU_HOTPLUG, "")
        elif found & Verdict.MALFORMED:
            action = self._fault(Event.MALFORMED, "malformed")
        elif found & Verdict.LOSS:
            action = self._on(Event.LOSS, "")
        return action or _READ

    async def _events(self, messages: list[bytes], at: int) -> tuple[int, Verdict]:
        """Hand on the messages from ``at`` on, up to the first snapshot, as ``ZoneSink.messages`` does, but in pieces: a zone may send
        events each of which takes long, or makes much, and others are to have their turn between them."""
        found = _OK
        sink = self._sink
        zone = self.zone.id
        turns = Turns(SLICE)
        count = len(messages)
        self._handing = True
        try:
            while at < count:
                stop = min(at + self._pace.next, count)
                began = time.monotonic()
                held = sink.held(zone)
                at, verdict = sink.messages(zone, messages, at, stop)
                if verdict is not _OK:
                    found |= verdict
                if at < stop:
                    break
                if self._pace.took(time.monotonic() - began, sink.held(zone) - held):
                    await asyncio.sleep(0)
                await turns.give()
        finally:
            self._handing = False
        return at, found

    async def _stop(self, call: Call, splitter: FrameSplitter) -> None:
        """End the stream in an orderly way and hand on what still comes."""
        try:
            async with asyncio.timeout(DRAIN_TIME):
                await call.send(monitor_stop(self.zone.id), end=True)
        except (LinkError, TimeoutError):
            return
        await self._drain(call, splitter)

    async def _drain(self, call: Call, splitter: FrameSplitter) -> None:
        """Hand on what still comes until the stream ends, but no longer than ``DRAIN_TIME``. Snapshots are left out: if the zone
        lives on, a new one follows."""
        try:
            async with asyncio.timeout(DRAIN_TIME):
                while splitter.fault is None:
                    messages = splitter.feed(call.take(TURN))
                    self.counters["messages"] += len(messages)
                    for tap in self.taps:
                        tap(messages)
                    at = 0
                    while at < len(messages):
                        at, _ = await self._events(messages, at)
                        at += 1
                    if call.ended:
                        return
                    if call.readable:
                        await asyncio.sleep(0)
                    else:
                        await call.wait()
        except TimeoutError:
            self.counters["drain_late"] += 1
        except Exception:
            self._log.exception("internal error while reading a zone")
            self.counters["fault.internal"] += 1
