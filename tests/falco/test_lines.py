"""falco/lines.py: records that have no number yet, a line for each zone, which take turns."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.falco.accounting import ZoneAccount
from edera_falcod.falco.lines import ALLOWANCE, QUANTUM, Lines, Refusal
from edera_falcod.fields.record import Record


class Zones:
    """Lines, and the accounts of the zones that use them."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.accounts: dict[int, ZoneAccount] = {}

    def put(self, zone: int, size: int, number: int = 0) -> None:
        account = self.accounts.setdefault(zone, ZoneAccount(zone, "", ""))
        record = Record(0, zone, number.to_bytes(8, "little"), (), 0, 1)
        record.size = size
        self.lines.put(record, account)

    def take(self) -> Record:
        record, account = self.lines.take()
        assert isinstance(record, Record) and account is self.accounts[record.zone]
        return record

    def held(self, zone: int) -> tuple[int, int]:
        account = self.accounts[zone]
        return account.lined, account.lined_bytes


def number(record: Record) -> int:
    return int.from_bytes(record.data, "little")


def test_one_zone_keeps_its_order() -> None:
    zones = Zones()
    for place in range(5):
        zones.put(7, 100, place)
    assert (zones.lines.count, zones.lines.bytes, zones.held(7)) == (5, 500, (5, 500))
    assert [number(zones.take()) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert (zones.lines.count, zones.lines.bytes, zones.held(7)) == (0, 0, (0, 0))


def test_who_comes_waits_for_one_turn() -> None:
    zones = Zones()
    for zone in (1, 2, 3):
        for _ in range(200):
            zones.put(zone, 1024)
    taken = [zones.take().zone for _ in range(50)]
    assert set(taken) == {1, 2, 3}
    zones.put(4, 1024)
    while (zone := zones.take().zone) != 4:
        taken.append(zone)
    assert len(taken) - 50 <= QUANTUM // 1024


def test_who_floods_shares_evenly_counted_in_bytes() -> None:
    """Large records get no more than small ones."""
    zones = Zones()
    for _ in range(5000):
        zones.put(1, 1000)
    for _ in range(60):
        zones.put(2, 90_000)
    sent: Counter[int] = Counter()
    while sent[1] < 4_000_000:
        record = zones.take()
        sent[record.zone] += record.size
        assert abs(sent[1] - sent[2]) <= 90_000 + 2 * QUANTUM


def test_what_a_quiet_zone_sends_at_once_does_not_wait_behind_a_flood_but_no_more_than_that() -> None:
    zones = Zones()

    def flooded(count: int) -> None:
        """By zone 1, which always has something in line."""
        for _ in range(count):
            zones.put(1, 1000)
            zones.take()

    zones.put(1, 1000)
    for _ in range(3):
        flooded(2 * ALLOWANCE // 1000)
        burst = ALLOWANCE // 1000
        for _ in range(2 * burst):
            zones.put(2, 1000)
        zones.put(1, 1000)
        first = Counter([zones.take().zone for _ in range(burst)])
        assert first[1] * 1000 <= QUANTUM + 1000, "nearly all of the first ALLOWANCE bytes are the quiet zone's"
        for _ in range(burst):
            zones.put(1, 1000)
        then = Counter([zones.take().zone for _ in range(burst)])
        assert 0.45 * burst < then[1] < 0.55 * burst, "and then they share"
        while zones.held(2)[0] or zones.held(1)[0] > 1:
            zones.take()


def test_who_leaves_the_line_and_comes_back_has_gained_nothing() -> None:
    """As long as the others have been given no more meanwhile."""
    zones = Zones()
    for _ in range(2 * ALLOWANCE // 1000):
        zones.put(1, 1000)
        zones.take()
    before = zones.accounts[1].given
    zones.put(1, 1000)
    assert zones.accounts[1].given == before


def test_what_is_refused_keeps_its_place_in_one_entry_for_all_in_a_row() -> None:
    zones = Zones()
    zones.put(1, 100, 0)
    account = zones.accounts[1]
    for cause in ("overload", "overload", "too_large"):
        zones.lines.refuse(account, cause)
    zones.put(1, 100, 1)
    zones.lines.refuse(account, "overload")
    assert (zones.lines.count, zones.lines.bytes, zones.held(1)) == (6, 200, (6, 200))
    found = []
    while zones.lines.count:
        entry, _ = zones.lines.take()
        found.append(number(entry) if isinstance(entry, Record) else (entry.cause, entry.count))
        assert isinstance(entry, (Record, Refusal))
    assert found == [0, ("overload", 2), ("too_large", 1), 1, ("overload", 1)]
    assert (zones.lines.bytes, zones.held(1)) == (0, (0, 0))
    zones.put(1, 100, 2)
    assert number(zones.take()) == 2


def test_how_long_the_first_has_waited_is_told_by_ticks() -> None:
    zones = Zones()
    lines = zones.lines
    zones.put(1, 100)
    assert lines.waited(5.0) == 0.0, "no tick has seen it"
    for second in range(10, 13):
        lines.tick(float(second))
        zones.put(1, 100)
        zones.put(2, 100)
    assert lines.waited(13.0) == 3.0
    while zones.held(1)[0] > 1:
        zones.take()
    assert (zones.held(2)[0], lines.waited(13.0)) == (3, 2.0), "of zone 2 two were there at 12, one of them at 11"
    for _ in range(4):
        zones.take()
    lines.tick(14.0)
    assert lines.waited(15.0) == 0.0


def test_a_mark_lasts_as_long_as_what_it_speaks_of() -> None:
    zones = Zones()
    for second in range(1000):
        zones.put(1, 100)
        zones.put(1, 100)
        zones.lines.tick(float(second))
        zones.take()
        if second:
            zones.take()
    assert zones.held(1)[0] == 1 and zones.lines.waited(1000.0) == 1.0


@given(st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 4), st.integers(1, 40_000))), max_size=300))
def test_nothing_is_lost_and_no_zone_is_out_of_order(steps: list[tuple[int, int] | None]) -> None:
    """None: one is taken."""
    zones = Zones()
    lines = zones.lines
    here: dict[int, list[tuple[int, int]]] = {}
    count = 0

    def take() -> None:
        record = zones.take()
        assert here[record.zone].pop(0) == (number(record), record.size)

    for step in steps:
        if step is None:
            if lines.count:
                take()
            continue
        zone, size = step
        zones.put(zone, size, count)
        here.setdefault(zone, []).append((count, size))
        count += 1
        assert lines.count == sum(map(len, here.values()))
        assert all(zones.held(zone) == (len(line), sum(size for _, size in line)) for zone, line in here.items())
        assert lines.bytes == sum(zones.held(zone)[1] for zone in here)
    while lines.count:
        take()
    assert not any(here.values()) and lines.bytes == 0
