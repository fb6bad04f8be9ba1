"""A simulated Edera host: the daemon's control service on a unix socket, with zones that play captures.

It answers as edera-control-protocol.md says the real one does (sections 1 to 5), and does on command what the real one does when it
pleases: zones come, go and fail, CPUs change, streams break, the daemon restarts, stalls, or sends nonsense.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, cast, final

import grpclib.const
import grpclib.server
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import H2Protocol
from h2.exceptions import H2Error
from h2.settings import SettingCodes

from ..edera.control import (
    MONITOR,
    AnnotationSpec,
    ControlServiceBase,
    EnvironmentVariableSpec,
    GetHostStatusReply,
    GetHostStatusRequest,
    ListImagesReply,
    ListImagesRequest,
    ListWorkloadsReply,
    ListWorkloadsRequest,
    ListZonesReply,
    ListZonesRequest,
    MonitorZoneKernelEventReply,
    MonitorZoneKernelEventRequest,
    MountSpec,
    OciImageFormat,
    OciImageInfo,
    OciImageMetadata,
    OciImageSpec,
    ProcessSpec,
    WatchEventsReply,
    WatchEventsRequest,
    Workload,
    WorkloadChangedEvent,
    WorkloadSecuritySpec,
    WorkloadSpec,
    WorkloadState,
    WorkloadStatus,
    Zone,
    ZoneChangedEvent,
    ZoneErrorStatus,
    ZoneExitStatus,
    ZoneNetworkInterfaceStatus,
    ZoneNetworkIp,
    ZoneNetworkIpVersion,
    ZoneNetworkStatus,
    ZoneSpec,
    ZoneState,
    ZoneStatus,
    monitor_request,
)
from ..scap.capture import Interface
from ..scap.recording import framed
from .feed import Playable, playable
from .player import Play, Player, Progress
from .sender import Sender

NAMESPACE: Final = uuid.UUID("5b0e6f6e-5f2b-4a53-9d57-ed0e5a000000")  # zone and workload ids are made of their names

DRAIN_POLL: Final = 0.01  # seconds; grpclib tells nobody when a transport has sent all it had

READY: Final = ZoneState(ZoneState.READY)
_DESTROYED: Final = ZoneState(ZoneState.DESTROYED)
_FAILED: Final = ZoneState(ZoneState.FAILED)
_FORMAT: Final = OciImageFormat(OciImageFormat.EROFS)

# What `malformed` can send, for each kind the bytes of the stream.
MALFORMED: Final[dict[str, bytes]] = {
    "garbage": framed(b"\xff" * 64),  # a message that is not protobuf
    "empty": framed(b""),  # neither event nor snapshot
    "event": framed(b"\x12\x03\x48\xff\x7f"),  # an event code that does not exist
    "snapshot": framed(b"\x1a\x05\x0a\x7f\x08\x01\x12"),  # a snapshot whose thread is longer than itself
    "compressed": b"\x01\x00\x00\x00\x04\x12\x02\x48\x00",
    "huge": b"\x00\xff\xff\xff\xff\x12\x00",  # a message of 4 GiB is announced
    "huge-snapshot": b"\x00\xff\xff\xff\xff\x1a\x00",
}


@dataclass(slots=True)
class SimWorkload:
    """A workload of a zone and its image. ``id``: by default made of both names. ``created_at``: ns since the epoch."""

    name: str
    image: str = ""  # reference, as in ListImages
    digest: str = ""
    id: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    mounts: tuple[tuple[str, str], ...] = ()  # host path, target path
    privileged: bool = False
    created_at: int = 0
    image_config: bytes = b""  # OCI config, JSON
    running: bool = True


@final
class SimZone:
    """A zone of the simulated host. Change it through ``SimHost``, so that those who watch are told."""

    def __init__(self, name: str, domid: int, play: Play, zone_id: str) -> None:
        self.name = name
        self.id = zone_id
        self.domid = domid
        self.state = READY
        self.exit_code: int | None = None
        self.error = ""
        self.annotations: dict[str, str] = {}
        self.interfaces: list[Interface] = []
        self.host = "simulated"
        self.workloads: list[SimWorkload] = []
        self.play = play
        self.feed: Playable | None = None
        self.progress = Progress()
        self.players: list[Player] = []
        self.refuses = False  # its streams are refused
        self.opened = 0  # streams, ever
        self.requests: list[tuple[int, ...]] = []  # system call sets of all updates
        self.stopped = 0  # streams that were ended by Stop
        self.created_at = datetime.now(UTC)

    def message(self) -> Zone:
        status = ZoneStatus(
            state=self.state,
            network_status=ZoneNetworkStatus(interfaces=_interfaces(self.interfaces)),
            host=self.host,
            domid=self.domid,
            created_at=self.created_at,
        )
        if self.state == READY:
            status.ready_at = self.created_at
        if self.exit_code is not None:
            status.exit_status = ZoneExitStatus(code=self.exit_code)
        if self.error:
            status.error_status = ZoneErrorStatus(message=self.error)
        spec = ZoneSpec(
            name=self.name,
            kernel=OciImageSpec(digest="sha256:" + "ke" * 32, format=_FORMAT),
            annotations=[AnnotationSpec(key=key, value=value) for key, value in self.annotations.items()],
        )
        return Zone(id=self.id, spec=spec, status=status)


def _interfaces(interfaces: Iterable[Interface]) -> list[ZoneNetworkInterfaceStatus]:
    found: dict[str, ZoneNetworkInterfaceStatus] = {}
    for interface in interfaces:
        name = interface.name.decode("utf-8", "replace")
        address = ip_address(interface.address)
        prefix = int.from_bytes(interface.netmask, "big").bit_count()
        version = ZoneNetworkIpVersion.from_string(f"V{address.version}")
        entry = found.setdefault(name, ZoneNetworkInterfaceStatus(zone_interface=name, host_interface=f"vif-{name}", mtu=1500))
        entry.ips.append(ZoneNetworkIp(version=version, address=f"{address}/{prefix}"))
    return list(found.values())


class _Protocol(H2Protocol):
    """grpclib's, known to the host so that it can cut it, and with as many streams as the host allows."""

    def __init__(self, host: SimHost, server: _Server, *args: Any) -> None:
        super().__init__(*args)
        self._host = host
        self._server = server
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = transport
        self._host._transports.add(transport)
        if self._host._server is not self._server:  # accepted just before the socket was closed; the host may listen anew by now
            cast(asyncio.WriteTransport, transport).abort()
            return
        self.connection._connection.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self._host.max_streams})
        self.connection.flush()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.connection.resume_writing()  # grpclib's own calls would wait for it for ever, and the host for them
        if self._transport is not None:
            self._host._transports.discard(self._transport)
            self._host._all_closed.set()


