"""The plugin as the real libsinsp understands it: it loads, every field can be used, bad configuration is refused."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from edera_falcod import __version__
from edera_falcod.fields.catalog import FIELDS
from edera_falcod.fields.spec import Arg, Field, Type
from edera_falcod.rules.expand import Expansion
from edera_falcod.rules.ruleset import read
from tests.sinsp_host import PLUGIN, Pair, SinspError, SinspHost

# What Falco itself serves for every source: a plugin that declares one of them is refused.
GENERIC = (
    "evt.num", "evt.time", "evt.time.s", "evt.time.iso8601", "evt.datetime", "evt.datetime.s", "evt.rawtime", "evt.rawtime.s",
    "evt.rawtime.ns", "evt.reltime", "evt.reltime.s", "evt.reltime.ns", "evt.pluginname", "evt.plugininfo", "evt.source", "evt.is_async",
    "evt.asynctype", "evt.hostname",
)  # fmt: skip


@pytest.fixture(scope="module")
def plugin(sinsp: SinspHost) -> dict[str, Any]:
    return sinsp.plugin()


def use(field: Field) -> str:
    """The field with an argument, where it needs one."""
    if field.arg & Arg.REQUIRED:
        return f"{field.name}[{'x' if field.arg & Arg.KEY else '1'}]"
    return field.name


def literal(kind: Type) -> str:
    return {
        Type.UINT64: "1", Type.STRING: "x", Type.SIGNED: "-1", Type.RELTIME: "1", Type.ABSTIME: "1", Type.BOOL: "true",
        Type.IPADDR: '"127.0.0.1"', Type.IPNET: '"127.0.0.0/8"',
    }[kind]  # fmt: skip


def test_plugin_presents_itself(plugin: dict[str, Any]) -> None:
    assert plugin["name"] == "edera"
    assert plugin["source"] == "edera_zone"
    assert plugin["id"] == 26
    assert plugin["required_api"] == "3.4.0"
    assert plugin["version"] == __version__
    assert plugin["sourcing"] and plugin["extraction"]
    assert not plugin["parsing"] and not plugin["async"]
    assert plugin["extract_sources"] == ["edera_zone"]
    assert plugin["description"] and plugin["contact"]


def test_fields_are_those_of_the_registry(plugin: dict[str, Any]) -> None:
    assert [field["name"] for field in plugin["fields"]] == [field.name for field in FIELDS]
    for given, field in zip(plugin["fields"], FIELDS, strict=True):
        kind = "string" if field.type is Type.SIGNED else field.type.name.lower()
        argument = (bool(field.arg & Arg.INDEX), bool(field.arg & Arg.KEY), bool(field.arg & Arg.REQUIRED))
        assert (given["kind"], given["list"], given["suggested"]) == (kind, field.is_list, field.suggested), field.name
        assert (given["index"], given["key"], given["required"]) == argument, field.name
        assert given["description"]


def test_no_field_is_one_of_falcos_own(plugin: dict[str, Any]) -> None:
    assert plugin["overlapping"] == []
    assert not set(GENERIC) & {field.name for field in FIELDS}


def test_every_field_can_be_used(sinsp: SinspHost) -> None:
    """In a condition with ``exists`` and with a comparison, and in an output. A name that begins with one of Falco's own could not."""
    pairs = []
    for field in FIELDS:
        comparison = f"{use(field)} in ({literal(field.type)})" if field.is_list else f"{use(field)} = {literal(field.type)}"
        pairs.append(Pair(field.name, f"{use(field)} exists and {comparison}", f"%{use(field)}"))
    refused = {result.id: result.error for result in sinsp.compile_pairs(pairs) if not result.ok}
    assert refused == {}
    assert len(pairs) > 1000


def test_falcos_own_fields_are_there_too(sinsp: SinspHost) -> None:
    results = sinsp.compile_pairs([Pair(name, "", f"%{name}") for name in GENERIC])
    assert [result.id for result in results if not result.ok] == []


