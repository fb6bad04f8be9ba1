"""Every await of the daemon's fails once, and the daemon is cancelled at every await: nth_await.py, a program of its own since it loads the
daemon's modules rewritten. `python -m tests.daemon.nth_await raise --all` does three visits and three kinds of failure."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Functions none of whose awaits the run reaches, or not always, and why. What it does not reach in others is printed by the program.
UNREACHED = {
    "daemon:serve": "signals; test_daemon.py has them",
    "daemon:run.main": "the same",
    "edera/control:ControlClient.get_zone": "not used by the daemon",
    "edera/control:ControlClient.host_status": "not used by the daemon",
    "edera/transport:Call.end": "not used by the daemon",
    "edera/zonestream:SnapshotBudget.take": "snapshots above a megabyte; test_zonestream.py has them",
    "edera/zonestream:SnapshotBudget.give": "the same",
    "edera/zonestream:ZoneStream._set_deadline": "the same",
    "edera/zonestream:ZoneStream._drain": "bytes that come after Stop, or do not",
    "edera/zonestream:ZoneStream._ended": "an orderly end, which the host's restart may overtake",
    "falco/server:Server.drain": "consumers that are there when the daemon stops; test_server.py has them",
    "falco/server:Server.close": "the same",
    "ops/operations:tree": "a zone of thousands of processes",
    "ops/operations:Operations.types": "calls of ctl of which the scene makes some only",
    "ops/ctl:Ctl.get_types": "the same",
    "ops/ctl:Ctl.record": "the same",
    "pipeline:ZonePipeline.snapshot": "a snapshot that takes longer than a slice, on a quick machine",
}


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "tests.daemon.nth_await", *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.timeout(1500)
def test_the_nth_await_raises() -> None:
    said = run("raise")
    functions = re.findall(r"any that is reached: (.*)", said)[0].split()
    assert set(functions) <= set(UNREACHED)
    assert int(re.findall(r"(\d+) failures, 0 did not hold", said)[0]) > 200


@pytest.mark.timeout(600)
def test_cancelled_at_the_nth_await() -> None:
    said = run("cancel")
    assert int(re.findall(r"(\d+) cancellations, 0 did not hold", said)[0]) > 50
