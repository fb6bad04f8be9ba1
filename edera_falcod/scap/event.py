"""One kernel event of a zone, as the wire reader leaves it: nothing interpreted yet."""

from __future__ import annotations

from typing import final


@final
class Event:
    """One event of a zone.

    ``ts``: ns since the epoch, the zone's clock. ``tid``: thread id in the zone's root pid namespace, signed 64 bit.
    ``cpu``: index of the virtual CPU. ``code``: PPME event code, always a key of ``tables.EVENTS``, current version.
    ``params``: raw libscap values in table order, as many as the zone sent, at most the table's number; ``b""`` is
    "not available" (state-machine.md section 1).
    """

    __slots__ = ("ts", "tid", "cpu", "code", "params")

    def __init__(self, ts: int, tid: int, cpu: int, code: int, params: list[bytes]) -> None:
        self.ts = ts
        self.tid = tid
        self.cpu = cpu
        self.code = code
        self.params = params
