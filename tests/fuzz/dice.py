"""Bytes of a fuzzer as choices: an input always means the same, with or without an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar, final

T = TypeVar("T")

# Where widths and signs end: what a hostile zone would try first.
EDGES: Final = tuple(
    value & (1 << 64) - 1
    for value in (
        0, 1, 2, 3, -1, -2, -100, 127, 128, 255, 256, 4095, 4096, 4097, (1 << 15) - 1, 1 << 15, (1 << 16) - 1, 1 << 16, (1 << 31) - 1,
        1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63,
    )
)  # fmt: skip


@final
class Dice:
    """``left``: whether there are bytes that were not used. Behind the last everything is 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        return self._at < len(self._data)

    def below(self, limit: int) -> int:
        """One byte for limits up to 256, two above."""
        return self.number(1 if limit <= 256 else 2) % limit

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def word(self) -> int:
        """64 bits: mostly small or at an edge."""
        form = self.below(4)
        if form == 0:
            return self.pick(EDGES)
        return self.number((1, 2, 8)[form - 1])

    def take(self, size: int) -> bytes:
        """What is left of it, if there are fewer."""
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        return data

    def blob(self, most: int = 64) -> bytes:
        return self.take(self.below(most))

    def rest(self) -> bytes:
        return self.take(len(self._data))
