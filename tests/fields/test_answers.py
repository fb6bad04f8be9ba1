"""The core against libsinsp's own answers: every value of a sample of the events of four captures.

All captures and all events: tools/parity.sh. What may differ: docs/differences.md.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import lines

from .answers import DATA, LEFT_OUT, SAMPLES, answers, printed

# evt.abspath replaces the event's file by its directory in libsinsp: docs/differences.md, evt.*
ABSPATH = frozenset(("openat", "openat2"))


def wrong(name: str) -> tuple[int, list[str]]:
    """How many values were compared, and those that are not libsinsp's."""
    expected = answers()[name]
    compared = 0
    found: list[str] = []
    for line in lines(DATA / f"{name}.scap", only=frozenset(expected)):
        want: dict[str, Any] = expected[line["num"]]
        got = {form: printed(value) for form, value in line["fields"].items() if form not in LEFT_OUT}
        if "proc.ppid.duration" not in want:
            got.pop("proc.ppid.duration", None)
        for form in sorted(want.keys() | got.keys()):
            if line["type"] in ABSPATH and form.startswith(("fd.", "fs.")) and not str(want.get("evt.arg.dirfd", "AT_")).startswith("AT_"):
                continue
            compared += 1
            if want.get(form) != got.get(form):
                found.append(f"{line['num']} {line['type']} {form}: want {want.get(form)!r} got {got.get(form)!r}")
    return compared, found


@pytest.mark.parametrize("name", SAMPLES)
def test_values_are_libsinsps(name: str) -> None:
    compared, found = wrong(name)
    assert compared > 25_000
    assert found == []
