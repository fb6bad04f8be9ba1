"""Notices: events of our own, by which consumers learn in-band what happens to their source. Rules can match them.

A notice is an ordinary record whose EVENT block has the edera.notice.* cells. It travels in its place among the events around it,
is counted like them, and is the last to be shed. What a consumer has lost is told once a second while it goes on, not per event, and no
further notice of the same zone and cause is made for it before it has acknowledged the last. Where it never got that one, what was told
with it is told again.
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
from .accounting import Share, ZoneAccount
from .ring import DAEMON, GONE, Consumer, Ring

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
class _Losses:
    """What has been seen of one consumer's losses. ``dropped``: events, when looked at last. ``at``: monotonic seconds when there were new
    ones, below 0: not for a while. ``telling``: notices on their way to it, by index of the zone and cause, and how many each tells."""

    __slots__ = ("at", "dropped", "telling")

    def __init__(self) -> None:
        self.at = -1.0
        self.dropped = 0
        self.telling: dict[tuple[int, str], tuple[Record, int]] = {}


@final
class Notices:
    """Makes notices. ``enabled``: False makes none. ``made`` counts them."""

    __slots__ = ("_etype", "_losses", "_ring", "_undecodable", "enabled", "made")

    def __init__(self, ring: Ring, enabled: bool = True) -> None:
        self._ring = ring
        self._etype: Block | None = None
        self._losses: dict[Consumer, _Losses] = {}
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
    ) -> Record | None:
        """Put a notice into the ring. ``ts``: ns since the epoch, the host's clock. ``account``: of the zone that it is about. Returns
        what some consumer will get of it, as far as that is known; None: nobody will."""
        if not self.enabled:
            return None
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
        if not ring.wants(account, NOTICE):
            ring.skip(account)
            return None
        data = _HEAD.pack(ts, -1, self._etype.id, zone_id, 0, 0, 0, 0) + cells.finish()
        record = Record(0, account.index, data, blocks, newest_of(blocks), NOTICE)
        return record if ring.append(record) else None

    def look(self, now: float, ts: int, last: bool = False) -> dict[str, int]:
        """Tell what consumers have lost since the last look; call about once a second. ``now``: monotonic seconds, ``ts``: ns since
        the epoch. ``last``: there may be no further look, so all is told now. Returns how many events each consumer has lost since then."""
        self._look_at_zones(ts)
        lost: dict[str, int] = {}
        consumers = [consumer for consumer in self._ring.consumers.values() if not consumer.ephemeral]  # those see their own gaps
        for consumer in consumers:
            losses = self._losses.setdefault(consumer, _Losses())
            self._settle(consumer, losses)
            owed = [
                (index, share, cause, count - share.told.get(cause, 0))
                for index, share in consumer.shares.items()
                for cause, count in share.dropped.items()
                if count > share.told.get(cause, 0)
            ]
            news = consumer.dropped - losses.dropped
            if news:
                lost[consumer.name] = news
                losses.dropped = consumer.dropped
                if losses.at < 0:
                    cause = owed[0][2] if owed else ""
                    self.tell(OVERLOAD_BEGINS, f"events are dropped for consumer {consumer.name}", ts, cause=cause)
                losses.at = now
            elif losses.at >= 0 and now - losses.at >= CALM:
                losses.at = -1.0
                self.tell(OVERLOAD_ENDS, f"no event was dropped for consumer {consumer.name} for {CALM:g} s", ts)
            for index, share, cause, count in owed:
                if last or (index, cause) not in losses.telling:
                    self._tell_loss(consumer, losses, index, share, cause, count, ts)
        self._losses = {consumer: self._losses[consumer] for consumer in consumers}
        return lost

    def _tell_loss(self, consumer: Consumer, losses: _Losses, index: int, share: Share, cause: str, count: int, ts: int) -> None:
        zones = self._ring.zones
        account = zones[DAEMON if index == GONE else index]
        whose = " of zones that are gone" if index == GONE else f" of zone {account.name or account.id}" if account.id else ""
        text = f"{count} events{whose} were dropped for consumer {consumer.name}: {cause}"
        record = self.tell(CONSUMER_GAP, text, ts, account, cause=cause, count=count)
        if record is not None:
            losses.telling[index, cause] = (record, count)
        if record is not None or not self.enabled:
            share.tell(cause, count)

    def _settle(self, consumer: Consumer, losses: _Losses) -> None:
        """See which notices the consumer has by now, and which it will never get."""
        for (index, cause), (record, count) in list(losses.telling.items()):
            if record in consumer.missed:
                share = consumer.shares.get(index) or consumer.shares[GONE]
                share.tell(cause, -count)
            elif not record.seq or record.seq > consumer.acknowledged:
                continue
            del losses.telling[index, cause]
        consumer.missed.clear()

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
                    whose = account.name or account.id
                    text = f"{news} events of zone {whose} could not be read: {cause}"
                    if self.tell(GAP, text, ts, account, cause=cause, count=news) is not None or not self.enabled:
                        told[cause] = count
        for index in [index for index in self._undecodable if index not in zones]:
            del self._undecodable[index]
