"""The figures as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from .baseline import STAGES
from .behaviour import CTL_CALLS, CTL_COMMANDS, FDS, OVERLOAD, THREADS

DOCS: Final = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN: Final = "<!-- figures: made by python -m bench --write-docs -->\n"
END: Final = "<!-- end of figures -->\n"
LABELS: Final = {
    "receive": "receive, many messages to a DATA frame",
    "receive_single": "receive, one message to a frame",
    "decode": "decode",
    "state": "state",
    "fields": "fields",
    "deliver": "ring and batches",
    "whole_way": "whole way, many messages to a DATA frame",
    "whole_way_single": "whole way, one message to a frame",
}


def write_docs(found: dict[str, Any]) -> None:
    """Put the table into docs/performance.md, in place of the last one."""
    page = DOCS.read_text()
    before, rest = page.split(BEGIN)
    DOCS.write_text(f"{before}{BEGIN}{text(found)}\n{END}{rest.split(END)[1]}")


def text(found: dict[str, Any]) -> str:
    """A Markdown table of the stages, then one line for each of the other figures."""
    lines = [
        f"{found['capture']} on {found['machine']['cpu']}, Python {found['machine']['python']}; consumer: {found['consumer']}; "
        f"upb {found['upb']['cpu_us_per_event']} us an event.",
        "",
        "| stage | compiled: us | events/s | x upb | interpreted: us | events/s | x upb |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in STAGES:
        cells = [LABELS[name]]
        for figures in (found[name], found["interpreted"][name]):
            cells += [f"{figures['cpu_us_per_event']:.2f}", f"{figures['events_per_second']:,}", f"{figures['ratio_to_upb']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    if "latency_ms" in found:
        lines += behaviour(found)
    return "\n".join(lines)


def behaviour(found: dict[str, Any]) -> list[str]:
    lines = ["", "| events/s | p50 ms | p90 | p99 | p99.9 | longest | CPU % |", "|---|---|---|---|---|---|---|"]
    for rate, row in found["latency_ms"].items():
        lines.append(
            f"| {int(rate):,} | "
            + " | ".join(f"{row[name]:.2f}" for name in ("p50", "p90", "p99", "p99.9", "max"))
            + f" | {row['cpu_percent']} |"
        )
    lines += ["", "| zones | us an event | MiB quiet | MiB busy |", "|---|---|---|---|"]
    for zones, row in found["zones"].items():
        lines.append(f"| {zones} | {row['cpu_us_per_event']:.2f} | {row['quiet_kib'] / 1024:.1f} | {row['busy_kib'] / 1024:.1f} |")
    lines += ["", "| threads of a zone | files | us an event | MiB quiet |", "|---|---|---|---|"]
    for kind in ("threads", "fds"):
        for number, row in found[kind].items():
            threads, files = (number, "0") if kind == "threads" else (str(THREADS[-1]), number)
            lines.append(f"| {threads} | {files} | {row['cpu_us_per_event']:.2f} | {row['quiet_kib'] / 1024:.1f} |")
    idle, over, large, memory = found["idle"], found["overload"], found["snapshot"], found["memory_bytes"]
    busy = found["ctl"]
    lines += [
        "",
        f"Memory: {memory['zone']:,} bytes a zone (with the capture's threads), {memory['thread']:,} a thread, {memory['fd']:,} a file.",
        "",
        f"{idle['zones']} quiet zones: {idle['cpu_percent']} % of a core.",
        "",
        f"{OVERLOAD} times what the consumer takes ({over['sent']:,} events sent, {over['taken']:,} taken, a buffer of "
        f"{over['buffer_mib']} MiB): at most {over['second_third_mib']} MiB of memory in the second third of the time, "
        f"{over['last_third_mib']} MiB in the last.",
        "",
        f"A snapshot of {large['snapshot_mib']} MiB, {large['threads']:,} threads with {FDS} files each, imported twice: "
        f"{large['seconds']} s; the longest that others waited for their turn: {large['longest_cpu_ms']} ms of CPU time, "
        f"{large['longest_ms']} ms by the clock.",
        "",
        f"ctl status while {busy['zones']} zones send as fast as they can ({busy['load_percent']} % of a core), by the clock: the answer "
        f"comes after {busy['answer_p50_ms']} ms (the longest of {CTL_CALLS}: {busy['answer_max_ms']}), the whole command, with Python's "
        f"start and imports, takes {busy['command_p50_ms']} ms (the longest of {CTL_COMMANDS}: {busy['command_max_ms']}).",
    ]
    return lines
