"""How much of one zone is handed on before others get their turn. Synchronous, no I/O."""

from __future__ import annotations

from typing import Final, final

# Seconds of one zone's events before others get their turn, and how many events are handed on between two looks at the clock: at most so
# many, which take a millisecond or two, and fewer where each takes long or becomes much
SLICE: Final = 0.002
MAX_PACE: Final = 64
# Bytes that a zone may add to a consumer's buffer before the loop goes on to others, the consumer's connection among them. That takes some
# 200 kB in one go; a zone whose turns make more (an exec with 30 kB of environment becomes 90 kB, in 0.2 ms) would fill the buffer of a
# consumer that has nothing to do, before it has had its turn. It is not waited until these are sent: what a zone can send would then depend
# on its consumers, and its kernel would drop the rest without regard to priority.
PORTION: Final = 256 << 10


@final
class Pace:
    """Of one zone. ``next``: how many events to hand on at a time, 1 to MAX_PACE."""

    __slots__ = ("_made", "next")

    def __init__(self) -> None:
        self.next = MAX_PACE
        self._made = 0  # bytes of the portion

    def took(self, seconds: float, made: int) -> bool:
        """So many were handed on in ``seconds`` and became ``made`` bytes for a consumer. Returns whether that ends a portion."""
        if seconds > SLICE / 2 or made > PORTION / 2:
            self.next = max(1, self.next // 2)
        elif seconds < SLICE / 4 and made < PORTION / 4:
            self.next = min(MAX_PACE, 2 * self.next)
        self._made += made
        if self._made <= PORTION:
            return False
        self._made = 0
        return True
