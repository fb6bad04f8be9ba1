"""`ctl top` as an operator sees and steers it on a terminal, and as scripts take it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edera_falcod.ops.proto.ctl import Counter, GetStatusReply, GetTypesReply, ZoneStatus
from edera_falcod.ops.top import Look, Top
from edera_falcod.sim.player import Play
from tests.daemon.support import CAPTURE, DATA, FAST, World, consuming, until, world
from tests.support.terminal import Terminal, terminal

from .test_commands import ctl, fits


@asynccontextmanager
async def busy(tmp_path: Path) -> AsyncIterator[World]:
    """A zone that goes on for ever at its own pace, and one that has stopped."""
    async with world(tmp_path) as one:
        one.host.add_zone("busy", CAPTURE, Play(speed=0.2, loop=True))
        one.host.add_zone("quiet", DATA / "attack1.scap", FAST, limit=500)
        async with consuming(one):
            await until(lambda: len(one.daemon.pipelines.by_id) == 2 and one.account("quiet").received > 500)
            yield one


async def shown(screen: Terminal, condition: Callable[[list[str]], object]) -> list[str]:
    return await asyncio.to_thread(screen.until, condition)


def row(lines: list[str], name: str) -> list[str]:
    return next((line.split() for line in lines if line.split()[:1] == [name]), ["", "", "0", "0"])


def names(lines: list[str]) -> list[str]:
    """Of the zones, in order. What is seen may be a screen that is drawn as yet to a part: wait until it has what is expected."""
    return [" ".join(line.split()[:1]) for line in lines[3:5]]


async def test_on_a_terminal(tmp_path: Path) -> None:
    async with busy(tmp_path) as one:
        command = [sys.executable, "-m", "edera_falcod", "ctl", "top", "-i", "300ms", "--socket", one.config.ctl.socket]
        with terminal(command) as screen:
            lines = await shown(
                screen, lambda lines: row(lines, "busy")[1] == "live" and row(lines, "busy")[2] != "0" and names(lines)[1:] == ["quiet"]
            )
            assert lines[0].startswith("edera-falcod: well, up ") and "2 zones" in lines[0]
            assert lines[1].startswith("consumers: falco connected, ") and lines[1].endswith(" waiting")
            assert lines[2].split()[:3] == ["ZONE", "STATE", "EVENTS/Sv"]
            assert names(lines) == ["busy", "quiet"]  # busiest first
            assert lines[-1].startswith("z zones  t types") and len(lines) == 24

            screen.press("r")
            # Nothing may have come in one of the intervals: then both are the same
            lines = await shown(
                screen, lambda lines: "EVENTS/S^" in lines[2] and row(lines, "busy")[2] != "0" and names(lines) == ["quiet", "busy"]
            )
            screen.press("r<<")  # two columns to the left: by name
            await shown(screen, lambda lines: "ZONEv" in lines[2] and names(lines) == ["busy", "quiet"])

            screen.press("\x1b[B\x1b[B\r")  # the second zone's event types
            lines = await shown(screen, lambda lines: lines[2].startswith("of zone") and len(lines) > 6 and row(lines, "openat")[-1] != "0")
            codes = one.daemon.pipelines.by_id[one.host.zones["quiet"].id].codes
            assert sum(codes) == 500
            assert any(line.split()[0] == "openat" and line.split()[1] == "0" for line in lines[4:-1])
            screen.press("t")
            await shown(screen, lambda lines: lines[2] == "of all zones" and lines[4:] and lines[4].split()[1] != "0")
            screen.press("z")
            await shown(screen, lambda lines: row(lines, "quiet")[1] == "live")

            screen.resize(100, 30)
            await shown(screen, lambda lines: len(lines) == 30)
            screen.press("q")
            assert await asyncio.to_thread(screen.wait) == 0


async def test_a_daemon_that_goes_is_said_and_waited_for(tmp_path: Path) -> None:
    async with busy(tmp_path) as one:
        path = one.config.ctl.socket
        with terminal([sys.executable, "-m", "edera_falcod", "ctl", "top", "-i", "200ms", "--socket", path]) as screen:
            await shown(screen, lambda lines: row(lines, "busy")[1] == "live")
            os.rename(path, path + ".away")
            await shown(screen, lambda lines: lines[2].startswith(f"! {path}"[:70]))
            os.rename(path + ".away", path)
            await shown(screen, lambda lines: lines[2].startswith("ZONE"))
            screen.press("\x03")  # Ctrl-C
            assert await asyncio.to_thread(screen.wait) == 0


async def test_without_a_terminal(tmp_path: Path) -> None:
    async with busy(tmp_path) as one:
        code, out, err = await ctl(one, "top", "-i", "500ms")
        assert (code, err) == (0, "")
        fits(out)
        assert row(out.splitlines(), "busy")[1] == "live" and int(row(out.splitlines(), "busy")[2]) > 0
        assert row(out.splitlines(), "quiet")[2:4] == ["0", "0B"]
        _, out, _ = await ctl(one, "top", "-i", "200ms", "-n", "3", "--json")
        looks = [json.loads(line) for line in out.splitlines()]
        assert len(looks) == 3
        assert all(0 < look["seconds"] < 5 and look["by"] == "zone" for look in looks)
        assert [set(one) for one in looks[0]["rows"]] == [
            {
                "name",
                "id",
                "state",
                "events_per_second",
                "bytes_per_second",
                "lost_per_second",
                "percent",
                "threads",
                "files",
                "events",
                "lost",
            }
        ] * 2
        _, out, _ = await ctl(one, "top", "-i", "200ms", "-o", "name,lost", "--sort", "name", "--reverse")
        assert out == "quiet\t0\nbusy\t0\n"[: len(out)] or out == "busy\t0\nquiet\t0\n"
        _, out, _ = await ctl(one, "top", "-i", "200ms", "--zone", "quiet", "--sort", "events", "-o", "name,events")
        counts = [int(line.split("\t")[1]) for line in out.splitlines()]
        assert sum(counts) == 500 and counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("--sort", "threads", "--by", "type"), 2, "rows by type have name, events_per_second, percent, events"),
        (("--interval", "soon"), 2, "--interval soon: a time such as 1s"),
        (("-o", "nam"), 2, "there is no field nam; there are name, state"),
        (("--zone", "nope"), 1, "there is no zone 'nope'"),
        (("-n", "-1"), 2, "--count must not be negative"),
    ],
)
async def test_what_is_asked_wrongly_is_said(tmp_path: Path, args: tuple[str, ...], code: int, says: str) -> None:
    async with world(tmp_path) as one:
        found, out, err = await ctl(one, "top", *args)
        assert (found, out) == (code, "")
        assert says in err


def zone(name: str, received: int, dropped: int = 0) -> ZoneStatus:
    counters = [Counter("received", "", received), Counter("bytes", "", received * 100), Counter("dropped", "budget", dropped)]
    return ZoneStatus(id=name, name=name, state="live", threads=3, fds=4, counters=counters)


def looked(at: float, *zones: ZoneStatus, types: dict[str, int] | None = None) -> Look:
    counted = GetTypesReply([Counter(name, "", value) for name, value in types.items()]) if types is not None else None
    return Look(at, GetStatusReply(zones=list(zones)), counted)


def test_rates_are_of_the_time_between_two_looks() -> None:
    top = Top()
    top.take(looked(10.0, zone("a", 100), zone("b", 1000)))
    top.take(looked(12.0, zone("a", 700, dropped=40), zone("b", 1200), zone("new", 50)))
    rows = {row["name"]: row for row in top.rows()}
    assert [row["name"] for row in top.rows()] == ["a", "b", "new"]
    assert (rows["a"]["events_per_second"], rows["a"]["bytes_per_second"], rows["a"]["lost_per_second"]) == (300, 30_000, 20)
    assert rows["a"]["percent"] == 75.0 and rows["new"]["events_per_second"] == 0


def test_counters_that_fall_are_of_a_zone_that_came_anew() -> None:
    top = Top()
    top.take(looked(1.0, zone("a", 100)))
    top.take(looked(2.0, zone("a", 5)))
    assert top.rows()[0]["events_per_second"] == 0


def test_types() -> None:
    top = Top(by="type")
    top.take(looked(1.0, types={"open": 10, "close": 5}))
    assert [row["events_per_second"] for row in top.rows()] == [0, 0]
    top.take(looked(2.0, types={"close": 25, "open": 11, "read": 1}))
    assert [(row["name"], row["events_per_second"], row["events"]) for row in top.rows()] == [
        ("close", 20, 25),
        ("read", 1, 1),
        ("open", 1, 11),
    ]


def test_many_zones_fit_and_the_marked_one_is_in_sight() -> None:
    top = Top(sort="name")
    zones = [zone(f"zone-{number:03}-{'with-a-long-name' * 3}", number) for number in range(100)]
    top.take(looked(1.0, *zones))
    top.take(looked(2.0, *zones))
    for _ in range(30):
        top.press("\x1b[B")
    found = top.screen(24, 0.0, False)
    assert len(found) == 24 and all(len(line) <= 80 for line in found)
    assert any(line.startswith("zone-029") for line in found)
    assert not top.press("q")
