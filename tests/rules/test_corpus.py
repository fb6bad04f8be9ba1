"""A corpus of rules that uses every construct of Falco's rules language that upstream's rules use, and more.

The corpus speaks of the host's system calls. Here it is retargeted, expanded, compiled by the real libsinsp and asked of two zones that
the whole way serves; what it matches is held against what the rules mean by libsinsp's own answers, as an evaluator finds that shares
nothing with edera_falcod/rules (oracle.py). tests/data/rules-usage.csv lists what upstream's rules use.
"""

from __future__ import annotations

import asyncio
import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edera_falcod.rules.expand import Expansion
from edera_falcod.rules.rename import renamed
from edera_falcod.rules.retarget import Retarget
from edera_falcod.rules.ruleset import read
from tests.daemon.support import FAST, world
from tests.sinsp.answers import CAPTURES, DATA, Answer, capture
from tests.sinsp_host import Pair, Run, SinspHost, require_sinsp

from .answers import CORPUS, FILES, UNDEFINED, answers
from .oracle import Fields, Rules
from .shop import WORKLOAD, facts

WITH_WORKLOAD = "attack1"  # the other zone has none
LEFT_OUT = "Bytes of a class file"
OTHER_SOURCE = "Of another source"
# True of no event here, and kept for what they compile.
NEVER = frozenset({"Links to secrets", "Never", "Hosts by name", "Other images"})


def oracle() -> Rules:
    return Rules(*FILES)


@pytest.fixture(scope="module")
def rules() -> Rules:
    return oracle()


@pytest.fixture(scope="module")
def retarget() -> Retarget:
    return retargeted()[0]


def retargeted() -> tuple[Retarget, list[str]]:
    retarget = Retarget()
    return retarget, retarget.files([read(str(file), file.read_text()) for file in FILES])


def pairs(texts: list[str]) -> list[Pair]:
    expansion = Expansion()
    for file, text in zip(FILES, texts, strict=True):
        expansion.add(read(file.name, text))
    found = expansion.all()
    assert {rule.name for rule in found if rule.source == "edera_zone"} == {rule.name for rule in found} - {OTHER_SOURCE}
    return [Pair(rule.name, rule.condition, rule.output) for rule in found if rule.enabled and rule.name != OTHER_SOURCE]


def usage() -> list[dict[str, str]]:
    with (DATA / "rules-usage.csv").open() as lines:
        return list(csv.DictReader(lines))


# ---- what the corpus holds


@pytest.mark.parametrize("row", usage(), ids=lambda row: row["field_form"])
def test_corpus_uses_it(rules: Rules, row: dict[str, str]) -> None:
    """Every field form with every operator in a condition, and in an output where upstream prints it."""
    used = {pair for rule in rules.rules.values() for pair in rule.used}
    form = row["field_form"]
    assert not {(form, operator) for operator in row["operators"].split()} - used
    if row["printed"] == "1":
        assert any(form in rule.printed for rule in rules.rules.values())


def test_corpus_uses_every_operator_and_transformer(rules: Rules) -> None:
    operators = {operator for rule in rules.rules.values() for _, operator in rule.used}
    assert operators == {
        "=", "==", "!=", "<", "<=", ">", ">=", "contains", "icontains", "bcontains", "startswith", "endswith", "glob", "iglob", "regex",
        "in", "intersects", "pmatch", "exists",
    }  # fmt: skip
    assert {name for rule in rules.rules.values() for name in rule.transformers} == {"tolower", "toupper", "basename", "len", "b64", "val"}
    newer = (CORPUS / "newer.yaml").read_text()
    assert all(f"{name}(" in newer for name in ("join", "concat", "getopt"))
    assert all(f" {name} (" in newer for name in ("anyof", "oneof", "allof"))


def test_what_is_carried_over(retarget: Retarget, rules: Rules) -> None:
    report = retarget.report
    assert {change.entry for change in report.left_out} == {f"rule {LEFT_OUT}"}
    assert "bytes" in report.left_out[0].reason
    assert report.untouched == [OTHER_SOURCE]
    assert set(report.carried) == rules.rules.keys() - {LEFT_OUT, OTHER_SOURCE}
    # Names of addresses are the one thing that never has a value.
    assert {change.entry for change in report.warnings} == {"rule Hosts by name"}


def test_retargeting_twice_changes_nothing(retarget: Retarget) -> None:
    first = retargeted()[1]
    again = Retarget()
    assert again.files([read(file.name, text) for file, text in zip(FILES, first, strict=True)]) == first
    assert not again.report.changes and not again.report.left_out


def test_comments_and_untouched_entries_stay(retarget: Retarget) -> None:
    for file, text in zip(FILES, retargeted()[1], strict=True):
        before = file.read_text().splitlines()
        assert [line for line in before if line.startswith("#")] == [
            line for line in text.splitlines() if line.startswith("#") and line in before
        ]


