"""The choice of system calls, by rules, all, a list, the zones' own set or Falco's: what zones are asked for, what operators are told."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edera_falcod.rules.syscalls import all_codes, codes_by_type, name_of, state_codes
from edera_falcod.scap import tables as t
from edera_falcod.sim.host import SimZone
from tests.daemon.support import CAPTURE, FAST, World, consuming, until, world

RULE = """\
- macro: opened
  condition: evt.type in (open, openat, openat2)
- rule: Opened
  condition: opened and fd.name startswith /etc
  output: x
  priority: INFO
  source: edera_zone
- rule: Traced
  condition: evt.type = ptrace
  output: x
  priority: INFO
  source: edera_zone
- rule: Of the host
  condition: evt.type = mlock2
  output: x
  priority: INFO
- rule: Off
  condition: evt.type = keyctl
  output: x
  priority: INFO
  source: edera_zone
  enabled: false
- rule: Notices
  condition: edera.notice.kind = gap
  output: x
  priority: INFO
  source: edera_zone
"""


def codes(*names: str) -> set[int]:
    return {code for name in names for code in codes_by_type()[name]}


def asked_again(zone: SimZone, before: int) -> bool:
    return len(zone.requests) == before + 1


async def ctl(one: World, *args: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edera_falcod", "ctl", *args, "--socket", one.config.ctl.socket, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


def reconfigured(one: World, **edera: Any) -> Callable[[], Any]:
    """For ``Daemon.fresh``."""
    one.config = dataclasses.replace(one.config, edera=dataclasses.replace(one.config.edera, **edera))
    return lambda: one.config


async def test_the_rules_choose(tmp_path: Path) -> None:
    """What they name, and what state needs; a changed file takes effect on reload, on the stream that is open."""
    rules = tmp_path / "zone.yaml"
    rules.write_text(RULE)
    async with world(tmp_path, {"syscalls": "rules", "rules_files": (str(rules),)}) as one:
        zone = one.host.add_zone("shop", CAPTURE, FAST, limit=500)
        await until(lambda: zone.requests)
        asked = set(zone.requests[0])
        assert asked == state_codes() | codes("open", "openat", "openat2", "ptrace")
        assert not asked & codes("mlock2", "keyctl")

        code, text = await ctl(one, "syscalls")
        assert code == 0 and max(map(len, text.splitlines())) <= 80
        assert f"edera.syscalls = rules: {len(asked)} system calls, 4 rules read" in text
        assert "as chosen" in text
        (line,) = [line for line in text.splitlines() if line.split()[:1] == ["ptrace"]]
        assert line.split()[1:] == ["rule", "Traced"]
        (line,) = [line for line in text.splitlines() if line.split()[:1] == ["openat"]]
        assert line.split()[1:] == ["state,", "rule", "Opened"]

        one.daemon.fresh = reconfigured(one)
        rules.write_text(RULE.replace("ptrace", "mlock2"))
        code, _ = await ctl(one, "reload")
        assert code == 0
        await until(lambda: len(zone.requests) == 2)
        assert set(zone.requests[1]) == state_codes() | codes("open", "openat", "openat2", "mlock2") and zone.opened == 1
        code, text = await ctl(one, "syscalls", "--json")
        found = json.loads(text)
        assert found["choice"] == "rules" and not found["default"] and found["zones"][0]["as_chosen"]
        assert {entry["name"]: entry["reasons"] for entry in found["syscalls"]}["mlock2"] == ["rule Traced"]
        assert set(found["zones"][0]["syscalls"]) == {name_of(code) for code in zone.requests[1]}


async def test_rules_files_that_cannot_be_used(tmp_path: Path) -> None:
    """What was known stays in force, and operators are told what and where."""
    rules = tmp_path / "zone.yaml"
    rules.write_text(RULE)
    async with world(tmp_path, {"syscalls": "rules", "rules_files": (str(rules),)}) as one:
        zone = one.host.add_zone("shop", CAPTURE, FAST, limit=10)
        await until(lambda: zone.requests)
        one.daemon.fresh = reconfigured(one)
        rules.write_text("- rule: A\n  condition: [a\n")
        await ctl(one, "reload")
        code, text = await ctl(one, "syscalls")
        assert code == 1 and "zone.yaml:3:1: not YAML" in text.replace("\n    ", "")
        code, text = await ctl(one, "status")
        assert code == 1 and "rules files cannot be used" in text.replace("\n    ", "")
        assert len(zone.requests) == 1 and one.daemon.syscalls.codes
        rules.write_text(RULE.replace("source: edera_zone", "tags: [a]"))
        await ctl(one, "reload")
        assert "no rule of edera.rules_files is for source edera_zone" in one.daemon.syscalls.problems[0]
        rules.unlink()
        await ctl(one, "reload")
        assert "No such file" in one.daemon.syscalls.problems[0]
        rules.write_text(RULE)
        await ctl(one, "reload")
        assert one.daemon.syscalls.problems == [] and (await ctl(one, "syscalls"))[0] == 0


async def test_every_way_to_choose_on_a_running_daemon(tmp_path: Path) -> None:
    """Each change is an Update on the open stream; events of what is not asked for stay away."""
    async with world(tmp_path) as one:
        zone = one.host.add_zone("shop", CAPTURE, FAST, limit=5)
        await until(lambda: zone.requests == [()])
        text = (await ctl(one, "syscalls"))[1]
        assert "edera.syscalls = default: the zones' default set" in text and "as chosen" in text
        for choice, wanted in (
            ("all", set(all_codes())), ("state,openat", state_codes() | codes("openat")), ("close,mlock2", codes("close", "mlock2")),
            ("default", set()),
        ):  # fmt: skip
            before = len(zone.requests)
            one.daemon.fresh = reconfigured(one, syscalls=choice)
            assert (await ctl(one, "reload"))[0] == 0
            await until(functools.partial(asked_again, zone, before))
            assert set(zone.requests[-1]) == wanted, choice
        assert zone.opened == 1


async def test_only_what_is_asked_for_comes(tmp_path: Path) -> None:
    async with world(tmp_path, {"syscalls": "close,connect"}) as one:
        one.host.add_zone("shop", CAPTURE, FAST, limit=3000)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) > 50)
            (pipeline,) = one.daemon.pipelines.by_id.values()

            def kinds() -> set[bytes]:
                return {t.EVENTS[code].name for code, count in enumerate(pipeline.codes) if count}

            await until(lambda: {b"close", b"connect"} <= kinds())
            assert not kinds() & {b"openat", b"read", b"write", b"execve", b"clone"}


async def test_rules_that_need_more_are_told_of(tmp_path: Path) -> None:
    rules = tmp_path / "zone.yaml"
    rules.write_text(RULE + "- rule: Any\n  condition: proc.name = x\n  output: x\n  priority: INFO\n  source: edera_zone\n")
    async with world(tmp_path, {"syscalls": "openat", "rules_files": (str(tmp_path),)}) as one:
        one.host.add_zone("shop", CAPTURE, FAST, limit=5)
        code, text = await ctl(one, "syscalls", "--json")
        problems = json.loads(text)["problems"]
        assert code == 1 and problems[:3] == [
            "rule 'Opened' needs open, openat2, which zones are not asked for",
            "rule 'Traced' needs ptrace, which zones are not asked for",
            "rule 'Any' names no event type: it sees only what zones are asked for anyway",
        ]
        assert problems[3].startswith("what is known of processes and files needs ") and len(problems) == 4
        code, text = await ctl(one, "status")
        assert code == 1 and "(and 3 more: edera-falcod ctl syscalls)" in text.replace("\n    ", " ")


@pytest.mark.parametrize("choice", ["default", "mirror"])
async def test_the_plugins_option_is_enough(tmp_path: Path, choice: str) -> None:
    """mirror_host_syscalls works as with Edera's own plugin: nothing else has to be set. Of several Falcos each gets what it wants."""
    exits = codes("procexit")
    async with world(tmp_path, {"syscalls": choice}) as one:
        zone = one.host.add_zone("shop", CAPTURE, FAST, limit=5)
        await until(lambda: zone.requests == [()])
        assert bool(one.daemon.syscalls.problems) == (choice == "mirror")
        first, second = one.client(), one.client("second", ephemeral=True)
        await first.connect([59, 3])
        await until(lambda: set(zone.requests[-1]) == {3, 59} | exits)
        await second.connect([2])
        await until(lambda: set(zone.requests[-1]) == {2, 3, 59} | exits)
        assert one.daemon.syscalls.codes[59] == ["mirrored by falco"] and zone.opened == 1
        await second.close()
        await until(lambda: set(zone.requests[-1]) == {3, 59} | exits)
        await first.close()


async def test_another_choice_leaves_the_plugins_aside_and_says_so(tmp_path: Path) -> None:
    async with world(tmp_path, {"syscalls": "all"}) as one:
        zone = one.host.add_zone("shop", CAPTURE, FAST, limit=5)
        await until(lambda: zone.requests)
        client = one.client()
        await client.connect([59, 3])
        await until(lambda: one.daemon.syscalls.problems)
        assert one.daemon.syscalls.problems == ["mirror_host_syscalls of a consumer is left aside: edera.syscalls = all"]
        assert len(zone.requests) == 1 and set(zone.requests[0]) == all_codes()
        await client.close()
