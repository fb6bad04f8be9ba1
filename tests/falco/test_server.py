"""The server over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import grp
import os
import pwd
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from edera_falcod.config import Group, User
from edera_falcod.falco import frames
from edera_falcod.falco import server as server_module
from edera_falcod.falco.client import Client, ClientRefused, Disconnected
from edera_falcod.falco.listener import Access, Listener
from edera_falcod.falco.ring import LINE_TIME, Ring
from edera_falcod.falco.server import Registry, Server
from tests.support.peers import connect_as

from .mirror import Mirror
from .records import block, record

FIELDS = 10


def prefix_hash(fields: int) -> int:
    return 0x1000 + fields


class Daemon:
    """A ring and a server on a socket, with one zone."""

    def __init__(self, folder: Path, ring: Ring | None = None, access: Access | None = None) -> None:
        self.path = str(folder / "falco.sock")
        self.ring = ring if ring is not None else Ring()
        self.zone = self.ring.add_zone("z", "zone")
        self.listener = Listener(self.path)
        self.changes = 0
        self.server = Server(
            self.ring, Registry(FIELDS, prefix_hash), "9.9", structlog.get_logger(), time.time, access=access, changed=self._changed
        )

    def _changed(self) -> None:
        self.changes += 1

    def put(self, count: int = 1, body: bytes = b"", blocks: tuple = ()) -> None:  # type: ignore[type-arg]
        for _ in range(count):
            self.zone.received += 1
            self.ring.append(record(self.ring, self.zone.index, body, blocks))

    def client(self, name: str = "falco", fields: int = FIELDS, ephemeral: bool = False, acknowledge: bool = True) -> Client:
        return Client(self.path, name, fields, prefix_hash, "1.1", ephemeral=ephemeral, acknowledge=acknowledge)


def open_files() -> int:
    """Our open descriptors; /dev/null is left out, of which libuv keeps one as a reserve."""
    count = 0
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the folder itself
            count += os.readlink(f"/proc/self/fd/{fd}") != "/dev/null"
    return count


@contextlib.asynccontextmanager
async def running(folder: Path, ring: Ring | None = None, access: Access | None = None) -> AsyncIterator[Daemon]:
    """Checks at the end that nothing is left and all adds up."""
    files = open_files()
    daemon = Daemon(folder, ring, access)
    await daemon.server.start(daemon.listener.open())
    try:
        yield daemon
    finally:
        await daemon.server.close()
        daemon.listener.close()
    assert daemon.ring.verify() == []
    assert not any(consumer.attached for consumer in daemon.ring.consumers.values())
    assert os.listdir(folder) == []
    await asyncio.sleep(0)
    gc.collect()
    assert open_files() == files
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def collect(client: Client, count: int) -> list[int]:
    seqs: list[int] = []
    async with asyncio.timeout(10):
        while len(seqs) < count:
            seqs += [event.seq for event in await client.next()]
    return seqs


async def until(condition: object, seconds: float = 5.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110, there is no event for it
            await asyncio.sleep(0.005)


async def raw(path: str, data: bytes) -> bytes:
    """Say these bytes and read until the daemon closes."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_events_arrive_in_order_and_are_acknowledged(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = daemon.client()
        welcome = await client.connect()
        assert (welcome.fields, welcome.hash, welcome.software, welcome.acknowledged) == (FIELDS, prefix_hash(FIELDS), "9.9", 0)
        daemon.put(5000)
        assert await collect(client, 5000) == list(range(1, 5001))
        client.ack(5000)
        share = daemon.ring.consumers["falco"].shares[daemon.zone.index]
        await until(lambda: share.acknowledged == 5000)
        assert share.unacknowledged == share.waiting == 0
        await client.close()


