"""Invariant: no sequence of well-formed events, whatever they say, raises out of a zone's state, makes its tables disagree, or goes beyond
its limits; and the zone can always be told as a snapshot that means the same."""

from __future__ import annotations

from edera_falcod.scap.event import Event
from edera_falcod.scap.tables import (
    EVENTS,
    PT_BYTEBUF,
    PT_CHARBUF,
    PT_CHARBUFARRAY,
    PT_ERRNO,
    PT_FD,
    PT_FDLIST,
    PT_FSPATH,
    PT_FSRELPATH,
    PT_PID,
    PT_SOCKADDR,
    PT_SOCKTUPLE,
)
from edera_falcod.state import limits
from edera_falcod.state.export import export_threads
from edera_falcod.state.registry import PARSERS
from edera_falcod.state.zone import ZoneState
from tests.fields.watch import Watch
from tests.state import invariants
from tests.state.captures import zone_from
from tests.state.support import WIDTHS, inet, inet6, inet6_tuple, inet_tuple, told, unix, unix_tuple

from .dice import EDGES, Dice

START = 1_700_000_000_000_000_000
TIDS = (1, 2, 3, 4, 5, 6, 7, 100, 0, (1 << 64) - 1, 1 << 62, 1 << 63)
NUMBERS = (0, 1, 2, 3, 4, 5, 1023, (1 << 64) - 1, (1 << 64) - 100, 1 << 31)
TEXTS = (b"/", b"a", b"../..", b"/etc/passwd", b"//x/./y/../z", b"", b"\xff\xfe", b"\x1b[2J\n\0x", b"d" * 300, b"A=1", b"\xed\xa0\x80")
PARSED = tuple(code for code in range(len(EVENTS)) if PARSERS[code] is not None and not EVENTS[code].old)
CODES = PARSED + tuple(code for code in range(len(EVENTS)) if code not in PARSED)
TUPLES = (b"", inet_tuple("1.1.1.1", 1, "2.2.2.2", 2), inet6_tuple(bytes(16), 1, bytes(15) + b"\1", 2), unix_tuple(1, 2, "/s"), b"\2\1")
SOCKETS = (b"", inet("1.1.1.1", 2), inet6(bytes(16), 2), unix("/s"), b"\x02", b"\x63x")
LONGEST = 200  # events: more of them make inputs slow, not better
EVERY = 8  # events between looks at the whole zone, which cost as much as four; what is wrong mostly stays wrong, and inputs end anywhere


def corpus() -> list[bytes]:
    """Every kind of event once, in blocks of twelve that meet the same few threads."""
    steps = [bytes([1]) + (index).to_bytes(2, "little") + bytes([index % 7, index % 5] * 24) for index in range(len(PARSED))]
    return [b"".join(steps[at : at + 12]) for at in range(0, len(steps), 12)]


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def parameter(dice: Dice, kind: int) -> bytes:
    if dice.below(16) == 15:
        return dice.blob()
    if kind in (PT_CHARBUF, PT_FSPATH, PT_FSRELPATH):
        return dice.pick(TEXTS) + b"\0"
    if kind == PT_CHARBUFARRAY:
        return b"".join(dice.pick(TEXTS) + b"\0" for _ in range(dice.below(4)))
    if kind == PT_BYTEBUF:
        return dice.blob()
    if kind == PT_SOCKTUPLE:
        return dice.pick(TUPLES)
    if kind == PT_SOCKADDR:
        return dice.pick(SOCKETS)
    if kind == PT_FDLIST:
        count = dice.below(4)
        return count.to_bytes(2, "little") + b"".join(dice.pick(NUMBERS).to_bytes(8, "little") + b"\1\0" for _ in range(count))
    if kind in (PT_FD, PT_ERRNO):
        number = dice.pick(NUMBERS)
    elif kind == PT_PID:
        number = dice.pick(TIDS)
    else:
        number = dice.pick(EDGES) if dice.below(2) else dice.number(4)
    width = WIDTHS.get(kind, 8)
    return (number & (1 << 8 * width) - 1).to_bytes(width, "little")


def drawn(dice: Dice, ts: int) -> Event:
    code = CODES[dice.number(2) % len(CODES)]
    tid = signed(dice.pick(TIDS))
    return Event(ts, tid, dice.below(4), code, [parameter(dice, param.type) for param in EVENTS[code].params])


def lasting(zone: ZoneState) -> set[int]:
    """Threads that are there beyond the next event: not those of which nothing is known, nor the dead, but for a main thread that exited
    before the others of its process. It keeps what is theirs, so it is told of; a snapshot cannot say that it is dead."""
    return {
        tid
        for tid, thread in zone.threads.items()
        if thread.group is not None and (not thread.is_dead() or (thread.is_main() and thread.group.alive > 0))
    }


def one(data: bytes) -> None:
    dice = Dice(data)
    family = [told(1, ptid=0), told(2), told(3, ptid=2), told(4, pid=3, ptid=2), told(5, ptid=5), told(6, ptid=7), told(7, ptid=6)]
    watch = Watch(zone_from(family))
    zone = watch.zone
    now = START
    for number in range(LONGEST):
        if not dice.left:
            break
        now += (1000, 0, -5_000_000_000, 10**12)[dice.below(4) if dice.below(8) == 7 else 0]
        watch.see(drawn(dice, now & (1 << 63) - 1))
        if number % EVERY == 0:
            invariants.check(zone)
    invariants.check(zone)
    assert len(zone.threads) <= limits.MAX_THREADS
    again = zone_from(tuple(export_threads(zone)))
    invariants.check(again)
    assert again.threads.keys() == lasting(zone)
    assert not any(thread.is_dead() for thread in again.threads.values())
