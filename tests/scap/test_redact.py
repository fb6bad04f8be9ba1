"""Nothing of what is to be redacted is left, everything else is, and lengths stay; damaged replies are refused, never passed on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.scap import tables as t
from edera_falcod.scap.capture import CaptureEvent
from edera_falcod.scap.errors import WireError
from edera_falcod.scap.event import Event
from edera_falcod.scap.redact import ALL, ARGUMENTS, BUFFERS, ENVIRONMENT, MAX_NAMES, Redaction, redact
from edera_falcod.scap.snapshot import SnapshotThread
from edera_falcod.scap.wire import SnapshotReader, parse_reply
from edera_falcod.sim.encode import Encoder, blob, message

ENCODER = Encoder("zone", pretty=True)
EXECVE = t.PPME_SYSCALL_EXECVE_19_X
PARAMS = {param.name: index for index, param in enumerate(t.EVENTS[EXECVE].params)}


def execve(args: bytes = b"--password=hunter2\0-v\0", env: bytes = b"A=secret\0plain\0B=\0") -> bytes:
    params = [b"\0" * 8 for _ in t.EVENTS[EXECVE].params]
    params[PARAMS[b"args"]], params[PARAMS[b"env"]] = args, env
    params[PARAMS[b"exe"]] = b"/bin/x\0"
    return ENCODER.event(CaptureEvent(1, 2, 3, EXECVE, 0, params))


def event_of(reply: bytes) -> Event:
    found = parse_reply(reply, 0, len(reply))
    assert isinstance(found, Event)
    return found


def test_of_an_execve() -> None:
    reply = execve()
    found = redact(reply, ALL)
    assert len(found) == len(reply)
    params = event_of(found).params
    assert params[PARAMS[b"args"]] == b"xxxxxxxxxxxxxxxxxx\0xx\0"
    assert params[PARAMS[b"env"]] == b"A=xxxxxx\0xxxxx\0B=\0"
    assert params[PARAMS[b"exe"]] == b"/bin/x\0"
    for word in (b"hunter2", b"secret", b"plain"):
        assert word in reply and word not in found  # not in the text beside the data either
    assert b"hunter2" in redact(reply, ENVIRONMENT | BUFFERS) and b"secret" not in redact(reply, ENVIRONMENT)
    assert redact(reply, 0) == reply


@pytest.mark.parametrize("code", [t.PPME_SYSCALL_READ_X, t.PPME_SOCKET_SENDTO_X, t.PPME_SYSCALL_PTRACE_X])
def test_of_what_was_read_and_written(code: int) -> None:
    info = t.EVENTS[code]
    params = [b"\0" * 8 for _ in info.params]
    at = [param.name for param in info.params].index(b"data")
    params[at] = b"\x01sec\0ret"
    reply = ENCODER.event(CaptureEvent(1, 2, 3, code, 0, params))
    found = event_of(redact(reply, BUFFERS)).params
    assert found[at] in (b"xxxxxxxx", b"\x01xxxxxxx")
    assert found[:at] + found[at + 1 :] == params[:at] + params[at + 1 :]
    assert b"sec" not in redact(reply, BUFFERS)
    assert redact(reply, ARGUMENTS | ENVIRONMENT) == reply


def test_of_a_snapshot() -> None:
    thread = SnapshotThread(7)
    thread.comm, thread.args, thread.env, thread.cwd = b"sh", b"-c\0secret\0", b"KEY=secret\0", b"/tmp"
    reply = ENCODER.snapshot([thread], 5)
    found = redact(reply, ALL)
    assert b"secret" in reply and b"secret" not in found and len(found) == len(reply)
    reader = parse_reply(found, 0, len(found))
    assert isinstance(reader, SnapshotReader)
    other = reader.next_thread()
    assert other is not None
    assert (other.comm, other.args, other.env, other.cwd) == (b"sh", b"xx\0xxxxxx\0", b"KEY=xxxxxx\0", b"/tmp")


def test_what_is_not_known_is_emptied() -> None:
    """Fields of a newer zone; parameters and events that the table does not have."""
    thread = message(1, b"\x08\x07" + message(2, b"\x08\x07" + blob(99, b"secret")))
    assert b"secret" not in redact(message(3, thread), ARGUMENTS)
    unknown = message(2, b"\x10\x01" + message(7, blob(3, b"secret")) + b"\x48\xff\x7f")
    assert b"secret" not in redact(unknown, ARGUMENTS)
    more = b"".join([message(7, blob(3, b"")) for _ in t.EVENTS[t.PPME_SYSCALL_CLOSE_X].params])
    late = message(2, b"\x10\x01" + more + message(7, blob(3, b"secret")) + b"\x48" + bytes([t.PPME_SYSCALL_CLOSE_X]))
    assert b"secret" not in redact(late, ARGUMENTS)


@pytest.mark.parametrize(
    "reply",
    [
        message(2, b"\x10\x01" + blob(99, b"secret")),  # of the event
        message(2, b"\x48" + bytes([t.PPME_SYSCALL_CLOSE_X]) + message(7, blob(9, b"secret"))),  # of a parameter
        message(3, blob(9, b"secret")),  # of a snapshot
        message(3, message(1, b"\x08\x07" + blob(9, b"secret"))),  # of an entry of its map
        message(3, message(1, message(2, blob(99, b"secret")))),  # of a thread
    ],
)
def test_texts_of_a_newer_zone_are_emptied_whatever_was_asked_for(reply: bytes) -> None:
    reply = b"\x20\x05" + reply  # a number of its own beside it, which stays
    found = redact(reply, ENVIRONMENT)
    assert found == reply.replace(b"secret", bytes(6))


def test_the_last_text_need_not_end() -> None:
    assert event_of(redact(execve(b"-p\0secret", b"A=b\0C=secret"), ALL)).params[PARAMS[b"args"]] == b"xx\0xxxxxx"
    assert event_of(redact(execve(b"-p\0secret", b"A=b\0C=secret"), ALL)).params[PARAMS[b"env"]] == b"A=x\0C=xxxxxx"


def test_names_of_an_environment_are_kept_of_so_many_texts() -> None:
    """The time that a zone can cost with millions of texts is bounded; nothing that is secret is left for that."""
    env = b"A=s\0" * MAX_NAMES + b"B=s\0" + b"secret\0\0" * 5 + b"C=s"
    found = event_of(redact(ENCODER.event(CaptureEvent(1, 2, 3, EXECVE, 0, [*[b""] * PARAMS[b"env"], env])), ALL))
    assert found.params[PARAMS[b"env"]] == b"A=x\0" * MAX_NAMES + b"xxx\0" + b"xxxxxx\0\0" * 5 + b"xxx"


def test_a_snapshot_is_redacted_in_slices_that_are_as_long_as_one_likes() -> None:
    threads = [SnapshotThread(number) for number in range(1, 1101)]
    for thread in threads:
        thread.args, thread.env = b"-p\0secret\0", b"A=secret\0"
    reply = ENCODER.snapshot(threads, 9)
    assert reply.count(b"secret") == 2200
    for count in (7, 100, 2000):
        redaction = Redaction(reply, ALL)
        steps = 1
        while not redaction.step(count):
            steps += 1
        assert steps >= 1100 // count
        assert redaction.result() == redact(reply, ALL) == reply.replace(b"secret", b"xxxxxx").replace(b"-p\0", b"xx\0")


@pytest.mark.parametrize("reply", [b"", b"\xff" * 20, execve()[:-3], execve() + execve(), message(9, b"secret") + execve()])
def test_what_cannot_be_read_is_refused(reply: bytes) -> None:
    with pytest.raises(WireError):
        redact(reply, ALL)
    assert redact(reply, 0) == reply


@given(st.data())
def test_damage_never_does_more_than_refuse(data: st.DataObject) -> None:
    reply = bytearray(data.draw(st.sampled_from([execve(), ENCODER.snapshot([SnapshotThread(1)], 9)])))
    for _ in range(data.draw(st.integers(1, 4))):
        reply[data.draw(st.integers(0, len(reply) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = redact(bytes(reply), ALL)
    except WireError:
        return
    assert len(found) == len(reply)


@given(st.lists(st.binary(min_size=1, max_size=12).map(lambda b: b.replace(b"\0", b"\1")), max_size=5))
def test_every_argument_keeps_its_length(args: list[bytes]) -> None:
    found = event_of(redact(execve(b"".join([arg + b"\0" for arg in args])), ALL)).params[PARAMS[b"args"]]
    assert found == b"".join([b"x" * len(arg) + b"\0" for arg in args])
