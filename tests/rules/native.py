"""Conditions as the real libsinsp understands them in its own fields, over a capture: what they mean before they are retargeted.

The packaged libsinsp is older than our captures: it refuses events with parameters that were appended since. They are cut off here,
which changes what those parameters say and nothing else.
"""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.sinsp_host import Pair, Run, SinspError, SinspHost, collect
from tests.support.captures import rewritten

COUNTED = (0x216, 0x217)  # event blocks whose header has the number of parameters, lengths of 16 bits
FLAGGED = 0x217


def parameter_counts(host: SinspHost) -> list[int]:
    """How many parameters the packaged libsinsp knows of each event type."""
    done = subprocess.run([str(host.binary), "--event-table"], capture_output=True, check=True, timeout=60)
    counts: list[int] = json.loads(done.stdout)["parameters"]
    return counts


def trimmed(capture: Path, counts: Sequence[int]) -> bytes:
    """The capture without the parameters beyond ``counts``, and without the events that are not in it."""

    def change(kind: int, data: bytes) -> bytes | None:
        assert kind in COUNTED, hex(kind)
        return _event(data, 6 if kind == FLAGGED else 2, counts)

    return rewritten(capture, change)


def _event(data: bytes, at: int, counts: Sequence[int]) -> bytes | None:
    ts, tid, _, code, count = struct.unpack_from("<QqIHI", data, at)
    if code >= len(counts):
        return None
    if count <= counts[code]:
        return data
    start = at + 26
    lengths = struct.unpack_from(f"<{count}H", data, start)
    kept = lengths[: counts[code]]
    first = start + 2 * count
    params = data[first : first + sum(kept)]
    size = 26 + 2 * len(kept) + len(params)
    event = struct.pack(f"<QqIHI{len(kept)}H", ts, tid, size, code, len(kept), *kept) + params
    padding = -(at + len(event)) % 4
    return data[:at] + event + bytes(padding)


def run_native(host: SinspHost, capture: Path, pairs: Sequence[Pair], timeout: float = 300.0, compile_only: bool = False) -> Run:
    """Which of the capture's events each pair matches. Raises SinspError."""
    listing = capture.with_suffix(".pairs.jsonl")
    listing.write_text("".join(json.dumps({"id": p.id, "condition": p.condition, "output": p.output}) + "\n" for p in pairs))
    command = [str(host.binary), "--capture", str(capture), "--pairs", str(listing)]
    if compile_only:
        command.append("--compile-only")
    done = subprocess.run(command, capture_output=True, timeout=timeout)
    if done.returncode != 0:
        raise SinspError(f"the host ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    run = Run()
    for line in done.stdout.splitlines():
        collect(run, json.loads(line.decode(errors="replace")))
    return run
