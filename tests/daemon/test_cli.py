"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edera_falcod.cli import COMMANDS
from tests.support.debug import said

from .support import CAPTURE, DATA

ANSWERS = Path(__file__).parent.parent.parent.parent / "shared" / "captures"
PARITY = ANSWERS.parent / "tools" / "parity"


def cli(*args: str, timeout: float = 50.0) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EDERA_FALCOD_")}
    command = [sys.executable, "-m", "edera_falcod", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environ, check=False)


def test_help_is_fast_and_names_every_command() -> None:
    began = time.monotonic()
    done = cli("--help")
    assert time.monotonic() - began < 2.0
    assert done.returncode == 0
    for name, (text, _) in COMMANDS.items():
        assert f"    {name} " in done.stdout and text in done.stdout
    heavy = "{'asyncio', 'grpclib', 'structlog'}"
    code = f"import sys; from edera_falcod.cli import parser; parser(None); sys.exit(bool({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_or_options(name: str) -> None:
    done = cli(name, "--help")
    assert done.returncode == 0
    assert "usage: edera-falcod " + name in done.stdout
    assert "Traceback" not in done.stderr


def test_no_command_shows_the_help_and_fails() -> None:
    done = cli()
    assert done.returncode == 2
    assert "commands:" in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("rum",), 2, "invalid choice: 'rum'"),
        (("run", "--sokcet", "/x"), 2, "unrecognized arguments: --sokcet"),
        (("run", "--config", "/nonexistent.toml"), 2, "/nonexistent.toml: there is no such file"),
        (("run", "--set", "falco.modus=1"), 2, "--set: falco.modus: there is no such key; did you mean falco.mode?"),
        (("run", "--log-level", "loud"), 2, "log.level = 'loud': must be one of debug, info, warning, error"),
        (("run", "--socket", "/nonexistent/f.sock", "--ctl-socket", "/tmp/c"), 1, "cannot write to the folder"),
        (("replay", "/nonexistent.scap"), 2, "/nonexistent.scap: No such file or directory"),
        (("replay", "/etc/passwd"), 2, "not a scap capture"),
        (("replay", "x", "--fields", "proc.nme"), 2, "unknown field proc.nme; did you mean proc.name?"),
        (("replay", "x", "--every", "0"), 2, "--every must be at least 1"),
        (("replay", "x", "--json", "--via", "shim", "--shimcat", "/nonexistent"), 2, "no shimcat there; build it with make shim"),
        (("tail", "-o", "%foo.bar"), 2, "foo.bar: unknown field"),
        (("tail", "--no-wait", "--socket", "/nonexistent/f.sock"), 2, "/nonexistent/f.sock: No such file or directory"),
        (("tail", "proc.nme = sh"), 2, "unknown field proc.nme; did you mean proc.name"),
        (("ctl", "tail", "evt.type = open and fd.num > x"), 2, "fd.num is a number, not 'x'"),
        (("fields", "prox"), 1, "no field begins with prox"),
        (("ctl", "status", "--socket", "/nonexistent/c.sock"), 2, "no such socket; is the daemon running?"),
    ],
)
def test_bad_input_is_named_without_a_traceback(args: tuple[str, ...], code: int, says: str) -> None:
    done = cli(*args)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cut_capture_is_refused_with_offset_and_reason(tmp_path: Path) -> None:
    cut = tmp_path / "cut.scap"
    cut.write_bytes(CAPTURE.read_bytes()[:100_000])
    done = cli("replay", str(cut))
    assert done.returncode == 2
    assert "gzip data ends early (at byte " in done.stderr


def test_version_and_configuration() -> None:
    assert json.loads(cli("version", "--json").stdout)["frames"] == "1.0"
    assert cli("--version").stdout.startswith("edera-falcod ")
    assert cli("run", "--check-config").stdout == "the configuration is good\n"
    assert '#age = "10m"' in cli("run", "--print-config").stdout


def test_fields_in_three_forms() -> None:
    assert "proc.name  (string)" in cli("fields", "proc.name").stdout
    entries = json.loads(cli("fields", "--json", "proc.aname").stdout)
    assert entries[0]["name"] == "proc.aname" and entries[0]["arg"]["isIndex"]
    assert cli("fields", "--markdown").stdout.startswith("# Fields of edera-falcod")


def test_replay_serves_every_event_of_a_capture() -> None:
    done = cli("replay", str(CAPTURE), "--json", "--fields", "evt.type,proc.name,fd.name", "--stats")
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 9235
    assert [line["num"] for line in lines] == list(range(1, 9236))
    assert "9235 of 9235 events served" in done.stderr
    assert {name for line in lines for name in line["fields"]} == {"evt.type", "proc.name", "fd.name"}
    names = {line["fields"].get("proc.name") for line in lines}
    assert {"curl", "python3", "nc"} <= names


def test_replay_prints_every_nth_event() -> None:
    done = cli("replay", str(DATA / "attack1.scap"), "--every", "4000", "-o", "%evt.num %evt.type")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1", "4001", "8001", "12001"]


def test_replay_ends_quietly_when_its_reader_does() -> None:
    command = f"{sys.executable} -m edera_falcod replay {CAPTURE} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout.startswith("1 ")
    assert said(done.stderr) == ""


@pytest.mark.skipif(not PARITY.exists(), reason="../shared is not here")
def test_replay_agrees_with_libsinsp() -> None:
    """Every event, and some fields: tools/parity.sh holds all of them."""
    fields = "evt.type evt.args evt.res proc.name proc.cmdline proc.pname proc.aname[2] proc.cwd fd.name fd.num".split()
    replay = cli("replay", str(CAPTURE), "--json", "--fields", ",".join(fields))
    command = [sys.executable, str(PARITY), str(ANSWERS / "net1.expected.jsonl.gz"), "-", "--json"]
    for field in fields:
        command += ["--field", field]
    held = subprocess.run(command, input=replay.stdout, text=True, capture_output=True, check=False)
    found = json.loads(held.stdout)
    assert found["missing_events"] == 0
    assert found["extra_events"] == 0
    assert found["percent"] >= 99.9


@pytest.mark.skipif(not (Path(__file__).parent.parent.parent / "shim" / "shimcat").exists(), reason="shimcat is not built")
def test_replay_through_the_shim_prints_the_same() -> None:
    plain = cli("replay", str(CAPTURE), "--json", "--every", "40")
    shim = cli("replay", str(CAPTURE), "--json", "--every", "40", "--via", "shim")
    assert shim.returncode == plain.returncode == 0
    left = [json.loads(line) for line in plain.stdout.splitlines()]
    right = [json.loads(line) for line in shim.stdout.splitlines()]
    assert len(left) == len(right) == 231
    for one, other in zip(left, right, strict=True):
        assert (one["num"], one["ts"], one["tid"], one["type"]) == (other["num"], other["ts"], other["tid"], other["type"])
        assert one["fields"] == other["fields"]
