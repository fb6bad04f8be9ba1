"""Invariant: any file, environment and flags give a configuration whose every value is allowed, or an error that says what is wrong."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from edera_falcod import config
from edera_falcod.config import ConfigError, Group, Kind, Mode, OneGroup, Size, Time, User, Whole, load, options, reference

from .dice import Dice

FILE, FLAGS, ENVIRONMENT = range(3)
NAMES = tuple(option.name for option in options())


def corpus() -> list[bytes]:
    lines = reference()
    plain = "\n".join(line.removeprefix("#") if line.startswith("#") and " = " in line else line for line in lines.splitlines())
    sections = plain.split("\n[")
    found = [bytes([FILE]) + lines.encode(), *(bytes([FILE]) + f"[{section}".encode() for section in sections[1:])]
    values = (b"1", b"64MiB", b"/x", b"root", b"5s", b"a,b")
    found += [bytes([FLAGS, index]) + value for index in range(len(NAMES)) for value in values]
    found += [bytes([ENVIRONMENT, index]) + b"10" for index in range(0, len(NAMES), 3)]
    return found


@cache
def path() -> Path:
    return Path(tempfile.mkdtemp()) / "config.toml"


def allowed(kind: Kind, value: object) -> bool:
    if isinstance(kind, Size | Time | Whole):
        assert isinstance(value, int | float)
        return kind.least <= value <= kind.most
    if isinstance(kind, Mode):
        return isinstance(value, int) and 0 <= value <= 0o777
    if isinstance(kind, User | Group):
        assert isinstance(value, tuple)
        return all(0 <= kind.number(word) < (1 << 32) - 1 for word in value)
    if isinstance(kind, OneGroup):
        return value == "" or 0 <= Group.number(str(value)) < (1 << 32) - 1
    return bool(kind.read(value) == value)


def one(data: bytes) -> None:
    dice = Dice(data)
    kind = dice.below(3)
    environ: dict[str, str] = {}
    flags: list[str] = []
    path().write_bytes(b"")
    if kind == FILE:
        path().write_bytes(dice.rest())
    else:
        name = NAMES[dice.below(256) % len(NAMES)]
        value = dice.rest().decode("utf-8", "surrogateescape")
        if kind == FLAGS:
            flags = [f"{name}={value}"]
        else:
            environ = {config.PREFIX + name.replace(".", "_").upper(): value}
    try:
        made = load(str(path()), environ, flags)
    except ConfigError as error:
        assert str(error)
        return
    for option in options():
        value = getattr(getattr(made, option.section), option.key)
        assert allowed(option.kind, value), f"{option.name} = {value!r}"
