"""Retargeting: the same meaning in plugin fields, everything else to the letter, and nothing the second time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edera_falcod.rules.condition import parse
from edera_falcod.rules.rename import renamed
from edera_falcod.rules.retarget import Retarget, obstacles, parse_check
from edera_falcod.rules.rewrite import Unsupported, rewritten
from edera_falcod.rules.ruleset import RulesError, read

FILE = """\
# rules of ours
- required_engine_version: 0.57.0

- required_plugin_versions:
    - name: container   # for container.id
      version: 0.4.0

- list: shells
  items: [bash, "sh"]  # two

- macro: by_cron
  condition: >
    (proc.aname = crond
     or proc.aname in (shells, anacron))

- rule: Shell by cron   # a comment
  desc: d
  condition: by_cron and proc.name in (shells) and fd.net != "10.0.0.0/8"
  output: "by %proc.aname[2] (user=%user.name flags=%evt.arg.flags)"
  priority: WARNING

- rule: Audit
  desc: other source
  condition: ka.verb = create
  output: x
  priority: INFO
  source: k8s_audit

- rule: Bytes
  desc: cannot be
  condition: evt.buffer bcontains cafebabe
  output: "%evt.buffer"
  priority: INFO

- rule: Shell by cron
  condition: and not user.name = root
  append: true
"""

WANTED = """\
# rules of ours
- required_engine_version: 0.57.0

- required_plugin_versions:
    - name: edera   # for container.id
      version: 0.1.0

- list: shells
  items: [bash, "sh"]  # two

- macro: by_cron
  condition: >
    (proc.anames intersects (crond)
     or proc.anames intersects (shells, anacron))

- rule: Shell by cron   # a comment
  source: edera_zone
  desc: d
  condition: by_cron and proc.name in (shells) and (fd.net.source != "10.0.0.0/8" and fd.net.dest != "10.0.0.0/8")
  output: "by %proc.aname[2] (user=%user.name flags=%evt.arg.flags)"
  priority: WARNING

- rule: Audit
  desc: other source
  condition: ka.verb = create
  output: x
  priority: INFO
  source: k8s_audit

# edera-falcod: left out, bcontains needs a field of bytes, which a plugin cannot serve
# - rule: Bytes
#   desc: cannot be
#   condition: evt.buffer bcontains cafebabe
#   output: "%evt.buffer"
#   priority: INFO

- rule: Shell by cron
  condition: and not user.name = root
  append: true
