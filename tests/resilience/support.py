"""A simulated host and a daemon with proxies around it, in one process; and the daemon as a process that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from grpclib.client import Channel

from edera_falcod.config import BufferConfig, Config, CtlConfig, EderaConfig, FalcoConfig
from edera_falcod.daemon import Daemon
from edera_falcod.edera import backoff
from edera_falcod.ops.command import as_json
from edera_falcod.ops.proto.ctl import CtlStub, GetStatusReply, GetStatusRequest
from edera_falcod.ops.status import status
from edera_falcod.sim.host import SimHost

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
CAPTURE = DATA / "net1.scap"


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody back off for long: what is tested is what happens then, not how long it is waited."""
    monkeypatch.setattr(backoff.Backoff, "next", lambda self: 0.01)
    monkeypatch.setattr("edera_falcod.edera.zonestream.EXIT_GRACE", 0.02)
    monkeypatch.setattr("edera_falcod.edera.zonestream.REOPEN_SPACING", 0.02)


class World:
    """``host``: serves at ``edera``; ``daemon``: looks for it at ``through`` and serves consumers at ``falco``."""

    def __init__(self, folder: Path, through: Path | None = None, **buffer: Any) -> None:
        self.folder = folder
        self.edera = folder / "edera.sock"
        self.falco = folder / "falco.sock"
        self.host = SimHost(self.edera)
        self.config = Config(
            edera=EderaConfig(socket=str(through or self.edera), reconcile=1.0),
            falco=FalcoConfig(socket=str(self.falco)),
            buffer=BufferConfig(**({"drain": 0.2} | buffer)),
            ctl=CtlConfig(socket=str(folder / "ctl.sock")),
        )
        self.daemon = Daemon(self.config)

    def status(self) -> dict[str, Any]:
        return as_json(GetStatusReply().parse(bytes(status(self.daemon.view()))))  # as it is sent

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Daemon]:
        """The daemon, from ready to stopped."""
        task = asyncio.create_task(self.daemon.run())
        try:
            await self.daemon.ready.wait()
            yield self.daemon
        finally:
            self.daemon.stop.set()
            await task
        assert self.daemon.ring.verify() == []
        gc.collect()


class Process:
    """The daemon as a process of its own. ``start`` returns when it listens."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.falco = folder / "falco.sock"
        self.ctl = folder / "ctl.sock"
        self.log = folder / "daemon.log"
        words = [f"edera.socket={folder / 'edera.sock'}", f"falco.socket={self.falco}", f"ctl.socket={self.ctl}", "edera.reconcile=1"]
        words += ["log.format=json", "log.level=debug", "buffer.drain=0.05", *settings]
        self.command = [sys.executable, "-m", "edera_falcod", "run", *[part for word in words for part in ("--set", word)]]
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0

    async def start(self, pass_fds: tuple[int, ...] = (), **environ: str) -> None:
        began = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | environ,
                cwd=ROOT,
                pass_fds=pass_fds,
            )
        self.starts += 1
        async with asyncio.timeout(30):
            while b'"listening"' not in self.log.read_bytes()[began:]:
                assert self.process.returncode is None, self.log.read_text()[-3000:]
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
            assert await asyncio.wait_for(self.process.wait(), 20) == 0, self.log.read_text()[-3000:]

    async def status(self) -> dict[str, Any]:
        """As `ctl status --json`, but with patience: on a busy machine the daemon has much to do."""
        channel = Channel(path=str(self.ctl))
        try:
            found: dict[str, Any] = json.loads(json.dumps(as_json(await CtlStub(channel, timeout=30).get_status(GetStatusRequest()))))
        finally:
            channel.close()
        return found


@contextlib.asynccontextmanager
async def process(folder: Path, *settings: str) -> AsyncIterator[Process]:
    one = Process(folder, *settings)
    try:
        yield one
    finally:
        if one.process is not None and one.process.returncode is None:
            await one.kill()
