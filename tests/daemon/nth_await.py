"""Whatever await of the daemon's fails, or the daemon is cancelled at whatever await.

    python -m tests.daemon.nth_await raise|cancel [--all] [--only PLACE] [--part K/N]

raise: a failure costs at most the zone, connection or call whose await it was, and that comes back; at the daemon's own awaits on its way
up or down it may end the daemon, which then leaves nothing behind. Each await is failed at its first visit, with --all at its first three,
as a connection that is reset and as a bug of ours, with --all also as a time that is up.
cancel: a daemon that is cancelled while it waits somewhere for the nth time, n = 1, 2, 3 ..., leaves nothing behind.

--part 1/4: every fourth of them, so that four can run at a time: a run mostly waits.

Prints what was done; exit code 1 if something did not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import logging
import os
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from .injection import Injector, Rewritten, Suspensions

# The shells of the daemon. What only the command line's programs run is left out: they end with a message when something fails.
FILES = (
    "edera/control.py", "edera/transport.py", "edera/workloads.py", "edera/zones.py", "edera/zonestream.py", "falco/server.py",
    "ops/ctl.py", "ops/http.py", "ops/operations.py", "pipeline.py", "daemon.py",
)  # fmt: skip
INJECTOR = Injector()
REWRITTEN = Rewritten(FILES, INJECTOR)

from grpclib.exceptions import GRPCError, StreamTerminatedError  # noqa: E402

from edera_falcod.edera import backoff, zonestream  # noqa: E402
from edera_falcod.edera.lifecycle import State  # noqa: E402
from edera_falcod.falco.client import Client, ClientRefused, Disconnected  # noqa: E402
from edera_falcod.fields.reader import BlockTable  # noqa: E402
from edera_falcod.ops.client import connected  # noqa: E402
from edera_falcod.ops.proto.ctl import GetProcessesRequest, GetStatusRequest  # noqa: E402
from edera_falcod.sim.host import SimWorkload  # noqa: E402

from .support import CAPTURE, FAST, World, open_files  # noqa: E402

# The daemon's own way from start to end
OWN = (
    "daemon:", "edera/zones:Zones.run", "edera/transport:Link.aclose", "edera/transport:Links.aclose", "falco/server:Server.",
    "ops/ctl:CtlServer.", "ops/http:HttpServer.start", "ops/http:HttpServer.close",
)  # fmt: skip
FAILURES: dict[str, Callable[[], BaseException]] = {
    "reset": lambda: ConnectionResetError(104, "Connection reset by peer"),
    "bug": lambda: RuntimeError("injected"),
    "late": TimeoutError,
}
# Awaits that close something: when they fail, it is not closed
CLOSING = ("edera/zones:Zones._try:2", "edera/zonestream:ZoneStream._stream:5")
LIVE_AGAIN = 15.0  # seconds
CLOSING_TIME = 2.0  # seconds


def hurry() -> None:
    """The shells' waits are short, so that a run takes half a second."""
    backoff.Backoff.__init__.__defaults__ = (0.02, 0.1, None)
    zonestream.EXIT_GRACE = 0.02  # type: ignore[misc]
    zonestream.REOPEN_SPACING = 0.02  # type: ignore[misc]
    zonestream.MAX_FAULTS = 1000  # type: ignore[misc]


async def again(ask: Callable[[], Any], good: Callable[[Any], object] = lambda answer: True) -> Any:
    """Ask until the answer is good: what fails once comes back."""
    async with asyncio.timeout(LIVE_AGAIN):
        while True:
            with contextlib.suppress(OSError, GRPCError, StreamTerminatedError, TimeoutError, Disconnected, ClientRefused):
                answer = await ask()
                if good(answer):
                    return answer
            await asyncio.sleep(0.01)


