"""Which system calls zones are asked for, why each of them, and what the loaded rules would need beside them.

``edera.syscalls`` says how they are chosen (config.py). The rules files are read at the start and on reload, never because they have
changed: what is asked of zones changes when the operator says so, as with Falco's own rules.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

from .edera.zones import Zones
from .ops.proto.ctl import GetSyscallsReply, Syscall, ZoneSyscalls
from .rules.expand import ExpandedRule, Expansion
from .rules.retarget import SOURCE
from .rules.ruleset import MAX_FILE, RulesError, read
from .rules.syscalls import ALWAYS, all_codes, codes_by_type, configured, name_of, needed, warnings

MAX_FILES: Final = 1000  # rules files; a pattern such as /** is a mistake
NOBODY_MIRRORS: Final = (
    "edera.syscalls = mirror, and no consumer tells what its host's driver has enabled: zones send their default set; "
    "set mirror_host_syscalls in the plugin's init_config, and see Falco's log"
)
SUFFIXES: Final = (".yaml", ".yml")


def files_of(paths: tuple[str, ...]) -> list[Path]:
    """The files behind paths, folders and patterns, as Falco orders them: a folder's by name. Raises RulesError for what is not there."""
    found: list[Path] = []
    for text in paths:
        named = sorted(Path(name) for name in glob.iglob(text)) if glob.has_magic(text) else [Path(text)]
        if not named:
            raise RulesError(f"{text}: no file is called so")
        for path in named:
            if path.is_dir():
                found += sorted(one for one in path.iterdir() if one.suffix in SUFFIXES and one.is_file())
            else:
                found.append(path)
            if len(found) > MAX_FILES:
                raise RulesError(f"{text}: more than {MAX_FILES} files")
    return list(dict.fromkeys(found))


def rules_of(paths: tuple[str, ...]) -> list[ExpandedRule]:
    """The rules for zones of these files, loaded as Falco does. Raises RulesError."""
    expansion = Expansion()
    for path in files_of(paths):
        try:
            if path.stat().st_size > MAX_FILE:
                raise RulesError(f"{path}: larger than {MAX_FILE} bytes")
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise RulesError(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise RulesError(f"{path}: not UTF-8 at byte {error.start}") from None
        expansion.add(read(str(path), text))
    return [expansion.expanded(rule) for rule in expansion.rules.values() if str(rule.data.get("source", "syscall")) == SOURCE]


@final
class SyscallSet:
    """The choice that is in force. ``codes``: ppm_sc code -> why; none: the zones' default set. ``problems``: why the choice could not be
    made as configured, and which rules see less than they ask for."""

    def __init__(self, log: Any) -> None:
        self.choice = "default"
        self.codes: dict[int, list[str]] = {}
        self.problems: list[str] = []
        self.rules: list[ExpandedRule] = []
        self._log = log
        self._mirrored: dict[int, list[str]] = {}
        self._fault = ""

    def configure(self, choice: str, paths: tuple[str, ...]) -> None:
        """Take this choice, and read the rules files. Where they cannot be read, what was known of rules stays in force."""
        self.choice = choice
        self._fault = ""
        try:
            self.rules = rules_of(paths)
            if paths and not self.rules:
                self._fault = f"no rule of edera.rules_files is for source {SOURCE}; see: edera-falcod rules retarget"
        except RulesError as error:
            self._fault = f"rules files cannot be used: {error}"
        if self._fault:
            self._log.error("rules files", problem=self._fault)
        self._choose()

    def mirror(self, sets: Mapping[str, list[int]]) -> bool:
        """Consumers mirror these sets, by name. True if zones have to be asked for another set. With none, the last ones stay: a Falco
        that restarts wants the same again."""
        before = tuple(self.codes)
        if sets:
            self._mirrored = {}
            for consumer, codes in sorted(sets.items()):
                for code in codes:
                    self._mirrored.setdefault(code, []).append(f"mirrored by {consumer}")
            self._choose()
        return tuple(self.codes) != before

    @property
    def asked(self) -> tuple[int, ...]:
        """For Zones.set_syscalls."""
        return tuple(self.codes)

    def _choose(self) -> None:
        match self.choice:
            case "all":
                codes: dict[int, list[str]] = {code: ["all"] for code in all_codes()}
            case "rules":
                codes = needed(self.rules).codes if self.rules else {}
            case "default" | "mirror":  # the plugin's option is choice enough
                codes = {code: list(why) for code, why in self._mirrored.items()}
                # The driver's table is of system calls; that processes exit it always tells.
                for name in ALWAYS if codes else ():
                    for code in codes_by_type()[name]:
                        codes.setdefault(code, []).append("state")
            case words:
                codes = configured(words.split(","))
        self.codes = dict(sorted(codes.items()))
        self.problems = [self._fault] if self._fault else []
        if self.choice == "mirror" and not codes:
            self.problems.append(NOBODY_MIRRORS)
        if self._mirrored and self.choice not in ("default", "mirror"):
            self.problems.append(f"mirror_host_syscalls of a consumer is left aside: edera.syscalls = {self.choice[:40]}")
        if self.codes:
            self.problems += warnings(self.rules, self.codes)


def brief(problems: list[str]) -> list[str]:
    """For `ctl status`: one line, whatever there is."""
    if not problems:
        return []
    more = f" (and {len(problems) - 1} more: edera-falcod ctl syscalls)" if len(problems) > 1 else ""
    return [problems[0] + more]


def syscalls_reply(chosen: SyscallSet, zones: Zones) -> GetSyscallsReply:
    """For `ctl syscalls`."""
    return GetSyscallsReply(
        choice=chosen.choice,
        syscalls=[Syscall(code, name_of(code), reasons) for code, reasons in chosen.codes.items()],
        zones=[ZoneSyscalls(zone_id, stream.zone.name, list(stream.syscalls)) for zone_id, stream in zones.streams.items()],
        problems=list(chosen.problems),
        rules=len(chosen.rules),
    )
