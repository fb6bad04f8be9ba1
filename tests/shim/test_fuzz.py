"""Each fuzzer of the shim for a moment, from a corpus of what a daemon sends. FUZZ_SECONDS=n makes it n seconds each.

The fuzzers are tests/shim/fuzz_*.c: libFuzzer's entry point, so that clang's -fsanitize=fuzzer takes them as they are; here they are
linked with our own small driver, since gcc has none.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from pathlib import Path

import pytest

from . import fake, world
from .conftest import ENVIRONMENT, SHIM
from .test_adversity import CONVERSATION

HERE = Path(__file__).parent
SECONDS = float(os.environ.get("FUZZ_SECONDS", "2"))


def _extract_input() -> bytes:
    """The world's blocks by their ids, then an event."""
    bodies: dict[int, bytes] = {}
    for definition in world.DEFINITIONS:
        bodies[struct.unpack_from("<Q", definition, 4)[0]] = definition[12:]
    blocks = [struct.pack("<H", len(bodies[id_])) + bodies[id_] for id_ in range(1, len(bodies) + 1)]
    event = fake.event(1, world.block(), world.IDS, world.TS, world.TID)[4:]
    return b"".join(blocks) + b"\0\0" + event


CORPORA: dict[str, list[bytes]] = {
    "frames": [
        b"\0" + CONVERSATION,
        b"\7" + CONVERSATION,
        b"\0" + fake.welcome() + fake.batch(*world.DEFINITIONS) + fake.batch(fake.event(1, world.block(), world.IDS)),
        b"\0" + fake.refused(3, b"busy"),
        b"\0" + fake.welcome() + fake.shed(1, 2) + fake.batch(fake.release(1, 2)),
    ],
    "extract": [_extract_input()],
    "config": [b"", b"{}", b'{"socket":"/run/\\u00e9\\n","consumer":"a","mirror_host_syscalls":true}', b'{"consumer":12,"socket":null}'],
}


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", CORPORA)
def test_fuzz(tmp_path: Path, name: str) -> None:
    objects = []
    for source, coverage in ((f"fuzz_{name}.c", ["-fsanitize-coverage=trace-pc"]), ("fuzz_driver.c", [])):
        target = tmp_path / Path(source).with_suffix(".o").name
        command = [
            "cc",
            "-std=c11",
            "-c",
            "-g",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            f"-I{SHIM}",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
        ]
        done = subprocess.run([*command, *coverage, "-o", str(target), str(HERE / source)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        objects.append(str(target))
    binary = tmp_path / name
    subprocess.run(["cc", "-fsanitize=address,undefined", "-o", str(binary), *objects], check=True)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, data in enumerate(CORPORA[name]):
        (corpus / str(number)).write_bytes(data)
    done = subprocess.run([binary, str(SECONDS), "1", corpus], capture_output=True, text=True, env=os.environ | ENVIRONMENT)
    crash = corpus / "crash-input"
    assert done.returncode == 0, f"{done.stderr}\n{crash.read_bytes().hex() if crash.exists() else ''}"
    inputs, kept = map(int, re.findall(r"^(\d+) inputs.*?(\d+) kept", done.stdout)[0])
    assert inputs > 50 * SECONDS and kept > 5, done.stdout
    print(name, done.stdout)
