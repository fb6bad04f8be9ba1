"""What asyncio's debug mode adds to what a program says."""

from __future__ import annotations

import os
import re
from typing import Final

# A step of the loop that took long, as on a busy machine; nothing else
_SLOW: Final = re.compile(r"^.*\bExecuting <.*> took \d+\.\d+ seconds.*\n", re.MULTILINE)


def said(text: str) -> str:
    """What a program has said, without asyncio's remarks on slow steps, where it was asked to make them (PYTHONASYNCIODEBUG)."""
    return _SLOW.sub("", text) if os.environ.get("PYTHONASYNCIODEBUG") else text
