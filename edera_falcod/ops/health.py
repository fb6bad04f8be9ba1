"""Liveness and readiness, apart.

Live: the daemon makes progress with what it has to do. A tick of the event loop alone proves little, so three places are watched where
work is left undone although nobody outside holds it up: zones whose bytes lie here unread, consumers whose sockets would take what
waits for them, and the list of zones that is due. A place with work and without progress for STALL seconds is stuck. One zone or
consumer that is stuck is said; when all that have work are stuck the daemon is no longer live, the service manager's watchdog is
no longer fed, and it starts us again.

Ready: the Edera daemon answers, and every zone has been learned or is known not to be to blame on us (backing off, in quarantine, or slower
than a snapshot may take). Consumers do not make us unready: events are kept for them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from ..edera.lifecycle import State
from ..edera.zones import LinkState, Zones
from ..falco.server import Server
from .proto.ctl import GetHealthReply, ZoneHealth

STALL: Final = 20.0  # seconds: a large snapshot is read in a fraction of this
LIST_STALL: Final = 60.0  # seconds that a list may be overdue: calls to the Edera daemon have shorter timeouts of their own

_LEARNED: Final = (State.LIVE, State.RESEEDING)
_EXCUSED: Final = (State.BACKOFF, State.QUARANTINED, State.GONE)


class Watch:
    """Remembers when each place with work last made progress. ``look`` has to be called about once a second."""

    def __init__(self, zones: Zones, server: Server, reconcile: float, grace: float) -> None:
        self._zones = zones
        self._server = server
        self._seen: dict[Hashable, tuple[int, float]] = {}  # place -> what its counter was, and since when
        self.reconcile = reconcile
        self.grace = grace  # seconds that a zone may take to be learned
        self.stuck: list[str] = []
        self.live = True

    def _since(self, place: Hashable, counter: int, work: bool, now: float) -> float:
        """Seconds for which ``place`` has had work and not touched it."""
        before = self._seen.get(place)
        if before is None or before[0] != counter or not work:
            self._seen[place] = (counter, now)
            return 0.0
        return now - before[1]

    def look(self, now: float) -> bool:
        """``now``: monotonic seconds. Whether the daemon is live."""
        stuck: list[str] = []
        places: set[Hashable] = set()
        place: Hashable
        live = True
        zones = self._zones
        busy = held = 0
        for zone_id, stream in zones.streams.items():
            place = ("zone", zone_id)
            places.add(place)
            work = stream.readable
            since = self._since(place, stream.counters["messages"] + stream.counters["snapshot"], work, now)
            busy += work
            if since > STALL:
                held += 1
                stuck.append(f"zone {stream.zone.name or zone_id}: what it sent has not been read for {int(since)} s")
        live = live and not (busy and held == busy)
        busy = held = 0
        for link in self._server.links:
            if link.consumer is None or link.batcher is None:
                continue
            place = ("consumer", link.consumer.name, link.since)
            places.add(place)
            work = link.writable and link.consumer.queue.waits > 0
            since = self._since(place, link.batcher.events, work, now)
            busy += work
            if since > STALL:
                held += 1
                stuck.append(f"consumer {link.consumer.name}: what waits for it has not been sent for {int(since)} s")
        live = live and not (busy and held == busy)
        places.add("lists")
        since = self._since("lists", zones.counters["lists"], zones.link is LinkState.UP, now)
        if since > LIST_STALL + self.reconcile:
            stuck.append(f"the zones have not been listed for {int(since)} s")
            live = False
        for gone in self._seen.keys() - places:
            del self._seen[gone]
        self.stuck, self.live = stuck, live
        return live

    def report(self, now: float) -> GetHealthReply:
        """``now``: seconds since the epoch."""
        zones = self._zones
        waiting: list[str] = []
        if zones.link is not LinkState.UP:
            waiting.append(f"the Edera daemon does not answer on {zones.path}: {zones.link_reason or 'connecting'}")
        states: list[ZoneHealth] = []
        for zone_id, stream in zones.streams.items():
            ready = stream.state in _LEARNED
            reason = "" if ready else f"{stream.state.value}{f': {stream.reason}' if stream.reason else ''}"
            states.append(ZoneHealth(zone_id, stream.zone.name, ready, reason))
            late = now - stream.since > self.grace
            if not ready and stream.state not in _EXCUSED and not late:
                waiting.append(f"zone {stream.zone.name or zone_id} is {stream.state.value}")
        return GetHealthReply(live=self.live, ready=self.live and not waiting, stuck=list(self.stuck), waiting=waiting, zones=states)
