"""Hand-made events through the real libsinsp: every kind of value in every operator that rules use, and what is not there.

The world of blocks and the daemon that sends it are those of the shim's own tests (tests/shim/world.py, fake.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shim import fake, world
from tests.sinsp_host import Pair, Run, SinspHost

SECOND = 1_000_000_000

TRUE = (
    # A signed number is served as text: comparisons with 0 and -1, and equality, are right.
    "evt.rawres < 0",
    "evt.rawres = -2",
    "evt.rawres != 0",
    "evt.rawres in (-1, -2)",
    "not evt.rawres >= 0",
    "fd.num = -2 and fd.num < 0",
    "proc.pid = -3",
    # Its companion is the number that plugins can have: below 0 it is huge.
    "evt.rawres.unsigned = -2",
    "evt.rawres.unsigned = 18446744073709551614",
    "evt.rawres.unsigned >= 0",
    # Unsigned numbers, and their whole range.
    "evt.cpu = 3 and evt.cpu < 4 and evt.cpu >= 3",
    "edera.zone.domid = 18446744073709551615",
    "evt.buflen in (4, 5)",
    # Truth values: what a block holds need not be 1.
    "proc.is_exe_writable = true",
    "fd.is_server = false",
    "evt.failed = true",
    "evt.is_open_read = true and evt.is_open_write = false",
    # Texts; an empty one is a value.
    "evt.type = openat and evt.dir = <",
    'proc.exe = "" and proc.exe exists',
    "len(proc.exe) = 0",
    'edera.zone.id = ""',
    "edera.zone.name = zöne-1",
    "edera.zone.name startswith zö and edera.zone.name endswith -1 and edera.zone.name contains öne",
    "toupper(proc.name) = WORKER",
    "basename(proc.pexepath) = sh",
    # The event's own value of a field goes before the file's or the type's.
    "evt.category = file!",
    # Parameters by name, number and key; raw and as text.
    "evt.arg.fd = ENOENT and evt.arg[0] = ENOENT and evt.arg[fd] = ENOENT",
    "evt.arg.flags = O_X and evt.rawarg.flags = 9",
    "evt.rawarg.fd = -2",
    "evt.arg.size = 18446744073709551615",
    "evt.arg.name = /eé",
    "evt.buffer contains a.b",
    "evt.arg.tuple = NULL",
    # Ancestors: one of them, all of them as text, any of them.
    "proc.aname[1] = sh and proc.aname[2] = init and proc.pname = sh",
    "proc.aname[0] = main",
    "proc.aname = 'sh init'",
    "proc.anames intersects (init, systemd)",
    "proc.anames in (init, sh, bash)",
    "not proc.anames in (init, bash)",
    "proc.apid[2] = 1",
    "proc.apids intersects (1)",
    "proc.sname = sh",
    'proc.vpgid.name = ""',
    # Arguments and variables.
    "proc.args[0] = -a and proc.args[2] = -c",
    'proc.args[1] = "" and proc.args[99] = ""',
    "proc.env[A] = 1 and proc.env[B] = 'x y' and proc.env[E] = 2",
    'proc.env[NONE] = "" and proc.env[NONE] exists',
    "proc.aenv[P] = parent",
    # Times are ns.
    f"proc.duration = {SECOND + 1}",
    f"proc.duration > {SECOND}",
    "proc.ppid.duration = 5",
    "evt.deltatime.s = 3 and evt.deltatime.ns = 7",
    # Addresses of both kinds, networks, both ends.
    'fd.cip = "10.0.0.1" and fd.sip = "::1"',
    'fd.sip != "10.0.0.1"',
    'fd.cip in ("10.0.0.2", "10.0.0.1")',
    'fd.cnet = "10.0.0.0/8"',
    'not fd.cnet = "192.168.0.0/16"',
    'fd.snet = "::/64"',
    'fd.ip intersects ("::1")',
    'fd.ip in ("::1", "10.0.0.1")',
    "fd.port intersects (443, 8443)",
    "fd.port in (1234, 443)",
    "not fd.port in (443, 80)",
    # Lists by key.
    "edera.zone.annotation[a] = one",
    'edera.zone.annotation[b] = ""',
    "container.mount.source[/proc*] = /s/2",
    # Types of open files.
    "fd.types intersects (ipv4)",
    "fd.types in (file, ipv4)",
    "fd.types[0] in (file)",
    "evt.type.is.openat = 1 and evt.type.is.close = 0",
    # Fields against fields.
    "proc.name != val(proc.pname)",
    "proc.exe = val(edera.zone.id)",
    # A field of the batch, not of a block: of every event.
    "edera.redelivered = false and proc.name exists",
)

# Fields that the first event has no value of: every comparison is false, != too.
ABSENT = (
    "proc.aname[3]", "proc.apid[3]", "evt.arg[99]", "evt.arg.mode", "fd.lip", "fd.rip", "fd.sport", "fd.directory", "proc.vpid",
    "edera.zone.host", "edera.zone.annotation[c]", "container.image.repository", "edera.notice.kind", "proc.tty",
)  # fmt: skip

OUTPUT = (
    # Blanks between them: up to libs 0.23 (Falco 0.43) a plugin's field ends at a blank where a bracket follows later.
    "%edera.zone.name | %evt.rawres | %evt.rawres.unsigned | %proc.exe | %fd.lip | %fd.cip | %fd.sip | %fd.port | %fd.ip | %proc.anames | "
    "%evt.failed | %proc.duration | %proc.aname[1] | %fd.cnet | (%proc.name:%fd.num)"
)
PRINTED = (
    "zöne-1 | -2 | 18446744073709551614 |  | <NA> | 10.0.0.1 | ::1 | (1234,443) | (10.0.0.1,::1) | (sh,init) | "
    "true | 1000000001 | sh | <IPNET> | (worker:-2)"
)


def serve(connection: fake.Connection) -> None:
    """Two events and nothing more: the first with everything, the second with an empty block and no other."""
    connection.greet()
    connection.send(
        fake.batch(
            *world.DEFINITIONS,
            fake.event(1, world.block(), world.IDS, ts=world.TS, tid=world.TID),
            fake.event(2, fake.cells(), ts=world.TS + 1, tid=world.TID),
        )
    )
    assert connection.ack() == 2
    connection.drain()


@pytest.fixture(scope="module")
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sinsp") as folder:
        yield Path(folder) / "s"


def conditions() -> list[str]:
    compared = [f"{field} exists" for field in ABSENT]
    compared += [f"{field} != x" if field not in NUMBERS else f"{field} != 7" for field in ABSENT if field not in ADDRESSES]
    compared += [f'{field} != "9.9.9.9"' for field in ADDRESSES]
    return [*TRUE, *compared]


NUMBERS = frozenset({"proc.apid[3]", "fd.sport", "proc.vpid", "proc.tty"})
ADDRESSES = ("fd.lip", "fd.rip")


@pytest.fixture(scope="module")
def run(sinsp: SinspHost, socket_path: Path) -> Run:
    pairs = [Pair(condition, condition) for condition in conditions()]
    pairs += [Pair(f"not {condition}", f"not ({condition})") for condition in conditions()]
    pairs.append(Pair("output", "evt.num = 1", OUTPUT))
    pairs.append(Pair("empty", "evt.num = 2", OUTPUT))
    pairs.append(Pair("info", "evt.num = 1", "%evt.plugininfo"))
    pairs.append(Pair("own", "", "%evt.num %evt.source %evt.pluginname %evt.rawtime"))
    with fake.FakeDaemon(socket_path, serve):
        return sinsp.run(pairs, {"socket": str(socket_path)}, first=10, idle=0.5, fields=True)


def test_all_compile(run: Run) -> None:
    assert [f"{pair.id}: {pair.error}" for pair in run.pairs if not pair.ok] == []
    assert run.events == 2


@pytest.mark.parametrize("condition", TRUE)
def test_true(run: Run, condition: str) -> None:
    """Of the first event, and not of its opposite. The second event has no values: there only what is negated can match."""
    assert run.counts[condition] - (1 if condition.startswith("not ") else 0) == 1
    assert run.counts[condition] + run.counts[f"not {condition}"] == 2


@pytest.mark.parametrize("condition", [condition for condition in conditions() if condition not in TRUE])
def test_comparisons_with_nothing_are_false(run: Run, condition: str) -> None:
    assert run.counts[condition] == 0
    assert run.counts[f"not {condition}"] == 2


def test_output(run: Run) -> None:
    (match,) = run.of("output")
    assert match.output == PRINTED
    assert match.ts == world.TS
    assert match.fields is not None
    assert match.fields["proc.exe"] == "" and match.fields["fd.lip"] is None
    assert match.fields["evt.rawres"] == "-2" and match.fields["evt.rawres.unsigned"] == 2**64 - 2


def test_output_without_values(run: Run) -> None:
    (match,) = run.of("empty")
    assert match.output == " | ".join(["<NA>"] * 14 + ["(<NA>:<NA>)"])


def test_event_as_text(run: Run) -> None:
    (match,) = run.of("info")
    assert "openat" in match.output and "worker" in match.output
    assert not match.output.startswith("datalen")


def test_falcos_own_fields(run: Run) -> None:
    first, second = run.of("own")
    assert first.output == f"1 edera_zone edera {world.TS}"
    assert second.output == f"2 edera_zone edera {world.TS + 1}"


def test_what_was_not_processed_comes_again(sinsp: SinspHost, socket_path: Path) -> None:
    """Falco ends within a batch: it is not acknowledged. The next Falco gets it again, and rules can tell."""
    acknowledged: list[int] = []

    def script(connection: fake.Connection) -> None:
        connection.greet()
        events = [fake.event(seq, world.block(), world.IDS, ts=world.TS + seq) for seq in (5, 6, 7)]
        connection.send(fake.batch(*world.DEFINITIONS, *events, redelivered=connection.number == 1))
        while True:
            acknowledged.append(connection.ack())

    pairs = [Pair("new", "edera.redelivered = false", "%evt.rawtime"), Pair("again", "edera.redelivered = true", "%evt.rawtime")]
    with fake.FakeDaemon(socket_path, script) as daemon:
        first = sinsp.run(pairs, {"socket": str(socket_path)}, max_events=2, first=10)
        assert first.counts == {"new": 2, "again": 0}
        assert acknowledged == []
        second = sinsp.run(pairs, {"socket": str(socket_path)}, first=10, idle=0.5)
        assert second.counts == {"new": 0, "again": 3}
        assert daemon.connections == 2
    assert acknowledged == [7]
    assert [match.ts for match in second.matches] == [world.TS + seq for seq in (5, 6, 7)]
    assert second.summary["metrics"]["edera.redelivered"] == 3


def test_a_daemon_that_comes_back(sinsp: SinspHost, socket_path: Path) -> None:
    """The connection breaks, Falco goes on, and events of the next connection arrive."""

    def script(connection: fake.Connection) -> None:
        connection.greet()
        first = 1 + 2 * connection.number
        events = [fake.event(seq, world.block(), world.IDS, ts=world.TS + seq) for seq in (first, first + 1)]
        connection.send(fake.batch(*world.DEFINITIONS, *events))
        assert connection.ack() == first + 1
        if connection.number == 1:
            connection.drain()

    with fake.FakeDaemon(socket_path, script) as daemon:
        run = sinsp.run([Pair("all", "proc.name = worker", "")], {"socket": str(socket_path)}, first=10, idle=2.5)
        assert daemon.connections == 2
    assert run.events == 4 and run.counts == {"all": 4}
    assert run.summary["metrics"]["edera.disconnects"] == 1
