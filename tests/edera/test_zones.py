"""Discovery: which zones are followed, when they are found, and when they are let go. Real gRPC with the simulated host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edera_falcod.edera.sink import ZoneInfo
from edera_falcod.edera.workloads import MAX_TEXT
from edera_falcod.edera.zones import LinkState, refusal
from edera_falcod.edera.zonestream import Settings
from edera_falcod.falco.ring import MAX_RECORD
from edera_falcod.falco.zoneblock import zone_block
from edera_falcod.sim.host import SimHost, SimWorkload
from edera_falcod.sim.player import AtEnd, Play

from .support import CAPTURE, Sink, following, until

FAST = Play(speed=0)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[SimHost]:
    async with SimHost(tmp_path / "edera.sock") as host:
        yield host


async def test_zones_are_found_at_the_start_and_later(host: SimHost) -> None:
    sink = Sink()
    host.add_zone("one", CAPTURE, FAST, limit=500)
    async with following(host.path, sink, Settings(reconcile=60)) as zones:
        await until(lambda: sink.events["one"] == 500)
        assert sink.states["one"] == ["opening", "seeding", "live"]
        assert sink.threads["one"] == 13
        assert zones.link is LinkState.UP
        host.add_zone("two", CAPTURE, FAST, limit=300, annotations={"k": "v"})
        await until(lambda: sink.events["two"] == 300)
        assert sink.zones["two"].annotations == (("k", "v"),)
        assert sink.zones["two"].ips == ("127.0.0.1", "::1")
        assert list(zones.streams) == [host.zones["one"].id, host.zones["two"].id]
    assert sink.events == {"one": 500, "two": 300}
    assert not sink.gaps


async def test_a_zone_that_was_not_announced_is_found_by_the_list(host: SimHost) -> None:
    sink = Sink()
    async with following(host.path, sink):
        await until(lambda: host.watchers)
        host._watchers.clear()  # what is announced is lost
        host.add_zone("quiet", CAPTURE, FAST, limit=10)
        await until(lambda: sink.events["quiet"] == 10)


async def test_exit_is_announced(host: SimHost) -> None:
    sink = Sink()
    host.add_zone("one", CAPTURE, FAST, limit=100)
    async with following(host.path, sink, Settings(reconcile=60)) as zones:
        await until(lambda: sink.events["one"] == 100)
        host.remove_zone("one", 137)
        await until(lambda: sink.gone)
        assert sink.gone == {"one": "it has exited with 137"}
        assert sink.states["one"][-1] == "gone"
        assert not sink.gaps["one"], "an exit is no loss"
        assert not zones.streams
        assert zones.gone["messages"] == 101


async def test_exit_that_was_not_announced_is_found_by_the_list(host: SimHost) -> None:
    sink = Sink()
    host.add_zone("one", CAPTURE, FAST, limit=100)
    async with following(host.path, sink):
        await until(lambda: sink.events["one"] == 100)
        host._watchers.clear()
        host.zones.pop("one")
        await until(lambda: sink.gone)
        assert sink.gone == {"one": "it is no longer listed"}


async def test_the_last_events_of_a_zone_come_before_it_is_gone(host: SimHost) -> None:
    sink = Sink()  # fails an assertion when something comes later
    host.add_zone("short", CAPTURE, Play(speed=0, at_end=AtEnd.EXIT), limit=2000)
    async with following(host.path, sink):
        await until(lambda: sink.gone)
        assert sink.events["short"] == 2000


async def test_a_failed_zone_is_gone(host: SimHost) -> None:
    sink = Sink()
    host.add_zone("one", CAPTURE, FAST, limit=100)
    host.add_zone("other", CAPTURE, FAST, limit=100)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["one"] == 100)
        host.fail_zone("one", "kernel panic")
        await until(lambda: sink.gone)
        assert sink.gone == {"one": "it has failed: kernel panic"}
        await asyncio.sleep(0.5)  # some lists on
        assert [stream.zone.name for stream in zones.streams.values()] == ["other"]
        assert sink.state("other") == "live"


async def test_a_zone_is_followed_once_it_is_ready(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("slow", CAPTURE, FAST, limit=10, state="creating")
    async with following(host.path, sink):
        await asyncio.sleep(0.5)
        assert not zone.opened
        host.set_state("slow", "created")
        host.set_state("slow", "ready")
        await until(lambda: sink.events["slow"] == 10)
        host.set_state("slow", "destroying")
        await until(lambda: sink.gone)


async def test_zones_that_cannot_be_monitored_are_left_alone(host: SimHost) -> None:
    sink = Sink()
    host.add_zone("host", CAPTURE, FAST, domid=0)
    host.add_zone("nodomain", CAPTURE, FAST, domid=0xFFFFFFFF)
    host.add_zone("name", CAPTURE, FAST, zone_id="not-a-uuid")
    host.add_zone("good", CAPTURE, FAST, limit=10)
    with capture_logs() as logs:
        async with following(host.path, sink):
            await until(lambda: sink.events["good"] == 10)
            await asyncio.sleep(0.5)
    assert list(sink.zones) == ["good"]
    told = [(log["name"], log["reason"]) for log in logs if log["event"] == "zone not monitored"]
    assert told == [("host", "it has no domain"), ("nodomain", "it has no domain"), ("name", "its id is not a UUID")], "once each"


async def test_changes_of_a_zone_are_told(host: SimHost) -> None:
    sink = Sink()
    zone = host.add_zone("one", CAPTURE, FAST, limit=10)
    async with following(host.path, sink):
        await until(lambda: sink.events["one"] == 10)
        zone.annotations["a"] = "b"
        host.announce(zone)
        await until(lambda: sink.zones["one"].annotations == (("a", "b"),))
        changes = sink.changes["one"]
        await asyncio.sleep(0.7)
        assert sink.changes["one"] == changes, "what is the same is not told again"
        assert zone.opened == 1


async def test_long_lists_come_in_pages(tmp_path: Path) -> None:
    sink = Sink()
    async with SimHost(tmp_path / "edera.sock", page=3) as host:
        for number in range(10):
            host.add_zone(f"z{number}", CAPTURE, FAST, limit=1)
        async with following(host.path, sink):
            await until(lambda: len(sink.events) == 10)


async def test_no_more_zones_than_allowed(host: SimHost) -> None:
    sink = Sink()
    for number in range(4):
        host.add_zone(f"z{number}", CAPTURE, FAST, limit=1)
    async with following(host.path, sink, Settings(reconcile=0.2, max_zones=2)) as zones:
        await until(lambda: zones.counters["lists"] > 1)
        assert len(zones.streams) == 2
        assert zones.counters["zones_over_limit"] >= 2
        host.remove_zone(next(iter(sink.zones)))
        await until(lambda: len(sink.zones) == 3, what="the place that became free is taken")


async def test_workloads_are_told_with_their_images(host: SimHost) -> None:
    sink = Sink()
    host.add_zone("one", CAPTURE, FAST, limit=10)
    host.add_zone("bare", CAPTURE, FAST, limit=10)
    host.add_workload("one", SimWorkload("web", "registry.local/web:1", annotations={"a": "b"}))
    async with following(host.path, sink, Settings(reconcile=60)) as zones:
        await until(lambda: sink.state("one") == "live" and sink.state("bare") == "live")
        (web,) = sink.workloads_of["one"]
        assert (web.name, web.image, web.annotations) == ("web", "registry.local/web:1", (("a", "b"),))
        host.add_workload("one", SimWorkload("side", "registry.local/web:1"))
        await until(lambda: len(sink.workloads_of["one"]) == 2)
        host.remove_workload("one", "web")
        await until(lambda: [one.name for one in sink.workloads_of["one"]] == ["side"])
        assert zones.counters["workload_changes"] == 2
        assert not sink.workloads_of.get("bare")


@pytest.mark.parametrize("method", ["ListWorkloads", "ListImages"])
async def test_a_daemon_without_workloads_has_zones_all_the_same(host: SimHost, method: str) -> None:
    sink = Sink()
    host.lacks.add(method)
    host.add_zone("one", CAPTURE, FAST, limit=10)
    host.add_workload("one", SimWorkload("web", "nginx"))
    with capture_logs() as logs:
        async with following(host.path, sink) as zones:
            await until(lambda: sink.events["one"] == 10)
            await until(lambda: zones.counters["lists"] >= 3)
    told = [log["reason"] for log in logs if log["event"].startswith("workloads cannot be listed")]
    assert told == [f"UNIMPLEMENTED: {method} is not implemented"], "once"


async def test_a_daemon_without_zones_is_waited_for(host: SimHost) -> None:
    sink = Sink()
    host.lacks.add("ListZones")
    host.add_zone("one", CAPTURE, FAST, limit=10)
    async with following(host.path, sink) as zones:
        await until(lambda: zones.link is LinkState.WAITING)
        assert zones.link_reason == "UNIMPLEMENTED: ListZones is not implemented"
        host.lacks.clear()
        await until(lambda: sink.events["one"] == 10)


async def test_a_missing_socket_is_waited_for_with_one_line_per_step(tmp_path: Path) -> None:
    sink = Sink()
    host = SimHost(tmp_path / "edera.sock")
    host.add_zone("one", CAPTURE, FAST, limit=10)
    with capture_logs() as logs:
        async with following(host.path, sink) as zones:
            await until(lambda: zones.link_tries >= 3)
            assert zones.link is LinkState.WAITING
            assert "No such file or directory" in zones.link_reason
            told = [log for log in logs if log["event"] == "waiting for the Edera daemon"]
            assert len(told) == zones.link_tries == zones.counters["fault.unreachable"]
            assert all(log["socket"] == str(host.path) and log["retry_in"] > 0 for log in told)
            await host.start()
            await until(lambda: sink.events["one"] == 10)
            assert (zones.link.value, zones.link_tries) == ("up", 0)
    await host.stop()
    assert [log["event"] for log in logs if log["log_level"] != "debug"][-2:] == ["connected to the Edera daemon", "zone live"]


async def test_the_host_restarts(host: SimHost) -> None:
    sink = Sink()
    for name in ("one", "two", "three"):
        host.add_zone(name, CAPTURE, FAST, limit=200)
    async with following(host.path, sink) as zones:
        await until(lambda: sum(sink.events.values()) == 600)
        await host.stop()
        await until(lambda: zones.link is LinkState.WAITING)
        await until(lambda: all(sink.state(name) == "backoff" for name in host.zones))
        assert all(sink.gaps[name] == ["stream_lost"] for name in host.zones)
        host.zones.pop("three")  # did not survive
        await asyncio.sleep(1)
        assert all(stream.counters["open_failed"] <= 1 for stream in zones.streams.values()), "zones wait for the daemon, quietly"
        await host.start()
        await until(lambda: all(sink.snapshots[name] == 2 and sink.state(name) == "live" for name in ("one", "two")))
        await until(lambda: sink.gone)
        assert sink.gone == {"three": "it is no longer listed"}
    assert sink.times["one"] == sorted(sink.times["one"]), "the second play's times go on"


async def test_a_stuck_daemon_is_noticed(host: SimHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edera_falcod.edera.control.CALL_TIME", 0.3)
    sink = Sink()
    host.add_zone("one", CAPTURE, Play(speed=0), limit=10)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["one"] == 10)
        host.hears.clear()
        await until(lambda: zones.link is LinkState.WAITING)
        assert zones.link_reason == "ListZones: no answer within 0.3 s"
        assert sink.state("one") == "live", "its stream is not to blame"
        host.hears.set()
        await until(lambda: zones.link is LinkState.UP)
        assert host.zones["one"].opened == 1


async def test_a_task_that_fails_by_a_bug_takes_nobody_with_it(host: SimHost, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink()
    host.add_zone("one", CAPTURE, FAST, limit=10)
    host.add_zone("two", CAPTURE, FAST, limit=10)
    async with following(host.path, sink) as zones:
        await until(lambda: sink.events["two"] == 10)
        stream = zones.streams[host.zones["one"].id]
        monkeypatch.setattr(stream, "_hand", None)
        host.malformed("one")
        await until(lambda: "one" in sink.gone)
        assert sink.gone["one"] == "internal error"
        assert sink.gaps["one"] == ["internal"]
        await until(lambda: sink.snapshots["one"] == 2, what="it is found again")
        assert host.zones["two"].opened == 1


def test_which_zones_are_refused() -> None:
    good = ZoneInfo(id="664ab320-dfef-58c9-9f9e-0a2a3cdca899", state="ready", domid=7)
    assert refusal(good) == ""
    for changes in (
        {"id": ""}, {"id": "x"}, {"domid": 0}, {"domid": 0xFFFFFFFF}, {"exited": True}, {"state": "failed"}, {"state": "created"},
        {"state": "unknown"}, {"state": "state-9"},
    ):  # fmt: skip
        facts = {name: getattr(good, name) for name in ("id", "state", "domid")}
        assert refusal(ZoneInfo(**{**facts, **changes}))


async def test_what_is_said_of_a_zone_fits_into_a_frame(host: SimHost) -> None:
    """Whoever makes a zone could have all its events lost as too large otherwise."""
    host.add_zone("talks", CAPTURE, FAST, limit=5, annotations={f"{number:03}": "v" * 8192 for number in range(150)})
    sink = Sink()
    async with following(host.path, sink):
        await until(lambda: sink.events["talks"] == 5)
        zone = sink.zones["talks"]
        assert 0 < len(zone.annotations) < 150 and zone.annotations[0] == ("000", "v" * MAX_TEXT)
        assert len(zone_block(zone.id, zone.name, annotations=zone.annotations).data) < MAX_RECORD // 2
