"""Runs the fuzzers, one after the other or several at a time, each for so many seconds, and prints a table.

    python tools/fuzz.py [--seconds N] [--seed N] [--jobs N] [--corpus FOLDER] [NAME ...]

NAME: a module of tests/fuzz, or shim-NAME for tests/shim/fuzz_NAME.c; all if none is given. What they find interesting is kept in FOLDER
(default: .fuzz) for the next time. Exit code: 1 if an invariant was broken; the input is then in FOLDER/NAME/crash-*, and belongs into
tests/fuzz/found/ once the fault is repaired.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.fuzz import NAMES  # noqa: E402
from tests.shim import fuzzers  # noqa: E402
from tests.shim.conftest import ENVIRONMENT  # noqa: E402

SHIM = "shim-"


def run(name: str, options: argparse.Namespace, folder: Path) -> bool:
    """One fuzzer; whether its invariant held."""
    corpus = options.corpus / name
    corpus.mkdir(parents=True, exist_ok=True)
    if name.startswith(SHIM):
        command = fuzzers.command(fuzzers.build(name.removeprefix(SHIM), folder), options.seconds, options.seed, corpus)
    else:
        command = [sys.executable, "-m", "tests.fuzz.engine", name, str(options.seconds), str(options.seed), str(corpus)]
    started = time.monotonic()
    with (options.corpus / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env=os.environ | ENVIRONMENT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    text = (options.corpus / f"{name}.log").read_text(errors="replace")
    inputs, kept = fuzzers.figures(text) or (0, 0)
    good = process.returncode == 0
    cpu = used.ru_utime + used.ru_stime
    print(f"{name:<16} {inputs:>11,} inputs {kept:>6,} kept {time.monotonic() - started:>7.0f} s {cpu:>7.0f} s of CPU  "
          f"{'held' if good else f'BROKEN, see {corpus}/ and {options.corpus}/{name}.log'}", flush=True)  # fmt: skip
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seconds", type=int, default=60, help="of each fuzzer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="fuzzers at a time")
    parser.add_argument("--corpus", type=Path, default=ROOT / ".fuzz", metavar="FOLDER")
    options = parser.parse_args()
    options.corpus = options.corpus.resolve()
    known = [*NAMES, *[SHIM + name for name in fuzzers.CORPORA]]
    if unknown := set(options.names) - set(known):
        parser.error(f"no such fuzzer: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        held = list(pool.map(lambda name: run(name, options, Path(folder)), options.names or known))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
