"""From a zone's messages to the ring: the loop that every event goes through, without anything that only some events need.

It is compiled with the core. What is not an ordinary event ends it: the caller sees why, does what has to be done, and goes on behind it.
"""

from __future__ import annotations

from typing import Final, final

from librt.vecs import vec
from mypy_extensions import i64

from ..fields.priority import PRIORITIES
from ..fields.record import Encoder
from ..scap.errors import WireError
from ..scap.event import Event
from ..scap.tables import PPM_EVENT_MAX, PPME_CPU_HOTPLUG_E
from ..scap.wire import parse_reply
from ..state.zone import ZoneState
from .accounting import INTERNAL, ZoneAccount
from .ring import Ring

# Why ``take`` has ended
DONE: Final = 0  # there is no further message
SNAPSHOT: Final = 1  # the message is a snapshot, not counted as received
REFUSED: Final = 2  # the message could not be read; counted under ``cause``
FAULT: Final = 3  # an error of ours, ``error``; counted, and the state may be wrong


@final
class Intake:
    """One zone. ``why``: why ``take`` has ended, with ``cause`` or ``error`` and ``code``, the event's code, -1 where there is none yet.
    ``hotplug``: a CPU hotplug event came; the caller sets it back."""

    __slots__ = ("_account", "_codes", "_encoder", "_ring", "_state", "cause", "code", "error", "hotplug", "why")

    def __init__(self, ring: Ring, account: ZoneAccount, state: ZoneState, encoder: Encoder) -> None:
        self._ring = ring
        self._account = account
        self._state = state
        self._encoder = encoder
        self._codes: vec[i64] = vec[i64]([0] * PPM_EVENT_MAX)
        self.why = DONE
        self.cause = ""
        self.code = -1
        self.error: Exception | None = None
        self.hotplug = False

    @property
    def codes(self) -> list[int]:
        """Events received by code; a new list."""
        return list(self._codes)

    def take(self, batch: list[bytes], start: int, stop: int) -> int:
        """The messages from ``start`` to ``stop``. Returns the index of the message that ended it, or ``stop``."""
        ring = self._ring
        account = self._account
        state = self._state
        encoder = self._encoder
        codes = self._codes
        self.why = DONE
        self.error = None
        index = start
        code = -1
        size = 0
        taken = 0
        try:
            while index < stop:
                data = batch[index]
                size = len(data)
                code = -1
                event = parse_reply(data, 0, size)
                if not isinstance(event, Event):
                    self.why = SNAPSHOT
                    break
                taken += size
                account.last_ts = event.ts
                code = event.code
                codes[code] += 1
                if code == PPME_CPU_HOTPLUG_E:
                    self.hotplug = True
                state.apply(event)
                if ring.pressed and not ring.wants(account, PRIORITIES[code]):
                    ring.skip(account)
                else:
                    ring.append(encoder.encode(event))
                index += 1
        except WireError as error:
            account.received += 1
            account.refuse(error.cause)
            taken += size
            self.cause = error.cause
            self.why = REFUSED
        except Exception as error:
            account.received += 1
            account.refuse(INTERNAL)
            self.error = error
            self.why = FAULT
        account.received += index - start
        account.bytes += taken
        self.code = code
        return index
