"""Which core runs, and that it can be chosen. `make test-compiled` runs this and the core's tests on the compiled core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import edera_falcod
from edera_falcod._pure import compiled

EXPECTED = os.environ.get("EDERA_FALCOD_TEST_CORE", "")  # "compiled": these tests are meant to run on the compiled core
FOLDER = Path(edera_falcod.__file__).parent.parent


def core(pure: bool) -> str:
    """What `edera-falcod version` says of the core that we run on."""
    environment = {name: value for name, value in os.environ.items() if name != "EDERA_FALCOD_PURE"}
    environment["PYTHONPATH"] = str(FOLDER)
    if pure:
        environment["EDERA_FALCOD_PURE"] = "1"
    command = [sys.executable, "-m", "edera_falcod", "version", "--json"]
    done = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, check=True)
    said: str = json.loads(done.stdout)["core"]
    return said


@pytest.mark.skipif(not EXPECTED, reason="EDERA_FALCOD_TEST_CORE does not say which core is meant")
def test_the_core_is_the_one_that_is_meant() -> None:
    assert ("compiled" if compiled() else "interpreted") == EXPECTED


def test_version_says_which_core_runs() -> None:
    built = any(FOLDER.glob("edera_falcod/scap/wire.*.so"))
    assert core(pure=False) == ("compiled" if built else "interpreted")


def test_the_interpreter_can_be_forced() -> None:
    assert core(pure=True) == "interpreted"
