"""Text from a zone made safe to print, as libs 0.25.4 does it (userspace/libsinsp/utils.h, sanitize_string).

U+FFFD takes the place of each control byte (below 0x20, NUL too), DEL, C1 control (U+0080 to U+009F), non-character (U+FDD0 to
U+FDEF and the last two code points of each plane), and of each maximal part of a broken UTF-8 sequence (Unicode Standard 3.9).
"""

from __future__ import annotations

import re
from typing import Final

from mypy_extensions import i64

REPLACEMENT: Final = b"\xef\xbf\xbd"  # U+FFFD

# Bytes that are not printable ASCII: a text without any is safe as it is, which nearly all are.
_SUSPECT: Final = bytes([byte for byte in range(256) if byte < 0x20 or byte > 0x7E])
# For ASCII: every unprintable byte becomes NUL, which then becomes the replacement
_TO_NUL: Final = bytes([byte if 0x20 <= byte <= 0x7E else 0 for byte in range(256)])

_ENDS_OF_PLANES: Final = "".join([chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17)])
_UNPRINTABLE: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ufdd0-\\ufdef" + _ENDS_OF_PLANES + "]")


def _probe() -> None:
    """Says whether this module runs compiled: compiled functions have no byte code."""


COMPILED: Final = not hasattr(_probe, "__code__")  # a loop over bytes costs 0.6 ns a byte then, and 30 ns interpreted


def is_printable(data: bytes) -> bool:
    """Whether all of ``data`` is printable ASCII, which nearly all texts are."""
    if COMPILED:
        i: i64 = 0
        size: i64 = len(data)
        while i < size:
            byte: i64 = data[i]
            if byte < 0x20 or byte > 0x7E:
                return False
            i += 1
        return True
    return len(data.translate(None, _SUSPECT)) == len(data)


def safe(data: bytes) -> bytes:
    """``data`` as valid UTF-8 that holds nothing unprintable; ``data`` itself if it is so already. Idempotent, linear time."""
    if is_printable(data):
        return data
    if data.isascii():
        return data.translate(_TO_NUL).replace(b"\0", REPLACEMENT)
    text = data.decode("utf-8", "replace")
    if not text.isprintable():  # stricter than our rule (blanks other than U+0020, unassigned code points): the rule decides
        text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    return text.encode()
