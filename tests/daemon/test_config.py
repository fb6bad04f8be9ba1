from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from edera_falcod import config
from edera_falcod.config import ConfigError, load


def test_defaults_need_no_file() -> None:
    found = load(None, {"EDERA_FALCOD_CONFIG": "/dev/null"})
    assert found == config.Config()
    assert found.falco.consumers == ("falco",)


def test_file_then_environment_then_flags(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[buffer]\nsize = "2MiB"\nage = 30\n[log]\nlevel = "error"\n[falco]\nmode = "0600"\nconsumers = ["a", "b"]\n')
    environ = {"EDERA_FALCOD_BUFFER_AGE": "2m", "EDERA_FALCOD_LOG_LEVEL": "info", "EDERA_FALCOD_REQUIRE_SINSP": "1"}
    found = load(str(file), environ, ["log.level=debug", "edera.max_zones = 5"])
    assert found.buffer.size == 2 << 20
    assert found.buffer.age == 120.0
    assert found.log.level == "debug"
    assert found.falco.mode == 0o600
    assert found.falco.consumers == ("a", "b")
    assert found.edera.max_zones == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[bufer]\nsize = "1MiB"', r"c\.toml: bufer: there is no such section; did you mean buffer\?"),
        ('[buffer]\nsiz = "1MiB"', r"c\.toml: buffer\.siz: there is no such key; did you mean buffer\.size\?"),
        ("size = 3", r"c\.toml: size: a key outside of any section"),
        ('[buffer]\nsize = "1 light year"', r"c\.toml: buffer\.size = '1 light year': must be a size from 1MiB to 8GiB"),
        ("[buffer]\nsize = 1", r"buffer\.size = 1: must be a size from 1MiB"),
        ("[buffer]\nsize = true", r"buffer\.size = True: must be a size"),
        ("[buffer]\nage = -1", r"buffer\.age = -1: must be a time from 1s to 24h"),
        ('[falco]\nmode = 660', r'falco\.mode = 660: must be an octal file mode as text, "0600"'),
        ('[falco]\nsocket = "falco.sock"', r"falco\.socket = 'falco\.sock': must be an absolute path"),
        ('[falco]\nconsumers = ["a b"]', r"falco\.consumers = \['a b'\]: must be a list of consumer names"),
        ('[falco]\nallow_users = ["no-such-user"]', r"falco\.allow_users = .*: must be a list of user names or numbers that exist"),
        ('[ctl]\ngroup = "no-such-group"', r"ctl\.group = 'no-such-group': must be the name or number of a group on this host"),
        ('[log]\nlevel = "loud"', r"log\.level = 'loud': must be one of debug, info, warning, error"),
        ('[edera]\nmax_zones = "many"', r"edera\.max_zones = 'many': must be a whole number from 1 to 100000"),
        ("[falco]\nnotices = 1", r"falco\.notices = 1: must be true or false"),
        ("[log]\n[buffer\n", r"c\.toml: is not TOML: .*line 2"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_is_allowed(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load(str(file), {})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: there is no such file"):
        load(str(tmp_path / "nowhere.toml"), {})
    (tmp_path / "latin.toml").write_bytes(b"[log]\n# \xff")
    with pytest.raises(ConfigError, match=r"is not UTF-8 at byte 8"):
        load(str(tmp_path / "latin.toml"), {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(str(tmp_path), {})


@pytest.mark.parametrize(
    ("environ", "flags", "says"),
    [
        ({"EDERA_FALCOD_BUFFER_SISE": "1MiB"}, [], r"environment EDERA_FALCOD_BUFFER_SISE: .* did you mean EDERA_FALCOD_BUFFER_SIZE\?"),
        ({"EDERA_FALCOD_BUFFER_SIZE": "x"}, [], r"environment EDERA_FALCOD_BUFFER_SIZE: buffer\.size = 'x': must be a size"),
        ({}, ["buffer.size"], r"--set buffer\.size: must be SECTION\.KEY=VALUE"),
        ({}, ["buffer.size=x"], r"--set: buffer\.size = 'x': must be"),
    ],
)
def test_environment_and_flags_are_checked_alike(environ: dict[str, str], flags: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load("/dev/null", environ, flags)


def test_the_reference_is_a_configuration_and_names_every_key(tmp_path: Path) -> None:
    text = config.reference()
    file = tmp_path / "c.toml"
    file.write_text(re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE))
    keys = {f"{section}.{key}" for section, part in tomllib.loads(file.read_text()).items() for key in part}
    assert keys == {option.name for option in config.options()}
    assert load(str(file), {}) == config.Config()
    assert all(option.doc.endswith(".") for option in config.options())


@pytest.mark.parametrize(
    ("text", "value"), [("1048576", 1 << 20), ("1 MiB", 1 << 20), ("1mib", 1 << 20), ("2048KiB", 2 << 20), ("1GiB", 1 << 30)]
)
def test_sizes(text: str, value: int) -> None:
    assert load("/dev/null", {}, [f"buffer.size={text}"]).buffer.size == value


@pytest.mark.parametrize(("text", "value"), [("90", 90.0), ("1500ms", 1.5), ("1.5s", 1.5), ("2m", 120.0), ("1h", 3600.0)])
def test_times(text: str, value: float) -> None:
    assert load("/dev/null", {}, [f"buffer.age={text}"]).buffer.age == value