"""


def test_whole_file() -> None:
    retarget = Retarget()
    assert retarget.file(read("rules.yaml", FILE)) == WANTED
    report = retarget.report
    assert report.carried == ["Shell by cron"]
    assert report.untouched == ["Audit"]
    assert [(change.entry, change.line) for change in report.left_out] == [("rule Bytes", 29)]
    assert [(change.line, change.before) for change in report.changes if change.before.startswith("proc.")] == [
        (13, "proc.aname = crond"), (14, "proc.aname in (shells, anacron)"),
    ]  # fmt: skip


def test_second_time_changes_nothing() -> None:
    retarget = Retarget()
    assert retarget.file(read("rules.yaml", WANTED)) == WANTED
    assert not retarget.report.changes and not retarget.report.left_out


def each(name: str, rest: str) -> str:
    """The comparison with each of the 64 ancestors that are known."""
    return "(" + " or ".join(f"{name}[{level}] {rest}" for level in range(1, 65)) + ")"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("proc.aname != x", "(proc.anames exists and not proc.anames in (x))"),
        ("proc.aname exists", "proc.anames exists"),
        ("proc.aname contains sh", None),
        ("proc.aname[3] startswith sh", None),
        ("proc.aexepath in (a, b)", "proc.aexepaths intersects (a, b)"),
        ("proc.acmdline = 'a b'", "proc.acmdlines intersects ('a b')"),
        ("proc.apid = 1", "proc.apids intersects (1)"),
        ("proc.aname startswith sh", each("proc.aname", "startswith sh")),
        ("proc.aname contains 'a b'", each("proc.aname", "contains 'a b'")),
        ("proc.aexepath pmatch (/a, /b)", each("proc.aexepath", "pmatch (/a, /b)")),
        ("proc.apid > -7", "proc.apids exists"),
        ("proc.apid <= -7", "(proc.apids exists and not proc.apids exists)"),
        ("proc.apid < 100", each("proc.apid", "< 100")),
        ("proc.aenv contains LD_PRELOAD", each("proc.aenv", "contains LD_PRELOAD")),
        ("proc.aenv[HOME] = /root", None),
        ("fd.ip = 1.2.3.4", "(fd.ip.source = 1.2.3.4 or fd.ip.dest = 1.2.3.4)"),
        ("fd.port in (80, 443)", "(fd.port.source in (80, 443) or fd.port.dest in (80, 443))"),
        ("fd.port <= 1024", "(fd.port.source <= 1024 or fd.port.dest <= 1024)"),
        ("fd.proto = 53", "(fd.port.source = 53 or fd.port.dest = 53)"),
        ("fd.proto in (domain, 80)", "(fd.port.source in (53, 80) or fd.port.dest in (53, 80))"),
        ("fd.sport = http", "fd.sport = 80"),
        ("fd.sport in (http, '443')", "fd.sport in (80, 443)"),
        ("fd.sport in (80, '443')", None),
        ("fd.net exists", "fd.type exists"),
        ("fd.num >= 0", None),
        ("fd.num < 0", None),
        ("fd.num = -1", None),
        ("fd.num > 0", "(fd.num >= 0 and fd.num.unsigned > 0)"),
        ("fd.num <= 0", "(fd.num < 0 or fd.num.unsigned <= 0)"),
        ("fd.num > -1", "fd.num >= 0"),
        ("fd.num <= -1", "fd.num < 0"),
        ("fd.num >= -1", "(fd.num >= 0 or fd.num = -1)"),
        ("fd.num < -1", "(fd.num < 0 and fd.num != -1)"),
        ("fd.num < -5", "(fd.num < 0 and fd.num.unsigned < 18446744073709551611)"),
        ("fd.num >= -5", "(fd.num >= 0 or fd.num.unsigned >= 18446744073709551611)"),
        ("fd.num = +5", "fd.num = 5"),
        ("fd.num in (05, 6)", "fd.num in (5, 6)"),
        ("fd.num = -0", "fd.num = 0"),
        ("fd.num >= 00", "fd.num >= 0"),
        ("evt.rawres > 9", "(evt.rawres >= 0 and evt.rawres.unsigned > 9)"),
        ("evt.rawarg.res > 9", "(evt.rawarg.res >= 0 and evt.rawarg.res.unsigned > 9)"),
        ("evt.rawarg.res < 0", None),
        ("evt.rawarg.uid > 9", None),
        ("user.uid = -1", "user.uid = 4294967295"),
        ("user.uid = 4294967295", None),
        ("user.loginuid != -1", None),
        ("proc.vpid > -1", "proc.vpid exists"),
        ("proc.vpid <= -1", "(proc.vpid exists and not proc.vpid exists)"),
        ("proc.vpid != -1", None),
        ("proc.fdusage > 80", "proc.fdusage >= 80"),
        ("proc.fdusage >= 80", None),
        ("proc.pid = val(proc.vpid)", "proc.pid.unsigned = val(proc.vpid)"),
        ("proc.vpid = val(proc.pid)", "proc.vpid = val(proc.pid.unsigned)"),
        ("proc.pid = val(proc.sid)", None),
        ("proc.name = val(proc.pname)", None),
        ("proc.duration < 5000", None),
        ("evt.buffer contains x", None),
    ],
)
def test_comparison(before: str, after: str | None) -> None:
    assert rewritten(parse_check(before), before) == after
    if after is not None:
        parse(after)


@pytest.mark.parametrize(
    "text",
    [
        "proc.aname = val(proc.name)", "tolower(proc.aname) = x", "proc.aname = anyof (a, b)", "fd.ip startswith 10.", "fd.ip < 10",
        "fd.net = val(fd.cnet)", "fd.proto = no-such-service", "fd.num > x", "fd.num = 0x10", "fd.num contains 1", "proc.vpid = one",
        "proc.pid < val(proc.vpid)", "evt.buffer bcontains 00", "evt.buffer bstartswith 00", "evt.buffer contains 'a\tb'",
        "evt.is_open_read = 1", "fd.sip = 10.0.0.0/8", "fd.snet = 10.0.0.1", "fd.snet in (10.0.0.0/8, x)", "fd.types = file",
        "evt.rawarg.addr > 5",
    ],
)  # fmt: skip
def test_what_no_plugin_field_can_say(text: str) -> None:
    with pytest.raises(Unsupported):
        rewritten(parse_check(text), text)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("proc.nmae = x", "unknown field proc.nmae; did you mean proc.name"),
        ("proc.name[2] = x", "takes no argument"),
        ("proc.aname[x] = y", "takes a number"),
        ("container.mount = y", "requires an argument"),
    ],
)
def test_unknown_fields_are_named(condition: str, words: str) -> None:
    retarget = Retarget()
    retarget.file(read("f.yaml", f"- rule: A\n  condition: {condition}\n  output: x\n  priority: INFO\n"))
    assert words in retarget.report.left_out[0].reason


def test_unknown_field_in_output() -> None:
    retarget = Retarget()
    retarget.file(read("f.yaml", "- rule: A\n  condition: evt.type = open\n  output: f=%fd.nam\n  priority: INFO\n"))
    assert "output: unknown field fd.nam; did you mean fd.name" in retarget.report.left_out[0].reason


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("- rule: A\n  condition: [a\n", "f.yaml:3:1: not YAML"),
        ("- rule: A\n  condition: evt.type open\n  output: x\n", "f.yaml:2:23: rule A: unexpected 'open', expected"),
        ("rule: A\n", "f.yaml:1:1: a rules file is a list"),
        ("- a\n", "f.yaml:1:3: expected an entry"),
        ("- foo: A\n", "f.yaml:1:3: expected one of the keys"),
        ("- macro: A\n  macro: B\n", "f.yaml:2:3: 'macro' is given twice"),
        ("- rule: A\n  condition: nothing\n  output: x\n", "unknown macro 'nothing'"),
        ("- macro: a\n  condition: b\n- macro: b\n  condition: a\n- rule: A\n  condition: a\n  output: x\n", "circle"),
        ("- rule: A\n  condition: and x\n  append: true\n", "f.yaml:1: rule 'A' is appended to"),
    ],
)
def test_errors_name_file_line_and_column(text: str, place: str) -> None:
    with pytest.raises(RulesError) as caught:
        Retarget().file(read("f.yaml", text))
    assert place in str(caught.value)


def test_condition_error_in_a_macro_names_its_place() -> None:
    with pytest.raises(RulesError) as caught:
        Retarget().file(read("f.yaml", "- macro: A\n  condition: >\n    proc.name = a\n    and proc.pname b\n"))
    assert str(caught.value).startswith("f.yaml:4:")


@pytest.mark.parametrize("style", ["'proc.aname = \"x\" and a.b = ''y'''", '"proc.aname = \\"x\\" and proc.exe = y"'])
def test_quoted_conditions(style: str) -> None:
    retarget = Retarget()
    text = retarget.file(read("f.yaml", f"- macro: A\n  condition: {style}\n"))
    again = read("f.yaml", text)
    assert parse(again.items[0].data["condition"]).text().startswith('proc.anames intersects ("x") and ')


def test_flow_style_rule() -> None:
    text = "- {rule: A, condition: evt.type = open, output: x, priority: INFO}\n"
    assert Retarget().file(read("f.yaml", text)) == text.replace("rule: A", "rule: A, source: edera_zone")


def test_names_of_their_own() -> None:
    files = [
        read("a.yaml", "- list: l\n  items: [a]\n- list: m\n  items: [l, b]\n- macro: c\n  condition: proc.name in (m, x)\n"),
        read("b.yaml", "- rule: R\n  condition: c and d and evt.type in (m)\n  output: x\n"),
    ]
    assert renamed(files) == [
        "- list: l_zone\n  items: [a]\n- list: m_zone\n  items: [l_zone, b]\n- macro: c_zone\n  condition: proc.name in (m_zone, x)\n",
        "- rule: R (zone)\n  condition: c_zone and d and evt.type in (m_zone)\n  output: x\n",
    ]


def test_evt_types_that_never_are_get_a_warning() -> None:
    retarget = Retarget()
    retarget.file(read("f.yaml", "- rule: A\n  condition: evt.type in (open, opne)\n  output: x\n  priority: INFO\n"))
    assert [warning.reason for warning in retarget.report.warnings] == ["evt.type is never 'opne'"]


# ---- several files: Falco compiles after each of them


def together(*texts: str) -> tuple[list[str], Retarget]:
    retarget = Retarget()
    return retarget.files([read(f"{number}.yaml", text) for number, text in enumerate(texts)]), retarget


BYTES = "- rule: A\n  condition: evt.buffer bcontains 00\n  output: x\n  priority: INFO\n"
GOOD = "- rule: A\n  condition: evt.type = open\n  output: x\n  priority: INFO\n"


def test_what_changes_a_rule_that_is_left_out_goes_with_it() -> None:
    """An override of a rule that no longer is there would keep Falco from starting."""
    texts, retarget = together(BYTES, "- rule: A\n  enabled: true\n  override: {enabled: replace}\n- macro: m\n  condition: evt.num = 1\n")
    assert texts[1].startswith("# edera-falcod: left out, bcontains")
    assert texts[1].endswith("# - rule: A\n#   enabled: true\n#   override: {enabled: replace}\n- macro: m\n  condition: evt.num = 1\n")
    assert not retarget.report.carried and len(retarget.report.left_out) == 1


def test_even_when_a_later_file_replaces_its_condition() -> None:
    """The file before has to load by itself."""
    texts, _ = together(BYTES, "- rule: A\n  condition: evt.type = open\n  override: {condition: replace}\n")
    assert all(line.startswith("#") for text in texts for line in text.splitlines())


def test_a_new_definition_begins_anew() -> None:
    texts, retarget = together(BYTES, GOOD)
    assert all(line.startswith("#") for line in texts[0].splitlines())
    assert "  source: edera_zone\n" in texts[1]
    assert retarget.report.carried == ["A"] and len(retarget.report.left_out) == 1


def test_a_definition_that_was_replaced_does_not_come_back() -> None:
    """Not in the place of one that is left out, be it in the same file or a later one."""
    for texts, retarget in (together(GOOD, BYTES), together(GOOD + BYTES)):
        assert all(line.startswith("#") for text in texts for line in text.splitlines())
        assert [change.reason.startswith("a later definition replaces it") for change in retarget.report.left_out] == [True, False]
    texts, retarget = together(GOOD, BYTES, GOOD)
    assert retarget.report.carried == ["A"] and "  source: edera_zone\n" in texts[0] and "  source: edera_zone\n" in texts[2]


def test_a_rule_that_a_later_file_makes_impossible() -> None:
    """Whether by an addition to it or by another macro of a name that it uses."""
    texts, retarget = together(GOOD, "- rule: A\n  condition: and evt.buffer bcontains 00\n  override: {condition: append}\n")
    assert all(line.startswith("#") for text in texts for line in text.splitlines()) and not retarget.report.carried
    user = "- macro: m\n  condition: proc.name = x\n- rule: A\n  condition: evt.type = open and m\n  output: x\n  priority: INFO\n"
    texts, retarget = together(user, "- macro: m\n  condition: evt.buffer bcontains 00\n")
    assert "\n# - rule: A\n" in texts[0] and not retarget.report.carried
    texts, retarget = together(user.replace("proc.name = x", "fd.num = n"), "- list: n\n  items: [1]\n")
    assert "fd.num is a number, not 'n'" in texts[0]  # the list was none when the first file was read


def test_a_list_of_one_stands_for_its_value() -> None:
    """Falco puts lists in wherever their names stand."""
    text = "- list: most\n  items: [9]\n- rule: A\n  condition: evt.type = read and evt.rawres > 9 and fd.num = most\n  output: x\n"
    texts, retarget = together(text)
    assert "(evt.rawres >= 0 and evt.rawres.unsigned > 9) and fd.num = most" in texts[0]
    with pytest.raises(RulesError, match="a list of 2 values"):
        together(text.replace("[9]", "[9, 10]"))
    assert retarget.expansion.all()[0].condition.endswith("fd.num = 9")


def test_a_list_with_values_that_are_written_otherwise_is_put_in() -> None:
    texts, _ = together("- list: web\n  items: [http, 8080]\n- macro: m\n  condition: fd.sport in (web, 443) or fd.port in (web)\n")
    assert "fd.sport in (80, 8080, 443) or (fd.port.source in (80, 8080) or fd.port.dest in (80, 8080))" in texts[0]


# ---- exceptions

WITH_EXCEPTIONS = """\
- rule: A
  condition: evt.type = open
  output: x
  priority: INFO
  exceptions:
    - name: by_ancestor
      fields: [proc.aname, fd.name]
      comps: [=, startswith]
      values:
        - [crond, /a]
    - name: plain
      fields: [proc.name, proc.aname]
      values: [[a, b]]
    - {name: flow, fields: proc.aexepath, values: [/a, /b]}
