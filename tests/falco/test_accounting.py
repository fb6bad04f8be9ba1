"""The counters alone: what each call changes, and that the two equations say what they should."""

from __future__ import annotations

from edera_falcod.falco import accounting
from edera_falcod.falco.accounting import AGE, INTERNAL, MALFORMED, OVERLOAD, UNKNOWN_TYPE, Share, ZoneAccount, fold_zone


def share(**counts: int) -> Share:
    made = Share(counts.pop("before", 0))
    for name, count in counts.items():
        assert hasattr(made, name)
        setattr(made, name, count)
    return made


def test_a_new_account_has_counted_nothing() -> None:
    account = ZoneAccount(7, "id", "name")
    assert (account.index, account.id, account.name, account.gone) == (7, "id", "name", False)
    assert (account.received, account.notices, account.entered, account.bytes, account.gaps, account.last_ts) == (0,) * 6
    assert (account.lined, account.lined_bytes, account.given) == (0, 0, 0)
    assert account.undecodable == {} and account.balance() == 0


def test_what_is_refused_is_counted_by_cause() -> None:
    account = ZoneAccount(1, "", "")
    account.refuse(MALFORMED)
    account.refuse(MALFORMED)
    account.refuse(UNKNOWN_TYPE, 5)
    account.refuse(UNKNOWN_TYPE, 2)
    assert account.undecodable == {MALFORMED: 2, UNKNOWN_TYPE: 7}


def test_the_zones_equation() -> None:
    """received = undecodable + lined up + entered; what is left over has its sign."""
    account = ZoneAccount(1, "", "")
    account.received = 10
    assert account.balance() == 10
    account.entered = 7
    account.refuse(INTERNAL, 2)
    assert account.balance() == 1
    account.entered = 9
    assert account.balance() == -1
    account.lined = 3
    assert account.balance() == -4


def test_a_new_share_has_counted_nothing_but_what_was_before() -> None:
    new = Share(5)
    assert (new.before, new.waiting, new.unacknowledged, new.acknowledged, new.redelivered, new.bytes) == (5, 0, 0, 0, 0, 0)
    assert new.dropped == {} and new.lost() == 0 and new.total() == 5


def test_what_is_dropped_is_counted_by_cause() -> None:
    one = Share(0)
    one.drop(AGE)
    one.drop(AGE)
    one.drop(OVERLOAD, 4)
    one.drop(OVERLOAD, 3)
    assert one.dropped == {AGE: 2, OVERLOAD: 7} and one.lost() == 9


def test_the_total_is_all_that_has_entered() -> None:
    """before + acknowledged + unacknowledged + waiting + dropped: each counts once, redeliveries and bytes do not."""
    one = share(before=1, waiting=20, unacknowledged=300, acknowledged=4000, redelivered=77777, bytes=999999)
    one.drop(AGE, 50000)
    assert one.total() == 54321


def test_shares_are_added_up() -> None:
    into = share(before=1, waiting=2, unacknowledged=3, acknowledged=4, redelivered=5, bytes=6)
    into.drop(AGE, 7)
    other = share(before=10, waiting=20, unacknowledged=30, acknowledged=40, redelivered=50, bytes=60)
    other.drop(AGE, 70)
    other.drop(OVERLOAD, 80)
    into.told, other.told = {AGE: 3}, {AGE: 30, OVERLOAD: 40}
    into.fold(other)
    assert (into.before, into.waiting, into.unacknowledged, into.acknowledged) == (11, 22, 33, 44)
    assert (into.redelivered, into.bytes, into.dropped) == (55, 66, {AGE: 77, OVERLOAD: 80})
    assert into.told == {AGE: 33, OVERLOAD: 40}
    assert (other.dropped, other.told, other.total()) == ({AGE: 70, OVERLOAD: 80}, {AGE: 30, OVERLOAD: 40}, 250)


def test_a_gone_zones_counters_are_added_up() -> None:
    into, other = ZoneAccount(0, "", ""), ZoneAccount(1, "id", "name")
    for account, unit in ((into, 1), (other, 10)):
        account.received, account.notices, account.entered, account.bytes, account.gaps = (unit * factor for factor in (1, 2, 3, 4, 5))
        account.last_ts = unit
        account.refuse(MALFORMED, 6 * unit)
    other.refuse(INTERNAL, 9)
    fold_zone(into, other)
    assert (into.received, into.notices, into.entered, into.bytes, into.gaps) == (11, 22, 33, 44, 55)
    assert into.undecodable == {MALFORMED: 66, INTERNAL: 9}
    assert (into.index, into.id, into.name, into.last_ts, into.gone) == (0, "", "", 1, False)
    assert (other.received, other.undecodable) == (10, {MALFORMED: 60, INTERNAL: 9})


def test_names_that_metrics_notices_and_scripts_rely_on() -> None:
    names = {name: getattr(accounting, name) for name in vars(accounting) if name.isupper()}
    assert names == {
        "HOP": "daemon", "MALFORMED": "malformed", "UNKNOWN_TYPE": "unknown_type", "INTERNAL": "internal", "OVERLOAD": "overload",
        "AGE": "age", "TOO_LARGE": "too_large", "RESTART": "restart", "FORGOTTEN": "consumer_gone",
    }  # fmt: skip
