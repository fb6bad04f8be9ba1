"""Man pages and shell completions, made from the command line's own parsers: tools/cli_files.py FOLDER [--date YYYY-MM-DD].

Writes FOLDER/man/edera-falcod.1 and one edera-falcod-COMMAND.1 a command, and FOLDER/completions/{edera-falcod.bash,_edera-falcod,
edera-falcod.fish}. They are made when a package is built and not committed, so they cannot be stale.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edera_falcod import __version__
from edera_falcod.cli import COMMANDS, parser

PROGRAM: Final = "edera-falcod"
# What an argument is called where it names a file: a shell then completes file names.
FILES: Final = ("FILE", "PATH", "CAPTURE", "FOLDER", "RULES", "DIR")
FOLDERS: Final = ("FOLDER", "DIR")


@dataclass
class Argument:
    flags: tuple[str, ...]  # empty: positional
    metavar: str  # empty: takes no value
    help: str
    choices: tuple[str, ...] = ()
    repeated: bool = False


@dataclass
class Command:
    """One parser: ``path`` is what is typed after the program's name."""

    path: tuple[str, ...]
    help: str
    usage: str
    epilog: str
    arguments: list[Argument] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)

    @property
    def options(self) -> list[Argument]:
        return [one for one in self.arguments if one.flags]

    @property
    def positionals(self) -> list[Argument]:
        return [one for one in self.arguments if not one.flags]


def _argument(action: argparse.Action) -> Argument:
    takes = action.nargs != 0
    choices = tuple([str(choice) for choice in action.choices or ()])
    metavar = action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar or ())
    name = metavar or ("{" + ",".join(choices) + "}" if choices else action.dest.upper()) if takes else ""
    text = "" if action.help in (None, argparse.SUPPRESS) else str(action.help) % {"default": action.default, "prog": PROGRAM}
    return Argument(tuple(action.option_strings), name, text, choices, action.nargs in ("*", "+"))


def _command(found: argparse.ArgumentParser, path: tuple[str, ...], text: str) -> Command:
    usage = re.sub(r"\s+", " ", found.format_usage().removeprefix("usage: ")).strip()
    command = Command(path, text, usage, found.epilog or "")
    for action in found._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {one.dest: one.help or "" for one in action._choices_actions}
            for name, sub in action.choices.items():
                command.commands.append(_command(sub, (*path, name), helps.get(name, "")))
        elif action.help != argparse.SUPPRESS:
            command.arguments.append(_argument(action))
    return command


def tree() -> Command:
    """The whole command line."""
    top = _command(parser(None), (), "make the system calls of Edera zones visible to Falco")
    top.commands = []
    for name, (text, _module) in COMMANDS.items():
        actions = [one for one in parser(name)._actions if isinstance(one, argparse._SubParsersAction)]
        top.commands.append(_command(actions[0].choices[name], (name,), text))
    return top


# --- man pages ------------------------------------------------------------------------------------------------------


def roff(text: str) -> str:
    """As text of a man page: nothing in it is taken for a request, a hyphen is what one types."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", text)


def _describe(arguments: list[Argument]) -> list[str]:
    lines: list[str] = []
    for one in arguments:
        names = ", ".join([f"\\fB{roff(flag)}\\fR" for flag in one.flags])
        value = f"\\fI{roff(one.metavar)}\\fR" if one.metavar else ""
        lines += [".TP", " ".join([part for part in (names, value) if part]), roff(one.help) or "\\&"]
    return lines


def _examples(epilog: str) -> list[str]:
    """An epilog as it is printed; a first line `examples:` becomes the section's heading."""
    if not epilog.strip():
        return []
    lines = epilog.strip("\n").split("\n")
    heading = "NOTES"
    if lines[0].strip() == "examples:":
        heading, lines = "EXAMPLES", lines[1:]
    return [f".SH {heading}", ".nf", *[roff(line) if line.strip() else ".sp" for line in lines], ".fi"]


def _body(command: Command, nested: bool) -> list[str]:
    lines: list[str] = []
    if command.positionals:
        lines += [*([] if nested else [".SH ARGUMENTS"]), *_describe(command.positionals)]
    if command.options:
        lines += [*([] if nested else [".SH OPTIONS"]), *_describe(command.options)]
    return lines


