"""The processes of a measurement: simulated host, daemon, consumer, each on its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, final

from .builds import Build, interpreted
from .corpus import ROOT

TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
START: Final = 60.0  # seconds that a process may take until it is ready
SHIMCAT: Final = ROOT / "shim" / "shimcat"
LIBRARY: Final = ROOT / "shim" / "libedera_shim.so"
SINSP_HOST: Final = ROOT / "build" / "sinsp_host"
FILTER: Final = "evt.type = execve and proc.name = bench-matches-nothing"


class BenchError(Exception):
    """A measurement could not be made; the text says why."""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its threads so far, s."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / TICKS


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


@final
class Talker:
    """A child that answers a line of JSON to each line."""

    def __init__(self, command: list[str], build: Build, cwd: Path) -> None:
        self.process = subprocess.Popen(
            command, cwd=cwd, env=build.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.first = self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise BenchError(f"{self.process.args!r} ended with {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def tell(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        return self._read()

    def ask(self, **command: Any) -> dict[str, Any]:
        self.tell(**command)
        return self._read()

    def close(self) -> None:
        stop(self.process)


def stop(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


@final
class Stand:
    """A folder with a host, and daemons that come and go. The host runs on the build ``around``, as do Python consumers: what is
    measured is the daemon."""

    def __init__(self, capture: Path, limit: int, around: Build | None = None) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="falcod-bench-")
        self.folder = Path(self._temporary.name)
        self.around = around or interpreted()
        self.capture = capture
        self.host = Talker(
            self.around.command("bench.host", str(self.folder / "edera.sock"), str(capture), str(limit)), self.around, self.folder
        )
        self.events: int = self.host.first["events"]

    def __enter__(self) -> Stand:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.host.close()
        self._temporary.cleanup()

    def daemon(self, build: Build, *options: str) -> Daemon:
        return Daemon(self, build, options)


@final
class Daemon:
    """One daemon of ``stand``, with no event of its own among those of zones; a context manager."""

    def __init__(self, stand: Stand, build: Build, options: tuple[str, ...]) -> None:
        self.stand = stand
        self.build = build
        self.socket = stand.folder / "falco.sock"
        self.ctl = stand.folder / "ctl.sock"
        settings = {
            "edera.socket": str(stand.folder / "edera.sock"),
            "falco.socket": str(self.socket),
            "ctl.socket": str(self.ctl),
            "falco.notices": "false",
            "log.level": "error",
            "edera.snapshot_timeout": "60s",
        }
        flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        self._process = subprocess.Popen(
            build.command("edera_falcod", "run", *flags, *[part for option in options for part in ("--set", option)]),
            cwd=stand.folder, env=build.environment(),
        )  # fmt: skip
        self.pid = self._process.pid
        self._children: list[Talker | subprocess.Popen[Any]] = []
        end = time.monotonic() + START
        while not self.socket.exists():
            if self._process.poll() is not None or time.monotonic() > end:
                stop(self._process)
                raise BenchError("the daemon did not start")
            time.sleep(0.02)

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for child in self._children:
            if isinstance(child, Talker):
                child.close()
            else:
                stop(child)
        self.stand.host.ask(do="remove")
        stop(self._process)
        self.socket.unlink(missing_ok=True)

    def cpu(self) -> float:
        if self._process.poll() is not None:
            raise BenchError(f"the daemon ended with {self._process.returncode}")
        return cpu_seconds(self.pid)

    def memory(self) -> int:
        return memory(self.pid)

    def consumer(self, name: str = "bench", rate: float = 0.0) -> Talker:
        """One in Python: bench/consumer.py."""
        around = self.stand.around
        arguments = [str(self.socket), name] + ([str(rate)] if rate else [])
        talker = Talker(around.command("bench.consumer", *arguments), around, self.stand.folder)
        self._children.append(talker)
        return talker

    def falco(self, count: int) -> subprocess.Popen[Any]:
        """The plugin, in a real libsinsp with one filter if it was built (make sinsp), else in shimcat; ends after ``count`` events."""
        if SINSP_HOST.exists():
            pairs = self.stand.folder / "pairs"
            pairs.write_text(json.dumps({"id": "bench", "condition": FILTER, "output": ""}) + "\n")
            config = json.dumps({"socket": str(self.socket), "consumer": "bench"})
            command = [str(SINSP_HOST), "--plugin", str(LIBRARY), "--config", config, "--pairs", str(pairs), "--max-events", str(count)]
            command += ["--idle", "60"]
        else:
            command = [str(SHIMCAT), "--socket", str(self.socket), "--consumer", "bench", "--quiet", "--count", str(count), "evt.type"]
        process = subprocess.Popen(command, cwd=self.stand.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._children.append(process)
        return process


def consumer_name() -> str:
    return "a real libsinsp with one filter" if SINSP_HOST.exists() else "shimcat"


def wait_for(process: subprocess.Popen[Any], seconds: float) -> None:
    """Until the process has ended well. Raises BenchError."""
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{process.args!r} has not got everything after {seconds:g} s") from None
    if code != 0:
        raise BenchError(f"{process.args!r} ended with {code}")


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
