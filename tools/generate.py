"""Make every generated file anew, or with --check say which are stale (exit 1)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

GENERATORS = (
    "generate_tables.py", "generate_proto.py", "generate_fields.py", "generate_syscalls.py", "generate_docs.py", "generate_lifecycle.py",
)  # fmt: skip


def main() -> int:
    here = Path(__file__).resolve().parent
    failed = [name for name in GENERATORS if subprocess.run([sys.executable, here / name, *sys.argv[1:]], cwd=here.parent).returncode]
    if failed:
        print(f"generate: failed or stale: {', '.join(failed)}; run: make generate", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
