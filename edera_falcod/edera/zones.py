"""The zones of the host: found, followed, and let go.

One WatchEvents stream tells of changes, and ListZones, at the start and every few seconds, of what was missed: the protocol promises
neither that WatchEvents repeats the present state when it opens nor that nothing is lost on it. One task reads both in turn. Every
change carries the whole zone, and changes that come while a list is on its way are looked at after it, so what was true last wins.

A zone is monitored when its id is a UUID, it has a domain, and it is ready (edera-control-protocol.md section 3; the daemon takes
requests for zones that are not ready yet). It is gone when it exits, fails, is no longer ready, or is missing from a list.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, final

import structlog

from .backoff import Backoff
from .control import ControlClient, Watch, Workload
from .sink import ZoneInfo, ZoneSink
from .transport import Late, Link, LinkError, Links, Refused, Unreadable, check_grpclib
from .workloads import MAX_PAIRS, MAX_TEXT, Directory, bounded
from .zonestream import Busy, Settings, SnapshotBudget, ZoneStream

NO_DOMAIN: Final = (0, 0xFFFFFFFF)  # the host itself, or none
READY: Final = "ready"


class LinkState(Enum):
    """How the control connection to the Edera daemon is."""

    CONNECTING = "connecting"
    UP = "up"
    WAITING = "waiting"  # for the next try


@dataclass(frozen=True, slots=True)
class HostInfo:
    """What the Edera daemon says of its host; "" and 0 where it says nothing."""

    uuid: str = ""
    domid: int = 0
    version: str = ""  # of the daemon
    ipv4: str = ""
    ipv6: str = ""


def refusal(zone: ZoneInfo, host_domid: int = 0) -> str:
    """Why a listed zone is not monitored, "" if it is."""
    try:
        uuid.UUID(zone.id)
    except ValueError:
        return "its id is not a UUID"
    if zone.domid in NO_DOMAIN:
        return "it has no domain"
    if zone.domid == host_domid:
        return "it is the host itself"
    if zone.exited:
        return f"it has exited with {zone.exit_code}"
    if zone.state == "failed":
        return f"it has failed: {zone.error}" if zone.error else "it has failed"
    if zone.state != READY:
        return f"it is {zone.state}"
    return ""


@final
class Zones:
    """All zones of the Edera daemon behind the socket ``path``. ``run`` does the work; the rest may be read at any time.

    ``streams``: by zone id, in order of discovery. ``link``, ``link_reason``, ``link_since`` (s since the epoch): the control
    connection. ``host``: as last told. ``counters``: of discovery itself; ``gone``: sums of the counters of zones that are no more.
    """

    def __init__(self, path: str, sink: ZoneSink, settings: Settings | None = None) -> None:
        check_grpclib()
        self.path = path
        self.streams: dict[str, ZoneStream] = {}
        self.link = LinkState.CONNECTING
        self.link_reason = ""
        self.link_since = time.time()
        self.counters: Counter[str] = Counter()
        self.gone: Counter[str] = Counter()
        self._sink = sink
        self._settings = settings or Settings()
        self._syscalls = self._settings.syscalls
        self._links = Links(path)
        self._budget = SnapshotBudget()
        self._busy = Busy()
        self._backoff = Backoff()
        self.directory = Directory()
        self.host = HostInfo()
        self._directory_refused = ""
        self._refused: dict[str, str] = {}  # zones that are listed and not monitored, and why: told once
        self._group: asyncio.TaskGroup | None = None
        self._log = structlog.get_logger().bind(room="edera")

    @property
    def link_tries(self) -> int:
        """Failures since the control connection was last up."""
        return self._backoff.tries

    def resync(self, zone_id: str, reason: str = "asked for") -> bool:
        """Get a new snapshot of a zone; False if there is no such zone."""
        stream = self.streams.get(zone_id)
        if stream is not None:
            stream.resync(reason)
        return stream is not None

    def change(self, settings: Settings) -> None:
        """These settings from now on, but for the system calls (``set_syscalls``). Zones that are watched stay so."""
        self._settings = settings
        for stream in self.streams.values():
            stream.change(settings)

    def tell_workloads(self) -> None:
        """Tell the sink of all zones' workloads again: what it makes of them has changed."""
        for zone_id in self.streams:
            self._sink.workloads(zone_id, self.directory.of(zone_id))

    def set_syscalls(self, syscalls: tuple[int, ...]) -> None:
        """The system calls (PPM_SC codes; none: the zones' default set) that all zones, also later ones, are asked for."""
        self._syscalls = syscalls
        for stream in self.streams.values():
            stream.set_syscalls(syscalls)

    # ---- discovery

    async def run(self) -> None:
        """Follow the zones until cancelled. Everything that was opened is closed when it returns."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                while True:
                    try:
                        await self._try()
                    except Exception:  # a bug of ours, or what a library lets through: costs a new connection, no zone anything
                        self.counters["fault.internal"] += 1
                        self._set_link(LinkState.WAITING, "internal error")
                        self._log.exception("internal error in following the zones")
                        await asyncio.sleep(self._backoff.next())
        finally:
            self._group = None
            await self._links.aclose()

    async def _try(self) -> None:
        """One control connection, from its opening to its end."""
        self._set_link(LinkState.CONNECTING, self.link_reason)
        link = Link(self.path)
        try:
            await self._follow(link)
        except LinkError as error:
            delay = self._backoff.next()
            self.counters[f"fault.{error.cause}"] += 1
            self._set_link(LinkState.WAITING, str(error))
            self._log.warning("waiting for the Edera daemon", socket=self.path, reason=str(error), retry_in=round(delay, 1))
        finally:
            await link.aclose()
        await asyncio.sleep(delay)

    async def _follow(self, link: Link) -> None:
        """Follow the zones. Raises ``LinkError`` when that is no longer possible."""
        client = ControlClient(link)
        loop = asyncio.get_running_loop()
        async with client.watch() as watch:
            await self._learn_host(client)
            await self._reconcile(client)  # also shows that the daemon answers
            self._set_link(LinkState.UP, "")
            self._backoff.reset()
            self._log.info("connected to the Edera daemon", socket=self.path, version=self.host.version or None)
            for stream in self.streams.values():
                stream.wake()
            due = loop.time() + self._settings.reconcile
            while True:
                change = await watch.next(max(0.0, due - loop.time()))
                if change is not None:
                    self._changed(change)
                    if loop.time() < due:
                        continue
                    self._drain(watch)  # before the list, which is newer
                await self._reconcile(client)
                due = loop.time() + self._settings.reconcile

    def _set_link(self, state: LinkState, reason: str) -> None:
        if state is not self.link:
            self.link_since = time.time()
        self.link = state
        self.link_reason = reason

    def _drain(self, watch: Watch) -> None:
        while (change := watch.ready()) is not None:
            self._changed(change)

    def _changed(self, change: ZoneInfo | Workload) -> None:
        if isinstance(change, ZoneInfo):
            self.counters["zone_changes"] += 1
            self._update(change)
        else:
            self.counters["workload_changes"] += 1
            self.directory.update(change)
            self._tell_workloads()

    def _tell_workloads(self) -> None:
        for zone_id in self.directory.take_changed() & self.streams.keys():
            self._sink.workloads(zone_id, self.directory.of(zone_id))

    async def _learn_host(self, client: ControlClient) -> None:
        """Ask for the host, once for each connection. A daemon that cannot answer that has zones all the same."""
        try:
            told = await client.host_status()
        except (Refused, Late, Unreadable) as error:
            self.counters["fault.host"] += 1
            self._log.warning("the host's status cannot be had; zones that do not name their host have none", reason=str(error))
            return
        texts = [text[:MAX_TEXT] for text in (told.host_uuid, told.protect_version, told.host_ipv4, told.host_ipv6)]
        self.host = HostInfo(texts[0], told.host_domid, *texts[1:])

    async def _reconcile_workloads(self, client: ControlClient) -> None:
        """List workloads and images where that is due. A daemon that cannot answer that has zones all the same."""
        try:
            await self.directory.refresh(client, asyncio.get_running_loop().time())
            self._directory_refused = ""
        except (Refused, Late, Unreadable) as error:
            self.counters["fault.workloads"] += 1
            if str(error) != self._directory_refused:
                self._log.warning("workloads cannot be listed; container.* and k8s.* have no values", reason=str(error))
            self._directory_refused = str(error)
        self._tell_workloads()

    async def _reconcile(self, client: ControlClient) -> None:
        """Hold what we know against the daemon's lists. Workloads first, so that a zone's first events have theirs."""
        await self._reconcile_workloads(client)
        zones = await client.list_zones()
        self.counters["lists"] += 1
        listed = set()
        for zone in zones:
            listed.add(zone.id)
            self._update(zone)
        for zone_id in [zone_id for zone_id in self.streams if zone_id not in listed]:
            self._remove(zone_id, "it is no longer listed")
        for zone_id in [zone_id for zone_id in self._refused if zone_id not in listed]:
            del self._refused[zone_id]

    def _update(self, zone: ZoneInfo) -> None:
        """What the daemon says of a zone now. An error of ours in reading it costs that zone alone."""
        try:
            self._take(zone)
        except Exception:
            self.counters["fault.internal"] += 1
            self._log.exception("internal error in taking what the daemon says of a zone", zone=zone.id)

    def _take(self, zone: ZoneInfo) -> None:
        # All of it stands in a block that each of the zone's events names: one too large for a frame would cost them all.
        zone = replace(
            zone,
            name=zone.name[:MAX_TEXT],
            host=zone.host[:MAX_TEXT] or self.host.uuid,
            kernel=zone.kernel[:MAX_TEXT],
            ips=zone.ips[:MAX_PAIRS],
            annotations=bounded(zone.annotations),
        )
        why = refusal(zone, self.host.domid)
        stream = self.streams.get(zone.id)
        if why:
            if stream is not None:
                self._remove(zone.id, why, zone)
                self._refused[zone.id] = why
            else:
                self._refuse(zone, why)
        elif stream is None:
            self._add(zone)
        elif stream.zone != zone:
            stream.zone = zone
            self._sink.zone_changed(zone)

    def _refuse(self, zone: ZoneInfo, why: str) -> None:
        if self._refused.get(zone.id) != why and (zone.id in self._refused or len(self._refused) < self._settings.max_zones):
            self._refused[zone.id] = why
            tell = self._log.info if zone.state in (READY, "failed") else self._log.debug  # others may still become ready
            tell("zone not monitored", zone=zone.id[:64], name=zone.name, reason=why)

    def _add(self, zone: ZoneInfo) -> None:
        assert self._group is not None
        if len(self.streams) >= self._settings.max_zones:
            self.counters["zones_over_limit"] += 1
            self._refuse(zone, f"there are already {self._settings.max_zones} zones")
            return
        self._refused.pop(zone.id, None)
        stream = ZoneStream(zone, self._links, self._sink, self._settings, self._budget, lambda: self.link is LinkState.UP, self._busy)
        stream.set_syscalls(self._syscalls)
        self.streams[zone.id] = stream
        self.counters["zones_found"] += 1
        self._log.info("zone discovered", zone=zone.id, name=zone.name, domid=zone.domid)
        self._sink.zone_changed(zone)
        if workloads := self.directory.of(zone.id):
            self._sink.workloads(zone.id, workloads)
        self._group.create_task(self._live(stream), name=f"zone {zone.id}")

    def _remove(self, zone_id: str, reason: str, zone: ZoneInfo | None = None) -> None:
        stream = self.streams[zone_id]
        if zone is not None and stream.zone != zone:
            stream.zone = zone
            self._sink.zone_changed(zone)
        stream.exit(reason)

    async def _live(self, stream: ZoneStream) -> None:
        """A zone's task: one that fails by a bug of ours takes nobody else with it, and is found again at the next list."""
        zone_id = stream.zone.id
        reason = "internal error"
        try:
            await stream.run()
            reason = stream.reason
        except Exception:
            self.counters["fault.internal"] += 1
            self._log.exception("internal error in a zone's task", zone=zone_id)
            self._sink.gap(zone_id, "internal")
        finally:
            del self.streams[zone_id]
            self.gone.update(stream.counters)
            self.counters["zones_gone"] += 1
            self._sink.zone_gone(zone_id, reason)
