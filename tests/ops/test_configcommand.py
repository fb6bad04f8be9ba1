"""`config` as an operator uses it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edera_falcod import cli
from edera_falcod.config import PREFIX, Config, Loader, load, options
from edera_falcod.ops import configcommand
from edera_falcod.ops.reload import LIVE


@pytest.fixture(autouse=True)
def no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("edera_falcod.config.DEFAULT_FILE", str(tmp_path / "none.toml"))


def config(*args: str) -> int:
    return cli.main(["config", *args])


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[buffer]\nage = "1h"\n')
    assert config("check", "-c", str(file)) == 0
    assert capsys.readouterr().out == f"the configuration is good ({file}; 1 of {len(options())} keys are set)\n"
    file.write_text("[buffer]\nage = 0\n")
    assert config("check", "-c", str(file)) == 2
    assert f"{file}: buffer.age = 0: must be a time from 1s to 24h" in capsys.readouterr().err
    assert config("check", "-c", str(file), "--json") == 2
    assert json.loads(capsys.readouterr().out)["good"] is False
    assert config("check") == 0
    assert "is not there: defaults" in capsys.readouterr().out


def test_show_says_where_values_come_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[buffer]\nage = "1h"\nsize = "2MiB"\n')
    monkeypatch.setenv(f"{PREFIX}BUFFER_SIZE", "4MiB")
    assert config("show", "-c", str(file), "--set", "log.level=debug", "buffer.age", "buffer.size", "log") == 0
    assert capsys.readouterr().out.splitlines() == [
        'buffer.size = "4MiB"  # environment EDERA_FALCOD_BUFFER_SIZE',
        f'buffer.age = "1h"  # {file}',
        'log.level = "debug"  # --set',
        'log.format = "auto"  # default',
    ]
    assert config("show", "--json", "falco.notices") == 0
    assert json.loads(capsys.readouterr().out) == {"falco.notices": {"value": True, "source": "default", "live": True}}
    assert config("show", "nope") == 2


def test_what_show_prints_can_be_read_again(capsys: pytest.CaptureFixture[str]) -> None:
    config("show")
    loader = Loader()
    for line in capsys.readouterr().out.splitlines():
        name, _, rest = line.partition(" = ")
        loader.set("test", name, tomllib.loads(f"x = {rest}")["x"])
    assert loader.config() == Config()


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """As much of JSON Schema as ours uses."""
    if "anyOf" in schema:
        return any(fits(value, one) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    python: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
    if not any(isinstance(value, python[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds):
        return False
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if isinstance(value, int | float) and not isinstance(value, bool):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    if isinstance(value, list):
        return all(fits(one, schema["items"]) for one in value) if "items" in schema else True
    if isinstance(value, dict):
        return value.keys() <= schema["properties"].keys() and all(fits(one, schema["properties"][key]) for key, one in value.items())
    return True


def test_the_schema_takes_what_the_loader_takes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert config("schema") == 0
    schema = json.loads(capsys.readouterr().out)
    defaults = re.sub(r"^#(\w+ = )", r"\1", configcommand.example(), flags=re.MULTILINE)
    assert fits(tomllib.loads(defaults), schema)
    wrong: tuple[str, ...] = ("[nope]", "[buffer]\nage = true", "[buffer]\nnope = 1", '[log]\nlevel = "loud"', '[falco]\nmode = "rw"')
    wrong += ("[edera]\nmax_zones = 0",)
    for text in wrong:
        assert not fits(tomllib.loads(text), schema), text
        file = tmp_path / "bad.toml"
        file.write_text(text + "\n")
        assert config("check", "-c", str(file)) == 2, text


def test_the_example_is_the_defaults_and_names_every_key(tmp_path: Path) -> None:
    text = configcommand.example()
    file = tmp_path / "c.toml"
    file.write_text(re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert load(str(file), {}) == Config()
    assert len(re.findall(r"^#\w+ = ", text, re.MULTILINE)) == len(options())


def test_the_reference_names_every_key_and_what_is_live() -> None:
    text = configcommand.reference()
    for one in options():
        assert f"### {one.name}{' (live)' if one.name in LIVE else ''}\n" in text
        assert one.doc in text
