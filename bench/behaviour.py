"""What the daemon is like beside its speed: latency, quiet zones, many zones and threads and the memory that they take, more than the
consumer takes, large snapshots, and what `ctl` takes to answer at full load."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any, Final

from edera_falcod.ops.client import connected
from edera_falcod.ops.proto.ctl import GetStatusRequest

from .builds import Build
from .processes import BenchError, Daemon, Stand, Talker, say

RATES: Final = (1_000, 10_000, 50_000)  # events a second
SETTLE: Final = 1.0  # s
LONGEST: Final = 120.0  # s that events may take to come
SLICE: Final = 200  # events that zones repeat where it is the number of zones or threads that is looked at
WORK: Final = 100_000  # events in all, there
ZONES: Final = (1, 10, 100, 1000)
IDLE_ZONES: Final = 100
IDLE_SETTLE: Final = 12.0  # s that zones have been live until their first lists have been read, and read again unchanged
IDLE_TIME: Final = 20.0  # s: several rounds of what is done now and then, and many ticks of CPU time
THREADS: Final = (100, 1_000, 10_000)  # of a zone
FDS: Final = 40  # of each of the most threads, where files are looked at
TAKEN: Final = 5_000  # events a second that a slow consumer takes
OVERLOAD: Final = 3  # times as many are sent
OVERLOAD_TIME: Final = 15.0  # s
OVERLOAD_BUFFER: Final = 16 << 20  # bytes: full after two seconds
SNAPSHOT_RATE: Final = 5 << 20  # bytes a second at which snapshots are imported at least
BUSY_ZONES: Final = 4  # which send as fast as they can
CTL_CALLS: Final = 100
CTL_COMMANDS: Final = 15
CTL_PAUSE: Final = 0.05  # s between questions
LARGE_THREADS: Final = 32_000  # of a snapshot that is nearly as large as any may be


def everything(stand: Callable[[int], Stand], build: Build, runs: int, seconds: float) -> dict[str, Any]:
    """``stand``: makes one with so many events of the capture. ``runs``: of which the best counts. ``seconds``: that a look takes."""
    with stand(20_000) as one:
        found: dict[str, Any] = {
            "latency_ms": {str(rate): min((latency(one, build, rate, seconds) for _ in range(runs)), key=p99) for rate in RATES},
            "idle": idle(one, build),
            "overload": overload(one, build),
            "ctl": ctl(one, build),
            "zones": {str(zones): with_zones(one, build, zones) for zones in ZONES},
            "snapshot": snapshot(one, build),
        }
    with stand(20_000) as one:  # threads are added to its snapshot, and stay there
        found["threads"] = {str(threads): with_threads(one, build, threads, 0) for threads in THREADS}
    with stand(20_000) as one:
        found["fds"] = {str(FDS * THREADS[-1]): with_threads(one, build, THREADS[-1], FDS)}
    found["memory_bytes"] = {
        "zone": round(1024 * found["zones"][str(ZONES[-1])]["quiet_kib"] / ZONES[-1]),
        "thread": round(1024 * found["threads"][str(THREADS[-1])]["quiet_kib"] / THREADS[-1]),
        "fd": round(
            1024
            * (found["fds"][str(FDS * THREADS[-1])]["quiet_kib"] - found["threads"][str(THREADS[-1])]["quiet_kib"])
            / (FDS * THREADS[-1])
        ),
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


def idle(stand: Stand, build: Build) -> dict[str, float]:
    say(f"{IDLE_ZONES} quiet zones")
    with stand.daemon(build) as daemon:
        daemon.consumer()
        stand.host.ask(do="quiet", zones=IDLE_ZONES)
        asyncio.run(_live(str(daemon.ctl), IDLE_ZONES))
        time.sleep(IDLE_SETTLE)
        before = daemon.cpu()
        time.sleep(IDLE_TIME)
        return {"zones": IDLE_ZONES, "cpu_percent": round(100 * (daemon.cpu() - before) / IDLE_TIME, 2)}


def overload(stand: Stand, build: Build) -> dict[str, float]:
    """Memory while more is sent than the consumer takes: when the buffer has just been full for a while, and at the end."""
    say(f"{OVERLOAD} times what the consumer takes")
    with stand.daemon(build, f"buffer.size={OVERLOAD_BUFFER}") as daemon:
        consumer = daemon.consumer(rate=TAKEN)
        stand.host.ask(do="quiet")
        time.sleep(SETTLE)
        samples: list[int] = []
        stand.host.tell(do="rate", per_second=OVERLOAD * TAKEN, seconds=OVERLOAD_TIME)
        end = time.monotonic() + OVERLOAD_TIME
        while time.monotonic() < end:
            time.sleep(0.25)
            samples.append(daemon.memory())
        sent = stand.host.answer()["events"]
        taken = consumer.ask()["events"]
        third = len(samples) // 3
        return {
            "sent": sent,
            "taken": taken,
            "buffer_mib": OVERLOAD_BUFFER >> 20,
            "second_third_mib": round(max(samples[third : 2 * third]) / (1 << 20), 1),
            "last_third_mib": round(max(samples[2 * third :]) / (1 << 20), 1),
        }


def ctl(stand: Stand, build: Build) -> dict[str, float]:
    """By the clock, ms, while zones send as fast as they can and the plugin takes as much as it can: what the daemon takes to answer
    `ctl status`, and what the whole command takes, which is mostly Python's start and imports."""
    say(f"ctl while {BUSY_ZONES} zones send as fast as they can")
    with stand.daemon(build) as daemon:
        daemon.falco(1 << 40)
        for _ in range(BUSY_ZONES):
            stand.host.ask(do="play", loop=True)
        time.sleep(SETTLE)
        cpu, began = daemon.cpu(), time.monotonic()
        answers = asyncio.run(_answers(str(daemon.ctl)))
        load = (daemon.cpu() - cpu) / (time.monotonic() - began)
        command = build.command("edera_falcod", "ctl", "status", "--socket", str(daemon.ctl))
        commands: list[float] = []
        for _ in range(CTL_COMMANDS):
            time.sleep(CTL_PAUSE)
            began = time.perf_counter()
            done = subprocess.run(command, cwd=stand.folder, env=build.environment(), stdout=subprocess.DEVNULL)
            commands.append(time.perf_counter() - began)
            if done.returncode not in (0, 1):  # 1: not all is well, for events are dropped
                raise BenchError(f"ctl status ended with {done.returncode}")
        found: dict[str, float] = {"zones": BUSY_ZONES, "load_percent": round(100 * load)}
        for name, times in (("answer", answers), ("command", commands)):
            found |= {f"{name}_p50_ms": round(1000 * statistics.median(times), 1), f"{name}_max_ms": round(1000 * max(times), 1)}
        return found


