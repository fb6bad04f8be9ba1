"""Notices: events of our own, by which consumers learn in-band what happens to their source. Rules can match them.

A notice is an ordinary record whose EVENT block has the edera.notice.* cells. It travels in its place among the events around it,
is counted like them, and is the last to be shed. What a consumer has lost is told once a second while it goes on, not per event.
"""

from __future__ import annotations

import struct
from typing import Final, final

from ..fields import slots
from ..fields.blocks import make_block
from ..fields.cells import Cells
from ..fields.priority import NOTICE
from ..fields.record import Record, newest_of
from ..state.block import Block
from .accounting import ZoneAccount
from .ring import DAEMON, Ring

ZONE_DISCOVERED: Final = "zone_discovered"
ZONE_LIVE: Final = "zone_live"
ZONE_RESEEDED: Final = "zone_reseeded"
ZONE_QUARANTINED: Final = "zone_quarantined"
ZONE_GONE: Final = "zone_gone"
GAP: Final = "gap"
OVERLOAD_BEGINS: Final = "overload_begins"
OVERLOAD_ENDS: Final = "overload_ends"
CONSUMER_GAP: Final = "consumer_gap"

KINDS: Final = {
    ZONE_DISCOVERED: "a zone was found and is about to be watched",
    ZONE_LIVE: "a zone's processes and files are known; from here on its events have their context",
    ZONE_RESEEDED: "a zone's processes and files were learned anew",
    ZONE_QUARANTINED: "a zone sent too much that is wrong and is left alone for a while: its events are missing meanwhile",
    ZONE_GONE: "a zone is no more; this is its last event",
    GAP: "events of a zone may be missing here, before they reached us",
    OVERLOAD_BEGINS: "a consumer is too slow: events are dropped for it",
    OVERLOAD_ENDS: "no event was dropped for it for a while",
    CONSUMER_GAP: "events were dropped for a consumer: how many, of which zone, why",
}

MAX_TEXT: Final = 1024  # bytes of a notice's text
CALM: Final = 5.0  # seconds without a drop after which an overload is over

_HEAD: Final = struct.Struct("<QqQQQQQQ")


def _safe(text: str) -> bytes:
    """Printable UTF-8 without NUL, cut at a character."""
    clean = "".join([c if c.isprintable() else "\ufffd" for c in text])
    return clean.encode("utf-8", "replace")[:MAX_TEXT].decode("utf-8", "ignore").encode()


@final
class Notices:
    """Makes notices. ``enabled``: False makes none. ``made`` counts them."""

    __slots__ = ("_etype", "_overloaded", "_ring", "_told", "_undecodable", "enabled", "made")

    def __init__(self, ring: Ring, enabled: bool = True) -> None:
        self._ring = ring
        self._etype: Block | None = None
        self._told: dict[str, dict[tuple[int, str], int]] = {}  # consumer -> (zone, cause) -> drops told
        self._overloaded: dict[str, float] = {}  # consumer -> monotonic seconds of its last drop
        self._undecodable: dict[int, dict[str, int]] = {}  # zone -> cause -> events told
        self.enabled = enabled
        self.made = 0

    def tell(
        self,
        kind: str,
        text: str,
        ts: int,
        account: ZoneAccount | None = None,
        cause: str = "",
        count: int = 0,
    ) -> None:
        """Put a notice into the ring. ``ts``: ns since the epoch, the host's clock. ``account``: of the zone that it is about."""
        if not self.enabled:
            return
        ring = self._ring
        if account is None:
            account = ring.zones[DAEMON]
        if self._etype is None:
            cells = Cells()
            cells.text(slots.EVT_TYPE, b"notice")
            cells.text(slots.EVT_CATEGORY, b"internal")
            self._etype = make_block(slots.KIND_ETYPE, cells)
        cells = Cells()
        cells.text(slots.EDERA_NOTICE_KIND, kind.encode())
        cells.text(slots.EDERA_NOTICE_TEXT, _safe(text))
        if account.id:
            cells.text(slots.EDERA_NOTICE_ZONE, _safe(account.id))
        if count:
            cells.number(slots.EDERA_NOTICE_COUNT, count)
        if cause:
            cells.text(slots.EDERA_NOTICE_CAUSE, _safe(cause))
        zone_block = account.block
        blocks = (self._etype,) if zone_block is None else (self._etype, zone_block)
        zone_id = 0 if zone_block is None else zone_block.id
        account.received += 1
        account.notices += 1
        self.made += 1
        if ring.wants(account, NOTICE):
            data = _HEAD.pack(ts, -1, self._etype.id, zone_id, 0, 0, 0, 0) + cells.finish()
            ring.append(Record(0, account.index, data, blocks, newest_of(blocks), NOTICE))
        else:
            ring.skip(account)

    def look(self, now: float, ts: int) -> dict[str, int]:
        """Tell what consumers have lost since the last look; call about once a second. ``now``: monotonic seconds, ``ts``: ns since
        the epoch. Returns how many events each consumer has lost since then."""
        ring = self._ring
        self._look_at_zones(ts)
        lost: dict[str, int] = {}
        for consumer in list(ring.consumers.values()):
            if consumer.ephemeral:
                continue  # it sees its own gaps, and others need not
            told = self._told.setdefault(consumer.name, {})
            news: list[tuple[int, str, int]] = []
            for index, share in consumer.shares.items():
                for cause, count in share.dropped.items():
                    before = told.get((index, cause), 0)
                    if count != before:
                        told[(index, cause)] = count
                        # Zones that are gone are added up under one index, whose counts have been told before.
                        if count > before and index >= DAEMON:
                            news.append((index, cause, count - before))
            for key in [key for key in told if key[0] not in ring.zones]:
                del told[key]
            total = sum([count for _, _, count in news])
            if total:
                lost[consumer.name] = total
                if consumer.name not in self._overloaded:
                    self.tell(OVERLOAD_BEGINS, f"events are dropped for consumer {consumer.name}", ts, cause=news[0][1])
                self._overloaded[consumer.name] = now
                for index, cause, count in news:
                    account = ring.zones.get(index)
                    if account is not None:
                        whose = f" of zone {account.name or account.id}" if account.id else ""
                        text = f"{count} events{whose} were dropped for consumer {consumer.name}: {cause}"
                        self.tell(CONSUMER_GAP, text, ts, account, cause=cause, count=count)
            elif consumer.name in self._overloaded and now - self._overloaded[consumer.name] >= CALM:
                del self._overloaded[consumer.name]
                self.tell(OVERLOAD_ENDS, f"no event was dropped for consumer {consumer.name} for {CALM:g} s", ts)
        for name in [name for name in self._told if name not in ring.consumers]:
            del self._told[name]
            self._overloaded.pop(name, None)
        return lost

    def _look_at_zones(self, ts: int) -> None:
        """Tell which events of zones could not be decoded since the last look."""
        zones = self._ring.zones
        for index, account in list(zones.items()):
            if not account.undecodable or index < DAEMON:
                continue
            told = self._undecodable.setdefault(index, {})
            for cause, count in account.undecodable.items():
                news = count - told.get(cause, 0)
                if news:
                    told[cause] = count
                    whose = account.name or account.id
                    self.tell(GAP, f"{news} events of zone {whose} could not be read: {cause}", ts, account, cause=cause, count=news)
        for index in [index for index in self._undecodable if index not in zones]:
            del self._undecodable[index]
