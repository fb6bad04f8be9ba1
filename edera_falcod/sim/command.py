"""`edera-falcod sim`: a simulated Edera host on a unix socket."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import structlog

from .host import SimHost
from .player import AtEnd, Play, Reopen
from .script import COMMANDS, Line, Quit, ScriptError, command, do, pace, parse, run_lines, seconds

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
    parser.add_argument("--packing", choices=("tonic", "single"), default="tonic", help="many messages to a DATA frame (default), or one")
    parser.add_argument("--end", choices=[end.value for end in AtEnd], default="idle", help="what follows a capture's end (default: idle)")
    parser.add_argument(
        "--reopen", choices=[how.value for how in Reopen], default="restart", help="what a stream gets that is opened again (default: restart)"
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


async def run(args: argparse.Namespace) -> int:
    """Run until the time is over or the task is cancelled. Returns the exit code: 2 for what was asked wrongly, 1 for what went wrong."""
    log = structlog.get_logger().bind(room="sim")
    try:
        lines, end = lines_of(args)
        play = Play(pace(args.pace, "--pace"), args.loop, args.packing == "single", AtEnd(args.end), Reopen(args.reopen))
        host = SimHost(args.socket)
        first = [line for line in lines if line.at == 0 and line.words[0] == "add"]
        for line in first:
            await do(host, line, play)
            zone = host.zones[line.words[1]]
            log.info("zone ready", zone=zone.id, name=zone.name, events=len(zone.feed) if zone.feed is not None else 0)
    except ScriptError as error:
        print(f"edera-falcod sim: {error}", file=sys.stderr)
        return 2
    try:
        await host.start()
    except OSError as error:
        print(f"edera-falcod sim: {args.socket}: {error.strerror or error}", file=sys.stderr)
        return 1
    log.info("simulated Edera host is listening", socket=args.socket, zones=len(host.zones))
    try:
        with suppress(TimeoutError, Quit):
            async with asyncio.timeout(end):
                await run_lines(host, [line for line in lines if line not in first], play, log)
                await asyncio.Event().wait()
    except ScriptError as error:
        print(f"edera-falcod sim: {error}", file=sys.stderr)
        return 1
    finally:
        await host.stop()
        for zone in host.zones.values():
            sent = zone.progress
            log.info("zone played", zone=zone.id, name=zone.name, streams=zone.opened, snapshots=sent.snapshots, events=sent.events)
    return 0
