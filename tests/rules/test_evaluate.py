"""Conditions as `tail` evaluates them: as the real libsinsp does (tests/sinsp asks it the same), and as libsinsp's answers demand."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from edera_falcod.fields.reader import BlockTable, EventView
from edera_falcod.ops.tail import condition
from edera_falcod.output import Format, FormatError, is_notice
from tests.daemon.support import FAST, until, world
from tests.shim import fake
from tests.shim import world as blocks
from tests.sinsp.answers import CAPTURES, answers, capture
from tests.sinsp.conditions import ALL
from tests.sinsp.test_values import TRUE
from tests.sinsp.test_values import conditions as of_a_plugin

EVERY = 7  # of so many events one is asked, by some eighty conditions
HEAD = len(fake.item(0, b""))
# Written so they mean something else on the host, and that is what they mean here: any ancestor; either end of a connection.
AS_ON_THE_HOST = {"proc.aname = 'sh init'": False, "not fd.port in (443, 80)": False}


def views() -> tuple[EventView, EventView]:
    """The two events that tests/sinsp/test_values.py shows to libsinsp: one with everything, one with nothing."""
    table = BlockTable()
    for definition in blocks.DEFINITIONS:
        id_, kind = struct.unpack_from("<QB", definition, HEAD)
        table.define(id_, kind, definition[HEAD + 9 :])
    whole = fake.event(1, blocks.block(), blocks.IDS, ts=blocks.TS, tid=blocks.TID)[HEAD:]
    return EventView(whole, table), EventView(fake.event(2, fake.cells(), ts=blocks.TS + 1, tid=blocks.TID)[HEAD:], table)


WHOLE, EMPTY = views()


def ask(text: str, view: EventView) -> bool:
    found = condition(text)((view, 1))
    assert condition(f"not ({text})")((view, 1)) is not found
    return found


@pytest.mark.parametrize("text", TRUE)
def test_what_libsinsp_finds_true_is_true(text: str) -> None:
    assert ask(text, WHOLE) is AS_ON_THE_HOST.get(text, True)
    assert ask(text, EMPTY) is text.startswith("not ")


@pytest.mark.parametrize("text", [text for text in of_a_plugin() if text not in TRUE])
def test_comparisons_with_nothing_are_false(text: str) -> None:
    assert not ask(text, WHOLE)
    assert not ask(text, EMPTY)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("proc.aname = init and not proc.aname = bash", True),
        ("fd.port = 443 and fd.port in (443, 80) and not fd.port = 80", True),
        ("fd.num < 3 and not fd.num > 3", True),
        ("evt.rawres > -1", False),
        ("fd.name pmatch (/nope)", False),
        ("evt.num = 1 and evt.source = edera_zone", True),
        ("concat(proc.name, '-', evt.type) = worker-openat", True),
        ("proc.name in (a, 'worker')", True),
        ("proc.name regex 'w.*r' and not proc.name regex ork", True),
        ("proc.name iglob W*R and not proc.name glob W*R", True),
        ("proc.name = sh or proc.name = worker and evt.type = openat", True),
        ("edera.notice.kind exists or not evt.type exists", False),
    ],
)
def test_more_that_is_asked(text: str, found: bool) -> None:
    assert ask(text, WHOLE) is found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("proc.nme = x", "unknown field proc.nme; did you mean proc.name"),
        ("proc.name =", "expected"),
        ("proc.name", "operator"),
        ("fd.sip = 300.1.1.1", "fd.sip is an address, not '300.1.1.1'"),
        ('fd.snet = "127.0.0.1"', "is compared with networks such as 10.0.0.0/8"),
        ("evt.failed = 1", "is true or false"),
        ("proc.vpid = 0x10", "proc.vpid is a number, not '0x10'"),
        ("proc.vpid contains 1", "cannot be compared with 'contains': that is for texts"),
        ("proc.aname[x] = bash", "takes a number as argument"),
        ("proc.name[1] = bash", "takes no argument"),
        ("evt.arg.nosuchparameter = 1", "unknown field evt.arg.nosuchparameter"),
        ("fd.types = file", "is a list: compare it with in"),
        ("fd.cip contains 10", "is an address, not '10'"),
        ("spawned_process and proc.name = x", "spawned_process is a macro, and there are none here"),
        ("proc.name in shell_binaries", "shell_binaries is a list, and there are none here"),
        ("proc.name regex '['", "is not a regular expression"),
        ("evt.buffer bcontains cafe", "a field of bytes"),
        ("and proc.name = x", "cannot begin with 'and'"),
        ("len(fd.sport) = 3", "takes a text or a list"),
        ("getopt(proc.args, 'a')[a] = 3", "cannot be used here"),
    ],
)
def test_what_is_wrong_is_pointed_at(text: str, says: str) -> None:
    with pytest.raises(FormatError) as error:
        condition(text)
    assert says in str(error.value)
    _, shown, mark = str(error.value).splitlines()
    assert shown.strip() == text and mark.strip() == "^"


@pytest.mark.parametrize("name", CAPTURES)
async def test_conditions_choose_what_libsinsps_answers_say(tmp_path: Path, name: str) -> None:
    """Events of a capture, the whole way, by every condition that tests/sinsp asks the real libsinsp."""
    tests: dict[str, Callable[[tuple[EventView, int]], bool]] = {text: condition(text) for text in ALL}
    who = Format("%thread.tid %evt.type")
    matched: dict[str, Counter[tuple[int, str]]] = {text: Counter() for text in ALL}
    seen = 0
    async with world(tmp_path) as one:
        table = BlockTable()
        client = one.client(table=table)
        await client.connect()
        one.host.add_zone(name, capture(name), FAST)
        while seen < len(answers(name)):
            for event in await client.next():
                view = EventView(event.data, table, event.redelivered)
                if is_notice(view):
                    continue
                seen += 1
                if (seen - 1) % EVERY:
                    continue
                for text, test in tests.items():
                    if test((view, seen)):
                        matched[text][view.ts, who.line(view, seen)] += 1
        await client.close()
        await until(lambda: not one.daemon.server.links)
    asked = answers(name)[::EVERY]
    wrong = []
    for text, predicate in ALL.items():
        wanted = Counter((answer.ts, f"{answer.tid} {answer.fields['evt.type']}") for answer in asked if predicate(answer.fields))
        if wanted != matched[text]:
            wrong.append((text, sum((wanted - matched[text]).values()), sum((matched[text] - wanted).values())))
    assert wrong == []
