"""One consumer's records in their order: first those that were sent and are not acknowledged, then those that wait. No I/O.

One list with two marks, for every event passes through it: taking, acknowledging and giving back a connection move a mark. What is
acknowledged is let go at once; its places in the list, eight bytes each, when they are half of it.
"""

from __future__ import annotations

from typing import Final, cast, final

from mypy_extensions import i64

from ..fields.record import Record

SLACK: Final = 1024  # places of records that are gone, below which the list is left as it is


@final
class Queue:
    """Records by sequence number."""

    __slots__ = ("_first", "_next", "_records")

    def __init__(self) -> None:
        self._records: list[Record | None] = []
        self._first: i64 = 0  # of those that are held
        self._next: i64 = 0  # of those that wait

    def append(self, record: Record) -> None:
        """It waits, behind all others."""
        self._records.append(record)

    def next(self, place: i64 = 0) -> Record | None:
        """The one at this place of those that wait, the first is 0; None if there is none."""
        at = self._next + place
        records = self._records
        return records[at] if at < len(records) else None

    def ready(self, most: i64) -> list[Record]:
        """The first of those that wait, at most so many."""
        return self._part(self._next, self._next + most)

    def send(self, count: i64) -> list[Record]:
        """The first ``count`` of those that wait are on their way. Returns them."""
        at = self._next
        self._next = at + count
        return self._part(at, at + count)

    def oldest(self) -> Record | None:
        """The first of those that were sent and are not acknowledged; None if there is none."""
        at = self._first
        return self._records[at] if at < self._next else None

    def acknowledge(self, seq: i64) -> list[Record]:
        """Those that were sent and are not after this sequence number are done. Returns them."""
        records = self._records
        first = self._first
        stop = self._next
        at = first
        while at < stop:
            record = records[at]
            if record is None or record.seq > seq:
                break
            at += 1
        done = self._part(first, at)
        records[first:at] = [None] * len(done)
        self._first = at
        self._tidy()
        return done

    def rewind(self) -> list[Record]:
        """What was sent waits again; returns it."""
        found = self.unacknowledged
        self._next = self._first
        return found

    def drop(self, count: i64) -> None:
        """Without the first ``count`` of those that wait: what was sent, of which there is little, moves up to those that remain."""
        records = self._records
        first = self._first
        sent = records[first : self._next]
        self._next += count
        self._first += count
        records[first : self._first] = [None] * count
        records[self._first : self._next] = sent
        self._tidy()

    def _part(self, start: i64, stop: i64) -> list[Record]:
        """From the first that is held on there is a record in each place."""
        return cast("list[Record]", self._records[start:stop])

    def _tidy(self) -> None:
        at = self._first
        if at >= SLACK and 2 * at >= len(self._records):
            del self._records[:at]
            self._next -= at
            self._first = 0

    @property
    def waits(self) -> int:
        """How many wait."""
        return len(self._records) - self._next

    @property
    def waiting(self) -> list[Record]:
        """Those that wait. Looks at each."""
        return self._part(self._next, len(self._records))

    @property
    def unacknowledged(self) -> list[Record]:
        """Those that were sent and are not acknowledged. Looks at each."""
        return self._part(self._first, self._next)
