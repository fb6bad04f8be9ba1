"""The condition language: what is read is what was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.rules.condition import (
    MAX_DEPTH,
    Check,
    ConditionError,
    FieldRef,
    Junction,
    Not,
    Text,
    Transformer,
    Values,
    parse,
    quote,
    unquote,
)

FORMS = {
    "evt.type in (open,openat) and not proc.name = \"a b\" or spawned": '(evt.type in (open, openat) and not proc.name = "a b") or spawned',
    "proc.aname[2]!=x and fd.num>=0": "proc.aname[2] != x and fd.num >= 0",
    "tolower(proc.name) = val(proc.pname) and (a or not(b))": "tolower(proc.name) = val(proc.pname) and (a or not b)",
    "or proc.args contains -x": "or proc.args contains -x",
    "container.mount.dest[/proc*] exists": "container.mount.dest[/proc*] exists",
    "evt.arg.flags contains O_CREAT and fd.name pmatch (/a, '/b c')": "evt.arg.flags contains O_CREAT and fd.name pmatch (/a, '/b c')",
    "evt.dir=< and evt.dir = >": "evt.dir = < and evt.dir = >",
    "proc.exe icontains oneof (a, b)": "proc.exe icontains oneof (a, b)",
    "a.b = or and x.y = and": "a.b = or and x.y = and",
    'concat(proc.name, "-", (a.b, 3)) = x': 'concat(proc.name, "-", (a.b, 3)) = x',
    'getopt(proc.args, "ab:")[b] = 3': 'getopt(proc.args, "ab:")[b] = 3',
    "not not a and android and order": "not not a and android and order",
    "proc.name in shell_binaries": "proc.name in shell_binaries",
    "evt.type in ()": "evt.type in ()",
    "(a) or(b)and(c)": "a or (b and c)",
    "len(fd.name)>= 10": "len(fd.name) >= 10",
}


@pytest.mark.parametrize("text", FORMS)
def test_form(text: str) -> None:
    assert parse(text).text() == FORMS[text]
    assert parse(FORMS[text]).text() == FORMS[text]


def test_places() -> None:
    text = "evt.type = open and not (fd.name startswith /etc or proc.args intersects (a, 'b'))"
    root = parse(text).root
    assert isinstance(root, Junction)
    first, second = root.children
    assert isinstance(first, Check) and text[first.start : first.end] == "evt.type = open"
    assert isinstance(second, Not) and isinstance(second.child, Junction)
    last = second.child.children[1]
    assert isinstance(last, Check) and text[last.start : last.end] == "proc.args intersects (a, 'b')"
    assert isinstance(last.right, Values) and [item.value() for item in last.right.items] == ["a", "b"]
    assert isinstance(last.left, FieldRef) and last.left.name == "proc.args"


def test_nested_transformer() -> None:
    root = parse("toupper(basename(fd.name)) = A").root
    assert isinstance(root, Check) and isinstance(root.left, Transformer)
    inner = root.left.args[0]
    assert isinstance(inner, Transformer) and inner.name == "basename"
    assert isinstance(root.right, Text)


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("evt.type open", 9, "operator"),
        ("evt.type = open proc.name = x", 16, "'and'"),
        ("evt.type =", 10, "value"),
        ("(a and b", 8, "')'"),
        ("a and", 5, ""),
        ("", 0, "field"),
        ("proc.aname[] = x", 11, "argument"),
        ("fd.name contains", 16, ""),
    ],
)
def test_errors_name_the_place(text: str, offset: int, words: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert caught.value.offset == offset
    assert words in str(caught.value)


def test_depth_is_limited() -> None:
    with pytest.raises(ConditionError, match="nests"):
        parse("(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1))
    assert parse("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH).text() == "a"


@given(st.text())
def test_any_value_survives_quoting(value: str) -> None:
    quoted = quote(value)
    assert unquote(quoted) == value
    root = parse(f"proc.name = {quoted}").root
    assert isinstance(root, Check) and isinstance(root.right, Text) and root.right.value() == value


@given(st.text(alphabet="ab.()[]\"'=!<> \n\\,notandorin0"))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        condition = parse(text)
    except ConditionError as error:
        assert 0 <= error.offset <= len(text)
    else:
        assert parse(condition.text()).text() == condition.text()
