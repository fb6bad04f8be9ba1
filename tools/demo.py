"""make demo: the whole way of an event on one screen, with no Edera and no Falco.

A simulated Edera host plays real captures as zones; the daemon finds the zones and follows them; the plugin, loaded into a real
libsinsp as Falco loads it, evaluates examples/rules/zones.yaml. Half a minute in, a zone's CPUs change and another zone is removed.
The last lines hold what the host sent against what the daemon counted and what the rules saw. Ctrl-C ends it at any time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edera_falcod.rules.expand import Expansion  # noqa: E402
from edera_falcod.rules.ruleset import read  # noqa: E402
from tests.sinsp_host import PLUGIN, LiveHost, Pair, find_sinsp, why_not  # noqa: E402

PROGRAM: Final = str(Path(sys.executable).parent / "edera-falcod")
RULES: Final = ROOT / "examples" / "rules" / "zones.yaml"
DATA: Final = ROOT / "tests" / "data"
SHOWN: Final = 4  # matches of one rule in one zone that are printed; all are counted
EVERY: Final = 700  # one of so many events is printed
SECONDS: Final = 36
EVENT_FORMAT: Final = "%edera.zone.name %evt.type %proc.name(%proc.pid) %fd.name %evt.res"

_COLOURS: Final = {"zones": "36", "daemon": "35", "event": "90", "MATCH": "1;33", "demo": "1;32"}
_lock = threading.Lock()


def say(who: str, text: str) -> None:
    """One line on the screen."""
    label = f"{who:>7}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        label = f"\033[{_COLOURS.get(who, '0')}m{label}\033[0m"
    with _lock:
        print(f"{label} | {text[:400]}", flush=True)


class Part:
    """A program of the demo, whose lines go through ``show`` on a thread of its own."""

    def __init__(self, command: list[str], show: Any, output: str = "stdout") -> None:
        # A session of its own: Ctrl-C is for us, and we end the parts in order.
        self.process: subprocess.Popen[str] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, text=True, errors="replace", cwd=ROOT,
            stdout=subprocess.PIPE if output == "stdout" else subprocess.DEVNULL,
            stderr=subprocess.PIPE if output == "stderr" else subprocess.DEVNULL,
        )  # fmt: skip
        stream = self.process.stdout if output == "stdout" else self.process.stderr
        assert stream is not None
        self._stream = stream
        self._thread = threading.Thread(target=self._follow, args=(show,), daemon=True)
        self._thread.start()

    def _follow(self, show: Any) -> None:
        for line in self._stream:
            show(line.rstrip("\n"))

    def end(self, seconds: float = 10.0) -> int:
        """Ask it to end and wait; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._thread.join(2)
        self._stream.close()
        return self.process.returncode


