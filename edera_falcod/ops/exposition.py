"""Prometheus' text format (0.0.4), and labels for zones that stay bounded.

Own code instead of prometheus_client: what is exposed is read from counters that the daemon keeps anyway, at the moment of a scrape; the
library wants to keep counters of its own, brings a thread and an HTTP server, and would be a dependency of the wheel for what is
forty lines here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "edera_falcod_"
MAX_ZONES: Final = 100  # zones with a label of their own at a time; each has some thirty series
OTHER: Final = "other"  # the label of all further ones
MAX_LABEL: Final = 128  # characters of a label's value

Source = TypeVar("Source")
Labels = tuple[str, ...]


@dataclass(frozen=True)
class Metric(Generic[Source]):
    """One declared metric. ``read`` yields label values, in the order of ``labels``, and the value. Where the first label is "zone" its
    value is the number of the zone's account; ``ZoneLabels`` makes a name of it."""

    name: str  # without PREFIX, unless it is one of the names that all processes share
    kind: str  # counter, gauge, histogram
    help: str
    labels: Labels
    read: Callable[[Source], Iterable[tuple[Labels, float]]]
    shared: bool = False

    @property
    def full(self) -> str:
        return self.name if self.shared else PREFIX + self.name


class Histogram:
    """Counts by upper bound. ``bounds`` ascend; what is above the last is counted all the same."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        self.sum += value * count
        for index, bound in enumerate(self.bounds):
            if value <= bound:
                self.counts[index] += count
                return
        self.counts[-1] += count


class ZoneLabels:
    """Which zone has which label. A zone keeps the label that it was first shown with: its name, its id where that name is taken, or OTHER
    where MAX_ZONES have one. Counters of the others are added up by what they grew between scrapes, so that OTHER never falls when one
    of them goes."""

    def __init__(self, limit: int = MAX_ZONES) -> None:
        self._limit = limit
        self._labels: dict[int, str] = {}
        self._last: dict[tuple[str, int, Labels], float] = {}
        self._sums: dict[tuple[str, Labels], float] = {}

    def update(self, zones: Iterable[tuple[int, str, str]]) -> None:
        """These zones are there now: number, name, id."""
        there = {index: (name, id_) for index, name, id_ in zones}
        for index in self._labels.keys() - there.keys():
            del self._labels[index]
        self._last = {key: value for key, value in self._last.items() if key[1] in there}
        taken = {label for label in self._labels.values() if label != OTHER}
        for index, (name, id_) in there.items():
            if index in self._labels:
                continue
            label = name[:MAX_LABEL] if name and name != OTHER else id_[:MAX_LABEL]
            if label in taken:
                label = id_[:MAX_LABEL]
            if len(taken) >= self._limit or label in taken:
                label = OTHER
            else:
                taken.add(label)
            self._labels[index] = label

    def name(self, metric: Metric[Any], samples: Iterable[tuple[Labels, float]]) -> list[tuple[Labels, float]]:
        """The samples with labels instead of numbers."""
        found: list[tuple[Labels, float]] = []
        others: dict[Labels, float] = {}
        for labels, value in samples:
            index = int(labels[0])
            label = self._labels.get(index)
            if label is None:
                continue
            if label != OTHER:
                found.append(((label, *labels[1:]), value))
            elif metric.kind == "counter":
                key = (metric.name, index, labels[1:])
                total = (metric.name, labels[1:])
                self._sums[total] = self._sums.get(total, 0) + max(0, value - self._last.get(key, 0))
                self._last[key] = value
            else:
                others[labels[1:]] = others.get(labels[1:], 0) + value
        if metric.kind == "counter":
            others = {labels: value for (name, labels), value in self._sums.items() if name == metric.name}
        return found + [((OTHER, *labels), value) for labels, value in others.items()]


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))


def _line(name: str, names: Iterable[str], values: Iterable[str], value: float) -> str:
    pairs = ",".join([f'{label}="{_escape(text[:MAX_LABEL])}"' for label, text in zip(names, values, strict=True)])
    return f"{name}{{{pairs}}} {_number(value)}\n" if pairs else f"{name} {_number(value)}\n"


def histogram_samples(histogram: Histogram) -> list[tuple[Labels, float]]:
    """As a metric of kind histogram reads them: the bounds' cumulated counts, then the sum under "sum"."""
    found: list[tuple[Labels, float]] = []
    total = 0
    for bound, count in zip((*histogram.bounds, math.inf), histogram.counts, strict=True):
        total += count
        found.append(((_number(bound),), total))
    found.append((("sum",), histogram.sum))
    return found


def expose(metrics: Iterable[Metric[Source]], source: Source, zones: ZoneLabels) -> str:
    """All metrics with their values. A metric without a sample is declared all the same."""
    out: list[str] = []
    for metric in metrics:
        name = metric.full
        out.append(f"# HELP {name} {_escape(metric.help)}\n# TYPE {name} {metric.kind}\n")
        samples = metric.read(source)
        if metric.kind == "histogram":
            for labels, value in samples:
                if labels[-1] == "sum":
                    out.append(_line(f"{name}_sum", metric.labels, labels[:-1], value))
                else:
                    out.append(_line(f"{name}_bucket", (*metric.labels, "le"), labels, value))
                    if labels[-1] == "+Inf":
                        out.append(_line(f"{name}_count", metric.labels, labels[:-1], value))
            continue
        if metric.labels[:1] == ("zone",):
            samples = zones.name(metric, samples)
        out += [_line(name, metric.labels, labels, value) for labels, value in samples]
    return "".join(out)
