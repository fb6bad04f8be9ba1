"""Invariant: a snapshot is refused with a cause or imported whole, within the limits, into a zone whose tables agree, from which an event
can be told and a snapshot made that means the same."""

from __future__ import annotations

from edera_falcod.scap import threads as reader
from edera_falcod.scap.errors import CAUSES, WireError
from edera_falcod.scap.event import Event
from edera_falcod.scap.tables import PPME_SYSCALL_GETCWD_X
from edera_falcod.scap.wire import SnapshotReader, parse_reply
from edera_falcod.state import limits
from edera_falcod.state.export import export_threads
from tests.fields.watch import Watch
from tests.state import invariants
from tests.state.captures import zone_from

from . import captured


def corpus() -> list[bytes]:
    return captured.snapshots()


def one(data: bytes) -> None:
    threads = []
    try:
        found = parse_reply(data, 0, len(data))
        if not isinstance(found, SnapshotReader):
            return
        while (thread := found.next_thread()) is not None:
            threads.append(thread)
    except WireError as error:
        assert error.cause in CAUSES
        return
    for thread in threads:
        assert len(thread.fds) <= reader.MAX_FDS and len(thread.comm) <= reader.MAX_COMM and len(thread.args) <= reader.MAX_STRINGS
        assert all(len(fd.name) <= reader.MAX_PATH for fd in thread.fds)
    zone = zone_from(threads)
    invariants.check(zone)
    assert len(zone.threads) <= limits.MAX_THREADS
    again = zone_from(tuple(export_threads(zone)))
    invariants.check(again)
    assert again.threads.keys() == zone.threads.keys()
    watch = Watch(zone)
    for tid in [*list(zone.threads)[:8], 12345]:
        watch.see(Event(1_700_000_000_000_000_000, tid, 0, PPME_SYSCALL_GETCWD_X, []))
        watch.value("proc.cmdline")
    invariants.check(zone)
