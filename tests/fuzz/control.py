"""Invariant: whatever an Edera daemon answers, its lists and its changes of zones and workloads are read or refused as unreadable, and what
was read becomes a zone's block and its workloads without an error."""

from __future__ import annotations

import structlog

from edera_falcod.edera import control as edera
from edera_falcod.edera.control import Workload, Zone, parse, zone_info
from edera_falcod.edera.sink import ZoneInfo
from edera_falcod.edera.transport import Unreadable
from edera_falcod.edera.workloads import Directory
from edera_falcod.edera.zones import refusal
from edera_falcod.falco.notices import Notices
from edera_falcod.falco.ring import Ring
from edera_falcod.fields.reader import BlockView
from edera_falcod.fields.workload import Attribution
from edera_falcod.pipeline import Pipelines
from tests.scap.control import classes

from .captured import ZONE
from .dice import Dice

CHANGE, ZONES, WORKLOADS, IMAGES = range(4)
KEYS = ("k8s.pod.name=io.kubernetes.pod.name", "k8s.ns.name=io.kubernetes.pod.namespace", "container.name=name")


def _messages() -> tuple[bytes, bytes, bytes]:
    """A zone, a workload and an image with all that we read of them, written by Google's protobuf."""
    made = classes("plain")
    package = "protect.control.v1."
    zone = made[package + "Zone"](id=ZONE)
    zone.spec.name = "web"
    zone.spec.kernel.digest = "sha256:1"
    zone.spec.annotations.add(key="io.kubernetes.pod.name", value="pod")
    zone.status.state = 3
    zone.status.domid = 7
    zone.status.host = ZONE
    zone.status.ready_at.seconds = 1_700_000_000
    interface = zone.status.network_status.interfaces.add()
    interface.ips.add(address="10.0.0.2/24")
    interface.ips.add(address="fe80::1/64")
    workload = made[package + "Workload"](id="w")
    workload.spec.zone_id = ZONE
    workload.spec.name = "app"
    workload.spec.image.digest = "sha256:2"
    workload.spec.annotations.add(key="name", value="shop")
    workload.spec.mounts.add(host_path="/a", target_path="/b")
    workload.spec.security.privileged = True
    workload.status.created_at.seconds = 1_700_000_000
    image = made[package + "OciImageInfo"](digest="sha256:2", names=["registry.local:5000/app:1@sha256:2", "x"])
    return bytes(zone.SerializeToString()), bytes(workload.SerializeToString()), bytes(image.SerializeToString())


def _field(number: int, data: bytes) -> bytes:
    assert len(data) < 1 << 14
    return bytes([number << 3 | 2, len(data) & 0x7F | 0x80, len(data) >> 7]) + data


def corpus() -> list[bytes]:
    zone, workload, image = _messages()
    return [
        bytes([CHANGE]) + _field(1, _field(1, zone)),
        bytes([CHANGE]) + _field(2, _field(1, workload)),
        bytes([CHANGE]) + _field(3, _field(1, workload)),
        bytes([ZONES]) + _field(1, zone) * 2,
        bytes([WORKLOADS]) + _field(1, workload),
        bytes([IMAGES]) + _field(1, image),
    ]


def _read(kind: int, data: bytes) -> list[object]:
    if kind == CHANGE:
        return [edera._change(data)]
    entries = edera._entries(data)
    if kind == ZONES:
        return [zone_info(parse(Zone, entry)) for entry in entries]
    if kind == WORKLOADS:
        return [parse(Workload, entry) for entry in entries]
    return [parse(edera.OciImageInfo, entry) for entry in entries]


def one(data: bytes) -> None:
    dice = Dice(data)
    try:
        found = _read(dice.below(4), dice.rest())
    except Unreadable as error:
        assert str(error)
        return
    ring = Ring()
    pipelines = Pipelines(ring, Notices(ring, True), Attribution.CGROUP, structlog.get_logger(), lambda: 1.7e9)
    pipelines.annotation_keys = KEYS
    directory = Directory()
    pipelines.zone_changed(ZoneInfo(ZONE))
    for each in found:
        if isinstance(each, ZoneInfo):
            assert isinstance(refusal(each), str)
            pipelines.zone_changed(each)
            block = pipelines.by_id[each.id].account.block
            assert block is not None and BlockView(block.data).words
        elif isinstance(each, Workload):
            directory.update(each)
        elif isinstance(each, edera.OciImageInfo):
            directory._take_images([each])
    for zone_id in directory.take_changed() & pipelines.by_id.keys():
        pipelines.workloads(zone_id, directory.of(zone_id))
    assert ring.verify() == []
