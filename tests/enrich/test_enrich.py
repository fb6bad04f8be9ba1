"""What is known of workloads, images and hosts, from the simulated Edera daemon over real gRPC to what rules see in a real libsinsp.

The capture's processes all run in the control group /zone0/app, so a workload of the id "app" owns them where attribution goes by
control group; half of them are moved to /zone0/two where there have to be two.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edera_falcod.sim.feed import Playable, playable
from edera_falcod.sim.host import SimHost, SimWorkload
from tests.daemon.support import DATA, FAST, World, until, world
from tests.sinsp_host import PLUGIN, LiveHost, Match, Pair, SinspHost, require_sinsp
from tests.support.captures import rewritten

CAPTURE = DATA / "net1.scap"
IN_GROUP = "thread.cgroups contains /zone0/"
FIELDS = (
    "container.id", "container.full_id", "container.name", "container.image", "container.image.repository", "container.image.tag",
    "container.image.digest", "container.type", "container.privileged", "container.mounts", "container.mount.dest[/srv/*]",
    "container.label[org.opencontainers.image.vendor]", "container.label[empty]", "container.labels",
    "container.start_ts", "container.ip", "k8s.pod.name", "k8s.ns.name", "k8s.pod.uid", "k8s.pod.sandbox_id", "k8s.pod.full_sandbox_id",
    "k8s.pod.ip", "edera.workload.id", "edera.workload.name", "edera.workload.image", "edera.workload.annotation[team]",
    "edera.zone.name", "edera.zone.host", "edera.zone.ip", "edera.zone.state", "edera.zone.annotation[tier]",
)  # fmt: skip
OUTPUT = " ".join(f"%{field}" for field in FIELDS)
OF_NONE = {
    "container.id": "host", "container.full_id": "host", "container.name": "host", "container.type": "host", "container.privileged": False,
}  # fmt: skip
LABELS = {"tier": "front", "org.opencontainers.image.vendor": "shop ü", "empty": "", "io.kubernetes.x": "y"}
WEB = SimWorkload(
    "web",
    "registry.local:5000/shop/web:1.2@sha256:" + "ab" * 32,
    id="app",
    privileged=True,
    created_at=1_700_000_000_000_000_000,
    mounts=(("/srv/data", "/data"), ("/etc/web", "/etc/web")),
    image_config=json.dumps({"config": {"Labels": LABELS}}).encode(),
    annotations={
        "io.kubernetes.pod.name": "web-7d9f", "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": "0f0e-11",
        "io.kubernetes.cri.sandbox-id": "5a5a5a5a5a5a5a5a5a5a", "io.kubernetes.container.name": "server", "team": "blue",
    },
)  # fmt: skip
OF_WEB = {
    "container.id": "app", "container.full_id": "app", "container.name": "server", "container.type": "edera", "container.privileged": True,
    "container.image": "registry.local:5000/shop/web:1.2@sha256:" + "ab" * 32, "container.image.repository": "registry.local:5000/shop/web",
    "container.image.tag": "1.2", "container.image.digest": "sha256:" + "ab" * 32, "container.start_ts": 1_700_000_000_000_000_000,
    "container.mounts": "/srv/data:/data:::,/etc/web:/etc/web:::", "container.mount.dest[/srv/*]": "/data",
    "container.label[org.opencontainers.image.vendor]": "shop ü", "container.label[empty]": "",
    "container.labels": "empty, org.opencontainers.image.vendor:shop ü, tier:front",
    "k8s.pod.name": "web-7d9f", "k8s.ns.name": "shop", "k8s.pod.uid": "0f0e-11", "k8s.pod.sandbox_id": "5a5a5a5a5a5a",
    "k8s.pod.full_sandbox_id": "5a5a5a5a5a5a5a5a5a5a", "edera.workload.id": "app", "edera.workload.name": "server",
    "edera.workload.image": "registry.local:5000/shop/web:1.2@sha256:" + "ab" * 32, "edera.workload.annotation[team]": "blue",
}  # fmt: skip


@pytest.fixture(scope="module")
def sinsp() -> SinspHost:
    return require_sinsp()


def known(match: Match) -> dict[str, Any]:
    """The fields that have a value; those of the zone and its address left out."""
    fields = match.fields or {}
    return {
        name: value
        for name, value in fields.items()
        if value is not None and not name.startswith(("edera.zone.", "evt.")) and name not in ("container.ip", "k8s.pod.ip")
    }


async def run(sinsp: SinspHost, one: World, condition: str = IN_GROUP) -> list[Match]:
    config = {"socket": one.config.falco.socket}
    result = await asyncio.to_thread(sinsp.run, [Pair("", condition, OUTPUT)], config, first=20, idle=1.0, time=40, fields=True)
    assert all(pair.ok for pair in result.pairs), result.pairs
    return result.matches


# ---- attribution


@pytest.mark.parametrize("attribution", ["cgroup", "zone"])
async def test_everything_that_is_known_of_a_workload(sinsp: SinspHost, tmp_path: Path, attribution: str) -> None:
    async with world(tmp_path, {"workloads": attribution}) as one:
        one.host.add_zone("shop", CAPTURE, FAST, annotations={"tier": "gold"}, limit=500)
        one.host.add_workload("shop", WEB)
        matches = await run(sinsp, one)
    assert len(matches) > 400
    for match in matches:
        assert known(match) == OF_WEB
        fields = match.fields or {}
        assert fields["container.ip"] == fields["k8s.pod.ip"] == fields["edera.zone.ip"] or fields["container.ip"] == "127.0.0.1"
        assert fields["edera.zone.name"] == "shop" and fields["edera.zone.annotation[tier]"] == "gold"
        assert fields["edera.zone.host"] == "simulated" and fields["edera.zone.state"] == "ready"


async def test_none(sinsp: SinspHost, tmp_path: Path) -> None:
    """workloads = none: nothing is said, and nothing is guessed."""
    async with world(tmp_path, {"workloads": "none"}) as one:
        one.host.add_zone("shop", CAPTURE, FAST, limit=100)
        one.host.add_workload("shop", WEB)
        matches = await run(sinsp, one)
    assert matches and all(known(match) == {} for match in matches)


@pytest.mark.parametrize(("attribution", "count"), [("cgroup", 1), ("zone", 2), ("zone", 0)])
async def test_the_zones_own_processes(sinsp: SinspHost, tmp_path: Path, attribution: str, count: int) -> None:
    """No workload's id in their control groups, and not one workload that could own the whole zone: they are the host's."""
    async with world(tmp_path, {"workloads": attribution}) as one:
        one.host.add_zone("shop", CAPTURE, FAST, limit=100)
        for number in range(count):
            one.host.add_workload("shop", SimWorkload(f"w{number}", "nginx", id=f"zone{number}0"))  # "zone0" is a part of a longer word
        matches = await run(sinsp, one)
    assert matches and all(known(match) == OF_NONE for match in matches)


def moved(folder: Path) -> Path:
    """The capture, with what every second process does in another control group from its start on."""

    def change(kind: int, data: bytes) -> bytes:
        tid = struct.unpack_from("<q", data, 14 if kind in (0x208, 0x217, 0x222) else 10)[0]
        return data.replace(b"=/zone0/app\0", b"=/zone0/two\0") if tid % 2 else data

    path = folder / "moved.scap"
    path.write_bytes(rewritten(CAPTURE, change))
    return path


@pytest.mark.parametrize("attribution", ["cgroup", "zone"])
async def test_several_workloads_in_a_zone(sinsp: SinspHost, tmp_path: Path, attribution: str) -> None:
    """Each event has the workload that its own process's control group names, and another zone's workload of that id is nothing to it."""
    async with world(tmp_path, {"workloads": attribution}) as one:
        one.host.add_zone("shop", moved(tmp_path), FAST)
        one.host.add_zone("other", CAPTURE, FAST, limit=300)
        one.host.add_workload("shop", SimWorkload("first", "a/one:1", id="app"))
        one.host.add_workload("shop", SimWorkload("second", "b/two:2", id="two"))
        one.host.add_workload("other", SimWorkload("third", "c/three:3", id="three"))
        one.host.add_workload("other", SimWorkload("fourth", "c/four:4", id="elsewhere"))
        config = {"socket": one.config.falco.socket}
        pair = Pair("", IN_GROUP, "%edera.zone.name %thread.cgroups %container.id %container.name %container.image.repository")
        result = await asyncio.to_thread(sinsp.run, [pair], config, first=20, idle=1.5, time=50, fields=True)
    seen = set()
    for match in result.matches:
        fields = match.fields or {}
        group = str(fields["thread.cgroups"]).partition(" ")[0].rpartition("/")[2]
        seen.add((fields["edera.zone.name"], group, fields["container.id"], fields["container.name"], fields["container.image.repository"]))
    assert seen == {
        ("shop", "app", "app", "first", "a/one"), ("shop", "two", "two", "second", "b/two"), ("other", "app", "host", "host", None),
    }  # fmt: skip


# ---- changes while events come


class Live:
    """A zone whose events are sent one at a time, to a libsinsp that runs."""

    def __init__(self, one: World, live: LiveHost, feed: Playable) -> None:
        self.one = one
        self._live = live
        self._feed = feed
        self._next = 1
        self._lines = iter(live)

    @property
    def host(self) -> SimHost:
        return self.one.host

    async def event(self) -> dict[str, Any]:
        """The fields of the next event."""
        self.host.push("shop", self._feed.event(self._next))
        self._next += 1
        return await self.read()

    async def read(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while (line := await asyncio.to_thread(next, self._lines))["type"] != "match":
                assert line["type"] != "pair" or line["ok"], line
        match = Match(line["id"], line["evtnum"], line["ts"], line["output"], line["fields"])
        return {**known(match), **{name: value for name, value in line["fields"].items() if name.startswith("edera.zone.")}}

    async def workloads(self, *names: str) -> None:
        """Wait until the zone's workloads are these."""
        pipeline = self.one.daemon.pipelines.by_id[self.host.zones["shop"].id]
        await until(lambda: sorted(info.name for info in pipeline.told[0]) == sorted(names))


