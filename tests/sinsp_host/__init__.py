"""The real libsinsp as a test instrument: ``make sinsp`` (tools/sinsp.sh) fetches it and builds ``main.cc``, this module runs it.

    host = find_sinsp()                      # None where it is not installed; why_not() says why
    host.compile_pairs(plugin, pairs)        # what Falco's compiler makes of conditions and outputs
    host.run(plugin, pairs, config, idle=2)  # which of them match which live event
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = REPOSITORY / "build" / "sinsp_host"
SOURCE = Path(__file__).with_name("main.cc")
PLUGIN = Path(os.environ.get("EDERA_FALCOD_PLUGIN", REPOSITORY / "shim" / "libedera_shim.so"))  # another build of it, by hand

REQUIRED = os.environ.get("EDERA_FALCOD_REQUIRE_SINSP") == "1"  # CI: tests that need it fail where they would be skipped


class SinspError(Exception):
    """libsinsp refused the plugin, or the host ended in a way that it should not."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A condition in Falco's language ("" is every event) and an output format ("": none), under a name."""

    id: str
    condition: str
    output: str = ""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What became of a pair: ``error`` is Falco's own text and ``where`` says in which part."""

    id: str
    ok: bool
    where: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """An event for which a pair's condition is true. ``ts`` is in ns since the epoch, ``fields`` what its output asked for."""

    id: str
    evtnum: int
    ts: int
    output: str
    fields: dict[str, Any] | None = None


@dataclass(slots=True)
class Run:
    """A whole run. ``ended`` says why: events, matches, idle, time, signal, eof."""

    plugin: dict[str, Any] = field(default_factory=dict)
    pairs: list[Compiled] = field(default_factory=list)
    matches: list[Match] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    log: str = ""

    @property
    def events(self) -> int:
        return int(self.summary["events"])

    @property
    def counts(self) -> dict[str, int]:
        """Matches by pair."""
        return dict(self.summary["matches"])

    def of(self, pair_id: str) -> list[Match]:
        return [match for match in self.matches if match.id == pair_id]


class LiveHost:
    """A host that runs. Iterating gives its messages (dicts with "type") as they come; ``stop`` asks it to end."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, folder: tempfile.TemporaryDirectory[str]) -> None:
        self.process = process
        self._log = log
        self._folder = folder

    def __iter__(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line.decode(errors="replace"))

    def stop(self) -> None:
        """End it as Falco is ended. It still says its summary."""
        if self.process.poll() is None:
            self.process.terminate()

    def close(self) -> str:
        """Wait for its end, and return what it logged."""
        try:
            self.stop()
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
            log = self._log.read_text(errors="replace")
            self._folder.cleanup()
        return log

    def __enter__(self) -> LiveHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class SinspHost:
    """The built host and the folder that it belongs to."""

    binary: Path
    folder: Path

    @property
    def compiler(self) -> Path:
        """The folder's g++; it finds upstream's headers (libsinsp, plugin, driver) by itself."""
        return self.folder / "bin" / "c++"

    @property
    def sysdig(self) -> Path:
        return self.folder / "bin" / "sysdig"

    @property
    def headers(self) -> Path:
        return self.folder / "root" / "usr" / "include" / "falcosecurity"

    def version(self, package: str = "libfalcosecurity0-dev") -> str:
        """A package's version as Debian names it."""
        for line in (self.folder / "packages").read_text().splitlines():
            name, _, version = line.partition(" ")
            if name == package:
                return version
        raise KeyError(package)

    def plugin(self, plugin: Path = PLUGIN, config: Mapping[str, Any] | str | None = None) -> dict[str, Any]:
        """What libsinsp understood of a plugin: name, version, id, source, capabilities, fields, overlapping names."""
        run = self._finish(self.start(plugin, (), config, compile_only=True, plugin_fields=True))
        return run.plugin

    def compile_pairs(self, pairs: Iterable[Pair], plugin: Path = PLUGIN, config: Mapping[str, Any] | str | None = None) -> list[Compiled]:
        """Compile conditions and outputs as Falco does; one result for each, in order."""
        return self._finish(self.start(plugin, pairs, config, compile_only=True)).pairs

    def run(
        self,
        pairs: Iterable[Pair],
        config: Mapping[str, Any] | str | None = None,
        plugin: Path = PLUGIN,
        *,
        max_events: int = 0,
        max_matches: int = 0,
        restart_after: int = 0,
        dry_runs: int = 0,
        time: float = 30.0,
        idle: float = 0.0,
        first: float = 0.0,
        fields: bool = False,
        log: int = 4,
        timeout: float | None = None,
    ) -> Run:
        """Take events from the plugin until a limit is reached: numbers of events or matches, seconds in all (``time``), seconds
        without an event (``idle``; ``first`` for the first one). Raises SinspError when the plugin fails.

        ``restart_after`` events everything is closed and begun anew in the same process, once, as when Falco reloads: the matches
        of both times are in the result, the summary is the second one's. ``dry_runs``: how often a second instance of the plugin
        is loaded and initialised meanwhile, as when Falco checks a changed configuration."""
        live = self.start(
            plugin, pairs, config, max_events=max_events, max_matches=max_matches, restart_after=restart_after, dry_runs=dry_runs,
            time=time, idle=idle, first=first, fields=fields, log=log,
        )  # fmt: skip
        return self._finish(live, timeout if timeout is not None else time + 20)

    def start(
        self,
        plugin: Path,
        pairs: Iterable[Pair],
        config: Mapping[str, Any] | str | None = None,
        *,
        compile_only: bool = False,
        plugin_fields: bool = False,
        max_events: int = 0,
        max_matches: int = 0,
        restart_after: int = 0,
        dry_runs: int = 0,
        time: float = 0.0,
        idle: float = 0.0,
        first: float = 0.0,
        fields: bool = False,
        log: int = 4,
    ) -> LiveHost:
        """Start it and return at once; see ``run``."""
        if not plugin.exists():
            raise SinspError(f"{plugin} is not there: make shim")
        folder = tempfile.TemporaryDirectory(prefix="sinsp-host-")
        listing = Path(folder.name, "pairs.jsonl")
        listing.write_text("".join(json.dumps({"id": p.id, "condition": p.condition, "output": p.output}) + "\n" for p in pairs))
        command = [str(self.binary), "--plugin", str(plugin), "--pairs", str(listing), "--log", str(log)]
        if config is not None:
            command += ["--config", config if isinstance(config, str) else json.dumps(config)]
        for name, switch in (("--compile-only", compile_only), ("--plugin-fields", plugin_fields), ("--fields", fields)):
            if switch:
                command.append(name)
        limits: tuple[tuple[str, float], ...] = (
            ("--max-events", max_events), ("--max-matches", max_matches), ("--restart-after", restart_after), ("--dry-runs", dry_runs),
            ("--time", time), ("--idle", idle), ("--first", first),
        )  # fmt: skip
        for name, value in limits:
            if value:
                command += [name, str(value)]
        log_file = Path(folder.name, "log")
        with log_file.open("wb") as stderr:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)
        return LiveHost(process, log_file, folder)

    @staticmethod
    def _finish(live: LiveHost, timeout: float = 60.0) -> Run:
        try:
            out, _ = live.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            live.process.kill()
            log = live.close()
            raise SinspError(f"the host did not end within {timeout} s\n{log}") from None
        log = live.close()
        if live.process.returncode != 0:
            raise SinspError(f"the host ended with {live.process.returncode}: {log.strip()}\n{out[-2000:].decode(errors='replace')}")
        run = Run(log=log)
        for line in out.splitlines():
            collect(run, json.loads(line.decode(errors="replace")))
        return run


