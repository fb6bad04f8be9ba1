"""Whatever await of the daemon's fails, or the daemon is cancelled at whatever await.

    python -m tests.daemon.nth_await raise|cancel [--all] [--only PLACE] [--part K/N]

raise: a failure costs at most the zone, connection or call whose await it was, and that comes back; at the daemon's own awaits on its way
up or down it may end the daemon, which then leaves nothing behind. Each await is failed at its first visit, with --all at its first three,
as a connection that is reset and as a bug of ours, with --all also as a time that is up.
cancel: a daemon that is cancelled while it waits somewhere for the nth time, n = 1, 2, 3 ..., leaves nothing behind. Of the times that it
waits at one place the first three count.

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
import socket
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog

from .injection import Injector, Rewritten, Suspensions

# The shells of the daemon. What only the command line's programs run is left out: they end with a message when something fails.
FILES = (
    "edera/control.py", "edera/transport.py", "edera/workloads.py", "edera/zones.py", "edera/zonestream.py", "falco/server.py",
    "ops/ctl.py", "ops/http.py", "ops/operations.py", "ops/record.py", "turns.py", "pipeline.py", "daemon.py",
)  # fmt: skip
INJECTOR = Injector()
REWRITTEN = Rewritten(FILES, INJECTOR)

from grpclib.exceptions import GRPCError, StreamTerminatedError  # noqa: E402

from edera_falcod import pipeline  # noqa: E402
from edera_falcod.daemon import serve  # noqa: E402
from edera_falcod.edera import backoff, pace, zonestream  # noqa: E402
from edera_falcod.edera.lifecycle import State  # noqa: E402
from edera_falcod.falco import server  # noqa: E402
from edera_falcod.falco.client import Client, ClientRefused, Disconnected  # noqa: E402
from edera_falcod.fields.reader import BlockTable  # noqa: E402
from edera_falcod.ops import operations, record  # noqa: E402
from edera_falcod.ops.client import connected  # noqa: E402
from edera_falcod.ops.proto.ctl import GetProcessesRequest, GetStatusRequest, GetTypesRequest, RecordRequest  # noqa: E402
from edera_falcod.scap import threads  # noqa: E402
from edera_falcod.scap.recording import framed  # noqa: E402
from edera_falcod.scap.snapshot import SnapshotThread  # noqa: E402
from edera_falcod.sim.encode import Encoder  # noqa: E402
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
# Awaits that no run comes to, and why
UNREACHED = {
    "daemon:run.main:1": "makes the loop that we have already; what fails in it has failed in serve, which is reached",
    "edera/zones:Zones.run:1 leave": "behind a loop without end, which cancelling alone ends",
    "edera/zones:Zones._follow:1 leave": "the same",
    "edera/transport:Link.aclose:3": "an Edera daemon that does not read what we have sent; tests/edera/test_transport.py has one",
}
# Awaits that are come to only after something of ours has failed, and whose failure that may be
AFTER = {"edera/zones:Zones.run:3": "edera/zones:Zones._try:1"}
LIVE_AGAIN = 15.0  # seconds
SOON = 5.0  # seconds
CLOSING_TIME = 2.0  # seconds
AWAY = 0.1  # seconds that the host is not there
FLOOD = 80 << 10  # bytes of events of which more is made than a connection takes
LARGE = 40 << 10  # bytes of a snapshot that counts as a large one: three DATA frames
TRIES = 3  # runs until an await is come to: on a busy machine something may come too late for it


def hurry() -> None:
    """The shells' waits are short, so that a run takes a second, and so is what they do at a time, so that all awaits are come to."""
    backoff.Backoff.__init__.__defaults__ = (0.02, 0.1, None)
    shorter: dict[ModuleType, dict[str, float]] = {
        zonestream: {
            "EXIT_GRACE": 0.02, "REOPEN_SPACING": 0.02, "MAX_FAULTS": 2, "QUARANTINE_FIRST": 0.5, "QUARANTINE_LONGEST": 0.5, "TURN": 4096,
            "MAX_EVENT": 4096,
        },
        pace: {"PORTION": 4096},
        server: {"WRITE_HIGH": 4096},
        operations: {"PAGE": 2, "ZONES_AT_ONCE": 1, "SLICE": 0.0},
        record: {"THREADS": 1, "SLICE": 0.0},
        pipeline: {"SCAN": 4, "SLICE": 0.0},
        threads: {"EAGER": 4},
    }  # fmt: skip
    for module, constants in shorter.items():
        for name, value in constants.items():
            assert hasattr(module, name)
            setattr(module, name, value)


