"""What the daemon is like beside its speed: latency, memory, quiet zones, many zones, many threads, overload, large snapshots."""

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
THREADS: Final = (10, 100, 1000, 10_000)
LARGE: Final = 20_000  # threads of a large snapshot
IDLE_ZONES: Final = 100
OVERLOAD: Final = 3  # times as much as the consumer takes
TAKES: Final = 10_000  # events a second, of that consumer
BUFFER: Final = 16  # MiB that are kept for it


def everything(stand: Callable[[int], Stand], build: Build, runs: int, seconds: float) -> dict[str, Any]:
    """``stand``: makes one with so many events of the capture. ``runs``: of which the best counts. ``seconds``: that a look takes."""
    with stand(20_000) as one:
        found: dict[str, Any] = {
            "latency_ms": {str(rate): min((latency(one, build, rate, seconds) for _ in range(runs)), key=p99) for rate in RATES},
            "idle": idle(one, build, seconds),
            "zones": {str(zones): with_zones(one, build, zones) for zones in ZONES},
            "overload": overload(one, build, seconds),
        }
    found["threads"] = {}
    for threads in THREADS:
        with stand(SLICE) as one:
            found["threads"][str(threads)] = with_threads(one, build, threads)
    found["memory"] = memory(found, stand, build)
    with stand(SLICE) as one:
        found["snapshot"] = snapshot(one, build)
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


def with_threads(stand: Stand, build: Build, threads: int, fds: int = 4) -> dict[str, float]:
    """One zone whose snapshot has so many processes more, with so many open files each."""
    say(f"{threads:,} processes with {fds} files")
    with stand.daemon(build, "edera.snapshot_timeout=5m") as daemon:
        consumer = daemon.consumer()
        start = daemon.memory()
        size = stand.host.ask(do="quiet", threads=threads, fds=fds)["snapshot"]
        time.sleep(2 * SETTLE)
        _settle(daemon)
        quiet = daemon.memory()
        _repeat(stand, daemon, consumer, 1, 1)
        us = _repeat(stand, daemon, consumer, 1, WORK // SLICE)
        return {"cpu_us_per_event": round(us, 2), "quiet_kib": (quiet - start) // 1024, "snapshot_kib": size // 1024}


def _settle(daemon: Daemon) -> None:
    """Until the daemon has nothing to do."""
    last = -1.0
    while (now := daemon.cpu()) - last > 0.05:
        last = now
        time.sleep(0.5)


def memory(found: dict[str, Any], stand: Callable[[int], Stand], build: Build) -> dict[str, float]:
    """KiB that a quiet zone, one more process, and one more open file take."""
    low, high = str(ZONES[0]), str(ZONES[-1])
    zones = found["zones"]
    per_zone = (zones[high]["quiet_kib"] - zones[low]["quiet_kib"]) / (ZONES[-1] - ZONES[0])
    threads = found["threads"]
    per_thread = (threads[str(THREADS[-1])]["quiet_kib"] - threads[str(THREADS[0])]["quiet_kib"]) / (THREADS[-1] - THREADS[0])
    with stand(SLICE) as one:
        many = with_threads(one, build, 1000, fds=60)["quiet_kib"]
    per_fd = (many - threads["1000"]["quiet_kib"]) / (1000 * 56)
    return {"zone_kib": round(per_zone, 1), "thread_with_4_fds_kib": round(per_thread, 2), "fd_kib": round(per_fd, 3)}


def overload(stand: Stand, build: Build, seconds: float) -> dict[str, Any]:
    """More events than the consumer takes: what the daemon's memory is when the buffer is full, and later."""
    say(f"{OVERLOAD} times what the consumer takes")
    with stand.daemon(build, f"buffer.size={BUFFER}MiB") as daemon:
        daemon.consumer(rate=TAKES)
        stand.host.ask(do="quiet")
        stand.host.tell(do="rate", per_second=OVERLOAD * TAKES, seconds=5 + 3 * seconds)
        time.sleep(5)
        samples = []
        end = time.monotonic() + 3 * seconds
        while time.monotonic() < end:
            samples.append(daemon.memory() >> 10)
            time.sleep(0.25)
        stand.host.answer()
        third = len(samples) // 3
        return {"buffer_mib": BUFFER, "early_kib": max(samples[:third]), "late_kib": max(samples[-third:])}


def snapshot(stand: Stand, build: Build) -> dict[str, Any]:
    """The longest time, ms of CPU, that a large snapshot keeps the daemon's loop from anything else: bench/stalls.py."""
    say(f"a snapshot of {LARGE:,} processes")
    daemon = Talker(build.command("bench.stalls", str(stand.folder / "edera.sock"), str(stand.folder)), build, build.folder)
    try:
        size = stand.host.ask(do="quiet", threads=LARGE, fds=3)["snapshot"]
        found = daemon.ask(threads=LARGE)
        return {"processes": LARGE, "mib": round(size / (1 << 20), 1), **found}
    finally:
        daemon.close()
        stand.host.ask(do="remove")
