"""Every `ctl` command as an operator reads it and as a script does, of a running daemon."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from edera_falcod.ops import access, operations, text
from edera_falcod.ops.client import connected
from edera_falcod.ops.proto.ctl import GetProcessesRequest, GetZoneRequest, ReloadRequest, ResyncRequest, SetLogLevelRequest
from tests.daemon.support import CAPTURE, DATA, FAST, World, consuming, until, world
from tests.support.debug import said


async def ctl(one: World, *args: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edera_falcod", "ctl", *args, "--socket", one.config.ctl.socket,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), said(err.decode())


def fits(found: str) -> None:
    assert [line for line in found.splitlines() if len(line) > 80] == []
    assert "\x1b" not in found


async def test_zones_and_what_scripts_take_of_them(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        assert (await ctl(one, "zones"))[1].startswith("no zones are monitored")
        one.host.add_zone("web-1", CAPTURE, FAST, limit=200)
        one.host.add_zone("db", CAPTURE, FAST, limit=100)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 300)
            code, out, _ = await ctl(one, "zones")
            assert code == 0
            fits(out)
            assert [line.split()[:2] for line in out.splitlines()] == [["ZONE", "STATE"], ["web-1", "live"], ["db", "live"]]
            _, out, _ = await ctl(one, "zones", "-o", "name,state,tainted,counters.received,counters.undecodable")
            assert out == "web-1\tlive\tfalse\t202\t0\ndb\tlive\tfalse\t102\t0\n"
            _, out, _ = await ctl(one, "zones", "--json")
            assert [zone["name"] for zone in json.loads(out)] == ["web-1", "db"]
            code, out, err = await ctl(one, "zones", "-o", "name,stat")
            assert code == 2 and out == ""
            assert "there is no field stat; there are id, name, state," in err


async def test_a_zone_with_its_past(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        zone = one.host.add_zone("web-1", CAPTURE, FAST, limit=200)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 200)
            code, out, _ = await ctl(one, "zone", "web-1")
            assert code == 0
            fits(out)
            assert out.startswith(f"Zone       web-1 ({zone.id})")
            assert "State      live for" in out and "1 snapshots" in out
            because = [line.split()[2:4] for line in out[out.index("  WHEN") :].splitlines()[1:]]
            assert because == [["opening", "start"], ["seeding", "opened"], ["live", "snapshot"]]
            code, out, _ = await ctl(one, "zone", zone.id[:8], "--json")
            found = json.loads(out)
            assert found["state"] == "live" and found["snapshots"] == 1
            assert sum(found["types"].values()) == 200  # notices are not of the zone
            assert list(found["types"].values()) == sorted(found["types"].values(), reverse=True)
            assert [step["state"] for step in found["history"]] == ["opening", "seeding", "live"]
            _, out, _ = await ctl(one, "zone", "web-1", "-o", "id,types.openat")
            assert out.split("\t")[0] == zone.id
            code, _, err = await ctl(one, "zone", "nope")
            assert code == 1
            assert "there is no zone 'nope'; there are web-1" in err


async def test_the_event_types_are_those_of_the_capture(tmp_path: Path) -> None:
    from tests.daemon.test_daemon import recorded

    async with world(tmp_path) as one:
        one.host.add_zone("a", DATA / "attack1.scap", FAST, limit=500)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == len(recorded(DATA / "attack1.scap", 500)))
            codes = next(iter(one.daemon.pipelines.by_id.values())).codes
            types = operations.types(codes)
            assert sum(codes) == sum(one.value for one in types) == 500
            assert {one.name for one in types} >= {"openat", "execve", "close"}


async def test_processes_are_a_tree(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("p", DATA / "procs1.scap", FAST, limit=300)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 300)
            state = next(iter(one.daemon.pipelines.by_id.values())).state
            alive = {t.pid for t in state.threads.values() if t.is_main() and not t.is_dead() and not t.is_invalid()}
            _, out, _ = await ctl(one, "processes", "p", "--json")
            found = json.loads(out)
            assert {process["pid"] for process in found} == alive
            assert all("args" not in process for process in found)
            depth = {process["pid"]: process["depth"] for process in found}
            seen: set[int] = set()
            for process in found:  # a parent comes before its children, and one step above
                if process["ppid"] in depth and process["depth"]:
                    assert process["ppid"] in seen
                    assert process["depth"] == depth[process["ppid"]] + 1
                seen.add(process["pid"])
            assert any(process["depth"] > 1 for process in found)
            _, out, _ = await ctl(one, "processes", "p")
            fits(out)
            assert len(out.splitlines()) == len(alive) + 1
            _, out, _ = await ctl(one, "processes", "p", "--arguments", "--json")
            args = {process["pid"]: process["args"] for process in json.loads(out)}
            thread = next(t for t in state.threads.values() if t.args.items and t.pid in args)
            assert args[thread.pid][0].encode() == thread.args.items[0][: operations.MAX_SHOWN_TEXT]


async def test_many_processes_come_in_pages_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "PAGE", 2)
    monkeypatch.setattr(operations, "MAX_PROCESSES", 5)
    async with world(tmp_path) as one:
        one.host.add_zone("p", DATA / "procs1.scap", FAST, limit=300)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 300)
            async with connected(one.config.ctl.socket) as stub:
                pages = [page async for page in stub.get_processes(GetProcessesRequest("p"))]
            assert [len(page.processes) for page in pages] == [2, 2, 1]
            assert pages[0].left_out == pages[0].total - 5 > 0


async def test_resync(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        for name in ("a", "b"):
            one.host.add_zone(name, CAPTURE, FAST, limit=20)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 40)
            code, out, _ = await ctl(one, "resync", "a")
            assert code == 0 and out.startswith("asked for a new snapshot of: a\n")
            await until(lambda: one.host.zones["a"].opened == 2)
            assert one.host.zones["b"].opened == 1
            _, out, _ = await ctl(one, "resync", "--all", "--json")
            assert json.loads(out) == {"zones": ["a", "b"]}
            await until(lambda: one.host.zones["b"].opened == 2)
            code, _, err = await ctl(one, "resync", "c")
            assert code == 1 and "there is no zone 'c'" in err
            code, _, err = await ctl(one, "resync")
            assert code == 2


async def test_log_level(tmp_path: Path) -> None:
    from edera_falcod import log

    before = log.THRESHOLD.level
    try:
        async with world(tmp_path) as one:
            code, out, _ = await ctl(one, "log-level", "debug")
            assert code == 0 and out.startswith(f"log level debug (before: {before})")
            assert log.THRESHOLD.level == "debug"
            code, _, err = await ctl(one, "log-level", "loud")
            assert code == 1
            assert "'loud' is no level; there are debug, info, warning, error" in err
    finally:
        log.set_level(before)


def test_a_logger_that_is_bound_follows_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    import structlog

    from edera_falcod import log

    before = log.THRESHOLD.level
    try:
        log.configure("info", "json")
        logger = log.get("test")
        logger.debug("first")
        log.set_level("debug")
        logger.debug("second")
        log.set_level("error")
        logger.warning("third")
        logger.error("fourth")
        lines = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
        assert lines == ["second", "fourth"]
    finally:
        structlog.reset_defaults()
        log.set_level(before)


async def test_version(tmp_path: Path) -> None:
    async with world(tmp_path) as one, consuming(one):
        code, out, _ = await ctl(one, "version")
        assert code == 0
        assert [line.split()[0] for line in out.splitlines()] == ["ctl", "daemon", "consumer"]
        _, out, _ = await ctl(one, "version", "--json")
        found = json.loads(out)
        assert found["ctl"]["registry"] == found["daemon"]["registry"]
        assert found["consumers"][0]["name"] == "falco"


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("status", "-o", "well,edera.link,registry.frames"), "true\tup\t1.0"),
        (("health", "-o", "live,ready"), "true\ttrue"),
        (("version", "-o", "daemon.version,daemon.frames"), "0.1.0\t1.0"),
        (("syscalls", "-o", "choice,default,rules"), "default\ttrue\t0"),
    ],
)
async def test_fields_of_the_whole(tmp_path: Path, args: tuple[str, ...], line: str) -> None:
    async with world(tmp_path) as one:
        await until(lambda: one.daemon.zones.link.value == "up")
        code, out, err = await ctl(one, *args)
        assert (code, out, err) == (0, line + "\n", "")


async def test_health(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("a", CAPTURE, FAST, limit=20)
        await until(lambda: one.host.zones["a"].opened and one.account("a").received >= 20)
        code, out, _ = await ctl(one, "health")
        assert code == 0
        assert [line.split()[:2] for line in out.splitlines()] == [["live", "yes"], ["ready", "yes"], ["zone", "a"]]
        await one.host.stop()
        await until(lambda: one.daemon.zones.link.value == "waiting")
        assert (await ctl(one, "health", "--live"))[0] == 0
        code, out, _ = await ctl(one, "health", "--ready", "--json")
        assert code == 1
        found = json.loads(out)
        assert found["live"] and not found["ready"]
        assert "the Edera daemon does not answer" in found["waiting"][0]


async def test_without_a_daemon_errors_say_what_to_do(tmp_path: Path) -> None:
    one = World(tmp_path)
    code, out, err = await ctl(one, "zones")
    assert (code, out) == (2, "")
    assert "no such socket; is the daemon running?" in err
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(one.config.ctl.socket)
    code, _, err = await ctl(one, "zones")
    assert code == 2 and "nobody listens; the daemon has died" in err


async def test_who_may_only_look_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access.Admins, "trusted", lambda admins, peer: False)
    async with world(tmp_path) as one:
        one.host.add_zone("a", CAPTURE, FAST, limit=20)
        await until(lambda: one.host.zones["a"].opened)
        async with connected(one.config.ctl.socket) as stub:
            assert (await stub.get_zone(GetZoneRequest("a"))).zone.name == "a"
            for call in (
                stub.resync(ResyncRequest("a")),
                stub.set_log_level(SetLogLevelRequest("debug")),
                stub.reload(ReloadRequest()),
            ):
                with pytest.raises(GRPCError) as refused:
                    await call
                assert refused.value.status is Status.PERMISSION_DENIED
            with pytest.raises(GRPCError, match="only look"):
                [page async for page in stub.get_processes(GetProcessesRequest("a", True))]
            assert [page async for page in stub.get_processes(GetProcessesRequest("a"))]
        assert one.host.zones["a"].opened == 1
    assert {"Resync", "SetLogLevel", "Reload", "Record"} <= access.CHANGING


def test_colour_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not text.coloured()
    leader, follower = pty.openpty()
    try:
        with os.fdopen(follower, "w") as terminal:
            monkeypatch.setattr(sys, "stdout", terminal)
            monkeypatch.setenv("TERM", "xterm")
            monkeypatch.delenv("NO_COLOR", raising=False)
            assert text.coloured()
            monkeypatch.setenv("NO_COLOR", "1")
            assert not text.coloured()
            monkeypatch.undo()
    finally:
        os.close(leader)


@pytest.mark.parametrize(
    ("rows", "fields", "lines"),
    [
        ([{"a": 1, "b": {"c": True}}], "a,b.c", ["1\ttrue"]),
        ([{"a": "x\ty\x1b[31m", "b": {}}], "a,b.later", ["x?y?[31m\t0"]),
        ([{"a": [1, 2], "b": {"c": 3, "d": 4}}], "b,a", ["c=3,d=4\t1,2"]),
        ([], "a", []),
    ],
)
def test_fields_for_scripts(rows: list[dict[str, Any]], fields: str, lines: list[str]) -> None:
    assert text.select(rows, fields, ("a", "b")) == lines


@pytest.mark.parametrize("value", [0, 999, 1000, 1023, 10_000, 1 << 20, (1 << 20) - 1, 1 << 30, 1 << 43])
def test_sizes_fit(value: int) -> None:
    assert len(text.size(value)) <= 9