"""


def test_exceptions_by_any_ancestor() -> None:
    (text,), retarget = together(WITH_EXCEPTIONS)
    assert retarget.report.carried == ["A"]
    wanted = WITH_EXCEPTIONS
    for before, after in (
        ("- rule: A\n", "- rule: A\n  source: edera_zone\n"),
        ("[proc.aname, fd.name]\n      comps: [=,", "[proc.anames, fd.name]\n      comps: [intersects,"),
        ("[proc.name, proc.aname]\n", "[proc.name, proc.anames]\n      comps: [=, intersects]\n"),
        ("fields: proc.aexepath,", "fields: proc.aexepaths, comps: intersects,"),
    ):
        wanted = wanted.replace(before, after)
    assert text == wanted
    again = Retarget()
    assert again.file(read("f.yaml", text)) == text and not again.report.changes
    assert again.expansion.all()[0].condition.endswith(
        "not (proc.anames intersects (crond) and fd.name startswith /a) and not (proc.name = a and proc.anames intersects (b)) "
        "and not proc.aexepaths intersects (/a, /b)"
    )


@pytest.mark.parametrize(
    ("exception", "words"),
    [
        ("{name: e, fields: [fd.num], comps: ['>'], values: [[5]]}", "'and not (fd.num >= 0 and fd.num.unsigned > 5)'"),
        ("{name: e, fields: fd.port, values: [53]}", "'and not (fd.port.source in (53) or fd.port.dest in (53))'"),
        ("{name: e, fields: [proc.aname], comps: [startswith], values: [[a]]}", "proc.aname[1] startswith a"),
        ("{name: e, fields: [evt.buffer], comps: [bcontains], values: [[a]]}", "bcontains needs a field of bytes"),
        ("{name: e, fields: [proc.nmae, fd.name]}", "unknown field proc.nmae; did you mean proc.name"),
    ],
)
def test_exceptions_that_need_more(exception: str, words: str) -> None:
    (text,), retarget = together(GOOD + f"  exceptions:\n    - {exception}\n")
    assert words in retarget.report.left_out[0].reason
    assert all(line.startswith("#") for line in text.splitlines())


# ---- what YAML can do


def test_anchors_and_aliases() -> None:
    """A text that several rules share is changed once."""
    text = "- rule: A\n  condition: &c proc.aname = x\n  output: x\n- rule: B\n  condition: *c\n  output: x\n"
    (after,), retarget = together(text)
    assert after == (
        "- rule: A\n  source: edera_zone\n  condition: &c proc.anames intersects (x)\n  output: x\n"
        "- rule: B\n  source: edera_zone\n  condition: *c\n  output: x\n"
    )
    assert retarget.report.carried == ["A", "B"]


def test_an_anchor_in_a_rule_that_is_left_out() -> None:
    with pytest.raises(RulesError, match="cannot be changed one by one"):
        together("- rule: A\n  condition: evt.buffer bcontains 00\n  output: &o x\n- rule: B\n  condition: evt.num = 1\n  output: *o\n")


def test_places_where_lines_end_in_two_ways() -> None:
    file = read("x.yaml", "# one\r\n# two\n" + GOOD)
    assert file.place(file.items[0].start) == "x.yaml:3:3" and file.line(file.items[0].start) == 3


def test_names_are_not_changed_in_what_cannot_be_read() -> None:
    """A rule of another source is not looked at before its macros and lists get other names."""
    text = GOOD + "- rule: B\n  source: k8s_audit\n  condition: ka-verb = get\n  output: b\n  priority: INFO\n"
    (after,), _ = together(text)
    with pytest.raises(RulesError, match=r"x.yaml:8:16: rule B: unexpected '-verb'"):
        renamed([read("x.yaml", after)])


def test_lines_that_end_with_a_carriage_return() -> None:
    text = GOOD.replace("evt.type = open", ">\n    evt.type = open\n    and not evt.num = 1") + BYTES.replace("A", "B")
    (after,), retarget = together(text.replace("\n", "\r"))
    (expected,), _ = together(text)
    assert retarget.report.carried == ["A"] and "# - rule: B\n#   condition" in expected
    assert after == expected.replace("\n", "\r")


def test_documents_line_ends_and_byte_order_marks() -> None:
    text = "\ufeff---\r\n# one\r\n" + GOOD.replace("\n", "\r\n") + "---\r\n" + BYTES.replace("A", "B").replace("\n", "\r\n")
    (after,), retarget = together(text)
    assert retarget.report.carried == ["A"] and "- rule: A\r\n  source: edera_zone\r\n  condition" in after
    assert after.count("\n") == after.count("\r\n") and after.startswith("\ufeff---\r\n# one\r\n")
    assert "# - rule: B\r\n#   condition" in after


@pytest.mark.parametrize(
    "condition",
    [
        "proc.aname = x and fd.num > 5",
        "'proc.aname = ''x'' and fd.num > 5'",
        '"proc.aname = \\"x\\" and\\tfd.num > 5"',
        ">\n    proc.aname = x\n    and fd.num > 5",
        ">-\n    proc.aname = x\n\n    and fd.num > 5\n",
        "|\n    proc.aname = x\n      and fd.num > 5\n",
        "> # why\n   proc.aname\n   = x and fd.num > 5",
        "proc.aname = x\n    and fd.num\n    > 5",
        '"proc.aname = x\n    and \\\n    fd.num > 5"',
        "|2+\n    proc.aname = x\n    and fd.num > 5\n\n",
    ],
)
def test_every_style_of_text(condition: str) -> None:
    """The condition is changed within its text, or as a whole where that cannot be told; it means what it should, and stays so."""
    (after,), _ = together(f"- rule: A\n  condition: {condition}\n  output: x\n  priority: INFO\n")
    changed = parse(read("f.yaml", after).items[0].data["condition"]).text()
    assert changed.replace("('x')", "(x)").replace('("x")', "(x)") == "proc.anames intersects (x) and (fd.num >= 0 and fd.num.unsigned > 5)"
    assert "  output: x\n  priority: INFO\n" in after
    assert together(after)[0] == [after]


def test_flow_style_with_brackets_in_what_is_put_in() -> None:
    (after,), _ = together("- {rule: A, condition: proc.aname startswith x, output: x, priority: INFO}\n")
    assert read("f.yaml", after).items[0].data["condition"].startswith("(proc.aname[1] startswith x or ")


@pytest.mark.parametrize("name", [">\n    A rule\n", "|-\n    A rule\n", '"A rule"', "A\n    rule"])
def test_names_of_rules_in_every_style(name: str) -> None:
    (after,), _ = together(f"- rule: {name}  \n  desc: >\n    what it is\n  condition: evt.num = 1\n  output: x\n".replace("\n  \n", "\n"))
    item = read("f.yaml", after).items[0]
    assert item.data["source"] == "edera_zone" and item.data["desc"] == "what it is\n" and item.name.split() == ["A", "rule"]


def test_container_info_is_what_falco_takes_out_itself() -> None:
    (_,), retarget = together("- rule: A\n  condition: evt.type = open\n  output: x %container.info %proc.name.\n  priority: INFO\n")
    assert retarget.report.carried == ["A"]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("evt.buffer contains index.php", "dot for each byte"),
        ("evt.rawarg.data contains a.b", "dot for each byte"),
        ("fd.sip.name = example.com", "never has a value"),
        ("evt.outputtime = 3", "never has a value"),
        ("proc.fdusage > 80", "whole number below"),
    ],
)
def test_cautions(condition: str, words: str) -> None:
    _, retarget = together(f"- rule: A\n  condition: {condition}\n  output: x\n  priority: INFO\n")
    assert retarget.report.carried == ["A"] and words in retarget.report.warnings[0].reason


# ---- any file

FORMS = st.sampled_from(
    """proc.aname proc.aname[2] proc.acmdline proc.apid proc.aenv fd.ip fd.net fd.port fd.proto fd.num evt.rawres evt.rawarg.res user.uid
    fd.sport fd.name proc.name proc.vpid evt.is_open_read evt.buffer proc.fdusage fd.types nosuch.field""".split()
)
RIGHT = st.sampled_from(["x", "5", "+5", "-7", "-1", "0", '"a b"', "'q'", "10.0.0.0/8", "127.0.0.1", "http", "true", '"%"', "(x)"])
OPERATIONS = st.sampled_from("= != < <= > >= contains startswith endswith glob regex exists in intersects pmatch".split())


@st.composite
def comparison(draw: st.DrawFn) -> str:
    operator, right = draw(OPERATIONS), draw(RIGHT)
    if operator == "exists":
        right = ""
    elif operator in ("in", "intersects", "pmatch"):
        right = right if right.startswith("(") else f"({right}, l, 80)"
    elif right.startswith("("):
        right = "x"
    return f"{draw(FORMS)} {operator} {right}".strip()


CONDITION = st.recursive(
    comparison() | st.just("m"),
    lambda inner: st.lists(inner, min_size=2, max_size=3).flatmap(
        lambda parts: st.sampled_from([f"({' or '.join(parts)})", f"({' and '.join(parts)})", f"not {parts[0]}"])
    ),
    max_leaves=6,
)


def block(style: str, text: str) -> str:
    return {"plain": text, "single": "'" + text.replace("'", "''") + "'", "folded": f">\n    {text}", "literal": f"|-\n    {text}"}[style]


@given(CONDITION, CONDITION, st.sampled_from(["single", "folded", "literal"]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_whatever_it_makes_is_a_rules_file_that_needs_nothing_more(first: str, second: str, style: str, exceptions: bool) -> None:
    """Retargeting twice is retargeting once; comments stay; what is carried over has no obstacle left."""
    text = "# one\n- list: l\n  items: [a, 6]\n- macro: m\n  condition: proc.name = x # two\n"
    text += f"- rule: A\n  condition: {block(style, first)}\n  output: x %proc.name\n  priority: INFO\n"
    if exceptions:
        text += "  exceptions:\n    - {name: e, fields: [proc.aname, fd.name], values: [[a, b]]}\n"
    text += f"# three\n- rule: B\n  condition: {block(style, second)}\n  output: x\n  priority: INFO\n"
    retarget = Retarget()
    after = retarget.file(read("f.yaml", text))
    again = Retarget()
    assert again.file(read("f.yaml", after)) == after
    assert not again.report.changes and not again.report.left_out and again.report.carried == retarget.report.carried
    assert {*retarget.report.carried} | {change.entry.removeprefix("rule ") for change in retarget.report.left_out} == {"A", "B"}
    assert after.startswith("# one\n") and " # two\n" in after and "\n# three\n" in after
    for rule in again.expansion.all():
        assert obstacles(rule.tree, rule.output) == []


# ---- hostile files


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- &a [*a]\n", "f.yaml:1:3: expected an entry"),
        ("- rule: A\n  condition: x\n  tags: &a [*a]\n", "nested deeper than"),
        ("- list: a\n  items: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"- list: l{n}\n  items: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8)
        ), "the file has more than"),
        ("[" * 20_000, "not YAML"),
        ("- rule: A\n  condition: " + "(" * 300 + "a" + ")" * 300 + "\n", "nests 300 deep"),
        ("- rule: A\n  condition: " + "not " * 5000 + "evt.num = 1\n", "nests"),
        ("- rule: A\n  condition: " + "evt.num = 1 and " * 70_000 + "evt.num = 2\n", "characters, at most"),
        ("- rule: A\n  condition: evt.num = 1\n  tags: \x07\n", "not YAML"),
        ("- macro: m\n  condition: m\n- rule: A\n  condition: m\n  output: x\n", "circle"),
        ("- list: l\n  items: [l]\n- rule: A\n  condition: proc.name in (l)\n  output: x\n", "circle"),
        ("- list: a0\n  items: [x, y]\n" + "".join(f"- list: a{n}\n  items: [a{n - 1}, a{n - 1}]\n" for n in range(1, 40))
         + "- rule: A\n  condition: proc.name in (a39)\n  output: x\n", "a list has more than"),
        ("- macro: a0\n  condition: evt.num = 1\n" + "".join(f"- macro: a{n}\n  condition: a{n - 1} or a{n - 1}\n" for n in range(1, 40))
         + "- rule: A\n  condition: a39\n  output: x\n", "comparisons with all macros put in"),
        ("- rule: [A]\n  condition: evt.num = 1\n", "f.yaml:1:3: the name of a rule is a text"),
        ("- rule: !=A\n  condition: evt.num = 1\n  output: x\n", "f.yaml:1:3: the rule has no name"),
        ("- list: ''\n  items: [x]\n", "f.yaml:1:3: the list has no name"),
        ("- macro: ~\n  condition: evt.num = 1\n", "f.yaml:1:3: the macro has no name"),
        ("- rule: A\n  condition: [evt.num = 1]\n  output: x\n", "f.yaml:2:3: condition is a text"),
        ("- list: A\n  items: x\n", "f.yaml:2:3: items is a list"),
        ("- rule: A\n  condition: evt.num = 1\n  output: x\n  exceptions: x\n", "f.yaml:4:3: exceptions is a list"),
        ("- rule: A\n  condition: evt.num = 1\n  output: x\n  exceptions: [x]\n", "f.yaml:4:3: exceptions is a list of mappings"),
    ],
)  # fmt: skip
def test_hostile_files(text: str, words: str) -> None:
    """One sentence with the place, in bounded time; never a traceback."""
    with pytest.raises(RulesError) as caught:
        Retarget().file(read("f.yaml", text))
    assert words in str(caught.value) and len(str(caught.value)) < 500
