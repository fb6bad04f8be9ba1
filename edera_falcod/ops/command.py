"""`edera-falcod ctl`: questions to the running daemon. Text for people, --json for scripts, an exit code for both."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any, Final

from .proto.ctl import ConsumerStatus, Counter, EderaLink, GetStatusReply, ZoneStatus

WELL: Final = 0
UNWELL: Final = 1
UNREACHABLE: Final = 2
SKEW: Final = 5.0  # seconds that a zone's clock may be off before that is said; events may take as long

EPILOG: Final = """examples:
  edera-falcod ctl status
  edera-falcod ctl status --json | jq '.zones[] | {name, state}'
  until edera-falcod ctl status >/dev/null; do sleep 1; done
exit code: 0 all is well, 1 something is not (it is said first), 2 the daemon does not answer"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="ctl_command", metavar="COMMAND", required=True)
    raw = argparse.RawDescriptionHelpFormatter
    status = commands.add_parser("status", help="the daemon at one glance", epilog=EPILOG, formatter_class=raw)
    status.add_argument("--json", action="store_true", help="one JSON object")
    status.add_argument("--socket", metavar="PATH", help="the daemon's ctl socket (default: as configured)")
    status.add_argument("-c", "--config", metavar="FILE", help="the configuration to find the socket in")


def total(counters: list[Counter], name: str) -> int:
    return sum([counter.value for counter in counters if counter.name == name])


def _causes(counters: list[Counter], name: str) -> dict[str, int]:
    return {counter.cause: counter.value for counter in counters if counter.name == name and counter.value}


def _table(counters: list[Counter]) -> dict[str, Any]:
    """Counters as an object: a number, or an object of numbers by cause."""
    table: dict[str, Any] = {}
    for counter in counters:
        if counter.cause:
            table.setdefault(counter.name, {})[counter.cause] = counter.value
        else:
            table[counter.name] = counter.value
    return table


def as_json(reply: GetStatusReply) -> dict[str, Any]:
    """The stable shape: docs/operate.md. Times in ns since the epoch."""
    daemon, edera, registry = reply.daemon, reply.edera, reply.registry
    return {
        "well": not daemon.unwell,
        "unwell": list(daemon.unwell),
        "daemon": {"version": daemon.version, "pid": daemon.pid, "started_at": daemon.started_at, "core": daemon.core},
        "edera": {
            "socket": edera.socket,
            "link": str(EderaLink(edera.link).name).lower(),
            "reason": edera.reason,
            "since": edera.since,
            "tries": edera.tries,
            "host_uuid": edera.host_uuid,
            "protect_version": edera.protect_version,
        },
        "registry": {"frames": f"{registry.major}.{registry.minor}", "fields": registry.fields, "hash": f"{registry.hash:016x}"},
        "zones": [
            {
                "id": zone.id,
                "name": zone.name,
                "state": zone.state,
                "reason": zone.reason,
                "since": zone.since,
                "domid": zone.domid,
                "threads": zone.threads,
                "fds": zone.fds,
                "tainted": zone.tainted,
                "last_event_ts": zone.last_event_ts,
                "clock_skew": zone.clock_skew,
                "counters": _table(zone.counters),
            }
            for zone in reply.zones
        ],
        "consumers": [
            {
                "name": one.name,
                "version": one.version,
                "connected": one.connected,
                "since": one.since,
                "sent": one.sent,
                "acknowledged": one.acknowledged,
                "waiting": one.waiting,
                "counters": _table(one.counters),
            }
            for one in reply.consumers
        ],
        "gone": _table(reply.gone),
        "own": _table(reply.own),
    }


def ago(ns: int, now: float) -> str:
    """How long ago, in at most 6 characters."""
    if not ns:
        return "-"
    seconds = max(0, int(now - ns / 1e9))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600:02}h"


def count(value: int) -> str:
    """A count in at most 6 characters."""
    for unit in ("", "k", "M", "G"):
        if value < 10_000 or unit == "G":
            return f"{value:.0f}{unit}"
        value = value // 1000
    return str(value)


def _cut(text: str, width: int) -> str:
    text = "".join([c if c.isprintable() else "?" for c in text])
    return text if len(text) <= width else text[: width - 1] + "~"


def _zone_line(zone: ZoneStatus, now: float) -> str:
    name = _cut(zone.name or zone.id, 22)
    undecodable = total(zone.counters, "undecodable")
    state = zone.state + ("*" if zone.tainted else "")
    return (
        f"  {name:22} {state:12} {ago(zone.since, now):>6} {count(zone.threads):>7} {count(total(zone.counters, 'received')):>7} "
        f"{count(total(zone.counters, 'rate')):>6} {count(undecodable):>6}"
    )


