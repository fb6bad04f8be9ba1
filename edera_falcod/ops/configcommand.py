"""`edera-falcod config`: is the configuration good, what is in force and where each value comes from, and what can be set at all."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from typing import Any, Final

from .. import config as c
from .reload import LIVE

EPILOG: Final = """examples:
  edera-falcod config check                      the file that the daemon would read, and the environment
  edera-falcod config check -c ./falcod.toml
  edera-falcod config show                       every key with its value and where that comes from
  edera-falcod config show buffer.size
  edera-falcod config example > /etc/edera-falcod/config.toml
exit code: 0 good, 2 not (it is said what, where, and what is allowed)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="config_command", metavar="COMMAND", required=True)
    for name, text in (("check", "say whether the configuration is good"), ("show", "every value in force and its source")):
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.add_argument("-c", "--config", metavar="FILE", help=f"the file (default: {c.DEFAULT_FILE} if it is there)")
        sub.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="as with run; repeatable")
        sub.add_argument("--json", action="store_true", help="one JSON object")
        if name == "show":
            sub.add_argument("keys", metavar="KEY", nargs="*", help="only these keys, or sections")
    for name, text in (
        ("schema", "a JSON schema of the file, for editors"),
        ("reference", "all keys as a page of Markdown"),
        ("example", "all keys as a commented file"),
    ):
        commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")


def loaded(file: str | None, flags: list[str]) -> tuple[c.Config, c.Loader, str]:
    """The configuration, where its values come from, and the file that was read ("" for none). Raises ConfigError."""
    config = c.load(file, flags=flags)
    loader = c.Loader()
    named = file if file is not None else os.environ.get(c.PREFIX + "CONFIG")
    path = named if named is not None else c.DEFAULT_FILE
    loader.file(path, required=named is not None)
    loader.environment(os.environ)
    for flag in flags:
        loader.flag(flag)
    return config, loader, path if os.path.exists(path) else ""


def value(config: c.Config, one: c.Option) -> Any:
    return getattr(getattr(config, one.section), one.key)


def _json(found: Any) -> Any:
    return list(found) if isinstance(found, tuple) else found


def sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def schema_of(kind: c.Kind) -> dict[str, Any]:
    """What a value of this kind may be in the file, as far as a schema can say it."""
    if isinstance(kind, c.Choice):
        return {"enum": list(kind.words)}
    if isinstance(kind, c.Bool):
        return {"type": "boolean"}
    if isinstance(kind, c.Whole):
        return {"type": "integer", "minimum": kind.least, "maximum": kind.most}
    if isinstance(kind, c.Mode):
        return {"type": "string", "pattern": "^0?[0-7]{3}$"}
    if isinstance(kind, c.Size):
        text = {"type": "string", "pattern": "^[0-9]+ *([Bb]|[KkMmGg][Ii][Bb])?$"}
        return {"anyOf": [{"type": "integer", "minimum": kind.least, "maximum": kind.most}, text]}
    if isinstance(kind, c.Time):
        text = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *([Mm][Ss]|[SsMmHh])?$"}
        return {"anyOf": [{"type": "number", "minimum": kind.least, "maximum": kind.most}, text]}
    if isinstance(kind, c.Words):
        return {"type": "array", "items": {"type": ["string", "integer"]}}
    if isinstance(kind, c.OneGroup):
        return {"type": ["string", "integer"]}
    if isinstance(kind, c.PathKind):
        return {"type": "string", "pattern": "^/"}
    if isinstance(kind, c.OptionalPath):
        return {"type": "string", "pattern": "^(/.*)?$"}
    return {"type": ["string", "array"]}


def schema() -> dict[str, Any]:
    sections: dict[str, Any] = {}
    for section in dataclasses.fields(c.Config):
        assert callable(section.default_factory)
        keys = {
            one.key: {"description": f"{one.doc} {sentence(one.kind.allowed)}.", **schema_of(one.kind)}
            for one in c.options()
            if one.section == section.name
        }
        doc = (type(section.default_factory()).__doc__ or "").strip()
        sections[section.name] = {"type": "object", "description": doc, "additionalProperties": False, "properties": keys}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of edera-falcod",
        "type": "object",
        "additionalProperties": False,
        "properties": sections,
    }


