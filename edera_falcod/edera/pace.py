"""How much of one zone is handed on before others get their turn. Synchronous, no I/O."""

from __future__ import annotations

from typing import Final, final

# Seconds of one zone's events before others get their turn, and how many events are handed on between two looks at the clock: at most so
# many, which take a millisecond or two, and fewer where each takes long or becomes much
SLICE: Final = 0.002
MAX_PACE: Final = 64
# Bytes that a zone may add to a consumer's buffer before the loop goes on to others, the consumer's connection among them. That takes some
# 200 kB in one go; a zone whose turns make more (an exec with 30 kB of environment becomes 90 kB, in 0.2 ms) would fill the buffer of a
# consumer that has nothing to do, with everybody else's events behind its own.
PORTION: Final = 256 << 10
# Bytes that an event becomes on average in a portion of a zone that is held back until the consumer has taken what it has. Ordinary events
# become 0.4 to 1.2 kB, and the heaviest portion of any of our captures 1.7 kB: such a zone waits for nobody, since what it can send would
# then depend on its consumers. But the larger the events, the more of them a zone makes than any consumer can take.
HEAVY: Final = 4096


@final
class Pace:
    """Of one zone. ``next``: how many events to hand on at a time, 1 to MAX_PACE."""

    __slots__ = ("_events", "_made", "next")

    def __init__(self) -> None:
        self.next = MAX_PACE
        self._events = 0  # of the portion
        self._made = 0  # bytes that they became

    def took(self, events: int, seconds: float, made: int) -> int:
        """``events`` were handed on in ``seconds`` and became ``made`` bytes for a consumer. Returns the bytes of an event, on average, if
        that ends a portion; else 0."""
        if seconds > SLICE / 2 or made > PORTION / 2:
            self.next = max(1, self.next // 2)
        elif seconds < SLICE / 4 and made < PORTION / 4:
            self.next = min(MAX_PACE, 2 * self.next)
        self._events += events
        self._made += made
        if self._made <= PORTION:
            return 0
        average = self._made // max(1, self._events)
        self._events = self._made = 0
        return average
