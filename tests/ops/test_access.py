"""Who may do what through the ctl socket, and what a caller may take of the daemon."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded

from edera_falcod.falco.listener import Peer
from edera_falcod.ops import ctl
from edera_falcod.ops.access import SERVICE, Admins
from edera_falcod.ops.client import connected
from edera_falcod.ops.proto.ctl import CtlStub, GetStatusRequest, SetLogLevelRequest
from tests.daemon.support import World, until, world
from tests.support.peers import connect_as

OTHER = os.geteuid() + 12345


@pytest.mark.parametrize(
    ("uid", "gids", "good"),
    [(0, (), True), (os.geteuid(), (), True), (OTHER, (), False), (OTHER, (7, 8), False), (OTHER, (7, 50), True), (OTHER, (50,), True)],
)
def test_root_the_daemons_own_user_and_admins_are_trusted(uid: int, gids: tuple[int, ...], good: bool) -> None:
    assert Admins(frozenset({50, 60})).trusted(Peer(1, uid, frozenset(gids))) is good


async def set_level(folder: Path, uid: int, gid: int) -> Status:
    """What becomes of an order of theirs; they can look in any case."""
    sock = connect_as(folder / "ctl.sock", uid, gid)
    channel = Channel(path="/unused")

    async def made() -> object:
        return (await asyncio.get_running_loop().create_unix_connection(channel._protocol_factory, sock=sock))[1]

    channel._create_connection = made  # type: ignore[assignment,method-assign]
    stub = CtlStub(channel)
    try:
        assert (await stub.get_status(GetStatusRequest())).daemon.version
        await stub.set_log_level(SetLogLevelRequest("info"))
        return Status.OK
    except GRPCError as error:
        return error.status
    finally:
        channel.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_member_of_an_admin_group_may_change_things_and_others_may_look(tmp_path: Path) -> None:
    """Through the real socket, by what the kernel says of the caller; and a reload changes who they are."""
    async with world(tmp_path) as one:
        os.chmod(one.config.ctl.socket, 0o666)
        assert await set_level(tmp_path, 65534, 4242) is Status.PERMISSION_DENIED
        one.daemon.fresh = lambda: replace(one.config, ctl=replace(one.config.ctl, admin_groups=("4242",)))
        assert one.daemon.reload().applied == ["ctl.admin_groups"]
        assert await set_level(tmp_path, 65534, 4242) is Status.OK
        assert await set_level(tmp_path, 65534, 4243) is Status.PERMISSION_DENIED
        assert await set_level(tmp_path, 0, 4243) is Status.OK


def headers(method: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"), (":scheme", "http"), (":path", SERVICE + method), (":authority", "x"), ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]  # fmt: skip


class Caller:
    """An HTTP/2 client that does as it likes."""

    def __init__(self, one: World) -> None:
        self.path = one.config.ctl.socket
        self.h2 = H2Connection(H2Configuration(client_side=True))
        self.ended = 0

    async def open(self) -> Caller:
        self.reader, self.writer = await asyncio.open_unix_connection(self.path)
        self.h2.initiate_connection()
        self.send()
        return self

    def send(self) -> None:
        self.writer.write(self.h2.data_to_send())

    async def read(self, seconds: float = 5.0) -> bool:
        """Take what comes; False once the daemon has closed."""
        async with asyncio.timeout(seconds):
            try:
                data = await self.reader.read(65536)
            except ConnectionResetError:
                return False
        if data:
            self.ended += sum(isinstance(event, StreamEnded) for event in self.h2.receive_data(data))
            self.send()
        return bool(data)

    async def closed(self) -> None:
        while await self.read():
            pass
        self.writer.close()


async def well(one: World) -> None:
    async with connected(one.config.ctl.socket) as stub:
        assert (await stub.get_status(GetStatusRequest())).daemon.version


async def test_a_request_has_a_limit(tmp_path: Path) -> None:
    """A prefix may announce four gigabytes; what comes of them costs no more than a few windows."""
    async with world(tmp_path) as one:
        caller = await Caller(one).open()
        caller.h2.send_headers(1, headers("GetZone"))
        caller.h2.send_data(1, b"\0\xff\xff\xff\xff" + bytes(1000))
        caller.send()
        sent = 1000
        while await caller.read():
            while (room := min(caller.h2.local_flow_control_window(1), caller.h2.max_outbound_frame_size)) > 0:
                caller.h2.send_data(1, bytes(room))
                sent += room
            caller.send()
        caller.writer.close()
        assert ctl.MAX_REQUEST <= sent < 4 * ctl.MAX_REQUEST
        await well(one)


async def test_headers_have_a_limit(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        caller = await Caller(one).open()
        while caller.h2.remote_settings.max_header_list_size != ctl.MAX_HEADERS:
            assert await caller.read()
        caller.h2.send_headers(1, [*headers("GetStatus"), *[(f"x-{n}", "x" * 1000) for n in range(100)]])
        caller.send()
        await caller.closed()
        await well(one)


async def test_connections_have_a_limit(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        callers = [await Caller(one).open() for _ in range(ctl.MAX_CONNECTIONS)]
        await until(lambda: len(one.daemon.ctl._server.connections) == ctl.MAX_CONNECTIONS)
        with socket.socket(socket.AF_UNIX) as another:
            another.setblocking(False)
            await asyncio.get_running_loop().sock_connect(another, one.config.ctl.socket)
            while await asyncio.wait_for(asyncio.get_running_loop().sock_recv(another, 65536), 5):
                pass
        assert one.daemon.ctl._server.refused == 1
        callers[0].writer.close()
        await until(lambda: len(one.daemon.ctl._server.connections) < ctl.MAX_CONNECTIONS)
        await well(one)
        for caller in callers[1:]:
            caller.writer.close()


@pytest.mark.parametrize("begun", [False, True])
async def test_who_asks_for_nothing_or_never_ends_asking_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool) -> None:
    monkeypatch.setattr(ctl, "IDLE_TIMEOUT", 0.2)
    async with world(tmp_path) as one:
        caller = await Caller(one).open()
        if begun:
            caller.h2.send_headers(1, headers("GetStatus"))
            caller.send()
        await caller.closed()
        await well(one)


async def test_who_calls_now_and_then_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctl, "IDLE_TIMEOUT", 0.3)
    async with world(tmp_path) as one, connected(one.config.ctl.socket) as stub:
        for _ in range(8):
            await stub.get_status(GetStatusRequest())
            await asyncio.sleep(0.1)
        assert len(one.daemon.ctl._server.connections) == 1


async def test_calls_at_a_time_have_a_limit(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        caller = await Caller(one).open()
        while caller.h2.remote_settings.max_concurrent_streams != ctl.MAX_STREAMS:
            assert await caller.read()
        caller.h2.remote_settings[3] = 100  # MAX_CONCURRENT_STREAMS: we do as if we had not heard
        caller.h2.remote_settings.acknowledge()
        for number in range(ctl.MAX_STREAMS + 1):
            caller.h2.send_headers(2 * number + 1, headers("GetStatus"))
        caller.send()
        await caller.closed()
        await well(one)


async def test_frames_of_an_extension_are_ignored(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        caller = await Caller(one).open()
        caller.writer.write(b"\0\0\4\xbe\0\0\0\0\0abcd")  # type 0xbe
        caller.h2.send_headers(1, headers("GetStatus"))
        caller.h2.send_data(1, bytes(5), end_stream=True)
        caller.send()
        while not caller.ended:
            assert await caller.read()
        caller.writer.close()


async def test_what_may_not_be_done_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Admins, "trusted", lambda admins, peer: False)
    async with world(tmp_path) as one, connected(one.config.ctl.socket) as stub:
        with pytest.raises(GRPCError, match=r"ctl\.admin_groups") as refused:
            await stub.set_log_level(SetLogLevelRequest("debug"))
        assert refused.value.status is Status.PERMISSION_DENIED
