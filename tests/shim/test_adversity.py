"""A daemon that means harm or is broken, and a machine that is: the shim never fails towards Falco, never reads beyond what it got,
never waits long, never grows without bound, and is there again when the daemon is.

All of it under address and undefined-behaviour sanitizers, or the thread sanitizer.
"""

from __future__ import annotations

import contextlib
import random
import re
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edera_falcod.fields import slots

from . import fake, world
from .conftest import SHIM, SMALL, Build, Result, host, make

EMPTY = fake.cells()
LIMIT_US = 2_000_000  # of next_batch by a busy machine's clock; that it is 50 ms by its own is seen in faults.c, where time is ours
ALL = ("--all", "--params", "--quiet")
ASAN = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1")

# A conversation with all that there is, and small enough to be cut at every byte
CONVERSATION = b"".join(
    (
        fake.welcome(),
        fake.frame(fake.PING),
        fake.batch(
            fake.define(1, slots.KIND_ZONE, fake.cells(texts={slots.EDERA_ZONE_NAME: b"z"}, raw={slots.EDERA_ZONE_ANNOTATIONS: b"k\0v\0"})),
            fake.define(
                2, slots.KIND_LINEAGE, fake.cells(numbers={slots.LINEAGE_MAIN: 3}, raw={slots.LINEAGE_ANCESTORS: struct.pack("<Q", 3)})
            ),
            fake.define(3, slots.KIND_THREAD, fake.cells(texts={slots.PROC_NAME: b"sh"})),
        ),
        fake.shed(1, 2),
        fake.batch(
            fake.event(3, fake.cells(numbers={slots.LINEAGE: 2}, texts={slots.EVT_ARGS: b"a"}), {fake.ZONE_ID: 1, fake.THREAD_ID: 3}),
            fake.release(3),
        ),
        fake.batch(fake.event(4, EMPTY, {fake.ZONE_ID: 1}), redelivered=True),
        fake.frame(77, b"?"),
    )
)
GOOD = (fake.welcome(), fake.batch(fake.event(1, EMPTY)))


def unharmed(result: Result) -> Result:
    """The run ended well, and no call took long."""
    assert result.code == 0, result.err
    assert result.metrics["longest_next_batch_us"] < LIMIT_US
    return result


def through(build: Build, path: Path, streams: list[bytes], *arguments: str, seconds: float = 50) -> Result:
    """Each stream on a connection of its own, which ends behind it; then the whole conversation."""
    finished = threading.Event()

    def script(daemon: fake.Connection) -> None:
        daemon.hello()
        if daemon.number < len(streams):
            daemon.send(streams[daemon.number])
            return
        daemon.send(*GOOD)
        finished.set()
        daemon.drain()

    with fake.FakeDaemon(path, script) as daemon:
        process = build.start(path, *(arguments or ALL))
        assert finished.wait(seconds), f"{daemon.connections} of {len(streams)} connections"
        time.sleep(0.1)
        result = build.finish(process, interrupt=True)
    assert result.metrics["connected"] == 1
    return unharmed(result)


def test_closed_at_every_byte(small: Build, path: Path) -> None:
    """A prefix of a conversation is no error of the protocol, and the next connection is as good as the first."""
    prefixes = [CONVERSATION[:n] for n in range(len(CONVERSATION))]
    result = through(small, path, prefixes)
    assert result.metrics["malformed"] == 0
    lengths = [
        len(fake.welcome()),
        CONVERSATION.index(fake.frame(77, b"?")) - len(fake.batch(fake.event(4, EMPTY, {fake.ZONE_ID: 1}))),
        CONVERSATION.index(fake.frame(77, b"?")),
    ]
    welcomed, first, second = (sum(len(prefix) >= length for prefix in prefixes) for length in lengths)
    assert result.metrics["connects"] == welcomed + 1
    # What came whole was delivered: both events of a prefix often in one batch, and always in order
    assert result.metrics["events"] == first + second + 1
    assert result.metrics["disordered"] == 0


@pytest.mark.parametrize("change", [0x00, 0xFF, 0x01, 0x80])
def test_every_byte_changed(small: Build, path: Path, change: int) -> None:
    streams = []
    for at in range(len(CONVERSATION)):
        changed = bytearray(CONVERSATION)
        changed[at] = change if change in (0, 0xFF) else changed[at] ^ change
        streams.append(bytes(changed))
    result = through(small, path, streams)
    assert result.metrics["events"] > len(streams)


