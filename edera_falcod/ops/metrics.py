"""Every metric, declared once. The endpoint, docs/metrics.md and the tests of examples/ read this table; values come from the counters that
`ctl status` reads too."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from .. import __version__
from .._pure import compiled
from ..edera.lifecycle import State
from ..edera.zones import LinkState
from ..edera.zonestream import ZoneStream
from ..falco import frames
from ..falco.accounting import HOP, ZoneAccount
from ..falco.notices import Notices
from ..falco.ring import DAEMON, Consumer
from .exposition import CONTENT_TYPE, MAX_ZONES, Histogram, Labels, Metric, ZoneLabels, expose, histogram_samples
from .operations import Pipeline
from .proto.ctl import GetHealthReply
from .status import ORDINARY, View

__all__ = ["CONTENT_TYPE", "METRICS", "Metric", "Scrape", "Source", "reference"]

# Seconds. A batch leaves within a millisecond or two of its last event; what is above a second waited for its consumer.
LATENCY_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
DECODE: Final = "decode"  # the hop before the queues: events that could not be read
EPHEMERAL: Final = "(ephemeral)"  # the label of all consumers such as tail: their names have process ids
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

Samples = Iterable[tuple[Labels, float]]


@dataclass
class Source:
    """What a scrape reads."""

    view: View
    pipelines: Mapping[str, Pipeline]
    health: GetHealthReply
    latency: Histogram
    notices: Notices
    handed: int

    def zones(self) -> Iterator[ZoneAccount]:
        """Accounts of zones that live."""
        for pipeline in self.pipelines.values():
            yield pipeline.account


def one(value: float) -> Samples:
    return [((), value)]


def _build(source: Source) -> Samples:
    registry = source.view.server.registry
    labels = (
        __version__,
        "compiled" if compiled() else "interpreted",
        f"{frames.MAJOR}.{frames.MINOR}",
        f"{registry.prefix_hash(registry.fields):016x}",
    )
    return [(labels, 1)]


def _states(source: Source) -> Samples:
    counts = dict.fromkeys(State, 0)
    for stream in source.view.zones.streams.values():
        counts[stream.state] += 1
    return [((state.value,), count) for state, count in counts.items()]


def _link_faults(source: Source) -> Samples:
    counters = source.view.zones.counters
    return [((name.removeprefix("fault."),), value) for name, value in sorted(counters.items()) if name.startswith("fault.")]


def _all(source: Source) -> Iterable[ZoneAccount]:
    """Accounts of all zones, also of those that are gone, so that sums never fall."""
    return [account for index, account in source.view.ring.zones.items() if index != DAEMON]


def _received(source: Source) -> Samples:
    return one(sum([account.received - account.notices for account in _all(source)]))


def _by_zone(source: Source) -> Samples:
    return [((str(account.index),), account.received - account.notices) for account in source.zones()]


def _undecodable(source: Source) -> Samples:
    return [((str(account.index), cause), count) for account in source.zones() for cause, count in sorted(account.undecodable.items())]


def _refused(source: Source) -> Samples:
    return [
        ((str(pipeline.account.index), name), count)
        for pipeline in source.pipelines.values()
        for name, count in pipeline.state.counters.items()
        if count and name not in ORDINARY
    ]


def _streams(source: Source) -> Iterator[tuple[str, ZoneStream]]:
    """The streams of zones that live, with the zones' labels."""
    for zone_id, pipeline in source.pipelines.items():
        stream = source.view.zones.streams.get(zone_id)
        if stream is not None:
            yield str(pipeline.account.index), stream


def _stream_faults(source: Source) -> Samples:
    return [
        ((zone, name.removeprefix("fault.")), count)
        for zone, stream in _streams(source)
        for name, count in sorted(stream.counters.items())
        if name.startswith("fault.")
    ]


def _zone_state(source: Source) -> Samples:
    return [((zone,), stream.state in (State.LIVE, State.RESEEDING)) for zone, stream in _streams(source)]


