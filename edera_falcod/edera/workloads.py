"""The workloads of the host's zones: listed, followed by WatchEvents, joined with their images.

``Workload.spec.image`` is only a digest; ListImages has the names and, where the daemon fills it in, the image's configuration with its
labels (edera-control-protocol.md section 8). Images are listed again when a digest is not known, at most once in ``IMAGES_EVERY``
seconds, so that a digest without a name costs no more than that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, final

from .control import ControlClient, OciImageInfo, Workload, WorkloadState, nanoseconds, present

WORKLOADS_EVERY: Final = 30.0  # s; WatchEvents tells of changes, this finds those that it missed
IMAGES_EVERY: Final = 30.0  # s
MAX_WORKLOADS: Final = 16384  # kept in all: a host has a few hundred zones with a few workloads each
MAX_TEXT: Final = 4096  # characters kept of one text
MAX_PAIRS: Final = 256  # annotations, labels or mounts of one workload
# Characters of all its annotations, of all its labels, and of all its mounts. Each stands in its block up to three times, of up to four
# bytes a character: a block that is larger than the ring takes would cost all events of the workload.
MAX_PAIRS_TEXT: Final = 32 << 10
MAX_CONFIG: Final = 1 << 20  # bytes of an image's configuration that are read as JSON; usual ones have some kB

_GONE: Final = {
    int(WorkloadState.COMPLETED), int(WorkloadState.DESTROYING), int(WorkloadState.DESTROYED), int(WorkloadState.FAILED),
    int(WorkloadState.OOMKILLED),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WorkloadInfo:
    """What the Edera daemon says of a workload. Times: ns since the epoch, 0 unknown. ``mounts``: host path, path inside."""

    id: str
    zone_id: str
    name: str = ""
    state: str = ""
    digest: str = ""
    image: str = ""  # a reference such as registry.local/app:1.2, "" while no name of the digest is known
    annotations: tuple[tuple[str, str], ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    mounts_known: bool = False
    privileged: bool | None = None
    host_pid: bool | None = None
    created_at: int = 0
    labels: tuple[tuple[str, str], ...] = ()  # of its image, by key


@dataclass(frozen=True, slots=True)
class Image:
    """What is known of a digest: the best of its names, and the labels of its configuration."""

    name: str
    labels: tuple[tuple[str, str], ...]


def bounded(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The first of them, as many as the limits let."""
    found: list[tuple[str, str]] = []
    size = 0
    for key, value in pairs:
        pair = key[:MAX_TEXT], value[:MAX_TEXT]
        size += len(pair[0]) + len(pair[1])
        if len(found) == MAX_PAIRS or size > MAX_PAIRS_TEXT:
            break
        found.append(pair)
    return tuple(found)


def image_labels(config: bytes) -> tuple[tuple[str, str], ...]:
    """The labels of an image's configuration (OCI image-spec, config.md: ``config.Labels``), by key. Whoever made the image wrote it: what
    does not look like labels is none."""
    if not config or len(config) > MAX_CONFIG:
        return ()
    try:
        read = json.loads(config)
    except (ValueError, RecursionError):
        return ()
    inner = read.get("config") if isinstance(read, dict) else None
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    if not isinstance(labels, dict):
        return ()
    # JSON can write half of a surrogate pair, which no UTF-8 can.
    texts = [tuple([text.encode("utf-8", "replace").decode() for text in pair]) for pair in labels.items() if isinstance(pair[1], str)]
    return bounded(sorted((key, value) for key, value in texts))


def split_reference(reference: str) -> tuple[str, str, str]:
    """Repository, tag and digest of an image reference (``registry:5000/a/b:tag@sha256:...``); "" for what it does not have."""
    name, _, digest = reference.partition("@")
    slash = name.rfind("/")
    colon = name.rfind(":")
    if colon > slash:
        return name[:colon], name[colon + 1 :], digest
    return name, "", digest


def workload_info(workload: Workload) -> WorkloadInfo | None:
    """None for one that runs no more or has no id or zone."""
    if not workload.id or not present(workload.spec) or not workload.spec.zone_id:
        return None
    spec, status = workload.spec, workload.status
    state = int(status.state) if present(status) else 0
    if state in _GONE:
        return None
    return WorkloadInfo(
        id=workload.id[:MAX_TEXT],
        zone_id=spec.zone_id,
        name=spec.name[:MAX_TEXT],
        state=(WorkloadState(state).name or "").removeprefix("WORKLOAD_STATE_").lower() if state in list(WorkloadState) else "",
        digest=spec.image.digest[:MAX_TEXT] if present(spec.image) else "",
        annotations=bounded((pair.key, pair.value) for pair in spec.annotations),
        mounts=bounded((mount.host_path, mount.target_path) for mount in spec.mounts),
        mounts_known=True,
        privileged=spec.security.privileged if present(spec.security) else None,
        created_at=nanoseconds(status.created_at) if present(status) else 0,
    )


@final
class Directory:
    """Workloads by zone. ``take_changed`` says whose have changed since it was last asked."""

    def __init__(self) -> None:
        self.over_limit = 0
        self._workloads: dict[str, WorkloadInfo] = {}
        self._images: dict[str, Image] = {}
        self._changed: set[str] = set()
        self._next_list = 0.0
        self._next_images = 0.0

    def of(self, zone_id: str) -> list[WorkloadInfo]:
        """A zone's workloads, by id."""
        found = [self._named(info) for info in self._workloads.values() if info.zone_id == zone_id]
        return sorted(found, key=lambda info: info.id)

    def take_changed(self) -> set[str]:
        changed, self._changed = self._changed, set()
        return changed

    def update(self, workload: Workload) -> None:
        """A change that WatchEvents told."""
        info = workload_info(workload)
        old = self._workloads.get(workload.id)
        if old is not None and old != info:
            self._changed.add(old.zone_id)
        if info is None:
            self._workloads.pop(workload.id, None)
        elif old is None and len(self._workloads) >= MAX_WORKLOADS:
            self.over_limit += 1
        elif old != info:
            self._workloads[info.id] = info
            self._changed.add(info.zone_id)

    async def refresh(self, client: ControlClient, now: float) -> None:
        """List what is due. ``now``: seconds of a monotonic clock. Raises ``LinkError``."""
        if now >= self._next_list:
            self._next_list = now + WORKLOADS_EVERY
            listed = await client.list_workloads()
            ids = {workload.id for workload in listed}
            for gone in [key for key in self._workloads if key not in ids]:
                self._changed.add(self._workloads.pop(gone).zone_id)
            for workload in listed:
                self.update(workload)
        unknown = {info.digest for info in self._workloads.values() if info.digest} - self._images.keys()
        if unknown and now >= self._next_images:
            self._next_images = now + IMAGES_EVERY
            self._take_images(await client.list_images())

    def _take_images(self, images: list[OciImageInfo]) -> None:
        wanted = {info.digest for info in self._workloads.values()}
        self._images = {
            image.digest: Image(_best(image.names)[:MAX_TEXT], image_labels(image.metadata.config) if present(image.metadata) else ())
            for image in images
            if image.digest in wanted and image.names
        }
        self._changed.update(info.zone_id for info in self._workloads.values() if info.digest in self._images)

    def _named(self, info: WorkloadInfo) -> WorkloadInfo:
        image = self._images.get(info.digest)
        return info if image is None else replace(info, image=image.name, labels=image.labels)


def _best(names: list[str]) -> str:
    """Of several references the first that has a tag: that is the name that people know."""
    return next((name for name in names if split_reference(name)[1]), names[0])