@pytest.mark.parametrize("seed", range(3))
def test_garbage(small: Build, path: Path, seed: int) -> None:
    """Streams of anything, and of frames with anything in them."""
    dice = random.Random(seed)

    def anything(n: int) -> bytes:
        return dice.randbytes(dice.randrange(n))

    def block() -> bytes:
        if dice.random() < 0.7:  # one with cells, which may refer to anywhere
            cells = fake.Block()
            for slot in dice.sample(range(64), dice.randrange(12)):
                if dice.random() < 0.4:
                    cells.number(
                        slot, dice.choice([dice.randrange(9), dice.getrandbits(64), dice.randrange(200) | dice.randrange(50) << 32])
                    )
                elif dice.random() < 0.5:
                    cells.text(slot, anything(20))
                else:
                    cells.raw(slot, anything(40) + dice.choice([b"", b"\0"]))
            return cells.finish()
        words = dice.choice([0, 1, 1, 1, 2, 8, 9, 0xFFFFFFFF])
        return struct.pack("<I", words) + anything(120)

    def item() -> bytes:
        kind = dice.choice([0, 1, 1, 2, 3, 3, 9])
        body = anything(60)
        if kind == fake.DEFINE and dice.random() < 0.8:
            body = struct.pack("<QB", dice.randrange(6), dice.randrange(9)) + block()
        if kind == fake.EVENT and dice.random() < 0.8:
            body = struct.pack("<QQq6Q", *[dice.randrange(8) for _ in range(9)]) + block()
        if kind == fake.RELEASE and dice.random() < 0.8:
            body = struct.pack("<3Q", *[dice.randrange(6) for _ in range(3)])
        return fake.item(kind, body)

    streams = []
    for _ in range(300):
        style = dice.random()
        if style < 0.1:
            streams.append(anything(300))
        elif style < 0.2:
            streams.append(fake.welcome() + anything(300))
        else:
            parts = [fake.welcome()] if dice.random() < 0.95 else []
            for _ in range(dice.randrange(6)):
                parts.append(
                    fake.batch(*[item() for _ in range(dice.randrange(5))])
                    if dice.random() < 0.8
                    else fake.frame(dice.randrange(12), anything(40))
                )
            streams.append(b"".join(parts))
    result = through(small, path, streams)
    assert result.metrics["malformed"] > 50 and result.metrics["events"] > 5


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (fake.welcome() + fake.welcome(), "a second WELCOME"),
        (fake.batch(fake.event(1, EMPTY)), "a BATCH before WELCOME"),
        (fake.shed(1, 1), "a SHED before WELCOME"),
        (fake.welcome()[:8] + b"", None),
        (fake.frame(fake.WELCOME, b"\1\0" * 8), "a WELCOME that is too short"),
        (fake.frame(fake.WELCOME, fake.welcome()[8:-1]), "a WELCOME that is too short"),
        (fake.frame(fake.REFUSED, b"\1\0\5\0abcd"), "a REFUSED that is too short"),
        (fake.frame(fake.REFUSED, b"\1"), "a REFUSED that is too short"),
        (struct.pack("<IBBH", (4 << 20) + 1, fake.BATCH, 0, 0), "a frame that is longer than allowed"),
        (struct.pack("<I", 0xFFFFFFFF), "a frame that is longer than allowed"),
        (fake.welcome() + fake.frame(fake.SHED, b"\0" * 15), "a SHED that is too short"),
        (fake.welcome() + fake.shed(5, 4), "a SHED that ends before it begins"),
        (fake.welcome() + fake.frame(fake.ACK, b"\0" * 8), "a frame that only consumers send"),
        (fake.welcome() + fake.frame(fake.HELLO), "a frame that only consumers send"),
        (fake.welcome() + fake.frame(fake.BATCH, b"\0\0\0"), "an item that is cut off"),
        (fake.welcome() + fake.frame(fake.BATCH, struct.pack("<I", 3 << 28 | 1)), "an item that is longer than its frame"),
        (fake.welcome() + fake.frame(fake.BATCH, struct.pack("<I", 0xFFFFFFFF) + b"x" * 100), "an item that is longer than its frame"),
        (fake.welcome() + fake.batch(fake.item(fake.RELEASE, b"1234567")), "a RELEASE that is no list of ids"),
        (fake.welcome() + fake.batch(fake.item(fake.DEFINE, b"12345678")), "a DEFINE that is no block"),
        (fake.welcome() + fake.batch(fake.define(1, 1, b"")), "a DEFINE that is no block"),
        (fake.welcome() + fake.batch(fake.define(1, 1, struct.pack("<IQ", 1, 1))), "a DEFINE that is no block"),
        (fake.welcome() + fake.batch(fake.define(1, 1, struct.pack("<IQ", 0, 0))), "a DEFINE that is no block"),
        (fake.welcome() + fake.batch(fake.define(1, 1, struct.pack("<I9Q", 9, *[0] * 9))), "a DEFINE that is no block"),
        (
            fake.welcome() + fake.batch(fake.define(1, 1, struct.pack("<I8Q", 8, *[2**64 - 1] * 8) + b"\0" * 4095)),
            "a DEFINE that is no block",
        ),
        (fake.welcome() + fake.batch(fake.define(0, 1, EMPTY)), "a DEFINE with an id that is no block's"),
        (fake.welcome() + fake.batch(fake.define(1, 1, EMPTY), fake.define(1, 2, EMPTY)), "a DEFINE whose id is taken"),
        (fake.welcome() + fake.batch(fake.item(fake.EVENT, b"x" * 71)), "an EVENT that is no event"),
        (fake.welcome() + fake.batch(fake.item(fake.EVENT, b"x" * 72)), "an EVENT that is no event"),
        (fake.welcome() + fake.batch(fake.event(1, struct.pack("<IQ", 1, 7) + b"\0" * 23)), "an EVENT that is no event"),
    ],
)
def test_each_way_to_break_the_protocol(small: Build, path: Path, stream: bytes, says: str | None) -> None:
    """Dropped, counted, said; and no event of the broken connection is lost that came before."""
    result = through(small, path, [stream])
    broken = [line for line in result.log if "the daemon broke the protocol" in line]
    if says is None:
        assert not broken and result.metrics["malformed"] == 0
    else:
        assert len(broken) == result.metrics["malformed"] == 1 and says in broken[0], result.err