@asynccontextmanager
async def live(sinsp: SinspHost, folder: Path, edera: dict[str, Any] | None = None, prepare: Any = None) -> AsyncIterator[Live]:
    async with world(folder, edera) as one:
        zone = one.host.add_zone("shop", CAPTURE, FAST, limit=1, annotations={"team": "zone"})
        if prepare is not None:
            prepare(one.host)
        pair = Pair("", "not edera.notice.kind exists", OUTPUT)
        with sinsp.start(PLUGIN, [pair], {"socket": one.config.falco.socket}, fields=True) as process:
            it = Live(one, process, playable(CAPTURE, zone.id))
            try:
                await it.read()  # the one event of the capture: the zone is live
                yield it
            finally:
                process.stop()
                await asyncio.to_thread(process.process.wait, 10)


async def test_workloads_that_come_change_and_go(sinsp: SinspHost, tmp_path: Path) -> None:
    """WatchEvents tells, and the very next event shows it; never before, never after."""
    async with live(sinsp, tmp_path) as zone:
        assert "container.image" not in await zone.event()
        zone.host.add_workload("shop", SimWorkload("web", "nginx:1", id="one", annotations={"team": "red"}))
        await zone.workloads("web")
        found = await zone.event()
        assert (found["container.id"], found["container.name"], found["edera.workload.annotation[team]"]) == ("one", "web", "red")
        zone.host.remove_workload("shop", "web")
        zone.host.add_workload("shop", SimWorkload("api", "nginx:2", id="one", annotations={"team": "green"}))
        await zone.workloads("api")
        found = await zone.event()
        assert (found["container.id"], found["container.name"], found["edera.workload.annotation[team]"]) == ("one", "api", "green")
        zone.host.add_workload("shop", SimWorkload("side", "nginx:2", id="two"))  # now no one workload owns the zone
        await zone.workloads("api", "side")
        assert (await zone.event())["container.id"] == "host"
        zone.host.remove_workload("shop", "side")
        zone.host.remove_workload("shop", "api")
        await zone.workloads()
        assert (await zone.event())["container.name"] == "host"


