"""Compiles the core with mypyc where EDERA_FALCOD_COMPILE=1 is set; everything else stands in pyproject.toml.

The core (scap, state, fields) and the synchronous parts of edera and falco are compiled in one group: a call from one module to another
then costs as little as one within it.
The same source runs interpreted where no compiled module lies beside it.
"""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import setup

ROOMS = ("scap", "state", "fields")
# Not on the way of an event, and made of what mypyc does not compile well: dataclasses and enums that only describe.
INTERPRETED = {
    "__init__.py", "spec.py", "capture.py", "forms.py", "layout.py", "declare.py", "catalog.py", "catalog_evt.py", "catalog_proc.py",
    "catalog_fd.py", "catalog_zone.py", "registry.py", "markdown.py", "views.py", "reader.py", "recording.py",
}  # fmt: skip
# What of the other rooms is on an event's way; the rest of them is asyncio.
SYNCHRONOUS = (
    "edera/frames.py", "edera/http2.py", "falco/accounting.py", "falco/batch.py", "falco/frames.py", "falco/intake.py", "falco/lines.py",
    "falco/notices.py", "falco/queue.py", "falco/ring.py", "falco/zoneblock.py",
)  # fmt: skip

# No class is marked acyclic (mypyc_attr): its objects have no header of the collector, but when they are freed more than 50 deep they go
# through CPython's trashcan all the same, which writes into that header.

# All in one library, so that calls within it need neither be looked up at run time nor stay calls.
FLAGS = ["-fvisibility=hidden", "-fno-semantic-interposition"]


def modules() -> list[str]:
    package = Path("edera_falcod")
    core = [str(path) for room in ROOMS for path in sorted((package / room).glob("*.py")) if path.name not in INTERPRETED]
    return core + [str(package / name) for name in SYNCHRONOUS]


wanted = os.environ.get("EDERA_FALCOD_COMPILE")
if wanted == "list":  # which modules are compiled, a line each
    print("\n".join(modules()))
elif wanted == "1":
    from mypyc.build import mypycify

    extensions = mypycify([*modules(), "--strict"], opt_level="3", debug_level="0", multi_file=True)
    for extension in extensions:
        extension.extra_compile_args += FLAGS
    setup(ext_modules=extensions)
else:
    setup()
