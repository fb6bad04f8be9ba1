"""Builds the shim for its tests: once as it ships, once with sanitizers and small limits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIM = ROOT / "shim"

# Times and sizes that make a test short; tests that are about a limit say its value again
SMALL = {
    "BACKOFF_MIN_NS": "1000000",
    "BACKOFF_MAX_NS": "4000000",
    "REFUSED_NS": "100000000",
    "HANDSHAKE_NS": "300000000",
    "SILENCE_NS": "600000000",
    "SETTLED_NS": "100000000",
    "MAX_BLOCKS": "64u",
    "MAX_BLOCK_BYTES": "UINT64_C(65536)",
    "INBOX_SIZE": "4096u",
    "ARENA_SIZE": "4096u",
    "MAX_BATCH": "16u",
    "SCRATCH_CHUNK": "256u",
    "SCRATCH_MAX": "65536u",
    "LOG_EVERY_NS": "UINT64_C(1)",
    "SYSCALLS_EVERY_NS": "UINT64_C(50000000)",
}
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": "exitcode=99:halt_on_error=1",
}


@dataclass
class Result:
    """How a run of shimcat ended."""

    code: int
    out: str
    err: str
    metrics: dict[str, int] = field(default_factory=dict)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def log(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("edera: ")]


class Process(subprocess.Popen[str]):
    """A running shimcat. What it prints goes into files: a full pipe would stop it."""

    def __init__(self, command: list[str], stdin: str | None) -> None:
        self.out = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.err = tempfile.TemporaryFile("w+")  # noqa: SIM115
        super().__init__(
            command,
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=self.out,
            stderr=self.err,
            text=True,
        )
        if stdin is not None:
            assert self.stdin
            self.stdin.write(stdin)
            self.stdin.close()

    def printed(self) -> tuple[str, str]:
        texts = []
        for file in (self.out, self.err):
            file.seek(0)
            texts.append(file.read())
            file.close()
        return texts[0], texts[1]


@dataclass
class Build:
    """A folder with libedera_shim.so and shimcat."""

    folder: Path

    def start(self, socket: Path, *arguments: str, stdin: str | None = None) -> Process:
        return Process([str(self.folder / "shimcat"), "--metrics", "--socket", str(socket), *arguments], stdin)

    def finish(self, process: Process, interrupt: bool = False) -> Result:
        if interrupt:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(50)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            out, err = process.printed()
        assert process.returncode != 99 and process.returncode >= 0, err
        result = Result(process.returncode, out, err)
        for line in err.splitlines():
            if line.startswith("{"):
                result.metrics = json.loads(line)
        return result

    def run(self, socket: Path, *arguments: str, stdin: str | None = None) -> Result:
        return self.finish(self.start(socket, *arguments, stdin=stdin))


def make(folder: Path, target: str, defs: dict[str, str] | None = None, **variables: str) -> None:
    command = ["make", "--no-print-directory", "-C", str(SHIM), f"BUILD={folder}", target]
    if defs:
        command.append("DEFS=" + " ".join(f"'-D{name}={value}'" for name, value in defs.items()))
    command += [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """As it ships."""
    folder = tmp_path_factory.mktemp("plain")
    make(folder, "all")
    return Build(folder)


@pytest.fixture(scope="session")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """With address and undefined-behaviour sanitizers, limits as they ship."""
    folder = tmp_path_factory.mktemp("checked")
    make(folder, "asan")
    return Build(folder / "asan")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """With sanitizers and small limits."""
    folder = tmp_path_factory.mktemp("small")
    make(folder, "asan", SMALL)
    return Build(folder / "asan")


@pytest.fixture
def path() -> Iterator[Path]:
    """Where a daemon may listen: a socket's path is short."""
    with tempfile.TemporaryDirectory(prefix="shim") as folder:
        yield Path(folder) / "s"


def host(folder: Path, source: str, *options: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Compile a C program of tests/shim and return what runs it."""
    binary = folder / Path(source).stem
    compiler = os.environ.get("CC", "cc")
    command = [
        compiler,
        "-std=c11",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{SHIM}",
        *options,
        "-o",
        str(binary),
        str(Path(__file__).parent / source),
        "-ldl",
        "-lpthread",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([binary, *arguments], capture_output=True, text=True, env=os.environ | ENVIRONMENT, timeout=55)

    return run
