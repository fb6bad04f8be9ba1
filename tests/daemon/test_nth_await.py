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
    """The program says no if an await is not come to for which it has no reason (UNREACHED)."""
    said = run("raise")
    assert total(said, "failures") > 300


@pytest.mark.timeout(600)
def test_cancelled_at_the_nth_await() -> None:
    assert total(run("cancel"), "cancellations") > 100
