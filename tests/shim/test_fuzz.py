"""Each fuzzer of the shim for a moment, from a corpus of what a daemon sends. `make fuzz` runs them for longer."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT
from .fuzzers import CORPORA, build, command, figures

SECONDS = float(os.environ.get("FUZZ_SECONDS", "2"))


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", CORPORA)
def test_fuzz(tmp_path: Path, name: str) -> None:
    binary = build(name, tmp_path)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    done = subprocess.run(command(binary, SECONDS, 1, corpus), capture_output=True, text=True, env=os.environ | ENVIRONMENT)
    crashes = [file.read_bytes().hex() for file in corpus.glob("crash-*")]
    assert done.returncode == 0, f"{done.stderr}\n{crashes}"
    found = figures(done.stdout + done.stderr)
    assert found is not None
    inputs, kept = found
    assert inputs > 50 * SECONDS and kept > 5, found