class Scene:
    """What an operator and a consumer do with a daemon, and a host that gives it something to do."""

    def __init__(self, one: World) -> None:
        self.one = one
        self.fresh = 0

    def zones(self) -> dict[str, State]:
        return {stream.zone.name: stream.state for stream in self.one.daemon.zones.streams.values()}

    async def ask(self) -> None:
        """All that ctl and the endpoint answer."""

        async def call() -> None:
            async with connected(self.one.config.ctl.socket) as stub:
                status = await stub.get_status(GetStatusRequest())
                assert status.daemon.version
                for zone in [zone.name for zone in status.zones]:
                    with contextlib.suppress(GRPCError):  # it may have gone
                        [page async for page in stub.get_processes(GetProcessesRequest(zone))]

        await again(call)
        reader, writer = await asyncio.open_unix_connection(str(self.one.folder / "metrics.sock"))
        writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def consume(self, events: int) -> None:
        """Connect as a consumer and read so many events of zones."""
        left = events

        async def read() -> None:
            nonlocal left
            client: Client = self.one.client("falco", BlockTable())
            try:
                await client.connect()
                while left > 0:
                    left -= len(await asyncio.wait_for(client.next(), 2))
            finally:
                await client.close()

        await again(read)

    async def live(self, *names: str) -> None:
        async with asyncio.timeout(LIVE_AGAIN):
            while not all(self.zones().get(name) is State.LIVE for name in names):  # noqa: ASYNC110, there is no event for it
                await asyncio.sleep(0.005)

    async def play(self) -> None:
        host = self.one.host
        host.add_zone("a", CAPTURE, FAST, limit=60)
        host.add_zone("b", CAPTURE, FAST, limit=60)
        host.add_workload("a", SimWorkload("w", image="registry.local/x:1", digest="sha256:1"))
        await self.live("a", "b")
        await self.ask()
        host.hotplug("a")
        self.one.daemon.zones.resync(host.zones["b"].id)
        await asyncio.sleep(0.03)
        self.one.daemon.zones.set_syscalls((1, 2, 3))
        host.cut("b")
        await self.live("a", "b")
        host.add_zone("c", CAPTURE, FAST, limit=20)
        await self.live("c")
        host.remove_zone("c")
        host.end("a")
        await host.restart()
        await self.live("a", "b")
        host.malformed("a", "compressed")
        await self.consume(30)
        await asyncio.sleep(0.02)

    async def well(self) -> None:
        """All is as if nothing had been."""
        host = self.one.host
        await self.live("a", "b")
        before = {name: self.one.account(name).entered for name in ("a", "b")}
        for name in ("a", "b"):
            self.one.daemon.zones.resync(host.zones[name].id)
        async with asyncio.timeout(LIVE_AGAIN):
            while not all(self.one.account(name).entered > count for name, count in before.items()):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        await self.ask()
        await self.consume(1)
        assert "c" not in self.zones()


class Ran:
    """What became of a run. ``ended``: what the daemon ended with. ``errors``: what asyncio told because nobody was there to hear it."""

    def __init__(self) -> None:
        self.running: asyncio.Task[None] | None = None
        self.ended: BaseException | None = None
        self.errors: list[Any] = []

    def cancel(self) -> None:
        assert self.running is not None
        self.running.cancel()


