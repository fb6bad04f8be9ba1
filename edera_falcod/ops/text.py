"""How `ctl` writes: counts and ages in few characters, tables within 80 columns, colour on a terminal only, fields for scripts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

WIDTH: Final = 80
_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}


class FieldError(Exception):
    """-o names a field that there is not; the text says which there are."""


def coloured() -> bool:
    """Whether standard output is a terminal whose user has not said no (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, on: bool) -> str:
    """``text``, already as wide as it has to be, in a colour of ``_COLOURS``."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if on and colour else text


def ago(ns: int, now: float) -> str:
    """How long ago, in at most 6 characters."""
    return lasting(max(0, int(now - ns / 1e9))) if ns else "-"


def lasting(seconds: int) -> str:
    """A time, in at most 6 characters up to three years."""
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600:02}h"


def count(value: int) -> str:
    """A count in at most 6 characters."""
    for unit in ("", "k", "M", "G"):
        if value < 10_000 or unit == "G":
            return f"{value:.0f}{unit}"
        value = value // 1000
    return str(value)


def size(value: int) -> str:
    """Bytes in at most 8 characters."""
    number = float(value)
    for unit in ("B", "KiB", "MiB"):
        if number < 1000:
            return f"{number:.0f}{unit}" if unit == "B" or number >= 100 else f"{number:.1f}{unit}"
        number /= 1024
    return f"{number:.1f}GiB"


def safe(text: str) -> str:
    """What comes from a zone must not steer a terminal."""
    return text if text.isprintable() else "".join([c if c.isprintable() else "?" for c in text])


def cut(text: str, width: int) -> str:
    text = safe(text)
    return text if len(text) <= width else text[: width - 1] + "~"


def wrapped(head: str, text: str, indented: int = -1) -> list[str]:
    """``head`` and then ``text``, in lines of at most WIDTH columns; what follows the first is indented as far as ``head`` goes, or by
    ``indented`` blanks."""
    import textwrap

    indent = " " * (len(head) if indented < 0 else indented)
    return textwrap.wrap(safe(text), WIDTH, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False) or [head.rstrip()]


def _reach(row: Any, path: str) -> Any:
    """The value at a dotted path; KeyError if there is none."""
    for part in path.split("."):
        if not isinstance(row, dict):
            raise KeyError(path)
        row = row[part]
    return row


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ",".join([f"{key}={_plain(one)}" for key, one in value.items()])
    if isinstance(value, list):
        return ",".join([_plain(one) for one in value])
    return safe(str(value))


def select(rows: Iterable[dict[str, Any]], fields: str, known: Sequence[str]) -> list[str]:
    """One line for each row, the fields named in ``fields`` (comma-separated, dots lead into objects) separated by tabs.

    ``known``: the fields that every row has. A counter that a row has not counted yet is 0. Raises FieldError."""
    names = [name.strip() for name in fields.split(",") if name.strip()]
    bad = [name for name in names if name.partition(".")[0] not in known]
    if bad or not names:
        raise FieldError(f"-o {fields}: {f'there is no field {bad[0]}' if bad else 'names no field'}; there are {', '.join(known)}")
    lines: list[str] = []
    for row in rows:
        values: list[str] = []
        for name in names:
            try:
                values.append(_plain(_reach(row, name)))
            except KeyError:
                values.append("0")
        lines.append("\t".join(values))
    return lines
