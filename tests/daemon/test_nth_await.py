"""Every await of the daemon's fails once, and the daemon is cancelled at every await: nth_await.py, a program of its own since it loads the
daemon's modules rewritten. `python -m tests.daemon.nth_await raise --all` does three visits and three kinds of failure."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Awaits that the run does not reach, or not always, and why
UNREACHED = {
    "daemon:serve:": "signals; test_daemon.py has them",
    "daemon:run.main:": "the same",
    "daemon:Daemon.run:3": "metrics on a loopback address instead of a socket",
    "ops/http:HttpServer.start:": "one of both, likewise",
    "ops/ctl:get_status:": "of programs that ask the daemon",
    "edera/control:ControlClient.get_zone:": "not used by the daemon",
    "edera/control:ControlClient.host_status:": "not used by the daemon",
    "edera/transport:Call.end:": "not used by the daemon",
    "edera/transport:Link.aclose:3": "a peer that does not read",
    "edera/control:Watch.__aenter__:4": "never left without an error",
    "edera/zones:Zones._follow:1 leave": "never left without an error",
    "edera/zones:Zones.run:1 leave": "never left without an error",
    "edera/zones:Zones.run:3": "only after a bug of ours",
    "edera/zones:Zones._follow:4": "seconds between lists",
    "edera/zonestream:SnapshotBudget.": "snapshots above a megabyte; test_zonestream.py has them",
    "edera/zonestream:ZoneStream._set_deadline:": "the same",
    "edera/zonestream:ZoneStream._stream:6": "the same",
    "edera/zonestream:ZoneStream._hand:2": "the same",
    "edera/zonestream:ZoneStream._drain:": "bytes that come after Stop, or do not",
    "edera/zonestream:ZoneStream._ended:": "an orderly end, which the host's restart may overtake",
    "edera/zonestream:ZoneStream._read:1": "more than a turn's bytes at once",
    "edera/zonestream:ZoneStream._read:4": "a zone that goes while it is read, likewise",
    "edera/zonestream:ZoneStream._sleep:1": "never left without an error",
    "edera/zonestream:ZoneStream.run:5": "quarantine, which is turned off here",
    "falco/server:Server.": "consumers that are there when the daemon stops; test_server.py has them",
    "ops/operations:Operations.processes:2": "a call for a zone of thousands of processes",
    "ops/operations:tree:": "the same",
}


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "tests.daemon.nth_await", *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.timeout(1500)
def test_the_nth_await_raises() -> None:
    said = run("raise")
    missed = re.findall(r"not reached: (.*)", said)[0]
    names = re.findall(r"\S+:\d+(?: enter| leave)?", missed)
    assert [name for name in names if not name.startswith(tuple(UNREACHED))] == []
    assert int(re.findall(r"(\d+) failures, 0 did not hold", said)[0]) > 200


@pytest.mark.timeout(600)
def test_cancelled_at_the_nth_await() -> None:
    said = run("cancel")
    assert int(re.findall(r"(\d+) cancellations, 0 did not hold", said)[0]) > 50
