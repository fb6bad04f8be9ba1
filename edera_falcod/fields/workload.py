"""Workloads (containers) of a zone, and which of them a thread belongs to: container.*, k8s.* and edera.workload.*.

The protocol has no link from a thread to a workload (edera-control-protocol.md section 8), so attribution is a choice of the operator:

* ``CGROUP``: a thread belongs to the workload whose id is in one of its cgroup paths; all others are the zone's own and have
  ``container.id = host``, as processes outside containers have with Falco's container plugin.
* ``ZONE``: in a zone with one workload every process belongs to it. With none or several it is as ``CGROUP``.

What is not known has no value; nothing is guessed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, final

from ..scap.safetext import safe
from ..state.block import Block
from ..state.thread import Strings, Thread
from . import slots
from .cells import Cells
from .spec import Kind

SHORT_ID: Final = 12  # characters of container.id, as the container plugin shortens the full id
MAX_CACHED: Final = 4096  # cgroup lists remembered for a zone; one with more is looked up again


class Attribution(IntEnum):
    CGROUP = 0
    ZONE = 1


@final
class Mount:
    """One mount of a workload."""

    __slots__ = ("source", "dest", "mode", "rdwr", "propagation")

    def __init__(self, source: bytes, dest: bytes, mode: bytes = b"", rdwr: bytes = b"", propagation: bytes = b"") -> None:
        self.source = source
        self.dest = dest
        self.mode = mode
        self.rdwr = rdwr
        self.propagation = propagation

    def text(self) -> bytes:
        """As container.mounts prints it: source:dest:mode:rdwr:propagation."""
        return b":".join((self.source, self.dest, self.mode, self.rdwr, self.propagation))


@final
class Workload:
    """Facts of one workload. Texts are bytes as the Edera daemon sent them, ``b""`` for unknown; ``privileged``: -1 unknown;
    ``start_ts``: ns since the epoch, 0 unknown; ``texts``: other cells by slot; ``key_lists``: KEY, value, KEY, value by slot."""

    __slots__ = ("id", "name", "image", "mounts", "mounts_known", "privileged", "start_ts", "texts", "key_lists", "cached")

    def __init__(self, id: bytes) -> None:
        self.id = id
        self.name = b""
        self.image = b""
        self.mounts: list[Mount] = []
        self.mounts_known = False
        self.privileged = -1
        self.start_ts = 0
        self.texts: dict[int, bytes] = {}
        self.key_lists: dict[int, list[bytes]] = {}
        self.cached: Block | None = None

    def block(self, id: int) -> Block:
        """Its WORKLOAD block under a block id of its own."""
        cells = Cells()
        full = safe(self.id)
        cells.text(slots.CONTAINER_ID, full[:SHORT_ID])
        cells.text(slots.CONTAINER_FULL_ID, full)
        cells.text(slots.EDERA_WORKLOAD_ID, full)
        if self.name:
            cells.text(slots.CONTAINER_NAME, safe(self.name))
            cells.text(slots.EDERA_WORKLOAD_NAME, safe(self.name))
        if self.image:
            cells.text(slots.CONTAINER_IMAGE, safe(self.image))
            cells.text(slots.EDERA_WORKLOAD_IMAGE, safe(self.image))
        cells.text(slots.CONTAINER_TYPE, b"edera")
        if self.privileged >= 0:
            cells.number(slots.CONTAINER_PRIVILEGED, self.privileged)
        if self.start_ts > 0:
            cells.number(slots.CONTAINER_START_TS, self.start_ts)
        if self.mounts_known:
            cells.text(slots.CONTAINER_MOUNTS, b",".join([safe(mount.text()) for mount in self.mounts]))
            cells.strings(slots.CONTAINER_MOUNT_LIST, [safe(mount.text()) for mount in self.mounts])
            cells.strings(slots.CONTAINER_MOUNT_SOURCES, [safe(mount.source) for mount in self.mounts])
            cells.strings(slots.CONTAINER_MOUNT_DESTS, [safe(mount.dest) for mount in self.mounts])
            cells.strings(slots.CONTAINER_MOUNT_MODES, [safe(mount.mode) for mount in self.mounts])
            cells.strings(slots.CONTAINER_MOUNT_RDWRS, [safe(mount.rdwr) for mount in self.mounts])
            cells.strings(slots.CONTAINER_MOUNT_PROPAGATIONS, [safe(mount.propagation) for mount in self.mounts])
        for slot, text in self.texts.items():
            cells.text(slot, safe(text))
        for slot, items in self.key_lists.items():
            cells.strings(slot, [safe(item) for item in items])
        return Block(id, int(Kind.WORKLOAD), cells.finish(), ())


def host_block(id: int) -> Block:
    """The block of processes that belong to no workload: what the container plugin says of the host's own
    (container_info.h, host_container_info)."""
    cells = Cells()
    for slot in (slots.CONTAINER_ID, slots.CONTAINER_FULL_ID, slots.CONTAINER_NAME, slots.CONTAINER_TYPE):
        cells.text(slot, b"host")
    for slot in (slots.CONTAINER_PRIVILEGED, slots.CONTAINER_HOST_PID, slots.CONTAINER_HOST_NETWORK, slots.CONTAINER_HOST_IPC):
        cells.number(slot, 0)
    return Block(id, int(Kind.WORKLOAD), cells.finish(), ())


@final
class Workloads:
    """The workloads of one zone, and their blocks. Whoever changes them calls ``replace``; old blocks come back to be released."""

    __slots__ = ("attribution", "by_id", "host", "sole", "_blocks", "_by_cgroups")

    def __init__(self, attribution: int, host: Block) -> None:
        self.attribution = attribution
        self.by_id: dict[bytes, Workload] = {}
        self.host = host
        self.sole: Block | None = None
        self._blocks: dict[bytes, Block] = {}
        # Keyed by the list itself (clones share it), which the entry keeps alive so that its identity is not used again.
        self._by_cgroups: dict[int, tuple[Strings, Block]] = {}

    def replace(self, workloads: list[Workload], next_id: int) -> list[Block]:
        """Take these workloads in place of all before; blocks get ids from ``next_id`` on, one each. Returns the blocks now dead."""
        dead = list(self._blocks.values())
        self.by_id = {workload.id: workload for workload in workloads if workload.id}
        self._blocks = {}
        for number, workload in enumerate(self.by_id.values()):
            self._blocks[workload.id] = workload.block(next_id + number)
        self._by_cgroups.clear()
        self.sole = None
        if self.attribution == Attribution.ZONE and len(self._blocks) == 1:
            self.sole = next(iter(self._blocks.values()))
        return dead

    def blocks(self) -> list[Block]:
        """All blocks that events may name."""
        return [self.host, *self._blocks.values()]

    def of(self, thread: Thread | None) -> Block:
        """The block of the workload that a thread belongs to, or the one of the zone's own processes."""
        if self.sole is not None:
            return self.sole
        if thread is None or not self._blocks:
            return self.host
        cgroups = thread.cgroups
        known = self._by_cgroups.get(id(cgroups))
        if known is not None:
            return known[1]
        block = self._look_up(cgroups)
        if len(self._by_cgroups) >= MAX_CACHED:
            self._by_cgroups.clear()
        self._by_cgroups[id(cgroups)] = (cgroups, block)
        return block

    def _look_up(self, cgroups: Strings) -> Block:
        for item in cgroups.items:
            for workload, block in self._blocks.items():
                if names(item, workload):
                    return block
        return self.host


def names(path: bytes, id: bytes) -> bool:
    """Does a cgroup's path, subsystem=/a/b/c, name the id? It stands in it whole, between slashes or after a runtime's prefix
    (cri-ID.scope), never as a part of a longer word."""
    at = path.find(id)
    while at >= 0:
        end = at + len(id)
        if (at == 0 or not path[at - 1 : at].isalnum()) and not path[end : end + 1].isalnum():
            return True
        at = path.find(id, at + 1)
    return False
