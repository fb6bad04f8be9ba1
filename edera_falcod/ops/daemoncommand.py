"""`ctl health`, `log-level`, `reload` and `version`."""

from __future__ import annotations

import argparse
import json

from .command import add_fields
from .proto.ctl import CtlStub, GetHealthRequest, GetStatusRequest, ReloadRequest, SetLogLevelRequest
from .shapes import HEALTH_FIELDS, VERSION_FIELDS, health_json
from .text import coloured, cut, paint, select, wrapped


def add_health(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--live", action="store_true", help="the exit code says whether the daemon makes progress")
    which.add_argument("--ready", action="store_true", help="the exit code says whether it has learned what there is (default: both)")
    add_fields(parser, HEALTH_FIELDS)


def add_version(parser: argparse.ArgumentParser) -> None:
    add_fields(parser, VERSION_FIELDS)


def add_log_level(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("level", metavar="LEVEL", help="debug, info, warning or error")


async def ask_health(args: argparse.Namespace, stub: CtlStub) -> int:
    reply = await stub.get_health(GetHealthRequest())
    good = reply.live if args.live else reply.ready if args.ready else reply.live and reply.ready
    if args.json or args.output:
        found = health_json(reply)
        print("\n".join(select([found], args.output, HEALTH_FIELDS)) if args.output else json.dumps(found))
        return 0 if good else 1
    on = coloured()
    for name, value, reasons in (("live", reply.live, reply.stuck), ("ready", reply.ready, reply.waiting)):
        print(f"{name:6} {paint('yes' if value else 'no', 'green' if value else 'red', on)}")
        for reason in reasons:
            print("\n".join(wrapped("       ", reason)))
    for one in reply.zones:
        state = paint(f"{'ready' if one.ready else 'not':5}", "green" if one.ready else "yellow", on)
        print(f"zone   {cut(one.name or one.id, 36):36} {state} {cut(one.reason, 29)}".rstrip())
    return 0 if good else 1


async def ask_log_level(args: argparse.Namespace, stub: CtlStub) -> int:
    reply = await stub.set_log_level(SetLogLevelRequest(args.level))
    if args.json:
        print(json.dumps({"level": args.level, "before": reply.before}))
    else:
        print(f"log level {args.level} (before: {reply.before}); the next reload or restart sets it as configured")
    return 0


async def ask_reload(args: argparse.Namespace, stub: CtlStub) -> int:
    reply = await stub.reload(ReloadRequest())
    if args.json:
        print(json.dumps({"error": reply.error, "applied": list(reply.applied), "needs_restart": list(reply.needs_restart)}))
        return 1 if reply.error else 0
    if reply.error:
        print("\n".join(wrapped("nothing changed: ", reply.error)))
        return 1
    print("\n".join(wrapped("in force now:    ", ", ".join(reply.applied) or "nothing has changed")))
    if reply.needs_restart:
        print("\n".join(wrapped("needs a restart: ", ", ".join(reply.needs_restart) + " (systemctl restart edera-falcod)")))
    return 0


async def ask_version(args: argparse.Namespace, stub: CtlStub) -> int:
    from .version import versions

    reply = await stub.get_status(GetStatusRequest())
    registry = reply.registry
    daemon = {
        "version": reply.daemon.version,
        "frames": f"{registry.major}.{registry.minor}",
        "fields": registry.fields,
        "registry": f"{registry.hash:016x}",
        "core": reply.daemon.core,
    }
    ours = versions()
    consumers = [{"name": one.name, "version": one.version} for one in reply.consumers if one.version]
    if args.json or args.output:
        found = {"ctl": ours, "daemon": daemon, "consumers": consumers}
        print("\n".join(select([found], args.output, VERSION_FIELDS)) if args.output else json.dumps(found))
        return 0
    for name, one in (("ctl", ours), ("daemon", daemon)):
        print(f"{name:9} {one['version']}, {one['core']} core, {one['fields']} fields, registry {one['registry']}, frames {one['frames']}")
    for consumer in consumers:
        print(f"{'consumer':9} {cut(consumer['name'], 30)}: {cut(consumer['version'], 38)}")
    if any(ours[key] != daemon[key] for key in ("version", "registry")):
        print("the daemon is not of this program's release; restart it to bring it up (systemctl restart edera-falcod)")
    return 0
