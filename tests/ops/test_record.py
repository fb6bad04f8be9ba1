"""`ctl record` of a running daemon: what is in the file, what is not, and that it plays again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from edera_falcod.ops import record
from edera_falcod.ops.client import connected
from edera_falcod.ops.proto.ctl import RecordRequest
from edera_falcod.scap import redact
from edera_falcod.scap.recording import Recording
from edera_falcod.sim.encode import Encoder
from edera_falcod.sim.feed import Feed, Recorded, playable, unpacked
from edera_falcod.sim.host import SimHost
from edera_falcod.sim.player import Play, Reopen
from edera_falcod.turns import Turns
from tests.daemon.support import CAPTURE, DATA, FAST, World, consuming, until, world
from tests.support.debug import said

from .test_commands import ctl, fits

EXECS = DATA / "attack1.scap"
PART = 3000  # events that are recorded


async def run(*args: str) -> tuple[int, bytes, str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "edera_falcod", *args, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 50)
    return process.returncode or 0, out, said(err.decode())


async def recorded(one: World, path: Path, *args: str, capture: Path = EXECS) -> tuple[int, str, str]:
    """Record a zone that plays the first events of a capture, again after the reseed with which a recording begins, then exits."""
    one.host.add_zone("web-1", capture, Play(speed=0, reopen=Reopen.RESTART), limit=PART)
    async with consuming(one) as consumer:
        await until(lambda: len(consumer.events) == PART)
        task = asyncio.create_task(ctl(one, "record", "web-1", "-o", str(path), *args))
        await until(lambda: len(consumer.events) == 2 * PART)
        await asyncio.sleep(0.3)  # what was sent to the consumer was shown to the recording before
        one.host.remove_zone("web-1")
        return await task


def fields(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line)["fields"] for line in lines.splitlines()]


ASKED = "evt.type,evt.res,proc.name,proc.cmdline,proc.args,proc.env,fd.name,evt.buffer,proc.pname,proc.aname[2],proc.vpid"


async def test_it_plays_again_without_secrets(tmp_path: Path) -> None:
    """What replay shows of the recording is what it shows of the capture, but for what is redacted."""
    path = tmp_path / "web-1.rec"
    async with world(tmp_path) as one:
        code, out, err = await recorded(one, path)
    assert (code, err) == (0, "")
    fits(out)
    assert out.splitlines()[0].startswith(f"the zone is gone: {PART + 1} replies of web-1, ")
    assert "redacted: arguments, environment, buffers" in out
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("rb") as stream:
        found = Recording(stream)
        assert found.facts["zone"]["name"] == "web-1"
        assert found.facts["redacted"] == ["arguments", "environment", "buffers"]
        assert len(list(found.replies())) == PART + 1 and not found.cut

    code, text, err = await run("replay", str(path), "--json", "--fields", ASKED)
    assert (code, err) == (0, "")
    _, answer, _ = await run("replay", str(EXECS), "--json", "--fields", ASKED, "--as-zone")
    mine, theirs = fields(text), fields(answer)[:PART]
    assert len(mine) == PART
    secrets = 0
    for one_, other in zip(mine, theirs, strict=True):
        for name in ("evt.type", "evt.res", "proc.name", "fd.name", "proc.pname", "proc.aname[2]", "proc.vpid"):
            assert one_.get(name) == other.get(name), (name, one_, other)
        assert set(one_.get("proc.args", "").replace(" ", "")) <= {"x"}
        assert len(one_.get("proc.args", "")) == len(other.get("proc.args", ""))
        assert set(one_.get("evt.buffer", "")) <= {"x"}
        assert len(one_.get("proc.env", "")) == len(other.get("proc.env", ""))
        assert {c for item in one_.get("proc.env", "").split(" ") for c in item.rpartition("=")[2]} <= {"x"}
        secrets += bool(one_.get("proc.args")) + bool(one_.get("evt.buffer")) + bool(one_.get("proc.env"))
    assert secrets > 100
    sent = Feed(EXECS, "z", limit=PART)
    plain = sent.snapshot() + b"".join([sent.event(index) for index in range(PART)])
    for word in (b"--", b"HOME=/root", b"ELF"):  # of arguments, environments, and what was read
        assert word in plain and word not in path.read_bytes()


async def test_with_everything_kept_it_is_what_the_zone_sent(tmp_path: Path) -> None:
    path = tmp_path / "web-1.rec.gz"
    async with world(tmp_path) as one:
        code, out, _ = await recorded(one, path, "--keep-arguments", "--keep-environment", "--keep-buffers", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["replies"] == PART + 1 and found["redacted"] == [] and found["ended"] == "the zone is gone"
    with unpacked(path) as stream:
        replies = list(Recording(stream).replies())
    zone = SimHost(tmp_path / "unused").add_zone("web-1", EXECS, FAST, limit=PART)
    assert isinstance(zone.feed, Feed)
    shift = zone.feed.last - zone.feed.first + 1_000_000_000  # the second lap's times are later
    assert replies[0] == zone.feed.snapshot(shift)[5:]
    assert replies[1:] == [zone.feed.event(index, shift)[5:] for index in range(PART)]


async def test_limits_and_refusals(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("web-1", CAPTURE, Play(speed=0, loop=True), limit=2000)
        async with consuming(one):
            path = tmp_path / "r"
            code, out, _ = await ctl(one, "record", "web-1", "-o", str(path), "--max-size", "300KiB", "--json")
            found = json.loads(out)
            assert code == 0 and found["ended"] == "the size that was asked for is reached"
            assert 250 << 10 < found["bytes"] == path.stat().st_size <= 300 << 10
            code, _, err = await ctl(one, "record", "web-1", "-o", str(path))
            assert code == 2 and "is there already; give another name, or --force" in err
            code, out, _ = await ctl(one, "record", "web-1", "-o", str(path), "--force", "--for", "300ms")
            assert out.startswith("the time is over: ")
            code, _, err = await ctl(one, "record", "nope", "-o", str(tmp_path / "s"))
            assert code == 1 and "there is no zone 'nope'" in err and not (tmp_path / "s").exists()
            code, _, err = await ctl(one, "record", "web-1", "-o", str(tmp_path / "s"), "--for", "long")
            assert code == 2 and "--for takes a time such as 30s" in err
            await until(lambda: not any(stream.taps for stream in one.daemon.zones.streams.values()))


async def test_ctrl_c_ends_it_with_a_good_file(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("web-1", CAPTURE, FAST, limit=500)
        path = tmp_path / "r"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edera_falcod", "ctl", "record", "web-1", "-o", str(path), "--socket", one.config.ctl.socket,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await until(lambda: path.exists() and path.stat().st_size > 0 and one.account("web-1").received > 900)
        process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 0
        assert out.startswith(b"stopped: ")
        assert isinstance(playable(path, "x"), Recorded)
        await until(lambda: not any(stream.taps for stream in one.daemon.zones.streams.values()))


async def test_a_caller_that_does_not_read_costs_no_more_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tap = record.Tap()
    monkeypatch.setattr(record, "MAX_PENDING", 100)
    tap([b"\x12event", b"\x1asnapshot of whatever size" * 50, b"\x12late"])
    assert list(tap.waiting) == [b"\x1asnapshot of whatever size" * 50]
    assert tap.lost == 1
    tap.take()
    tap([b"\x12" + b"e" * 60, b"\x12" + b"e" * 60])
    assert (len(tap.waiting), tap.size, tap.lost) == (1, 61, 2)


async def test_others_have_their_turn_while_a_snapshot_is_redacted() -> None:
    """A snapshot of many threads would stop all zones, and ctl, for as long as it is redacted."""
    feed = Feed(CAPTURE, "z", limit=1)
    message = Encoder("z").snapshot(feed._threads * 10, feed.boot_epoch)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    found = await record.redacted(message, redact.ALL, Turns(0.0))
    other.cancel()
    assert turns >= len(feed._threads) * 10 // record.THREADS
    assert found == redact.redact(message, redact.ALL) != message


async def test_only_so_many_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MAX_RECORDINGS", 0)
    async with world(tmp_path) as one:
        one.host.add_zone("web-1", CAPTURE, FAST, limit=20)
        await until(lambda: one.host.zones["web-1"].opened)
        async with connected(one.config.ctl.socket) as stub:
            with pytest.raises(GRPCError, match="there are already 0 recordings") as refused:
                [chunk async for chunk in stub.record(RecordRequest("web-1"))]
            assert refused.value.status is Status.RESOURCE_EXHAUSTED


async def test_sim_plays_it_with_later_times(tmp_path: Path) -> None:
    """A recording as a zone of the simulated host, twice over."""
    path = tmp_path / "web-1.rec"
    async with world(tmp_path) as one:
        await recorded(one, path)
    (tmp_path / "again").mkdir()
    async with world(tmp_path / "again") as one:
        one.host.add_zone("old", path, Play(speed=0, reopen=Reopen.RESTART))
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == PART)
            await ctl(one, "resync", "old")
            await until(lambda: len(consumer.events) == 2 * PART)
            first, second = consumer.of("old")[:PART], consumer.of("old")[PART:]
            assert [tid for _, tid in first] == [tid for _, tid in second]
            assert len({later - ts for (ts, _), (later, _) in zip(first, second, strict=True)}) == 1
        assert os.stat(path).st_size > 100_000
