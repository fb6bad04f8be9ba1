"""From what the Edera daemon says of workloads to what the fields room shows of them: container.*, k8s.*, edera.workload.*.

Kubernetes is not in the protocol; what there is of it are annotations of a workload or its zone, under keys that depend on who
made the zone. The keys are configured (``edera.annotation_keys``).
"""

from __future__ import annotations

from typing import Final

from .edera.sink import ZoneInfo
from .edera.workloads import WorkloadInfo, split_reference
from .fields import slots
from .fields.workload import SHORT_ID, Mount, Workload

RUNTIME_LABELS: Final = ("annotation.", "io.kubernetes.")  # beginnings of keys that container.labels leaves out


def from_annotations(keys: tuple[str, ...], *annotations: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Field -> value, by the first key of ``keys`` (``FIELD=KEY``) that one of the annotations has, those given first first."""
    found: dict[str, str] = {}
    for entry in keys:
        field, _, key = entry.partition("=")
        if field in found:
            continue
        for pairs in annotations:
            value = next((value for name, value in pairs if name == key and value), None)
            if value is not None:
                found[field] = value
                break
    return found


def workload(info: WorkloadInfo, zone: ZoneInfo, keys: tuple[str, ...]) -> Workload:
    """What is not known is left out."""
    known = from_annotations(keys, info.annotations, zone.annotations)
    made = Workload(info.id.encode())
    made.name = known.get("container.name", info.name).encode()
    made.image = info.image.encode()
    made.privileged = -1 if info.privileged is None else int(info.privileged)
    made.start_ts = info.created_at
    made.mounts_known = info.mounts_known
    made.mounts = [Mount(source.encode(), dest.encode()) for source, dest in info.mounts]
    texts: dict[int, str] = {}
    if info.image:
        repository, tag, digest = split_reference(info.image)
        texts[slots.CONTAINER_IMAGE_REPOSITORY] = repository
        texts[slots.CONTAINER_IMAGE_TAG] = tag
        texts[slots.CONTAINER_IMAGE_DIGEST] = digest or info.digest
    elif info.digest:
        texts[slots.CONTAINER_IMAGE_DIGEST] = info.digest
    texts[slots.CONTAINER_IMAGE_ID] = info.digest.partition(":")[2][:SHORT_ID]
    address = zone.ips[0] if zone.ips else ""
    texts[slots.CONTAINER_IP] = address
    if "k8s.pod.name" in known or "k8s.pod.uid" in known:
        texts[slots.K8S_POD_NAME] = known.get("k8s.pod.name", "")
        texts[slots.K8S_NS_NAME] = known.get("k8s.ns.name", "")
        texts[slots.K8S_POD_ID] = texts[slots.K8S_POD_UID] = known.get("k8s.pod.uid", "")
        sandbox = known.get("k8s.pod.sandbox_id", "")
        texts[slots.K8S_POD_SANDBOX_ID] = sandbox[:SHORT_ID]
        texts[slots.K8S_POD_FULL_SANDBOX_ID] = sandbox
        texts[slots.K8S_POD_IP] = address
    texts[slots.CONTAINER_LABELS] = labels_text(info.labels)
    made.texts = {slot: text.encode() for slot, text in texts.items() if text}
    made.key_lists = {slots.EDERA_WORKLOAD_ANNOTATIONS: [item.encode() for pair in info.annotations for item in pair]}
    if info.labels:
        made.key_lists[slots.CONTAINER_LABEL_LIST] = [item.encode() for pair in info.labels for item in pair]
    return made


def labels_text(labels: tuple[tuple[str, str], ...]) -> str:
    """container.labels as Falco's container plugin writes it: in order, without those that container runtimes add themselves."""
    shown = [(key, value) for key, value in labels if not key.startswith(RUNTIME_LABELS)]
    return ", ".join([f"{key}:{value}" if value else key for key, value in shown])
