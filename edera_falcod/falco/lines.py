"""Records that have no sequence number yet, in a line for each zone; the lines take turns. No I/O.

Turns are counted in bytes, so a zone with large records gets no more than one with small ones (start-time fair queueing): each zone has a
place in virtual time, which is how many bytes it was given, and the next turn is that of the zone with the least. A zone that comes after
it had nothing in line begins ALLOWANCE behind the others: what a quiet zone sends in one go does not wait behind a zone that floods, and
a zone that floods has used its allowance up.

An event that was refused while others of its zone are in line has its place in the line, too, so that what is missing is missing where it
was: one entry stands for all that were refused in a row.
"""

from __future__ import annotations

from collections import deque
from typing import Final, final

from mypy_extensions import i64

from ..fields.record import Record
from .accounting import ZoneAccount

QUANTUM: Final = 16 << 10  # bytes of a zone's turn: some twenty ordinary records
ALLOWANCE: Final = 4 << 20  # bytes that a zone may be given before those that flood are given more: thousands of ordinary records, and
# some ten milliseconds of a fast consumer's work, which is how long the others wait for them


@final
class Refusal:
    """``count`` events in a row that were refused, for this cause."""

    __slots__ = ("cause", "count")

    def __init__(self, cause: str) -> None:
        self.cause = cause
        self.count = 1


@final
class Line:
    """One zone's records, which its account tells the number and the bytes of. ``refusal``: the last entry, if it is one. ``taken``: how
    many entries were; ``marks``: for each tick, its time and how many had been put by then, of those that are not taken yet."""

    __slots__ = ("account", "entries", "marks", "refusal", "taken")

    def __init__(self, account: ZoneAccount) -> None:
        self.account = account
        self.entries: deque[Record | Refusal] = deque()
        self.refusal: Refusal | None = None
        self.taken = 0
        self.marks: deque[tuple[float, int]] = deque()


@final
class Lines:
    """``bytes``: of all records; ``count``: of them and of what was refused."""

    __slots__ = ("_credit", "_last", "_lines", "_now", "_turn", "bytes", "count")

    def __init__(self) -> None:
        self._lines: dict[int, Line] = {}  # by the index of the zone
        self._last: Line | None = None  # to which something was put last: they come in runs
        self._turn: Line | None = None  # whose turn it is
        self._credit: i64 = 0  # bytes that are left of it
        self._now: i64 = 0  # virtual time: bytes that whoever was given the most had been given when its turn began
        self.bytes = 0
        self.count = 0

    def put(self, record: Record, account: ZoneAccount) -> None:
        """It is the last of its zone."""
        line = self._line(account)
        line.entries.append(record)
        line.refusal = None
        size = record.size
        account.lined += 1
        account.lined_bytes += size
        self.bytes += size
        self.count += 1

    def refuse(self, account: ZoneAccount, cause: str) -> None:
        """An event that is not to be kept was the last of its zone."""
        line = self._line(account)
        refusal = line.refusal
        if refusal is None or refusal.cause != cause:
            line.refusal = refusal = Refusal(cause)
            line.entries.append(refusal)
        else:
            refusal.count += 1
        account.lined += 1
        self.count += 1

    def _line(self, account: ZoneAccount) -> Line:
        line = self._last
        if line is None or line.account is not account:
            line = self._lines.get(account.index)
            if line is None:
                line = self._lines[account.index] = Line(account)
                account.given = max(account.given, self._now - ALLOWANCE)
            self._last = line
        return line

    def take(self) -> tuple[Record | Refusal, ZoneAccount]:
        """The next entry, of at least one that is here, and its zone."""
        line = self._turn
        if line is None or self._credit <= 0:
            line = self._turn = self._least()
            self._credit = QUANTUM
        entry = line.entries.popleft()
        line.taken += 1
        account = line.account
        if isinstance(entry, Record):
            size = entry.size
            self._credit -= size
            account.given += size
            account.lined -= 1
            account.lined_bytes -= size
            self.bytes -= size
            self.count -= 1
        else:
            account.lined -= entry.count
            self.count -= entry.count
        if not line.entries:
            del self._lines[account.index]
            self._turn = self._last = None
        return entry, account

    def tick(self, now: float) -> None:
        """Let time pass: call about once a second. ``now``: monotonic seconds."""
        for line in self._lines.values():
            marks = line.marks
            while marks and marks[0][1] <= line.taken:
                marks.popleft()
            marks.append((now, line.taken + len(line.entries)))

    def waited(self, now: float) -> float:
        """Seconds that the first in some line has waited at most, as far as ``tick`` tells the time; 0: since less than a tick."""
        longest = 0.0
        for line in self._lines.values():
            for at, put in line.marks:
                if put > line.taken:
                    longest = max(longest, now - at)
                    break
        return longest

    def _least(self) -> Line:
        """Whoever was given the least; its turn begins."""
        found: Line | None = None
        least: i64 = 0
        for line in self._lines.values():
            given: i64 = line.account.given
            if found is None or given < least:
                found = line
                least = given
        assert found is not None
        self._now = max(self._now, least)
        return found