def _skew(source: Source) -> Samples:
    return [((str(f.account.index),), f.skew / 1e9) for f in source.view.facts.values() if f.skew is not None]


def _zone_drops(source: Source) -> Samples:
    """Of consumers that are no passers-by, summed: with the consumer as a label there would be too many series."""
    sums: dict[tuple[str, str], int] = {}
    for account in source.zones():
        for consumer in source.view.ring.consumers.values():
            share = consumer.shares.get(account.index)
            if share is not None and not consumer.ephemeral:
                for cause, count in share.dropped.items():
                    key = (str(account.index), cause)
                    sums[key] = sums.get(key, 0) + count
    return list(sums.items())


def _name(consumer: Consumer) -> str:
    return EPHEMERAL if consumer.ephemeral else consumer.name


def _dropped(source: Source) -> Samples:
    sums: dict[Labels, int] = {}
    for account in _all(source):
        for cause, count in account.undecodable.items():
            sums[DECODE, cause, ""] = sums.get((DECODE, cause, ""), 0) + count
    for consumer in source.view.ring.consumers.values():
        if not consumer.ephemeral:
            for share in consumer.shares.values():
                for cause, count in share.dropped.items():
                    key = (HOP, cause, consumer.name)
                    sums[key] = sums.get(key, 0) + count
    if source.view.ring.forgotten:
        sums[HOP, "consumer_gone", ""] = source.view.ring.forgotten
    return sorted(sums.items())


def _consumer(name: str) -> Metric[Source]:
    """A counter or gauge that is a sum over a consumer's shares."""
    kind, unit, text = _SHARES[name]

    def lined(source: Source) -> int:
        return source.view.ring.lined if name == "waiting" else 0

    def read(source: Source) -> Samples:
        return [
            ((consumer.name,), sum([getattr(share, name) for share in consumer.shares.values()]) + lined(source))
            for consumer in source.view.ring.consumers.values()
            if not consumer.ephemeral
        ]

    return Metric(f"consumer_events_{name}{unit}", kind, text, ("consumer",), read)


_SHARES: Final = {
    "acknowledged": ("counter", "_total", "Events that the consumer has worked through."),
    "redelivered": ("counter", "_total", "Deliveries beyond an event's first, after the consumer was away."),
    "waiting": ("gauge", "", "Events that the consumer has not been sent yet."),
    "unacknowledged": ("gauge", "", "Events that the consumer was sent and has not acknowledged."),
}


def _queues(source: Source) -> Samples:
    ring = source.view.ring
    return [((consumer.name,), ring.charged(consumer)) for consumer in ring.consumers.values() if not consumer.ephemeral]


def _budgets(source: Source) -> Samples:
    return [((consumer.name,), consumer.budget) for consumer in source.view.ring.consumers.values() if not consumer.ephemeral]


def _connections(source: Source) -> Samples:
    return [((consumer.name,), consumer.connections) for consumer in source.view.ring.consumers.values() if not consumer.ephemeral]


def _attached(source: Source) -> Samples:
    sums: dict[Labels, int] = {}
    for consumer in source.view.ring.consumers.values():
        key = (_name(consumer),)
        sums[key] = sums.get(key, 0) + consumer.attached
    return list(sums.items())


def _cpu(source: Source) -> Samples:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return one(used.ru_utime + used.ru_stime)


def _memory(source: Source) -> Samples:
    try:
        with open("/proc/self/statm", "rb") as file:
            return one(int(file.read().split()[1]) * _PAGE)
    except (OSError, ValueError, IndexError):
        return []


def _files(source: Source) -> Samples:
    try:
        return one(len(os.listdir("/proc/self/fd")))
    except OSError:
        return []


def _tasks(source: Source) -> Samples:
    try:
        return one(len(asyncio.all_tasks()))
    except RuntimeError:  # no loop runs here
        return []


Z: Final = ("zone",)
C: Final = ("consumer",)

