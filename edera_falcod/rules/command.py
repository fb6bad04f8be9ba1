"""``edera-falcod rules``: retarget, check and expand Falco rules files."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, Final

from .expand import Expansion
from .rename import renamed
from .retarget import SOURCE, Change, Report, Retarget
from .ruleset import MAX_FILE, RulesError, RulesFile, read
from .syscalls import all_codes, configured, missing, name_of, needed

SHOWN: Final = 400  # characters of what a comparison becomes; with one for each ancestor it is long
EPILOG = """examples:
  edera-falcod rules retarget falco_rules.yaml > zone_rules.yaml
      the rules for zones on stdout, what was changed and why on stderr
  edera-falcod rules retarget -o /etc/falco/zone-rules.d falco_rules.yaml local_rules.yaml
      each file under its own name into a folder; later files see the macros and lists of those before
  edera-falcod rules retarget --beside-host -o /etc/falco/zone-rules.d /etc/falco/falco_rules.yaml
      for a Falco that watches the host's system calls too: no name is taken twice
  edera-falcod rules check zone_rules.yaml
      exit 1 when a rule would not load for zones, or still is one for the host's system calls
  edera-falcod rules check --syscalls state,openat,execve zone_rules.yaml
      as well: warn of rules that need a system call which zones are not asked for
  edera-falcod rules syscalls zone_rules.yaml
      the system calls that the rules and the state of zones need, each with its reasons
  edera-falcod rules expand --json zone_rules.yaml
      every rule with macros, lists and exceptions put in"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="rules_command", required=True, metavar="COMMAND")
    retarget = commands.add_parser("retarget", help="make rules for the host's system calls rules for zones")
    retarget.add_argument("files", nargs="+", metavar="FILE", help="rules files in the order in which Falco loads them")
    retarget.add_argument("-o", "--output", metavar="FOLDER", type=Path, help="write each file here under its name (else all to stdout)")
    retarget.add_argument(
        "--beside-host", action="store_true", help="give rules, macros and lists names of their own, to load beside the originals"
    )
    retarget.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything would change or be left out")
    retarget.add_argument("--json", action="store_true", help="the report as one JSON object on stdout (with -o or --check)")
    check = commands.add_parser("check", help="say what would keep rules from loading for zones")
    check.add_argument("files", nargs="+", metavar="FILE")
    check.add_argument("--json", action="store_true", help="the report as one JSON object")
    check.add_argument(
        "--syscalls", metavar="NAMES", help="what zones are asked for (all, or as edera.syscalls lists them): warn of rules that need more"
    )
    syscalls = commands.add_parser("syscalls", help="print the system calls that rules for zones and state need, and why")
    syscalls.add_argument("files", nargs="+", metavar="FILE")
    syscalls.add_argument("--json", action="store_true", help="one JSON object")
    expand = commands.add_parser("expand", help="print rules with macros, lists and exceptions put in")
    expand.add_argument("files", nargs="+", metavar="FILE")
    expand.add_argument("--json", action="store_true", help="one JSON object for each rule")


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 all well, 1 something to mend (see the report), 2 a file that cannot be used."""
    try:
        match args.rules_command:
            case "retarget":
                return _retarget(args)
            case "check":
                return _check(args)
            case "syscalls":
                return _syscalls(args)
        return _expand(args)
    except RulesError as error:
        print(f"edera-falcod rules: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"edera-falcod rules: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2


def _read(path: str) -> RulesFile:
    with open(path, "rb") as stream:
        data = stream.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise RulesError(f"{path}: more than {MAX_FILE} bytes")
    try:
        return read(path, data.decode("utf-8"))  # line ends stay as they are
    except UnicodeDecodeError as error:
        raise RulesError(f"{path}: not UTF-8 at byte {error.start}") from None


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "changes": [dataclasses.asdict(change) for change in report.changes],
        "left_out": [dataclasses.asdict(change) for change in report.left_out],
        "warnings": [dataclasses.asdict(change) for change in report.warnings],
        "carried": report.carried,
        "untouched": report.untouched,
    }


def _lines(report: Report) -> list[str]:
    def line(word: str, change: Change) -> str:
        text = f"{change.file}:{change.line}: {word} {change.entry}: {change.reason}"
        if change.after:
            before = " ".join(change.before.split())
            after = change.after if len(change.after) <= SHOWN else change.after[:SHOWN] + " ..."
            text += f"\n    {before} -> {after}" if before else f": {after}"
        return text

    out = [line("changed", change) for change in report.changes if change.reason != "source"]
    out += [line("warning:", change) for change in report.warnings]
    out += [line("left out", change) for change in report.left_out]
    sources = sum(change.reason == "source" for change in report.changes)
    out.append(
        f"{len(report.carried)} rules carried over ({sources} given a source), {len(report.left_out)} left out, "
        f"{len(report.untouched)} of other sources untouched, {len(report.changes) - sources} other changes, "
        f"{len(report.warnings)} warnings"
    )
    return out


def _retarget(args: argparse.Namespace) -> int:
    retarget = Retarget()
    files = [_read(path) for path in args.files]
    texts = retarget.files(files)
    report = retarget.report
    if args.beside_host:
        texts = renamed([read(file.path, text) for file, text in zip(files, texts, strict=True)])
    if args.check:
        print(json.dumps(_as_json(report)) if args.json else "\n".join(_lines(report)))
        return 1 if report.changes or report.left_out else 0
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        taken: set[str] = set()
        for file, text in zip(files, texts, strict=True):
            name = Path(file.path).name
            if name in taken:
                raise RulesError(f"two files are called {name}: write them to different folders")
            taken.add(name)
            (args.output / name).write_bytes(text.encode("utf-8"))
        print(json.dumps(_as_json(report)) if args.json else "\n".join(_lines(report)))
        return 0
    if args.json:
        raise RulesError("--json needs -o FOLDER or --check, since the rules themselves go to stdout")
    sys.stdout.write("".join(text if text.endswith("\n") else text + "\n" for text in texts))
    print("\n".join(_lines(report)), file=sys.stderr)
    return 0


def _check(args: argparse.Namespace) -> int:
    retarget = Retarget()
    retarget.files([_read(path) for path in args.files])
    report = retarget.report
    lacking = _lacking(retarget, args.syscalls) if args.syscalls else []
    report.warnings += lacking
    if args.json:
        print(json.dumps(_as_json(report)))
    else:
        todo = "run: edera-falcod rules retarget" if report.changes else "nothing to retarget"
        last = f"{len(report.carried)} rules hold for zones, {len(report.left_out)} do not; {todo}"
        print("\n".join([*_lines(report)[:-1], last]))
    return 1 if report.changes or report.left_out or lacking else 0


def _lacking(retarget: Retarget, words: str) -> list[Change]:
    """A warning for each rule that asks for event types that none of these system calls make."""
    try:
        codes = all_codes() if words == "all" else configured(word.strip() for word in words.split(","))
    except ValueError as error:
        raise RulesError(f"--syscalls {words}: {error}") from None
    carried = set(retarget.report.carried)
    rules = {rule.name: rule for rule in retarget.expansion.all() if rule.name in carried}
    return [
        Change(rules[name].file, rules[name].line, f"rule {name}", f"needs {', '.join(types)}, which zones are not asked for")
        for name, types in missing(list(rules.values()), codes).items()
    ]


def _syscalls(args: argparse.Namespace) -> int:
    expansion = Expansion()
    for path in args.files:
        expansion.add(_read(path))
    rules = [rule for rule in expansion.all() if rule.source == SOURCE]
    if not rules:
        raise RulesError(f"no rule of these files is for source {SOURCE}: retarget them first")
    found = needed(rules)
    if args.json:
        listed = [{"code": code, "name": name_of(code), "reasons": why} for code, why in sorted(found.codes.items())]
        print(json.dumps({"syscalls": listed, "unbounded": found.unbounded}))
        return 0
    for code, why in sorted(found.codes.items(), key=lambda item: name_of(item[0])):
        print(f"{name_of(code):26} {', '.join(why)}")
    for name in found.unbounded:
        print(f"warning: rule {name!r} names no event type: it sees only what zones are asked for anyway", file=sys.stderr)
    return 0


def _expand(args: argparse.Namespace) -> int:
    retarget = Retarget()
    for path in args.files:
        retarget.expansion.add(_read(path))
    for rule in retarget.expansion.all():
        if args.json:
            entry = dataclasses.asdict(rule)
            del entry["tree"]
            print(json.dumps(entry))
        else:
            print(f"{rule.name} ({rule.source}, {rule.priority})\n  condition: {rule.condition}\n  output: {rule.output}\n")
    return 0
