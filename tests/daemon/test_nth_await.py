"""Every await of the daemon's fails once, and the daemon is cancelled at every await: nth_await.py, a program of its own since it loads the
daemon's modules rewritten. `python -m tests.daemon.nth_await raise --all` does three visits and three kinds of failure."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import ExitStack
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


PARTS = 4  # at a time: a run mostly waits


def run(what: str) -> list[str]:
    """What each part has said."""
    command = [sys.executable, "-m", "tests.daemon.nth_await", what, "--part"]
    with ExitStack() as stack:
        parts = [
            stack.enter_context(
                subprocess.Popen([*command, f"{part}/{PARTS}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
            )
            for part in range(1, PARTS + 1)
        ]
        for part in parts:
            stack.callback(part.kill)
        said = [part.communicate()[0] for part in parts]
    assert [part.returncode for part in parts] == [0] * PARTS, "\n".join(said)[-8000:]
    return said


def total(said: list[str], what: str) -> int:
    return sum(int(re.findall(rf"(\d+) {what}, 0 did not hold", text)[0]) for text in said)


@pytest.mark.timeout(1500)
def test_the_nth_await_raises() -> None:
    said = run("raise")
    for text in said:
        functions = re.findall(r"any that is reached: (.*)", text)[0].split()
        assert set(functions) <= set(UNREACHED)
    assert total(said, "failures") > 200


@pytest.mark.timeout(600)
def test_cancelled_at_the_nth_await() -> None:
    assert total(run("cancel"), "cancellations") > 50
