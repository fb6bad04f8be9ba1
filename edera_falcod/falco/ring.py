"""The ring: records between the zones that make them and the consumers that work through them. Synchronous, no I/O.

Theory of operation. Every record gets the next sequence number. Each consumer has a queue of its own (records are shared, queues
are not, so that a slow consumer costs the others nothing), with a budget in bytes:

    offered --admitted--> waiting --sent--> unacknowledged --acknowledged--> done
        \\--dropped           \\--dropped (age)      \\--connection lost--> waiting again, in front

Fairness in time. What has a number is sent in sequence, so a zone that floods would have everybody's events wait behind its own. So no
more is numbered ahead than FRONT bytes for the fastest connected consumer. What comes beyond that waits without a number, in lines
that take turns (lines.py), and is counted as lined up; it is part of what the zone holds, and of what is not free. Without a consumer that
is connected, or when those that are take nothing for LINE_TIME, everything is numbered and waits in the queues: what is in line not at
once, which could take long, but some with each record that comes.

Who is admitted. A budget that is simply full would let one flooding zone starve the rest. So the limit of a zone moves with the
free part of the budget (dynamic thresholds, as in switches with shared buffers): with events of the lowest priority a zone may hold at
most half of what is free, with those of the others 2, 8 or 32 times as much as is free. One flooding zone of low priority stops at a
third of the budget, one of high priority at 8/9, N such zones share evenly, a quiet zone always finds room, and important events are
still taken when reads and writes are already shed. What is refused is refused before it is queued: memory never exceeds the budget, a
zone's order never changes, and nothing has to be searched.

What is charged. A record is charged its own bytes, an overhead, and the bytes of the blocks that were new with it (all that it
refers to are alive as long as it is queued). A block that is older than the oldest record of a queue belonged to the zone's state
when that record was made, so what blocks take beyond the budget is bounded by the state's own limits. Where a record that brought
new blocks was refused, nobody has been charged for them: until every queue has moved past that point, the zone is in strict mode
and each of its records is charged all blocks that it refers to.

Gaps are told by sequence numbers alone: whoever sends compares each record's number with the one that was due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64

from ..fields.priority import NOTICE
from ..fields.record import Record
from ..state.block import Block
from .accounting import AGE, FORGOTTEN, OVERLOAD, TOO_LARGE, Share, ZoneAccount, fold_zone
from .lines import Lines, Refusal
from .queue import Queue

BUDGET: Final = 64 << 20  # bytes a consumer's queue may hold, by default
MAX_AGE: Final = 600.0  # seconds that an event is kept for a consumer which does not take it, by default
EPHEMERAL_PART: Final = 8  # an ephemeral consumer (tail) gets this fraction of the budget: nobody redelivers to it
MAX_CONSUMERS: Final = 16  # queues at a time: bounds memory at MAX_CONSUMERS budgets
MAX_GONE: Final = 64  # gone zones that keep their own counters; older ones are added up
BLOCK_OVERHEAD: Final = 128  # bytes that a block costs beside its data
MAX_OVERSIZE: Final = 4096  # blocks too large to be sent that are remembered; the limits of state do not let any become so
RECORD_OVERHEAD: Final = 160  # bytes that a record costs beside its data: object, tuple, queue entry
MAX_RECORD: Final = 1 << 20  # bytes of a record's data or of one block: what must fit into a frame with room to spare

# How many times the free part a zone may hold: a half of it for the lowest priority, and for each higher one four times as much
LOWEST_PART: Final = 2
PRIORITY_BITS: Final = 2
TYPICAL: Final = 1024  # bytes: what a record is taken to need before it is made

FRONT: Final = 512 << 10  # bytes that are numbered ahead of the fastest consumer: what an event of a quiet zone waits behind, some
# milliseconds of its work. It is four frames: with two, it had nothing to do for half of the time while its acknowledgement was on its way
FRONT_PART: Final = 16  # but no more than this fraction of the budget
LINE_TIME: Final = 5.0  # seconds without a number given, after which a consumer is stuck, and fairness among those who wait for it moot
MOVE: Final = 4096  # records that get their numbers in one go: more than FRONT bytes of them, and some milliseconds of work
STEP: Final = 4  # records in line that get their numbers with each that comes when nobody is waited for

DAEMON: Final = 0  # zone index of events that belong to no zone
GONE: Final = -1  # zone index under which old gone zones are added up
NOBODY: Final = -2  # no zone's index


def reach(blocks: tuple[Block, ...]) -> int:
    """Bytes of these blocks and all that they refer to."""
    size = 0
    seen: set[int] = set()
    stack = list(blocks)
    while stack:
        block = stack.pop()
        if block.id not in seen:
            seen.add(block.id)
            size += len(block.data) + BLOCK_OVERHEAD
            stack.extend(block.refs)
    return size


class Refused(Exception):
    """A consumer cannot be taken; ``busy`` tells whether its name is in use (else there are too many)."""

    def __init__(self, text: str, busy: bool) -> None:
        super().__init__(text)
        self.busy = busy


@final
class Consumer:
    """A named consumer's queue. Sequence numbers: ``acknowledged`` is the last one that is done, ``sent`` the highest that was ever
    sent, ``due`` the next one that this connection should see. ``wake`` is called when something waits that did not before. ``missed``:
    notices that it will not get, until somebody looks at them (notices.py)."""

    __slots__ = (
        "_known", "_share", "acknowledged", "attached", "budget", "bytes", "connections", "declared", "detached_at", "dropped",
        "due", "ephemeral", "missed", "name", "queue", "sent", "shares", "wake",
    )  # fmt: skip

    def __init__(self, name: str, budget: int, head: int, ephemeral: bool, declared: bool) -> None:
        self.name = name
        self.budget = budget
        self.ephemeral = ephemeral
        self.declared = declared  # by configuration: never forgotten
        self.queue = Queue()
        self.shares: dict[int, Share] = {}
        self._known = NOBODY  # index of the zone looked up last, and its share: events come in runs
        self._share: Share | None = None
        self.bytes = 0
        self.dropped = 0
        self.acknowledged = head
        self.sent = head
        self.due = head + 1
        self.attached = False
        self.connections = 0
        self.detached_at = 0.0
        self.wake: Callable[[], None] | None = None
        self.missed: set[Record] = set()

    def share(self, zone: ZoneAccount) -> Share:
        share = self.shares.get(zone.index)
        if share is None:
            share = self.shares[zone.index] = Share(zone.entered)
        return share

    def share_of(self, index: int) -> Share | None:
        """The share of the zone with this index, if it has one."""
        if index == self._known:
            return self._share
        share = self.shares.get(index)
        if share is not None:
            self._known = index
            self._share = share
        return share

    def forget_shares(self, index: int = NOBODY) -> None:
        """Without this zone's share from now on, or without any."""
        self._known = NOBODY
        self._share = None
        if index == NOBODY:
            self.shares.clear()
        else:
            self.shares.pop(index, None)

    def admits(self, index: int, priority: int, size: int, lined: int = 0, ahead: int = 0) -> bool:
        """Whether a record of ``size`` charged bytes would be taken, behind ``ahead`` bytes that have no number yet, ``lined`` of them of
        its zone."""
        share = self.share_of(index)
        return self._room(lined if share is None else lined + share.bytes, priority, size, ahead)

    def _room(self, held: i64, priority: i64, size: i64, ahead: i64) -> bool:
        """Whether a zone that holds ``held`` bytes may have ``size`` more."""
        free: i64 = self.budget - self.bytes - ahead - size
        return free >= 0 and held + size <= (free << PRIORITY_BITS * priority) // LOWEST_PART

    def offer(self, record: Record, share: Share) -> bool:
        size = record.size
        # Where there is room for the lowest priority, which there nearly always is, there is for all
        if LOWEST_PART * (share.bytes + size) > self.budget - self.bytes - size and not self._room(share.bytes, record.priority, size, 0):
            self.lose(record, share, OVERLOAD)
            return False
        self.queue.append(record)
        share.waiting += 1
        share.bytes += size
        self.bytes += size
        return True

    def lose(self, record: Record, share: Share, cause: str) -> None:
        """It is dropped, or never taken."""
        share.drop(cause)
        self.dropped += 1
        if record.priority == NOTICE and not self.ephemeral:  # nobody tells those what they lose
            self.missed.add(record)

    def send(self, count: int) -> None:
        """The first ``count`` of those that wait, at least one, are now unacknowledged."""
        records = self.queue.send(count)
        if records[0].seq <= self.sent:
            for record in records:
                if record.seq <= self.sent:
                    self._held(record.zone).redelivered += 1
        zone = records[0].zone
        run = 0
        for record in records:
            if record.zone != zone:
                self._held(zone).move(run)
                zone = record.zone
                run = 0
            run += 1
        self._held(zone).move(run)
        last = records[-1].seq
        self.sent = max(last, self.sent)
        self.due = last + 1

    def acknowledge(self, seq: int) -> bool:
        """This record and all before are done; False if the consumer claims what it was not sent on this connection."""
        if seq >= self.due:
            return False
        zone = NOBODY
        run = 0
        size = 0
        for record in self.queue.acknowledge(seq):
            if record.zone != zone:
                if run:
                    self._done(zone, run, size)
                zone = record.zone
                run = 0
                size = 0
            run += 1
            size += record.size
        if run:
            self._done(zone, run, size)
        if seq > self.acknowledged:
            self.acknowledged = seq
        return True

    def _done(self, zone: int, count: int, size: int) -> None:
        """So many records of a zone are acknowledged, which were charged ``size`` together."""
        share = self._held(zone)
        share.unacknowledged -= count
        share.acknowledged += count
        share.bytes -= size
        self.bytes -= size

    def _held(self, zone: int) -> Share:
        """The share of a zone of which records are queued."""
        share = self.share_of(zone)
        assert share is not None
        return share

    def oldest(self) -> int:
        """The oldest sequence number that is queued, or one that is larger than any."""
        record = self.queue.oldest() or self.queue.next()
        return 1 << 62 if record is None else record.seq

    def rewind(self) -> None:
        """The connection is gone: what was not acknowledged waits again, in front."""
        for record in self.queue.rewind():
            self._held(record.zone).move(-1)
        self.due = self.acknowledged + 1

    def discard(self, before: int, cause: str) -> int:
        """Drop what waits and is older than sequence number ``before``; returns how many."""
        return self._discard(before, -1, cause)

    def shrink(self, size: int, cause: str) -> int:
        """Drop what waits, the oldest first, until at most ``size`` bytes are charged or nothing waits; returns how many."""
        return self._discard(1 << 62, size, cause)

    def _discard(self, before: int, size: int, cause: str) -> int:
        """Drop what waits, as long as it is older than ``before`` and more than ``size`` bytes are charged."""
        count = 0
        while (record := self.queue.next(count)) is not None and record.seq < before and self.bytes > size:
            share = self._held(record.zone)
            share.waiting -= 1
            share.bytes -= record.size
            self.bytes -= record.size
            self.lose(record, share, cause)
            count += 1
        self.queue.drop(count)
        return count


