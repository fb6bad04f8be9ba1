"""Handshake, batches, acknowledgements, gaps, blocks that come and go: what daemon and shim say to each other."""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path

import pytest

from edera_falcod.fields import slots
from edera_falcod.fields.catalog import FIELDS
from edera_falcod.fields.registry import prefix_hashes

from . import fake
from .conftest import SMALL, Build

EMPTY = fake.cells()
LIMIT_US = 2_000_000  # see test_adversity.py


def zone(id_: int, name: str) -> bytes:
    return fake.define(id_, slots.KIND_ZONE, fake.cells(texts={slots.EDERA_ZONE_NAME: name.encode()}))


def of_zone(seq: int, id_: int) -> bytes:
    return fake.event(seq, EMPTY, {fake.ZONE_ID: id_})


def test_hello(checked: Build, path: Path) -> None:
    """Every byte of what the shim says first."""
    seen: list[bytes] = []

    def script(daemon: fake.Connection) -> None:
        seen.append(daemon.hello())
        daemon.send(fake.welcome(), fake.batch(fake.event(1, EMPTY)))
        daemon.drain()

    with fake.FakeDaemon(path, script):
        assert checked.run(path, "--count", "1", "--consumer", "me.2").code == 0
    expected = (
        b"EDFC"
        + struct.pack("<HHIQ", 1, 0, len(FIELDS), prefix_hashes()[-1])
        + fake.text(b"me.2")
        + fake.text(b"0.1.0")
        + struct.pack("<I", fake.NOT_MIRRORED)
    )
    assert seen == [expected]


@pytest.mark.parametrize(
    "frame",
    [
        fake.welcome(),
        fake.welcome(fields=0),
        fake.welcome(fields=17),  # an older daemon
        fake.welcome(fields=len(FIELDS) + 3, hash_=123),  # a newer one, which has checked our prefix
        fake.welcome(minor=7),
        fake.welcome(version=b""),
        fake.welcome()[:-8] + b"\0" * 8,
    ],
)
def test_daemons_that_fit(small: Build, path: Path, frame: bytes) -> None:
    def script(daemon: fake.Connection) -> None:
        daemon.hello()
        daemon.send(frame, fake.batch(of_zone(1, 0)))
        daemon.drain()

    with fake.FakeDaemon(path, script):
        result = small.run(path, "--count", "1", "--timeout", "10", "--output", "x")
    assert (result.code, result.out) == (0, "x\n")
    assert any("connected to daemon" in line for line in result.log)


def test_a_later_welcome_is_longer(small: Build, path: Path) -> None:
    """A minor step may add bytes behind what we know."""

    def script(daemon: fake.Connection) -> None:
        daemon.hello()
        payload = fake.welcome()[8:] + b"more to come"
        daemon.send(
            fake.frame(fake.WELCOME, payload),
            fake.frame(99, b"unknown"),
            fake.frame(fake.PING),
            fake.batch(fake.item(9, b"?"), of_zone(1, 0), fake.item(15, b"")),
        )
        daemon.drain()

    with fake.FakeDaemon(path, script):
        assert small.run(path, "--count", "1", "--timeout", "10").code == 0


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (fake.welcome(major=2), "daemon 9.8.7 does not fit this plugin: it speaks protocol 2 with"),
        (fake.welcome(hash_=1), "they are not the same"),
        (fake.welcome(fields=5, hash_=1), "does not fit this plugin: it speaks protocol 1 with 5 fields, plugin 0.1.0 speaks 1 with"),
        (fake.welcome(major=3, version=b"\x1b[31m\xff" + b"x" * 100), "daemon ?[31m?xxxxxx"),
        (fake.refused(1, b"protocol 1.0, need 2.0"), "(VERSION): protocol 1.0, need 2.0; plugin 0.1.0, protocol 1.0"),
        (fake.refused(2, b"registry of daemon 3.2.1 differs"), "(REGISTRY): registry of daemon 3.2.1 differs; plugin 0.1.0"),
        (fake.refused(3, b"falco is connected"), "(BUSY): falco is connected"),
        (fake.refused(4, b"uid 7"), "(DENIED): uid 7"),
        (fake.refused(5, b""), "(LIMIT): "),
        (fake.refused(99, b"\x00\x1b\xff"), "(?): ???"),
        (fake.refused(0, b"nothing"), "(): nothing"),
    ],
)
def test_daemons_that_do_not_fit(small: Build, path: Path, frame: bytes, says: str) -> None:
    """Said with both versions named, counted, and tried again; never a failure that Falco sees."""

    def script(daemon: fake.Connection) -> None:
        daemon.hello()
        daemon.send(frame)
        assert daemon.closed()

    with fake.FakeDaemon(path, script) as daemon:
        result = small.run(path, "--timeout", "0.3")
    assert result.code == 0 and any(says in line for line in result.log), result.err
    # The shim may be closed while one more connection waits for its answer.
    assert result.metrics["refusals"] >= 2 and daemon.connections - result.metrics["refusals"] in (0, 1)
    assert result.metrics["connects"] == result.metrics["malformed"] == 0
    assert all(ord(c) >= 0x20 for line in result.err.splitlines() for c in line)