class _Server(grpclib.server.Server):
    def __init__(self, host: SimHost) -> None:
        super().__init__([host])
        self._host = host

    def _protocol_factory(self) -> H2Protocol:
        plain = super()._protocol_factory()
        return _Protocol(self._host, self, plain.handler, plain.config, plain.h2_config)

    async def accept_no_more(self) -> None:
        """asyncio forgets to close a connection that it has accepted and not set up yet when its server is closed: whoever made it
        waits for an answer for ever. So let those be set up first. uvloop does not let its sockets be touched, and needs no help."""
        loop = asyncio.get_running_loop()
        for sock in cast(asyncio.Server, self._server).sockets:
            with suppress(RuntimeError):
                loop.remove_reader(sock.fileno())
        for _ in range(3):
            await asyncio.sleep(0)


@final
class SimHost(ControlServiceBase):
    """The host. ``path``: of its socket. ``page``: zones, workloads and images in one reply of a list. ``max_streams``: calls that
    it allows on one connection."""

    def __init__(self, path: str | Path, *, page: int = 50, max_streams: int = 200) -> None:
        self.path = Path(path)
        self.page = page
        self.max_streams = max_streams
        self.zones: dict[str, SimZone] = {}  # by name
        self.lacks: set[str] = set()  # calls of lists and of the host's status that this daemon does not have
        self.domid = 0
        self.removed: list[tuple[str, int, Progress]] = []  # name, streams opened, what was sent
        self.leaving = False  # no more streams are opened
        self.hears = asyncio.Event()  # not set: calls are taken and not answered
        self.hears.set()
        self._all_closed = asyncio.Event()
        self._transports: set[asyncio.BaseTransport] = set()
        self._watchers: set[asyncio.Queue[WatchEventsReply]] = set()
        self._server: _Server | None = None
        self._next_domid = 1

    # ---- the host's life

    @property
    def running(self) -> bool:
        return self._server is not None

    @property
    def watchers(self) -> int:
        """Open WatchEvents streams."""
        return len(self._watchers)

    async def start(self) -> None:
        """Listen. Raises ``OSError``."""
        if self._server is not None:
            return
        self._unlink()
        self.leaving = False
        server = self._server = _Server(self)
        try:
            await server.start(path=str(self.path))
        except BaseException:
            self._server = None
            raise

    async def stop(self) -> None:
        """Close all connections at once and stop listening, as a daemon that is killed. Zones stay as they are."""
        server, self._server = self._server, None
        if server is None:
            return
        await server.accept_no_more()
        server.close()
        for transport in list(self._transports):
            cast(asyncio.WriteTransport, transport).abort()  # uvloop's is no instance of it
        await server.wait_closed()
        while self._transports:
            self._all_closed.clear()
            await self._all_closed.wait()
        self._unlink()

    async def drain(self, seconds: float) -> None:
        """End all streams in an orderly way and open no others, as a daemon that is shut down: wait until what was begun has been sent
        and has left us, but no longer than ``seconds``. Stalled streams stay as they are. ``stop`` comes next."""
        self.leaving = True
        players = [player for zone in self.zones.values() for player in zone.players if not player.paused]
        for player in players:
            player.finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not all(player.ended for player in players) or any(  # noqa: ASYNC110, see DRAIN_POLL
                    cast(asyncio.WriteTransport, transport).get_write_buffer_size() for transport in self._transports
                ):
                    await asyncio.sleep(DRAIN_POLL)

    async def restart(self, seconds: float = 0.0) -> None:
        """Stop, and listen again after ``seconds``."""
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start()

    async def __aenter__(self) -> SimHost:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _unlink(self) -> None:
        with suppress(FileNotFoundError):
            self.path.unlink()

    # ---- zones

    def add_zone(
        self,
        name: str,
        capture: str | Path | None = None,
        play: Play | None = None,
        *,
        zone_id: str = "",
        state: str = "ready",
        domid: int | None = None,
        limit: int = 0,
        annotations: dict[str, str] | None = None,
    ) -> SimZone:
        """A new zone that plays ``capture`` (at most ``limit`` events of it, 0: all); without one, its streams stay silent.

        Raises ``ValueError`` for a name that is taken, ``OSError`` and ``CaptureError`` for the capture.
        """
        if name in self.zones:
            raise ValueError(f"there is already a zone named {name}")
        zone = SimZone(name, self._next_domid if domid is None else domid, play or Play(), zone_id or str(uuid.uuid5(NAMESPACE, name)))
        self._next_domid += 1
        zone.state = ZoneState.from_string(state.upper())
        zone.annotations = dict(annotations or {})
        if capture is not None:
            zone.feed = playable(capture, zone.id, limit=limit)
            zone.interfaces = zone.feed.interfaces
        self.zones[name] = zone
        self.announce(zone)
        return zone

    def set_state(self, name: str, state: str) -> None:
        """The zone is now in ``state`` (a ZoneState, such as creating or ready); its streams go on. Raises ``ValueError``."""
        zone = self.zones[name]
        zone.state = ZoneState.from_string(state.upper())
        self.announce(zone)

    def remove_zone(self, name: str, code: int = 0) -> None:
        """The zone exits: it is announced, its streams end, and it is no longer listed."""
        zone = self.zones.pop(name)
        self.removed.append((name, zone.opened, zone.progress))
        zone.state = _DESTROYED
        zone.exit_code = code
        self.announce(zone)
        for player in zone.players:
            player.finish()

    def fail_zone(self, name: str, error: str = "out of memory") -> None:
        """The zone fails: it stays listed as failed, its streams break off."""
        zone = self.zones[name]
        zone.state = _FAILED
        zone.error = error
        self.announce(zone)
        self.cut(name)

    def announce(self, zone: SimZone) -> None:
        """Tell those who watch what the zone is like now."""
        self._tell(WatchEventsReply(zone_changed=ZoneChangedEvent(zone=zone.message())))

    def _tell(self, reply: WatchEventsReply) -> None:
        for queue in self._watchers:
            queue.put_nowait(reply)

    # ---- streams

    def hotplug(self, name: str) -> None:
        """The zone's CPUs change: its streams say so."""
        zone = self.zones[name]
        if zone.feed is not None:
            index = min(zone.progress.index, len(zone.feed) - 1)
            now = zone.feed.time(index) + zone.progress.shift if index >= 0 else 0
            self.push(name, zone.feed.hotplug(now))
            zone.progress.events += len(zone.players)

    def push(self, name: str, data: bytes) -> None:
        """Send these bytes on the zone's streams next: messages with their prefixes, or nonsense."""
        for player in self.zones[name].players:
            player.push(data)

    def malformed(self, name: str, kind: str = "garbage") -> None:
        """Send something that is wrong: a key of ``MALFORMED``."""
        self.push(name, MALFORMED[kind])

    def cut(self, name: str) -> None:
        """Break the zone's streams off in the middle of a message."""
        for player in self.zones[name].players:
            player.cut()

    def end(self, name: str) -> None:
        """End the zone's streams in an orderly way."""
        for player in self.zones[name].players:
            player.finish()

    def stall(self, name: str) -> None:
        """Send nothing on the zone's streams until ``resume``."""
        for player in self.zones[name].players:
            player.pause()

    def resume(self, name: str) -> None:
        for player in self.zones[name].players:
            player.resume()

    # ---- workloads

    def add_workload(self, name: str, workload: SimWorkload) -> None:
        """Add a workload to the zone ``name``."""
        zone = self.zones[name]
        workload.id = workload.id or str(uuid.uuid5(NAMESPACE, f"{zone.name}/{workload.name}"))
        workload.digest = workload.digest or f"sha256:{uuid.uuid5(NAMESPACE, workload.image).hex * 2}"
        zone.workloads.append(workload)
        self._tell(WatchEventsReply(workload_changed=WorkloadChangedEvent(workload=_workload(zone, workload))))

    def remove_workload(self, name: str, workload: str) -> None:
        """A workload of the zone ``name`` is gone."""
        zone = self.zones[name]
        found = next(one for one in zone.workloads if one.name == workload)
        zone.workloads.remove(found)
        found.running = False
        self._tell(WatchEventsReply(workload_changed=WorkloadChangedEvent(workload=_workload(zone, found))))

    # ---- the service

    async def _called(self, method: str) -> None:
        await self.hears.wait()
        if method in self.lacks:
            raise GRPCError(Status.UNIMPLEMENTED, f"{method} is not implemented")

    async def get_host_status(self, get_host_status_request: GetHostStatusRequest) -> GetHostStatusReply:
        await self._called("GetHostStatus")
        return GetHostStatusReply(
            host_uuid=str(uuid.uuid5(NAMESPACE, "host")), host_domid=self.domid, protect_version="0.0.0-simulated", host_ipv4="192.0.2.1"
        )

    async def list_zones(self, list_zones_request: ListZonesRequest) -> AsyncIterator[ListZonesReply]:
        await self._called("ListZones")
        zones = [zone.message() for zone in self.zones.values()]
        for at in range(0, max(len(zones), 1), self.page):
            yield ListZonesReply(zones=zones[at : at + self.page])

    async def list_workloads(self, list_workloads_request: ListWorkloadsRequest) -> AsyncIterator[ListWorkloadsReply]:
        await self._called("ListWorkloads")
        workloads = [_workload(zone, workload) for zone in self.zones.values() for workload in zone.workloads]
        for at in range(0, max(len(workloads), 1), self.page):
            yield ListWorkloadsReply(workloads=workloads[at : at + self.page])

    async def list_images(self, list_images_request: ListImagesRequest) -> AsyncIterator[ListImagesReply]:
        await self._called("ListImages")
        images: dict[str, OciImageInfo] = {}
        for zone in self.zones.values():
            for workload in zone.workloads:
                image = images.setdefault(workload.digest, OciImageInfo(digest=workload.digest, format=_FORMAT))
                if workload.image and workload.image not in image.names:
                    image.names.append(workload.image)
                if workload.image_config:
                    image.metadata = OciImageMetadata(config=workload.image_config)
        found = list(images.values())
        for at in range(0, max(len(found), 1), self.page):
            yield ListImagesReply(images=found[at : at + self.page])

    async def watch_events(self, watch_events_request: WatchEventsRequest) -> AsyncIterator[WatchEventsReply]:
        queue: asyncio.Queue[WatchEventsReply] = asyncio.Queue()
        self._watchers.add(queue)
        try:
            while True:
                reply = await queue.get()
                await self.hears.wait()
                yield reply
        finally:
            self._watchers.discard(queue)

    def __mapping__(self) -> dict[str, grpclib.const.Handler]:
        mapping: dict[str, grpclib.const.Handler] = super().__mapping__()
        mapping[MONITOR] = grpclib.const.Handler(
            self._monitor, grpclib.const.Cardinality.STREAM_STREAM, MonitorZoneKernelEventRequest, MonitorZoneKernelEventReply
        )
        return mapping

    async def _monitor(self, stream: Any) -> None:
        """MonitorZoneKernelEvents; replies are ready-made bytes, so it works below the generated code."""
        await self.hears.wait()
        request = await stream.recv_message()
        if request is None:
            return
        zone = next((zone for zone in self.zones.values() if zone.id == request.zone_id), None)
        if self.leaving:
            raise GRPCError(Status.UNAVAILABLE, "the daemon is shutting down")
        if zone is None:
            raise GRPCError(Status.NOT_FOUND, f"zone {request.zone_id} not found")
        if zone.refuses:
            raise GRPCError(Status.FAILED_PRECONDITION, f"zone {zone.id} has no agent")
        asked, syscalls = monitor_request(request)
        if asked != "update":
            raise GRPCError(Status.INVALID_ARGUMENT, "the first request must be an update")
        await stream.send_initial_metadata()
        zone.opened += 1
        zone.requests.append(syscalls)
        if zone.feed is None:
            await self._follow(stream, zone, None)
            return
        player = Player(zone.feed, zone.play, zone.progress, Sender(stream), syscalls)
        zone.players.append(player)
        try:
            async with asyncio.TaskGroup() as group:
                follower = group.create_task(self._follow(stream, zone, player))
                leaver = group.create_task(self._leave(zone, player))
                with suppress(H2Error, KeyError):  # the other side has closed the stream
                    await player.run()
                follower.cancel()
                leaver.cancel()
        finally:
            zone.players.remove(player)
            player.ended = True

    async def _follow(self, stream: Any, zone: SimZone, player: Player | None) -> None:
        """Read the requests of a stream to their end."""
        while True:
            request = await stream.recv_message()
            asked, syscalls = monitor_request(request) if request is not None else ("", ())
            if asked == "update":
                zone.requests.append(syscalls)
                if player is not None:
                    player.update(syscalls)
            elif request is None or asked == "stop":
                zone.stopped += asked == "stop"
                if player is not None:
                    player.finish()
                return

    async def _leave(self, zone: SimZone, player: Player) -> None:
        """Let the zone exit when its capture is over, if that is how it is played."""
        await player.exited.wait()
        if self.zones.get(zone.name) is zone:
            self.remove_zone(zone.name)


def _workload(zone: SimZone, workload: SimWorkload) -> Workload:
    spec = WorkloadSpec(
        name=workload.name,
        zone_id=zone.id,
        image=OciImageSpec(digest=workload.digest, format=_FORMAT),
        process=ProcessSpec(
            command=list(workload.command),
            environment=[EnvironmentVariableSpec(key=key, value=value) for key, value in workload.environment.items()],
        ),
        annotations=[AnnotationSpec(key=key, value=value) for key, value in workload.annotations.items()],
        mounts=[MountSpec(host_path=host, target_path=target) for host, target in workload.mounts],
        security=WorkloadSecuritySpec(privileged=workload.privileged),
    )
    status = WorkloadStatus(state=WorkloadState.from_string("RUNNING" if workload.running else "DESTROYED"))
    if workload.created_at:
        status.created_at = datetime.fromtimestamp(workload.created_at / 1e9, UTC)
    return Workload(id=workload.id, spec=spec, status=status)