METRICS: Final[tuple[Metric[Source], ...]] = (
    Metric("build_info", "gauge", "Always 1; what runs is in the labels.", ("version", "core", "frames", "registry"), _build),
    Metric("live", "gauge", "1 while the daemon makes progress (as /livez).", (), lambda s: one(s.health.live)),
    Metric("ready", "gauge", "1 while the Edera daemon answers and the zones are learned (as /readyz).", (), lambda s: one(s.health.ready)),
    # The link to the Edera daemon
    Metric("edera_link_up", "gauge", "1 while the Edera daemon answers.", (), lambda s: one(s.view.zones.link is LinkState.UP)),
    Metric("edera_link_faults_total", "counter", "What went wrong in discovering zones, by cause.", ("cause",), _link_faults),
    Metric("edera_lists_total", "counter", "Lists of zones that were read.", (), lambda s: one(s.view.zones.counters["lists"])),
    # Zones together
    Metric("zones", "gauge", "Zones by the state of their streams.", ("state",), _states),
    Metric("zones_found_total", "counter", "Zones that were discovered.", (), lambda s: one(s.view.zones.counters["zones_found"])),
    Metric("zones_gone_total", "counter", "Zones that went.", (), lambda s: one(s.view.zones.counters["zones_gone"])),
    Metric("events_received_total", "counter", "Events that all zones sent, those that are gone too.", (), _received),
    Metric("received_bytes_total", "counter", "Bytes of these events.", (), lambda s: one(sum([a.bytes for a in _all(s)]))),
    Metric("gaps_total", "counter", "Losses of unknown number before us: broken streams, drops in zones.", (), lambda s: one(
        sum([a.gaps for a in _all(s)]))),
    Metric("events_dropped_total", "counter", "Events that a consumer did not get: hop decode, they could not be read (for all consumers); "
           "hop daemon, its queue had no room or they became too old.", ("hop", "cause", "consumer"), _dropped),
    Metric("notices_total", "counter", "Notices that were made for consumers.", (), lambda s: one(s.notices.made)),
    Metric("handed_over_events_total", "counter", "Events that the daemon before had left for consumers.", (), lambda s: one(s.handed)),
    # Each zone
    Metric("zone_live", "gauge", "1 while a zone's processes and files are known.", Z, _zone_state),
    Metric("zone_tainted", "gauge", "1 from a known loss to the next snapshot.", Z, lambda s: [
        ((str(f.account.index),), f.tainted) for f in s.view.facts.values()]),
    Metric("zone_events_received_total", "counter", "Events that the zone sent.", Z, _by_zone),
    Metric("zone_received_bytes_total", "counter", "Bytes of these events.", Z, lambda s: [
        ((str(a.index),), a.bytes) for a in s.zones()]),
    Metric("zone_events_undecodable_total", "counter", "Events of the zone that could not be read.", ("zone", "cause"), _undecodable),
    Metric("zone_events_dropped_total", "counter", "Events of the zone that did not reach a consumer, summed over consumers.",
           ("zone", "cause"), _zone_drops),
    Metric("zone_gaps_total", "counter", "Losses of unknown number in or before the zone's stream.", Z, lambda s: [
        ((str(a.index),), a.gaps) for a in s.zones()]),
    Metric("zone_stream_faults_total", "counter", "What was wrong with the zone's stream, by cause.", ("zone", "cause"), _stream_faults),
    Metric("zone_state_refused_total", "counter", "What was not kept of the zone, or evicted, by the limit that was met.", ("zone", "what"),
           _refused),
    Metric("zone_snapshots_total", "counter", "Snapshots that were imported.", Z, lambda s: [
        ((str(p.account.index),), p.imported) for p in s.pipelines.values()]),
    Metric("zone_snapshot_import_seconds", "gauge", "What the last one took.", Z, lambda s: [
        ((str(p.account.index),), p.import_time) for p in s.pipelines.values()]),
    Metric("zone_threads", "gauge", "Threads that are known.", Z, lambda s: [
        ((str(f.account.index),), f.threads) for f in s.view.facts.values()]),
    Metric("zone_files", "gauge", "Open files that are known.", Z, lambda s: [
        ((str(f.account.index),), f.fds) for f in s.view.facts.values()]),
    Metric("zone_clock_skew_seconds", "gauge", "How far the zone's clock is ahead; below 0: behind, or its events take so long.", Z, _skew),
    # Consumers
    Metric("consumer_connected", "gauge", "1 while the consumer is connected; of passing ones such as tail their number.", C, _attached),
    *[_consumer(name) for name in _SHARES],
    Metric("consumer_queue_bytes", "gauge", "What is kept for the consumer.", C, _queues),
    Metric("consumer_queue_budget_bytes", "gauge", "What may be kept for it (buffer.size).", C, _budgets),
    Metric("consumer_connections_total", "counter", "How often it has connected.", C, _connections),
    Metric("consumers_refused_total", "counter", "Connections that were refused, by code.", ("code",), lambda s: [
        ((code.lower(),), count) for code, count in s.view.server.refused.items()]),
    Metric("consumer_protocol_errors_total", "counter", "Connections that were closed for what came on them.", (), lambda s: one(
        s.view.server.broken)),
    Metric("delivery_latency_seconds", "histogram", "From an event's time, by the zone's clock, to its handing to a consumer's socket. "
           "Every event of a batch counts as its oldest; redeliveries are left out.", (), lambda s: histogram_samples(s.latency)),
    # The process, by the names that all exporters use
    Metric("tasks", "gauge", "Tasks of the daemon's event loop: a few, and one or two for each zone and connection.", (), _tasks),
    Metric("process_start_time_seconds", "gauge", "When the daemon started, since the epoch.", (), lambda s: one(
        s.view.started_at), True),
    Metric("process_cpu_seconds_total", "counter", "CPU time, user and system.", (), _cpu, True),
    Metric("process_resident_memory_bytes", "gauge", "Resident memory.", (), _memory, True),
    Metric("process_open_fds", "gauge", "Open descriptors.", (), _files, True),
)  # fmt: skip