def test_events_before_a_break_are_delivered_and_not_acknowledged(checked: Build, path: Path) -> None:
    """Their blocks stay until Falco is done with them, though the connection is gone; then they come again."""
    zone = fake.define(1, slots.KIND_ZONE, fake.cells(texts={slots.EDERA_ZONE_NAME: b"z"}))
    seen: list[bytes] = []

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        if daemon.number == 0:
            daemon.send(fake.batch(zone, fake.event(1, EMPTY, {fake.ZONE_ID: 1}), fake.release(1), fake.item(fake.EVENT, b"")))
            seen.append(daemon.drain())
        else:
            daemon.send(fake.batch(zone, fake.event(1, EMPTY, {fake.ZONE_ID: 1}), redelivered=True))
            seen.append(daemon.drain())

    with fake.FakeDaemon(path, script):
        result = checked.run(path, "--json", "--count", "2", "edera.zone.name", "edera.redelivered")
    assert [event["fields"] for event in result.events] == [{"edera.zone.name": "z", "edera.redelivered": again} for again in (False, True)]
    assert seen == [b"", fake.frame(fake.ACK, struct.pack("<Q", 1))]


def test_table_overflow(small: Build, path: Path) -> None:
    """More blocks, or more bytes of them, than the limits: the connection is dropped; what fits is fine."""
    count = int(SMALL["MAX_BLOCKS"].rstrip("u"))
    big = fake.cells(texts={slots.EDERA_ZONE_NAME: b"x" * 3000})
    too_many = [fake.define(n + 1, slots.KIND_ZONE, EMPTY) for n in range(count + 1)]
    too_big = [fake.define(n + 1, slots.KIND_ZONE, big) for n in range(65536 // len(big) + 1)]
    result = through(
        small,
        path,
        [
            fake.welcome() + fake.batch(*too_many),
            fake.welcome() + fake.batch(*too_big),
            fake.welcome() + fake.batch(*too_many[:-1]),
            fake.welcome() + fake.batch(*too_big[:-1]),
        ],
    )
    assert result.metrics["overflows"] == 2 and result.metrics["malformed"] == 0
    assert sum("more blocks than the limit" in line for line in result.log) == 2


def test_slow_drip(small: Build, path: Path) -> None:
    """A byte at a time: no call waits for more than its share, and all arrives."""

    def script(daemon: fake.Connection) -> None:
        daemon.hello()
        for at in range(len(CONVERSATION)):
            daemon.send(CONVERSATION[at : at + 1])
            time.sleep(0.002)
        daemon.drain()

    with fake.FakeDaemon(path, script):
        result = unharmed(small.run(path, "--count", "2", "--timeout", "40"))
    assert result.metrics["malformed"] == 0 and result.metrics["connects"] == 1


def test_a_welcome_that_drips_for_ever(small: Build, path: Path) -> None:
    """The time for a handshake counts from its beginning, not from its last byte."""

    def script(daemon: fake.Connection) -> None:
        daemon.hello()
        with contextlib.suppress(OSError):
            for at in range(len(fake.welcome()) - 1):
                daemon.send(fake.welcome()[at : at + 1])
                time.sleep(0.05)
            daemon.drain()

    with fake.FakeDaemon(path, script) as daemon:
        result = unharmed(small.run(path, "--timeout", "2"))
    assert daemon.connections >= 2 and any("no welcome in time" in line for line in result.log)
    assert result.metrics["connects"] == 0 and result.metrics["malformed"] == 0


def test_memory_stays_through_handshakes(tmp_path: Path, path: Path) -> None:
    """Each connection fills the table of blocks and breaks off: no more is kept than of one."""
    make(tmp_path, "all", {name: SMALL[name] for name in ("BACKOFF_MIN_NS", "BACKOFF_MAX_NS", "REFUSED_NS")})
    build = Build(tmp_path)
    body = fake.cells(texts={slots.EDERA_ZONE_NAME: b"x" * 5000})
    blocks = b"".join([fake.batch(fake.define(id_, slots.KIND_ZONE, body)) for id_ in range(1, 401)])
    used: list[int] = []

    def script(daemon: fake.Connection) -> None:
        daemon.hello()
        daemon.send(fake.welcome(), blocks, fake.batch(fake.event(daemon.number, EMPTY)))
        if daemon.number in (20, 200):
            time.sleep(0.2)
            used.append(int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[0]))
        if daemon.number > 200:
            daemon.drain()

    with fake.FakeDaemon(path, script) as daemon:
        process = build.start(path, "--quiet")
        until = time.monotonic() + 45
        while daemon.connections <= 201 and time.monotonic() < until:
            time.sleep(0.02)
        result = unharmed(build.finish(process, interrupt=True))
    assert result.metrics["connects"] > 200
    assert used[1] < used[0] + 1_000, used  # kB


def test_a_frame_that_never_ends(plain: Build, path: Path) -> None:
    """Announced bytes cost nothing before they come, and 4 MiB at most when they do; then silence ends it (30 s as it ships)."""

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.send(struct.pack("<IBBH", 4 << 20, fake.BATCH, 0, 0), b"x" * 1000)
        daemon.drain()

    with fake.FakeDaemon(path, script):
        process = plain.start(path, "--timeout", "1")
        time.sleep(0.8)
        status = Path(f"/proc/{process.pid}/status").read_text()
        unharmed(plain.finish(process))
    assert int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) < 12_000


