"""The life of a zone's kernel event stream: a table of what happens in each state. No I/O, no clock.

Theory of operation
-------------------
A zone that the Edera daemon lists as ready is *discovered*. Its stream is *opening* until the request has been sent. From then on
replies come in, but they mean little until the first snapshot of threads and open files: the zone is *seeding*. A snapshot that has
been imported makes it *live*.

Nothing in the protocol numbers replies or proves that none is missing, so every doubt ends in a new snapshot:

* The zone's CPUs change (hotplug), an event cannot be read, or we lost something on our side: the capture goes on but what we know is
  no longer sure. The stream is stopped in an orderly way, what still comes is handed on, and it is opened again: *reseeding*. The old
  state is kept and used until the new snapshot replaces it.
* The stream ends, breaks, or cannot be cut into messages: events are missing. The sink is told of the gap and the zone is *backing
  off*: opened again after a delay that doubles with each failure and varies, so that a hundred zones do not come back in step.
* What the zone itself does wrong (unreadable replies, oversized messages, no snapshot in time) is a fault. Too many faults in a
  short time put it in *quarantine*: left alone for a longer time, so that its noise costs the others nothing.

A zone that exits, fails or is no longer listed is *gone* from every state, once what its stream still holds has been handed on.

``TRANSITIONS`` has one row for each state and event that can meet. ``step`` raises ``KeyError`` for others: those are bugs of the caller.
``IGNORED`` lists what may come at any time and means nothing in that state.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """Where a zone is in its life. The value is the name that people and scripts see."""

    DISCOVERED = "discovered"
    OPENING = "opening"
    SEEDING = "seeding"
    LIVE = "live"
    RESEEDING = "reseeding"
    BACKOFF = "backoff"
    QUARANTINED = "quarantined"
    GONE = "gone"


class Event(Enum):
    """What can happen. The value names it in logs and counters."""

    START = "start"
    OPENED = "opened"
    OPEN_FAILED = "open_failed"
    SNAPSHOT = "snapshot"  # one was imported
    SNAPSHOT_LATE = "snapshot_late"  # none was complete in time
    CPU_HOTPLUG = "cpu_hotplug"
    MALFORMED = "malformed"  # a reply was refused
    UNREADABLE = "unreadable"  # the bytes cannot be cut into replies: too large, compressed, cut short
    LOSS = "loss"  # we have lost something of the zone
    RESYNC = "resync"  # an operator asks for a new snapshot
    STREAM_ENDED = "stream_ended"  # in an orderly way
    STREAM_LOST = "stream_lost"
    TIME_IS_UP = "time_is_up"  # of backing off or of the quarantine
    TOO_MANY_FAULTS = "too_many_faults"
    EXITED = "exited"  # no longer listed, exited or failed; what its stream still held has been handed on


class Action(Enum):
    """What the stream has to do next."""

    READ = "read"  # go on reading
    OPEN = "open"
    STOP_AND_REOPEN = "stop_and_reopen"  # send Stop, hand on what still comes, open again
    WAIT_AND_RETRY = "wait_and_retry"  # back off
    WAIT_IN_QUARANTINE = "wait_in_quarantine"
    FORGET = "forget"  # close the stream, if there is one; the zone's task ends


_S = State
_E = Event
_A = Action

TRANSITIONS: Final[dict[tuple[State, Event], tuple[State, Action]]] = {
    (_S.DISCOVERED, _E.START): (_S.OPENING, _A.OPEN),
    (_S.DISCOVERED, _E.EXITED): (_S.GONE, _A.FORGET),
    #
    (_S.OPENING, _E.OPENED): (_S.SEEDING, _A.READ),
    (_S.OPENING, _E.OPEN_FAILED): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.OPENING, _E.EXITED): (_S.GONE, _A.FORGET),
    #
    (_S.SEEDING, _E.SNAPSHOT): (_S.LIVE, _A.READ),
    (_S.SEEDING, _E.SNAPSHOT_LATE): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.SEEDING, _E.CPU_HOTPLUG): (_S.RESEEDING, _A.STOP_AND_REOPEN),
    (_S.SEEDING, _E.MALFORMED): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.SEEDING, _E.UNREADABLE): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.SEEDING, _E.STREAM_ENDED): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.SEEDING, _E.STREAM_LOST): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.SEEDING, _E.EXITED): (_S.GONE, _A.FORGET),
    #
    (_S.LIVE, _E.SNAPSHOT): (_S.LIVE, _A.READ),  # unasked for; a snapshot always replaces everything
    (_S.LIVE, _E.SNAPSHOT_LATE): (_S.BACKOFF, _A.WAIT_AND_RETRY),  # unasked for, begun and not completed
    (_S.LIVE, _E.CPU_HOTPLUG): (_S.RESEEDING, _A.STOP_AND_REOPEN),
    (_S.LIVE, _E.MALFORMED): (_S.RESEEDING, _A.STOP_AND_REOPEN),
    (_S.LIVE, _E.LOSS): (_S.RESEEDING, _A.STOP_AND_REOPEN),
    (_S.LIVE, _E.RESYNC): (_S.RESEEDING, _A.STOP_AND_REOPEN),
    (_S.LIVE, _E.UNREADABLE): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.LIVE, _E.STREAM_ENDED): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.LIVE, _E.STREAM_LOST): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.LIVE, _E.EXITED): (_S.GONE, _A.FORGET),
    #
    (_S.RESEEDING, _E.OPENED): (_S.RESEEDING, _A.READ),
    (_S.RESEEDING, _E.OPEN_FAILED): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.RESEEDING, _E.SNAPSHOT): (_S.LIVE, _A.READ),
    (_S.RESEEDING, _E.SNAPSHOT_LATE): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.RESEEDING, _E.CPU_HOTPLUG): (_S.RESEEDING, _A.STOP_AND_REOPEN),  # the snapshot that is on its way may be of before
    (_S.RESEEDING, _E.MALFORMED): (_S.BACKOFF, _A.WAIT_AND_RETRY),  # it was tried at once, now with time in between
    (_S.RESEEDING, _E.UNREADABLE): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.RESEEDING, _E.STREAM_ENDED): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.RESEEDING, _E.STREAM_LOST): (_S.BACKOFF, _A.WAIT_AND_RETRY),
    (_S.RESEEDING, _E.TOO_MANY_FAULTS): (_S.QUARANTINED, _A.WAIT_IN_QUARANTINE),
    (_S.RESEEDING, _E.EXITED): (_S.GONE, _A.FORGET),
    #
    (_S.BACKOFF, _E.TIME_IS_UP): (_S.OPENING, _A.OPEN),
    (_S.BACKOFF, _E.RESYNC): (_S.OPENING, _A.OPEN),  # an operator need not wait
    (_S.BACKOFF, _E.TOO_MANY_FAULTS): (_S.QUARANTINED, _A.WAIT_IN_QUARANTINE),
    (_S.BACKOFF, _E.EXITED): (_S.GONE, _A.FORGET),
    #
    (_S.QUARANTINED, _E.TIME_IS_UP): (_S.OPENING, _A.OPEN),
    (_S.QUARANTINED, _E.RESYNC): (_S.OPENING, _A.OPEN),
    (_S.QUARANTINED, _E.EXITED): (_S.GONE, _A.FORGET),
}

# A snapshot is on its way or the stream is about to be opened: nothing more to ask for.
IGNORED: Final[frozenset[tuple[State, Event]]] = frozenset(
    {
        (_S.DISCOVERED, _E.RESYNC),
        (_S.OPENING, _E.RESYNC),
        (_S.SEEDING, _E.RESYNC),
        (_S.SEEDING, _E.LOSS),
        (_S.RESEEDING, _E.RESYNC),
        (_S.RESEEDING, _E.LOSS),
    }
)

# What counts against the zone itself.
FAULTS: Final[frozenset[Event]] = frozenset({_E.MALFORMED, _E.UNREADABLE, _E.SNAPSHOT_LATE})

# Rows after which events of the zone may be missing or its state may be wrong: the sink is told of a gap. They are those that give up an
# open stream, for whatever reason; where opening failed there was none, and what ended the one before has been told.
GAPS: Final[frozenset[tuple[State, Event]]] = frozenset(
    [
        (state, event)
        for (state, event), (_, action) in TRANSITIONS.items()
        if action in (_A.STOP_AND_REOPEN, _A.WAIT_AND_RETRY) and event is not _E.OPEN_FAILED
    ]
)


def step(state: State, event: Event) -> tuple[State, Action] | None:
    """The next state and what to do, None if the event means nothing in this state. ``KeyError``: it cannot happen in it."""
    if (state, event) in IGNORED:
        return None
    return TRANSITIONS[state, event]
