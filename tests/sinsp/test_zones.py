"""The whole way, simulated Edera host to rules: which conditions match which events of a capture, held against libsinsp's own answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sinsp_host import Pair, Run, SinspHost

from .answers import CAPTURES, Answer, answers, capture
from .conditions import ALL, ALWAYS_OR_NEVER
from .zones import zones

WHO = "%thread.tid %evt.type"
LINES = {
    # As rules print: fields of all kinds in one line, each held against the answers.
    "open": (
        "evt.type = openat and evt.is_open_write = true",
        ("proc.name", "proc.cmdline", "fd.name", "evt.arg.flags", "user.uid", "user.loginuid"),
    ),
    "exec": (
        "evt.type = execve and evt.failed = false",
        ("proc.exepath", "proc.pname", "proc.aname[2]", "proc.cwd", "proc.tty", "proc.vpid"),
    ),
    "net": (
        "evt.type in (connect, accept4)",
        ("fd.name", "fd.type", "fd.l4proto", "fd.sip", "fd.sport", "fd.cport", "evt.res", "evt.rawres"),
    ),
}


def printed(value: Any) -> str:
    """A value as libsinsp prints it in an output."""
    if value is None:
        return "<NA>"
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module", params=CAPTURES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def run(sinsp: SinspHost, name: str) -> Iterator[Run]:
    pairs = [Pair(condition, condition, WHO) for condition in ALL]
    pairs += [Pair(key, condition, " | ".join([*(f"%{field}" for field in fields)])) for key, (condition, fields) in LINES.items()]
    pairs.append(Pair("every", "not edera.notice.kind exists", f"{WHO} %edera.zone.name"))
    pairs.append(Pair("notice", "edera.notice.kind exists", "%edera.notice.kind %edera.notice.text"))
    pairs.append(Pair("info", "evt.type = execve", "%evt.plugininfo"))
    with zones({name: capture(name)}) as running:
        run = sinsp.run(pairs, running.config, first=20, idle=2.0, time=50, log=6)
        run.log += running.logs()
        assert run.events, run.log
        yield run


def expected(name: str, condition: str) -> Counter[tuple[int, str]]:
    return Counter((answer.ts, f"{answer.tid} {answer.fields['evt.type']}") for answer in answers(name) if ALL[condition](answer.fields))


def test_conditions_are_worth_testing() -> None:
    """Each is true of some events of a capture and not of others, but for those that say so."""
    for condition, predicate in ALL.items():
        matched = [[predicate(answer.fields) for answer in answers(name)] for name in CAPTURES]
        telling = any(any(events) and not all(events) for events in matched)
        assert telling != (condition in ALWAYS_OR_NEVER), condition


def test_every_event_arrives_once(run: Run, name: str) -> None:
    assert [pair for pair in run.pairs if not pair.ok] == []
    arrived = [(match.ts, match.output) for match in run.of("every")]
    wanted = [(answer.ts, f"{answer.tid} {answer.fields['evt.type']} {name}") for answer in answers(name)]
    assert len(arrived) == len(wanted), run.log
    assert arrived == wanted, "not in the capture's order"


@pytest.mark.parametrize("condition", ALL)
def test_condition(run: Run, name: str, condition: str) -> None:
    notices = {match.evtnum for match in run.of("notice")}
    matched = Counter((match.ts, match.output) for match in run.of(condition) if match.evtnum not in notices)
    wanted = expected(name, condition)
    missing, extra = wanted - matched, matched - wanted
    assert not missing and not extra, (
        f"{sum(wanted.values())} should match, {sum(missing.values())} do not: {list(missing)[:3]}, "
        f"{sum(extra.values())} others do: {list(extra)[:3]}"
    )


@pytest.mark.parametrize("key", LINES)
def test_output(run: Run, name: str, key: str) -> None:
    condition, fields = LINES[key]
    lines = [(match.ts, match.output) for match in run.of(key)]
    assert lines
    by_key: dict[int, Answer] = {answer.ts: answer for answer in answers(name)}
    for ts, line in lines:
        assert line == " | ".join(printed(by_key[ts].fields.get(field)) for field in fields), (condition, by_key[ts])


def test_event_as_text(run: Run) -> None:
    """%evt.plugininfo says what happened, in words of its own."""
    lines = [match.output for match in run.of("info")]
    assert lines
    for line in lines:
        assert "execve" in line and not line.startswith("datalen")


def test_counts_add_up(run: Run, name: str) -> None:
    metrics = run.summary["metrics"]
    assert metrics["edera.events"] == run.events == len(answers(name)) + run.counts["notice"]
    assert metrics["edera.malformed"] == metrics["edera.missing"] == metrics["edera.doubtful_values"] == metrics["edera.disconnects"] == 0
    assert metrics["edera.connected"] == 1


def test_two_zones_at_a_time(sinsp: SinspHost, tmp_path: Path) -> None:
    """Each event under its zone's name, each zone complete and in order."""
    with zones({name: capture(name) for name in CAPTURES}) as running:
        run = sinsp.run([Pair("every", "not edera.notice.kind exists", "%edera.zone.name")], running.config, first=20, idle=2.0, time=50)
        log = running.logs()
    for name in CAPTURES:
        assert [match.ts for match in run.matches if match.output == name] == [answer.ts for answer in answers(name)], log


def test_falco_comes_later_and_goes_and_comes_back(sinsp: SinspHost) -> None:
    """Events wait for Falco. What it had in hand when it ended comes again, marked; nothing is lost."""
    name = CAPTURES[0]
    pair = Pair("every", "not edera.notice.kind exists", "%edera.redelivered")
    with zones({name: capture(name)}) as running:
        first = sinsp.run([pair], running.config, first=20, max_events=1000, time=50)
        second = sinsp.run([pair], running.config, first=20, idle=2.0, time=50)
        log = running.logs()
    seen = [match.ts for match in first.matches]
    again = [match.ts for match in second.matches if match.output == "true"]
    new = [match.ts for match in second.matches if match.output == "false"]
    assert len(seen) >= 990, log
    assert again and len(again) <= 5000  # what had been sent ahead of what Falco was done with
    wanted = [answer.ts for answer in answers(name)]
    assert again + new == wanted[len(wanted) - len(again) - len(new) :], log
    assert set(seen) | set(again) | set(new) == set(wanted), log
    assert set(again) & set(seen), "the batch that Falco had not finished"


def test_falco_reloads(sinsp: SinspHost) -> None:
    """Within one process: dry runs beside the living instance do not touch it, and the reload loses nothing."""
    name = CAPTURES[0]
    pair = Pair("every", "not edera.notice.kind exists", "%edera.redelivered")
    with zones({name: capture(name)}) as running:
        run = sinsp.run([pair], running.config, dry_runs=30, restart_after=3000, first=20, idle=2.0, time=50)
        log = running.logs()
    wanted = [answer.ts for answer in answers(name)]
    assert {match.ts for match in run.matches} == set(wanted), log
    again = [match for match in run.matches if match.output == "true"]
    assert again, "the batch that Falco had not finished"
    times = Counter(match.ts for match in run.matches)
    assert max(times.values()) <= 2
    assert {ts for ts, count in times.items() if count == 2} <= {match.ts for match in again}, "twice, and not marked"
    assert run.summary["dry_runs"] == {"done": 30, "failed": 0}
    assert run.summary["metrics"]["edera.connects"] == 1 and run.summary["metrics"]["edera.disconnects"] == 0
