"""`edera-falcod ctl`: questions to the running daemon, and orders. Text for people, --json and -o for scripts, an exit code for both."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from .proto.ctl import CtlStub, GetStatusRequest
from .screen import status_text
from .shapes import STATUS_FIELDS, status_json, total
from .text import FieldError, ago, coloured, count, select

__all__ = ["UNREACHABLE", "UNWELL", "WELL", "add_arguments", "ago", "as_json", "count", "run", "total"]

WELL: Final = 0
UNWELL: Final = 1
UNREACHABLE: Final = 2

as_json = status_json

CODES: Final = "exit code: 0 done, all is well; 1 something is not, or the daemon refuses; 2 the daemon does not answer, or asked wrongly"
EPILOG: Final = f"""examples:
  edera-falcod ctl status
  edera-falcod ctl status --json | jq '.zones[] | {{name, state}}'
  edera-falcod ctl zones -o name,state,counters.received
  edera-falcod ctl zone web-1
  edera-falcod ctl top
  edera-falcod ctl tail 'evt.type = execve' -o '%edera.zone.name %proc.cmdline'
  edera-falcod ctl resync --all
  until edera-falcod ctl health --ready >/dev/null; do sleep 1; done

{CODES}"""

Call = Callable[[argparse.Namespace, CtlStub], Awaitable[int]]
# name -> (one line of help, module, its function that adds arguments or "", its function that asks; "": it is a command of its own,
# with options of its own and a function `run`)
COMMANDS: Final[dict[str, tuple[str, str, str, str]]] = {
    "status": ("the daemon at one glance; the exit code says whether all is well", "command", "add_fields", "ask_status"),
    "health": ("whether it is live and ready, also of each zone", "daemoncommand", "add_health", "ask_health"),
    "zones": ("the zones, one a line", "zonecommand", "add_zones", "ask_zones"),
    "zone": ("one zone: its past, its counters, its event types", "zonecommand", "add_zone", "ask_zone"),
    "processes": ("a zone's processes as they are known", "zonecommand", "add_processes", "ask_processes"),
    "syscalls": ("the system calls that zones are asked for, and why", "syscallcommand", "add_syscalls", "ask_syscalls"),
    "top": ("the busiest zones or event types, live", "top", "add_arguments", ""),
    "tail": ("live events of the zones, as text or JSON", "tailcommand", "add_arguments", ""),
    "resync": ("learn a zone, or all, anew", "zonecommand", "add_resync", "ask_resync"),
    "record": ("write a zone's raw stream to a file, for replay and bug reports", "recordcommand", "add_record", "ask_record"),
    "log-level": ("say more or less from now on, until the next reload", "daemoncommand", "add_log_level", "ask_log_level"),
    "reload": ("read the configuration again; says what needs a restart", "daemoncommand", "", "ask_reload"),
    "version": ("versions of this program and of the daemon", "daemoncommand", "add_version", "ask_version"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="ctl_command", metavar="COMMAND", required=True)
    for name, (text, module, add, ask) in COMMANDS.items():
        what, raw = text[0].upper() + text[1:] + ".", argparse.RawDescriptionHelpFormatter
        sub = commands.add_parser(name, help=text, description=what, epilog=CODES, formatter_class=raw)
        if not ask:
            importlib.import_module(f".{module}", __package__).add_arguments(sub)
            continue
        sub.add_argument("--json", action="store_true", help="JSON of a stable shape (docs/operate.md)")
        sub.add_argument("--socket", metavar="PATH", help="the daemon's ctl socket (default: as configured)")
        sub.add_argument("-c", "--config", metavar="FILE", help="the configuration to find the socket in")
        if add:
            getattr(importlib.import_module(f".{module}", __package__), add)(sub)


def add_fields(parser: argparse.ArgumentParser, known: tuple[str, ...] = STATUS_FIELDS) -> None:
    text = f"these fields, tab-separated, without a head; dots lead further. There are: {', '.join(known)}"
    parser.add_argument("-o", "--output", metavar="FIELD,...", help=text)


async def ask_status(args: argparse.Namespace, stub: CtlStub) -> int:
    reply = await stub.get_status(GetStatusRequest())
    if args.output:
        print("\n".join(select([status_json(reply)], args.output, STATUS_FIELDS)))
    else:
        print(json.dumps(status_json(reply)) if args.json else status_text(reply, time.time(), coloured()))
    return UNWELL if reply.daemon.unwell else WELL


def tell(text: str) -> None:
    print(f"edera-falcod ctl: {text}", file=sys.stderr)


def failure(error: Exception, path: str, name: str) -> tuple[str, int]:
    """What to say of an error of a call, with what to do next, and the exit code. Raises errors that are none of a call."""
    from grpclib.const import Status
    from grpclib.exceptions import GRPCError, StreamTerminatedError

    from .client import CALL_TIMEOUT

    match error:
        case FieldError():
            return str(error), UNREACHABLE
        case FileNotFoundError():
            return f"{path}: no such socket; is the daemon running? (systemctl status edera-falcod; edera-falcod doctor)", UNREACHABLE
        case ConnectionRefusedError():
            return f"{path}: nobody listens; the daemon has died (journalctl -u edera-falcod)", UNREACHABLE
        case PermissionError():
            return f"{path}: permission denied; run as root or as a member of ctl.group", UNREACHABLE
        case TimeoutError():
            return f"{path}: no answer within {CALL_TIMEOUT:g} s (journalctl -u edera-falcod)", UNREACHABLE
        case GRPCError() if error.status is Status.UNIMPLEMENTED:
            text = f"the daemon is older than this program and does not know {name}; restart it (systemctl restart edera-falcod)"
            return text, UNREACHABLE
        case GRPCError():
            refused = error.status in (Status.NOT_FOUND, Status.PERMISSION_DENIED, Status.INVALID_ARGUMENT, Status.RESOURCE_EXHAUSTED)
            return error.message or error.status.name, UNWELL if refused else UNREACHABLE
        case OSError() | StreamTerminatedError():
            return f"{path}: {error}", UNREACHABLE
    raise error


async def _ask(args: argparse.Namespace, path: str, call: Call) -> int:
    from .client import connected

    async with connected(path) as stub:
        return await call(args, stub)


def run(args: argparse.Namespace) -> int:
    from ..config import ConfigError, load

    _, module, _, ask = COMMANDS[args.ctl_command]
    if not ask:
        return int(importlib.import_module(f".{module}", __package__).run(args))
    call: Any = getattr(importlib.import_module(f".{module}", __package__), ask)
    try:
        path = args.socket or load(args.config).ctl.socket
    except ConfigError as error:
        tell(str(error))
        return UNREACHABLE
    try:
        return asyncio.run(_ask(args, path, call))
    except Exception as error:
        text, code = failure(error, path, args.ctl_command)
        tell(text)
        return code
