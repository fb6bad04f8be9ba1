"""A whole daemon, with a simulated Edera host on one side and a consumer on the other, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edera_falcod import __version__
from edera_falcod.config import BufferConfig, Config, CtlConfig, EderaConfig, FalcoConfig
from edera_falcod.daemon import Daemon
from edera_falcod.falco.client import Client, Disconnected
from edera_falcod.fields import registry, slots
from edera_falcod.fields.reader import BlockTable, EventView
from edera_falcod.fields.spec import Kind
from edera_falcod.sim.host import SimHost
from edera_falcod.sim.player import Play

DATA = Path(__file__).parent.parent / "data"
CAPTURE = DATA / "net1.scap"
FAST = Play(speed=0)
HASHES = registry.prefix_hashes()


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110, there is no event for it
            await asyncio.sleep(0.005)


class World:
    """``host``, ``daemon`` and the folder with their sockets."""

    def __init__(self, folder: Path, edera: dict[str, Any] | None = None, **falco: Any) -> None:
        self.folder = folder
        self.host = SimHost(folder / "edera.sock")
        self.config = Config(
            edera=replace(EderaConfig(socket=str(folder / "edera.sock"), reconcile=1.0), **(edera or {})),
            falco=replace(FalcoConfig(socket=str(folder / "falco.sock")), **falco),
            buffer=BufferConfig(drain=0.2),
            ctl=CtlConfig(socket=str(folder / "ctl.sock")),
        )
        self.daemon = Daemon(self.config, first_seq=1)

    def account(self, name: str) -> Any:
        return self.daemon.pipelines.by_id[self.host.zones[name].id].account

    def client(self, name: str = "falco", table: BlockTable | None = None, ephemeral: bool = False, acknowledge: bool = True) -> Client:
        path = self.config.falco.socket
        software = f"test {__version__}"
        return Client(path, name, len(HASHES) - 1, lambda n: HASHES[n], software, table, ephemeral, acknowledge)


def open_files() -> int:
    """Our open descriptors; /dev/null is left out, of which libuv keeps one as a reserve."""
    count = 0
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the folder itself
            count += os.readlink(f"/proc/self/fd/{fd}") != "/dev/null"
    return count


@contextlib.asynccontextmanager
async def world(folder: Path, edera: dict[str, Any] | None = None, **falco: Any) -> AsyncIterator[World]:
    """A running daemon; checks at the end that all adds up and that nothing is left."""
    files = open_files()
    one = World(folder, edera, **falco)
    async with one.host:
        running = asyncio.create_task(one.daemon.run())
        try:
            ready = asyncio.create_task(one.daemon.ready.wait())
            await asyncio.wait({ready, running}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                ready.cancel()
                await running  # raises why it could not start
            yield one
        finally:
            one.daemon.stop.set()
            await running
        assert one.daemon.ring.verify() == []
        assert [name for name in os.listdir(folder) if name.startswith(("falco", "ctl"))] == []
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    gc.collect()
    assert open_files() == files


class Consumer:
    """Reads all that comes and keeps of each event what tests ask for."""

    def __init__(self, client: Client, table: BlockTable) -> None:
        self.client = client
        self.table = table
        self.seqs: list[int] = []
        self.redelivered: list[int] = []
        self.events: list[tuple[str, int, int]] = []  # zone name, ts, tid
        self.tainted: list[bool] = []
        self.notices: list[tuple[str, str]] = []  # kind, cause
        self.task: asyncio.Task[None] | None = None

    async def _read(self) -> None:
        with contextlib.suppress(Disconnected, ConnectionResetError):
            while True:
                for event in await self.client.next():
                    self._take(EventView(event.data, self.table, event.redelivered))

    def _take(self, view: EventView) -> None:
        self.seqs.append(view.seq)
        if view.redelivered:
            self.redelivered.append(view.seq)
        kind = view.event.text(slots.EDERA_NOTICE_KIND)
        if kind is not None:
            self.notices.append((kind, view.event.text(slots.EDERA_NOTICE_CAUSE) or ""))
            return
        zone = view.block(Kind.ZONE)
        assert zone is not None
        self.events.append((zone.text(slots.EDERA_ZONE_NAME) or "", view.ts, view.tid))
        self.tainted.append(zone.cell(slots.EDERA_ZONE_TAINTED) == 1)

    def of(self, zone: str) -> list[tuple[int, int]]:
        return [(ts, tid) for name, ts, tid in self.events if name == zone]


@contextlib.asynccontextmanager
async def consuming(one: World, name: str = "falco", ephemeral: bool = False) -> AsyncIterator[Consumer]:
    table = BlockTable()
    client = one.client(name, table, ephemeral)
    await client.connect()
    consumer = Consumer(client, table)
    consumer.task = asyncio.create_task(consumer._read())
    try:
        yield consumer
    finally:
        if consumer.task.done():
            consumer.task.result()
        consumer.task.cancel()
        await asyncio.gather(consumer.task, return_exceptions=True)
        await client.close()