async def test_what_was_not_acknowledged_comes_again_marked(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        consumer = daemon.ring.declare("falco")
        first = daemon.client(acknowledge=False)
        await first.connect()
        daemon.put(10)
        await collect(first, 10)
        first.ack(4)
        await until(lambda: consumer.acknowledged == 4)
        await first.close()
        await until(lambda: not consumer.attached)
        daemon.put(3)
        again = daemon.client()
        assert (await again.connect()).acknowledged == 4
        got: list[tuple[int, bool]] = []
        while len(got) < 9:
            got += [(event.seq, event.redelivered) for event in await again.next()]
        assert got == [(seq, seq <= 10) for seq in range(5, 14)]
        assert again.missing == 0
        await again.close()


async def test_blocks_are_defined_anew_on_each_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        thread = block(b"thread")
        for _ in range(2):
            reader, writer = await asyncio.open_unix_connection(daemon.path)
            writer.write(frames.encode_hello(frames.Hello("falco", FIELDS, prefix_hash(FIELDS), "t")))
            splitter = frames.Splitter(frames.MAX_FRAME)
            while not (got := splitter.feed(await reader.read(1 << 16))):
                pass
            mirror = Mirror(frames.decode_welcome(got[0].payload).acknowledged + 1)
            daemon.put(1, blocks=(thread,))
            mirror.feed(await reader.read(1 << 16))
            assert mirror.blocks == {thread.id: b"thread"}
            writer.write(frames.encode_ack(mirror.due - 1))
            writer.close()
            await writer.wait_closed()
            await until(lambda: not daemon.ring.consumers["falco"].attached)


async def test_several_consumers_each_get_everything(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        clients = [daemon.client(f"c{number}") for number in range(4)]
        for client in clients:
            await client.connect()
        daemon.put(3000)
        for got in await asyncio.gather(*[collect(client, 3000) for client in clients]):
            assert got == list(range(1, 3001))
        for client in clients:
            await client.close()


async def test_a_consumer_that_does_not_read_slows_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, Ring(budget=2 << 20)) as daemon:
        stuck, brisk = daemon.client("stuck"), daemon.client("brisk")
        await stuck.connect()
        await brisk.connect()
        got: list[int] = []
        for _ in range(60):
            daemon.put(100, b"x" * 1000)
            got += await collect(brisk, 100)
        assert got == list(range(1, 6001))
        slow = daemon.ring.consumers["stuck"]
        assert slow.shares[daemon.zone.index].lost() > 0
        assert slow.bytes <= slow.budget
        # When it reads again it gets what was kept, and is told of the rest.
        seen = await collect(stuck, slow.shares[daemon.zone.index].unacknowledged + slow.shares[daemon.zone.index].waiting)
        daemon.put(1)
        while stuck.due != daemon.ring.head + 1:
            seen += [event.seq for event in await stuck.next()]
        assert stuck.missing == 0
        assert len(seen) + stuck.shed == daemon.ring.head
        await stuck.close()
        await brisk.close()


async def test_a_second_connection_of_a_name_is_told_busy(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        first, second = daemon.client(), daemon.client()
        await first.connect()
        with pytest.raises(ClientRefused, match="falco is connected already") as refused:
            await second.connect()
        assert refused.value.code == frames.BUSY
        daemon.put(1)
        assert await collect(first, 1) == [1]
        await first.close()
        await until(lambda: not daemon.ring.consumers["falco"].attached)
        third = daemon.client()
        await third.connect()
        await third.close()


async def test_another_major_version_is_refused_with_both_named(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        answer = await raw(daemon.path, frames.encode_hello(frames.Hello("falco", 3, 4, "shim 7", major=7, minor=2)))
        (frame,) = frames.Splitter(frames.MAX_FRAME).feed(answer)
        code, text = frames.decode_refused(frame.payload)
        assert code == frames.VERSION
        assert "frames 7.2" in text and "edera-falcod 9.9 (frames 1.0" in text


async def test_a_broken_registry_prefix_is_refused_a_shorter_or_longer_one_served(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        answer = await raw(daemon.path, frames.encode_hello(frames.Hello("falco", FIELDS, 0xBAD, "shim 0.9")))
        (frame,) = frames.Splitter(frames.MAX_FRAME).feed(answer)
        code, text = frames.decode_refused(frame.payload)
        assert code == frames.REGISTRY
        assert "shim 0.9" in text and "9.9" in text and f"{0xBAD:016x}" in text
        for fields in (0, FIELDS - 3, FIELDS + 5):
            client = daemon.client(f"f{fields}", fields)
            await client.connect()
            await client.close()
        broken = Client(daemon.path, "longer", FIELDS + 5, lambda fields: 1, "2.2")
        with pytest.raises(ClientRefused, match="do not share"):
            await broken.connect()


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        frames.frame(frames.HELLO, b"EDFC"),
        frames.encode_ack(1),
        b"\xff" * 64,
    ],
)
async def test_nonsense_closes_only_its_own_connection(tmp_path: Path, said: bytes) -> None:
    async with running(tmp_path) as daemon:
        client = daemon.client()
        await client.connect()
        assert await raw(daemon.path, said) == b""
        assert daemon.server.broken == 1
        daemon.put(1)
        assert await collect(client, 1) == [1]
        await client.close()


async def test_an_acknowledgement_of_the_future_closes_the_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = daemon.client(acknowledge=False)
        await client.connect()
        daemon.put(1)
        await collect(client, 1)
        client.ack(2)
        with pytest.raises((Disconnected, ConnectionResetError)):
            await collect(client, 1)
        await client.close()
        assert daemon.ring.consumers["falco"].acknowledged == 0


async def test_silence_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HELLO_TIMEOUT", 0.05)
    async with running(tmp_path) as daemon:
        assert await raw(daemon.path, b"\x10\0") == b""
        assert daemon.server.broken == 1


async def test_strangers_cannot_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_STRANGERS", 3)
    async with running(tmp_path) as daemon:
        silent = [await asyncio.open_unix_connection(daemon.path) for _ in range(3)]
        await until(lambda: len(daemon.server.links) == 3)
        answer = await raw(daemon.path, b"")
        (frame,) = frames.Splitter(frames.MAX_FRAME).feed(answer)
        assert frames.decode_refused(frame.payload)[0] == frames.LIMIT
        for _, writer in silent:
            writer.close()


async def test_a_handshake_that_drips_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time counts from the connection on, not from the last byte."""
    monkeypatch.setattr(server_module, "HELLO_TIMEOUT", 0.2)
    async with running(tmp_path) as daemon:
        reader, writer = await asyncio.open_unix_connection(daemon.path)
        ended = asyncio.ensure_future(reader.read())
        hello = frames.encode_hello(frames.Hello("falco", FIELDS, prefix_hash(FIELDS), "t"))
        for byte in hello[:-1]:
            if ended.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionError):  # a byte may have been on its way
            assert await asyncio.wait_for(ended, 5) == b""
        assert daemon.server.broken == 1
        writer.close()


async def says(path: Path, uid: int, gid: int) -> int:
    """The type of the frame with which a user's HELLO is answered, or the reason of a refusal."""
    reader, writer = await asyncio.open_unix_connection(sock=connect_as(path, uid, gid))
    writer.write(frames.encode_hello(frames.Hello("falco", FIELDS, prefix_hash(FIELDS), "t")))
    splitter = frames.Splitter(frames.MAX_FRAME)
    answers: list[frames.Frame] = []
    async with asyncio.timeout(5):
        while not answers:
            answers = list(splitter.feed(await reader.read(65536)))
    writer.close()
    return frames.decode_refused(answers[0].payload)[0] if answers[0].type == frames.REFUSED else answers[0].type


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_who_is_not_on_the_list_is_denied(tmp_path: Path) -> None:
    """By the kernel's word for who connects; users and groups by their names."""
    access = Access(frozenset([User.number("daemon")]), frozenset([Group.number("adm")]))
    async with running(tmp_path, access=access) as daemon:
        os.chmod(daemon.path, 0o666)
        path = Path(daemon.path)
        someone, daemons, adms = 54321, pwd.getpwnam("daemon").pw_uid, grp.getgrnam("adm").gr_gid
        assert await says(path, someone, 54321) == frames.DENIED
        for uid, gid in ((daemons, 54321), (someone, adms), (0, 0)):
            assert await says(path, uid, gid) == frames.WELCOME
            await until(lambda: not daemon.server.links)
        assert daemon.server.refused["DENIED"] == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_socket_that_is_not_for_others_cannot_be_connected_to(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        with pytest.raises(PermissionError):
            connect_as(Path(daemon.path), 54321, 54321)
        assert daemon.server.links == set()


async def test_an_idle_connection_is_pinged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "PING_INTERVAL", 0.1)
    async with running(tmp_path) as daemon:
        reader, writer = await asyncio.open_unix_connection(daemon.path)
        writer.write(frames.encode_hello(frames.Hello("falco", FIELDS, prefix_hash(FIELDS), "t")))
        splitter = frames.Splitter(frames.MAX_FRAME)
        types: list[int] = []
        while types.count(frames.PING) < 3:
            types += [frame.type for frame in splitter.feed(await reader.read(1000))]
        assert types == [frames.WELCOME] + [frames.PING] * 3
        writer.close()
        await writer.wait_closed()
        await until(lambda: not daemon.server.links)


async def test_an_ephemeral_consumer_begins_now_and_leaves_no_trace(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        daemon.ring.declare("falco")
        daemon.put(5)
        tail = daemon.client("tail-1", ephemeral=True)
        await tail.connect()
        daemon.put(2)
        assert await collect(tail, 2) == [6, 7]
        await tail.close()
        await until(lambda: "tail-1" not in daemon.ring.consumers)


async def test_changes_of_the_mirrored_set_are_heard(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = daemon.client()
        await client.connect([5, 6])
        (link,) = daemon.server.links
        assert link.codes == [5, 6]
        before = daemon.changes
        client.mirror([7])
        await until(lambda: daemon.changes > before)
        assert link.codes == [7]
        await client.close()


async def test_events_shed_at_the_end_are_told_within_a_ping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "PING_INTERVAL", 0.1)
    async with running(tmp_path) as daemon:
        client = daemon.client()
        await client.connect()
        daemon.put(1)
        assert await collect(client, 1) == [1]
        daemon.zone.received += 2
        daemon.ring.skip(daemon.zone)
        daemon.ring.skip(daemon.zone)
        waiting = asyncio.create_task(client.next())
        await until(lambda: client.shed == 2 or client.due == 4)
        daemon.put(1)
        assert [event.seq for event in await waiting] == [4]
        await client.close()


async def test_close_sends_what_is_written_and_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = daemon.client()
        await client.connect()
        daemon.put(100)
        assert await daemon.server.drain(5.0)
        await daemon.server.close()
        assert await collect(client, 100) == list(range(1, 101))
        with pytest.raises(Disconnected):
            await client.next()
        await client.close()


async def test_a_passing_consumer_goes_on_where_the_others_are_stuck(tmp_path: Path) -> None:
    """Numbers are given out for those that last; once they are stuck, and `tail` acknowledges what it gets, they are given out to all."""
    async with running(tmp_path, Ring(budget=64 << 10)) as daemon:
        stuck, tail = daemon.client(acknowledge=False), daemon.client("tail-1", ephemeral=True)
        await stuck.connect()
        await tail.connect()
        for now in range(int(LINE_TIME) + 2):
            daemon.put(10)
            daemon.ring.tick(float(now))
        assert daemon.ring.lined == 0 < daemon.ring.head
        for _ in range(3):
            daemon.put()
            while tail.due <= daemon.ring.head:
                await tail.next()
            tail.ack(daemon.ring.head)
            await asyncio.sleep(0.02)
            daemon.put()
            assert daemon.ring.lined == 0
        await tail.close()
        await stuck.close()
