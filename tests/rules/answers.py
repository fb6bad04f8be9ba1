"""libsinsp's answers for the fields that the corpus names and that tests/sinsp/answers.py does not have.

``python -m tests.rules.answers`` makes ``tests/data/NAME.corpus.json.xz`` anew from the full answers in ../shared/captures.
"""

from __future__ import annotations

import gzip
import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

from tests.sinsp import answers as base

from .oracle import ANCESTORS, Rules

CORPUS = Path(__file__).with_name("corpus")
FILES = tuple(sorted(CORPUS.glob("[0-9]-*.yaml")))
SERVED_ELSEWHERE = ("container.", "k8s.", "ka.", "evt.num", "fd.ip", "fd.net", "fd.port", "evt.buffer")
# libsinsp 0.25.4 sets none of the durations for threads that a snapshot brought.
UNDEFINED = frozenset({"proc.exe_ino.ctime_duration_proc_start"})


def wanted() -> list[str]:
    """Fields of the corpus that libsinsp has answers for."""
    rules = Rules(*FILES).rules.values()
    forms = {form for rule in rules for form, _ in rule.used} | {form for rule in rules for form in rule.printed}
    forms |= {form for form in ANCESTORS if any(one.startswith(form) for one in forms)} | {"fd.typechar", "fd.name"}
    forms |= {name for rule in rules for name in rule.inside}
    return sorted(form for form in forms if form not in base.FIELDS and not form.startswith(SERVED_ELSEWHERE) and form not in UNDEFINED)


def file(name: str) -> Path:
    return base.DATA / f"{name}.corpus.json.xz"


@cache
def answers(name: str) -> tuple[base.Answer, ...]:
    """All events of a capture with both files' fields."""
    data = json.loads(lzma.decompress(file(name).read_bytes()))
    rows = zip(*data["values"], strict=True)
    found = []
    for answer, row in zip(base.answers(name), rows, strict=True):
        more: dict[str, Any] = {field: value for field, value in zip(data["fields"], row, strict=True) if value is not None}
        found.append(base.Answer(answer.ts, answer.tid, answer.type, {**answer.fields, **more}))
    return tuple(found)


def make(name: str) -> None:
    with gzip.open(base.SHARED / f"{name}.expected.jsonl.gz", "rt") as lines:
        events = [json.loads(line)["fields"] for line in lines]
    fields = wanted()
    text = json.dumps({"fields": fields, "values": [[event.get(field) for event in events] for field in fields]}, separators=(",", ":"))
    file(name).write_bytes(lzma.compress(text.encode(), preset=9))
    print(f"{file(name).name}: {len(fields)} fields, {file(name).stat().st_size} bytes")


if __name__ == "__main__":
    for each in base.CAPTURES:
        make(each)
