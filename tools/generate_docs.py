"""Make what is generated of docs/ and examples/ anew, or with --check say what is stale (exit 1)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edera_falcod.ops import configcommand, metrics  # noqa: E402
from edera_falcod.rules.retarget import Retarget  # noqa: E402
from edera_falcod.rules.ruleset import read  # noqa: E402


def zone_rules() -> str:
    """The retargeted form of the hand-written rules."""
    name = "examples/rules/host.yaml"
    return Retarget().file(read(name, (ROOT / name).read_text(encoding="utf-8")))


# file -> what makes its text
FILES: Final[dict[str, Callable[[], str]]] = {
    "docs/metrics.md": metrics.reference,
    "docs/configuration.md": configcommand.reference,
    "examples/config.toml": configcommand.example,
    "examples/rules/host.zones.yaml": zone_rules,
}


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    for name, make in FILES.items():
        path = ROOT / name
        text = make()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text)
            print(f"generate_docs: wrote {name}")
    if check and stale:
        print(f"generate_docs: stale: {', '.join(stale)}; run: make generate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
