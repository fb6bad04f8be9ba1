"""ctl status as an operator sees it, of a running daemon."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import hpack
import pytest
from grpclib.exceptions import StreamTerminatedError

from edera_falcod.ops import command, status
from edera_falcod.ops.client import get_status
from edera_falcod.ops.proto.ctl import EderaLink
from edera_falcod.ops.systemd import Notifier
from tests.daemon.support import CAPTURE, FAST, consuming, until, world


async def ctl(path: str, *args: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edera_falcod", "ctl", "status", "--socket", path, *args, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_status_of_a_daemon_that_is_well(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("web-1", CAPTURE, FAST, limit=300)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 300)
            path = one.config.ctl.socket
            code, text = await ctl(path)
            assert code == 0
            assert text.startswith("edera-falcod 0.1.0: well; pid ")
            assert all(len(line) <= 80 for line in text.splitlines() if "falcod" in line or "web-1" in line or "falco " in line)
            (line,) = [line.split() for line in text.splitlines() if line.startswith("  web-1 ")]
            assert line[1] == "live" and line[4] == "302"
            (line,) = [line.split() for line in text.splitlines() if line.startswith("  falco ")]
            assert line[1] == "connected" and line[3] == "302" and line[6][-1] == "s"
            code, text = await ctl(path, "--json")
            assert code == 0
            found = json.loads(text)
            assert found["well"] is True
            assert found["edera"]["link"] == "up"
            (zone,) = found["zones"]
            assert (zone["name"], zone["state"], zone["tainted"]) == ("web-1", "live", False)
            assert zone["counters"]["received"] == 302 and zone["counters"]["notices"] == 2
            assert zone["threads"] > 0 and zone["fds"] > 0
            (falco,) = found["consumers"]
            assert falco["connected"] and falco["sent"] == 302
            assert falco["acknowledged"] + falco["counters"]["unacknowledged"] == 302


async def test_what_is_not_well_is_said_first_and_by_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "GRACE", 0.0)
    async with world(tmp_path) as one:
        one.host.add_zone("z", CAPTURE, FAST, limit=10)
        await until(lambda: one.daemon.zones.streams)
        await one.host.stop()
        await until(lambda: one.daemon.zones.link.value == "waiting")
        await asyncio.sleep(0.01)
        code, text = await ctl(one.config.ctl.socket)
        assert code == 1
        assert "NOT WELL" in text.splitlines()[0]
        problems = [line for line in text.splitlines() if line.startswith("  ! ")]
        assert any("no link to the Edera daemon" in line for line in problems)
        assert any("consumer falco is not connected" in line for line in problems)
        reply = await get_status(one.config.ctl.socket)
        assert EderaLink(reply.edera.link) == EderaLink.WAITING
        assert reply.edera.reason


async def test_gone_zones_are_added_up(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        zone = one.host.add_zone("brief", CAPTURE, FAST, limit=50)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 50)
            one.host.remove_zone("brief")
            await until(lambda: zone.id not in one.daemon.pipelines.by_id)
            reply = await get_status(one.config.ctl.socket)
            assert reply.zones == []
            assert command.total(reply.gone, "received") == 50 + 3


async def test_nonsense_on_the_ctl_socket_harms_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 1000):
            reader, writer = await asyncio.open_unix_connection(one.config.ctl.socket)
            writer.write(said)
            async with asyncio.timeout(5):
                await reader.read()
            writer.close()
        assert (await get_status(one.config.ctl.socket)).daemon.version


async def test_headers_that_are_no_text_end_a_connection_and_nothing_else(tmp_path: Path) -> None:
    """h2 raises UnicodeDecodeError for them, and grpclib lets it through."""
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with world(tmp_path) as one:
        reader, writer = await asyncio.open_unix_connection(one.config.ctl.socket)
        headers = hpack.Encoder().encode([(b":method", b"POST"), (b":path", b"/\xd0"), (b":scheme", b"http"), (b"te", b"trailers")])
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"))
        writer.write(len(headers).to_bytes(3, "big") + bytes.fromhex("010500000001") + headers)
        async with asyncio.timeout(5):
            while await reader.read(4096):
                pass
        writer.close()
        assert (await get_status(one.config.ctl.socket)).daemon.version
        assert one.daemon.ctl._server.broken == 1
    assert errors == []


async def test_a_daemon_that_stops_ends_calls(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        path = one.config.ctl.socket
        assert (await get_status(path)).daemon.pid
    with pytest.raises((OSError, StreamTerminatedError)):
        await get_status(path)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (9999, "9999"), (12_345, "12k"), (999_999, "999k"), (12_345_678, "12M"), (10**13, "10000G")]
)
def test_counts_fit(value: int, text: str) -> None:
    assert command.count(value) == text
    assert len(text) <= 6


def test_ages_fit() -> None:
    now = 1_000_000.0
    assert [command.ago(int((now - age) * 1e9), now) for age in (5, 65, 3700, 90_000)] == ["5s", "1m05s", "1h01m", "1d01h"]
    assert command.ago(0, now) == "-"


def test_the_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        notifier = Notifier()
        assert notifier.watchdog == 30.0
        notifier.send("READY=1")
        assert manager.recv(100) == b"READY=1"
    notifier.send("a manager that is gone is no reason to fail")
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert Notifier().watchdog == 0.0