def test_memory_stays(plain: Build, path: Path) -> None:
    """Two hundred megabytes of blocks and events through the shim: it keeps what is live, no more."""
    body = fake.cells(texts={slots.EDERA_ZONE_NAME: b"x" * 5000})
    peaks: list[int] = []

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        for n in range(800):
            ids = range(20 * n + 1, 20 * n + 21)
            items = [fake.define(id_, slots.KIND_ZONE, body) for id_ in ids]
            daemon.send(fake.batch(*items, *[fake.event(id_, body, {fake.ZONE_ID: id_}) for id_ in ids], fake.release(*ids)))
            if n == 700:
                peaks.append(int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[0]))
        daemon.drain()

    with fake.FakeDaemon(path, script):
        process = plain.start(path, "--quiet", "--count", "16000", "edera.zone.name")
        result = plain.finish(process)
    assert result.code == 0 and result.metrics["blocks"] == 0
    assert peaks[0] < 24_000  # kB


def test_two_hundred_handshakes(small: Build, path: Path) -> None:
    """Descriptors and memory are given back each time."""
    counts: list[int] = []

    def script(daemon: fake.Connection) -> None:
        daemon.hello()
        if daemon.number % 3 == 0:
            return
        daemon.send(fake.welcome(), fake.batch(fake.event(daemon.number, EMPTY)))
        if daemon.number % 3 == 1:
            return
        daemon.ack()
        counts.append(len(list(Path(f"/proc/{process.pid}/fd").iterdir())))

    with fake.FakeDaemon(path, script) as daemon:
        process = small.start(path, "--quiet")
        while daemon.connections < 200:
            time.sleep(0.02)
        unharmed(small.finish(process, interrupt=True))
    assert len(counts) > 60 and max(counts) - min(counts) <= 1


