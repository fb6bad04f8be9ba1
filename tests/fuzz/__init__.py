"""Fuzzers of what takes bytes from others. A module opens with its invariant; ``corpus`` is what it begins with, ``one`` takes an input."""

from typing import Final

NAMES: Final = (
    "wire", "snapshot", "params", "state", "crowd", "capture", "frames", "control", "consumer", "ctl", "config", "rules", "handover",
    "recording", "http2", "redact",
)  # fmt: skip
