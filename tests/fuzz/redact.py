"""Invariant: a reply is refused, or becomes one of the same length that is read as before but for arguments, environments and what was read
and written, of which nothing is left but lengths and the names of variables; once redacted it stays as it is."""

from __future__ import annotations

from edera_falcod.scap import redact
from edera_falcod.scap.errors import CAUSES, WireError
from edera_falcod.scap.event import Event
from edera_falcod.scap.redact import ARGUMENTS, BUFFERS, ENVIRONMENT
from edera_falcod.scap.snapshot import SnapshotThread
from edera_falcod.scap.tables import EVENTS, PT_BYTEBUF, PT_DYN
from edera_falcod.scap.wire import parse_reply
from tests.scap.plain import plain

from . import captured
from .dice import Dice

SECRET = {b"args": ARGUMENTS, b"env": ENVIRONMENT}


def corpus() -> list[bytes]:
    replies = captured.replies() + captured.snapshots()
    return [bytes([number % 7]) + reply for number, reply in enumerate(replies)]


def kind_of(code: int, index: int) -> int:
    """What a parameter may hold; all of it if nobody knows the parameter."""
    if not 0 <= code < len(EVENTS) or index >= len(EVENTS[code].params):
        return redact.ALL
    param = EVENTS[code].params[index]
    if param.name == b"data":
        return BUFFERS if param.type in (PT_BYTEBUF, PT_DYN) else 0
    return SECRET.get(param.name, 0)


def hidden(before: bytes, after: bytes, names: bool) -> None:
    """Texts, each of which is overwritten; ``names``: behind its first =."""
    assert len(before) == len(after)
    for text, found in zip(before.split(b"\0"), after.split(b"\0"), strict=True):
        name, equals, value = text.partition(b"=")
        assert found == (name + equals + b"x" * len(value) if names and equals else b"x" * len(text))


def events(before: Event, after: Event, what: int) -> None:
    assert (before.ts, before.tid, before.cpu, before.code) == (after.ts, after.tid, after.cpu, after.code)
    for index, (one, other) in enumerate(zip(before.params, after.params, strict=True)):
        kind = kind_of(before.code, index) & what
        if not kind:
            assert one == other
        elif kind & BUFFERS:
            assert len(one) == len(other) and set(other[1:]) <= set(b"x")
        else:
            hidden(one, other, kind == ENVIRONMENT)


def threads(data: bytes) -> list[SnapshotThread]:
    reader = parse_reply(data, 0, len(data))
    assert not isinstance(reader, Event)
    return list(iter(reader.next_thread, None))


def one(data: bytes) -> None:
    dice = Dice(data)
    what = dice.below(7) + 1
    reply = dice.rest()
    try:
        found = redact.redact(reply, what)
    except WireError as error:
        assert error.cause in CAUSES
        return
    assert len(found) == len(reply) and redact.redact(found, what) == found
    try:
        before = parse_reply(reply, 0, len(reply))
        all_before = [] if isinstance(before, Event) else threads(reply)
    except WireError:
        return
    after = parse_reply(found, 0, len(found))
    assert type(before) is type(after)
    if isinstance(before, Event) and isinstance(after, Event):
        events(before, after, what)
        return
    for one, other in zip(all_before, threads(found), strict=True):
        if what & ARGUMENTS:
            hidden(one.args, other.args, False)
            one.args = other.args
        if what & ENVIRONMENT:
            hidden(one.env, other.env, True)
            one.env = other.env
        assert [plain(fd) for fd in one.fds] == [plain(fd) for fd in other.fds]
        one.fds = other.fds
        assert plain(one) == plain(other)
