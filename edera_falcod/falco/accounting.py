"""Where every event of a zone has gone: counters that add up at any moment.

For each zone:                received = undecodable(cause) + lined up + entered
For each zone and consumer:   entered  = before + acknowledged + unacknowledged + waiting + dropped(cause)

`received` counts what came on the zone's stream as an event, and the notices that we made for the zone; `entered` is what
got a sequence number, which those that are lined up wait for. `before` is what had entered when the consumer was first heard of. All
drops counted here happen at one hop, the daemon's queue for that consumer (HOP); losses before it cannot be counted by number and are
told as gaps (notices).
ctl, metrics and notices all read these objects; nobody else counts.
"""

from __future__ import annotations

from typing import Final, final

from ..state.block import Block

HOP: Final = "daemon"

# Why an event got no sequence number
MALFORMED: Final = "malformed"  # the message could not be read
UNKNOWN_TYPE: Final = "unknown_type"  # an event code that the tables do not have, or a version no zone sends any more
INTERNAL: Final = "internal"  # our own fault: an exception in decoding, state or fields

# Why an event did not reach a consumer
OVERLOAD: Final = "overload"  # the consumer's budget did not admit it
AGE: Final = "age"  # it waited longer than the buffer keeps events
TOO_LARGE: Final = "too_large"  # it does not fit into a frame
RESTART: Final = "restart"  # it did not fit into what a daemon that restarts hands over
FORGOTTEN: Final = "consumer_gone"  # the consumer was away for longer than the buffer keeps events and was forgotten


@final
class ZoneAccount:
    """One zone's counters. ``index`` is never used again; ``gone``: no further event will come; ``block``: what is known of the zone, for
    notices about it."""

    __slots__ = (
        "block", "bytes", "entered", "gaps", "given", "gone", "id", "index", "last_ts", "lined", "lined_bytes", "name", "notices",
        "received", "undecodable",
    )  # fmt: skip

    def __init__(self, index: int, id: str, name: str) -> None:
        self.index = index
        self.id = id
        self.name = name
        self.gone = False
        self.block: Block | None = None
        self.received = 0
        self.notices = 0  # of `received`
        self.lined = 0
        self.lined_bytes = 0
        self.given = 0  # its place in the virtual time of lines (lines.py)
        self.entered = 0
        self.bytes = 0  # bytes of messages received
        self.gaps = 0  # losses before us whose number is unknown: streams that broke, drops that the zone reports
        self.last_ts = 0  # ns, the zone's own clock: ts of the newest event
        self.undecodable: dict[str, int] = {}

    def refuse(self, cause: str, count: int = 1) -> None:
        """``count`` received events could not be decoded."""
        self.undecodable[cause] = self.undecodable.get(cause, 0) + count

    def balance(self) -> int:
        """0 when the zone's own equation holds."""
        return self.received - sum(self.undecodable.values()) - self.lined - self.entered


@final
class Share:
    """One zone's part of one consumer's queue. ``bytes``: charged for what waits or is unacknowledged. ``told``: how many of ``dropped``
    the consumer was told of, by notices that it has or that are on their way."""

    __slots__ = ("acknowledged", "before", "bytes", "dropped", "redelivered", "told", "unacknowledged", "waiting")

    def __init__(self, before: int) -> None:
        self.before = before
        self.waiting = 0
        self.unacknowledged = 0
        self.acknowledged = 0
        self.redelivered = 0  # deliveries beyond the first; not part of the equation
        self.bytes = 0
        self.dropped: dict[str, int] = {}
        self.told: dict[str, int] = {}

    def move(self, count: int) -> None:
        """So many events that waited are unacknowledged now; below 0: the other way round."""
        self.waiting -= count
        self.unacknowledged += count

    def drop(self, cause: str, count: int = 1) -> None:
        self.dropped[cause] = self.dropped.get(cause, 0) + count

    def tell(self, cause: str, count: int) -> None:
        """So many more of those dropped are told; below 0: they are not, after all."""
        self.told[cause] = self.told.get(cause, 0) + count

    def lost(self) -> int:
        return sum(self.dropped.values())

    def total(self) -> int:
        return self.before + self.acknowledged + self.unacknowledged + self.waiting + self.lost()

    def fold(self, other: Share) -> None:
        """Add another zone's share to this one."""
        self.before += other.before
        self.waiting += other.waiting
        self.unacknowledged += other.unacknowledged
        self.acknowledged += other.acknowledged
        self.redelivered += other.redelivered
        self.bytes += other.bytes
        for cause, count in other.dropped.items():
            self.drop(cause, count)
        for cause, count in other.told.items():
            self.tell(cause, count)


def fold_zone(into: ZoneAccount, other: ZoneAccount) -> None:
    """Add a gone zone's counters to those of all gone zones."""
    into.received += other.received
    into.notices += other.notices
    into.entered += other.entered
    into.bytes += other.bytes
    into.gaps += other.gaps
    for cause, count in other.undecodable.items():
        into.refuse(cause, count)
