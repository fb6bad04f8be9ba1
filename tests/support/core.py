"""The core without sockets: a capture's events through wire reader, state, encoder and reader, one JSON line each.

    python -m tests.support.core CAPTURE [--every N] [--fields a,b] > out.jsonl

The lines have the keys of libsinsp's answers (num, ts, tid, cpu, etype, type, fields), so that parity can compare them. What
`edera-falcod replay` prints comes the whole way, through daemon and socket, and has to be the same.

The answers were made by a libsinsp that neither knew the recording machine's boot time nor purged threads that exited; ``of_capture``
makes a zone like that. --live: a zone as the daemon has it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edera_falcod.fields.forms import all_forms, values
from edera_falcod.fields.reader import BlockTable, EventView, parse_form
from edera_falcod.fields.record import Encoder, Record
from edera_falcod.scap.capture import Capture, read_capture
from edera_falcod.scap.errors import WireError
from edera_falcod.scap.event import Event
from edera_falcod.scap.tables import EVENTS
from edera_falcod.scap.wire import SnapshotReader, parse_reply
from edera_falcod.sim.encode import Encoder as Replies
from edera_falcod.state.block import Block
from edera_falcod.state.zone import ZoneState


class Core:
    """One zone fed with replies. ``refused``: replies that could not be read, by reason."""

    def __init__(self, local_ips: frozenset[bytes] = frozenset()) -> None:
        self.zone = ZoneState()
        self.zone.local_ips = local_ips
        self.encoder = Encoder(1, self.zone)
        self.table = BlockTable()
        self.refused: dict[str, int] = {}
        self.seq = 0
        self.defined = 0
        self.defined_bytes = 0
        self.event_bytes = 0

    def feed(self, reply: bytes) -> tuple[Event, Record] | None:
        """Take one reply; the event and its record, or None for a snapshot and for what is refused."""
        try:
            parsed = parse_reply(reply, 0, len(reply))
            if isinstance(parsed, SnapshotReader):
                self.seed(parsed)
                return None
        except WireError as error:
            self.refused[str(error)] = self.refused.get(str(error), 0) + 1
            return None
        self.zone.apply(parsed)
        self.seq += 1
        record = self.encoder.encode(parsed)
        record.seq = self.seq
        self.event_bytes += len(record.item)
        for block in record.blocks:
            self.define(block)
        return parsed, record

    def seed(self, snapshot: SnapshotReader) -> None:
        self.zone.begin_snapshot(snapshot.boot_epoch)
        while (thread := snapshot.next_thread()) is not None:
            self.zone.add_snapshot_thread(thread)
        self.zone.end_snapshot()

    def define(self, block: Block) -> None:
        """Tell the table of a block and all it refers to, once."""
        if self.table.get(block.id, block.kind) is None:
            for ref in block.refs:
                self.define(ref)
            self.table.define(block.id, block.kind, block.data)
            self.defined += 1
            self.defined_bytes += len(block.data)


def of_capture(capture: Capture, live: bool = False) -> tuple[Core, Iterator[bytes]]:
    """A core as for the zone of the capture, and the replies that the zone would send."""
    core = Core(frozenset([interface.address for interface in capture.interfaces]))
    if not live:
        core.zone.removes_threads = False
        capture.machine.boot_epoch = 0
    return core, Replies("00000000-0000-0000-0000-000000000001").replies(capture)


def lines(
    path: Path, every: int = 1, forms: list[str] | None = None, live: bool = False, only: frozenset[int] | None = None
) -> Iterator[dict[str, Any]]:
    """What every ``every``-th event of a capture gives, or those of the numbers ``only``; all are processed."""
    chosen = tuple([(form, *parse_form(form)) for form in forms]) if forms is not None else None
    with path.open("rb") as stream:
        capture = read_capture(stream)
        core, replies = of_capture(capture, live)
        number = 0
        for reply in replies:
            made = core.feed(reply)
            if reply[0] == 0x12:
                number += 1
            if made is None or (number - 1) % every or (only is not None and number not in only):
                continue
            event, record = made
            view = EventView(record.item, core.table, hex_binary=True)
            found = values(view, chosen if chosen is not None else all_forms(event.code))
            info = EVENTS[event.code]
            line = {"num": number, "ts": event.ts, "tid": event.tid, "cpu": event.cpu, "etype": event.code}
            yield {**line, "type": info.name.decode(), "fields": found}
    if core.refused:
        print(f"refused: {core.refused}", file=sys.stderr)
    size = core.event_bytes / max(core.seq, 1)
    print(f"{core.seq} events, {size:.0f} bytes each; {core.defined} blocks, {core.defined_bytes} bytes", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--every", type=int, default=1, help="print every N-th event only (all are processed)")
    parser.add_argument("--fields", help="only these forms, separated by commas")
    parser.add_argument("--live", action="store_true", help="not as the answers were made, but as a zone is seen")
    options = parser.parse_args()
    for line in lines(options.capture, options.every, options.fields.split(",") if options.fields else None, options.live):
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
