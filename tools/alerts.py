"""The same alerts: retargeted rules over the daemon's events against the alerts that Falco gave on the captures themselves.

    tools/alerts.py SHARED [NAME...]

SHARED: the folder with rules/ and captures/. For each capture NAME twice: a zone without workload against NAME.alerts.jsonl, and a
zone with one workload that owns all of it against NAME.alerts-container.jsonl. The rules are retargeted and expanded by our rules
room and evaluated by the real libsinsp over what the shim serves; an alert is right when rule, time and every output field are the
same, as printed. Captures of upstream's with events of old versions (real_*) are left out unless named, for no zone sends such events
(docs/differences.md), and alerts of rules that are not carried over. Prints a line for each capture and the differences; exits 1 when
there are any.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edera_falcod.rules.expand import Expansion  # noqa: E402
from edera_falcod.rules.retarget import Retarget  # noqa: E402
from edera_falcod.rules.ruleset import read  # noqa: E402
from tests.sinsp_host import Match, Pair, SinspHost, find_sinsp, why_not  # noqa: E402

PROGRAM: Final = str(Path(sys.executable).parent / "edera-falcod")
FILES: Final = ("falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml")
WORKLOAD: Final = "c0ffee000001"
LEFT_OUT: Final = {"evt.time.iso8601"}  # compared as the event's time

Alert = tuple[str, int, tuple[tuple[str, str], ...]]


def rules(folder: Path) -> list[Pair]:
    """Upstream's rules for zones, as Falco loads them: all files together, later macros over earlier ones."""
    retarget = Retarget()
    expansion = Expansion()
    files = [read(name, (folder / name).read_text(encoding="utf-8")) for name in FILES]
    for name, text in zip(FILES, retarget.files(files), strict=True):
        expansion.add(read(name, text))
    return [Pair(rule.name, rule.condition, rule.output) for rule in expansion.all()]


def printed(value: Any) -> str:
    if value is None:
        return "<NA>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def alert(rule: str, ts: int, fields: dict[str, Any]) -> Alert:
    return rule, ts, tuple(sorted((name, printed(value)) for name, value in fields.items() if name not in LEFT_OUT))


def wanted(path: Path, names: set[str]) -> Counter[Alert]:
    """Falco's alerts of the rules that were carried over."""
    found: Counter[Alert] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["rule"] in names:
            fields = entry["output_fields"]
            found[alert(entry["rule"], int(fields["evt.time.iso8601"]), fields)] += 1
    return found


def served(host: SinspHost, capture: Path, pairs: list[Pair], workload: bool) -> list[Match]:
    """What matches over the whole way: simulated host, daemon, shim, libsinsp."""
    with tempfile.TemporaryDirectory(prefix="edera-falcod-alerts-") as name:
        folder = Path(name)
        edera, falco, ctl = (folder / f"{part}.sock" for part in ("edera", "falco", "ctl"))
        simulation = [PROGRAM, "sim", "--socket", str(edera), "--pace", "max", "--zone", f"zone={capture}"]
        if workload:
            simulation += ["--at", "0s", f"workload zone {WORKLOAD} registry.local/zone privileged=no"]
        settings: dict[str, object] = {
            "edera.socket": edera, "falco.socket": falco, "ctl.socket": ctl, "buffer.size": "1GiB",
        }  # fmt: skip
        if workload:
            settings["edera.workloads"] = "zone"
        daemon = [PROGRAM, "run", *(f"--set={key}={value}" for key, value in settings.items())]
        with (folder / "log").open("wb") as log:
            processes = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) for command in (simulation, daemon)]
            try:
                deadline = time.monotonic() + 30
                while not falco.exists() and time.monotonic() < deadline:
                    time.sleep(0.05)
                return host.run(pairs, {"socket": str(falco)}, time=600, first=60, idle=4, fields=True, timeout=900).matches
            finally:
                for process in processes:
                    process.terminate()
                for process in processes:
                    process.wait(60)


def compare(host: SinspHost, captures: Path, name: str, pairs: list[Pair], workload: bool) -> tuple[str, list[str]]:
    """A line for the capture, and the differences."""
    answers = captures / f"{name}.alerts{'-container' if workload else ''}.jsonl"
    want = wanted(answers, {pair.id for pair in pairs})
    have = Counter(alert(match.id, match.ts, match.fields or {}) for match in served(host, captures / f"{name}.scap", pairs, workload))
    missing, extra = want - have, have - want
    lines = [f"  missing {one}" for one in sorted(missing)] + [f"  extra   {one}" for one in sorted(extra)]
    same = sum((want & have).values())
    kind = "workload" if workload else "zone"
    return f"{name:10} {kind:8} {same} of {sum(want.values())} alerts the same, {sum(extra.values())} extra", lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--show", type=int, default=10, help="differences shown for each capture (default 10)")
    args = parser.parse_args()
    host = find_sinsp()
    if host is None:
        print(f"alerts: {why_not()}", file=sys.stderr)
        return 2
    captures = args.shared / "captures"
    names = args.names or sorted(path.stem for path in captures.glob("*.scap") if not path.name.startswith("real_"))
    pairs = rules(args.shared / "rules")
    left_out = sum(path.name.startswith("real_") for path in captures.glob("*.scap")) if not args.names else 0
    print(f"{len(pairs)} rules, {len(names)} captures" + (f"; {left_out} with events of old versions left out" if left_out else ""))
    wrong = 0
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(compare, host, captures, name, pairs, workload) for name in names for workload in (False, True)]
        for run in runs:
            line, differences = run.result()
            print(line, flush=True)
            for difference in differences[: args.show]:
                print(difference[:600])
            wrong += len(differences)
    print(f"alerts: {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