def test_refusals_are_not_hammered(plain: Build, path: Path) -> None:
    """As it ships: a refusal is asked about again after ten seconds, BUSY after a tenth of one."""
    code = 4

    def script(daemon: fake.Connection) -> None:
        daemon.hello()
        daemon.send(fake.refused(code, b"no"))
        daemon.closed()

    with fake.FakeDaemon(path, script) as daemon:
        result = plain.run(path, "--timeout", "1")
    assert daemon.connections == 1 and len(result.log) == 1
    code = 3
    with fake.FakeDaemon(path, script) as daemon:
        result = plain.run(path, "--timeout", "1")
    assert 2 <= daemon.connections <= 5 and len(result.log) == 1


def test_a_batch_is_acknowledged_when_the_next_is_asked_for(checked: Build, path: Path) -> None:
    """Never before, and not by a host that goes away in the middle of a batch."""
    acks: list[int] = []

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        if daemon.number == 0:
            daemon.send(fake.batch(of_zone(5, 0), of_zone(6, 0)))
            acks.append(daemon.ack())
            daemon.send(fake.batch(of_zone(7, 0), of_zone(8, 0), of_zone(9, 0)))
        else:
            daemon.send(fake.batch(of_zone(7, 0), of_zone(8, 0), of_zone(9, 0), redelivered=True))
        data = daemon.drain()
        assert data == b"" if daemon.number == 0 else data == fake.frame(fake.ACK, struct.pack("<Q", 9))

    with fake.FakeDaemon(path, script):
        first = checked.run(path, "--json", "--count", "4", "edera.redelivered")
        second = checked.run(path, "--json", "--count", "3", "edera.redelivered")
    assert acks == [6]
    assert [event["fields"]["edera.redelivered"] for event in first.events] == [False] * 4
    assert [event["fields"]["edera.redelivered"] for event in second.events] == [True] * 3
    assert first.metrics["acknowledged_seq"] == 6 and second.metrics["acknowledged_seq"] == 9
    assert (first.metrics["events"], first.metrics["redelivered"]) == (5, 0)
    assert (second.metrics["events"], second.metrics["redelivered"]) == (3, 3)


def test_large_batches_are_handed_out_in_parts(small: Build, path: Path) -> None:
    """A frame of more events than one batch of Falco's: each part is acknowledged by itself, in order."""
    limit = int(SMALL["MAX_BATCH"].rstrip("u"))
    total = 5 * limit + 3

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.send(fake.batch(*[of_zone(n + 1, 0) for n in range(total)]))
        acks: list[int] = []
        while not acks or acks[-1] < total:
            acks.append(daemon.ack())
        assert acks == [limit * n for n in range(1, 6)] + [total]
        daemon.drain()

    with fake.FakeDaemon(path, script):
        result = small.run(path, "--count", str(total))
    assert result.code == 0 and result.metrics["batches"] == 6


def test_gaps(checked: Build, path: Path) -> None:
    """What the daemon tells is shed, what it does not tell is missing, what goes back is disordered."""

    def script(daemon: fake.Connection) -> None:
        daemon.greet(last=10)
        daemon.send(
            fake.shed(11, 14), fake.batch(of_zone(15, 0)), fake.shed(16, 16), fake.shed(17, 20), fake.batch(of_zone(21, 0)),
            fake.batch(of_zone(24, 0)), fake.batch(of_zone(3, 0), of_zone(4, 0)),
        )  # fmt: skip
        daemon.drain()

    with fake.FakeDaemon(path, script):
        metrics = checked.run(path, "--count", "5").metrics
    assert (metrics["shed"], metrics["missing"], metrics["disordered"], metrics["events"]) == (9, 2, 1, 5)


def test_a_gap_across_connections(checked: Build, path: Path) -> None:
    """The daemon says what this consumer acknowledged last; what comes next shows what is missing between."""

    def script(daemon: fake.Connection) -> None:
        daemon.greet(last=[0, 7][daemon.number])
        daemon.send(fake.batch(of_zone([7, 10][daemon.number], 0)))
        if daemon.number == 0:
            daemon.ack()
        else:
            daemon.drain()

    with fake.FakeDaemon(path, script):
        metrics = checked.run(path, "--count", "2").metrics
    assert (metrics["missing"], metrics["connects"], metrics["disconnects"]) == (2, 2, 1)


