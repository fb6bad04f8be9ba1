"""`edera-falcod sim`: a simulated Edera host on a unix socket."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

from .host import SimHost
from .player import AtEnd, Play, Reopen
from .script import COMMANDS, Line, Quit, ScriptError, command, do, pace, parse, run_lines, seconds

DRAIN = 5.0  # seconds that streams may take to end before they are cut: a reader on a busy machine is this late

HELP = "a simulated Edera host: zones that play captures, behind the same socket and calls as the real one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:{width}} {usage}\n  {'':{width}}   {what}" for name, (usage, what) in COMMANDS.items()]
    parser.epilog = "commands of --at and --script (lines of TIME COMMAND; +TIME counts from the line before):\n" + "\n".join(lines)
    parser.add_argument("--socket", required=True, metavar="PATH", help="where to listen; a socket that nobody uses is replaced")
    parser.add_argument(
        "--zone", action="append", default=[], metavar="NAME=CAPTURE[,KEY=VALUE...]", help="a zone from the start; keys as those of add"
    )
    parser.add_argument("--pace", default="recorded", metavar="recorded|Nx|max", help="how fast captures are played (default: recorded)")
    parser.add_argument("--loop", action="store_true", help="play captures again and again, with a new snapshot and later times")
    parser.add_argument("--now", action="store_true", help="move a capture's times so that it begins when it is played")
    parser.add_argument("--packing", choices=("tonic", "single"), default="tonic", help="many messages to a DATA frame (default), or one")
    parser.add_argument("--end", choices=[end.value for end in AtEnd], default="idle", help="what follows a capture's end (default: idle)")
    parser.add_argument(
        "--reopen", choices=[how.value for how in Reopen], default="restart", help="what a stream gets that is opened again"
    )
    parser.add_argument("--at", action="append", nargs=2, default=[], metavar=("TIME", "COMMAND"), help="do this then; may be repeated")
    parser.add_argument("--script", metavar="FILE", help="a file of such commands")
    parser.add_argument("--duration", metavar="TIME", help="end after this time (default: run until interrupted)")


def lines_of(args: argparse.Namespace) -> tuple[list[Line], float | None]:
    """The commands of --script, --at and --zone in the order of their times, and when to end. Raises ``ScriptError``."""
    lines: list[Line] = []
    for text in args.zone:
        name, equals, rest = text.partition("=")
        capture, *options = rest.split(",")
        if not equals or not name or not capture:
            raise ScriptError(f"--zone {text}: use NAME=CAPTURE[,KEY=VALUE...]")
        lines.append(command(0.0, ("add", name, capture, *options), f"--zone {text}"))
    if args.script:
        try:
            script = Path(args.script).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ScriptError(f"--script {args.script}: {error}") from None
        lines += parse(script.splitlines(), args.script)
    for when, what in args.at:
        lines += parse([f"{when} {what}"], f"--at {when}")
    end = seconds(args.duration, "--duration") if args.duration else None
    return lines, end


def tell(text: str) -> None:
    """A line for whoever runs the simulation."""
    print(f"edera-falcod sim: {text}", file=sys.stderr, flush=True)


def run(args: argparse.Namespace) -> int:
    """Run until the time is over, the script says so, or SIGINT or SIGTERM comes. Returns the exit code."""
    return asyncio.run(_until_told(args))


async def _until_told(args: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return await serve(args, stop)


async def serve(args: argparse.Namespace, stop: asyncio.Event) -> int:
    """Run until ``stop`` is set or the time is over. Returns the exit code: 2 for what was asked wrongly, 1 for what went wrong."""
    try:
        lines, end = lines_of(args)
        play = Play(pace(args.pace, "--pace"), args.loop, args.packing == "single", AtEnd(args.end), Reopen(args.reopen), args.now)
        host = SimHost(args.socket)
        first = [line for line in lines if line.at == 0 and line.words[0] == "add"]
        for line in first:
            await do(host, line, play)
            zone = host.zones[line.words[1]]
            tell(f"zone {zone.name} ({zone.id}) is ready: {zone.feed.events if zone.feed is not None else 0} events")
    except ScriptError as error:
        tell(str(error))
        return 2
    try:
        await host.start()
    except OSError as error:
        tell(f"{args.socket}: {error.strerror or error}")
        return 1
    tell(f"listening on {args.socket}, {len(host.zones)} zones")
    code = 0
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(end):
                async with asyncio.TaskGroup() as group:
                    script = group.create_task(run_lines(host, [line for line in lines if line not in first], play, tell))
                    await stop.wait()
                    script.cancel()
    except* ScriptError as group:
        tell(str(group.exceptions[0]))
        code = 1
    except* Quit:
        pass
    finally:
        await host.drain(DRAIN)
        await host.stop()
        for name, opened, sent in [*host.removed, *((zone.name, zone.opened, zone.progress) for zone in host.zones.values())]:
            tell(f"zone {name}: {opened} streams, {sent.snapshots} snapshots, {sent.events} events sent")
    return code
