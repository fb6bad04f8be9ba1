"""What a zone with all sins costs the others: the same two honest zones, without it and beside it.

    python tools/sins.py [--compiled] [--seconds N] [--rounds N] [--sin NAME ...]

Host, daemon and consumer are processes of their own, as in life. For each run: events of the honest zones, the time from when
an event was due to when the consumer had it (less the shortest of its zone), in the run's first half and in its second, how busy daemon and
consumer were in the first, how many events waited for the consumer and how many were shed, and what became of the sinner. In the first half
it sends what can be read, as fast as it is taken; then what cannot, until it is left alone. ``--sin``: only such in the first half. The
consumer looks at an event's zone and time and at nothing else. The host is one loop in Python for all zones: how late
that is by itself is part of each delay and printed beside.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[:0] = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), str(ROOT)]  # a compiled build before the tree

from bench.builds import compiled  # noqa: E402
from bench.processes import cpu_seconds  # noqa: E402
from edera_falcod import __file__ as package  # noqa: E402
from edera_falcod._pure import compiled as is_compiled  # noqa: E402
from edera_falcod.edera.lifecycle import State  # noqa: E402
from edera_falcod.falco.client import Client, Disconnected  # noqa: E402
from edera_falcod.fields import registry, slots  # noqa: E402
from edera_falcod.fields.reader import BlockTable, EventView  # noqa: E402
from edera_falcod.fields.spec import Kind  # noqa: E402
from edera_falcod.ops.client import get_status  # noqa: E402
from edera_falcod.sim.host import MALFORMED, NAMESPACE, SimHost  # noqa: E402
from edera_falcod.sim.player import Play  # noqa: E402
from tests.daemon.sins import SINS, Sinner  # noqa: E402

BUILD: Final = Path(package).parent.parent
DATA: Final = ROOT / "tests" / "data"
HONEST: Final = {"web": DATA / "attack1.scap", "db": DATA / "net1.scap"}
PACE: Final = 0.03  # of the recording's: some 350 events a second of both
WAIT: Final = 60.0  # seconds for anything to come up
BEAT: Final = 0.005  # s between two looks at how late the host is
SETTLE: Final = 0.5  # s from connecting to the run's beginning
LOOK: Final = 0.25  # s between two looks at what waits for the consumer
HALVES: Final = ("first", "second")


async def host(folder: Path, seconds: float, sins: list[str]) -> None:
    """The simulated host, and the sinner, which begins when the file ``go`` is there."""
    ids = {name: str(uuid.uuid5(NAMESPACE, name)) for name in ("web", "bad")}
    sinner = Sinner(ids["bad"], ids["web"])
    bursts = {name: b"".join(sinner.burst(name, time.time_ns())) for name in sins}  # made ahead: its work is not the daemon's
    async with SimHost(folder / "edera.sock") as one:
        for name, capture in HONEST.items():
            one.add_zone(name, capture, Play(speed=PACE))
        beats = asyncio.create_task(beat(folder / "go", folder / "late", seconds))
        if sins:
            one.add_zone("bad", HONEST["db"], Play(speed=0), limit=1)
            await asyncio.gather(sin(one, bursts, folder / "go", seconds))
        await beats
        await asyncio.sleep(3600)


async def beat(go: Path, told: Path, seconds: float) -> None:
    """Write down, in seconds, how late this loop was when it should have run."""
    while not go.exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(BEAT)
    loop = asyncio.get_running_loop()
    late: list[float] = []
    end = loop.time() + seconds - 0.5
    while (due := loop.time() + BEAT) < end:
        await asyncio.sleep(BEAT)
        late.append(loop.time() - due)
    told.write_text(json.dumps(late))  # noqa: ASYNC240


async def sin(one: SimHost, bursts: dict[str, bytes], go: Path, seconds: float) -> None:
    while not go.exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)
    started = time.monotonic()
    bad = one.zones["bad"]
    for turn in itertools.count():
        if time.monotonic() - started > seconds / 2:
            one.push("bad", MALFORMED[tuple(MALFORMED)[turn % len(MALFORMED)]])
        else:
            for name, burst in bursts.items():
                if name != "a huge snapshot" or turn % 20 == 0:
                    one.push("bad", burst)
        while any(player._pushed for player in bad.players) or not bad.players:  # noqa: ASYNC110, there is no event for it
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)


@dataclass
class Found:
    """Of one run. ``delays``, of each half, and ``late``, of the host's own loop: seconds. ``busy``: daemon and consumer, parts of a core
    in the first half. ``waiting``: the most events that were seen waiting, ``shed``: that the consumer did not get."""

    sins: int = 0
    shed: int = 0
    waiting: int = 0
    delays: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    late: list[float] = field(default_factory=list)
    busy: tuple[float, float] = (0.0, 0.0)
    cpu: float = 0.0  # s, of the daemon
    state: str = ""
    reason: str = ""
    rss: int = 0


async def look(folder: Path, daemon: int, seconds: float, found: Found) -> None:
    """At how busy all are and what waits, in the first half."""
    began = time.monotonic()
    before = [cpu_seconds(daemon), time.process_time()]
    while (passed := time.monotonic() - began) < seconds / 2:
        await asyncio.sleep(LOOK)
        status = await get_status(str(folder / "ctl.sock"))
        found.waiting = max([found.waiting, *(one.waiting for one in status.consumers)])
    found.busy = ((cpu_seconds(daemon) - before[0]) / passed, (time.process_time() - before[1]) / passed)


async def consume(folder: Path, daemon: int, seconds: float, found: Found) -> None:
    hashes = registry.prefix_hashes()
    table = BlockTable()
    client = Client(str(folder / "falco.sock"), "falco", len(hashes) - 1, lambda n: hashes[n], "sins", table)
    gc.disable()  # it would hold us up for 80 ms every few seconds, and everybody's events with us; a Falco has none
    await client.connect()
    raw: dict[str, list[tuple[float, int]]] = {name: [] for name in HONEST}
    names: dict[bytes, str] = {}
    settled = asyncio.create_task(asyncio.sleep(SETTLE))  # what has waited for a consumer does not count
    settled.add_done_callback(lambda _: (folder / "go").touch())
    looking: asyncio.Task[None] | None = None
    began = time.time() + SETTLE
    try:
        while (passed := time.time() - began) < seconds:
            if passed >= 0 and looking is None:
                looking = asyncio.create_task(look(folder, daemon, seconds, found))
            with contextlib.suppress(TimeoutError):
                for event in await asyncio.wait_for(client.next(), 1.0):
                    now = time.time()
                    zone = names.get(event.data[32:40])
                    if zone is None:
                        block = EventView(event.data, table).block(Kind.ZONE)
                        zone = names[event.data[32:40]] = (block.text(slots.EDERA_ZONE_NAME) or "") if block is not None else ""
                    if zone in raw:
                        ts = int.from_bytes(event.data[8:16], "little")
                        if now >= began and event.data[16:24] != b"\xff" * 8:  # no notice
                            raw[zone].append((now, ts))
                    else:
                        found.sins += 1
    except Disconnected:
        pass
    finally:
        found.shed = client.shed
        await client.close()
    if looking is not None:
        await looking
    for times in raw.values():
        least = min([now - ts / 1e9 / PACE for now, ts in times], default=0.0)
        for now, ts in times:
            found.delays[now - began > seconds / 2].append(now - ts / 1e9 / PACE - least)


async def live(folder: Path) -> int:
    """Of the honest zones."""
    status = await get_status(str(folder / "ctl.sock"))
    return sum(zone.state == State.LIVE.value for zone in status.zones if zone.name in HONEST)


def peak(pid: int) -> int:
    """kB"""
    return int(next(line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")))


async def one_run(seconds: float, sins: list[str]) -> Found:
    found = Found()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sim = subprocess.Popen([  # noqa: ASYNC220, nothing else runs yet
            sys.executable, __file__, "--host", name, "--seconds", str(seconds), "--sin", *sins
        ])  # fmt: skip
        sets = [f"--set={key}={folder / file}" for key, file in (
            ("edera.socket", "edera.sock"), ("falco.socket", "falco.sock"), ("ctl.socket", "ctl.sock"))]  # fmt: skip
        daemon = subprocess.Popen([sys.executable, "-m", "edera_falcod", "run", *sets, "--log-level=error"], cwd=BUILD)  # noqa: ASYNC220
        try:
            async with asyncio.timeout(WAIT):
                while not (folder / "ctl.sock").exists():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                while await live(folder) < len(HONEST):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await consume(folder, daemon.pid, seconds, found)
            status = await get_status(str(folder / "ctl.sock"))
            for zone in status.zones:
                if zone.name == "bad":
                    found.state, found.reason = zone.state, zone.reason
            found.rss = peak(daemon.pid)
            with contextlib.suppress(OSError):
                found.late = json.loads((folder / "late").read_text())
        finally:
            sim.kill()
            sim.wait()
            daemon.terminate()
            _, _, usage = os.wait4(daemon.pid, 0)  # noqa: ASYNC222, with what it used
            daemon.returncode = 0
            found.cpu = usage.ru_utime + usage.ru_stime
    return found


def parts(seconds: list[float]) -> list[float]:
    """Median, 99 % and longest, in ms."""
    ordered = sorted(seconds)
    return [1000 * ordered[int(part * (len(ordered) - 1))] for part in (0.5, 0.99, 1.0)] if ordered else [0.0] * 3


def line(title: str, found: Found) -> str:
    late = parts(found.late)
    sinner = f"; sinner: {found.sins:,} events, {found.state} ({found.reason})" if found.state else ""
    halves = "; ".join(
        f"{half} half: {len(delays):,} events, delay ms: {cuts[0]:.1f} median, {cuts[1]:.1f} of 99 %, {cuts[2]:.0f} longest"
        for half, delays, cuts in zip(HALVES, found.delays, map(parts, found.delays), strict=True)
    )
    return (
        f"{title:<8} {halves} (host late: {late[0]:.1f}, {late[1]:.1f}, {late[2]:.0f}); "
        f"busy in the first: daemon {100 * found.busy[0]:.0f} %, consumer {100 * found.busy[1]:.0f} %; "
        f"{found.waiting:,} waited at most, {found.shed:,} shed; daemon {found.cpu:.1f} s of CPU, {found.rss / 1024:.0f} MB{sinner}"
    )


async def measure(seconds: float, rounds: int, sins: list[str], build: str) -> int:
    cuts: dict[bool, list[list[float]]] = {False: [], True: []}
    good = True
    print(f"{build}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for _ in range(rounds):
        for sinful in (False, True):
            found = await one_run(seconds, sins if sinful else [])
            print(line("with" if sinful else "without", found), flush=True)
            cuts[sinful].append(parts(found.delays[0]))
            good = good and (not sinful or found.state == State.QUARANTINED.value)
    for place, name in enumerate(("median", "99 %", "longest")):
        without, beside = (statistics.median(one[place] for one in cuts[sinful]) for sinful in (False, True))
        print(f"first half, {name}, median of {rounds}: {without:.1f} ms without, {beside:.1f} ms with, {beside / without:.1f} times")
    return 0 if good else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of a run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sin", nargs="*", choices=SINS, default=SINS, metavar="NAME", help=f"of: {', '.join(SINS)} (default: all)")
    parser.add_argument("--compiled", action="store_true", help="with a compiled build, which is made if there is none of these sources")
    parser.add_argument("--host", help=argparse.SUPPRESS)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if options.compiled:
        build = compiled()
        return subprocess.call([sys.executable, __file__, *(one for one in sys.argv[1:] if one != "--compiled")], env=build.environment())
    if options.host:
        asyncio.run(host(Path(options.host), options.seconds, options.sin))
        return 0
    return asyncio.run(measure(options.seconds, options.rounds, options.sin, "compiled" if is_compiled() else "interpreted"))


if __name__ == "__main__":
    sys.exit(main())