_faults: dict[str, Callable[..., subprocess.CompletedProcess[str]]] = {}


@pytest.mark.parametrize(
    ("function", "failure"),
    [
        ("malloc", "NULL"),
        *[("socket", failure) for failure in ("EMFILE", "ENOMEM")],
        *[("connect", failure) for failure in ("ECONNREFUSED", "ENOENT", "EACCES", "EAGAIN", "EINTR")],
        *[("recv", failure) for failure in ("EINTR", "EAGAIN", "ECONNRESET", "EBADF", "ENOMEM", "EOF", "SHORT")],
        *[("send", failure) for failure in ("EINTR", "EAGAIN", "EPIPE", "ECONNRESET", "ENOBUFS", "SHORT")],
        *[("poll", failure) for failure in ("EINTR", "ENOMEM", "SHORT")],
        *[("clock_gettime", failure) for failure in ("BACK", "FORTH", "STILL")],
    ],
)
def test_the_nth_call_fails(tmp_path_factory: pytest.TempPathFactory, path: Path, function: str, failure: str) -> None:
    """Whichever call of the machine's fails: no failure towards Falco, and all events in the end."""
    folder = tmp_path_factory.getbasetemp() / "faults"
    run = _faults.get(str(folder))
    if run is None:
        folder.mkdir()
        wrap = [f"-Wl,--wrap={name}" for name in ("malloc", "calloc", "socket", "connect", "recv", "send", "poll", "clock_gettime")]
        run = host(folder, "faults.c", *[f"-D{name}={value}" for name, value in SMALL.items()], *ASAN, *wrap, str(SHIM / "edera_shim.c"))
        _faults[str(folder)] = run
    frames = b"".join((fake.batch(*world.DEFINITIONS[:8]), fake.batch(*world.DEFINITIONS[8:])))
    events = [fake.batch(*[fake.event(5 * n + k + 1, world.block(), world.IDS) for k in range(5)]) for n in range(4)]
    events.append(fake.batch(fake.event(21, fake.cells(texts={slots.EVT_ARGS: b"x" * 20_000})), fake.event(22, EMPTY)))

    def script(daemon: fake.Connection) -> None:
        daemon.hello()
        time.sleep(0.002)  # so that the shim has to wait
        daemon.send(fake.welcome())
        daemon.send(frames)
        for frame in events:
            daemon.send(frame)
            time.sleep(0.001)
        daemon.drain()

    with fake.FakeDaemon(path, script):
        done = run(path, function, failure, "22")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_events_from_anywhere(checked: Build, tmp_path: Path, path: Path) -> None:
    """Extraction of every event cut at every byte and with every byte changed, each in memory of its own."""
    run = host(tmp_path, "host.c", *ASAN)

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        daemon.send(fake.batch(*world.DEFINITIONS, fake.event(1, world.block(), world.IDS, world.TS, world.TID)))
        daemon.drain()

    with fake.FakeDaemon(path, script):
        done = run("events", checked.folder / "libedera_shim.so", path)
    assert done.returncode == 0, done.stderr


def test_threads(tmp_path: Path, path: Path) -> None:
    """Two live instances, a hot reload's dry runs beside them and metrics from elsewhere, under the thread sanitizer."""
    make(tmp_path, "tsan", {"BACKOFF_MIN_NS": "1000000", "BACKOFF_MAX_NS": "4000000", "REFUSED_NS": "100000000"})
    run = host(tmp_path, "host.c", "-fsanitize=thread", "-O1")

    greetings: set[bytes] = set()

    def script(daemon: fake.Connection) -> None:
        greetings.add(daemon.hello())
        daemon.send(fake.welcome())
        daemon.send(fake.batch(*world.DEFINITIONS))
        for n in range(1000):
            daemon.send(fake.batch(fake.event(n + 1, world.block(), world.IDS, world.TS, world.TID)))
        daemon.drain()

    with fake.FakeDaemon(path, script, parallel=True):
        done = run("threads", tmp_path / "tsan/libedera_shim.so", path)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, connects in ((b"first", True), (b"second", True), (b"dry", False)):
        assert any(name in greeting for greeting in greetings) is connects, "a dry run opens nothing"
