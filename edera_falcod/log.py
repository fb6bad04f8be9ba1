"""Logs: structlog, readable on a terminal, one JSON object a line elsewhere; rate-limited; never per event.

The core does not log. Shells log what changes (a zone, a consumer, a link) and what is wrong (once per cause and time window).
"""

from __future__ import annotations

import sys
import time
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

WINDOW: Final = 10.0  # seconds
PER_WINDOW: Final = 20  # lines of the same message and zone in a window; what is beyond is counted in the next one that is let through
MAX_KEYS: Final = 4096  # messages times zones that are tracked at a time
LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("auto", "console", "json")


class Limiter:
    """A structlog processor that lets PER_WINDOW lines of one message and zone pass in WINDOW seconds; errors always pass."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[float]] = {}  # key -> [window's start, passed, suppressed]

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if method in ("error", "critical", "exception"):
            return event
        key = (str(event.get("event")), str(event.get("zone", "")))
        now = time.monotonic()
        seen = self._seen.get(key)
        if seen is None or now - seen[0] >= WINDOW:
            if seen is not None and seen[2]:
                event["suppressed"] = int(seen[2])
            if len(self._seen) >= MAX_KEYS:
                self._seen.clear()
            self._seen[key] = [now, 1, 0]
            return event
        if seen[1] >= PER_WINDOW:
            seen[2] += 1
            raise structlog.DropEvent
        seen[1] += 1
        return event


class Threshold:
    """A structlog processor that drops lines less severe than ``level``. A logger that is bound keeps its class, and so the level of that
    time; a processor is asked each time."""

    NUMBERS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "exception": 40, "critical": 50}

    def __init__(self) -> None:
        self.level = "info"

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if self.NUMBERS.get(method, 50) < self.NUMBERS[self.level]:
            raise structlog.DropEvent
        return event


THRESHOLD: Final = Threshold()
_PROCESSORS: Final[list[Any]] = []  # changed in place, so that loggers which are bound already follow


def set_level(level: str) -> str:
    """From now on; returns the level before. Raises ValueError."""
    if level not in LEVELS:
        raise ValueError(f"{level[:32]!r} is no level; there are {', '.join(LEVELS)}")
    before, THRESHOLD.level = THRESHOLD.level, level
    return before


def _drop_none(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in event.items() if value is not None}


def configure(level: str = "info", format: str = "auto") -> None:
    """Set up for the whole process; logs go to standard error, for standard output belongs to commands."""
    console = format == "console" or (format == "auto" and sys.stderr.isatty())
    set_level(level)
    processors: list[Any] = [
        THRESHOLD,
        structlog.processors.add_log_level,
        Limiter(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f" if console else "iso", utc=not console),
        structlog.processors.format_exc_info,
        _drop_none,
    ]
    if console:
        plain = structlog.dev.plain_traceback
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=plain))
        processors.remove(structlog.processors.format_exc_info)
    else:
        processors.append(structlog.processors.JSONRenderer())
    _PROCESSORS[:] = processors
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(10),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get(room: str) -> Any:
    """A logger whose lines say which room they come from."""
    return structlog.get_logger().bind(room=room)
