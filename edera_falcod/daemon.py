"""`edera-falcod run`: the rooms wired together under one TaskGroup, from the first socket to the last.

    edera/zones --> pipeline --> falco/ring --> falco/server --> consumers
                                     ^ notices        ops/ctl <-- everything

Start: sockets first (who cannot have them fails at once), then what the daemon before us has handed over, then consumers may connect,
then zones are looked for. Stop, on SIGTERM or SIGINT: zones' streams are closed, consumers get what still waits for them for a moment,
everything is closed, and what they have not acknowledged is handed over.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import socket
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from . import __version__, log
from .config import Config, ConfigError, Group, User, load, reference
from .edera.lifecycle import State
from .edera.zones import LinkState, Zones
from .edera.zonestream import Settings
from .falco import handover, notices
from .falco.handover import HandoverError
from .falco.listener import Access, Listener, ListenError
from .falco.notices import Notices
from .falco.ring import Ring
from .falco.server import Registry, Server
from .fields import registry
from .fields.blocks import IDS
from .fields.workload import Attribution
from .ops import reload
from .ops.access import Admins
from .ops.ctl import Ctl, CtlServer
from .ops.health import Watch
from .ops.http import HttpServer, listen_on_loopback
from .ops.metrics import CONTENT_TYPE, Scrape, Source
from .ops.operations import Operations, Reloaded
from .ops.record import Recorder
from .ops.status import GRACE, View, ZoneFacts, status, unwell, zone_status
from .ops.systemd import Notifier, inherited
from .pipeline import Pipelines
from .syscallset import SyscallSet, brief, syscalls_reply

TICK: Final = 1.0  # seconds
# Sequence numbers and block ids begin at seconds since the epoch << this: they grow over restarts at up to 1M events or blocks a second.
SEQ_SHIFT: Final = 20
DAEMON_STOPS: Final = "daemon_stops"  # causes of gaps
DAEMON_CRASHED: Final = "daemon_crashed"
HANDOVER_LOST: Final = "handover_lost"
# The hot path makes garbage by reference counts alone; the collector only has to find what zones leave behind.
GC_THRESHOLDS: Final = (50_000, 20, 50)

EPILOG: Final = """examples:
  edera-falcod run
  edera-falcod run --config ./falcod.toml --log-level debug
  edera-falcod run --edera-socket /tmp/edera.sock --socket /tmp/falco.sock --set ctl.socket=/tmp/ctl.sock
  EDERA_FALCOD_BUFFER_SIZE=256MiB edera-falcod run
  edera-falcod run --print-config > /etc/edera-falcod/config.toml

