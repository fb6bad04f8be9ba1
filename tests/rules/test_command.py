"""`edera-falcod rules` as its users have it: what is printed where, which files are written, exit codes, and bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edera_falcod.rules.ruleset import MAX_FILE

RULES = """\
# ours
- macro: by_cron
  condition: proc.aname = crond
- rule: A
  condition: evt.type in (openat, ptrace) and by_cron
  output: x %proc.name
  priority: INFO
- rule: B
  condition: evt.type = read and evt.buffer bcontains 00
  output: x
  priority: INFO
- rule: K
  condition: ka.verb = get
  output: x
  priority: INFO
  source: k8s_audit
"""
ZONE = """\
# ours
- macro: by_cron
  condition: proc.anames intersects (crond)
- rule: A
  source: edera_zone
  condition: evt.type in (openat, ptrace) and by_cron
  output: x %proc.name
  priority: INFO
"""


def rules(*args: str | Path, folder: Path | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "edera_falcod", "rules", *map(str, args)], capture_output=True, cwd=folder, timeout=50, env={**os.environ}
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_bytes(RULES.encode())
    return path


def test_rules_on_stdout_and_report_on_stderr(file: Path) -> None:
    code, out, err = rules("retarget", file)
    assert code == 0 and out.startswith(ZONE) and "# - rule: B\n" in out and "\n- rule: K\n" in out
    assert f"{file}:3: changed macro by_cron: means the same in plugin fields\n    proc.aname = crond -> proc.anames intersects" in err
    assert f"{file}:8: left out rule B: bcontains needs a field of bytes" in err
    assert err.splitlines()[-1].startswith("1 rules carried over (1 given a source), 1 left out, 1 of other sources untouched, 1 other ch")


def test_into_a_folder_with_line_ends_as_they_were(tmp_path: Path, file: Path) -> None:
    file.write_bytes(RULES.replace("\n", "\r\n").encode())
    code, out, _ = rules("retarget", "-o", tmp_path / "out" / "deep", "--json", file)
    assert code == 0 and json.loads(out)["carried"] == ["A"]
    written = (tmp_path / "out" / "deep" / "r.yaml").read_bytes()
    assert written.startswith(ZONE.replace("\n", "\r\n").encode()) and b"\n\n" not in written.replace(b"\r", b"")
    # what is written needs nothing more
    code, out, _ = rules("retarget", "--check", tmp_path / "out" / "deep" / "r.yaml")
    assert code == 0 and "0 other changes" in out
    code, out, _ = rules("check", tmp_path / "out" / "deep" / "r.yaml")
    assert code == 0 and out == "1 rules hold for zones, 0 do not; nothing to retarget\n"


def test_check_writes_nothing_and_tells_by_its_exit_code(tmp_path: Path, file: Path) -> None:
    code, out, err = rules("retarget", "--check", "--json", file)
    report = json.loads(out)
    assert code == 1 and err == "" and os.listdir(tmp_path) == ["r.yaml"]
    assert report["untouched"] == ["K"] and [change["line"] for change in report["changes"]] == [3, 4]
    code, out, _ = rules("check", file)
    assert code == 1 and out.endswith("1 rules hold for zones, 1 do not; run: edera-falcod rules retarget\n")


def test_beside_the_hosts_rules(file: Path) -> None:
    code, out, _ = rules("retarget", "--beside-host", file)
    assert code == 0 and "- macro: by_cron_zone\n" in out and "- rule: A (zone)\n" in out and "and by_cron_zone\n" in out
    assert "\n- rule: K\n" in out


def test_system_calls_and_why(tmp_path: Path, file: Path) -> None:
    code, _, err = rules("syscalls", file)
    assert code == 2 and "retarget them first" in err
    zone = tmp_path / "zone.yaml"
    zone.write_text(ZONE + "- rule: Any\n  condition: proc.name = x\n  output: x\n  priority: INFO\n  source: edera_zone\n")
    code, out, err = rules("syscalls", zone)
    assert code == 0 and ["ptrace", "rule", "A"] in [line.split() for line in out.splitlines()]
    assert "rule 'Any' names no event type" in err
    code, out, _ = rules("syscalls", "--json", zone)
    found = json.loads(out)
    assert found["unbounded"] == ["Any"] and {entry["name"] for entry in found["syscalls"]} >= {"openat", "ptrace", "execve"}


def test_check_against_what_zones_are_asked_for(tmp_path: Path) -> None:
    zone = tmp_path / "zone.yaml"
    zone.write_text(ZONE)
    code, out, _ = rules("check", "--syscalls", "state, openat", zone)
    assert code == 1 and f"{zone}:4: warning: rule A: needs ptrace, which zones are not asked for" in out
    assert rules("check", "--syscalls", "all", zone)[0] == rules("check", "--syscalls", "state,ptrace,openat", zone)[0] == 0
    code, _, err = rules("check", "--syscalls", "opnat", zone)
    assert code == 2 and "'opnat' is no system call; did you mean openat" in err


def test_expand(file: Path) -> None:
    code, out, _ = rules("expand", "--json", file)
    first = json.loads(out.splitlines()[0])
    assert code == 0 and first["condition"] == "evt.type in (openat, ptrace) and proc.aname = crond" and first["line"] == 4


@pytest.mark.timeout(240)  # starts the command dozens of times
def test_bad_input_is_one_line_with_its_place(tmp_path: Path, file: Path) -> None:
    bad = tmp_path / "bad.yaml"
    for content, words in (
        (b"- rule: A\n  condition: [a\n", "bad.yaml:3:1: not YAML"),
        (b"- rule: A\n  condition: evt.type = open and\n  output: x\n", "bad.yaml:2:33: rule A: unexpected end, expected"),
        (b"- macro: A\n  condition: proc.name in (a\n", "bad.yaml:2:29: macro A: unexpected end, expected"),
        (b"\xff\xfe- rule", "bad.yaml: not UTF-8 at byte 0"),
        (b"a: b\n", "bad.yaml:1:1: a rules file is a list"),
        (b"- rule: A\n  foo: 1\n", "bad.yaml:1: rule 'A' has no condition"),
    ):
        bad.write_bytes(content)
        for command in ("retarget", "check", "expand", "syscalls"):
            code, out, err = rules(command, bad)
            if command in ("expand", "syscalls"):  # these read rules as they are, and macros that no rule uses not at all
                assert code == 2 or "macro A" in words
                continue
            assert code == 2 and out == "" and words in err and len(err.splitlines()) == 1, (command, content, err)
    for path, words in (
        (tmp_path, "Is a directory"), (tmp_path / "none", "No such file or directory"), (Path("/dev/zero"), f"more than {MAX_FILE} bytes"),
    ):  # fmt: skip
        code, _, err = rules("retarget", path)
        assert code == 2 and f"{path}: " in err and words in err and len(err.splitlines()) == 1
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "r.yaml").write_text("- list: a\n  items: [b]\n")
    code, _, err = rules("retarget", "-o", tmp_path / "out", file, tmp_path / "two" / "r.yaml")
    assert code == 2 and "two files are called r.yaml" in err
    code, _, err = rules("retarget", "--json", file)
    assert code == 2 and "--json needs -o FOLDER or --check" in err
    code, _, err = rules("retarget", "-o", file / "x", file)
    assert code == 2 and "Not a directory" in err