def _consumer_line(one: ConsumerStatus, now: float) -> str:
    dropped = total(one.counters, "dropped")
    state = "connected" if one.connected else "away"
    return (
        f"  {_cut(one.name, 22):22} {state:12} {ago(one.since, now):>6} {count(one.sent):>7} {count(one.acknowledged):>7} "
        f"{count(one.waiting):>6} {count(dropped):>6}"
    )


def as_text(reply: GetStatusReply, now: float) -> str:
    """One screen of 80 columns."""
    daemon, edera, registry = reply.daemon, reply.edera, reply.registry
    well = "well" if not daemon.unwell else "NOT WELL"
    lines = [f"edera-falcod {daemon.version}: {well}; pid {daemon.pid}, up {ago(daemon.started_at, now)}, {daemon.core} core"]
    lines += [f"  ! {problem}" for problem in daemon.unwell]
    link = str(EderaLink(edera.link).name).lower()
    lines.append(f"Edera     {link} for {ago(edera.since, now)}, {edera.socket}" + (f" (try {edera.tries})" if edera.tries else ""))
    if edera.reason and edera.link != EderaLink.UP:
        lines.append(f"          {_cut(edera.reason, 68)}")
    lines.append(f"Registry  {registry.fields} fields, {registry.hash:016x}, frames {registry.major}.{registry.minor}")
    lines.append("")
    if reply.zones:
        lines.append(f"  {'ZONE':22} {'STATE':12} {'FOR':>6} {'THREADS':>7} {'EVENTS':>7} {'/S':>6} {'BAD':>6}")
        lines += [_zone_line(zone, now) for zone in reply.zones]
        if any(zone.tainted for zone in reply.zones):
            lines.append("  * events were missed; what is known of its processes may be wrong until the next snapshot")
    else:
        lines.append("  no zones")
    for zone in reply.zones:
        if abs(zone.clock_skew) > SKEW * 1e9:
            which = "ahead of" if zone.clock_skew > 0 else "behind"
            lines.append(f"  {_cut(zone.name or zone.id, 22)}: its clock is {abs(zone.clock_skew) / 1e9:.0f} s {which} ours")
    received = total(reply.gone, "received")
    if received:
        lines.append(f"  (zones that are gone sent {count(received)} events, {count(total(reply.gone, 'undecodable'))} of them bad)")
    lines.append("")
    lines.append(f"  {'CONSUMER':22} {'STATE':12} {'FOR':>6} {'SENT':>7} {'DONE':>7} {'WAIT':>6} {'LOST':>6}")
    lines += [_consumer_line(one, now) for one in reply.consumers]
    for one in reply.consumers:
        for cause, lost in _causes(one.counters, "dropped").items():
            lines.append(f"  {one.name}: {lost} dropped, {cause}")
    return "\n".join(lines)


def run(args: argparse.Namespace) -> int:
    from grpclib.exceptions import GRPCError, StreamTerminatedError

    from ..config import ConfigError, load
    from .ctl import CALL_TIMEOUT, get_status

    try:
        path = args.socket or load(args.config).ctl.socket
    except ConfigError as error:
        print(f"edera-falcod ctl: {error}", file=sys.stderr)
        return UNREACHABLE
    try:
        reply = asyncio.run(get_status(path))
    except FileNotFoundError:
        print(f"edera-falcod ctl: {path}: no such socket; is the daemon running? (systemctl status edera-falcod)", file=sys.stderr)
    except ConnectionRefusedError:
        print(f"edera-falcod ctl: {path}: nobody listens; the daemon has died (journalctl -u edera-falcod)", file=sys.stderr)
    except PermissionError:
        print(f"edera-falcod ctl: {path}: permission denied; run as root or as a member of ctl.group", file=sys.stderr)
    except TimeoutError:
        print(f"edera-falcod ctl: {path}: no answer within {CALL_TIMEOUT:g} s (journalctl -u edera-falcod)", file=sys.stderr)
    except (OSError, GRPCError, StreamTerminatedError) as error:
        print(f"edera-falcod ctl: {path}: {error}", file=sys.stderr)
    else:
        print(json.dumps(as_json(reply)) if args.json else as_text(reply, time.time()))
        return UNWELL if reply.daemon.unwell else WELL
    return UNREACHABLE
