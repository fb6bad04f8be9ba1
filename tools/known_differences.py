"""Take the differences of docs/differences.md out of answers and served events, so that what is left has to be equal.

    tools/known_differences.py < events.jsonl > trimmed.jsonl

Works the same on both sides. Each rule below is a row of that page; none looks at a value to decide whether it is right.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

# The oracle ran with HOST_ROOT set, and libsinsp puts that in front of the names of pidfds ("What libsinsp reads from the machine").
HOST_ROOT: Final = "/tmp/zone/emptyroot/proc/"

# evt.abspath of a relative path puts the directory's fd in the place of the event's: fd.* and fs.path.* evaluated after it speak of the
# directory. It also adds a slash to the name of a directory that has one.
ABSPATH: Final = ("openat", "openat2")
ABSPATH_FIELDS: Final = ("fd.", "fs.path.name")
AT_FDCWD: Final = -100


def trim(event: dict[str, Any]) -> None:
    """Remove from one event what is known to differ."""
    fields = event["fields"]
    kind = event["type"]
    path = fields.get("evt.rawarg.name", "/")
    if kind in ABSPATH and int(fields.get("evt.rawarg.dirfd", AT_FDCWD)) != AT_FDCWD and not str(path).startswith("/"):
        for name in [name for name in fields if name.startswith(ABSPATH_FIELDS) and not name.startswith("fd.types")]:
            del fields[name]
    for name in ("evt.abspath", "evt.abspath.src", "evt.abspath.dst"):
        if str(fields.get(name, "")).startswith("//"):
            fields[name] = fields[name][1:]
    if kind == "ptrace":  # the length is that of an earlier buffer
        for name in [name for name in fields if name.startswith("evt.buffer")]:
            del fields[name]


def main() -> None:
    for line in sys.stdin:
        event = json.loads(line.replace(HOST_ROOT, "/proc/"))
        trim(event)
        print(json.dumps(event))


if __name__ == "__main__":
    main()
