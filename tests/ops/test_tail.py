"""`tail` as an operator uses it: conditions, formats, zones, counts, exit codes; of a running daemon."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.daemon.support import CAPTURE, FAST, World, until, world
from tests.sinsp.answers import answers
from tests.support.debug import said


@asynccontextmanager
async def tail(one: World, *args: str, command: tuple[str, ...] = ("ctl", "tail")) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running tail that the daemon has welcomed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edera_falcod", *command, *args, "--socket", one.config.falco.socket,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await until(lambda: any(name.startswith("tail-") for name in one.daemon.ring.consumers) or process.returncode is not None)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def wanted(*, cmd: str, zone: str = "web") -> list[str]:
    chosen = [one.fields for one in answers("net1") if one.fields["evt.type"] == "execve" and one.fields.get("evt.failed") is False]
    return [f"{zone} {fields['proc.cmdline']}" for fields in chosen if cmd in fields["proc.cmdline"]]


async def test_a_condition_and_a_format(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        condition = "evt.type = execve and evt.failed = false and proc.cmdline contains curl"
        lines = wanted(cmd="curl")
        assert len(lines) > 3
        async with tail(one, condition, "--no-notices", "-o", "%edera.zone.name %proc.cmdline", "-n", str(len(lines))) as process:
            one.host.add_zone("web", CAPTURE, FAST)
            out, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0 and said(err.decode()) == ""
        assert out.decode().splitlines() == lines


async def test_words_apart_zones_and_json(tmp_path: Path) -> None:
    """The shortcut without ctl; a zone that was not asked for is left out, and so are its notices."""
    async with world(tmp_path) as one:
        args = ("evt.type", "=", "execve", "and", "evt.failed", "=", "false", "--zone", "b", "--fields", "edera.zone.name,proc.cmdline")
        async with tail(one, *args, "--no-notices", "-n", "5", command=("tail",)) as process:
            one.host.add_zone("a", CAPTURE, FAST)
            one.host.add_zone("b", CAPTURE, FAST)
            out, _ = await asyncio.wait_for(process.communicate(), 30)
        found = [json.loads(line)["fields"] for line in out.splitlines()]
        assert [f"{fields['edera.zone.name']} {fields['proc.cmdline']}" for fields in found] == wanted(cmd="", zone="b")[:5]


async def test_notices_are_shown_whatever_the_condition_says(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        async with tail(one, "proc.name = nothing-of-that-name", "-n", "2") as process:
            one.host.add_zone("web", CAPTURE, FAST, limit=100)
            out, _ = await asyncio.wait_for(process.communicate(), 30)
        discovered, live = out.decode().splitlines()
        assert discovered == "-- zone web was discovered"
        assert live.startswith("-- zone web is live with ") and live.endswith(" threads")


async def test_a_daemon_that_goes_ends_it_where_that_is_asked(tmp_path: Path) -> None:
    async with world(tmp_path) as one, tail(one, "--no-wait") as process:
        one.daemon.stop.set()
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 2
        assert b"is the daemon running?" in err
