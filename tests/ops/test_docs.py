"""What docs/operate.md promises of shapes and shows of screens is what there is."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from edera_falcod.ops import shapes, top
from edera_falcod.ops.command import COMMANDS
from edera_falcod.ops.proto.ctl import (
    ConsumerStatus,
    GetHealthReply,
    GetStatusReply,
    GetSyscallsReply,
    GetZoneReply,
    Process,
    Syscall,
    ZoneHealth,
    ZoneStatus,
    ZoneStep,
    ZoneSyscalls,
)
from edera_falcod.ops.screen import status_text
from edera_falcod.ops.syscallcommand import syscalls_json
from edera_falcod.rules import names

ROOT = Path(__file__).resolve().parents[2]
PEER = ROOT.parent / "shared" / "spec" / "rust-plugin-fields.csv"
PAGE = (ROOT / "docs" / "operate.md").read_text()
ROWS: dict[str, str] = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", PAGE, re.MULTILINE))


def keys(found: object) -> set[str]:
    """All keys of an object and of what is in it."""
    if isinstance(found, dict):
        return set(found) | {key for value in found.values() for key in keys(value)}
    return {key for value in found for key in keys(value)} if isinstance(found, list) else set()


def named(*rows: str) -> set[str]:
    return {word for row in rows for word in re.findall(r"`([a-z_]+)`", ROWS[row])}


def test_every_command_has_its_shape() -> None:
    assert ROWS.keys() >= COMMANDS.keys() - {"tail"}  # whose objects are those of replay


def test_shapes_are_as_promised() -> None:
    zone = ZoneStatus(id="z")
    status = GetStatusReply(zones=[zone], consumers=[ConsumerStatus(name="falco")])
    assert keys(shapes.status_json(status)) <= named("status", "zones")
    assert keys(shapes.zone_detail_json(GetZoneReply(zone=zone, history=[ZoneStep(1, "a", "b", "c")]))) <= named("zones", "zone")
    assert set(shapes.ZONE_FIELDS) <= named("zones") and set(shapes.ZONE_DETAIL_FIELDS) <= named("zones", "zone")
    assert keys(shapes.process_json(Process(), True)) <= named("processes")
    assert keys(shapes.health_json(GetHealthReply(zones=[ZoneHealth()]))) <= named("health")
    assert keys(syscalls_json(GetSyscallsReply(syscalls=[Syscall(1, "a", [])], zones=[ZoneSyscalls("z")]))) <= named("syscalls")
    assert {*top.FIELDS["zone"], *top.FIELDS["type"]} <= named("top")


def picture(name: str) -> list[str]:
    found = re.search(rf"<!-- picture: {name} -->\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def test_pictures_are_of_these_commands() -> None:
    """Heads of tables as the code prints them now; `make pictures` takes them anew."""
    heads = [line for line in status_text(GetStatusReply(zones=[ZoneStatus(id="z")]), 0.0).splitlines() if "STATE" in line]
    assert len(heads) == 2 and set(heads) <= set(picture("status"))
    for name, by in (("top", "zone"), ("types", "type")):
        one = top.Top(by=by, sort="events_per_second")
        assert one.table(False)[0] in picture(name)
    for name in ("status", "top", "types", "zone", "tail"):
        assert all(len(line) <= 80 for line in picture(name))


def test_pages_that_are_linked_are_there() -> None:
    missing = []
    for page in [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text()
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, place = target.partition("#")
            if "://" in target:
                continue
            file = (page.parent / path).resolve() if path else page
            if not file.exists() or (place and place not in anchors(file.read_text())):
                missing.append(f"{page.name}: {target}")
    assert missing == []


def anchors(text: str) -> list[str]:
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads]


def test_the_dashboard_and_pictures_are_well_formed() -> None:
    from xml.etree import ElementTree

    for path in (ROOT / "docs" / "pictures").glob("*.svg"):
        ElementTree.fromstring(path.read_text())
    assert json.loads((ROOT / "examples" / "grafana-dashboard.json").read_text())


@pytest.mark.skipif(not PEER.exists(), reason="../shared is not here")
def test_every_field_of_the_rust_plugin_has_its_place_here() -> None:
    """Under the same name, or in the page's table of other names."""
    page = (ROOT / "docs" / "moving-from-the-rust-plugin.md").read_text()
    renamed = dict(re.findall(r"^\| `([a-z_.]+)[^`]*` \| `([a-z_.]+)[^`]*`", page, re.MULTILINE))
    with PEER.open() as lines:
        theirs = {row["name"] for row in csv.DictReader(lines)}
    assert len(theirs) > 150
    missing = {name for name in theirs if names.problem(renamed.get(name, name), None) and names.known(renamed.get(name, name)) is None}
    assert missing == set()
    assert {name for name in renamed if "exe_ino" in name} <= theirs