def test_beside_the_hosts_rules_nothing_is_named_twice() -> None:
    """--beside-host: every rule, macro and list has a name of its own, and the rules mean the same."""
    texts = retargeted()[1]
    files = [read(file.name, text) for file, text in zip(FILES, texts, strict=True)]
    own = pairs(texts)
    named = renamed(files)
    other = pairs(named)
    assert [pair.id for pair in other] == [f"{pair.id} (zone)" for pair in own]
    assert [pair.condition for pair in other] == [pair.condition for pair in own]
    assert f"- rule: {OTHER_SOURCE}\n" in named[FILES.index(CORPUS / "6-constructs.yaml")]


def test_newer_compilers_words_stay_as_they_are() -> None:
    """What libs 0.23 cannot compile and 0.25 can: read, understood, and not touched."""
    file = CORPUS / "newer.yaml"
    retarget = Retarget()
    assert retarget.file(read(file.name, file.read_text())) == file.read_text()
    assert retarget.report.carried == ["Joined", "Quantified"]


# ---- what the corpus matches


def disturbed(answer: Answer) -> bool:
    """Opened below the fd of a directory: libsinsp speaks of that one once it was asked for evt.abspath (docs/differences.md)."""
    return answer.type == "openat" and re.search(r"dirfd=\d", str(answer.fields["evt.args"])) is not None


LEFT_ASIDE = {(name, answer.ts) for name in CAPTURES for answer in answers(name) if disturbed(answer)}


def expected_fields(answer: Answer, zone: str) -> dict[str, Any]:
    return {**answer.fields, "evt.num": answer.ts, **facts(zone == WITH_WORKLOAD)}


@pytest.fixture(scope="module")
def sinsp() -> SinspHost:
    return require_sinsp()


@pytest.fixture(scope="module")
def wanted(rules: Rules) -> dict[str, Counter[tuple[str, int]]]:
    """Rule -> its events as (zone, time)."""
    found: dict[str, Counter[tuple[str, int]]] = {name: Counter() for name in rules.rules}
    active = [rule for rule in rules.rules.values() if rule.enabled and rule.name not in (LEFT_OUT, OTHER_SOURCE)]
    for zone in CAPTURES:
        for answer in answers(zone):
            if (zone, answer.ts) in LEFT_ASIDE:
                continue
            fields = expected_fields(answer, zone)
            for rule in active:
                if rule.matches(fields):
                    found[rule.name][zone, answer.ts] += 1
    return found


@pytest.fixture(scope="module")
def run(sinsp: SinspHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    given = pairs(retargeted()[1])
    zone = [Pair(pair.id, pair.condition, f"%edera.zone.name {pair.output}") for pair in given]

    async def serve(folder: Path) -> Run:
        async with world(folder) as one:
            for name in CAPTURES:
                one.host.add_zone(name, capture(name), FAST)
            one.host.add_workload(WITH_WORKLOAD, WORKLOAD)
            config = {"socket": str(folder / "falco.sock")}
            return await asyncio.to_thread(sinsp.run, zone, config, first=20, idle=2.0, time=50, fields=True)

    yield asyncio.run(serve(tmp_path_factory.mktemp("corpus")))


def test_every_rule_compiles(run: Run) -> None:
    assert [f"{pair.id}: {pair.where}: {pair.error}" for pair in run.pairs if not pair.ok] == []
    assert run.events >= sum(len(answers(name)) for name in CAPTURES)


def test_rules_are_worth_asking(wanted: dict[str, Counter[tuple[str, int]]], rules: Rules) -> None:
    """Each matches some event here, but for those that say so."""
    silent = {name for name, events in wanted.items() if not events and rules.rules[name].enabled}
    assert silent == NEVER | {LEFT_OUT, OTHER_SOURCE}


@pytest.mark.parametrize("name", [name for name, rule in oracle().rules.items() if name not in (LEFT_OUT, OTHER_SOURCE)])
def test_matches(run: Run, wanted: dict[str, Counter[tuple[str, int]]], rules: Rules, name: str) -> None:
    if not rules.rules[name].enabled:
        assert name not in run.counts
        return
    found = [(str((match.fields or {})["edera.zone.name"]), match.ts) for match in run.of(name)]
    matched = Counter(event for event in found if event not in LEFT_ASIDE)
    missing, extra = wanted[name] - matched, matched - wanted[name]
    assert not missing and not extra, (
        f"{wanted[name].total()} should match, {missing.total()} do not: {list(missing)[:3]}, {extra.total()} others do: {list(extra)[:3]}"
    )


def printed(value: Any) -> str:
    if value is None:
        return "<NA>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_outputs(run: Run, rules: Rules) -> None:
    """Every field of every output is what libsinsp answers for that event."""
    by_key: dict[tuple[str, int], Fields] = {(zone, one.ts): expected_fields(one, zone) for zone in CAPTURES for one in answers(zone)}
    compared: Counter[str] = Counter()
    wrong: list[str] = []
    for match in run.matches:
        fields = match.fields or {}
        event = (str(fields["edera.zone.name"]), match.ts)
        if event in LEFT_ASIDE:
            continue
        want = by_key[event]
        for form in rules.rules[match.id].printed:
            if form in UNDEFINED or form == "evt.num":
                continue
            compared[form] += 1
            if printed(fields[form]) != printed(want.get(form)):
                wrong.append(f"{match.id} {match.ts} {form}: {fields[form]!r}, not {want.get(form)!r}")
    assert wrong == []
    assert len(compared) > 60