class Demo:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.edera = folder / "edera.sock"
        self.falco = folder / "falco.sock"
        self.ctl = folder / "ctl.sock"
        self.sent: dict[str, str] = {}
        self.matches: Counter[tuple[str, str]] = Counter()
        self.seen = 0
        self.summary: dict[str, Any] = {}
        self.parts: list[Part] = []
        self.host: LiveHost | None = None
        self._host_thread: threading.Thread | None = None

    # ---- what goes on the screen

    def zones_line(self, line: str) -> None:
        text = line.removeprefix("edera-falcod sim: ")
        if "events sent" in text:
            self.sent[text.split()[1].rstrip(":")] = text
        say("zones", text)

    def daemon_line(self, line: str) -> None:
        say("daemon", line)

    def event_line(self, line: str) -> None:
        if self.seen % EVERY == 0:
            say("event", line)
        self.seen += 1

    def host_lines(self) -> None:
        assert self.host is not None
        for message in self.host:
            if message["type"] == "match":
                rule, zone = message["id"], message["output"].rpartition("zone=")[2].rstrip(")")
                self.matches[rule, zone] += 1
                if self.matches[rule, zone] <= SHOWN:
                    say("MATCH", f"{rule}: {message['output']}")
                if self.matches[rule, zone] == SHOWN:
                    say("MATCH", f"{rule}: further matches in {zone} are counted")
            elif message["type"] == "pair" and not message["ok"]:
                say("demo", f"rule {message['id']} does not compile: {message['error']}")
            elif message["type"] == "summary":
                self.summary = message

    # ---- the parts

    def run(self) -> int:
        expansion = Expansion()
        expansion.add(read(str(RULES), RULES.read_text()))
        pairs = [Pair(rule.name, rule.condition, rule.output) for rule in expansion.all()]
        say("demo", f"a simulated Edera host with two zones, then the daemon, then Falco's rules engine; about {SECONDS} s, Ctrl-C to end")
        try:
            self.start(pairs)
            self.wait_until(SECONDS)
            interrupted = False
        except KeyboardInterrupt:
            say("demo", "interrupted: ending all parts")
            interrupted = True
        code = self.finish()
        return 130 if interrupted and code == 0 else code

    def start(self, pairs: list[Pair]) -> None:
        capture = {name: DATA / f"{name}.scap" for name in ("attack1", "net1")}
        self.parts.append(
            Part(
                [PROGRAM, "sim", "--socket", str(self.edera), "--pace", "0.1x", "--loop", "--zone", f"web={capture['attack1']}",
                 "--zone", f"db={capture['net1']}", "--at", "16s", "hotplug web", "--at", "26s", "remove db"],
                self.zones_line, "stderr",
            )
        )  # fmt: skip
        config = self.folder / "config.toml"
        config.write_text(
            f'[edera]\nsocket = "{self.edera}"\n[falco]\nsocket = "{self.falco}"\n[ctl]\nsocket = "{self.ctl}"\n[log]\nformat = "console"\n'
        )
        self.parts.append(Part([PROGRAM, "run", "--config", str(config)], self.daemon_line, "stderr"))
        self.wait_for(self.falco)
        sinsp = find_sinsp()
        if sinsp is not None:
            self.host = sinsp.start(PLUGIN, pairs, {"socket": str(self.falco)})
            self._host_thread = threading.Thread(target=self.host_lines, daemon=True)
            self._host_thread.start()
        else:
            say("demo", f"rules are skipped: {why_not()}. Events come through the plugin all the same:")
            self.parts.append(
                Part([str(ROOT / "shim" / "shimcat"), "--config", json.dumps({"socket": str(self.falco)}), "-o", EVENT_FORMAT, str(PLUGIN)],
                     self.event_line)
            )  # fmt: skip
            return
        self.parts.append(Part([PROGRAM, "tail", "--socket", str(self.falco), "-o", EVENT_FORMAT], self.event_line))

    def wait_for(self, path: Path) -> None:
        deadline = time.monotonic() + 20
        while not path.exists():
            if time.monotonic() > deadline or any(part.process.poll() is not None for part in self.parts):
                raise SystemExit(f"demo: {path.name} did not appear; see the lines above")
            time.sleep(0.05)

    def wait_until(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.2)
            if any(part.process.poll() not in (None, 0) for part in self.parts):
                say("demo", "a part has ended by itself; see the lines above")
                return

    # ---- the end: do the counts add up?

    def finish(self) -> int:
        status = self.quiet_status()
        if self.host is not None:
            self.host.stop()
            assert self._host_thread is not None
            self._host_thread.join(10)
            self.host.close()
        for part in reversed(self.parts):
            part.end()
        say("demo", "--- summary")
        for rule, zone in sorted(self.matches):
            say("demo", f"{self.matches[rule, zone]:6} matches of {rule!r} in {zone}")
        if status is None:
            say("demo", "the daemon gave no status: nothing to add up")
            return 1
        return self.add_up(status)

    def quiet_status(self) -> dict[str, Any] | None:
        """The daemon's counters, once the simulated host has stopped and consumers have taken what there was."""
        if not self.parts:
            return None
        self.parts[0].end()
        status: dict[str, Any] = {}
        for _ in range(40):
            command = [PROGRAM, "ctl", "status", "--socket", str(self.ctl), "--json"]
            try:
                status = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=20).stdout)
            except (ValueError, subprocess.TimeoutExpired):
                return None
            if all(entry["waiting"] == 0 == entry["counters"]["unacknowledged"] for entry in status["consumers"]):
                break
            time.sleep(0.25)
        return status

    def add_up(self, status: dict[str, Any]) -> int:
        """Hold what the host sent against what the daemon counted and what the consumer saw; 0 when it all adds up."""
        sent = sum(int(text.rpartition(" events sent")[0].split()[-1]) for text in self.sent.values())
        accounts = [zone["counters"] for zone in status["zones"]] + [status["gone"]]
        received = sum(counters["received"] for counters in accounts)
        notices = sum(counters["notices"] for counters in accounts)
        for text in self.sent.values():
            say("demo", f"host:   {text}")
        say("demo", f"daemon: {received - notices} events received, {notices} notices added")
        good = sent == received - notices
        if not good:
            say("demo", f"        {sent} were sent: the rest was in flight when a stream ended, and the notices of those gaps say so")
        consumer = next(entry for entry in status["consumers"] if entry["name"] == "falco" or self.host is None)
        counters = consumer["counters"]
        dropped = sum(value for key, value in counters.items() if key.startswith("dropped"))
        parts = {
            "acknowledged": consumer["acknowledged"], "unacknowledged": counters["unacknowledged"], "waiting": consumer["waiting"],
            "dropped": dropped, "before it came": counters["before"],
        }  # fmt: skip
        total = sum(parts.values())
        listed = " + ".join(f"{value} {name}" for name, value in parts.items() if value or name == "acknowledged")
        say("demo", f"rules:  {listed} = {total} of {received}")
        if self.summary:
            say("demo", f"        {self.summary['events']} events seen by the rules engine, {sum(self.matches.values())} matches")
            good = good and self.summary["events"] >= consumer["acknowledged"]
        good = good and total == received
        say("demo", "the counts add up" if good else "THE COUNTS DO NOT ADD UP")
        return 0 if good else 1


def main() -> int:
    if not PLUGIN.exists():
        print("demo: the plugin is not built: make shim", file=sys.stderr)
        return 1
    if why_not() is not None and os.geteuid() == 0:
        subprocess.run([ROOT / "tools" / "sinsp.sh", "--if-possible"], check=False)
    with tempfile.TemporaryDirectory(prefix="edera-falcod-demo-") as folder:
        return Demo(Path(folder)).run()


if __name__ == "__main__":
    sys.exit(main())
