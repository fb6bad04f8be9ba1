"""Which function brings the state up to which event: a list indexed by event code, filled when the parser modules are imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..scap.event import Event
from ..scap.tables import PPM_EVENT_MAX

if TYPE_CHECKING:
    from .zone import ZoneState

Parser = Callable[["ZoneState", Event], None]

PARSERS: Final[list[Parser | None]] = [None] * PPM_EVENT_MAX


def parses(*codes: int) -> Callable[[Parser], Parser]:
    """Registers a parser for event codes. A parser may count on ``zone.thread``, ``zone.event_fd`` and ``zone.fd_num`` as
    ``ZoneState.apply`` prepared them."""

    def register(parser: Parser) -> Parser:
        for code in codes:
            if PARSERS[code] is not None:
                raise ValueError(f"two parsers for event code {code}")
            PARSERS[code] = parser
        return parser

    return register