@final
class Ring:
    """All zones' accounts and all consumers' queues. ``head`` is the last sequence number given, ``first - 1`` at the start.
    ``pressed``: not everybody took the last record, so that it is worth asking (``wants``) before the next is made. ``lining``: the next
    is lined up."""

    __slots__ = (
        "_born", "_front", "_fronts", "_lines", "_list", "_marks", "_moved", "_moved_at", "_next_zone", "_oversize", "_part",
        "_strict", "_stuck", "_zone", "budget", "consumers", "forgotten", "gone", "head", "lining", "max_age", "pressed", "zones",
    )  # fmt: skip

    def __init__(self, budget: int = BUDGET, max_age: float = MAX_AGE, first: int = 1, part: int = FRONT_PART) -> None:
        self.budget = budget
        self._part = part
        self._front = min(FRONT, budget // part)
        self.max_age = max_age
        self.head = first - 1
        self.pressed = True
        self.zones: dict[int, ZoneAccount] = {DAEMON: ZoneAccount(DAEMON, "", "")}
        self._zone = self.zones[DAEMON]  # of the last record: they come in runs
        self.gone: deque[ZoneAccount] = deque()
        self.consumers: dict[str, Consumer] = {}
        self.forgotten = 0  # events that were dropped with the consumers they waited for
        self.lining = False
        self._list: list[Consumer] = []
        self._fronts: list[Consumer] = []  # those that are connected and not ephemeral
        self._lines = Lines()
        self._moved = False  # one that was lined up was given its number since the last tick
        self._moved_at = -1.0  # monotonic seconds: the last tick before which that was so, or nothing was lined up; below 0: there was none
        self._stuck = False  # nobody who is connected has taken anything for LINE_TIME
        self._marks: deque[tuple[float, int]] = deque()  # (monotonic seconds, head then)
        self._next_zone = 1
        self._born = 0  # the highest block id that a record has been charged for
        self._oversize: set[int] = set()  # ids of blocks that cannot be sent, or name one that cannot
        self._strict: dict[int, int] = {}  # zone index -> sequence number of the last refused record that brought new blocks

    # Zones

    def add_zone(self, id: str, name: str) -> ZoneAccount:
        zone = ZoneAccount(self._next_zone, id, name)
        self._next_zone += 1
        self.zones[zone.index] = zone
        return zone

    def remove_zone(self, zone: ZoneAccount) -> None:
        """No further record of this zone will come. Its counters stay until it is one of the oldest that went."""
        if zone.gone:
            return
        zone.gone = True
        self.gone.append(zone)
        self._fold()

    def _fold(self) -> None:
        excess = len(self.gone) - MAX_GONE
        for zone in list(self.gone):
            if excess <= 0:
                return
            shares = [(consumer, consumer.shares.get(zone.index)) for consumer in self._list]
            if zone.lined or any(share is not None and (share.waiting or share.unacknowledged) for _, share in shares):
                continue
            old = self.zones.get(GONE)
            if old is None:
                old = self.zones[GONE] = ZoneAccount(GONE, "", "(gone zones)")
                old.gone = True
            for consumer, share in shares:
                # A consumer that never saw an event of this zone has no share: then all had entered before it came, or none did.
                consumer.share(old).fold(share if share is not None else Share(zone.entered))
                consumer.forget_shares(zone.index)
            fold_zone(old, zone)
            self.gone.remove(zone)
            del self.zones[zone.index]
            excess -= 1

    # Records

    def wants(self, zone: ZoneAccount, priority: int) -> bool:
        """Whether any consumer would take a typical record now: if not, it need not be made (``skip`` it)."""
        return self._admits(zone, priority, TYPICAL)

    def _admits(self, zone: ZoneAccount, priority: int, size: int) -> bool:
        ahead = self._lines.bytes
        for consumer in self._list:  # noqa: SIM110, this runs for every event
            if consumer.admits(zone.index, priority, size, zone.lined_bytes, ahead):
                return True
        return False

    def held(self, zone: ZoneAccount) -> int:
        """Bytes that this zone is charged at the connected consumer for which it has the fewest, and in its line; 0: nobody is connected.
        Ephemeral ones (``tail``) do not count."""
        if not self._fronts:
            return 0
        shares = [consumer.shares.get(zone.index) for consumer in self._fronts]
        return zone.lined_bytes + min([0 if share is None else share.bytes for share in shares])

    def move_up(self) -> None:
        """Give numbers to those who are lined up, as far as a connected consumer has little in front of it. Call when one has acknowledged
        something."""
        self._stuck = False
        self._move_up(MOVE)

    def _move_up(self, most: int) -> None:
        """To at most so many."""
        if not self.lining:
            return
        lines = self._lines
        while most > 0 and lines.count and self._near():
            self._number(*lines.take())
            most -= 1
        self.lining = lines.count > 0 or not self._near()

    def all_up(self) -> None:
        """Give numbers to all who are lined up."""
        lines = self._lines
        while lines.count:
            self._number(*lines.take())
        self.lining = not self._near()

    @property
    def lined(self) -> int:
        """How many are lined up."""
        return self._lines.count

    @property
    def lined_bytes(self) -> int:
        return self._lines.bytes

    def charged(self, consumer: Consumer) -> int:
        """Bytes of what is kept for this consumer, with those that are lined up."""
        return consumer.bytes + self.lined_bytes

    def _near(self) -> bool:
        """Whether a connected consumer has little in front of it, or nobody is waited for."""
        fronts = self._fronts
        for consumer in fronts:
            if consumer.bytes < self._front:
                return True
        return self._stuck or not fronts

    def _number(self, entry: Record | Refusal, zone: ZoneAccount) -> None:
        if isinstance(entry, Record):
            self._offer(entry, zone, True, entry.size - len(entry.data) - RECORD_OVERHEAD)
        else:
            self._refuse(zone, entry.cause, entry.count)
            if zone.index in self._strict:
                self._strict[zone.index] = self.head
        self._moved = True

    def append(self, record: Record) -> int:
        """Take a record that has no number: it gets the next one, or is lined up behind the others of its zone. Returns how many
        consumers will get it, as far as that is known: one that is lined up is for all."""
        zone = self._zone
        if zone.index != record.zone:
            zone = self._zone = self.zones[record.zone]
        size = len(record.data)
        fits = size <= MAX_RECORD
        size += RECORD_OVERHEAD
        born = self._born
        brought = 0
        if record.newest > born:
            for block in record.blocks:
                if block.id > born:
                    brought += self._bring(block, born)
        if self._oversize:
            for block in record.blocks:
                if block.id in self._oversize:
                    fits = False
        if self._strict and record.zone in self._strict:
            size += reach(record.blocks)
        else:
            size += brought
        record.size = size
        if not self.lining:
            return self._offer(record, zone, fits, brought)
        if fits and self._admits(zone, record.priority, record.size):
            self._lines.put(record, zone)
            self.pressed = False
            self._go_on()
            return len(self._list)
        self._lose(zone, OVERLOAD if fits else TOO_LARGE)
        self.pressed = True
        if brought:
            self._strict[record.zone] = self.head
        return 0

    def _go_on(self) -> None:
        """Something was lined up: where nobody is waited for, those in front move up."""
        if self._stuck or not self._fronts:
            self._move_up(STEP)

    def _offer(self, record: Record, zone: ZoneAccount, fits: bool, brought: int) -> int:
        """Give it the next number, and it to all consumers; returns how many take it. ``brought``: bytes of blocks that were new with it,
        or more."""
        self.head += 1
        record.seq = self.head
        taken = 0
        consumers = self._list
        pressed = not consumers
        for consumer in consumers:
            share = consumer._share
            if share is None or consumer._known != zone.index:
                share = consumer.share_of(zone.index) or consumer.share(zone)
            if not fits:
                consumer.lose(record, share, TOO_LARGE)
                pressed = True
            elif consumer.offer(record, share):
                taken += 1
                wake = consumer.wake
                if wake is not None:
                    consumer.wake = None
                    wake()
            else:
                pressed = True
                if brought:
                    self._strict[record.zone] = record.seq
        zone.entered += 1
        self.pressed = pressed
        for consumer in self._fronts:
            if consumer.bytes < self._front:
                return taken
        self.lining = not self._stuck and len(self._fronts) > 0
        return taken

    def _bring(self, block: Block, born: int) -> int:
        """Bytes of this block and of those it refers to that are newer than ``born``."""
        size = 0
        oversize = False
        stack = [block]
        while stack:
            one = stack.pop()
            size += len(one.data) + BLOCK_OVERHEAD
            if len(one.data) > MAX_RECORD:
                oversize = True
            if one.id > self._born:
                self._born = one.id
            for other in one.refs:
                if other.id > born:
                    stack.append(other)
                elif self._oversize and other.id in self._oversize:
                    oversize = True
        if oversize:
            if len(self._oversize) >= MAX_OVERSIZE:
                self._oversize.clear()
            self._oversize.add(block.id)
        return size

    def skip(self, zone: ZoneAccount) -> None:
        """Give a sequence number to an event that no consumer would take, behind the others of its zone, and count it as dropped."""
        self._lose(zone, OVERLOAD)

    def _lose(self, zone: ZoneAccount, cause: str) -> None:
        if zone.lined:
            self._lines.refuse(zone, cause)
            self._go_on()
        else:
            self._refuse(zone, cause, 1)

    def _refuse(self, zone: ZoneAccount, cause: str, count: int) -> None:
        self.head += count
        for consumer in self._list:
            consumer.share(zone).drop(cause, count)
            consumer.dropped += count
        zone.entered += count

    # Consumers

    def resize(self, budget: int) -> None:
        """Give every consumer's queue a new budget. What waits longest goes first where it no longer fits; what a consumer is working on
        stays, over the budget until it is acknowledged."""
        self.all_up()
        self.budget = budget
        self._front = min(FRONT, budget // self._part)
        for consumer in self._list:
            consumer.budget = budget // EPHEMERAL_PART if consumer.ephemeral else budget
            consumer.shrink(consumer.budget, OVERLOAD)

    def declare(self, name: str) -> Consumer:
        """A consumer for which events are kept from now on, whether or not it has ever connected."""
        consumer = self.consumers.get(name)
        if consumer is None:
            consumer = self._add(name, self.budget, False)
        consumer.declared = True
        return consumer

    def _add(self, name: str, budget: int, ephemeral: bool) -> Consumer:
        consumer = Consumer(name, budget, self.head, ephemeral, False)
        for zone in self.zones.values():
            consumer.share(zone)
        self.consumers[name] = consumer
        self._list = list(self.consumers.values())
        return consumer

    def keep(self, name: str) -> Consumer:
        """A consumer that was there before a restart; if it does not come back it is forgotten like any other."""
        return self.consumers.get(name) or self._add(name, self.budget, False)

    def marks(self) -> list[tuple[float, int]]:
        """How old sequence numbers are: (monotonic seconds, head then), which hold for all processes until the machine restarts."""
        return list(self._marks)

    def resume(self, head: int, last_block: int, marks: list[tuple[float, int]]) -> None:
        """Go on after these numbers, in a ring that nothing has entered yet."""
        self.head = head
        self._born = last_block
        self._marks = deque(marks)
        for consumer in self._list:
            consumer.acknowledged = consumer.sent = head
            consumer.due = head + 1

    def attach(self, name: str, ephemeral: bool = False) -> Consumer:
        """A connection of this name is there. Raises Refused."""
        consumer = self.consumers.get(name)
        if consumer is None:
            if len(self.consumers) >= MAX_CONSUMERS:
                raise Refused(f"there are {MAX_CONSUMERS} consumers already", busy=False)
            budget = self.budget // EPHEMERAL_PART if ephemeral else self.budget
            consumer = self._add(name, budget, ephemeral)
        elif consumer.attached:
            raise Refused(f"a consumer named {name} is connected already", busy=True)
        consumer.attached = True
        consumer.connections += 1
        consumer.due = consumer.acknowledged + 1
        self._look_at_fronts()
        return consumer

    def _look_at_fronts(self) -> None:
        self._fronts = [consumer for consumer in self._list if consumer.attached and not consumer.ephemeral]
        self.move_up()

    def detach(self, consumer: Consumer, now: float) -> None:
        """Its connection is gone; ``now``: monotonic seconds."""
        consumer.attached = False
        consumer.wake = None
        consumer.detached_at = now
        consumer.rewind()
        if consumer.ephemeral:
            self.forget(consumer)
        self._look_at_fronts()

    def forget(self, consumer: Consumer) -> None:
        count = consumer.discard(self.head + 1, FORGOTTEN)
        if not consumer.ephemeral:
            self.forgotten += count
        del self.consumers[consumer.name]
        self._list = list(self.consumers.values())

    def tick(self, now: float) -> None:
        """Let time pass: call about once a second. ``now``: monotonic seconds."""
        if self._moved or not self._lines.count or self._moved_at < 0:
            self._moved_at = now
        elif now - self._moved_at >= LINE_TIME:
            self._stuck = True
        self._moved = False
        self._lines.tick(now)
        self._marks.append((now, self.head))
        cut = 0
        while self._marks and self._marks[0][0] <= now - self.max_age:
            cut = self._marks.popleft()[1]
        for consumer in self._list:
            if cut:
                consumer.discard(cut + 1, AGE)
            if not consumer.attached and not consumer.declared and now - consumer.detached_at >= self.max_age:
                self.forget(consumer)
        if self._strict:
            oldest = min([c.oldest() for c in self._list], default=self.head + 1)
            lined = {zone.index for zone in self.zones.values() if zone.lined}
            self._strict = {zone: seq for zone, seq in self._strict.items() if seq >= oldest or zone in lined}
        self._move_up(MOVE)
        if self.gone:
            self._fold()

    def lag(self, consumer: Consumer, now: float) -> float:
        """Seconds since the oldest event that the consumer has not acknowledged came, as far as ``tick`` tells the time; 0: it has all. Who
        waits for a number counts from coming to getting it, and from then on anew."""
        waited = self._lines.waited(now)
        oldest = consumer.oldest()
        for at, head in self._marks:
            if head >= oldest:
                return max(waited, now - at)
        return waited

    def fullness(self) -> float:
        """How full the fullest queue of a connected or declared consumer is, 0 to 1."""
        return max([self.charged(c) / c.budget for c in self._list if not c.ephemeral], default=0.0)

    def unbalanced(self) -> list[str]:
        """What does not add up, in words, by the counters alone: cheap enough for every look at the daemon."""
        wrong: list[str] = []
        for zone in self.zones.values():
            if zone.balance():
                parts = f"undecodable {zone.undecodable} + lined up {zone.lined} + entered {zone.entered}"
                wrong.append(f"zone {zone.index}: received {zone.received} != {parts}")
        for consumer in self._list:
            for zone in self.zones.values():
                share = consumer.shares.get(zone.index)
                if share is not None and share.total() != zone.entered:
                    wrong.append(f"{consumer.name}, zone {zone.index}: {share.total()} accounted for, {zone.entered} entered")
        return wrong

    def verify(self) -> list[str]:
        """What does not add up, in words; empty when all does. Looks at every queued record."""
        wrong = self.unbalanced()
        lines = self._lines
        if sum([zone.lined for zone in self.zones.values()]) != lines.count or (lines.count and not self.lining):
            wrong.append(f"{lines.count} are lined up, which is not what the zones' accounts say")
        for consumer in self._list:
            waiting: dict[int, int] = {}
            unacknowledged: dict[int, int] = {}
            charged = 0
            last = -1
            for queue, counts in ((consumer.queue.unacknowledged, unacknowledged), (consumer.queue.waiting, waiting)):
                for record in queue:
                    counts[record.zone] = counts.get(record.zone, 0) + 1
                    charged += record.size
                    if record.seq <= last:
                        wrong.append(f"{consumer.name}: {record.seq} is queued after {last}")
                    last = record.seq
            # Over the budget there may be what the consumer was sent before the budget was made smaller.
            over = consumer.bytes > consumer.budget and last > consumer.sent
            if charged != consumer.bytes or over:
                wrong.append(f"{consumer.name}: charged {consumer.bytes} of {consumer.budget} bytes, queues hold {charged}")
            for zone in self.zones.values():
                share = consumer.shares.get(zone.index)
                if share is None:
                    continue
                if share.waiting != waiting.get(zone.index, 0) or share.unacknowledged != unacknowledged.get(zone.index, 0):
                    counts_ = f"{share.waiting} waiting, {share.unacknowledged} unacknowledged"
                    wrong.append(f"{consumer.name}, zone {zone.index}: {counts_} are not what its queues hold")
        return wrong
