"""Branch coverage of the core (scap, state, fields): each module by its own tests alone.

    python tools/branches.py [ROOM | ROOM/MODULE ...]

Tests that draw their input are left out, so that the outcome is the same each time. What is loaded when a module is imported counts for
all. Exit code 1 if a line or a branch of a module is not reached by its own tests.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import coverage
import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
ROOMS: Final = ("scap", "state", "fields")
# Where a module's tests are, if not in test_MODULE.py of its room
TESTS: Final = {
    "scap/blocks": ("capture",), "scap/errors": ("wire", "capture"), "scap/event": ("wire",), "scap/protobuf": ("wire",),
    "scap/schema": ("tables",), "scap/snapshot": ("wire",), "scap/threads": ("wire",),
    "state/block": ("fields/blocks",), "state/export": ("roundtrip",), "state/fd": ("files", "sockets"), "state/interfaces": ("sockinfo",),
    "state/messages": ("sockets",), "state/params": ("zone",), "state/preparation": ("zone",), "state/registry": ("zone",),
    "state/texts": ("snapshot", "process"), "state/limits": ("zone",), "state/thread": ("process",), "state/users": ("identity",),
    "fields/catalog_evt": ("catalog",), "fields/catalog_fd": ("catalog",), "fields/catalog_proc": ("catalog",),
    "fields/catalog_zone": ("catalog",), "fields/declare": ("catalog",), "fields/names": ("catalog",), "fields/priority": ("catalog",),
    "fields/registry": ("catalog",), "fields/slots": ("catalog",), "fields/spec": ("catalog",), "fields/markdown": ("catalog",),
    "fields/record": ("record", "repeats"), "fields/evtargs": ("evtargs", "repeats"),
    "fields/forms": ("reader",), "fields/layout": ("reader",), "fields/fdlist": ("fd",),
    "fields/fdname": ("fd",), "fields/proc": ("blocks",), "fields/user": ("blocks",), "fields/views": ("reader",),
}  # fmt: skip


class Contexts:
    """A pytest plugin that tells coverage which test module runs."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._measured.switch_context(item.nodeid.partition("::")[0])
        return (yield)


def test_module(room: str, name: str) -> str:
    """``name``: of a test module of the room, or ROOM/NAME."""
    room, _, name = name.rpartition("/") if "/" in name else (room, "", name)
    return f"tests/{room}/test_{name}.py"


def modules(chosen: list[str]) -> dict[str, list[str]]:
    """Module -> its test modules, both as paths."""
    found: dict[str, list[str]] = {}
    for room in ROOMS:
        for path in sorted((ROOT / "edera_falcod" / room).glob("*.py")):
            name = f"{room}/{path.stem}"
            if path.stem != "__init__" and (not chosen or name in chosen or room in chosen):
                found[f"edera_falcod/{name}.py"] = [test_module(room, one) for one in TESTS.get(name, (path.stem,))]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chosen", nargs="*", metavar="ROOM/MODULE")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    wanted = modules(options.chosen)
    tests = sorted({test for own in wanted.values() for test in own})
    with tempfile.TemporaryDirectory() as folder:
        measured = coverage.Coverage(data_file=f"{folder}/data", branch=True, source=[f"edera_falcod/{room}" for room in ROOMS])
        measured.start()
        code = pytest.main(["-q", "-p", "no:cacheprovider", "-m", "not hypothesis", *tests], plugins=[Contexts(measured)])
        measured.stop()
        if code != pytest.ExitCode.OK:
            return int(code)
        lacking = 0
        branches = 0
        for path, own in wanted.items():
            report = f"{folder}/report"
            measured.json_report(morfs=[path], contexts=["^$", *[f"^{re.escape(test)}$" for test in own]], outfile=report)
            (told,) = json.loads(Path(report).read_text())["files"].values()
            branches += told["summary"]["num_branches"]
            lines = set(told["missing_lines"])
            branches_left = [(start, end) for start, end in told["missing_branches"] if start not in lines and end not in lines]
            arcs = [f"{start}->{'exit' if end < 0 else end}" for start, end in branches_left]
            if lines or arcs:
                lacking += 1
                print(f"{path}: not reached by {', '.join(own)}: {', '.join([*map(str, sorted(lines)), *arcs])}")
    print(f"{len(wanted)} modules with {branches} branches, {len(wanted) - lacking} reached whole by their own tests")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
