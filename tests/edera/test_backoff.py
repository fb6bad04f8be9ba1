"""Delays double up to a limit, vary, and start again after a reset."""

from __future__ import annotations

from edera_falcod.edera.backoff import FACTOR, FIRST, JITTER, LONGEST, Backoff


def test_delays_double_to_the_limit() -> None:
    backoff = Backoff(seed=1)
    for tries in range(100):
        plain = min(LONGEST, FIRST * FACTOR ** min(tries, 50))
        assert backoff.tries == tries
        assert plain * (1 - JITTER) <= backoff.next() <= plain * (1 + JITTER)
    backoff.reset()
    assert backoff.next() <= FIRST * (1 + JITTER)


def test_two_that_fail_together_do_not_come_back_together() -> None:
    one, two = Backoff(seed=1), Backoff(seed=2)
    assert [one.next() for _ in range(5)] != [two.next() for _ in range(5)]
