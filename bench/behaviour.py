"""What the daemon is like beside its speed: latency, quiet zones, many zones and the memory that they take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from .builds import Build
from .processes import BenchError, Daemon, Stand, Talker, say

RATES: Final = (1_000, 10_000, 50_000)  # events a second
SETTLE: Final = 1.0  # s
LONGEST: Final = 120.0  # s that events may take to come
SLICE: Final = 200  # events that zones repeat where it is the number of zones or threads that is looked at
WORK: Final = 100_000  # events in all, there
ZONES: Final = (1, 10, 100, 1000)
IDLE_ZONES: Final = 100


def everything(stand: Callable[[int], Stand], build: Build, runs: int, seconds: float) -> dict[str, Any]:
    """``stand``: makes one with so many events of the capture. ``runs``: of which the best counts. ``seconds``: that a look takes."""
    with stand(20_000) as one:
        found: dict[str, Any] = {
            "latency_ms": {str(rate): min((latency(one, build, rate, seconds) for _ in range(runs)), key=p99) for rate in RATES},
            "idle": idle(one, build, seconds),
            "zones": {str(zones): with_zones(one, build, zones) for zones in ZONES},
        }
    return found


def p99(figures: dict[str, float]) -> float:
    return figures["p99"]


def latency(stand: Stand, build: Build, rate: int, seconds: float) -> dict[str, float]:
    """From the moment at which the host has an event to that at which a consumer has it, ms."""
    say(f"latency at {rate:,} events/s")
    with stand.daemon(build) as daemon:
        consumer = daemon.consumer()
        stand.host.ask(do="quiet")
        stand.host.ask(do="rate", per_second=rate, seconds=0.5)
        time.sleep(SETTLE)
        done = consumer.ask(clear=True)["events"]
        before = daemon.cpu()
        sent = stand.host.ask(do="rate", per_second=rate, seconds=seconds)["events"]
        end = time.monotonic() + LONGEST
        while (found := consumer.ask())["events"] - done < sent:
            if time.monotonic() > end:
                raise BenchError(f"{found['events'] - done} of {sent} events came")
            time.sleep(0.2)
        cpu = daemon.cpu() - before
        return {
            **{name: round(found[name], 3) for name in ("p50", "p90", "p99", "p99.9", "max")},
            "cpu_percent": round(100 * cpu / seconds, 1),
        }


def idle(stand: Stand, build: Build, seconds: float) -> dict[str, float]:
    say(f"{IDLE_ZONES} quiet zones")
    with stand.daemon(build) as daemon:
        daemon.consumer()
        stand.host.ask(do="quiet", zones=IDLE_ZONES)
        time.sleep(3 * SETTLE)
        before = daemon.cpu()
        time.sleep(2 * seconds)
        return {"zones": IDLE_ZONES, "cpu_percent": round(100 * (daemon.cpu() - before) / (2 * seconds), 2)}


def _repeat(stand: Stand, daemon: Daemon, consumer: Talker, zones: int, times: int) -> float:
    """CPU us an event."""
    done = consumer.ask()["events"]
    expected = zones * times * SLICE
    before = daemon.cpu()
    stand.host.ask(do="repeat", first=0, events=SLICE, times=times)
    end = time.monotonic() + LONGEST
    while (found := consumer.ask(clear=True))["events"] - done < expected:
        if time.monotonic() > end:
            raise BenchError(f"{found['events'] - done} of {expected} events came")
        time.sleep(0.05)
    return 1e6 * (daemon.cpu() - before) / expected


def with_zones(stand: Stand, build: Build, zones: int) -> dict[str, float]:
    """The same events from so many zones at once, and what the daemon's memory is then."""
    say(f"{zones} zones")
    with stand.daemon(build, "buffer.size=1GiB") as daemon:
        consumer = daemon.consumer()
        start = daemon.memory()
        stand.host.ask(do="quiet", zones=zones)
        time.sleep(SETTLE)
        quiet = daemon.memory()
        _repeat(stand, daemon, consumer, zones, 1)
        us = _repeat(stand, daemon, consumer, zones, max(1, WORK // (zones * SLICE)))
        return {"cpu_us_per_event": round(us, 2), "quiet_kib": (quiet - start) // 1024, "busy_kib": (daemon.memory() - start) // 1024}
