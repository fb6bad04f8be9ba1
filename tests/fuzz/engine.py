"""Runs one fuzzer under atheris, that is libFuzzer with the coverage of our Python code.

    python -m tests.fuzz.engine NAME SECONDS SEED FOLDER

FOLDER holds the corpus, which grows; an input that breaks the invariant is left in it as crash-*. The last lines are libFuzzer's figures.
"""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

import structlog

LONGEST = 64 << 10  # bytes of an input
SLOW = 120  # seconds of one input that count as a failure, by the clock: on a busy machine milliseconds become seconds
MEMORY = 1500  # MB


def main() -> None:
    import atheris

    name, seconds, seed, folder = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with atheris.instrument_imports(include=["edera_falcod"]):
        fuzzer = importlib.import_module(f"tests.fuzz.{name}")
    for number, data in enumerate(fuzzer.corpus()):
        (Path(folder) / f"given-{number}").write_bytes(data)
    arguments = [
        f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST}", f"-timeout={SLOW}", f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={folder}/", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup([name, *arguments, folder], fuzzer.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