async def test_the_images_name_comes_with_the_next_list(sinsp: SinspHost, tmp_path: Path) -> None:
    """A digest is all that a workload has at first. What is not known yet is no value."""
    async with live(sinsp, tmp_path) as zone:
        directory = zone.one.daemon.zones.directory
        zone.host.add_workload("shop", SimWorkload("web", "registry.local/shop/web:1.2", id="one"))
        await zone.workloads("web")
        await until(lambda: directory.of(zone.host.zones["shop"].id)[0].image, 10)
        await until(lambda: zone.one.daemon.pipelines.by_id[zone.host.zones["shop"].id].told[0][0].image)
        found = await zone.event()
        assert (found["container.image.repository"], found["container.image.tag"]) == ("registry.local/shop/web", "1.2")
        assert found["container.image.digest"].startswith("sha256:")


async def test_what_the_zone_says_shows_in_its_workloads(sinsp: SinspHost, tmp_path: Path) -> None:
    """Annotations of the zone where the workload has none, under configured keys; a change of the zone is seen in both."""
    keys = ("k8s.pod.name=team", "k8s.ns.name=my/ns")

    async with live(sinsp, tmp_path, {"annotation_keys": keys}) as zone:
        annotations = {"my/ns": "n", "io.kubernetes.pod.name": "unused"}
        zone.host.add_workload("shop", SimWorkload("web", "nginx", id="one", annotations=annotations))
        await zone.workloads("web")
        found = await zone.event()
        assert (found["k8s.pod.name"], found["k8s.ns.name"]) == ("zone", "n")
        shop = zone.host.zones["shop"]
        shop.annotations["team"] = "changed"
        zone.host.announce(shop)
        await until(lambda: ("team", "changed") in zone.one.daemon.pipelines.by_id[shop.id].info.annotations)
        assert (await zone.event())["k8s.pod.name"] == "changed"


