"""Make the message classes of proto/*.proto anew, or with --check say which are stale (exit 1).

The check compares syntax trees, not text: how the plugin's formatter breaks lines differs between its versions.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

# proto file -> (path of the package in the plugin's output, the module that it becomes)
TARGETS: Final = {
    "control.proto": ("protect/control/v1", "edera_falcod/edera/proto/control.py"),
    "ctl.proto": ("edera_falcod/ctl/v1", "edera_falcod/ops/proto/ctl.py"),
}
HEADER: Final = "# Made by tools/generate_proto.py from proto/{name}: run `make generate`.\n# ruff: noqa\n# mypy: ignore-errors\n"


def generate(name: str, folder: Path) -> str:
    """The text of the module for ``proto/<name>``. Raises ``CalledProcessError`` when the compiler refuses it."""
    environment = dict(os.environ)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"  # where the plugin is
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", "proto", f"--python_betterproto_out={folder}", f"proto/{name}"],
        cwd=ROOT,
        env=environment,
        check=True,
        stderr=subprocess.DEVNULL if "--verbose" not in sys.argv else None,
    )
    return HEADER.format(name=name) + (folder / TARGETS[name][0] / "__init__.py").read_text()


def same(old: str, new: str) -> bool:
    """Whether two modules say the same, whatever their line breaks."""
    try:
        return ast.dump(ast.parse(old)) == ast.dump(ast.parse(new))
    except SyntaxError:
        return False


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    with tempfile.TemporaryDirectory() as temporary:
        for name, (_, target) in TARGETS.items():
            folder = Path(temporary) / name
            folder.mkdir()
            path = ROOT / target
            try:
                new = generate(name, folder)
            except subprocess.CalledProcessError:
                print(f"generate_proto: the compiler refuses proto/{name}; run with --verbose to see why", file=sys.stderr)
                return 1
            if path.exists() and same(path.read_text(), new):
                continue
            stale.append(target)
            if not check:
                path.write_text(new)
                print(f"generate_proto: wrote {target}")
    if check and stale:
        print(f"generate_proto: stale: {', '.join(stale)}; run: make generate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
