"""A zone as it looks now: threads, files, clocks, and the event being looked at."""

from __future__ import annotations

from typing import final

from ..scap.event import Event
from ..scap.snapshot import SnapshotThread
from .fd import Fd
from .thread import Thread


@final
class ZoneState:
    """State of one zone.

    ``apply(event)`` brings the state up to the event; afterwards the attributes below describe the event until the next
    ``apply`` (so that fields still see a thread that just exited and a file that was just closed: deferred removals).
    """

    def __init__(self) -> None:
        self.boot_epoch = 0  # ns, the snapshot's zone_boot_epoch
        self.threads: dict[int, Thread] = {}
        self.local_ips: frozenset[bytes] = frozenset()  # addresses of the zone's interfaces, 4 or 16 bytes
        self.identity_epoch = 0
        # About the event last applied
        self.thread: Thread | None = None
        self.fd: Fd | None = None  # the event's file, as known after parsing
        self.fd_num = -1  # the event's fd number (sinsp's lastevent fd), -1 = none
        self.fd_name_changed = False
        self.prev_ts = 0  # ts of the zone's previous event, 0 before the first

    def apply(self, event: Event) -> None:
        raise NotImplementedError

    def begin_snapshot(self, boot_epoch: int) -> None:
        """Forget everything and start to import a snapshot."""
        raise NotImplementedError

    def add_snapshot_thread(self, thread: SnapshotThread) -> None:
        raise NotImplementedError

    def end_snapshot(self) -> None:
        """Tie the imported threads together and apply the fix-ups of state-machine.md section 7."""
        raise NotImplementedError
