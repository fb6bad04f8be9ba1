"""EDERA_FALCOD_PURE=1: import the core's sources even where compiled modules lie beside them."""

from __future__ import annotations

import os
import sys
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path

ROOT = Path(__file__).parent


def _hook(path: str) -> FileFinder:
    if Path(path) != ROOT and ROOT not in Path(path).parents:
        raise ImportError("not ours")
    return FileFinder(path, (SourceFileLoader, [".py"]))


def install() -> None:
    """Has to run before any module of the core is imported."""
    if os.environ.get("EDERA_FALCOD_PURE") == "1" and _hook not in sys.path_hooks:
        sys.path_hooks.insert(0, _hook)
        for path in [path for path in sys.path_importer_cache if Path(path) == ROOT or ROOT in Path(path).parents]:
            del sys.path_importer_cache[path]


def compiled() -> bool:
    """Does the core run compiled?"""
    from .scap import wire

    return not str(getattr(wire, "__file__", "")).endswith(".py")
