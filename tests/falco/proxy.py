"""A proxy between a consumer and the daemon that cuts, trickles or stalls on command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path


class Proxy:
    """Listens at ``path``, forwards to ``target``. ``cut_after``: bytes of the daemon's after which the connection is cut, None never;
    ``chunk``: bytes that are forwarded at a time; ``flowing``: not set, nothing is. ``passed``: what went through on the last
    connection."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self.target = target
        self.cut_after: int | None = None
        self.chunk = 1 << 16
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.passed = b""
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.passed = b""
        try:
            near, far = await asyncio.open_unix_connection(str(self.target))
        except OSError:
            writer.close()
            self._tasks.discard(task)
            return
        up = asyncio.create_task(self._up(reader, far))
        try:
            await self._down(near, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            up.cancel()
            for one in (writer, far):
                one.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            far.write(data)
            await far.drain()
        far.transport.abort()

    async def _down(self, near: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await near.read(self.chunk):
            await self.flowing.wait()
            if self.cut_after is not None and len(self.passed) + len(data) >= self.cut_after:
                data = data[: self.cut_after - len(self.passed)]
                self.passed += data
                writer.write(data)
                await writer.drain()
                return
            self.passed += data
            writer.write(data)
            await writer.drain()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.sleep(0.01)  # for what is left of connections that were aborted
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
