"""The daemon at one glance: what `ctl status` shows, and whether all is well. Reads the counters that everything else reads."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any, Final

from .. import __version__
from .._pure import compiled
from ..edera.lifecycle import State
from ..edera.zones import LinkState, Zones
from ..falco import frames
from ..falco.accounting import Share, ZoneAccount
from ..falco.ring import DAEMON, GONE, Consumer, Ring
from ..falco.server import Server
from . import encode
from .encode import Count
from .proto.ctl import ConsumerStatus, Counter, DaemonStatus, EderaLink, EderaStatus, GetStatusReply, RegistryStatus, ZoneStatus

GRACE: Final = 10.0  # seconds that a link, a zone or a consumer may be away before that is unwell: restarts take no longer
RECENT: Final = 60.0  # seconds that a loss is news

# What state counts beside what it has refused, given up, or found wrong.
ORDINARY: Final = frozenset({"threads_added", "threads_removed", "snapshots", "placeholders"})

_LINKS: Final[dict[LinkState, EderaLink]] = {
    LinkState.CONNECTING: EderaLink(EderaLink.CONNECTING),
    LinkState.UP: EderaLink(EderaLink.UP),
    LinkState.WAITING: EderaLink(EderaLink.WAITING),
}
_SETTLING: Final = (State.DISCOVERED, State.OPENING, State.SEEDING, State.RESEEDING)


@dataclass
class ZoneFacts:
    """What the pipeline knows of a zone. ``rate``: events a second, of late. ``skew``: ns that its clock is ahead of ours."""

    account: ZoneAccount
    threads: int = 0
    fds: int = 0
    tainted: bool = False
    rate: float = 0.0
    skew: int | None = None
    refused: dict[str, int] = field(default_factory=dict)  # what state has refused or evicted, by name


@dataclass
class View:
    """Everything that status reads. ``lost_at``: monotonic seconds of the last drop, by consumer."""

    zones: Zones
    ring: Ring
    server: Server
    facts: dict[str, ZoneFacts]
    lost_at: dict[str, float]
    started_at: float
    host_uuid: str = ""
    protect_version: str = ""
    stuck: list[str] = field(default_factory=list)  # what makes no progress: health.py
    problems: list[str] = field(default_factory=list)  # of the choice of system calls: syscallset.py


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _words(seconds: float) -> str:
    return f"{int(seconds)} s" if seconds < 120 else f"{int(seconds / 60)} min"


def unwell(view: View) -> list[str]:
    """One short sentence for each thing that an operator should look at; empty when all is well."""
    now = time.time()
    found: list[str] = []
    zones = view.zones
    if zones.link is not LinkState.UP and now - max(zones.link_since, view.started_at) > GRACE:
        found.append(f"no link to the Edera daemon for {_words(now - zones.link_since)}: {zones.link_reason or 'connecting'}")
    for zone_id, stream in zones.streams.items():
        name = stream.zone.name or zone_id
        if stream.state is State.QUARANTINED:
            found.append(f"zone {name} is in quarantine: {stream.reason}")
        elif stream.state is State.BACKOFF and now - stream.since > GRACE:
            found.append(f"zone {name} is backing off: {stream.reason}")
        elif stream.state in _SETTLING and now - stream.since > 3 * GRACE:
            found.append(f"zone {name} has been {stream.state.value} for {_words(now - stream.since)}")
    found += [f"the counters do not add up (a bug): {text}" for text in view.ring.unbalanced()[:3]]
    found += view.stuck
    monotonic = time.monotonic()
    for consumer in view.ring.consumers.values():
        if not consumer.attached and consumer.declared and now - view.started_at > GRACE and monotonic - consumer.detached_at > GRACE:
            found.append(f"consumer {consumer.name} is not connected")
        if not consumer.ephemeral and monotonic - view.lost_at.get(consumer.name, -RECENT) < RECENT:
            found.append(f"events for consumer {consumer.name} were dropped in the last minute")
    found += view.problems
    return found


def _counters(account: ZoneAccount, facts: ZoneFacts | None) -> list[Count]:
    counters: list[Count] = [
        ("received", "", account.received),
        ("lined", "", account.lined),
        ("entered", "", account.entered),
        ("notices", "", account.notices),
        ("bytes", "", account.bytes),
        ("gaps", "", account.gaps),
    ]
    counters += [("undecodable", cause, count) for cause, count in sorted(account.undecodable.items())]
    if facts is not None:
        counters.append(("rate", "", round(facts.rate)))
        counters += [("refused", cause, count) for cause, count in sorted(facts.refused.items()) if count and cause not in ORDINARY]
    return counters


def _dropped(ring: Ring, index: int) -> list[Count]:
    """What consumers that are meant to last did not get of a zone, by cause."""
    sums: dict[str, int] = {}
    for consumer in ring.consumers.values():
        share = consumer.shares.get(index)
        if share is not None and not consumer.ephemeral:
            for cause, count in share.dropped.items():
                sums[cause] = sums.get(cause, 0) + count
    return [("dropped", cause, count) for cause, count in sorted(sums.items()) if count]


def _messages(counters: list[Count]) -> list[Counter]:
    return [Counter(name=name, cause=cause, value=value) for name, cause, value in counters]


def zone_facts(view: View, zone_id: str) -> dict[str, Any]:
    """What a zone's line says, by the names of ZoneStatus; ``counters`` as tuples."""
    stream = view.zones.streams[zone_id]
    facts = view.facts.get(zone_id)
    counters = _counters(facts.account, facts) + _dropped(view.ring, facts.account.index) if facts is not None else []
    counters += [("stream", name, count) for name, count in sorted(stream.counters.items()) if name.startswith("fault.")]
    return {
        "id": zone_id,
        "name": stream.zone.name,
        "state": stream.state.value,
        "reason": stream.reason,
        "since": _ns(stream.since),
        "domid": stream.zone.domid,
        "threads": facts.threads if facts is not None else 0,
        "fds": facts.fds if facts is not None else 0,
        "tainted": facts is not None and facts.tainted,
        "last_event_ts": facts.account.last_ts if facts is not None else 0,
        "clock_skew": facts.skew or 0 if facts is not None else 0,
        "counters": counters,
    }


