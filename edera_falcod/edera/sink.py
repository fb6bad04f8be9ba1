"""What the edera room tells the rest of the daemon: zones, their states, and the bytes that they send."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .lifecycle import State
    from .workloads import WorkloadInfo


@dataclass(frozen=True, slots=True)
class ZoneInfo:
    """What the Edera daemon says of a zone. Times: ns since the epoch, 0 unknown. ``ips``: address texts without prefix length."""

    id: str
    name: str = ""
    state: str = ""  # unknown, creating, created, ready, destroying, destroyed, failed
    domid: int = 0
    host: str = ""
    exited: bool = False  # it has an exit status
    exit_code: int = 0
    error: str = ""
    ips: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    kernel: str = ""  # digest, as are initrd and addons
    initrd: str = ""
    addons: tuple[str, ...] = ()
    created_at: int = 0
    ready_at: int = 0


class Verdict(IntFlag):
    """What the sink found in what it was given, as far as the zone's lifecycle has to know. Bits add up."""

    OK = 0
    HOTPLUG = 1  # PPME_CPU_HOTPLUG_E: the zone's capture is no longer valid
    MALFORMED = 2  # something was refused; the sink has counted it
    LOSS = 4  # the sink has lost something that state needs: seed again


class ZoneSink(Protocol):
    """Who takes what zones send. All calls come from the event loop's thread, those of one zone in the zone's order.

    ``zone_id`` is always the zone whose stream it was, whatever a message says.
    """

    def zone_changed(self, zone: ZoneInfo) -> None:
        """A zone was found, or its facts have changed. Comes before anything else of the zone."""

    def workloads(self, zone_id: str, workloads: list[WorkloadInfo]) -> None:
        """The zone runs these workloads now, in place of what was said before."""

    def zone_state(self, zone_id: str, state: State, reason: str) -> None:
        """The lifecycle has entered ``state``, perhaps the one that it was in."""

    def messages(self, zone_id: str, batch: list[bytes], start: int, stop: int) -> tuple[int, Verdict]:
        """Take the replies of ``batch[start:stop]``, in order, up to the first snapshot.

        Returns the index of that snapshot, or ``stop``, and what was found before it.
        """

    def held(self, zone_id: str) -> int:
        """Bytes that the zone's events take in the buffer of the connected consumer for which there are the fewest of them."""

    async def snapshot(self, zone_id: str, message: bytes) -> Verdict:
        """Replace the zone's state by the snapshot in this reply. May let others run in between; nothing else of this zone comes
        meanwhile. ``MALFORMED``: it was refused and the zone has no state that can be trusted."""

    def doubt(self, zone_id: str) -> None:
        """From here to the next snapshot the zone's state may be wrong. A gap follows, after what is still on its way."""

    def gap(self, zone_id: str, cause: str) -> None:
        """Events of the zone may be missing here, and its state may be wrong until the next snapshot."""

    def zone_gone(self, zone_id: str, reason: str) -> None:
        """The zone is no more; everything that it sent has been given. The id may come again as a new zone."""
