"""Answers of libsinsp itself for the events of a few captures, cut down to the fields that these tests ask for.

``python -m tests.sinsp.answers`` makes ``tests/data/NAME.answers.json.xz`` anew from the full answers in ../shared/captures.
"""

from __future__ import annotations

import gzip
import json
import lzma
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "tests" / "data"
SHARED = REPOSITORY.parent / "shared" / "captures"

CAPTURES = ("net1", "attack1")
FIELDS = (
    "evt.arg.flags", "evt.arg.name", "evt.arg.path", "evt.arg[0]", "evt.arg[1]", "evt.category", "evt.cpu", "evt.failed",
    "evt.is_open_read", "evt.is_open_write", "evt.rawres", "evt.res", "evt.type", "fd.cip", "fd.cport", "fd.dev.major", "fd.directory",
    "fd.filename", "fd.l4proto", "fd.lport", "fd.name", "fd.num", "fd.rip", "fd.rport", "fd.sip", "fd.snet", "fd.sport", "fd.type",
    "fd.typechar", "fd.types", "proc.aname", "proc.aname[2]", "proc.aname[3]", "proc.args", "proc.cmdline", "proc.cwd", "proc.duration",
    "proc.env[HOME]", "proc.exepath", "proc.is_exe_upper_layer", "proc.name", "proc.pid", "proc.pname", "proc.ppid", "proc.sname",
    "proc.nthreads", "proc.tty", "proc.vpid", "thread.cap_effective", "thread.tid", "thread.vtid", "user.loginuid", "user.uid",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """One event: when, whose, what the event table calls it, and the values of its fields. A field without a value is not there."""

    ts: int
    tid: int
    type: str
    fields: dict[str, Any]

    @property
    def key(self) -> tuple[int, int]:
        return self.ts, self.tid


def file(name: str) -> Path:
    return DATA / f"{name}.answers.json.xz"


def capture(name: str) -> Path:
    return DATA / f"{name}.scap"


@cache
def answers(name: str) -> tuple[Answer, ...]:
    """All events of a capture, in its order."""
    data = json.loads(lzma.decompress(file(name).read_bytes()))
    columns = [data["values"][field] for field in data["fields"]]
    return tuple(
        Answer(ts, tid, kind, {field: value for field, value in zip(data["fields"], row, strict=True) if value is not None})
        for ts, tid, kind, row in zip(data["ts"], data["tid"], data["type"], zip(*columns, strict=True), strict=True)
    )


def make(name: str) -> None:
    """Column by column: that packs to half of what rows do."""
    with gzip.open(SHARED / f"{name}.expected.jsonl.gz", "rt") as lines:
        events = [json.loads(line) for line in lines]
    data = {key: [event[key] for event in events] for key in ("ts", "tid", "type")}
    values = {field: [event["fields"].get(field) for event in events] for field in FIELDS}
    text = json.dumps({**data, "fields": FIELDS, "values": values}, separators=(",", ":"))
    file(name).write_bytes(lzma.compress(text.encode(), preset=9))
    print(f"{file(name).name}: {len(events)} events, {file(name).stat().st_size} bytes")


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    for each in CAPTURES:
        make(each)
