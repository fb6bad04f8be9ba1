"""`edera-falcod version`: what this is made of, for bug reports and compatibility."""

from __future__ import annotations

import argparse
import json
import platform
from importlib import metadata
from typing import Any

from .. import __version__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object")


def versions() -> dict[str, Any]:
    from .._pure import compiled
    from ..falco.frames import MAJOR, MINOR
    from ..fields import registry

    hashes = registry.prefix_hashes()
    return {
        "version": __version__,
        "frames": f"{MAJOR}.{MINOR}",
        "fields": len(hashes) - 1,
        "registry": f"{hashes[-1]:016x}",
        "core": "compiled" if compiled() else "interpreted",
        "python": platform.python_version(),
        "grpclib": metadata.version("grpclib"),
        "betterproto": metadata.version("betterproto"),
    }


def run(args: argparse.Namespace) -> int:
    found = versions()
    if getattr(args, "json", False):
        print(json.dumps(found))
        return 0
    print(f"edera-falcod {found['version']} ({found['core']} core)")
    print(f"  frames {found['frames']}, {found['fields']} fields, registry {found['registry']}")
    print(f"  Python {found['python']}, grpclib {found['grpclib']}, betterproto {found['betterproto']}")
    return 0
