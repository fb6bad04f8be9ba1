"""A proxy between two unix sockets that cuts, trickles or stalls, in either direction, at a byte of a connection that was asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHUNK = 1 << 16
ANY = -1


@dataclass
class Cut:
    """Cut connection number ``connection`` (from 0, counted from when the cut is armed) after ``at`` bytes of one direction; ANY: the
    one that is there, after so many bytes from now on."""

    connection: int
    down: bool  # server to client
    at: int


class Flow:
    """What went through a connection."""

    def __init__(self) -> None:
        self.up = bytearray()
        self.down = bytearray()


class Proxy:
    """Listens at ``path``, forwards to ``target``. ``chunk``: bytes forwarded at a time. ``flowing``: while it is not set, nothing is.
    ``recorded``: what went through each connection since ``record`` or ``arm``; ``cuts``: how many there have been."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self.target = target
        self.chunk = CHUNK
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.recorded: list[Flow] = []
        self.cuts = 0
        self.connections = 0
        self._cut: Cut | None = None
        self._since = 0  # bytes of the direction that is to be cut since the cut was armed
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Event] = set()
        self._closed = asyncio.Event()

    def record(self) -> None:
        self.recorded = []

    def arm(self, cut: Cut) -> None:
        self.record()
        self._cut = cut
        self._since = 0

    def break_all(self) -> None:
        """Cut every connection now."""
        for broken in self._open:
            broken.set()

    @property
    def armed(self) -> bool:
        return self._cut is not None

    def disarm(self) -> None:
        self._cut = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broken = asyncio.Event()
        self._open.add(broken)
        number = len(self.recorded)
        flow = Flow()
        self.recorded.append(flow)
        self.connections += 1
        ends = [writer]
        jobs: list[asyncio.Task[Any]] = []
        try:
            near, far = await asyncio.open_unix_connection(str(self.target))
            ends.append(far)
            jobs = [
                asyncio.create_task(self._pump(reader, far, flow.up, number, False)),
                asyncio.create_task(self._pump(near, writer, flow.down, number, True)),
                asyncio.create_task(broken.wait()),
            ]
            await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            for one in ends:
                one.transport.abort()
                with contextlib.suppress(OSError):
                    await one.wait_closed()
            self._open.discard(broken)
            self._closed.set()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, passed: bytearray, number: int, down: bool) -> None:
        while data := await source.read(self.chunk):
            await self.flowing.wait()
            cut = self._cut
            if cut is not None and cut.down == down and cut.connection in (number, ANY):
                before = self._since if cut.connection == ANY else len(passed)
                self._since += len(data)
            else:
                cut = None
            if cut is not None and before + len(data) >= cut.at:
                sink.write(data[: cut.at - before])
                await sink.drain()
                self._cut = None
                self.cuts += 1
                return
            passed += data
            sink.write(data)
            await sink.drain()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        while self._open:
            self._closed.clear()
            self.break_all()
            await self._closed.wait()
        await self._server.wait_closed()
        self.path.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def proxied(path: Path, target: Path) -> AsyncIterator[Proxy]:
    proxy = Proxy(path, target)
    proxy._server = await asyncio.start_unix_server(proxy._serve, str(path))
    try:
        yield proxy
    finally:
        await proxy.close()
