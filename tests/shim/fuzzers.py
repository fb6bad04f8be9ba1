"""The shim's fuzzers: tests/shim/fuzz_*.c with libFuzzer's entry point, built with clang's libFuzzer where there is one, else with our own
small driver (fuzz_driver.c), and what they begin with."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

from . import fake, world
from .conftest import SHIM
from .test_adversity import CONVERSATION

HERE = Path(__file__).parent
LONGEST = 16 << 10  # bytes of an input
SANITIZERS = ("-g", "-O1", "-std=c11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{SHIM}")


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
        b"\xff" + CONVERSATION,
        b"\xff" + fake.welcome() + fake.batch(*world.DEFINITIONS) + fake.batch(fake.event(1, world.block(), world.IDS)),
    ],
    "handshake": [
        b"\5falco\xff\0" + CONVERSATION,
        b"\3a-b\3\1\0\2\0\3\0\11" + CONVERSATION,
        b"\1x\0\1" + fake.welcome() + fake.welcome(),
        b"\1x\0\0" + fake.refused(2, b"registry \xff"),
        b"\1x\0\5" + fake.welcome()[:-1],
    ],
    "extract": [_extract_input()],
    "config": [b"", b"{}", b'{"socket":"/run/\\u00e9\\n","consumer":"a","mirror_host_syscalls":true}', b'{"consumer":12,"socket":null}'],
}


@cache
def libfuzzer() -> str | None:
    """A clang that can link libFuzzer."""
    for name in ("clang", *[f"clang-{version}" for version in range(22, 13, -1)]):
        if shutil.which(name):
            source = "int LLVMFuzzerTestOneInput(const unsigned char*d,unsigned long n){return !d&&n;}"
            command = [name, "-x", "c", "-", "-fsanitize=fuzzer,address,undefined", "-o", "/dev/null"]
            if subprocess.run(command, input=source.encode(), capture_output=True).returncode == 0:
                return name
    return None


def build(name: str, folder: Path) -> Path:
    """The fuzzer as a program in ``folder``. Raises CalledProcessError."""
    binary = folder / f"fuzz_{name}"
    source = str(HERE / f"fuzz_{name}.c")
    clang = libfuzzer()
    if clang is not None:
        subprocess.run([clang, *SANITIZERS, "-fsanitize=fuzzer", "-o", str(binary), source], check=True)
        return binary
    objects = [str(folder / f"{part}-{name}.o") for part in ("target", "driver")]
    compile_ = ["cc", "-c", *SANITIZERS, "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*compile_, "-fsanitize-coverage=trace-pc", "-o", objects[0], source], check=True)
    subprocess.run([*compile_, "-o", objects[1], str(HERE / "fuzz_driver.c")], check=True)
    subprocess.run(["cc", "-fsanitize=address,undefined", "-o", str(binary), *objects], check=True)
    return binary


def command(binary: Path, seconds: float, seed: int, corpus: Path) -> list[str]:
    """How ``binary`` is run on the folder ``corpus``, which gets what it begins with and keeps what it finds."""
    for number, data in enumerate(CORPORA[binary.name.removeprefix("fuzz_")]):
        (corpus / f"given-{number}").write_bytes(data)
    if libfuzzer() is None:
        return [str(binary), str(seconds), str(seed), str(corpus)]
    limits = [f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", f"-max_len={LONGEST}", "-timeout=120", "-rss_limit_mb=1500"]
    return [str(binary), *limits, f"-artifact_prefix={corpus}/", "-print_final_stats=1", str(corpus)]


def figures(text: str) -> tuple[int, int] | None:
    """Inputs run and inputs kept, as either kind of program prints them."""
    if found := re.search(r"^(\d+) inputs.*?(\d+) kept", text, re.MULTILINE):
        return int(found[1]), int(found[2])
    inputs, kept = (re.search(rf"^stat::{name}:\s+(\d+)", text, re.MULTILINE) for name in ("number_of_executed_units", "new_units_added"))
    return (int(inputs[1]), int(kept[1])) if inputs and kept else None
