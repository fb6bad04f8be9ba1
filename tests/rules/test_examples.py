"""The rules in examples/: they load as they are, are what the tool makes today, and match what they speak of, in a real libsinsp."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from edera_falcod.rules.expand import Expansion
from edera_falcod.rules.retarget import Retarget
from edera_falcod.rules.ruleset import RulesFile, read
from tests.daemon.support import DATA, FAST, until, world
from tests.sinsp_host import Pair, Run, SinspHost, require_sinsp

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "rules"
FOR_ZONES = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "host.yaml")


@pytest.fixture(scope="module")
def host() -> SinspHost:
    return require_sinsp()


def file(name: str) -> RulesFile:
    return read(name, (FOLDER / name).read_text())


def pairs(*names: str) -> list[Pair]:
    expansion = Expansion()
    for name in names:
        expansion.add(file(name))
    found = expansion.all()
    assert all(rule.source == "edera_zone" for rule in found)
    return [Pair(rule.name, rule.condition, rule.output) for rule in found]


def test_there_are_examples() -> None:
    assert FOR_ZONES == ["host.zones.yaml", "notices.yaml", "zones.yaml"]


@pytest.mark.parametrize("name", FOR_ZONES)
def test_nothing_is_left_to_retarget(name: str) -> None:
    retarget = Retarget()
    assert retarget.file(file(name)) == (FOLDER / name).read_text()
    report = retarget.report
    assert report.carried and not (report.changes or report.left_out or report.warnings or report.untouched)


def test_the_retargeted_form_is_what_the_tool_makes() -> None:
    retarget = Retarget()
    assert retarget.file(file("host.yaml")) == (FOLDER / "host.zones.yaml").read_text()
    assert [change.entry for change in retarget.report.left_out] == ["rule Program downloaded as bytes"]
    assert len(retarget.report.carried) == 3 and not retarget.report.warnings


def test_every_rule_compiles(host: SinspHost) -> None:
    compiled = host.compile_pairs(pairs(*FOR_ZONES))
    assert [(pair.id, pair.where, pair.error) for pair in compiled if not pair.ok] == [] and len(compiled) == 14


async def test_they_match_what_they_speak_of(host: SinspHost, tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        zone = one.host.add_zone("shop", DATA / "attack1.scap", FAST)
        one.host.add_zone("net", DATA / "net1.scap", FAST)

        async def losses() -> None:
            await until(lambda: zone.id in one.daemon.pipelines.by_id)
            await until(lambda: one.daemon.pipelines.by_id[zone.id].account.received > 12_000, 40)
            one.host.cut("shop")  # in the middle of a message: a gap
            await until(lambda: zone.opened == 2)
            one.host.remove_zone("net")

        config = {"socket": one.config.falco.socket}
        running = asyncio.create_task(asyncio.to_thread(host.run, pairs(*FOR_ZONES), config, first=20, idle=2.5, time=50, fields=True))
        await losses()
        run: Run = await running
    counts = Counter(match.id for match in run.matches)
    for name in (
        "Write below etc in a zone", "Sensitive file read in a zone", "Outbound connection from a zone",
        "Shell reads from a socket in a zone", "Zone events may be missing", "Zone came or went",
    ):  # fmt: skip
        assert counts[name], (name, counts)
    kinds = {(match.fields or {})["edera.notice.kind"] for match in run.of("Zone came or went")}
    assert kinds == {"zone_live", "zone_reseeded", "zone_gone"}
    gap = run.of("Zone events may be missing")[0]
    assert (gap.fields or {})["edera.zone.name"] == "shop" and gap.output.startswith("Events may be missing (why=stream_")
    written = {(match.fields or {})["fd.name"] for match in run.of("Write below etc in a zone")}
    assert written and all(str(name).startswith("/etc/") for name in written)
