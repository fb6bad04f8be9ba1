"""`edera-falcod replay`: a capture's whole way in one process: simulated Edera host, gRPC, daemon, consumer socket, consumer."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from . import __version__, log
from .config import BufferConfig, Config, ConfigError, CtlConfig, DaemonConfig, EderaConfig, FalcoConfig
from .daemon import GC_THRESHOLDS, Daemon, loop_factory
from .falco.client import Client
from .fields import forms as oracle
from .fields import names, registry
from .fields.reader import BlockTable, EventView
from .output import EventTypes, Form, Format, FormatError, json_line, json_object, split_fields
from .scap.errors import CaptureError
from .sim.host import SimHost
from .sim.player import Play, Reopen

NAME: Final = "replay"
BUFFER: Final = 8 << 30  # bytes: a file has an end, so nothing is shed
STALL: Final = 60.0  # seconds without progress after which it is given up
POLL: Final = 0.005
OUTPUT_BLOCK: Final = 1 << 16  # bytes of lines that are written at a time
DEFAULT_OUTPUT: Final = "%evt.num %evt.time %proc.name(%thread.tid) %evt.type %evt.args"

EPILOG: Final = """examples:
  edera-falcod replay capture.scap                              one line of text an event
  edera-falcod replay capture.scap -o '%evt.type %fd.name'      in a format of your own
  edera-falcod replay capture.scap --json                       every field that libsinsp has a value for, one JSON object an event
  edera-falcod replay capture.scap --json --fields evt.type,proc.aname[2]
  edera-falcod replay capture.scap --json --every 50            only every 50th event, beginning with the first
  edera-falcod replay capture.scap --json --via shim            the same, read through the Falco plugin by shimcat"""


class ReplayError(Exception):
    """It cannot be done, or was not done to the end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("capture", metavar="CAPTURE", help="a .scap file or a recording of `ctl record`, gzip-compressed or not")
    parser.add_argument("-j", "--json", action="store_true", help="one JSON object an event: num, ts, tid, cpu, etype, type, fields")
    parser.add_argument("-f", "--fields", metavar="A,B", help="only these fields, as rules write them (default with --json: all)")
    parser.add_argument("-o", "--output", metavar="FORMAT", help=f"text with %%fields (default: {DEFAULT_OUTPUT.replace('%', '%%')})")
    parser.add_argument("-e", "--every", type=int, default=1, metavar="N", help="print only every Nth event, beginning with the first")
    parser.add_argument("--via", choices=("python", "shim"), default="python", help="who reads the daemon's socket (default: python)")
    parser.add_argument("--shimcat", metavar="FILE", help="shimcat for --via shim (default: shim/shimcat, built by make shim)")
    parser.add_argument(
        "--as-zone",
        action="store_true",
        help="as the daemon sees a zone: it knows when the machine was booted, and forgets threads that have exited. Without this, as the "
        "reference read captures for its answers: boot times count from 0, and events may name threads that are no more",
    )
    parser.add_argument("--stats", action="store_true", help="say on standard error how much there was and how long it took")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the daemon's log")


