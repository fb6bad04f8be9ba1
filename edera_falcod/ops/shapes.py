"""The JSON shapes of `ctl`, as docs/operate.md promises them: keys are added, never renamed or taken away. Times are ns since the epoch."""

from __future__ import annotations

from typing import Any, Final

from .proto.ctl import ConsumerStatus, Counter, EderaLink, GetHealthReply, GetStatusReply, GetZoneReply, Process, ZoneStatus

# What -o may name at its top level; dots lead further (counters.received).
ZONE_FIELDS: Final = (
    "id", "name", "state", "reason", "since", "domid", "threads", "fds", "tainted", "last_event_ts", "clock_skew", "counters",
)  # fmt: skip
ZONE_DETAIL_FIELDS: Final = (
    *ZONE_FIELDS, "history", "types", "workloads", "syscalls", "snapshots", "import_ns", "text_bytes", "stream",
)  # fmt: skip
STATUS_FIELDS: Final = ("well", "unwell", "daemon", "edera", "registry", "zones", "consumers", "gone", "own")
HEALTH_FIELDS: Final = ("live", "ready", "stuck", "waiting", "zones")
SYSCALLS_FIELDS: Final = ("choice", "default", "syscalls", "zones", "rules", "problems")
VERSION_FIELDS: Final = ("ctl", "daemon", "consumers")
PROCESS_FIELDS: Final = ("pid", "ppid", "depth", "name", "exepath", "uid", "threads", "fds", "started_at", "args")


def total(counters: list[Counter], name: str) -> int:
    return sum([counter.value for counter in counters if counter.name == name])


def causes(counters: list[Counter], name: str) -> dict[str, int]:
    return {counter.cause: counter.value for counter in counters if counter.name == name and counter.value}


def table(counters: list[Counter]) -> dict[str, Any]:
    """Counters as an object: a number, or an object of numbers by cause."""
    found: dict[str, Any] = {}
    for counter in counters:
        if counter.cause:
            found.setdefault(counter.name, {})[counter.cause] = counter.value
        else:
            found[counter.name] = counter.value
    return found


def zone_json(zone: ZoneStatus) -> dict[str, Any]:
    return {
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
        "counters": table(zone.counters),
    }


def zone_detail_json(reply: GetZoneReply) -> dict[str, Any]:
    """A zone's status with what only `ctl zone` asks for."""
    found = zone_json(reply.zone)
    found["history"] = [{"at": one.at, "event": one.event, "reason": one.reason, "state": one.state} for one in reply.history]
    found["types"] = {one.name: one.value for one in reply.types}
    found["workloads"] = list(reply.workloads)
    found["syscalls"] = list(reply.syscalls)
    found["snapshots"] = reply.snapshots
    found["import_ns"] = reply.import_ns
    found["text_bytes"] = reply.text_bytes
    found["stream"] = {one.name: one.value for one in reply.stream}
    return found


def process_json(one: Process, arguments: bool) -> dict[str, Any]:
    """``args`` only where they were asked for."""
    found: dict[str, Any] = {
        "pid": one.pid,
        "ppid": one.ppid,
        "depth": one.depth,
        "name": one.name,
        "exepath": one.exepath,
        "uid": one.uid,
        "threads": one.threads,
        "fds": one.fds,
        "started_at": one.started_at,
    }
    if arguments:
        found["args"] = list(one.args)
    return found


def consumer_json(one: ConsumerStatus) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "fields": one.fields,
        "connected": one.connected,
        "since": one.since,
        "sent": one.sent,
        "acknowledged": one.acknowledged,
        "waiting": one.waiting,
        "lag": one.lag,
        "counters": table(one.counters),
    }


def health_json(reply: GetHealthReply) -> dict[str, Any]:
    return {
        "live": reply.live,
        "ready": reply.ready,
        "stuck": list(reply.stuck),
        "waiting": list(reply.waiting),
        "zones": [{"id": one.id, "name": one.name, "ready": one.ready, "reason": one.reason} for one in reply.zones],
    }


def status_json(reply: GetStatusReply) -> dict[str, Any]:
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
        "zones": [zone_json(zone) for zone in reply.zones],
        "consumers": [consumer_json(one) for one in reply.consumers],
        "gone": table(reply.gone),
        "own": table(reply.own),
    }
