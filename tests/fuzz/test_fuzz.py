"""What every fuzzer begins with and all that they have found hold; and each runs for a moment, always the same way. `make fuzz` runs them
for longer. FUZZ_SECONDS=n: each for n seconds here too."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.shim.fuzzers import figures

from . import NAMES
from .loop import STEP, Loop

ROOT = Path(__file__).resolve().parents[2]
FOUND = Path(__file__).parent / "found"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "2"))


def test_none_is_left_out() -> None:
    modules = {file.stem for file in Path(__file__).parent.glob("*.py")}
    assert modules - {"__init__", "engine", "dice", "captured", "loop", "test_fuzz"} == set(NAMES)
    assert {file.name for file in FOUND.iterdir()} <= set(NAMES)
    for name in NAMES:
        assert (importlib.import_module(f"tests.fuzz.{name}").__doc__ or "").startswith("Invariant: ")


def test_time_that_a_stopped_process_does_not_notice() -> None:
    async def stopped() -> None:
        async with asyncio.timeout(4 * STEP):
            time.sleep(6 * STEP)  # noqa: ASYNC251 - as if by SIGSTOP
            await asyncio.sleep(STEP)

    async def hangs() -> None:
        async with asyncio.timeout(4 * STEP):
            await asyncio.Event().wait()

    with contextlib.closing(Loop()) as loop:
        loop.run_until_complete(stopped())
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            loop.run_until_complete(hangs())
        assert time.monotonic() - started > 3 * STEP


@pytest.mark.parametrize("name", NAMES)
def test_what_it_begins_with_and_what_it_found(name: str) -> None:
    """Plain, without an engine."""
    fuzzer = importlib.import_module(f"tests.fuzz.{name}")
    given = fuzzer.corpus()
    assert len(given) > 2
    for data in given:
        fuzzer.one(data)
    for file in sorted((FOUND / name).glob("*")):
        fuzzer.one(file.read_bytes())


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", NAMES)
def test_fuzz(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "tests.fuzz.engine", name, str(SECONDS), "1", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    broken = [file.read_bytes().hex() for file in tmp_path.glob("*-*") if not file.name.startswith("given-")]
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{broken}"
    found = figures(done.stderr)
    assert found is not None
    assert found[0] > len(importlib.import_module(f"tests.fuzz.{name}").corpus()), found