class Printer:
    """Prints what the consumer gets."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.every: int = args.every
        self.json: bool = args.json
        self.chosen = [Form(form) for form in split_fields(args.fields)] if args.fields else None
        self.format = Format(args.output or DEFAULT_OUTPUT)
        if args.output and (args.json or args.fields):
            raise FormatError("--output excludes --json and --fields")
        self.all = [Form(text) for text, _, _ in oracle.fixed_forms()] if self.json and self.chosen is None else []
        self.types = EventTypes()
        self.count = 0

    def take(self, data: bytes, table: BlockTable, redelivered: bool) -> None:
        num = self.count + 1
        self.count = num
        if (num - 1) % self.every:
            return
        view = EventView(data, table, redelivered, hex_binary=self.json)
        if not self.json and self.chosen is None:
            print(self.format.line(view, num))
            return
        etype = self.types.of(view)
        forms = self.chosen if self.chosen is not None else self.all + etype.forms
        found = json_object(view, num, etype, forms)
        if self.json:
            print(json_line(found))
        else:
            print(num, etype.name, *[f"{name}={json.dumps(one, ensure_ascii=False)}" for name, one in found["fields"].items()])


def daemon_config(folder: Path) -> Config:
    """A daemon in ``folder`` that keeps everything and adds nothing."""
    return Config(
        edera=EderaConfig(socket=str(folder / "edera.sock"), workloads="none"),
        falco=FalcoConfig(socket=str(folder / "falco.sock"), mode=0o600, consumers=(NAME,), notices=False),
        buffer=BufferConfig(size=BUFFER, age=24 * 3600.0),
        ctl=CtlConfig(socket=str(folder / "ctl.sock")),
        daemon=DaemonConfig(),
    )


class Replay:
    """One run. ``served``: events that the consumer got; ``total``: that the capture has."""

    def __init__(self, capture: str, folder: Path, as_zone: bool = False) -> None:
        self.folder = folder
        self.host = SimHost(folder / "edera.sock")
        self.zone = self.host.add_zone("replay", capture, Play(speed=0.0))
        assert self.zone.feed is not None
        self.total = self.zone.feed.events
        self.daemon = Daemon(daemon_config(folder), first_seq=1)
        if self.zone.feed.recorded:
            self.zone.play.reopen = Reopen.CONTINUE  # where a reply of it makes the daemon open the stream again
        elif not as_zone:
            self.zone.feed.boot_epoch = 0
            self.daemon.pipelines.removes_threads = False
        self.served = 0

    @property
    def undecodable(self) -> dict[str, int]:
        pipeline = self.daemon.pipelines.by_id.get(self.zone.id)
        return dict(pipeline.account.undecodable) if pipeline is not None else {}

    def decoded(self) -> bool:
        """Whether all events have been through the core."""
        pipeline = self.daemon.pipelines.by_id.get(self.zone.id)
        return pipeline is not None and pipeline.account.received >= self.total and pipeline.imported > 0

    async def run(self, consume: Callable[[Replay], Any]) -> None:
        """``consume`` is a coroutine function; it returns when it has got everything."""
        try:
            async with self.host, asyncio.TaskGroup() as group:
                running = group.create_task(self.daemon.run(), name="daemon")
                waiting = group.create_task(self.daemon.ready.wait())
                try:
                    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
                    if self.daemon.ready.is_set():
                        await consume(self)
                finally:
                    waiting.cancel()
                    self.daemon.stop.set()
        except BaseExceptionGroup as group_:
            raise _first(group_) from None

    async def until_done(self) -> None:
        """Until the consumer has got all; raises ReplayError when nothing moves any more."""
        last = (-1, -1)
        moved = time.monotonic()
        while not (self.decoded() and self.served >= self.daemon.ring.head and not self.daemon.ring.lined):
            await asyncio.sleep(POLL)
            now = (self.daemon.ring.head, self.served)
            if now != last:
                last, moved = now, time.monotonic()
            elif time.monotonic() - moved > STALL:
                raise ReplayError(f"stopped after {self.served} of {self.total} events: nothing has come for {STALL:g} s")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception in it that is not itself a group: all have one cause here."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def by_python(replay: Replay, printer: Printer) -> None:
    table = BlockTable()
    hashes = registry.prefix_hashes()
    client = Client(str(replay.folder / "falco.sock"), NAME, len(hashes) - 1, lambda n: hashes[n], f"replay {__version__}", blocks=table)
    await client.connect()

    async def read() -> None:
        while True:
            for event in await client.next():
                replay.served += 1
                printer.take(event.data, table, event.redelivered)

    reader = asyncio.create_task(read())
    watcher = asyncio.create_task(replay.until_done())
    try:
        done, _ = await asyncio.wait({reader, watcher}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (reader, watcher):
            task.cancel()
        await asyncio.gather(reader, watcher, return_exceptions=True)
        await client.close()
    if client.missing or client.shed:
        raise ReplayError(f"{client.missing} events are missing without a word, {client.shed} were shed")


def write_all(data: bytes | bytearray) -> None:
    """Write to standard output what a pipe may take in several parts only."""
    sys.stdout.flush()
    at = 0
    while at < len(data):
        at += os.write(sys.stdout.fileno(), data[at:])


async def by_shim(replay: Replay, args: argparse.Namespace, shimcat: Path) -> None:
    """shimcat reads; it is given --count once the daemon knows how many there will be."""
    command = [str(shimcat), "--socket", str(replay.folder / "falco.sock"), "--consumer", NAME, "--json", "--count", str(replay.total)]
    if args.fields:
        wanted = split_fields(args.fields)
    else:
        command.append("--params")
        wanted = [text for text, _, _ in oracle.fixed_forms()]
        wanted += [f"evt.{kind}.{name}" for kind in ("arg", "rawarg") for name in names.ARG_NAMES]
    command += ["--fields", "-"]
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, limit=64 << 20)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    said = asyncio.create_task(_complaints(process.stderr, args.verbose))
    lines = bytearray()
    try:
        process.stdin.write("\n".join(wanted).encode() + b"\n")
        process.stdin.close()
        undecodable = 0
        while True:
            try:
                line = await asyncio.wait_for(process.stdout.readline(), POLL * 40 if replay.decoded() else STALL)
            except TimeoutError:
                undecodable = sum(replay.undecodable.values())
                if replay.decoded() and replay.served >= replay.total - undecodable:
                    break
                if not replay.decoded():
                    raise ReplayError(f"stopped after {replay.served} of {replay.total} events: nothing has come for {STALL:g} s") from None
                continue
            if not line:
                break
            replay.served += 1
            if (replay.served - 1) % args.every == 0:
                lines += line
                if len(lines) >= OUTPUT_BLOCK:
                    write_all(lines)
                    lines.clear()
        write_all(lines)
    finally:
        if process.returncode is None:
            process.terminate()
        code = await process.wait()
        await said
    if code not in (0, -15):
        raise ReplayError(f"shimcat has failed with {code}")


async def _complaints(stream: asyncio.StreamReader, all: bool) -> None:
    """Pass on what shimcat says; what is merely informative only if asked for."""
    while line := await stream.readline():
        if all or b": info: " not in line:
            sys.stderr.write(line.decode("utf-8", "replace"))


def find_shimcat(given: str | None) -> Path:
    path = Path(given) if given else Path(__file__).parent.parent / "shim" / "shimcat"
    if not path.is_file():
        raise ReplayError(f"{path}: no shimcat there; build it with make shim, or name it with --shimcat")
    return path


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 all was served, 1 not all, 2 it could not begin."""
    log.configure("info" if args.verbose else "error", "auto")
    if args.every < 1:
        print("edera-falcod replay: --every must be at least 1", file=sys.stderr)
        return 2
    try:
        printer = Printer(args)
        shimcat = find_shimcat(args.shimcat) if args.via == "shim" else None
        if shimcat is not None and (args.output or not args.json):
            raise ReplayError("--via shim prints JSON only: add --json")
    except (FormatError, ReplayError) as error:
        print(f"edera-falcod replay: {error}", file=sys.stderr)
        return 2
    gc.set_threshold(*GC_THRESHOLDS)
    began = time.monotonic()

    async def main(folder: Path) -> Replay:
        replay = Replay(args.capture, folder, args.as_zone)
        if shimcat is not None:
            await replay.run(lambda run: by_shim(run, args, shimcat))
        else:
            await replay.run(lambda run: by_python(run, printer))
        return replay

    try:
        with tempfile.TemporaryDirectory(prefix="falcod-") as folder, asyncio.Runner(loop_factory=loop_factory(Config())) as runner:
            replay = runner.run(main(Path(folder)))
    except CaptureError as error:
        print(f"edera-falcod replay: {args.capture}: {error}", file=sys.stderr)
        return 2
    except ReplayError as error:
        print(f"edera-falcod replay: {error}", file=sys.stderr)
        return 1
    except ConfigError as error:
        print(f"edera-falcod replay: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"edera-falcod replay: {error.filename or args.capture}: {error.strerror or error}", file=sys.stderr)
        return 2
    sys.stdout.flush()
    undecodable = replay.undecodable
    missing = replay.total - replay.served - sum(undecodable.values())
    if args.stats or undecodable or missing:
        causes = "".join([f", {count} {cause}" for cause, count in sorted(undecodable.items())])
        seconds = time.monotonic() - began
        print(f"edera-falcod replay: {replay.served} of {replay.total} events served{causes}; {seconds:.1f} s", file=sys.stderr)
    return 0 if missing == 0 else 1