def example() -> str:
    """examples/config.toml."""
    head = "# Configuration of edera-falcod: every key with its default. Made by `edera-falcod config example`.\n"
    return f"{head}# `edera-falcod config check` says whether it is good.\n\n{c.reference().rstrip()}\n"


def reference() -> str:
    """docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "<!-- Made by tools/generate_docs.py from edera_falcod/config.py: run `make generate`. -->",
        "",
        f"One TOML file, `{c.DEFAULT_FILE}` or what `--config` or `{c.PREFIX}CONFIG` name; the environment over it; flags over both.",
        "A key `section.key` of the file is the variable `EDERA_FALCOD_SECTION_KEY` and the flag `--set section.key=VALUE`. Lists are",
        "separated by commas there. An unknown key or a bad value is an error that names the place, the key, the value and what is",
        "allowed.",
        "",
        "`edera-falcod config check` says whether it is good, `config show` what is in force and where from, `config schema` prints a",
        "schema for editors, `config example` a commented file (`examples/config.toml`).",
        "",
        "Keys marked *live* change without a restart: `systemctl reload edera-falcod`, SIGHUP or `edera-falcod ctl reload`, which says",
        "what is in force now and what still needs a restart. No stream and no connection is dropped. A configuration that is not good",
        "changes nothing.",
    ]
    for section in dataclasses.fields(c.Config):
        assert callable(section.default_factory)
        lines += ["", f"## [{section.name}]", "", (type(section.default_factory()).__doc__ or "").strip()]
        for one in c.options():
            if one.section == section.name:
                live = " (live)" if one.name in LIVE else ""
                lines += ["", f"### {one.name}{live}", "", one.doc, "", f"{sentence(one.kind.allowed)}."]
                shown = one.kind.show(one.default)
                if isinstance(one.default, tuple) and len(shown) > 100:
                    shown = "[\n" + "".join([f'    "{word}",\n' for word in one.default]) + "]"
                lines += ["", "```toml", f"{one.key} = {shown}", "```"]
    return "\n".join(lines) + "\n"


def run(args: argparse.Namespace) -> int:
    if args.config_command == "schema":
        print(json.dumps(schema(), indent=2))
        return 0
    if args.config_command in ("reference", "example"):
        print(reference() if args.config_command == "reference" else example(), end="")
        return 0
    try:
        config, loader, path = loaded(args.config, args.set)
    except c.ConfigError as error:
        if args.json:
            print(json.dumps({"good": False, "error": str(error)}))
        else:
            print(f"edera-falcod: {error}", file=sys.stderr)
        return 2
    options = c.options()
    if args.config_command == "check":
        if args.json:
            print(json.dumps({"good": True, "file": path, "set": loader.sources}))
        else:
            where = path or f"{c.DEFAULT_FILE} is not there: defaults"
            print(f"the configuration is good ({where}; {len(loader.sources)} of {len(options)} keys are set)")
        return 0
    unknown = [key for key in args.keys if not any(key in (one.name, one.section) for one in options)]
    if unknown:
        print(f"edera-falcod: {unknown[0]}: there is no such key; see: edera-falcod config show", file=sys.stderr)
        return 2
    chosen = [one for one in options if not args.keys or one.name in args.keys or one.section in args.keys]
    if args.json:
        rows = {
            one.name: {"value": _json(value(config, one)), "source": loader.sources.get(one.name, "default"), "live": one.name in LIVE}
            for one in chosen
        }
        print(json.dumps(rows))
        return 0
    for one in chosen:
        source = loader.sources.get(one.name, "default")
        print(f"{one.name} = {one.kind.show(value(config, one))}  # {source}")
    return 0