def test_blocks_live_until_their_batch_is_done(checked: Build, path: Path) -> None:
    """RELEASE beside the events that still use the block, and later events that name it nonetheless."""

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.send(fake.batch(zone(7, "a"), zone(8, "b"), of_zone(1, 7), fake.release(7, 99), of_zone(2, 7), of_zone(3, 8)))
        assert daemon.ack() == 3
        daemon.send(fake.batch(of_zone(4, 7), of_zone(5, 8), fake.release(8), fake.release(8)))
        assert daemon.ack() == 5
        daemon.send(fake.batch(of_zone(6, 8)))
        daemon.drain()

    with fake.FakeDaemon(path, script):
        result = checked.run(path, "--json", "--count", "6", "edera.zone.name")
    assert [event["fields"].get("edera.zone.name") for event in result.events] == ["a", "a", "b", None, "b", None]
    assert (
        result.metrics["blocks"],
        result.metrics["block_bytes"],
        result.metrics["blocks_defined"],
        result.metrics["blocks_released"],
    ) == (0, 0, 2, 2)


def test_a_block_may_be_defined_again(checked: Build, path: Path) -> None:
    """After its release with the same bytes, in the same batch or later; with others only later."""

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.send(fake.batch(zone(7, "a"), of_zone(1, 7), fake.release(7), zone(7, "a"), of_zone(2, 7)))
        daemon.ack()
        daemon.send(fake.batch(of_zone(3, 7), fake.release(7), zone(7, "a"), fake.release(7)))
        daemon.ack()
        daemon.send(fake.batch(of_zone(4, 7), zone(7, "c"), of_zone(5, 7)))
        daemon.drain()

    with fake.FakeDaemon(path, script):
        result = checked.run(path, "--json", "--count", "5", "edera.zone.name")
    # the fourth is in one batch with the new definition: looked up when it is asked for
    assert [event["fields"].get("edera.zone.name") for event in result.events] == ["a", "a", "a", "c", "c"]
    assert result.metrics["malformed"] == 0


def test_many_blocks_come_and_go(checked: Build, path: Path) -> None:
    """The table through growth, gaps and collisions: every block that should be there is found, no other."""
    live: dict[int, str] = {}
    rounds: list[tuple[list[bytes], dict[int, str]]] = []
    state = 12345
    number = 0
    for _ in range(30):
        items = []
        for _ in range(150):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            if state >> 33 & 1 or len(live) < 5:
                number += 1
                id_ = number if state >> 40 & 1 else (state >> 20 | 1) % 2**64
                if id_ in live:
                    continue
                live[id_] = f"n{number}"
                items.append(zone(id_, live[id_]))
            else:
                id_ = list(live)[(state >> 34) % len(live)]
                del live[id_]
                items.append(fake.release(id_))
        rounds.append((items, dict(live)))
    expected: list[str | None] = []
    frames = []
    seq = 0
    for items, there in rounds:
        seq += 1
        frames.append(fake.batch(*items, fake.event(seq, EMPTY)))
        expected.append(None)
        sample = list(there)[::3]
        frames.append(fake.batch(*[of_zone(seq + n + 1, id_) for n, id_ in enumerate(sample)], of_zone(seq + len(sample) + 1, 2**63)))
        seq += len(sample) + 1
        expected += [*[there[id_] for id_ in sample], None]

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        for frame in frames:
            daemon.send(frame)
        daemon.drain()

    with fake.FakeDaemon(path, script):
        result = checked.run(path, "--json", "--count", str(seq), "edera.zone.name")
    assert result.code == 0, result.err
    assert len(result.events) == seq
    # An id may be released and another defined between two looks: only what was live at the round's end is asked for
    assert [event["fields"].get("edera.zone.name") for event in result.events] == expected


def test_frames_up_to_the_limit(checked: Build, path: Path) -> None:
    """A frame of 4 MiB comes through, and an event that fills it."""
    size = (4 << 20) - 4 - 72 - len(fake.cells(texts={slots.EVT_ARGS: b""}))

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.send(
            fake.batch(of_zone(1, 0)), fake.batch(fake.event(2, fake.cells(texts={slots.EVT_ARGS: b"x" * size}))), fake.batch(of_zone(3, 0))
        )
        daemon.drain()

    with fake.FakeDaemon(path, script):
        result = checked.run(path, "--count", "3", "--output", "%evt.args")
    assert [len(line) for line in result.out.splitlines()] == [4, size, 4]
    assert result.metrics["malformed"] == 0


