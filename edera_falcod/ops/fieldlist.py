"""`edera-falcod fields`: what rules may name."""

from __future__ import annotations

import argparse
import difflib
import json
import shutil
import sys
import textwrap

from ..fields import registry
from ..fields.catalog import FIELDS
from ..fields.spec import Arg, Field, Type

EPILOG = """examples:
  edera-falcod fields                 every field but the hidden ones, with its type and meaning
  edera-falcod fields fd. proc.name   only fields whose name begins so
  edera-falcod fields --all evt.rawarg.
  edera-falcod fields --json          for scripts: an array of objects as in the plugin API
  edera-falcod fields --markdown      the reference page"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("prefix", nargs="*", metavar="PREFIX", help="only fields whose name begins with this")
    parser.add_argument("--all", action="store_true", help="also evt.arg.NAME and its like, and what is there only so that rules load")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON array of all fields")
    form.add_argument("--markdown", action="store_true", help="the reference page")


def _type(field: Field) -> str:
    name = "signed" if field.type is Type.SIGNED else registry.PLUGIN_TYPES[field.type]
    return f"{name} list" if field.is_list else name


def _name(field: Field) -> str:
    what = {0: "", int(Arg.INDEX): "n", int(Arg.KEY): "KEY", int(Arg.INDEX_OR_KEY): "n|KEY"}[int(field.arg) & 3]
    if not what:
        return field.name
    return f"{field.name}[{what}]" if field.arg & Arg.REQUIRED else f"{field.name}, {field.name}[{what}]"


def _ordinary(field: Field) -> bool:
    return not field.hidden and not field.name.startswith(("evt.arg.", "evt.rawarg.", "evt.type.is."))


def run(args: argparse.Namespace) -> int:
    if args.markdown:
        from ..fields.markdown import markdown

        print(markdown(), end="")
        return 0
    prefixes: list[str] = args.prefix
    chosen = [field for field in FIELDS if not prefixes or field.name.startswith(tuple(prefixes))]
    for prefix in prefixes:
        if not any(field.name.startswith(prefix) for field in chosen):
            close = difflib.get_close_matches(prefix, [field.name for field in FIELDS], n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            print(f"edera-falcod fields: no field begins with {prefix}{hint}", file=sys.stderr)
            return 1
    if args.json:
        names = {field.name for field in chosen}
        print(json.dumps([entry for entry in registry.fields_json() if entry["name"] in names], indent=1))
        return 0
    shown = chosen if args.all else [field for field in chosen if _ordinary(field)]
    if not shown:
        shown = chosen
    width = max(40, min(shutil.get_terminal_size((80, 24)).columns, 120))
    for field in shown:
        print(f"{_name(field)}  ({_type(field)})")
        text = field.doc + (f" ({field.note})" if field.note else "")
        print(textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    "))
    if len(shown) < len(chosen):
        print(f"{len(chosen) - len(shown)} more with --all", file=sys.stderr)
    return 0
