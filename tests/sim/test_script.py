"""Scripts of the simulated host: what they may say, and that each command does what it says."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edera_falcod.sim import command
from edera_falcod.sim.host import SimHost
from edera_falcod.sim.player import AtEnd, Play, Reopen
from edera_falcod.sim.script import COMMANDS, Quit, ScriptError, do, options, parse, run_lines

from .support import CAPTURE, Reader


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[SimHost]:
    async with SimHost(tmp_path / "edera.sock") as host:
        yield host


def test_lines_and_times() -> None:
    lines = parse(["# nothing", "", "2s hotplug web # then", "+500ms fail web 'out of memory'", "1m quit"], "file")
    assert [(line.at, line.words, line.where) for line in lines] == [
        (2.0, ("hotplug", "web"), "file:3"),
        (2.5, ("fail", "web", "out of memory"), "file:4"),
        (60.0, ("quit",), "file:5"),
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("hotplug web", "'hotplug' is not a time"),
        ("3 hotplug web", "'3' is not a time"),
        ("3s", "'nothing' is not a command"),
        ("3s explode web", "'explode' is not a command; there are add, remove"),
        ("3s hotplug", "use: hotplug NAME"),
        ("3s malformed web nonsense", "'nonsense' is none of garbage"),
        ("3s fail 'web", "No closing quotation"),
        ("3s add web x.scap pace=fast", "pace 'fast' is none of recorded, max, or a factor"),
        ("3s add web x.scap pace=0x", "pace '0x'"),
        ("3s add web x.scap loop=maybe", "'loop=maybe': use NAME CAPTURE"),
        ("3s add web x.scap colour=red", "'colour=red'"),
        ("3s add web x.scap limit=many", "'limit=many'"),
    ],
)
def test_wrong_lines_are_named(line: str, text: str) -> None:
    with pytest.raises(ScriptError, match=r"^file:1: ") as caught:
        parse([line], "file")
    assert text in str(caught.value)


def test_options_of_a_zone() -> None:
    play, rest = options(["pace=4x", "loop=yes", "packing=single", "end=exit", "reopen=continue", "limit=3", "state=created"], "x")
    assert play == Play(4.0, True, True, AtEnd.EXIT, Reopen.CONTINUE)
    assert rest == {"limit": "3", "state": "created"}
    base = Play(speed=0)
    assert options(["loop=yes"], "x", base)[0] == Play(speed=0, loop=True)
    assert base == Play(speed=0), "others are not changed"


async def test_each_command(host: SimHost) -> None:
    lines = parse(
        [
            f"0s add web {CAPTURE} pace=max limit=20",
            f"0s add db {CAPTURE} limit=5 state=creating",
            "0s state db ready",
            "0s annotate web a=b 'c=d e'",
            "0s workload web front nginx:1 privileged=yes x=y",
            "0s unload web front",
            "0s workload web back redis",
        ],
        "t",
    )
    told: list[str] = []
    await run_lines(host, lines, Play(speed=0), told.append)
    assert told[2] == "state db ready"
    web, db = host.zones["web"], host.zones["db"]
    assert (len(web.feed or ()), len(db.feed or ()), db.state.name) == (20, 5, "READY")
    assert web.annotations == {"a": "b", "c": "d e"}
    assert [(one.name, one.image) for one in web.workloads] == [("back", "redis")]
    async with Reader(host, "web") as reader:
        await reader.read(20)
        await run_lines(host, parse(["0s stall web", "0s resume web", "0s hotplug web"], "t"))
        await reader.read(21)
        await run_lines(host, parse(["0s end web"], "t"))
        await reader.read(100)
        reader.call.status()
    async with Reader(host, "web") as reader:
        await reader.read(20)
        await run_lines(host, parse(["0s malformed web compressed", "10ms cut web"], "t"))
        await reader.read(100)
        assert reader.splitter.fault is not None
    await run_lines(host, parse(["0s fail web broken", "0s remove db 3", "0s deaf"], "t"))
    assert (web.state.name, web.error, "db" in host.zones, host.hears.is_set()) == ("FAILED", "broken", False, False)
    await run_lines(host, parse(["0s deaf no", "0s stop", "0s start"], "t"))
    assert host.hears.is_set() and host.running
    with pytest.raises(Quit):
        await run_lines(host, parse(["0s quit"], "t"))


async def test_what_cannot_be_done_is_said(host: SimHost) -> None:
    for text, error in (
        ("hotplug nobody", "t:1: there is no zone named 'nobody'"),
        ("add z /does/not/exist", "No such file or directory"),
        ("add z /etc/hostname", "t:1: add z /etc/hostname: "),
        ("remove z x", "invalid literal"),
    ):
        with pytest.raises(ScriptError) as caught:
            if text.startswith("remove"):
                host.add_zone("z", None)
            await do(host, parse([f"0s {text}"], "t")[0])
        assert error in str(caught.value)


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(list(words))


async def test_the_command_runs_until_its_time_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script"
    script.write_text("100ms hotplug web\n")
    words = ["--socket", str(tmp_path / "s"), "--zone", f"web={CAPTURE},limit=5", "--pace", "max", "--script", str(script)]
    code = await command.serve(arguments(*words, "--at", "200ms", "remove web", "--duration", "300ms"), asyncio.Event())
    assert code == 0
    told = capsys.readouterr().err
    for text in ("zone web", "5 events", f"listening on {tmp_path}/s, 1 zones", "hotplug web", "remove web"):
        assert text in told
    assert not (tmp_path / "s").exists()


async def test_the_command_ends_when_told(tmp_path: Path) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(command.serve(arguments("--socket", str(tmp_path / "s"), "--at", "1m", "quit"), stop))
    await asyncio.sleep(0.1)
    assert (tmp_path / "s").exists()
    stop.set()
    assert await task == 0
    code = await command.serve(arguments("--socket", str(tmp_path / "s"), "--at", "50ms", "quit"), asyncio.Event())
    assert code == 0


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--zone", "web"], 2, "--zone web: use NAME=CAPTURE"),
        (["--zone", "web=/none"], 2, "No such file or directory"),
        (["--pace", "quick"], 2, "--pace: pace 'quick'"),
        (["--script", "/none"], 2, "--script /none: "),
        (["--duration", "long"], 2, "--duration: 'long' is not a time"),
        (["--at", "1s", "explode"], 2, "'explode' is not a command"),
        (["--at", "10ms", "hotplug nobody"], 1, "there is no zone named 'nobody'"),
    ],
)
async def test_what_is_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, text: str) -> None:
    assert await command.serve(arguments("--socket", str(tmp_path / "s"), *words), asyncio.Event()) == code
    assert text in capsys.readouterr().err


async def test_a_socket_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command.serve(arguments("--socket", str(tmp_path / "none" / "s")), asyncio.Event()) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_help_names_every_command() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert all(f"\n  {name} " in parser.format_help() for name in COMMANDS)