def man_page(command: Command, date: str) -> str:
    """The page of one command with all its own commands, or of the program."""
    title = "-".join((PROGRAM, *command.path))
    lines = [
        f'.TH {roff(title).upper()} 1 {date} "{PROGRAM} {__version__}" "User Commands"',
        ".SH NAME",
        f"{roff(title)} \\- {roff(command.help)}",
        ".SH SYNOPSIS",
        f".B {roff(command.usage)}",
    ]
    if not command.path:
        text = "Makes the system calls of Edera zones visible to Falco, with the fields and values of the host."
        lines += [".SH DESCRIPTION", roff(text), ".SH COMMANDS"]
        for one in command.commands:
            lines += [".TP", f"\\fB{roff(one.path[0])}\\fR", f"{roff(one.help)}; see \\fB{roff(PROGRAM + '-' + one.path[0])}\\fR(1)"]
    lines += _body(command, nested=False)
    if command.path and command.commands:
        lines.append(".SH COMMANDS")
        for one in command.commands:
            lines += [f'.SS "{roff(" ".join(one.path))}"', roff(one.help[:1].upper() + one.help[1:]) + ".", ".PP", roff(one.usage)]
            lines += _body(one, nested=True)
            if one.epilog.strip():
                lines += [".PP", ".nf", *[roff(line) if line.strip() else ".sp" for line in one.epilog.strip("\n").split("\n")], ".fi"]
    lines += _examples(command.epilog)
    if not command.path:
        lines += [".SH FILES"]
        for path, text in FILE_LIST:
            lines += [".TP", f"\\fI{roff(path)}\\fR", roff(text)]
    pages = ["edera-falcod"] if command.path else [f"edera-falcod-{one.path[0]}" for one in command.commands]
    lines += [".SH SEE ALSO", ",\n".join([f"\\fB{roff(page)}\\fR(1)" for page in pages]), ".PP", roff("/usr/share/doc/edera-falcod/")]
    return "\n".join(lines) + "\n"


FILE_LIST: Final = (
    ("/etc/edera-falcod/config.toml", "the configuration"),
    ("/run/edera-falcod/falco.sock", "the socket that Falco's plugin connects to"),
    ("/run/edera-falcod/ctl.sock", "the socket of edera-falcod ctl"),
    ("/usr/lib/edera-falcod/libedera_shim.so", "the Falco plugin"),
)


# --- completions ----------------------------------------------------------------------------------------------------


def walk(command: Command) -> list[Command]:
    found = [command]
    for one in command.commands:
        found += walk(one)
    return found


def _kind(one: Argument) -> str:
    """What completes a value: file, folder, choice or nothing."""
    words = re.findall(r"[A-Z]+", one.metavar)
    if one.choices:
        return "choice"
    if any(word in FOLDERS for word in words):
        return "folder"
    return "file" if any(word in FILES for word in words) else ""


def bash(top: Command) -> str:
    """A function that knows, for each command path, its words, and for each option what its value is."""
    rows, values, loose = [], [], []
    for one in walk(top):
        key = " ".join(one.path)
        words = [command.path[-1] for command in one.commands] + [flag for option in one.options for flag in option.flags]
        words += [choice for argument in one.positionals for choice in argument.choices]
        rows.append(f"        {_quote(key)}) words={_quote(' '.join(words))} ;;")
        if any(_kind(argument) in ("file", "folder") for argument in one.positionals):
            loose.append(f"{_quote(key)}) files=1 ;;")
        for option in one.options:
            if option.metavar:
                patterns = "|".join([_quote(f"{key} {flag}") for flag in option.flags])
                action = {
                    "file": 'COMPREPLY=($(compgen -f -- "$cur"))',
                    "folder": 'COMPREPLY=($(compgen -d -- "$cur"))',
                    "choice": f'COMPREPLY=($(compgen -W {_quote(" ".join(option.choices))} -- "$cur"))',
                }.get(_kind(option), "")
                values.append(f"        {patterns}) {action + '; ' if action else ''}return ;;")
    groups = " | ".join([_quote(" ".join(one.path)) for one in walk(top) if one.path])
    return BASH.format(groups=groups, rows="\n".join(rows), values="\n".join(values), loose="\n        ".join(loose))


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


BASH: Final = """# bash completion for edera-falcod; made by tools/cli_files.py
_edera_falcod() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} path='' words='' files=0 i
    # The command's path: words that continue a known one.
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${{path:+$path }}${{COMP_WORDS[i]}}" in
            {groups}) path="${{path:+$path }}${{COMP_WORDS[i]}}" ;;
        esac
    done
    COMPREPLY=()
    compopt +o filenames 2>/dev/null
    case "$path ${{COMP_WORDS[COMP_CWORD - 1]}}" in
{values}
    esac
    case "$path" in
{rows}
    esac
    case "$path" in
        {loose}
    esac
    if [[ $cur != -* ]]; then
        local word kept=''
        for word in $words; do [[ $word == -* ]] || kept+=" $word"; done
        words=$kept
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    if [[ $files = 1 && $cur != -* ]]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY+=($(compgen -f -- "$cur"))
    fi
}}
complete -F _edera_falcod edera-falcod
"""


