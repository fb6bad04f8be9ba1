"""The workloads of the host's zones: listed, followed by WatchEvents, joined with their images.

``Workload.spec.image`` is only a digest; ListImages has the names (edera-control-protocol.md section 8). Images are listed again
when a digest is not known, at most once in ``IMAGES_EVERY`` seconds, so that a digest without a name costs no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from .control import ControlClient, OciImageInfo, Workload, WorkloadState, nanoseconds, present

WORKLOADS_EVERY: Final = 30.0  # s; WatchEvents tells of changes, this finds those that it missed
IMAGES_EVERY: Final = 30.0  # s
MAX_WORKLOADS: Final = 16384  # kept in all: a host has a few hundred zones with a few workloads each
MAX_TEXT: Final = 4096  # characters kept of one text
MAX_PAIRS: Final = 256  # annotations, labels or mounts of one workload

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
        annotations=tuple((pair.key[:MAX_TEXT], pair.value[:MAX_TEXT]) for pair in spec.annotations[:MAX_PAIRS]),
        mounts=tuple((mount.host_path[:MAX_TEXT], mount.target_path[:MAX_TEXT]) for mount in spec.mounts[:MAX_PAIRS]),
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
        self._images: dict[str, str] = {}
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
        self._images = {image.digest: _best(image.names)[:MAX_TEXT] for image in images if image.digest in wanted and image.names}
        self._changed.update(info.zone_id for info in self._workloads.values() if info.digest in self._images)

    def _named(self, info: WorkloadInfo) -> WorkloadInfo:
        image = self._images.get(info.digest, "")
        if not image:
            return info
        return WorkloadInfo(
            info.id, info.zone_id, info.name, info.state, info.digest, image, info.annotations, info.mounts, info.mounts_known,
            info.privileged, info.host_pid, info.created_at,
        )  # fmt: skip


def _best(names: list[str]) -> str:
    """Of several references the first that has a tag: that is the name that people know."""
    return next((name for name in names if split_reference(name)[1]), names[0])