async def _answers(path: str) -> list[float]:
    """Seconds that the daemon behind ``path`` takes to answer, each time."""
    took: list[float] = []
    async with connected(path) as stub:
        for _ in range(CTL_CALLS):
            began = time.perf_counter()
            await stub.get_status(GetStatusRequest())
            took.append(time.perf_counter() - began)
            await asyncio.sleep(CTL_PAUSE)
    return took


async def _live(path: str, zones: int) -> None:
    """Until the daemon behind ``path`` has read the snapshots of so many zones."""
    end = time.monotonic() + LONGEST
    async with connected(path) as stub:
        while (live := sum(zone.state == "live" for zone in (await stub.get_status(GetStatusRequest())).zones)) < zones:
            if time.monotonic() > end:
                raise BenchError(f"{live} of {zones} zones are live")
            await asyncio.sleep(SETTLE)


def snapshot(stand: Stand, build: Build) -> dict[str, float]:
    """How long others wait for their turn while a large snapshot is imported: bench/stall.py."""
    say("a large snapshot")
    command = build.command("bench.stall", str(stand.capture), str(LARGE_THREADS), str(FDS))
    done = subprocess.run(command, cwd=build.folder, env=build.environment(), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise BenchError(f"the import of a large snapshot ended with {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


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


def with_threads(stand: Stand, build: Build, threads: int, fds: int) -> dict[str, float]:
    """Events of a zone with so many threads more than the capture has, each with ``fds`` files, and what the daemon's memory is then."""
    say(f"{threads} threads" + (f" with {fds} files each" if fds else ""))
    with stand.daemon(build, "buffer.size=1GiB") as daemon:
        consumer = daemon.consumer()
        start = daemon.memory()
        size = stand.host.ask(do="quiet", threads=threads, fds=fds)["snapshot"]
        time.sleep(SETTLE + size / SNAPSHOT_RATE)
        quiet = daemon.memory()
        _repeat(stand, daemon, consumer, 1, 1)
        us = _repeat(stand, daemon, consumer, 1, WORK // SLICE)
        return {"cpu_us_per_event": round(us, 2), "quiet_kib": (quiet - start) // 1024}