def test_a_daemon_that_is_away(checked: Build, path: Path) -> None:
    """No socket, a socket file without a listener, and then a daemon: no failure, one log line, found within two seconds."""
    process = checked.start(path, "--count", "1", "--timeout", "20", "--output", "x")
    time.sleep(0.3)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    time.sleep(0.3)
    stale.close()
    path.unlink()
    started = time.monotonic()

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.send(fake.batch(of_zone(1, 0)))
        daemon.drain()

    with fake.FakeDaemon(path, script):
        result = checked.finish(process)
    assert result.code == 0 and result.out == "x\n"
    assert time.monotonic() - started < 10
    assert len(result.log) == 2 and "no daemon at" in result.log[0]
    assert result.metrics["connect_failures"] >= 2
    assert result.metrics["longest_next_batch_us"] < LIMIT_US


def test_a_daemon_that_restarts(small: Build, path: Path) -> None:
    """Twenty times; every event is delivered once and in order, for each was acknowledged."""

    def script(daemon: fake.Connection) -> None:
        daemon.greet(last=daemon.number)
        daemon.send(fake.batch(of_zone(daemon.number + 1, 0)))
        assert daemon.ack() == daemon.number + 1

    with fake.FakeDaemon(path, script):
        result = small.run(path, "--json", "--count", "20", "--timeout", "20")
    assert [event["num"] for event in result.events] == list(range(1, 21))
    assert (result.metrics["missing"], result.metrics["disordered"]) == (0, 0) and result.metrics["connects"] in (20, 21)


def test_no_welcome(small: Build, path: Path) -> None:
    def script(daemon: fake.Connection) -> None:
        daemon.hello()
        assert daemon.closed()

    with fake.FakeDaemon(path, script) as daemon:
        result = small.run(path, "--timeout", "1")
    assert 1 <= daemon.connections <= 4
    assert any("no welcome in time" in line for line in result.log)


def test_silence(small: Build, path: Path) -> None:
    """A daemon that hangs is left; one that pings is not."""

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        for _ in range(0 if daemon.number else 8):
            time.sleep(0.15)
            daemon.send(fake.frame(fake.PING))
        assert daemon.closed()

    with fake.FakeDaemon(path, script) as daemon:
        result = small.run(path, "--timeout", "2.5")
    assert 2 <= daemon.connections <= 3
    assert any("silent for too long" in line for line in result.log), result.err


def test_waiting_costs_nothing(plain: Build, path: Path) -> None:
    """Idle, connected: a few wakeups a second and no processor time."""

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.drain()

    with fake.FakeDaemon(path, script):
        process = plain.start(path, "--timeout", "2")
        time.sleep(1.5)
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        result = plain.finish(process)
    assert int(fields[11]) + int(fields[12]) <= 10  # clock ticks of 10 ms, start included
    assert result.metrics["longest_next_batch_us"] < LIMIT_US


def test_interrupt(checked: Build, path: Path) -> None:
    """SIGINT ends a host that waits, at once and cleanly."""

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.drain()

    with fake.FakeDaemon(path, script):
        process = checked.start(path)
        time.sleep(0.5)
        started = time.monotonic()
        assert checked.finish(process, interrupt=True).code == 0
    assert time.monotonic() - started < 10


def test_slow_host(small: Build, path: Path) -> None:
    """A daemon that sends more than the host takes is slowed by the socket, and nothing is lost."""
    total = 3000

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        for n in range(total):
            daemon.send(fake.batch(fake.event(n + 1, fake.cells(texts={slots.EVT_ARGS: b"x" * 500}))))
        daemon.drain()

    with fake.FakeDaemon(path, script):
        result = small.run(path, "--json", "--count", str(total), "evt.args")
    assert len(result.events) == total and result.metrics["missing"] == 0


def test_shimcat_says_what_is_wrong(plain: Build, path: Path) -> None:
    for arguments, says in (
        (["no.such.field"], "there is no field 'no.such.field'"),
        (["evt.type[1]"], "evt.type takes no argument"),
        (["proc.aname[x]"], "takes a number in brackets, not 'x'"),
        (["proc.aname[01]"], "takes a number in brackets"),
        (["proc.aname[1"], "no closing bracket"),
        (["edera.zone.annotation"], "needs an argument"),
        (["--output", "%no.such"], "there is no field 'no.such'"),
        (["--count", "x"], "--count takes a number"),
        (["--timeout", "-1"], "--timeout takes seconds"),
        (["--library", "/nowhere.so"], "cannot load the plugin"),
        (["--json", "--output", "x"], "exclude each other"),
    ):
        result = plain.run(path, *arguments)
        assert result.code == 1 and says in result.err, (arguments, result.err)
    assert plain.run(path, "--nonsense").code == 2
    assert plain.run(path, "--count", "1", "--timeout", "0.1").code == 3
