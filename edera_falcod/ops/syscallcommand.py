"""`ctl syscalls`: what zones are asked for, and why."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from .command import add_fields
from .proto.ctl import CtlStub, GetSyscallsReply, GetSyscallsRequest
from .shapes import SYSCALLS_FIELDS
from .text import coloured, cut, paint, select, wrapped

SHOWN: Final = 2  # reasons of one system call; more are counted


def syscalls_json(reply: GetSyscallsReply) -> dict[str, Any]:
    """``zones[].syscalls``: names; null stands for the zone's default set."""
    names = {one.code: one.name for one in reply.syscalls}
    return {
        "choice": reply.choice,
        "default": not reply.syscalls,
        "syscalls": [{"code": one.code, "name": one.name, "reasons": list(one.reasons)} for one in reply.syscalls],
        "zones": [
            {
                "id": zone.id,
                "name": zone.name,
                "syscalls": [names.get(code, str(code)) for code in zone.codes] if zone.codes else None,
                "as_chosen": list(zone.codes) == [one.code for one in reply.syscalls],
            }
            for zone in reply.zones
        ],
        "rules": reply.rules,
        "problems": list(reply.problems),
    }


def reason(reasons: list[str]) -> str:
    """``state, rule A and 3 more``."""
    more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    return ", ".join(reasons[:SHOWN]) + more


def syscalls_text(reply: GetSyscallsReply, on: bool = False) -> str:
    """Within 80 columns."""
    count = f"{len(reply.syscalls)} system calls" if reply.syscalls else "the zones' default set, which only they know"
    rules = f", {reply.rules} rules read" if reply.rules else ""
    lines = wrapped("", f"edera.syscalls = {reply.choice}: {count}{rules}")
    for problem in reply.problems:
        lines += [paint(line, "yellow", on) for line in wrapped("  ! ", problem)]
    chosen = [one.code for one in reply.syscalls]
    for zone in reply.zones:
        asked = "as chosen" if list(zone.codes) == chosen else f"asked for {len(zone.codes)}" if zone.codes else "asked for its default set"
        lines.append(f"  zone {cut(zone.name or zone.id, 40):40} {asked}")
    if reply.syscalls:
        lines.append(f"  {'SYSTEM CALL':26} WHY")
        lines += [f"  {cut(one.name, 26):26} {cut(reason(list(one.reasons)), 51)}" for one in reply.syscalls]
    return "\n".join(lines)


def add_syscalls(parser: argparse.ArgumentParser) -> None:
    add_fields(parser, SYSCALLS_FIELDS)


async def ask_syscalls(args: argparse.Namespace, stub: CtlStub) -> int:
    reply = await stub.get_syscalls(GetSyscallsRequest())
    if args.output:
        print("\n".join(select([syscalls_json(reply)], args.output, SYSCALLS_FIELDS)))
    else:
        print(json.dumps(syscalls_json(reply)) if args.json else syscalls_text(reply, coloured()))
    return 1 if reply.problems else 0
