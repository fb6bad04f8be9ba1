"""A reader of one zone's stream, as thin as can be."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edera_falcod.edera.control import MONITOR, monitor_update
from edera_falcod.edera.frames import FrameSplitter
from edera_falcod.edera.transport import Call, Link
from edera_falcod.scap.event import Event
from edera_falcod.scap.threads import SnapshotReader
from edera_falcod.scap.wire import parse_reply
from edera_falcod.sim.host import SimHost

CAPTURE = Path(__file__).parent.parent / "data" / "attack1.scap"


class Reader:
    """Reads a zone's stream; ``order``: "S" for a snapshot, else the event's time."""

    def __init__(self, host: SimHost, name: str, syscalls: tuple[int, ...] = ()) -> None:
        self.link = Link(str(host.path))
        self.call: Call = self.link.call(MONITOR)
        self.request = monitor_update(host.zones[name].id, syscalls)
        self.events: list[Event] = []
        self.order: list[str | int] = []
        self.boots: list[int] = []
        self.frames: list[int] = []  # sizes of DATA payloads
        self.splitter = FrameSplitter()

    async def __aenter__(self) -> Reader:
        await self.call.__aenter__()
        await self.call.send(self.request)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.call.__aexit__(None, None, None)
        await self.link.aclose()

    async def read(self, events: int, seconds: float = 10) -> None:
        """Read until there are so many events, or the stream has ended."""
        async with asyncio.timeout(seconds):
            while len(self.events) < events and not self.call.ended:
                await self.call.wait()
                self.take()

    def take(self) -> None:
        while self.call.readable and not self.call.ended:
            data = self.call.take(1)  # one frame
            self.frames.append(len(data))
            for message in self.splitter.feed(data):
                reply = parse_reply(message, 0, len(message))
                if isinstance(reply, SnapshotReader):
                    self.order.append("S")
                    self.boots.append(reply.boot_epoch)
                else:
                    self.order.append(reply.ts)
                    self.events.append(reply)
