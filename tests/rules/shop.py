"""The workload of the corpus's zone, and what rules must see of it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from edera_falcod.sim.host import SimWorkload

ID = "c0ffee0000015ecd0a11"
MOUNTS = (
    ("/srv/shop", "/data"), ("/proc/1", "/host/proc"), ("/etc", "/host/etc"), ("/var/run/docker.sock", "/docker.sock"),
)  # fmt: skip
WORKLOAD = SimWorkload(
    "web",
    "registry.local/shop/web:1.2",
    id=ID,
    privileged=True,
    created_at=1_700_000_000_000_000_000,
    mounts=MOUNTS,
    annotations={"io.kubernetes.pod.name": "web-7d9f", "io.kubernetes.pod.namespace": "shop", "io.kubernetes.container.name": "server"},
)
KEYS = (
    "/", "/proc*", "/root*", "/etc", "/home/admin", "/var/run/docker.sock", "/var/run/crio/crio.sock", "/run/containerd/containerd.sock",
    "/var/lib/kubelet", "/var/lib/kubelet/pki", "/etc/kubernetes", "/etc/kubernetes/manifests",
)  # fmt: skip


def facts(here: bool) -> dict[str, Any]:
    """Field -> value, of a process in a zone with this workload or in one without any."""
    if not here:
        return {"container.id": "host"}
    found: dict[str, Any] = {
        "container.id": ID[:12], "container.name": "server", "container.image.repository": "registry.local/shop/web",
        "container.image.tag": "1.2", "container.privileged": True, "container.start_ts": 1_700_000_000_000_000_000,
        "container.mounts": ",".join(f"{source}:{dest}:::" for source, dest in MOUNTS), "k8s.ns.name": "shop", "k8s.pod.name": "web-7d9f",
    }  # fmt: skip
    for key in KEYS:
        dest = next((dest for source, dest in MOUNTS if fnmatchcase(source, key)), None)
        if dest is not None:
            found[f"container.mount.dest[{key}]"] = dest
    return found
