"""The one entry point: `edera-falcod COMMAND`. A command's module is imported only when that command is asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Final

# name -> (one line of help, module with add_arguments(parser) and run(args) -> exit code)
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "run": ("run the daemon", "edera_falcod.daemon"),
    "tail": ("show live events of the zones", "edera_falcod.ops.tailcommand"),
    "ctl": ("ask the running daemon how it is", "edera_falcod.ops.command"),
    "config": ("check, show and document the configuration", "edera_falcod.ops.configcommand"),
    "doctor": ("find out what is wrong, from Edera to Falco", "edera_falcod.ops.doctor"),
    "rules": ("make, check and expand Falco rules for zones", "edera_falcod.rules.command"),
    "fields": ("list the fields that rules may use", "edera_falcod.ops.fieldlist"),
    "replay": ("send a capture through the whole pipeline and print its events", "edera_falcod.replay"),
    "sim": ("simulate an Edera host whose zones play captures", "edera_falcod.sim.command"),
    "version": ("print versions", "edera_falcod.ops.version"),
}

EPILOG: Final = """examples:
  edera-falcod run                        the daemon, with /etc/edera-falcod/config.toml if it is there
  edera-falcod ctl status                 is it well? (the exit code says so too)
  edera-falcod doctor                     what is wrong, from Edera to Falco, and what to do
  edera-falcod tail 'evt.type = execve'     new programs of all zones, as they start
  edera-falcod fields proc                fields whose name begins with proc
  edera-falcod replay capture.scap --fields evt.type,proc.name
  edera-falcod COMMAND --help             options and examples of a command"""


def parser(command: str | None) -> argparse.ArgumentParser:
    """The parser of ``command``'s options; with None, of all commands' names only."""
    top = argparse.ArgumentParser(
        prog="edera-falcod",
        description="Makes the system calls of Edera zones visible to Falco.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="store_true", help="print versions and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, (text, module) in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        if name == command:
            importlib.import_module(module).add_arguments(sub)
    return top


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    command = next((word for word in argv if not word.startswith("-")), None)
    top = parser(command if command in COMMANDS else None)
    args = top.parse_args(argv)
    if args.version:
        args.command = "version"
    if args.command is None:
        top.print_help()
        return 2
    try:
        return int(importlib.import_module(COMMANDS[args.command][1]).run(args))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