def zone_status(view: View, zone_id: str) -> ZoneStatus:
    """One zone's line."""
    found = zone_facts(view, zone_id)
    return ZoneStatus(**{**found, "counters": _messages(found["counters"])})


def _consumer(view: View, consumer: Consumer) -> ConsumerStatus:
    total = Share(0)
    for share in consumer.shares.values():
        total.fold(share)
    link = view.server.link(consumer)
    counters = [
        Counter(name="before", value=total.before),
        Counter(name="unacknowledged", value=total.unacknowledged),
        Counter(name="redelivered", value=total.redelivered),
        Counter(name="bytes", value=view.ring.charged(consumer)),
        Counter(name="budget", value=consumer.budget),
        Counter(name="connections", value=consumer.connections),
    ]
    counters += [Counter(name="dropped", cause=cause, value=count) for cause, count in sorted(total.dropped.items())]
    return ConsumerStatus(
        name=consumer.name,
        version=link.hello.software if link is not None and link.hello is not None else "",
        connected=consumer.attached,
        since=_ns(link.since) if link is not None else 0,
        sent=total.acknowledged + total.unacknowledged,
        acknowledged=total.acknowledged,
        waiting=total.waiting + view.ring.lined,
        counters=counters,
        fields=link.hello.fields if link is not None and link.hello is not None else 0,
        lag=_ns(view.ring.lag(consumer, time.monotonic())),
    )


def status(view: View) -> GetStatusReply:
    """All of it, to be sent: the zones are encoded already."""
    ring, zones = view.ring, view.zones
    registry = view.server.registry
    gone = ZoneAccount(GONE, "", "")
    for index, account in ring.zones.items():
        if account.gone and index != DAEMON:
            gone.received += account.received
            gone.lined += account.lined
            gone.entered += account.entered
            gone.notices += account.notices
            gone.bytes += account.bytes
            gone.gaps += account.gaps
            for cause, count in account.undecodable.items():
                gone.refuse(cause, count)
    return GetStatusReply(
        daemon=DaemonStatus(
            version=__version__,
            pid=os.getpid(),
            started_at=_ns(view.started_at),
            core="compiled" if compiled() else "interpreted",
            unwell=unwell(view),
        ),
        edera=EderaStatus(
            socket=zones.path,
            link=_LINKS[zones.link],
            reason=zones.link_reason if zones.link is not LinkState.UP else "",
            since=_ns(zones.link_since),
            tries=zones.link_tries,
            host_uuid=view.host_uuid,
            protect_version=view.protect_version,
        ),
        registry=RegistryStatus(major=frames.MAJOR, minor=frames.MINOR, fields=registry.fields, hash=registry.prefix_hash(registry.fields)),
        zones=[encode.zone(**zone_facts(view, zone_id)) for zone_id in view.zones.streams],
        consumers=[_consumer(view, consumer) for consumer in ring.consumers.values()],
        gone=_messages(_counters(gone, None)),
        own=_messages(_counters(ring.zones[DAEMON], None)),
    )
