"""Retarget Falco's rules files and compile every rule in the real libsinsp: tools/rules_check.py FOLDER.

Prints a table of what was carried over and what the compiler said; exits 1 when a carried rule does not compile."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edera_falcod.rules.expand import Expansion
from edera_falcod.rules.retarget import Retarget
from edera_falcod.rules.ruleset import RulesError, read
from tests.sinsp_host import Pair, find_sinsp, why_not


def main() -> int:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print("usage: make rules-check RULES_DIR=FOLDER (a folder of Falco rules files, *.yaml)", file=sys.stderr)
        return 2
    host = find_sinsp()
    if host is None:
        print(f"rules-check: {why_not()}", file=sys.stderr)
        return 2
    failed = 0
    total = carried = 0
    for path in sorted(Path(sys.argv[1]).glob("*.y*ml")):
        # Each file stands for itself, as upstream's do: each brings its own macros and lists.
        retarget = Retarget()
        try:
            text = retarget.file(read(str(path), path.read_text(encoding="utf-8")))
            again = Retarget()
            if again.file(read(path.name, text)) != text:
                print(f"{path.name}: retargeting a second time changes it")
                failed += 1
            expansion = Expansion()
            expansion.add(read(path.name, text))
            rules = expansion.all()
        except RulesError as error:
            print(f"rules-check: {error}", file=sys.stderr)
            return 2
        results = host.compile_pairs([Pair(rule.name, rule.condition, rule.output) for rule in rules])
        report = retarget.report
        print(f"\n{path.name}: {len(report.carried)} of {len(report.carried) + len(report.left_out)} rules carried over")
        for rule, result in zip(rules, results, strict=True):
            total += 1
            carried += result.ok
            print(f"  {'ok  ' if result.ok else 'FAIL'}  {rule.name}" + ("" if result.ok else f": {result.where}: {result.error}"))
            failed += not result.ok
        for change in report.left_out:
            print(f"  left out  {change.entry.removeprefix('rule ')}: {change.reason}")
        total += len(report.left_out)
    print(f"\n{carried} of {total} rules compile in the real libsinsp for source edera_zone")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
