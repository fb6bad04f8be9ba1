"""Fields of where an event comes from: edera.*, container.*, k8s.*."""

from __future__ import annotations

from .declare import ABS, IP, REL, B, S, U, cell_field, field_at
from .spec import Arg, Field, Op


def workload_fields() -> list[Field]:
    def key(name: str, doc: str) -> Field:
        return field_at(name, S, doc, Op.KEY, name.upper().replace(".", "_") + "_LIST", arg=Arg.REQUIRED_KEY)

    def mount(name: str, what: str, cell: str, by: str, keys: str) -> Field:
        doc = f"{what} of one mount, by number or by {by}, which may hold * and ?."
        return field_at(name, S, doc, Op.GLOB, cell, keys, Arg.REQUIRED_INDEX_OR_KEY)

    fields = [
        cell_field("container.id", S, "Id of the workload, its first 12 characters; host for what belongs to none.", suggested=True),
        cell_field("container.full_id", S, "Full id of the workload."),
        cell_field("container.name", S, "Name of the workload.", suggested=True),
        cell_field("container.image", S, "Image of the workload, with its tag."),
        cell_field("container.image.id", S, "Id of the image."),
        cell_field("container.type", S, "What it runs in: edera for a workload, host for what belongs to none."),
        cell_field("container.privileged", B, "Whether the workload is privileged."),
        cell_field("container.mounts", S, "All mounts as source:dest:mode:rdwr:propagation, joined by commas."),
        mount("container.mount", "All facts", "CONTAINER_MOUNT_LIST", "source", "CONTAINER_MOUNT_SOURCES"),
        mount("container.mount.source", "Source", "CONTAINER_MOUNT_SOURCES", "destination", "CONTAINER_MOUNT_DESTS"),
        mount("container.mount.dest", "Destination", "CONTAINER_MOUNT_DESTS", "source", "CONTAINER_MOUNT_SOURCES"),
        mount("container.mount.mode", "Mode", "CONTAINER_MOUNT_MODES", "source", "CONTAINER_MOUNT_SOURCES"),
        mount("container.mount.rdwr", "Whether writable", "CONTAINER_MOUNT_RDWRS", "source", "CONTAINER_MOUNT_SOURCES"),
        mount("container.mount.propagation", "Propagation", "CONTAINER_MOUNT_PROPAGATIONS", "source", "CONTAINER_MOUNT_SOURCES"),
        cell_field("container.image.repository", S, "Repository of the image.", suggested=True),
        cell_field("container.image.tag", S, "Tag of the image.", suggested=True),
        cell_field("container.image.digest", S, "Digest of the image."),
        cell_field("container.healthcheck", S, "Health check of the container. Deprecated."),
        cell_field("container.liveness_probe", S, "Liveness probe of the container. Deprecated."),
        cell_field("container.readiness_probe", S, "Readiness probe of the container. Deprecated."),
        cell_field("container.start_ts", ABS, "When the workload began, in nanoseconds since the epoch."),
        field_at("container.duration", REL, "Nanoseconds since the workload began.", Op.SINCE, "CONTAINER_START_TS"),
        cell_field("container.ip", S, "Address of the workload."),
        cell_field("container.cni.json", S, "Result of the network plugin."),
        cell_field("container.host_pid", B, "Whether the workload shares its zone's pid namespace."),
        cell_field("container.host_network", B, "Whether the workload shares its zone's network namespace."),
        cell_field("container.host_ipc", B, "Whether the workload shares its zone's ipc namespace."),
        key("container.label", "One label of the container."),
        cell_field("container.labels", S, "All labels as key:value, joined by commas."),
        cell_field("proc.is_container_healthcheck", B, "Whether the process is a health check. Deprecated."),
        cell_field("proc.is_container_liveness_probe", B, "Whether the process is a liveness probe. Deprecated."),
        cell_field("proc.is_container_readiness_probe", B, "Whether the process is a readiness probe. Deprecated."),
        cell_field("k8s.pod.name", S, "Name of the pod.", suggested=True),
        cell_field("k8s.ns.name", S, "Namespace of the pod.", suggested=True),
        cell_field("k8s.pod.id", S, "Id of the pod. Deprecated: use k8s.pod.uid."),
        cell_field("k8s.pod.uid", S, "Unique id of the pod."),
        cell_field("k8s.pod.sandbox_id", S, "Id of the pod's sandbox, its first 12 characters."),
        cell_field("k8s.pod.full_sandbox_id", S, "Full id of the pod's sandbox."),
        key("k8s.pod.label", "One label of the pod."),
        cell_field("k8s.pod.labels", S, "All labels of the pod as key:value, joined by commas."),
        cell_field("k8s.pod.ip", S, "Address of the pod."),
        cell_field("k8s.pod.cni.json", S, "Result of the network plugin for the pod."),
    ]
    for short, what in (("rc", "replication controller"), ("svc", "service")):
        fields += [
            cell_field(f"k8s.{short}.name", S, f"Name of the {what}. Deprecated."),
            cell_field(f"k8s.{short}.id", S, f"Id of the {what}. Deprecated."),
            key(f"k8s.{short}.label", f"One label of the {what}. Deprecated."),
            cell_field(f"k8s.{short}.labels", S, f"All labels of the {what}. Deprecated."),
        ]
    fields += [
        cell_field("k8s.ns.id", S, "Id of the namespace. Deprecated."),
        key("k8s.ns.label", "One label of the namespace. Deprecated."),
        cell_field("k8s.ns.labels", S, "All labels of the namespace. Deprecated."),
    ]
    for short, what in (("rs", "replica set"), ("deployment", "deployment")):
        fields += [
            cell_field(f"k8s.{short}.name", S, f"Name of the {what}. Deprecated."),
            cell_field(f"k8s.{short}.id", S, f"Id of the {what}. Deprecated."),
            key(f"k8s.{short}.label", f"One label of the {what}. Deprecated."),
            cell_field(f"k8s.{short}.labels", S, f"All labels of the {what}. Deprecated."),
        ]
    return fields


