"""Each row of the lifecycle table, caused from outside on a real stream: what happens, what is told, and that the zone comes back (or is
gone). docs/lifecycle.md names these tests; a row without one fails here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edera_falcod.edera import backoff, zonestream
from edera_falcod.edera.lifecycle import GAPS, TRANSITIONS, Action, Event, State, step
from edera_falcod.edera.transport import LinkError
from edera_falcod.edera.zones import Zones
from edera_falcod.edera.zonestream import Settings
from edera_falcod.scap.tables import PPME_CPU_HOTPLUG_E
from edera_falcod.sim.host import SimHost, SimZone
from edera_falcod.sim.player import Play
from tests.edera.support import CAPTURE, Sink, following, until

LONG = 60.0  # seconds: longer than any of these tests waits


class Case:
    """One zone, brought into a state. ``rows``: the transitions that it has made."""

    def __init__(self, host: SimHost, patch: pytest.MonkeyPatch) -> None:
        self.host = host
        self.patch = patch
        self.sink = Sink()
        self.rows: list[tuple[State, Event]] = []
        self.zone: SimZone = host.add_zone("z", CAPTURE, Play(speed=0), limit=5)
        assert self.zone.feed is not None
        self.feed = self.zone.feed
        self.real_snapshot = self.feed.snapshot()
        self.delay = 0.01
        self.zones: Zones

        def spy(state: State, event: Event) -> tuple[State, Action] | None:
            self.rows.append((state, event))
            return step(state, event)

        patch.setattr(zonestream, "step", spy)
        patch.setattr(backoff.Backoff, "next", lambda _: self.delay)
        patch.setattr(zonestream, "REOPEN_SPACING", 0.0)
        patch.setattr(zonestream, "EXIT_GRACE", 0.05)

    def mute(self, quiet: bool = True) -> None:
        """Streams that are opened from now on send no snapshot (an event in its place)."""
        self.patch.setattr(self.feed, "snapshot", (lambda shift=0: self.feed.event(0)) if quiet else (lambda shift=0: self.real_snapshot))

    async def at(self, state: State) -> None:
        await until(lambda: self.sink.state("z") == state.value and (not self.streaming(state) or self.zone.players), what=state.value)

    @staticmethod
    def streaming(state: State) -> bool:
        return state in (State.SEEDING, State.LIVE, State.RESEEDING)

    async def row(self, row: tuple[State, Event]) -> None:
        await until(lambda: row in self.rows, what=f"{row} in {self.rows}")


# How a zone comes into each state, and stays there


async def reach(case: Case, state: State) -> None:
    if state is State.SEEDING:
        case.mute()  # before discovery has come so far
        await case.at(State.SEEDING)
    elif state is State.LIVE:
        await case.at(State.LIVE)
    elif state is State.RESEEDING:
        await case.at(State.LIVE)
        case.mute()
        opened = case.zone.opened
        assert case.zones.resync(case.zone.id)
        await until(lambda: case.zone.opened > opened and case.zone.players)
        await case.row((State.RESEEDING, Event.OPENED))
    elif state in (State.BACKOFF, State.QUARANTINED):
        await case.at(State.LIVE)
        case.delay = LONG
        if state is State.QUARANTINED:
            case.patch.setattr(zonestream, "MAX_FAULTS", 1)
            case.zones.streams[case.zone.id]._faults = type(case.zones.streams[case.zone.id]._faults)(maxlen=1)
        case.host.malformed("z", "compressed")
        await case.at(state)


Cause = Callable[[Case], Awaitable[None] | None]

CAUSES: dict[Event, Cause] = {
    Event.SNAPSHOT: lambda case: case.host.push("z", case.real_snapshot),
    Event.CPU_HOTPLUG: lambda case: case.host.hotplug("z"),
    Event.MALFORMED: lambda case: case.host.malformed("z", "garbage"),
    Event.UNREADABLE: lambda case: case.host.malformed("z", "compressed"),
    Event.STREAM_ENDED: lambda case: case.host.end("z"),
    Event.STREAM_LOST: lambda case: case.host.cut("z"),
    Event.EXITED: lambda case: case.host.remove_zone("z"),
}


def lose(case: Case) -> None:
    case.sink.lose = True
    case.host.push("z", case.feed.event(0))


CAUSES[Event.LOSS] = lose


def resync(case: Case) -> None:
    assert case.zones.resync(case.zone.id)


CAUSES[Event.RESYNC] = resync


def half_a_snapshot(case: Case) -> None:
    """A large one is announced and not completed."""
    case.host.push("z", b"\0" + (64 << 20).to_bytes(4, "big") + b"\x1a" + b"x" * 1000)


GENERAL = [row for row in TRANSITIONS if row[0] in (State.SEEDING, State.LIVE, State.RESEEDING) and row[1] in CAUSES]
GENERAL += [(state, event) for state in (State.BACKOFF, State.QUARANTINED) for event in (Event.RESYNC, Event.EXITED)]
EARLY = [
    (State.DISCOVERED, Event.START),
    (State.OPENING, Event.OPENED),
    (State.RESEEDING, Event.OPENED),
    (State.BACKOFF, Event.TIME_IS_UP),
]
LATE = [(state, Event.SNAPSHOT_LATE) for state in (State.SEEDING, State.LIVE, State.RESEEDING)]
REFUSED = [(State.OPENING, Event.OPEN_FAILED), (State.RESEEDING, Event.OPEN_FAILED)]
FAULTY = [(State.BACKOFF, Event.TOO_MANY_FAULTS), (State.RESEEDING, Event.TOO_MANY_FAULTS), (State.QUARANTINED, Event.TIME_IS_UP)]
LEAVING = [(State.DISCOVERED, Event.EXITED), (State.OPENING, Event.EXITED)]


def named(rows: list[tuple[State, Event]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[f"{state.value}-{event.value}" for state, event in rows])


def test_every_row_has_its_test() -> None:
    rows = GENERAL + EARLY + LATE + REFUSED + FAULTY + LEAVING
    assert sorted(rows, key=str) == sorted(TRANSITIONS, key=str)


async def check(case: Case, row: tuple[State, Event], back: bool = True) -> None:
    """The row was made, told as a gap if it is one, and the zone is live again or gone."""
    await case.row(row)
    event = row[1]
    after, _ = TRANSITIONS[row]
    if after is State.GONE:
        await until(lambda: "z" in case.sink.gone)
        return
    if row in GAPS:
        await until(lambda: event.value in case.sink.gaps["z"])  # after what was still on its way
    if back:
        case.delay = 0.01
        case.mute(False)
        case.zone.refuses = False
        for stream in case.zones.streams.values():  # whatever it waits for
            stream.resync("the end of the test")

        def live() -> bool:
            if case.sink.state("z") != "live":
                case.host.push("z", case.real_snapshot)  # a stream that was opened without one
            return case.sink.state("z") == "live"

        await until(live, what=str(case.sink.states["z"]))


@named(GENERAL)
async def test_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: tuple[State, Event]) -> None:
    state, event = row
    async with SimHost(tmp_path / "edera.sock") as host:
        case = Case(host, monkeypatch)
        async with following(host.path, case.sink, Settings(reconcile=5)) as case.zones:
            await reach(case, state)
            case.rows.clear()
            done = CAUSES[event](case)
            if done is not None:
                await done
            await check(case, row)
            if event is Event.CPU_HOTPLUG:
                assert case.sink.codes["z"][PPME_CPU_HOTPLUG_E] >= 1


@named(EARLY)
async def test_how_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: tuple[State, Event]) -> None:
    async with SimHost(tmp_path / "edera.sock") as host:
        case = Case(host, monkeypatch)
        async with following(host.path, case.sink, Settings(reconcile=5)) as case.zones:
            await case.at(State.LIVE)
            if row[0] is State.RESEEDING:
                resync(case)
            elif row[0] is State.BACKOFF:
                host.cut("z")
            await check(case, row)


@named(LATE)
async def test_a_snapshot_that_is_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: tuple[State, Event]) -> None:
    async with SimHost(tmp_path / "edera.sock") as host:
        case = Case(host, monkeypatch)
        async with following(host.path, case.sink, Settings(reconcile=5, snapshot_timeout=0.3)) as case.zones:
            await reach(case, row[0])
            if row[0] is State.LIVE:
                half_a_snapshot(case)
            await check(case, row)


@named(REFUSED)
async def test_a_stream_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: tuple[State, Event]) -> None:
    """Where the refusal can be seen before the stream counts as open: the call itself fails."""
    async with SimHost(tmp_path / "edera.sock") as host:
        case = Case(host, monkeypatch)
        async with following(host.path, case.sink, Settings(reconcile=5)) as case.zones:
            await case.at(State.LIVE)
            links = case.zones._links
            real = links.call

            def refused(method: str) -> Any:
                monkeypatch.setattr(links, "call", real)  # once
                return Refusing()

            monkeypatch.setattr(links, "call", refused)
            if row[0] is State.RESEEDING:
                resync(case)
            else:
                host.cut("z")
            await check(case, row)


class Refusing:
    """A call whose opening fails, as when the connection breaks while the request is on its way."""

    async def __aenter__(self) -> Any:
        raise LinkError("the connection broke")

    async def __aexit__(self, *_: object) -> None:
        return None


@named(FAULTY)
async def test_too_many_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: tuple[State, Event]) -> None:
    monkeypatch.setattr(zonestream, "MAX_FAULTS", 1)
    async with SimHost(tmp_path / "edera.sock") as host:
        case = Case(host, monkeypatch)
        async with following(host.path, case.sink, Settings(reconcile=5)) as case.zones:
            await case.at(State.LIVE)
            host.malformed("z", "garbage" if row[0] is State.RESEEDING else "compressed")
            await check(case, row)


@named(LEAVING)
async def test_a_zone_that_leaves_before_it_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: tuple[State, Event]) -> None:
    async with SimHost(tmp_path / "edera.sock") as host:
        case = Case(host, monkeypatch)
        sink = case.sink
        hook = "zone_changed" if row[0] is State.DISCOVERED else "zone_state"
        real: Any = getattr(sink, hook)

        def leave(*args: Any) -> None:
            """It exits at the very moment."""
            real(*args)
            if hook == "zone_changed" or args[1] is State.OPENING:
                stream = case.zones.streams[case.zone.id]
                stream.exit("gone")

        monkeypatch.setattr(sink, hook, leave)
        async with following(host.path, sink, Settings(reconcile=5)) as case.zones:
            await case.row(row)
            await until(lambda: "z" in sink.gone)