async def again(ask: Callable[[], Any], good: Callable[[Any], object] = lambda answer: True) -> Any:
    """Ask until the answer is good: what fails once comes back."""
    async with asyncio.timeout(LIVE_AGAIN):
        while True:
            with contextlib.suppress(OSError, GRPCError, StreamTerminatedError, TimeoutError, Disconnected, ClientRefused):
                answer = await ask()
                if good(answer):
                    return answer
            await asyncio.sleep(0.01)


async def soon(condition: Callable[[], object]) -> None:
    """Wait until it is so, but not for ever: what has failed may be what would have made it so. The end of the scene says whether all is
    well."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SOON):
            while not condition():  # noqa: ASYNC110, there is no event for it
                await asyncio.sleep(0.005)


class Scene:
    """What an operator and a consumer do with a daemon, and a host that gives it something to do."""

    def __init__(self, one: World) -> None:
        self.one = one

    def zones(self) -> dict[str, State]:
        return {stream.zone.name: stream.state for stream in self.one.daemon.zones.streams.values()}

    async def ask(self) -> None:
        """All that ctl and the endpoint answer."""

        async def call() -> None:
            async with connected(self.one.config.ctl.socket) as stub:
                status = await stub.get_status(GetStatusRequest())
                assert status.daemon.version
                await stub.get_types(GetTypesRequest())
                for zone in [zone.name for zone in status.zones]:
                    with contextlib.suppress(GRPCError):  # it may have gone
                        [page async for page in stub.get_processes(GetProcessesRequest(zone))]

        await again(call)
        where = self.one.config.metrics.listen
        if where.startswith("unix:"):
            reader, writer = await asyncio.open_unix_connection(where.removeprefix("unix:"))
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(where.rpartition(":")[2]))
        writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def record(self, name: str) -> None:
        """Its snapshot and the events that fit behind it."""

        async def call() -> None:
            async with connected(self.one.config.ctl.socket) as stub:
                async for chunk in stub.record(RecordRequest(name, 4500)):
                    if chunk.ended:
                        return
            raise StreamTerminatedError

        await again(call)

    def streams_of(self, name: str) -> Callable[[], bool]:
        """Whether the zone has opened another stream since now."""
        zone = self.one.host.zones[name]
        before = zone.opened
        return lambda: zone.opened > before

    def entered(self, name: str) -> tuple[object, int]:
        """The zone's account, which is another one when it was lost and found again, and how many events have entered there."""
        pipeline = self.one.daemon.pipelines.by_id.get(self.one.host.zones[name].id)
        return (pipeline.account, pipeline.account.entered) if pipeline is not None else (None, 0)

    async def burden(self, name: str) -> None:
        """A large snapshot; one that breaks off; CPUs that change while much is on its way; faults until the zone is left alone, and an
        operator who does not wait so long."""
        host = self.one.host
        zone = host.zones[name]
        large = framed(Encoder(zone.id).snapshot([_thread(number) for number in range(1, 200)], 1))
        assert len(large) > LARGE
        await self.live(name)
        pipeline = self.one.daemon.pipelines.by_id[zone.id]
        imported = pipeline.imported
        again = self.streams_of(name)
        host.push(name, large)
        await soon(lambda: again() or pipeline.imported > imported)
        await self.live(name)
        again = self.streams_of(name)
        host.push(name, large[: LARGE // 2])
        host.cut(name)
        await soon(again)
        await self.live(name)
        again = self.streams_of(name)
        assert zone.feed is not None
        events = zone.feed.event(1) * (LARGE // len(zone.feed.event(1)))
        host.push(name, zone.feed.hotplug(zone.feed.last) + events)
        await soon(again)
        for _ in range(2):
            await self.live(name)
            again = self.streams_of(name)
            host.malformed(name, "compressed")
            await soon(lambda again=again: again() or self.zones().get(name) is State.QUARANTINED)  # type: ignore[misc]
        await asyncio.sleep(0)
        self.one.daemon.zones.resync(zone.id)
        await self.live(name)

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

    async def flood(self, name: str) -> None:
        """More of a zone's events than the connection takes of a consumer that does not read yet, and then does."""
        host = self.one.host
        feed = host.zones[name].feed
        assert feed is not None
        client: Client = self.one.client("falco", BlockTable())

        async def read() -> None:
            try:
                await client.connect()
                pipeline = self.one.daemon.pipelines.by_id[host.zones[name].id]
                before = pipeline.account.received
                event = feed.event(1)
                count = FLOOD // len(event)
                host.push(name, event * count)
                await soon(lambda: pipeline.account.received >= before + count)
                await asyncio.wait_for(client.next(), 2)
            finally:
                await client.close()

        await self.live(name)
        await again(read)

    async def stay(self, there: asyncio.Event) -> None:
        """Be a consumer until the daemon has gone."""
        client: Client = self.one.client("stays", BlockTable())
        try:
            with contextlib.suppress(OSError, Disconnected, ClientRefused):
                await client.connect()
                there.set()
                while True:
                    await client.next()
        finally:
            there.set()
            await client.close()

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
        await self.live("a", "b")
        self.one.daemon.zones.set_syscalls((1, 2, 3))
        host.cut("b")
        await self.live("a", "b")
        host.add_zone("c", CAPTURE, FAST, limit=20)
        await self.live("c")
        host.remove_zone("c")
        ended = self.streams_of("a")
        host.end("a")
        await soon(ended)
        await host.restart(AWAY)
        await self.live("a", "b")
        await self.record("a")
        await self.burden("b")
        await self.consume(30)
        await self.flood("b")

    async def well(self) -> None:
        """All is as if nothing had been."""
        host = self.one.host
        await self.live("a", "b")
        before = {name: self.entered(name) for name in ("a", "b")}
        for name in ("a", "b"):
            self.one.daemon.zones.resync(host.zones[name].id)

        def more(name: str) -> bool:
            account, count = self.entered(name)
            return count > (before[name][1] if account is before[name][0] else 0)

        async with asyncio.timeout(LIVE_AGAIN):
            while not (more("a") and more("b")):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        await self.ask()
        await self.consume(1)
        assert "c" not in self.zones()


class Ran:
    """What became of a run. ``ended``: what the daemon ended with. ``errors``: what asyncio told because nobody was there to hear it."""

    def __init__(self) -> None:
        self.running: asyncio.Task[None] | None = None
        self.cancelled = False
        self.ended: BaseException | None = None
        self.errors: list[Any] = []
        self.consumers: list[asyncio.Task[None]] = []  # that are there when the daemon stops

    def cancel(self) -> None:
        assert self.running is not None
        self.cancelled = self.running.cancel()


def _thread(number: int) -> SnapshotThread:
    thread = SnapshotThread(number)
    thread.pid = thread.vtid = thread.vpid = number
    thread.ptid = 1
    thread.comm = b"large"
    thread.exe = thread.exepath = b"/" + b"x" * 80
    return thread


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def run(ran: Ran, factory: Any = None, over_tcp: bool = False) -> Ran:
    """A daemon, a host and a scene, in a loop of their own; at the end nothing is left. ``over_tcp``: the metrics; else on a socket."""
    folder = Path(tempfile.mkdtemp())
    files = open_files()

    async def main() -> None:
        begun = open_files()
        loop = asyncio.get_running_loop()
        if factory is not None:
            loop.set_task_factory(factory)
        loop.set_exception_handler(lambda loop, context: ran.errors.append(context.get("exception") or context["message"]))
        one = World(folder, {"reconcile": 0.2})
        metrics = replace(one.config.metrics, listen=f"127.0.0.1:{_free_port()}" if over_tcp else f"unix:{folder}/metrics.sock")
        one.config = one.daemon.config = replace(one.config, metrics=metrics)
        async with one.host:
            ran.running = running = asyncio.create_task(serve(one.daemon, lambda: one.config))
            acting = asyncio.create_task(act(one, ran))
            await asyncio.wait([running, acting], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                acting.cancel()
            one.daemon.stop.set()
            played, ended, *_ = await asyncio.wait_for(asyncio.gather(acting, running, return_exceptions=True), 20)
            await asyncio.wait_for(asyncio.gather(*ran.consumers), 20)
            ran.ended = ended
            if ended is None and not ran.cancelled:
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


async def act(one: World, ran: Ran) -> None:
    await one.daemon.ready.wait()
    scene = Scene(one)
    await scene.play()
    await scene.well()
    stays = asyncio.Event()
    ran.consumers.append(asyncio.create_task(scene.stay(stays)))
    await stays.wait()


def check(ran: Ran, place: str, made: BaseException) -> None:
    """What a failure at ``place`` may have done."""
    own = place.startswith(OWN)
    assert ran.ended is None or own, f"the daemon ended: {ran.ended!r}"
    strange = [error for error in ran.errors if not own or not isinstance(error, type(made))]
    assert not strange or place in CLOSING, f"nobody heard of {strange}"


def ways_to(everything: set[str]) -> tuple[dict[str, bool], dict[str, int]]:
    """How each await is come to, which is whether the metrics go over TCP, and how often at most."""
    ways: dict[str, bool] = {}
    visits: dict[str, int] = {}
    for _ in range(TRIES):
        for over_tcp in (False, True):
            INJECTOR.watch()
            ran = run(Ran(), over_tcp=over_tcp)
            assert ran.ended is None and ran.errors == [], (ran.ended, ran.errors)
            for place, count in INJECTOR.visits.items():
                ways.setdefault(place, over_tcp)
                visits[place] = max(count, visits.get(place, 0))
        if everything <= ways.keys():
            break
    return ways, visits


def fail(place: str, nth: int, kind: str, over_tcp: bool) -> str:
    """Let it fail; what did not hold, "" if all did."""
    for _ in range(TRIES):
        INJECTOR.watch(place, nth, FAILURES[kind], before=AFTER.get(place, ""))
        try:
            check(run(Ran(), over_tcp=over_tcp), place, FAILURES[kind]())
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return f"{type(error).__name__} {error}\n{''.join(traceback.format_exception(error)[-3:])}"
        if INJECTOR.hit:
            return ""
    return "it was not come to"


def fail_each(everything: bool, only: str, part: int, parts: int) -> tuple[int, list[str]]:
    """How many failures were injected, and what did not hold."""
    ways, visits = ways_to(set(INJECTOR.names) - AFTER.keys() - UNREACHED.keys())
    for place in AFTER:
        ways[place] = False
        visits[place] = 1
    missed = [name for name in INJECTOR.names if name not in ways]
    print(f"{len(INJECTOR.names)} awaits, {len(ways)} reached; not reached: {'; '.join(missed)}", flush=True)
    injected = 0
    broken = [f"{name} is not come to, and nothing says why" for name in missed if name not in UNREACHED]
    broken += [f"{name} is come to, or is no more: there is nothing to explain" for name in UNREACHED if name not in missed]
    for place in [name for name in INJECTOR.names if name in ways and only in name][part::parts]:
        for nth in range(1, min(visits[place], 3 if everything else 1) + 1):
            for kind in list(FAILURES)[: None if everything else 2]:
                wrong = fail(place, nth, kind, ways[place])
                if wrong:
                    broken.append(f"{kind} at visit {nth} of {place}: {wrong if only else wrong.partition(chr(10))[0]}")
                    print(broken[-1], flush=True)
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
