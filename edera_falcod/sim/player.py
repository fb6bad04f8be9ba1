"""Plays a zone's feed on one open MonitorZoneKernelEvents stream."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final, final

from .feed import TONIC_BUFFER, Playable, choice
from .sender import Sender

_GAP: Final = 1_000_000_000  # ns between a lap's last and the next one's first event
_TICK: Final = 0.002  # s; what is due within it goes together


class AtEnd(Enum):
    """What happens when the capture has been played."""

    IDLE = "idle"  # the stream stays open
    END = "end"  # the stream ends
    EXIT = "exit"  # the zone exits


class Reopen(Enum):
    """What a stream that is opened again gets."""

    RESTART = "restart"  # the capture from its beginning, with times that go on
    CONTINUE = "continue"  # the first snapshot, then the events that were not sent yet


@dataclass(slots=True)
class Play:
    """How a zone's capture is played. ``speed``: 1 as recorded, n times as fast, 0 as fast as possible. ``single``: one message
    to a DATA frame instead of many, packed as tonic does. ``loop``: begin again at its end, with a snapshot and later times."""

    speed: float = 1.0
    loop: bool = False
    single: bool = False
    at_end: AtEnd = AtEnd.IDLE
    reopen: Reopen = Reopen.RESTART
    now: bool = False  # times are moved to when they are played: of each event, but for a lap's beginning only where it goes faster


@final
class Progress:
    """Where a zone's play is, over all its streams. ``shift``: ns that the current lap's times are later than recorded ones."""

    def __init__(self) -> None:
        self.laps = 0
        self.shift = 0
        self.index = 0
        self.snapshots = 0
        self.events = 0  # sent


@final
class Player:
    """One stream. ``push``, ``finish``, ``cut``, ``pause`` and ``resume`` take effect between two writes. While it is paused nothing is
    sent, not even its end."""

    def __init__(self, feed: Playable, play: Play, progress: Progress, sender: Sender, syscalls: tuple[int, ...]) -> None:
        self.exited = asyncio.Event()  # the capture is over and the zone should exit
        self.paused = False
        self.ended = False  # nothing more comes from it
        self.syscalls = syscalls
        self._feed = feed
        self._play = play
        self._progress = progress
        self._sender = sender
        self._keys = choice(syscalls)
        self._pushed: deque[bytes] = deque()
        self._done = False
        self._cut = False
        self._woken = asyncio.Event()

    def update(self, syscalls: tuple[int, ...]) -> None:
        """Send events of these system calls only."""
        self.syscalls = syscalls
        self._keys = choice(syscalls)

    def push(self, data: bytes) -> None:
        """Send these bytes of the stream (prefix and message) next."""
        self._pushed.append(data)
        self._woken.set()

    def finish(self) -> None:
        """End the stream in an orderly way."""
        self._done = True
        self._woken.set()

    def cut(self) -> None:
        """Break the stream off in the middle of a message."""
        self._cut = True
        self._woken.set()

    def pause(self) -> None:
        self.paused = True
        self._woken.set()

    def resume(self) -> None:
        self.paused = False
        self._woken.set()

    async def run(self) -> None:
        """Play until the stream is to end. Raises ``H2Error`` when the other side has closed it."""
        progress = self._progress
        goes_on = self._play.reopen is Reopen.CONTINUE and progress.laps > 0
        while not self._over:
            if not goes_on:
                if self._play.now:
                    progress.shift = time.time_ns() - self._feed.first
                elif progress.laps:
                    progress.shift += self._feed.last - self._feed.first + _GAP
                progress.index = 0
                progress.laps += 1
            goes_on = False
            if await self._lap():
                return
            if not self._play.loop or not len(self._feed):
                break
        if not self._over:
            if self._play.at_end is AtEnd.END:
                return
            if self._play.at_end is AtEnd.EXIT:
                self.exited.set()
        while not await self._interrupted():
            await self._sleep(None)

    @property
    def _over(self) -> bool:
        return self._done or self._cut

    async def _interrupted(self) -> bool:
        """Do what others want; whether the stream is to end."""
        while True:
            while self._pushed and not self.paused:
                await self._sender.send([self._pushed.popleft()])
            if self._cut:
                if len(self._feed):
                    reply = self._feed.event(min(self._progress.index, len(self._feed) - 1), self._progress.shift)
                    await self._sender.send([reply[: len(reply) // 2]])
                self._sender.reset()
                return True
            if not self.paused:
                return self._done
            await self._sleep(None)

    async def _sleep(self, seconds: float | None) -> None:
        """Sleep, but not when somebody wants something."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    async def _lap(self) -> bool:
        """Play from where the progress is to the end of the capture; True if the stream was ended meanwhile."""
        feed, progress = self._feed, self._progress
        shift = progress.shift
        follow = self._play.now and 0 < self._play.speed <= 1
        if await self._interrupted():
            return True
        await self._send([feed.snapshot_at(progress.index, shift)])
        progress.snapshots += 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        origin = feed.time(progress.index) if progress.index < len(feed) else 0
        while progress.index < len(feed):
            if await self._interrupted():
                return True
            end = len(feed)
            if self._play.speed > 0:
                now = origin + int((loop.time() - began) * self._play.speed * 1e9)
                end = feed.until(progress.index, now)
                if end == progress.index:
                    due = (feed.time(progress.index) - now) / 1e9 / self._play.speed
                    await self._sleep(max(due, _TICK))
                    continue
            if follow:
                shift = progress.shift = max(shift, time.time_ns() - feed.time(progress.index))
            index, events = feed.take(progress.index, end, self._keys, shift, TONIC_BUFFER)
            await self._send(events)
            progress.events += len(events) - feed.snapshots(progress.index, index)
            progress.index = index
            if self._play.speed <= 0:
                await asyncio.sleep(0)
        return False

    async def _send(self, events: list[bytes]) -> None:
        await self._sender.send(events if self._play.single else [b"".join(events)])
