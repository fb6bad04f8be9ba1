"""The ratios that a change must not make worse: bench/baseline.json, made by `python -m bench --short --write-baseline`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parent / "baseline.json"
ALLOWED: Final = 0.75  # of the baseline's speed, in units of upb's: what is slower than this fails
STAGES: Final = ("receive", "receive_single", "decode", "state", "fields", "deliver", "whole_way", "whole_way_single")


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """Name of a figure -> how many times what upb takes."""
    return {
        **{name: found[name]["ratio_to_upb"] for name in STAGES},
        **{f"interpreted.{name}": found["interpreted"][name]["ratio_to_upb"] for name in STAGES},
    }


def write(found: dict[str, Any]) -> None:
    FILE.write_text(json.dumps({"capture": found["capture"], "ratio_to_upb": ratios(found)}, indent=2) + "\n")


def best(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Of two runs the better figure of each stage: what a comparison is made with."""
    return _pick(one, other, slower=False)


def worst(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Of two runs the worse figure of each stage: what a baseline is made of, so that it fails nobody for a machine's bad minute."""
    return _pick(one, other, slower=True)


def _pick(one: dict[str, Any], other: dict[str, Any], *, slower: bool) -> dict[str, Any]:
    for name in STAGES:
        for a, b in ((one, other), (one["interpreted"], other["interpreted"])):
            if (b[name]["ratio_to_upb"] > a[name]["ratio_to_upb"]) is slower:
                a[name] = b[name]
    return one


def compare(found: dict[str, Any]) -> list[str]:
    """What is too slow, in words."""
    known = json.loads(FILE.read_text())
    if known["capture"] != found["capture"]:
        return [f"the baseline was made with the capture {known['capture']}, not {found['capture']}"]
    slower = []
    for name, ratio in ratios(found).items():
        before = known["ratio_to_upb"][name]
        if before / ratio < ALLOWED:
            slower.append(f"{name} takes {ratio} times what upb takes; the baseline is {before} (fails below {ALLOWED:.0%} of its speed)")
    return slower