def _zsh_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:").replace("'", "'\\''")


def _zsh_value(one: Argument) -> str:
    action = {"file": "_files", "folder": "_files -/", "choice": f"({' '.join(one.choices)})"}.get(_kind(one), "")
    return f":{_zsh_text(one.metavar.lower())}:{action}"


def zsh(top: Command) -> str:
    """One function a command; _arguments does the rest."""
    parts = ["#compdef edera-falcod", "# zsh completion for edera-falcod; made by tools/cli_files.py"]
    for one in walk(top):
        specs = []
        for option in one.options:
            for flag in option.flags:
                others = f"({' '.join(option.flags)})" if len(option.flags) > 1 else ""
                specs.append(f"'{others}{flag}[{_zsh_text(option.help)}]{_zsh_value(option) if option.metavar else ''}'")
        if one.commands:
            specs += ["'1: :->command'", "'*:: :->rest'"]
        else:
            for place, argument in enumerate(one.positionals, 1):
                specs.append(f"'{'*' if argument.repeated else place}{_zsh_value(argument)}'")
        name = "_" + "_".join([PROGRAM, *one.path]).replace("-", "_")
        body = [f"{name}() {{", "    local curcontext=$curcontext state line; typeset -A opt_args"]
        body.append("    _arguments -C \\\n        " + " \\\n        ".join(specs))
        if one.commands:
            words = " ".join([f"'{command.path[-1]}:{_zsh_text(command.help)}'" for command in one.commands])
            body.append(f"    local -a commands=({words})")
            cases = "\n".join([f"                {sub.path[-1]}) {name}_{sub.path[-1].replace('-', '_')} ;;" for sub in one.commands])
            body.append(
                "    case $state in\n        command) _describe command commands ;;\n        rest)\n"
                f"            case $line[1] in\n{cases}\n            esac ;;\n    esac"
            )
        parts.append("\n".join([*body, "}"]))
    main = "_" + PROGRAM.replace("-", "_")
    # Sourced (compdef) or autoloaded as _edera-falcod.
    parts.append(f'if [ "$funcstack[1]" = "_{PROGRAM}" ]; then {main} "$@"; else compdef {main} {PROGRAM}; fi')
    return "\n\n".join(parts) + "\n"


def fish(top: Command) -> str:
    lines = ["# fish completion for edera-falcod; made by tools/cli_files.py", f"complete -c {PROGRAM} -f"]
    for one in walk(top):
        if one.path:
            condition = "; and ".join([f"__fish_seen_subcommand_from {word}" for word in one.path])
        else:
            condition = "not __fish_seen_subcommand_from " + " ".join([command.path[0] for command in top.commands])
        below = " ".join([command.path[-1] for command in one.commands])
        deeper = f"; and not __fish_seen_subcommand_from {below}" if below and one.path else ""
        for command in one.commands:
            lines.append(f"complete -c {PROGRAM} -n {_fish(condition + deeper)} -a {command.path[-1]} -d {_fish(command.help)}")
        for option in one.options:
            names = " ".join([("-l " + flag[2:]) if flag.startswith("--") else ("-s " + flag[1:]) for flag in option.flags])
            value = ""
            if option.metavar:
                value = {"file": " -r -F", "folder": " -x -a '(__fish_complete_directories)'"}.get(_kind(option), " -x")
                if option.choices:
                    value = f" -x -a {_fish(' '.join(option.choices))}"
            lines.append(f"complete -c {PROGRAM} -n {_fish(condition + deeper)} {names}{value} -d {_fish(option.help)}")
        for argument in one.positionals:
            if _kind(argument) in ("file", "folder"):
                lines.append(f"complete -c {PROGRAM} -n {_fish(condition)} -F")
            elif argument.choices:
                lines.append(f"complete -c {PROGRAM} -n {_fish(condition)} -a {_fish(' '.join(argument.choices))}")
    return "\n".join(lines) + "\n"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def write(folder: Path, date: str) -> list[Path]:
    top = tree()
    man, completions = folder / "man", folder / "completions"
    man.mkdir(parents=True, exist_ok=True)
    completions.mkdir(parents=True, exist_ok=True)
    files = {man / f"{'-'.join((PROGRAM, *one.path))}.1": man_page(one, date) for one in (top, *top.commands)}
    files[completions / "edera-falcod.bash"] = bash(top)
    files[completions / "_edera-falcod"] = zsh(top)
    files[completions / "edera-falcod.fish"] = fish(top)
    for path, text in files.items():
        path.write_text(text)
    return list(files)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--date", default=datetime.datetime.now(tz=datetime.UTC).date().isoformat(), help="of the man pages")
    args = options.parse_args()
    print("\n".join([str(path) for path in write(args.folder, args.date)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
