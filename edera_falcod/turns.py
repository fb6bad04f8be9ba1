"""Long work on the event loop in slices, between which others get their turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import final


@final
class Turns:
    """``slice``: seconds of work. ``before``: called before a turn is given."""

    def __init__(self, slice: float, before: Callable[[], object] | None = None) -> None:
        self._slice = slice
        self._before = before
        self._end = time.monotonic() + slice

    async def give(self) -> None:
        """Call it between two pieces of the work."""
        if time.monotonic() >= self._end:
            if self._before is not None:
                self._before()
            await asyncio.sleep(0)
            self._end = time.monotonic() + self._slice