@pytest.mark.parametrize(
    ("condition", "output", "where", "error"),
    [
        ("proc.nme = x", "", "condition", "nonexistent field proc.nme"),
        ("proc.name = x", "%proc.nme", "output", "proc.nme"),
        ("proc.name =", "", "condition", "expected"),
        ("fd.sip = 300.1.1.1", "", "condition", "address"),
        ("fd.snet = \"127.0.0.1\"", "", "condition", "network"),
        ("evt.failed = 1", "", "condition", "bool"),
        ("proc.vpid = 0x10", "", "condition", "number"),
        ("proc.env[", "", "condition", ""),
        ("proc.aname[x] = bash", "", "condition", ""),
        ("evt.arg.nosuchparameter = 1", "", "condition", "nonexistent field"),
        ("fd.types = file", "", "condition", "not supported"),
    ],
)  # fmt: skip
def test_what_is_wrong_does_not_compile(sinsp: SinspHost, condition: str, output: str, where: str, error: str) -> None:
    (result,) = sinsp.compile_pairs([Pair("x", condition, output)])
    assert not result.ok
    assert result.where == where
    assert error in result.error


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"soket": "/run/x"}, "soket"),
        ({"socket": 5}, "socket"),
        ({"consumer": "a b"}, "consumer"),
        ({"mirror_host_syscalls": "yes"}, "mirror_host_syscalls"),
        ("[1]", ""),
        ("{", ""),
    ],
)
def test_bad_configuration_is_refused_with_a_reason(sinsp: SinspHost, config: Any, said: str) -> None:
    with pytest.raises(SinspError) as failure:
        sinsp.run([], config, time=5)
    assert re.search(r"ended with 1\b", str(failure.value))
    assert "init" in str(failure.value)
    assert said in str(failure.value)


@pytest.mark.parametrize("config", [None, "", "{}", {"socket": "/nonexistent/falco.sock"}])
def test_without_a_daemon_it_waits(sinsp: SinspHost, config: Any) -> None:
    """No event, no failure, no busy loop, and an end as soon as it is asked for."""
    run = sinsp.run([], config, time=1.0)
    assert run.summary["ended"] == "time"
    assert run.events == 0
    assert 8 <= run.summary["timeouts"] <= 120  # each next_batch waits 10 to 100 ms
    assert run.summary["cpu_seconds"] < 0.5
    assert run.summary["metrics"]["edera.connected"] == 0


def test_it_ends_when_falco_is_told_to(sinsp: SinspHost) -> None:
    with sinsp.start(PLUGIN, [], {"socket": "/nonexistent/falco.sock"}) as live:
        messages = iter(live)
        assert next(messages)["type"] == "plugin"
        assert next(messages)["type"] == "ready"
        asked = time.monotonic()
        live.stop()
        assert next(messages)["ended"] == "signal"
        assert live.process.wait(5) == 0
        assert time.monotonic() - asked < 1.0


def test_sysdig_runs(sinsp: SinspHost) -> None:
    """The sysdig of the folder, started as tools/sinsp.sh says, and able to load the plugin."""
    version = subprocess.run([str(sinsp.sysdig), "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    assert version.startswith("sysdig version 0.4")
    listed = subprocess.run([str(sinsp.sysdig), "-H", str(PLUGIN), "-Il"], capture_output=True, text=True, timeout=20)
    assert "edera" in listed.stdout, listed.stderr


@pytest.mark.parametrize("name", ["zones.yaml", "notices.yaml"])
def test_example_rules_compile(sinsp: SinspHost, name: str) -> None:
    file = Path(__file__).resolve().parents[2] / "examples" / "rules" / name
    expansion = Expansion()
    expansion.add(read(name, file.read_text()))
    rules = expansion.all()
    results = sinsp.compile_pairs([Pair(rule.name, rule.condition, rule.output) for rule in rules])
    assert len(rules) >= 5 and [(rule.name, result.error) for rule, result in zip(rules, results, strict=True) if not result.ok] == []
