"""Nothing is bound to x86_64: the plugin compiles for aarch64 and, run by an emulator, says what the native one says."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import oci
import pytest

from edera_falcod.fields.catalog import FIELDS
from tests.daemon.support import CAPTURE, FAST, world

ROOT = Path(__file__).resolve().parent.parent.parent
LIBRARIES = "/usr/aarch64-linux-gnu"  # of libc6-dev-arm64-cross and what it depends on
EVENTS = 400


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if compiler is None:
        pytest.skip("no cross compiler: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross")
    folder = tmp_path_factory.mktemp("aarch64")
    # -Werror is on: what the compiler has to say of another processor (char is unsigned there) would show
    command = ["make", "-C", str(ROOT / "shim"), "all", f"CC={compiler}", f"BUILD={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return folder


def emulated(built: Path) -> list[str]:
    emulator = shutil.which("qemu-aarch64")
    if emulator is None:
        pytest.skip("no emulator: apt-get install qemu-user")
    return [emulator, "-L", LIBRARIES, str(built / "shimcat")]


def test_it_compiles(built: Path) -> None:
    assert oci.machine((built / "libedera_shim.so").read_bytes()) == oci.MACHINES["arm64"]


def test_it_lists_its_fields(built: Path) -> None:
    done = subprocess.run([*emulated(built), "--list"], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [field.name for field in FIELDS]


@pytest.mark.timeout(180)
async def test_it_gives_the_values_that_the_native_one_gives(built: Path, tmp_path: Path) -> None:
    command = emulated(built)
    async with world(tmp_path, consumers=("one", "other")) as daemon:

        async def read(name: str, *program: str) -> list[Any]:
            arguments = ["--socket", daemon.config.falco.socket, "--consumer", name, "--json", "--all", "--params", "--count", str(EVENTS)]
            process = await asyncio.create_subprocess_exec(*program, *arguments, "--timeout", "120", stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
            assert process.returncode == 0
            return [json.loads(line) for line in out.split(b"\n")[:-1]]

        daemon.host.add_zone("net", CAPTURE, FAST, limit=EVENTS)
        native, other = await read("one", str(ROOT / "shim" / "shimcat")), await read("other", *command)
        assert len(native) == EVENTS and sum([len(event["fields"]) for event in native]) > 100 * EVENTS
        assert other == native
