"""How long to wait before the next try."""

from __future__ import annotations

import random
from typing import Final, final

FIRST: Final = 0.25  # s; a daemon that restarts is often back at once
LONGEST: Final = 15.0  # s; longer would be felt after an outage, and a try costs next to nothing
FACTOR: Final = 2.0
JITTER: Final = 0.25  # of the delay, up and down, so that those who failed together do not come back together


@final
class Backoff:
    """Delays that double from ``first`` to ``longest`` seconds, each varied by ``JITTER``. ``tries``: failures since the last reset."""

    __slots__ = ("tries", "_first", "_longest", "_random")

    def __init__(self, first: float = FIRST, longest: float = LONGEST, seed: int | None = None) -> None:
        self.tries = 0
        self._first = first
        self._longest = longest
        self._random = random.Random(seed)

    def next(self) -> float:
        """The delay before the next try, in seconds."""
        delay = min(self._longest, self._first * FACTOR ** min(self.tries, 30))
        self.tries += 1
        return delay * self._random.uniform(1 - JITTER, 1 + JITTER)

    def reset(self) -> None:
        self.tries = 0
