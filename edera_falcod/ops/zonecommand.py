"""`ctl zones`, `zone`, `processes` and `resync`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import datetime
from typing import Final

from .command import add_fields
from .proto.ctl import CtlStub, GetProcessesRequest, GetStatusRequest, GetZoneReply, GetZoneRequest, Process, ResyncRequest
from .screen import state_text, zone_line
from .shapes import PROCESS_FIELDS, ZONE_DETAIL_FIELDS, ZONE_FIELDS, causes, process_json, table, zone_detail_json, zone_json
from .text import WIDTH, ago, coloured, count, cut, safe, select, size, wrapped

ZONES_HEAD: Final = f"  {'ZONE':22} {'STATE':12} {'FOR':>6} {'THREADS':>7} {'EVENTS':>7} {'/S':>6} {'BAD':>6}"
TOP_TYPES: Final = 12  # event types that `zone` shows; --json has all


def add_zones(parser: argparse.ArgumentParser) -> None:
    add_fields(parser, ZONE_FIELDS)


def add_zone(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("zone", metavar="ZONE", help="its id, the beginning of its id, or its name")
    add_fields(parser, ZONE_DETAIL_FIELDS)


def add_processes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("zone", metavar="ZONE", help="its id, the beginning of its id, or its name")
    parser.add_argument("--arguments", action="store_true", help="their arguments too; only for root and the daemon's user")
    add_fields(parser, PROCESS_FIELDS)


def add_resync(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("zone", metavar="ZONE", nargs="?", help="its id, the beginning of its id, or its name")
    which.add_argument("--all", action="store_true", help="all zones")


async def ask_zones(args: argparse.Namespace, stub: CtlStub) -> int:
    reply = await stub.get_status(GetStatusRequest())
    rows = [zone_json(zone) for zone in reply.zones]
    if args.output:
        print("\n".join(select(rows, args.output, ZONE_FIELDS)), end="\n" if rows else "")
    elif args.json:
        print(json.dumps(rows))
    elif rows:
        now, on = time.time(), coloured()
        print("\n".join([ZONES_HEAD, *[zone_line(zone, now, on) for zone in reply.zones]]))
    else:
        print("no zones are monitored; `edera-falcod ctl status` says how the link to the Edera daemon is")
    return 0


async def ask_zone(args: argparse.Namespace, stub: CtlStub) -> int:
    reply = await stub.get_zone(GetZoneRequest(args.zone))
    if args.output:
        print("\n".join(select([zone_detail_json(reply)], args.output, ZONE_DETAIL_FIELDS)))
    elif args.json:
        print(json.dumps(zone_detail_json(reply)))
    else:
        print(zone_text(reply, time.time(), coloured()))
    return 0


def zone_text(reply: GetZoneReply, now: float, on: bool) -> str:
    """A zone within 80 columns."""
    zone = reply.zone
    counters = table(zone.counters)
    tainted = ", events were missed since its last snapshot" if zone.tainted else ""
    lines = wrapped("Zone       ", f"{zone.name} ({zone.id}), domain {zone.domid}")
    lines.append(f"State      {state_text(zone.state, 0, on)} for {ago(zone.since, now)}{tainted}")
    if zone.reason:
        lines += wrapped("           ", zone.reason)
    lines += wrapped("Workloads  ", ", ".join(reply.workloads) or "none that the Edera daemon tells of")
    took = f"; the last took {reply.import_ns / 1e6:.0f} ms" if reply.snapshots else ""
    known = f"{zone.threads} threads, {zone.fds} files, {size(reply.text_bytes)} of texts; {reply.snapshots} snapshots{took}"
    lines += wrapped("Known      ", known)
    lines += wrapped("Asked for  ", f"{len(reply.syscalls)} system calls" if reply.syscalls else "its default set of system calls")
    lines.append(f"Received   {counters.get('received', 0)} events, {size(counters.get('bytes', 0))}, {counters.get('rate', 0)}/s of late")
    for name, word in (("undecodable", "Bad"), ("refused", "Refused"), ("stream", "Faults")):
        found = causes(zone.counters, name)
        if found:
            lines += wrapped(f"{word:11}", ", ".join([f"{cause.removeprefix('fault.')} {value}" for cause, value in found.items()]))
    if counters.get("gaps"):
        lines.append(f"Gaps       {counters['gaps']}")
    if reply.types:
        lines.append("")
        lines.append(f"  {'EVENT TYPE':30} {'EVENTS':>12} {'PART':>6}")
        sum_ = sum([one.value for one in reply.types])
        lines += [f"  {cut(one.name, 30):30} {one.value:>12} {100 * one.value / sum_:>5.1f}%" for one in reply.types[:TOP_TYPES]]
        rest = reply.types[TOP_TYPES:]
        if rest:
            others = sum([one.value for one in rest])
            lines.append(f"  {f'({len(rest)} others)':30} {others:>12} {100 * others / sum_:>5.1f}%")
    if reply.history:
        lines += ["", f"  {'WHEN':19} {'STATE':12} {'BECAUSE':44}".rstrip()]
        for step in reply.history:
            when = datetime.fromtimestamp(step.at / 1e9).strftime("%Y-%m-%d %H:%M:%S")
            because = step.event + (f": {step.reason}" if step.reason else "")
            lines.append(f"  {when:19} {state_text(step.state, 12, on)} {cut(because, 44)}".rstrip())
    return "\n".join(lines)


def process_line(one: Process, now: float, arguments: bool) -> str:
    from ..state.thread import NO_ID  # brings the whole room along, which other commands do not need

    what = one.name if not arguments or not one.args else f"{one.name}: {' '.join(one.args)}"
    uid = str(one.uid) if one.uid != NO_ID else "-"
    head = f"{one.pid:>8} {uid:>6} {count(one.threads):>4} {count(one.fds):>5} {ago(one.started_at, now):>7} "
    name = "  " * min(one.depth, 12) + safe(what)
    return head + (name if arguments else cut(name, WIDTH - len(head)))


async def ask_processes(args: argparse.Namespace, stub: CtlStub) -> int:
    """Written as it comes: a zone may have many."""
    first = True
    total = left_out = 0
    now = time.time()
    out = sys.stdout
    arguments = args.arguments or "args" in (args.output or "").split(",")
    async for page in stub.get_processes(GetProcessesRequest(args.zone, arguments)):
        if first:
            total, left_out = page.total, page.left_out
            if args.json:
                out.write("[")
            elif not args.output:
                out.write(f"{'PID':>8} {'UID':>6} {'THR':>4} {'FILES':>5} {'AGE':>7} NAME\n")
        for one in page.processes:
            if args.output:
                out.write(select([process_json(one, arguments)], args.output, PROCESS_FIELDS)[0] + "\n")
            elif args.json:
                out.write(("" if first else ",\n") + json.dumps(process_json(one, arguments)))
            else:
                out.write(process_line(one, now, arguments) + "\n")
            first = False
    if args.json:
        out.write("]\n")
    if left_out:
        print(f"edera-falcod ctl: {left_out} of {total} processes are left out", file=sys.stderr)
    return 0


async def ask_resync(args: argparse.Namespace, stub: CtlStub) -> int:
    reply = await stub.resync(ResyncRequest(args.zone or "", args.all))
    if args.json:
        print(json.dumps({"zones": list(reply.zones)}))
    elif reply.zones:
        print("\n".join(wrapped("asked for a new snapshot of: ", ", ".join(reply.zones))))
        print("`edera-falcod ctl zones` shows when they are live again; events go on meanwhile")
    else:
        print("there are no zones")
    return 0
