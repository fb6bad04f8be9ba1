"""The control client against the simulated host, and against replies that are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.edera import control
from edera_falcod.edera.control import (
    ControlClient,
    ListZonesReply,
    MonitorZoneKernelEventRequest,
    Workload,
    Zone,
    ZoneNetworkInterfaceStatus,
    ZoneNetworkIp,
    ZoneNetworkStatus,
    ZoneSpec,
    ZoneState,
    ZoneStatus,
    monitor_request,
    monitor_stop,
    monitor_update,
    zone_info,
)
from edera_falcod.edera.sink import ZoneInfo
from edera_falcod.edera.transport import Late, Link, LinkError, Lost, Unreachable, Unreadable
from edera_falcod.sim.host import SimHost, SimWorkload

from .support import CAPTURE, until

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[SimHost]:
    async with SimHost(tmp_path / "edera.sock", page=2) as host:
        yield host


@pytest.fixture
async def link(host: SimHost) -> AsyncIterator[Link]:
    link = Link(str(host.path))
    yield link
    await link.aclose()


async def test_zones_are_listed_over_all_pages(host: SimHost, link: Link) -> None:
    for name in "abcde":
        host.add_zone(name, CAPTURE, limit=1, annotations={"io.kubernetes.pod.name": f"pod-{name}"})
    client = ControlClient(link)
    zones = await client.list_zones()
    assert [zone.name for zone in zones] == list("abcde")
    zone = zones[0]
    assert (zone.state, zone.domid, zone.host, zone.exited) == ("ready", 1, "simulated", False)
    assert zone.ips == ("127.0.0.1", "::1")
    assert zone.annotations == (("io.kubernetes.pod.name", "pod-a"),)
    created = host.zones["a"].created_at
    assert zone.created_at == int(created.timestamp()) * 10**9 + created.microsecond * 1000
    again = await client.list_zones()
    assert all(one is other for one, other in zip(zones, again, strict=True)), "what is the same is not parsed again"
    host.set_state("b", "created")
    third = await client.list_zones()
    assert [one is other for one, other in zip(zones, third, strict=True)] == [True, False, True, True, True]


async def test_workloads_and_images(host: SimHost, link: Link) -> None:
    host.add_zone("one", None)
    web_spec = SimWorkload("web", "registry.local/library/nginx:1.27", annotations={"a": "b"}, privileged=True, mounts=(("/srv", "/data"),))
    web_spec.created_at = 1_700_000_000_000_000_000
    host.add_workload("one", web_spec)
    host.add_workload("one", SimWorkload("side", "registry.local/library/nginx:1.27", image_config=b"{}"))
    host.add_workload("one", SimWorkload("db", "postgres:17"))
    client = ControlClient(link)
    workloads = await client.list_workloads()
    assert [workload.spec.name for workload in workloads] == ["web", "side", "db"]
    web = workloads[0]
    assert web.spec.zone_id == host.zones["one"].id
    assert web.spec.security.privileged
    assert web.spec.mounts[0].target_path == "/data"
    assert web.status.created_at == datetime.fromtimestamp(1_700_000_000, UTC)
    images = await client.list_images()
    assert {image.digest: image.names for image in images} == {
        web.spec.image.digest: ["registry.local/library/nginx:1.27"], workloads[2].spec.image.digest: ["postgres:17"],
    }  # fmt: skip
    assert images[0].metadata.config == b"{}"


async def test_the_host(host: SimHost, link: Link) -> None:
    status = await ControlClient(link).host_status()
    assert status.protect_version == "0.0.0-simulated"
    assert status.hyp_free_mem is None


async def test_changes_are_watched(host: SimHost, link: Link) -> None:
    async with ControlClient(link).watch() as watch:
        assert await watch.next(0) is None
        await until(lambda: host.watchers)
        assert await watch.next(0.02) is None
        host.add_zone("one", None)
        host.add_workload("one", SimWorkload("web", "nginx"))
        host.remove_workload("one", "web")
        host.remove_zone("one", 1)
        changes = [await watch.next(5) for _ in range(4)]
        assert isinstance(changes[0], ZoneInfo) and changes[0].state == "ready"
        assert isinstance(changes[1], Workload) and changes[1].spec.name == "web"
        assert isinstance(changes[2], Workload) and changes[2].status.state == 6
        assert isinstance(changes[3], ZoneInfo) and changes[3].exited and changes[3].exit_code == 1
        await host.stop()
        with pytest.raises(Lost):
            await watch.next(5)


async def test_a_daemon_that_does_not_answer(host: SimHost, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "CALL_TIME", 0.1)
    host.hears.clear()
    with pytest.raises(Late, match=r"ListImages: no answer within 0\.1 s"):
        await ControlClient(link).list_images()
    assert link.calls == 0
    await host.stop()
    with pytest.raises((Lost, Unreachable)):
        await ControlClient(link).list_images()
    with pytest.raises(Unreachable):
        async with ControlClient(link).watch():
            pass
    assert link.calls == 0


async def test_lists_without_end_are_refused(host: SimHost, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MAX_LIST", 500)
    for name in "abcdef":
        host.add_zone(name, None)
    with pytest.raises(Unreadable, match="ListZones: more than 500 bytes"):
        await ControlClient(link).list_zones()
    monkeypatch.setattr(control, "MAX_PAGE", 100)
    with pytest.raises(Unreadable, match="message_too_large"):
        await ControlClient(link).list_zones()


async def test_cancelling_a_call_leaves_nothing(host: SimHost, link: Link) -> None:
    host.hears.clear()
    task = asyncio.create_task(ControlClient(link).list_zones())
    await until(lambda: link.calls)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert link.calls == 0
    host.hears.set()
    assert await ControlClient(link).list_zones() == []


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_lists(data: bytes) -> None:
    try:
        for entry in control._entries(data):
            zone_info(control.parse(Zone, entry))
    except LinkError:
        return


def test_entries_are_those_that_betterproto_finds() -> None:
    zones = [Zone(id=str(number), spec=ZoneSpec(name="x" * number)) for number in range(200)]
    page = bytes(ListZonesReply(zones=zones)) + b"\x10\x05" + b"\x19" + bytes(8) + b"\x25" + bytes(4) + b"\x2a\x01z"
    assert control._entries(page) == [bytes(zone) for zone in zones]
    for bad in (b"\x0a", b"\x0a\x05abc", b"\x0b", b"\xff" * 11):
        with pytest.raises(Unreadable):
            control._entries(page + bad)


def test_zone_info_of_an_empty_and_of_a_strange_zone() -> None:
    assert zone_info(Zone()) == ZoneInfo(id="", state="unknown")
    ips = [ZoneNetworkIp(address="10.0.0.2/24"), ZoneNetworkIp(address="fe80::1")]
    network = ZoneNetworkStatus(interfaces=[ZoneNetworkInterfaceStatus(ips=ips)])
    zone = Zone(status=ZoneStatus(state=ZoneState.try_value(9), network_status=network))
    info = zone_info(Zone().parse(bytes(zone)))
    assert info.state == "state-9"
    assert info.ips == ("10.0.0.2", "fe80::1")
    assert not info.exited
    present_but_zero = zone_info(Zone().parse(bytes.fromhex("1a021a00")))  # status { exit_status {} }
    assert present_but_zero.exited and present_but_zero.exit_code == 0


def test_requests_of_a_kernel_event_stream() -> None:
    def parse(data: bytes) -> MonitorZoneKernelEventRequest:
        return MonitorZoneKernelEventRequest().parse(data)

    assert parse(monitor_update("z", (1, 300))).zone_id == "z"
    assert monitor_request(parse(monitor_update("z", (1, 300)))) == ("update", (1, 300))
    assert monitor_request(parse(monitor_update("z", ()))) == ("update", ())
    assert monitor_update("z", ()) == b"\x0a\x01z\x1a\x00", "the update is there even if it is empty"
    assert monitor_request(parse(monitor_stop("z"))) == ("stop", ())
    assert monitor_request(parse(b"\x0a\x01z")) == ("", ())


def test_our_messages_are_a_subset_of_the_interface() -> None:
    """Names, numbers and types against the whole interface, where its description is at hand."""
    import subprocess
    import sys
    import tempfile

    whole = ROOT.parent / "shared" / "spec" / "control.proto"
    if not whole.exists():
        pytest.skip("the whole interface's description is not here")

    def describe(path: Path) -> dict[str, object]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "set"
            command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(path.parent), f"--descriptor_set_out={out}", path.name]
            subprocess.run(command, check=True)
            file = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]
        found: dict[str, object] = {}

        def message(prefix: str, one: descriptor_pb2.DescriptorProto) -> None:
            name = f"{prefix}.{one.name}"
            found[name] = True
            for field in one.field:
                oneof = one.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
                found[f"{name}.{field.name}"] = (field.number, field.label, field.type, field.type_name, oneof)
            for nested in one.nested_type:
                message(name, nested)

        for one in file.message_type:
            message(file.package, one)
        for enum in file.enum_type:
            found[enum.name] = [(value.name, value.number) for value in enum.value]
        for method in file.service[0].method:
            found[method.name] = (method.input_type, method.output_type, method.client_streaming, method.server_streaming)
        return found

    ours, theirs = describe(ROOT / "proto" / "control.proto"), describe(whole)
    assert len(ours) > 200
    assert {name: theirs.get(name) for name in ours} == ours
