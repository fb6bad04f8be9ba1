"""The figures as text."""

from __future__ import annotations

from typing import Any

from .baseline import STAGES

LABELS = {
    "receive": "receive, many messages to a DATA frame",
    "receive_single": "receive, one message to a frame",
    "decode": "decode",
    "state": "state",
    "fields": "fields",
    "deliver": "ring and batches",
    "whole_way": "whole way, many messages to a DATA frame",
    "whole_way_single": "whole way, one message to a frame",
}


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
    return "\n".join(lines)
