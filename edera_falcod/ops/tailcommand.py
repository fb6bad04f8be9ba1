"""`edera-falcod tail`, also `ctl tail`: how it is asked. Apart from what it does, which takes all fields into memory."""

from __future__ import annotations

import argparse
from typing import Final

DEFAULT_OUTPUT: Final = "%evt.time %edera.zone.name %proc.name(%proc.vpid) %evt.type %evt.args"

EPILOG: Final = """examples:
  edera-falcod tail
  edera-falcod tail 'evt.type in (execve, execveat) and not proc.name in (sh, bash)'
  edera-falcod tail 'fd.sport = 443 and user.uid != 0' -o '%edera.zone.name %proc.cmdline %fd.name'
  edera-falcod tail -o '%evt.time %evt.type %proc.cmdline %fd.name'
  edera-falcod tail --zone web-1 --zone 0d9c6a4e-...          only these zones, by name or id
  edera-falcod tail --json --fields evt.type,proc.name | jq .
  edera-falcod tail -n 10                                     ten events, then stop

A CONDITION is in Falco's language, written as for the host or for zones; macros and lists are not known here. `edera-falcod fields`
lists what it may name. It filters what is shown: notices are shown whatever it says, unless --no-notices is given.

tail sees what comes from now on; it takes nothing from Falco, and when it is too slow only it loses events (which it says).

exit code: 0 ended as asked; 1 the daemon refuses; 2 the daemon cannot be had, or asked wrongly"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    default = DEFAULT_OUTPUT.replace("%", "%%")
    parser.add_argument(
        "condition", nargs="*", metavar="CONDITION", help="show only events for which this is true; its words may be given apart"
    )
    parser.add_argument("-o", "--output", metavar="FORMAT", help=f"text with %%fields as in a rule's output (default: {default})")
    parser.add_argument("-j", "--json", action="store_true", help="one JSON object an event")
    parser.add_argument("-f", "--fields", metavar="A,B", help="the fields of --json")
    parser.add_argument("-z", "--zone", action="append", default=[], metavar="ID|NAME", help="only events of this zone; may be repeated")
    parser.add_argument("-n", "--count", type=int, default=0, metavar="N", help="stop after N events")
    parser.add_argument("--no-notices", action="store_true", help="leave notices out")
    parser.add_argument("--no-wait", action="store_true", help="fail when the daemon is not there, or goes, instead of waiting for it")
    parser.add_argument("--socket", metavar="PATH", help="the daemon's consumer socket (default: as configured)")
    parser.add_argument("-c", "--config", metavar="FILE", help="the configuration to find the socket in")


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 ended as asked, 1 the daemon refuses, 2 it cannot be had or was asked wrongly."""
    from . import tail

    return tail.run(args)
