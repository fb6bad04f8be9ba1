"""A simulated Edera host and the daemon beside it, as two processes, for tests of the whole way."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

START = 20.0  # seconds that the daemon may take to listen; Python's imports on a busy machine


@dataclass(frozen=True, slots=True)
class Zones:
    """What runs. ``socket`` is the daemon's consumer socket."""

    socket: Path
    folder: Path

    @property
    def config(self) -> dict[str, str]:
        """The plugin's init_config."""
        return {"socket": str(self.socket)}

    def logs(self) -> str:
        return "".join(f"--- {file.name}\n{file.read_text(errors='replace')[-4000:]}" for file in sorted(self.folder.glob("*.log")))


def _start(stack: contextlib.ExitStack, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", "edera_falcod", *arguments], stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def zones(captures: Mapping[str, Path], *options: str, pace: str = "max") -> Iterator[Zones]:
    """Zones that play a capture each, once, and then are idle. ``options`` are further ones of the simulation."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zones-")))
        edera, falco, ctl = (folder / name for name in ("edera.sock", "falco.sock", "ctl.sock"))
        named = [word for name, capture in captures.items() for word in ("--zone", f"{name}={capture}")]
        sim = _start(stack, folder / "sim.log", "sim", "--socket", str(edera), "--pace", pace, *named, *options)
        settings = [f"edera.socket={edera}", f"falco.socket={falco}", f"ctl.socket={ctl}", "log.format=console"]
        daemon = _start(stack, folder / "daemon.log", "run", *[word for setting in settings for word in ("--set", setting)])
        running = Zones(falco, folder)
        limit = time.monotonic() + START
        while not falco.exists():
            if daemon.poll() is not None or sim.poll() is not None or time.monotonic() > limit:
                raise AssertionError(f"the daemon does not listen\n{running.logs()}")
            time.sleep(0.05)
        yield running
