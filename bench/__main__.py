"""`python -m bench`, or `make bench`: see docs/performance.md."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from . import baseline, behaviour, table, wholeway
from .builds import Build, compiled, interpreted
from .corpus import Corpus, default_capture
from .processes import BenchError, Stand, Talker, consumer_name, say
from .reference import Reference

LIMIT: Final = 100_000  # events of the capture that the stages are measured with
SHORT_LIMIT: Final = 30_000
ROUNDS: Final = 5  # of which the best counts: others use the machine too
SHORT_ROUNDS: Final = 3
BEHAVIOUR_RUNS: Final = 3
BEHAVIOUR_TIME: Final = 3.0  # s
WORST: Final = 3  # runs of which the slowest figures make a baseline
TRIES: Final = 6  # of the short form, before something counts as slower: each figure's best counts. Three came within one bad minute
PAUSE: Final = 20.0  # s before another try: such minutes pass


def figures(us: float, upb: float) -> dict[str, float]:
    """As they are written: CPU time an event, how many a second that is on one core, and how many times what upb takes."""
    return {"events_per_second": round(1e6 / us), "cpu_us_per_event": round(us, 3), "ratio_to_upb": round(us / upb, 3)}


def stages(build: Build, capture: Path, limit: int, rounds: int) -> dict[str, Any]:
    """decode, state, fields, deliver in one process, with upb between them."""
    say(f"stages, {build.name}")
    command = build.command("bench.stages", str(capture), str(limit), str(rounds))
    done = subprocess.run(command, cwd=build.folder, env=build.environment(), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise BenchError(f"the stages ended with {done.returncode}")
    found = json.loads(done.stdout)
    if found["compiled"] != (build.name == "compiled"):
        raise BenchError(f"what should be {build.name} is not")
    if found["implementation"] != "upb":
        raise BenchError(f"google.protobuf runs on {found['implementation']}, not on upb: the ratios would mean nothing")
    us = found["us"]
    upb = us.pop("upb")
    return {
        **{name: figures(value, upb) for name, value in us.items()},
        "bytes_per_event": round(found["bytes"]),
        "upb": {"cpu_us_per_event": round(upb, 3)},
    }


def ways(build: Build, stand: Stand, reference: Reference, corpus: Corpus, rounds: int) -> dict[str, Any]:
    """receive and the whole way, many messages to a DATA frame and one, with upb between them."""
    found: dict[str, Any] = {}
    best: dict[str, float] = {}
    upb = min(reference.run(corpus.messages) for _ in range(2))
    clock: dict[str, float] = {}
    for number in range(rounds):
        for name, single in (("", False), ("_single", True)):
            say(f"whole way, {build.name}, {'one message' if single else 'many messages'} to a frame, {number + 1} of {rounds}")
            run = wholeway.run(stand, build, single)
            best["whole_way" + name] = min(run["cpu_us"], best.get("whole_way" + name, 1e9))
            clock["whole_way" + name] = max(run["by_clock"], clock.get("whole_way" + name, 0))
            best["receive" + name] = min(receive(build, stand, single), best.get("receive" + name, 1e9))
            upb = min(upb, reference.run(corpus.messages))
    upb = 1e6 * upb / len(corpus.messages)
    for name, us in best.items():
        found[name] = figures(us, upb)
        if name in clock:
            found[name]["by_clock_per_second"] = round(clock[name])
    found["whole_way"]["upb_us"] = round(upb, 3)
    return found


def receive(build: Build, stand: Stand, single: bool) -> float:
    """CPU us an event."""
    reader = Talker(build.command("bench.receive", str(stand.folder / "edera.sock")), build, build.folder)
    try:
        playing = stand.host.ask(do="play", single=single)
        cpu: float = reader.ask(zone=playing["zone"], events=stand.events)["cpu"]
        return 1e6 * cpu / stand.events
    finally:
        reader.close()
        stand.host.ask(do="remove")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure edera-falcod on a real capture.")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    parser.add_argument("--capture", type=Path, default=None, help="a .scap file (default: busy, else one of our own)")
    parser.add_argument("--events", type=int, default=0, metavar="N", help=f"of the capture (default: {LIMIT}; short: {SHORT_LIMIT})")
    parser.add_argument(
        "--rounds", type=int, default=0, metavar="N", help=f"of which the best counts (default: {ROUNDS}; short: {SHORT_ROUNDS})"
    )
    parser.add_argument("--short", action="store_true", help="stages and the whole way only, held against the committed baseline")
    parser.add_argument(
        "--write-baseline", action="store_true", help=f"run {WORST} times and make the slowest ratio of each figure the baseline"
    )
    parser.add_argument("--write-docs", action="store_true", help="put this run's table into docs/performance.md")
    args = parser.parse_args()
    if args.write_baseline and not args.short:
        parser.error("a baseline is made of short runs: --short --write-baseline")
    capture = args.capture or default_capture()
    limit = args.events or (SHORT_LIMIT if args.short else LIMIT)
    rounds = args.rounds or (SHORT_ROUNDS if args.short else ROUNDS)
    builds = [compiled(), interpreted()]
    try:
        found = measure(builds, capture, limit, rounds, args.short)
        if args.write_baseline:
            for _ in range(WORST - 1):
                found = baseline.worst(found, measure(builds, capture, limit, rounds, True))
        elif args.short:
            for _ in range(TRIES - 1):
                if not baseline.compare(found):
                    break
                say("slower than the baseline: again, for others use this machine too")
                time.sleep(PAUSE)
                found = baseline.best(found, measure(builds, capture, limit, rounds, True))
    except BenchError as error:
        say(str(error))
        return 2
    print(table.text(found))
    if args.write_docs:
        table.write_docs(found)
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=2) + "\n")
    if args.write_baseline:
        baseline.write(found)
    elif args.short:
        slower = baseline.compare(found)
        for line in slower:
            say(line)
        return 1 if slower else 0
    return 0


def measure(builds: list[Build], capture: Path, limit: int, rounds: int, short: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "machine": {"cpu": cpu_name(), "python": platform.python_version(), "kernel": platform.release()},
        "capture": capture.stem,
        "consumer": consumer_name(),
    }
    reference = Reference()
    corpus = Corpus(capture, limit)
    for build in builds:
        of_build: dict[str, Any] = stages(build, capture, limit, rounds)
        with Stand(capture, limit, builds[0]) as stand:
            of_build |= ways(build, stand, reference, corpus, rounds if build.name == "compiled" else (rounds + 1) // 2)
        if build.name == "compiled":
            found |= of_build
        else:
            found[build.name] = of_build
    if not short:
        found |= behaviour.everything(
            lambda events: Stand(capture, events, builds[0]), builds[0], min(rounds, BEHAVIOUR_RUNS), BEHAVIOUR_TIME
        )
    return found


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