# ---- a daemon that cannot answer


@pytest.mark.parametrize("lacking", ["ListWorkloads", "ListImages", "GetHostStatus"])
async def test_what_cannot_be_asked_has_no_value(sinsp: SinspHost, tmp_path: Path, lacking: str) -> None:
    """The zone is watched all the same."""

    def prepare(host: SimHost) -> None:
        host.lacks.add(lacking)
        host.zones["shop"].host = ""
        host.add_workload("shop", SimWorkload("web", "nginx:1", id="one"))

    async with live(sinsp, tmp_path, None, prepare) as zone:
        if lacking != "ListWorkloads":
            await zone.workloads("web")
        found = await zone.event()
        counters = zone.one.daemon.zones.counters
        assert counters["fault.host" if lacking == "GetHostStatus" else "fault.workloads"] > 0
        assert (found["edera.zone.host"] is None) == (lacking == "GetHostStatus")
        assert ("container.image.repository" in found) == (lacking == "GetHostStatus")
        zone.host.add_workload("shop", SimWorkload("late", "nginx:1", id="two"))  # told by WatchEvents, which works
        await until(lambda: zone.one.daemon.zones.directory.of(zone.host.zones["shop"].id))


async def test_the_hosts_own_domain_is_no_zone(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.domid = 7
        one.host.add_zone("dom0", CAPTURE, FAST, domid=7)
        one.host.add_zone("shop", CAPTURE, FAST, limit=1)
        await one.host.restart()  # the host is asked for once for each connection
        await until(lambda: [stream.zone.name for stream in one.daemon.zones.streams.values()] == ["shop"])
        assert one.daemon.zones.host.version == "0.0.0-simulated" and one.daemon.zones.host.ipv4 == "192.0.2.1"
