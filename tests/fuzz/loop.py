"""An event loop whose time stands still while the process does: whoever measures speed stops fuzzers for minutes, and on a busy machine
they wait for their turn. A limit in seconds then still finds what hangs, and only that."""

from __future__ import annotations

import asyncio
import selectors
import time
from selectors import SelectorKey

STEP = 0.25  # seconds: more between two looks at the clock was spent elsewhere, and counts as so many


class _Selector(selectors.DefaultSelector):
    """Waits in steps that the clock counts whole."""

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        return super().select(STEP if timeout is None else min(timeout, STEP))


class Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now = 0.0
        self._looked = time.monotonic()
        super().__init__(_Selector())

    def time(self) -> float:
        looked = time.monotonic()
        self._now += min(looked - self._looked, STEP)
        self._looked = looked
        return self._now
