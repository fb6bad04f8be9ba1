"""The two builds that are measured: the tree itself, interpreted, and a compiled copy of it that is kept by the hash of its sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final, final

from .corpus import ROOT

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edera-falcod"
KEPT: Final = 3  # compiled copies; one takes about 100 MB


@final
class Build:
    """``name``: interpreted or compiled. ``folder``: has the edera_falcod that is meant, and no other package of ours."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder

    def command(self, module: str, *args: str) -> list[str]:
        return [sys.executable, "-m", module, *args]

    def environment(self) -> dict[str, str]:
        """For a process that runs in ``folder``: it takes edera_falcod from there and bench from here."""
        environment = dict(os.environ, PYTHONPATH=f"{self.folder}:{ROOT}", PYTHONHASHSEED="0")
        environment.pop("EDERA_FALCOD_PURE", None)
        if self.name == "interpreted":
            environment["EDERA_FALCOD_PURE"] = "1"
        return environment


def interpreted() -> Build:
    return Build("interpreted", ROOT)


def source_hash() -> str:
    """Of everything that the compiled modules depend on."""
    digest = hashlib.sha256(f"{sys.version} mypy {version('mypy')} librt {version('librt')}".encode())
    environment = dict(os.environ, EDERA_FALCOD_COMPILE="list")
    modules = subprocess.run([sys.executable, "setup.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    for name in ["setup.py", *modules.split()]:
        digest.update(f"\0{name}\0".encode())
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


def refresh(folder: Path) -> None:
    """Make what is not compiled in the copy what it is in the tree."""
    for path in (ROOT / "edera_falcod").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = folder / path.relative_to(ROOT)
            if not copy.exists() or copy.read_bytes() != path.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)
    for copy in (folder / "edera_falcod").rglob("*.py"):
        if not (ROOT / copy.relative_to(folder)).exists():
            copy.unlink()


def compiled() -> Build:
    """Built by tools/compiled.sh if it is not there yet, which takes two minutes. Raises RuntimeError."""
    folder = CACHE / f"compiled-{source_hash()}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        making = CACHE / f"making-{os.getpid()}"
        try:
            environment = dict(os.environ, PYTHON=sys.executable)
            done = subprocess.run([str(ROOT / "tools" / "compiled.sh"), str(making)], cwd=ROOT, env=environment, stdout=sys.stderr)
            if done.returncode != 0:
                raise RuntimeError("the compiled core could not be built")
            for name in ("bench", "tests", "build"):  # bench comes from the tree; the others are not needed
                shutil.rmtree(making / name, ignore_errors=True)
            making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    refresh(folder)
    os.utime(folder)
    for old in sorted(CACHE.glob("compiled-*"), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return Build("compiled", folder)


if __name__ == "__main__":
    print(compiled().folder)