class Scrape:
    """Keeps what has to be remembered between scrapes."""

    def __init__(self) -> None:
        self.labels = ZoneLabels()
        self.latency = Histogram(LATENCY_BOUNDS)

    def delivered(self, ts: int, count: int) -> None:
        """``count`` events were sent, the oldest of which has the time ``ts`` (ns)."""
        self.latency.observe(max(0.0, time.time() - ts / 1e9), count)

    def text(self, source: Source) -> str:
        self.labels.update([(account.index, account.name, account.id) for account in source.zones()])
        return expose(METRICS, source, self.labels)


def reference() -> str:
    """docs/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "<!-- Made by tools/generate_docs.py from edera_falcod/ops/metrics.py: run `make generate`. -->",
        "",
        "`metrics.listen` switches the endpoint on: `unix:/run/edera-falcod/metrics.sock`, or a loopback address such as `127.0.0.1:9469`.",
        "`/metrics` is in Prometheus' text format; beside it are `/livez` and `/readyz` (200 or 503, with the reasons).",
        "",
        f"The label `zone` is a zone's name (its id where two zones share a name). At most {MAX_ZONES} zones at a time have one of",
        "their own; what further zones count is added up as `other`. Series of a zone end with it; totals go on.",
        f"Consumers such as `tail` that only pass by are not told apart: `{EPHEMERAL}`.",
        "",
        "| Metric | Type | Labels | Meaning |",
        "|---|---|---|---|",
    ]
    for metric in METRICS:
        lines.append(f"| `{metric.full}` | {metric.kind} | {', '.join(metric.labels)} | {metric.help} |")
    lines += [
        "",
        "Alert rules and a dashboard that use them: `examples/prometheus-alerts.yaml`, `examples/grafana-dashboard.json`.",
    ]
    return "\n".join(lines) + "\n"