def edera_fields() -> list[Field]:
    return [
        cell_field("edera.zone.id", S, "Id of the zone.", suggested=True),
        cell_field("edera.zone.name", S, "Name of the zone.", suggested=True),
        cell_field("edera.zone.state", S, "State of the zone as the host reports it: ready, ..."),
        cell_field("edera.zone.host", S, "Host that the zone runs on."),
        cell_field("edera.zone.domid", U, "Domain id of the zone in the hypervisor."),
        cell_field("edera.zone.ip", IP, "Address of the zone: IPv4 if it has one, else IPv6."),
        cell_field("edera.zone.kernel", S, "Image of the zone's kernel."),
        field_at("edera.zone.annotation", S, "One annotation of the zone.", Op.KEY, "EDERA_ZONE_ANNOTATIONS", arg=Arg.REQUIRED_KEY),
        cell_field("edera.zone.ready_time", ABS, "When the zone became ready, in nanoseconds since the epoch."),
        cell_field(
            "edera.zone.tainted", B, "Whether events of the zone were lost, so that what is known of its processes and files may be wrong."
        ),
        cell_field("edera.workload.id", S, "Id of the workload."),
        cell_field("edera.workload.name", S, "Name of the workload."),
        cell_field("edera.workload.image", S, "Image of the workload."),
        field_at(
            "edera.workload.annotation", S, "One annotation of the workload.", Op.KEY, "EDERA_WORKLOAD_ANNOTATIONS", arg=Arg.REQUIRED_KEY
        ),
        Field("edera.redelivered", B, "Whether Falco may have seen this event before: it was sent again after a restart.", Op.FLAG),
        cell_field("edera.notice.kind", S, "Of a notice, an event by which edera-falcod tells something: what kind it is."),
        cell_field("edera.notice.text", S, "Text of a notice."),
        cell_field("edera.notice.zone", S, "Id of the zone that a notice is about."),
        cell_field("edera.notice.count", U, "How many events a notice is about."),
        cell_field("edera.notice.cause", S, "Why it happened, of a notice."),
    ]
