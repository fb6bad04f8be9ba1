"""Make the diagrams of docs/how-it-works.md anew from the tables that the daemon runs by, or with --check say that they are stale (exit 1).

<!-- made: NAME -->
...
<!-- end -->
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edera_falcod.edera.lifecycle import FAULTS, GAPS, TRANSITIONS, Action, Event, State  # noqa: E402

PAGE: Final = ROOT / "docs" / "how-it-works.md"
PLACE: Final = re.compile(r"(<!-- made: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)

ACTIONS: Final = {
    Action.READ: "read on",
    Action.OPEN: "open the stream",
    Action.STOP_AND_REOPEN: "send Stop, hand on what still comes, open again",
    Action.WAIT_AND_RETRY: "wait, longer with each failure, and open again",
    Action.WAIT_IN_QUARANTINE: "leave it alone for 1 to 15 minutes",
    Action.FORGET: "hand on what still comes, and forget the zone",
}


def lifecycle() -> str:
    """The table as a Mermaid diagram: one arrow for each pair of states, with all events that lead that way."""
    arrows: dict[tuple[State, State], list[Event]] = {}
    for (state, event), (then, _) in TRANSITIONS.items():
        if state is not then and then is not State.GONE:
            arrows.setdefault((state, then), []).append(event)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.DISCOVERED.value}"]
    for (state, then), events in arrows.items():
        lines.append(f"    {state.value} --> {then.value}: {', '.join([event.value for event in events])}")
    gone = [state for (state, event), (then, _) in TRANSITIONS.items() if then is State.GONE and event is Event.EXITED]
    assert set(gone) == set(State) - {State.GONE}, "not every state ends with exited: the sentence below the diagram is wrong"
    lines += [f"    live --> {State.GONE.value}: {Event.EXITED.value}", f"    {State.GONE.value} --> [*]", "```", ""]
    lines.append(f"`{Event.EXITED.value}` leads from every state to `{State.GONE.value}`; only one arrow is drawn.")
    return "\n".join([*lines, ""])


def transitions() -> str:
    """The whole table, a row for each event in each state."""
    lines = ["| in state | when | then | and |", "|---|---|---|---|"]
    for (state, event), (then, action) in TRANSITIONS.items():
        marks = ("; a gap is told" if (state, event) in GAPS else "") + ("; counts as a fault" if event in FAULTS else "")
        lines.append(f"| {state.value} | {event.value} | {then.value} | {ACTIONS[action]}{marks} |")
    return "\n".join([*lines, ""])


PARTS: Final[dict[str, Callable[[], str]]] = {"lifecycle": lifecycle, "transitions": transitions}


def main() -> int:
    before = PAGE.read_text()
    after = PLACE.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", before)
    if {name for _, name, _ in PLACE.findall(before)} != set(PARTS):
        print(f"generate_lifecycle: {PAGE.name} lacks a place for {', '.join(PARTS)}", file=sys.stderr)
        return 1
    if after == before:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"generate_lifecycle: stale: docs/{PAGE.name}; run: make generate", file=sys.stderr)
        return 1
    PAGE.write_text(after)
    print(f"generate_lifecycle: wrote docs/{PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