def collect(run: Run, message: dict[str, Any]) -> None:
    """Add one message of the host to a run."""
    kind = message["type"]
    if kind == "plugin":
        run.plugin = message
        run.pairs = []
    elif kind == "pair":
        run.pairs.append(
            Compiled(message["id"], message["ok"], message.get("where", ""), message.get("error", ""), tuple(message.get("warnings", ())))
        )
    elif kind == "match":
        run.matches.append(Match(message["id"], message["evtnum"], message["ts"], message["output"], message.get("fields")))
    elif kind == "summary":
        run.summary = message


def folder() -> Path:
    """Where tools/sinsp.sh puts it."""
    named = os.environ.get("EDERA_FALCOD_SINSP_DIR")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "edera-falcod" / "sinsp"


def why_not() -> str | None:
    """Why the real libsinsp cannot be used here; None if it can."""
    if not (folder() / "packages").exists():
        return "the real libsinsp is not installed: make sinsp"
    if not BINARY.exists():
        return "tests/sinsp_host is not built: make sinsp"
    if BINARY.stat().st_mtime < SOURCE.stat().st_mtime:
        return "tests/sinsp_host is older than its source: make sinsp"
    return None


def find_sinsp() -> SinspHost | None:
    """The host, or None where it cannot be used (``why_not``)."""
    return None if why_not() else SinspHost(BINARY, folder())


def require_sinsp(plugin: Path | None = PLUGIN) -> SinspHost:
    """For tests: the host, or skip; or fail where EDERA_FALCOD_REQUIRE_SINSP=1. ``plugin``: a file that is needed as well."""
    import pytest

    reason = why_not()
    if reason is None and plugin is not None and not plugin.exists():
        reason = f"{plugin.name} is not built: make shim"
    if reason is not None:
        if REQUIRED:
            pytest.fail(f"{reason} (EDERA_FALCOD_REQUIRE_SINSP=1)")
        pytest.skip(reason)
    return SinspHost(BINARY, folder())


__all__: Sequence[str] = (
    "BINARY", "PLUGIN", "Compiled", "LiveHost", "Match", "Pair", "Run", "SinspError", "SinspHost", "find_sinsp", "require_sinsp", "why_not"
)