Every key SECTION.KEY of the configuration file can be given as --set SECTION.KEY=VALUE or as the variable
EDERA_FALCOD_SECTION_KEY; --print-config lists them with their meaning."""


def _settings(config: Config) -> Settings:
    edera = config.edera
    return Settings(
        reconcile=edera.reconcile, snapshot_timeout=edera.snapshot_timeout, max_snapshot=edera.max_snapshot, max_zones=edera.max_zones
    )


def _groups(words: tuple[str, ...]) -> frozenset[int]:
    return frozenset([Group.number(word) for word in words])


def _access(config: Config) -> Access:
    return Access(frozenset([User.number(user) for user in config.falco.allow_users]), _groups(config.falco.allow_groups))


def _probe(name: str, good: bool, reasons: list[str]) -> tuple[HTTPStatus, str, str]:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "text/plain; charset=utf-8", "".join([f"{line}\n" for line in (name if good else f"not {name}", *reasons)])


class Daemon:
    """One daemon. ``ready`` is set when consumers can connect; ``stop`` ends it. ``changed`` wakes whoever waits for room in the ring."""

    def __init__(self, config: Config, first_seq: int | None = None) -> None:
        self.config = config
        self.log = log.get("daemon")
        self.ready = asyncio.Event()
        self.stop = asyncio.Event()
        self.started_at = time.time()
        first = int(self.started_at * (1 << SEQ_SHIFT)) if first_seq is None else first_seq
        IDS.last = max(IDS.last, first)  # a block that is handed over keeps its id
        self._first = first
        self.ring = Ring(config.buffer.size, config.buffer.age, first)
        for name in config.falco.consumers:
            self.ring.declare(name)
        self.notices = Notices(self.ring, config.falco.notices)
        workloads = config.edera.workloads
        attribution = None if workloads == "none" else Attribution[workloads.upper()]
        self.pipelines = Pipelines(self.ring, self.notices, attribution, log.get("pipeline"))
        self.pipelines.annotation_keys = config.edera.annotation_keys
        self.zones = Zones(config.edera.socket, self.pipelines, _settings(config))
        self.syscalls = SyscallSet(log.get("syscalls"))
        self.syscalls.configure(config.edera.syscalls, config.edera.rules_files)
        self.zones.set_syscalls(self.syscalls.asked)
        hashes = registry.prefix_hashes()
        self.scrape = Scrape()
        self.server = Server(
            self.ring,
            Registry(len(hashes) - 1, lambda fields: hashes[fields]),
            __version__,
            log.get("falco"),
            time.time,
            access=_access(config),
            changed=self._consumers_changed,
            delivered=self.scrape.delivered,
        )
        self.watch = Watch(self.zones, self.server, config.edera.reconcile, config.edera.snapshot_timeout + GRACE)
        self.fresh: Callable[[], Config] | None = None  # reads the configuration again
        operations = Operations(
            zones=self.zones,
            pipelines=self.pipelines.by_id,
            describe=lambda: status(self.view()),
            zone_status=lambda zone_id: zone_status(self.view(), zone_id),
            health=lambda: self.watch.report(time.time()),
            set_level=self._set_level,
            reload=self.reload,
            syscalls=lambda: syscalls_reply(self.syscalls, self.zones),
            recorder=Recorder(self.zones, log.get("ops")),
        )
        self.ctl = CtlServer(Ctl(operations), Admins(_groups(config.ctl.admin_groups)))
        self.http = HttpServer({"/metrics": self._metrics, "/livez": self._livez, "/readyz": self._readyz}, self.log)
        self.lost_at: dict[str, float] = {}
        self.handed = 0  # events that the daemon before us has handed over
        self._notifier = Notifier()

    def view(self) -> View:
        """What status is made of."""
        facts: dict[str, ZoneFacts] = {}
        for zone_id, pipeline in self.pipelines.by_id.items():
            state = pipeline.state
            facts[zone_id] = ZoneFacts(
                pipeline.account,
                threads=len(state.threads),
                fds=state.table.fd_budget.entries,
                tainted=pipeline.tainted,
                rate=pipeline.rate,
                skew=pipeline.skew,
                refused=dict(state.counters.items()),
            )
        problems = brief(self.syscalls.problems)
        return View(self.zones, self.ring, self.server, facts, self.lost_at, self.started_at, stuck=self.watch.stuck, problems=problems)

    def _metrics(self) -> tuple[HTTPStatus, str, str]:
        source = Source(self.view(), self.pipelines.by_id, self.watch.report(time.time()), self.scrape.latency, self.notices, self.handed)
        return HTTPStatus.OK, CONTENT_TYPE, self.scrape.text(source)

    def _livez(self) -> tuple[HTTPStatus, str, str]:
        found = self.watch.report(time.time())
        return _probe("live", found.live, found.stuck)

    def _readyz(self) -> tuple[HTTPStatus, str, str]:
        found = self.watch.report(time.time())
        return _probe("ready", found.ready, found.stuck + found.waiting)

    async def run(self) -> None:
        """Until ``stop`` is set. Raises ListenError when a socket cannot be had."""
        config = self.config
        falco = Listener(config.falco.socket, config.falco.mode, Group.number(config.falco.group) if config.falco.group else -1)
        ctl = Listener(config.ctl.socket, config.ctl.mode, Group.number(config.ctl.group) if config.ctl.group else -1)
        where = config.metrics.listen
        group_of_metrics = Group.number(config.metrics.group) if config.metrics.group else -1
        metrics = Listener(where.removeprefix("unix:"), config.metrics.mode, group_of_metrics) if where.startswith("unix:") else None
        async with contextlib.AsyncExitStack() as closing:  # all of it is done, whatever of it fails; the last line first
            closing.callback(gc.unfreeze)
            closing.callback(lambda: ctl.close(keep=self._notifier.stores))
            closing.callback(lambda: falco.close(keep=self._notifier.stores))
            if metrics is not None:
                closing.callback(metrics.close)
            closing.push_async_callback(self.http.close)
            closing.push_async_callback(self.ctl.close)
            closing.push_async_callback(self.server.close)
            self._open({"falco": falco, "ctl": ctl})
            assert falco.socket is not None and ctl.socket is not None
            if metrics is not None:
                await self.http.start(metrics.open())
            elif where:
                await self.http.start(closing.enter_context(listen_on_loopback(where)))
            self._take_over(falco.orphaned)
            await self.server.start(falco.socket)
            await self.ctl.start(ctl.socket)
            self.log.info("listening", falco=config.falco.socket, ctl=config.ctl.socket, version=__version__, first_seq=self.ring.head + 1)
            self._notifier.send("READY=1")
            self.ready.set()
            async with asyncio.TaskGroup() as group:
                jobs = [group.create_task(self.zones.run(), name="zones"), group.create_task(self._tick(), name="tick")]
                await self.stop.wait()
                self.log.info("stopping")
                self._notifier.send("STOPPING=1")
                self.pipelines.closing = True
                for job in jobs:
                    job.cancel()
            self.ring.all_up()  # the notice stands behind all of them
            self._tell_losses()
            self._tell_gap(DAEMON_STOPS, "edera-falcod stops: events of all zones are missing from here until it has learned them anew")
            if not await self.server.drain(config.buffer.drain):
                self.log.warning("consumers did not take all that waited for them", seconds=config.buffer.drain)
            await self.server.close()
            self._hand_over()
        self.log.info("stopped", events=self.ring.head + 1 - self._first)

    def _open(self, listeners: dict[str, Listener]) -> None:
        """Listen on the sockets that the service manager has kept for us or activated us with, else on new ones. Raises ListenError."""
        kept: dict[str, tuple[str, socket.socket]] = {}
        for name, sock in inherited().items():
            kind = name.partition("-")[0]
            if kind in listeners and kind not in kept:
                kept[kind] = (name, sock)
            else:
                sock.close()
        for kind, listener in listeners.items():
            name, found = kept.get(kind, ("", None))
            inode = name.partition("-")[2]
            listener.open(found, int(inode) if inode.isdigit() else 0)
            if found is not None and not listener.adopted:
                self._notifier.unstore(name)
            assert listener.socket is not None
            self._notifier.store(f"{kind}-{listener.inode}", listener.socket.fileno())

    def _tell_losses(self) -> None:
        """All that consumers have lost, since nobody will look again."""
        self.notices.look(time.monotonic(), int(time.time() * 1e9), last=True)

    def _tell_gap(self, cause: str, text: str) -> None:
        self.notices.tell(notices.GAP, text, int(time.time() * 1e9), cause=cause)

    def _take_over(self, orphaned: bool) -> None:
        """Go on where the daemon before us has stopped; if it was killed, say so."""
        path = self.config.buffer.handover
        try:
            data = handover.read(path) if path else None
            if data is not None:
                known = self.server.registry
                self.handed, last = handover.restore(self.ring, data, known.prefix_hash, known.fields, time.monotonic())
                IDS.last = max(IDS.last, last)
                self._first = self.ring.head + 1
                self.log.info("taken over", events=self.handed, consumers=len(self.ring.consumers))
        except (HandoverError, OSError) as error:
            self.log.error("what the daemon before us left cannot be used", file=path, error=str(error))
            self._tell_gap(HANDOVER_LOST, "what edera-falcod had kept for consumers over its restart is lost")
        else:
            if orphaned and data is None:
                self.log.warning("the daemon before us was killed")
                self._tell_gap(DAEMON_CRASHED, "edera-falcod was killed: events of all zones may be missing here, and what it had kept")

    def _hand_over(self) -> None:
        path = self.config.buffer.handover
        if not path:
            return
        try:
            if handover.trim(self.ring):
                self._tell_losses()
            known = self.server.registry
            data, count = handover.dump(self.ring, known.fields, known.prefix_hash(known.fields))
            handover.write(path, data)
            self.log.info("handed over", events=count, bytes=len(data))
        except OSError as error:
            self.log.error("nothing is handed over: what consumers had not acknowledged is lost", file=path, error=error.strerror)

    async def _tick(self) -> None:
        """Once a second: ages, rates, losses to tell, the service manager."""
        last = time.monotonic()
        fed = last
        was_live = True
        told = ""
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            self.ring.tick(now)
            for zone_id in self.pipelines.tick(now - last):
                self.zones.resync(zone_id, "after a loss")
            for name, count in self.notices.look(now, int(time.time() * 1e9)).items():
                self.lost_at[name] = now
                self.log.warning("events dropped", consumer=name, count=count)
            for name in [name for name in self.lost_at if name not in self.ring.consumers]:
                del self.lost_at[name]
            live = self.watch.look(now)
            if live != was_live:
                was_live = live
                tell = self.log.info if live else self.log.error
                tell("progress" if live else "no progress", reason="; ".join(self.watch.stuck) or None)
            summary = self._summary()
            if summary != told and self._notifier.send(f"STATUS={summary}"):  # also where there is no watchdog
                told = summary
            if self._notifier.watchdog and live and now - fed >= self._notifier.watchdog / 4:
                fed = now
                self._notifier.send("WATCHDOG=1")
            last = now

    def _summary(self) -> str:
        live = sum([1 for stream in self.zones.streams.values() if stream.state is State.LIVE])
        link = "up" if self.zones.link is LinkState.UP else "down"
        connected = sum([1 for consumer in self.ring.consumers.values() if consumer.attached])
        problems = unwell(self.view())
        text = f"Edera {link}, {live} of {len(self.zones.streams)} zones live, {connected} consumers"
        return f"{text}; {problems[0]}" if problems else text

    def _consumers_changed(self) -> None:
        """Consumers came, went, or changed what they mirror: zones are asked for all that any of them wants."""
        sets = {link.consumer.name: link.codes for link in self.server.links if link.consumer is not None and link.codes is not None}
        if self.syscalls.mirror(sets):
            self._ask_for_syscalls()

    def _ask_for_syscalls(self) -> None:
        self.log.info("system calls changed", choice=self.syscalls.choice, count=len(self.syscalls.codes))
        self.zones.set_syscalls(self.syscalls.asked)

    def reload(self) -> Reloaded:
        """SIGHUP and `ctl reload`: take from the configuration as it is now what can change without a restart, and say what cannot."""
        if self.fresh is None:
            return Reloaded(error="this daemon was given no configuration that could be read again")
        try:
            config = self.fresh()
        except ConfigError as error:
            self.log.error("configuration not reloaded", error=str(error))
            return Reloaded(error=str(error))
        self.config, found = reload.reload(self.config, config, self._apply)
        if self.config.edera.rules_files and not {"edera.syscalls", "edera.rules_files"} & set(found.applied):
            self._syscalls_changed()  # the files may have changed, whatever the configuration says
        self.log.info("configuration reloaded", applied=found.applied or None, needs_restart=found.needs_restart or None)
        return found

    def _apply(self, config: Config, groups: set[str]) -> None:
        """Bring about what has changed, by the groups of ``reload.LIVE``."""
        self.config = config
        if "log" in groups:
            log.configure(config.log.level, config.log.format)
        if "settings" in groups:
            self.zones.change(_settings(config))
            self.watch.reconcile = config.edera.reconcile
            self.watch.grace = config.edera.snapshot_timeout + GRACE
        if "workloads" in groups:
            self.pipelines.annotation_keys = config.edera.annotation_keys
            self.zones.tell_workloads()
        if "syscalls" in groups:
            self._syscalls_changed()
        if "access" in groups:
            self.server.change_access(_access(config))
            self.ctl.admins.groups = _groups(config.ctl.admin_groups)
        if "consumers" in groups:
            reload.declare(self.ring, config.falco.consumers)
        if "notices" in groups:
            self.notices.enabled = config.falco.notices
        if "buffer" in groups:
            self.ring.resize(config.buffer.size)
            self.ring.max_age = config.buffer.age

    def _set_level(self, level: str) -> str:
        before = log.set_level(level)
        self.log.info("log level set", level=level, before=before)
        return before

    def _syscalls_changed(self) -> None:
        """Another way to choose system calls is configured, or the rules files may have changed."""
        before = self.syscalls.asked
        self.syscalls.configure(self.config.edera.syscalls, self.config.edera.rules_files)
        if self.syscalls.asked != before:
            self._ask_for_syscalls()


def loop_factory(config: Config) -> Callable[[], asyncio.AbstractEventLoop]:
    """As configured; raises ConfigError when uvloop is asked for and not there."""
    if config.daemon.loop == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop
    except ImportError:
        if config.daemon.loop == "uvloop":
            raise ConfigError("daemon.loop = 'uvloop': uvloop is not installed; install it or use auto") from None
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-c", "--config", metavar="FILE", help="configuration (default: /etc/edera-falcod/config.toml if it is there)")
    parser.add_argument("--edera-socket", metavar="PATH", help="the Edera daemon's socket (edera.socket)")
    parser.add_argument("--socket", metavar="PATH", help="the consumer socket (falco.socket)")
    parser.add_argument("--ctl-socket", metavar="PATH", help="the ctl socket (ctl.socket)")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (log.level)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="any key of the configuration; repeatable")
    parser.add_argument("--check-config", action="store_true", help="read the configuration, say whether it is good, and exit")
    parser.add_argument("--print-config", action="store_true", help="print every key with its default and meaning, and exit")


def config_of(args: argparse.Namespace) -> Config:
    flags = list(args.set)
    for name, value in (
        ("edera.socket", args.edera_socket),
        ("falco.socket", args.socket),
        ("ctl.socket", args.ctl_socket),
        ("log.level", args.log_level),
    ):
        if value is not None:
            flags.append(f"{name}={value}")
    return load(args.config, flags=flags)


async def serve(daemon: Daemon, fresh: Callable[[], Config]) -> None:
    """Run with signals: SIGTERM and SIGINT stop, a second one at once; SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    def stop() -> None:
        if daemon.stop.is_set():
            task.cancel()
        daemon.stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    daemon.fresh = fresh
    loop.add_signal_handler(signal.SIGHUP, daemon.reload)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await daemon.run()
    finally:
        for number in (*numbers, signal.SIGHUP):
            loop.remove_signal_handler(number)


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 stopped, 1 failed, 2 the configuration cannot be used."""
    if args.print_config:
        print(reference())
        return 0
    try:
        config = config_of(args)
        factory = loop_factory(config)
    except ConfigError as error:
        print(f"edera-falcod: {error}", file=sys.stderr)
        return 2
    if args.check_config:
        print("the configuration is good")
        return 0
    log.configure(config.log.level, config.log.format)
    gc.set_threshold(*GC_THRESHOLDS)

    async def main() -> None:  # grpclib's server takes the loop that runs when it is made
        await serve(Daemon(config), lambda: config_of(args))

    logger: Any = log.get("daemon")
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())
    except ListenError as error:
        logger.error("cannot start", error=str(error))
        return 1
    except ExceptionGroup as group:
        logger.error("internal error", exc_info=group)
        return 1
    return 0
