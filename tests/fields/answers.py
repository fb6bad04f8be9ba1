"""A sample of libsinsp's answers to captures of our own: every value of every n-th event.

``python -m tests.fields.answers`` makes ``tests/data/core.answers.json.xz`` anew from the full answers in ../shared/captures. Values are
as ../shared/tools/parity compares them: what it leaves out is left out here, too.
"""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "tests" / "data"
SHARED = REPOSITORY.parent / "shared" / "captures"
FILE = DATA / "core.answers.json.xz"

SAMPLES = {"procs1": 60, "extra1": 12, "net1": 60, "attack1": 80}

LEFT_OUT = {
    "util.cnt", "fd.cip.name", "fd.sip.name", "fd.lip.name", "fd.rip.name", "proc.exe_ino.ctime_duration_proc_start",
    "proc.exe_ino.ctime_duration_pidns_start",
}  # fmt: skip


def served(fields: dict[str, Any]) -> dict[str, Any]:
    """What has to be served, from what libsinsp extracted: ../shared/README.md."""
    values = {name: value for name, value in fields.items() if name not in LEFT_OUT and not (isinstance(value, dict) and "short" in value)}
    values.pop("evt.buffer", None)
    if "evt.buffer~print" in values:
        values["evt.buffer"] = bytes.fromhex(values.pop("evt.buffer~print")).decode("ascii", "replace")
    if values.get("proc.ppid.duration") == values.get("proc.fdopencount"):
        values.pop("proc.ppid.duration", None)
    return {name: printed(value) for name, value in values.items()}


def printed(value: Any) -> Any:
    """As parity compares: numbers and booleans as text, a fraction as the whole number below it, lists in order."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return sorted([printed(item) for item in value])
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]).decode("utf-8", "replace")
    return str(int(value)) if isinstance(value, float) else str(value)


def answers() -> dict[str, dict[int, dict[str, Any]]]:
    """By capture and number of the event, from 1 on: field form -> value as printed."""
    made: dict[str, dict[int, dict[str, Any]]] = {}
    for name, data in json.loads(lzma.decompress(FILE.read_bytes())).items():
        rows = zip(*data["values"].values(), strict=True)
        made[name] = {
            num: {form: value for form, value in zip(data["values"], row, strict=True) if value is not None}
            for num, row in zip(data["num"], rows, strict=True)
        }
    return made


def make() -> None:
    """Column by column: that packs best."""
    whole: dict[str, Any] = {}
    for name, every in SAMPLES.items():
        numbers: list[int] = []
        events: list[dict[str, Any]] = []
        with gzip.open(SHARED / f"{name}.expected.jsonl.gz", "rt", errors="replace") as lines:
            for place, line in enumerate(lines):
                if place % every == 0:
                    event = json.loads(line)
                    numbers.append(event["num"])
                    events.append(served(event["fields"]))
        forms = sorted({form for event in events for form in event})
        whole[name] = {"num": numbers, "values": {form: [event.get(form) for event in events] for form in forms}}
    FILE.write_bytes(lzma.compress(json.dumps(whole, separators=(",", ":")).encode(), preset=9))
    print(f"{FILE.name}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    make()