def run(ran: Ran, factory: Any = None) -> Ran:
    """A daemon, a host and a scene, in a loop of their own; at the end nothing is left."""
    folder = Path(tempfile.mkdtemp())
    files = open_files()

    async def main() -> None:
        begun = open_files()
        loop = asyncio.get_running_loop()
        if factory is not None:
            loop.set_task_factory(factory)
        loop.set_exception_handler(lambda loop, context: ran.errors.append(context.get("exception") or context["message"]))
        one = World(folder)
        metrics = replace(one.config.metrics, listen=f"unix:{folder}/metrics.sock")
        one.config = one.daemon.config = replace(one.config, metrics=metrics)
        async with one.host:
            ran.running = running = asyncio.create_task(one.daemon.run())
            acting = asyncio.create_task(act(one))
            await asyncio.wait([running, acting], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                acting.cancel()
            one.daemon.stop.set()
            played, ended = await asyncio.wait_for(asyncio.gather(acting, running, return_exceptions=True), 20)
            ran.ended = ended
            if ended is None:
                if played is not None:
                    raise played
                assert one.daemon.ring.verify() == []
            left = [name for name in os.listdir(folder) if name.startswith(("falco", "ctl", "metrics"))]
            assert left == [], left
        with contextlib.suppress(TimeoutError):  # what was aborted is closed in the loop's next rounds; the end says what is left
            async with asyncio.timeout(CLOSING_TIME):
                while open_files() > begun:  # noqa: ASYNC110, there is no event for it
                    await asyncio.sleep(0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not tasks, tasks

    try:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(main())
        gc.collect()
        assert open_files() == files, "a descriptor is left"
    finally:
        shutil.rmtree(folder)
    return ran


async def act(one: World) -> None:
    await one.daemon.ready.wait()
    scene = Scene(one)
    await scene.play()
    await scene.well()


def check(ran: Ran, place: str, made: BaseException) -> None:
    """What a failure at ``place`` may have done."""
    own = place.startswith(OWN)
    assert ran.ended is None or own, f"the daemon ended: {ran.ended!r}"
    strange = [error for error in ran.errors if not own or not isinstance(error, type(made))]
    assert not strange or place in CLOSING, f"nobody heard of {strange}"


def fail_each(everything: bool, only: str, part: int, parts: int) -> tuple[int, list[str]]:
    """How many failures were injected, and what did not hold."""
    INJECTOR.watch()
    ran = run(Ran())
    assert ran.ended is None and ran.errors == [], (ran.ended, ran.errors)
    visits = dict(INJECTOR.visits)
    missed = [name for name in INJECTOR.names if name not in visits]
    print(f"{len(INJECTOR.names)} awaits, {len(visits)} reached; not reached: {' '.join(missed)}", flush=True)
    functions = {name.rpartition(":")[0] for name in INJECTOR.names} - {name.rpartition(":")[0] for name in visits}
    print(f"functions without any that is reached: {' '.join(sorted(functions))}", flush=True)
    injected = 0
    broken: list[str] = []
    for place in [name for name in INJECTOR.names if name in visits and only in name][part::parts]:
        for nth in range(1, min(visits[place], 3 if everything else 1) + 1):
            for kind in list(FAILURES)[: None if everything else 2]:
                made = FAILURES[kind]()
                INJECTOR.watch(place, nth, lambda kind=kind: FAILURES[kind]())  # type: ignore[misc]
                try:
                    check(run(Ran()), place, made)
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    broken.append(f"{kind} at visit {nth} of {place}: {type(error).__name__} {error}")
                    print(f"{broken[-1]}\n{''.join(traceback.format_exception(error)[-3:]) if only else ''}", flush=True)
                injected += INJECTOR.hit
    return injected, broken


def cancel_each(part: int, parts: int) -> tuple[int, list[str]]:
    """How often the daemon was cancelled, and what did not hold."""
    broken: list[str] = []
    for cancelled, nth in enumerate(itertools.count(part + 1, parts)):
        ran = Ran()
        suspensions = Suspensions(FILES, nth, ran.cancel)
        try:
            run(ran, suspensions.factory)
            assert not ran.errors, ran.errors
            assert ran.ended is None or isinstance(ran.ended, asyncio.CancelledError), repr(ran.ended)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            broken.append(f"cancelled at {suspensions.place} (the {nth}th): {type(error).__name__} {error}")
            print(broken[-1], flush=True)
        if not suspensions.place:
            return cancelled, broken
    raise AssertionError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("raise", "cancel"))
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="", metavar="PLACE")
    parser.add_argument("--part", default="1/1", metavar="K/N")
    options = parser.parse_args()
    part, parts = (int(number) for number in options.part.split("/"))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine '.*' was never awaited")  # what would have been awaited where we raise
    hurry()
    count, broken = fail_each(options.all, options.only, part - 1, parts) if options.what == "raise" else cancel_each(part - 1, parts)
    print(f"{count} {'failures' if options.what == 'raise' else 'cancellations'}, {len(broken)} did not hold")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
