"""A simulated Edera host that does what it is told on stdin: `python -m bench.host SOCKET CAPTURE LIMIT`.

A command is a JSON object a line, and so is each answer, when it is done:

    {"do": "play", "single": false, "loop": false}    a zone appears and sends the capture as fast as it is taken (again and again)
    {"do": "quiet", "zones": 10, ...}         zones appear that send their snapshot and no event; see ``snapshot_of``
    {"do": "repeat", "first": 0, "events": 200, "times": 5}    each of these zones sends these events so often, as fast as possible
    {"do": "rate", "per_second": 10000, "seconds": 5}          the first sends events of now at this rate
    {"do": "remove"}                          all zones exit
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any, Final

from edera_falcod.sim.feed import Feed
from edera_falcod.sim.host import SimHost
from edera_falcod.sim.player import Play, Reopen

from .corpus import ZONE
from .grown import grow

TICK: Final = 0.001  # s; what is due within it is sent together
CHUNK: Final = 64  # events that a zone sends before the next one gets its turn


class Host:
    def __init__(self, path: str, capture: Path, limit: int) -> None:
        self.sim = SimHost(path)
        self.feed = Feed(capture, ZONE, limit=limit)
        self.made = 0
        self.names: list[str] = []

    def _add(self, play: Play) -> str:
        self.made += 1
        name = f"bench-{self.made}"
        zone = self.sim.add_zone(name, None, play)
        zone.feed = self.feed  # read once for all zones; whose it is the stream tells
        zone.interfaces = self.feed.interfaces
        self.sim.announce(zone)
        self.names.append(name)
        return name

    async def play(self, single: bool = False, loop: bool = False) -> dict[str, Any]:
        name = self._add(Play(speed=0.0, single=single, loop=loop))
        return {"events": len(self.feed), "zone": self.sim.zones[name].id}

    async def quiet(self, zones: int = 1, threads: int = 0, fds: int = -1) -> dict[str, Any]:
        """``threads``, ``fds``: see ``grow``; 0 threads: the capture's own snapshot."""
        if threads:
            self.feed._threads = grow(self.feed._threads, threads, fds)
        play = Play(speed=0.0, reopen=Reopen.CONTINUE)
        names = [self._add(play) for _ in range(zones)]
        for name in names:
            progress = self.sim.zones[name].progress
            progress.laps = 1
            progress.index = len(self.feed)
        while not all(self.sim.zones[name].players for name in names):  # noqa: ASYNC110, nobody tells
            await asyncio.sleep(0.05)
        return {"zones": zones, "snapshot": len(self.feed.snapshot())}

    async def repeat(self, first: int, events: int, times: int) -> dict[str, Any]:
        pieces = [
            b"".join([self.feed.event(index) for index in range(start, min(start + CHUNK, first + events))])
            for start in range(first, first + events, CHUNK)
        ]
        for _ in range(times):
            for piece in pieces:
                for name in self.names:
                    self.sim.push(name, piece)
                await asyncio.sleep(0)
        return {"events": events * times * len(self.names)}

    async def rate(self, per_second: int, seconds: float) -> dict[str, Any]:
        """Events of the capture from its middle on, again and again, with the time at which they are sent."""
        name = self.names[0]
        loop = asyncio.get_running_loop()
        feed = self.feed
        began = loop.time()
        sent = 0
        behind = 0.0
        while True:
            now = loop.time()
            due = min(int((now - began) * per_second), int(seconds * per_second))
            if due > sent:
                wall = time.time_ns()
                events = []
                for number in range(sent, due):
                    index = number % len(feed)
                    events.append(feed.event(index, wall - feed.time(index)))
                self.sim.push(name, b"".join(events))
                sent = due
            if sent >= seconds * per_second:
                break
            behind = max(behind, loop.time() - now)
            await asyncio.sleep(TICK)
        return {"events": sent, "behind": behind}

    async def remove(self) -> dict[str, Any]:
        for name in self.names:
            self.sim.remove_zone(name)
        self.names.clear()
        return {}


async def main() -> None:
    path, capture, limit = sys.argv[1:]
    host = Host(path, Path(capture), int(limit))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with host.sim:
        print(json.dumps({"events": len(host.feed)}), flush=True)
        while line := await reader.readline():
            command = json.loads(line)
            method = getattr(host, command.pop("do"))
            print(json.dumps(await method(**command)), flush=True)


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # daemons end while zones send
    asyncio.run(main())
