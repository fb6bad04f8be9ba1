"""What can be set: one TOML file, the environment over it, flags over both.

Every option is declared once, below, with its default, what is allowed and what it means; `edera-falcod run --help`, the reference
in docs/ and the errors all read these declarations. A key `section.key` is the environment's EDERA_FALCOD_SECTION_KEY and the flag
`--set section.key=VALUE`.
"""

from __future__ import annotations

import dataclasses
import grp
import ipaddress
import os
import pwd
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PREFIX: Final = "EDERA_FALCOD_"
DEFAULT_FILE: Final = "/etc/edera-falcod/config.toml"


# Where annotations have what Kubernetes knows: the keys of the CRI, then those of containerd
ANNOTATION_KEYS: Final[tuple[str, ...]] = (
    "k8s.pod.name=io.kubernetes.pod.name",
    "k8s.pod.name=io.kubernetes.cri.sandbox-name",
    "k8s.ns.name=io.kubernetes.pod.namespace",
    "k8s.ns.name=io.kubernetes.cri.sandbox-namespace",
    "k8s.pod.uid=io.kubernetes.pod.uid",
    "k8s.pod.uid=io.kubernetes.cri.sandbox-uid",
    "k8s.pod.sandbox_id=io.kubernetes.cri.sandbox-id",
    "container.name=io.kubernetes.container.name",
    "container.name=io.kubernetes.cri.container-name",
)
ANNOTATION_FIELDS: Final = ("k8s.pod.name", "k8s.ns.name", "k8s.pod.uid", "k8s.pod.sandbox_id", "container.name")
ANNOTATION_PATTERN: Final = "(" + "|".join(ANNOTATION_FIELDS).replace(".", r"\.") + r")=\S{1,256}"


class ConfigError(Exception):
    """A value cannot be used; the text names where it came from, the key, the value and what is allowed."""


class WrongWord(ValueError):
    """What is wrong with a value, in words for who wrote it."""


class Kind:
    """One kind of value: how it is read, and the words for what is allowed."""

    def __init__(self, allowed: str) -> None:
        self.allowed = allowed

    def read(self, value: Any) -> Any:
        """The value, from TOML's type or from text. Raises ValueError."""
        raise NotImplementedError

    def show(self, value: Any) -> str:
        """As TOML."""
        return f'"{value}"' if isinstance(value, str) else str(value).lower()


class PathKind(Kind):
    def __init__(self) -> None:
        super().__init__("an absolute path")

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
            raise ValueError
        return value


class OptionalPath(Kind):
    def __init__(self) -> None:
        super().__init__("an absolute path, or empty")

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or (value and not value.startswith("/")) or "\0" in value:
            raise ValueError
        return value


class ListenKind(Kind):
    def __init__(self) -> None:
        super().__init__('empty, "unix:/PATH", or a loopback address with a port such as "127.0.0.1:9469" or "[::1]:9469"')

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise ValueError
        if value and not value.startswith("unix:/"):
            host, _, port = value.rpartition(":")
            address = ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
            if not address.is_loopback or not re.fullmatch(r"[1-9]\d{0,4}", port) or int(port) > 65535:
                raise ValueError
        return value


class Choice(Kind):
    def __init__(self, *words: str) -> None:
        super().__init__("one of " + ", ".join(words))
        self.words = words

    def read(self, value: Any) -> str:
        if value not in self.words:
            raise ValueError
        return str(value)


class SystemCalls(Kind):
    """A word, or a list of system calls, kept as text with commas."""

    WORDS: Final = ("default", "mirror", "rules", "all")

    def __init__(self) -> None:
        super().__init__(f"one of {', '.join(self.WORDS)}, or a list of system calls")

    def read(self, value: Any) -> str:
        if isinstance(value, str) and value in self.WORDS:
            return value
        words = value.split(",") if isinstance(value, str) else value
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise ValueError
        from .rules.syscalls import configured  # only who has such a list pays for the rules' parser

        names = [word.strip() for word in words]
        try:
            configured(names)
        except ValueError as error:
            raise WrongWord(str(error)) from None
        return ",".join(names)


class Whole(Kind):
    def __init__(self, least: int, most: int) -> None:
        super().__init__(f"a whole number from {least} to {most}")
        self.least, self.most = least, most

    def read(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        number = int(value)
        if not self.least <= number <= self.most:
            raise ValueError
        return number


class Bool(Kind):
    def __init__(self) -> None:
        super().__init__("true or false")

    def read(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        return {"true": True, "false": False}[value.lower()] if isinstance(value, str) and value.lower() in ("true", "false") else _bad()


class Mode(Kind):
    def __init__(self) -> None:
        super().__init__('an octal file mode as text, "0600" to "0777"')

    def read(self, value: Any) -> int:
        if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
            raise ValueError
        return int(value, 8)

    def show(self, value: Any) -> str:
        return f'"{value:04o}"'


class Size(Kind):
    """Bytes, with binary units."""

    UNITS: Final = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}

    def __init__(self, least: int, most: int) -> None:
        super().__init__(f'a size from {self.words(least)} to {self.words(most)}, a number of bytes or text such as "64MiB"')
        self.least, self.most = least, most

    def read(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        match = re.fullmatch(r"(\d{1,15})\s*([A-Za-z]*)", str(value).strip())
        if match is None or match[2].lower() not in self.UNITS:
            raise ValueError
        size = int(match[1]) * self.UNITS[match[2].lower()]
        if not self.least <= size <= self.most:
            raise ValueError
        return size

    @staticmethod
    def words(size: int) -> str:
        for unit in ("GiB", "MiB", "KiB"):
            scale = Size.UNITS[unit.lower()]
            if size >= scale and size % scale == 0:
                return f"{size // scale}{unit}"
        return f"{size}"

    def show(self, value: Any) -> str:
        return f'"{self.words(value)}"'


class Time(Kind):
    """Seconds, with units."""

    UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}

    def __init__(self, least: float, most: float) -> None:
        super().__init__(f'a time from {self.words(least)} to {self.words(most)}, a number of seconds or text such as "10m"')
        self.least, self.most = least, most

    def read(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([A-Za-z]*)", str(value).strip())
        if match is None or match[2].lower() not in self.UNITS:
            raise ValueError
        seconds = float(match[1]) * self.UNITS[match[2].lower()]
        if not self.least <= seconds <= self.most:
            raise ValueError
        return seconds

    @staticmethod
    def words(seconds: float) -> str:
        for unit in ("h", "m", "s"):
            scale = Time.UNITS[unit]
            if seconds >= scale and seconds % scale == 0:
                return f"{int(seconds / scale)}{unit}"
        return f"{round(seconds * 1000)}ms"

    def show(self, value: Any) -> str:
        return f'"{self.words(value)}"'


class Words(Kind):
    """A list of words; as text, separated by commas."""

    def __init__(self, allowed: str, pattern: str) -> None:
        super().__init__(f"a list of {allowed}")
        self.pattern = pattern

    def read(self, value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [word.strip() for word in value.split(",") if word.strip()]
        if not isinstance(value, list | tuple):
            raise ValueError
        words = [str(word) if isinstance(word, int) and not isinstance(word, bool) else word for word in value]
        if any(not isinstance(word, str) or not re.fullmatch(self.pattern, word) for word in words):
            raise ValueError
        return tuple(words)

    def show(self, value: Any) -> str:
        return "[" + ", ".join([f'"{word}"' for word in value]) + "]"


class User(Words):
    """Users, by name or number; looked up when read, so that a wrong one is told at once."""

    def __init__(self) -> None:
        super().__init__("user names or numbers that exist on this host", r"[A-Za-z0-9._-]{1,64}")

    def read(self, value: Any) -> tuple[str, ...]:
        words = super().read(value)
        for word in words:
            self.number(word)
        return words

    @staticmethod
    def number(word: str) -> int:
        try:
            return _id(word) if word.isdigit() else pwd.getpwnam(word).pw_uid
        except KeyError:
            raise ValueError from None


class Group(Words):
    def __init__(self) -> None:
        super().__init__("group names or numbers that exist on this host", r"[A-Za-z0-9._-]{1,64}")

    def read(self, value: Any) -> tuple[str, ...]:
        words = super().read(value)
        for word in words:
            self.number(word)
        return words

    @staticmethod
    def number(word: str) -> int:
        try:
            return _id(word) if word.isdigit() else grp.getgrnam(word).gr_gid
        except KeyError:
            raise ValueError from None


class OneGroup(Kind):
    def __init__(self) -> None:
        super().__init__("the name or number of a group on this host, or empty")

    def read(self, value: Any) -> str:
        if value == "":
            return ""
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        Group.number(str(value))
        return str(value)


def _id(word: str) -> int:
    """A uid or gid. The last number of 32 bits is none: chown(2) takes it for "leave it"."""
    number = int(word)
    if number >= (1 << 32) - 1:
        raise ValueError
    return number


def _bad() -> Any:
    raise ValueError


def option(default: Any, kind: Kind, doc: str) -> Any:
    return field(default=default, metadata={"kind": kind, "doc": doc})


@dataclass(frozen=True)
class EderaConfig:
    """The link to the Edera daemon."""

    socket: str = option("/var/lib/edera/protect/daemon.socket", PathKind(), "The Edera daemon's control socket.")
    reconcile: float = option(5.0, Time(1, 3600), "How often the list of zones is asked for, beside the changes that are announced.")
    snapshot_timeout: float = option(30.0, Time(1, 3600), "How long a zone may take to send its snapshot before its stream is opened anew.")
    max_snapshot: int = option(128 << 20, Size(1 << 20, 1 << 30), "The largest snapshot that is accepted from a zone.")
    syscalls: str = option(
        "default",
        SystemCalls(),
        "Which system calls zones are asked for. default: the zones' own set, or what Falco's own driver has enabled where its plugin "
        "reports that (mirror_host_syscalls). mirror: the same, and a warning while no plugin does. rules: what the rules of rules_files "
        "use and state needs. all: every one. Or a list of names; "
        "the word state in it stands for what state needs.",
    )
    rules_files: tuple[str, ...] = option(
        (),
        Words("absolute paths of rules files, folders of them, or patterns with *", r"/[^\0]*"),
        "The rules files that Falco loads, in its order; read at the start and on reload. They are held against the system calls that "
        "zones are asked for, and choose them with syscalls = \"rules\".",
    )
    max_zones: int = option(1024, Whole(1, 100_000), "Zones that are watched at a time; further ones are told of and left alone.")
    workloads: str = option(
        "zone",
        Choice("zone", "cgroup", "none"),
        "Which workload a process belongs to. zone: in a zone with one workload, that one; else as cgroup: the one whose id is in a "
        "cgroup path of the process. none: nothing is said of workloads (container.* and k8s.* have no value).",
    )
    annotation_keys: tuple[str, ...] = option(
        ANNOTATION_KEYS,
        Words("FIELD=KEY with FIELD one of " + ", ".join(ANNOTATION_FIELDS), ANNOTATION_PATTERN),
        "Which annotations of a workload, or else of its zone, hold what Kubernetes knows of it; of several for a field the first wins.",
    )


@dataclass(frozen=True)
class FalcoConfig:
    """The socket that Falco's plugin and other consumers connect to."""

    socket: str = option("/run/edera-falcod/falco.sock", PathKind(), "The consumer socket.")
    mode: int = option(0o660, Mode(), "Its file mode.")
    group: str = option("", OneGroup(), "Its group; empty leaves the daemon's own.")
    allow_users: tuple[str, ...] = option(
        (), User(), "Users that may connect, beside root and the daemon's own; with no users and no groups, whoever the mode lets in."
    )
    allow_groups: tuple[str, ...] = option((), Group(), "Groups whose members may connect.")
    consumers: tuple[str, ...] = option(
        ("falco",),
        Words("consumer names", r"[A-Za-z0-9._:@-]{1,64}"),
        "Consumers for which events are kept from the start, whether or not they have connected yet.",
    )
    notices: bool = option(True, Bool(), "Whether consumers get notices (edera.notice.*): zones that come and go, gaps, overload.")


@dataclass(frozen=True)
class BufferConfig:
    """What is kept for consumers."""

    size: int = option(
        64 << 20,
        Size(1 << 20, 8 << 30),
        "How much is kept for each consumer, waiting or not yet acknowledged. What does not fit is shed by priority and counted.",
    )
    age: float = option(600.0, Time(1, 24 * 3600), "How long an event is kept for a consumer that does not take it.")
    drain: float = option(2.0, Time(0, 60), "How long a stopping daemon waits for consumers to take what they have not been sent.")
    handover: str = option(
        "",
        OptionalPath(),
        "File in which a daemon that stops leaves what consumers have not acknowledged, for the one that follows; empty: nowhere. The "
        "systemd unit sets it. At most twice `size` is left.",
    )


@dataclass(frozen=True)
class CtlConfig:
    """The socket of `edera-falcod ctl`."""

    socket: str = option("/run/edera-falcod/ctl.sock", PathKind(), "The ctl socket.")
    mode: int = option(0o600, Mode(), "Its file mode.")
    group: str = option("", OneGroup(), "Its group; empty leaves the daemon's own.")
    admin_groups: tuple[str, ...] = option(
        (),
        Group(),
        "Groups whose members may change things through ctl (resync, log level, reload) and see processes' arguments, as root and the "
        "daemon's own user may. Whoever else can connect may look.",
    )


@dataclass(frozen=True)
class MetricsConfig:
    """The endpoint for Prometheus and probes: /metrics, /livez, /readyz."""

    listen: str = option(
        "",
        ListenKind(),
        "Where it listens; empty: nowhere. Whoever reaches the address may read, so only this host's own addresses are taken. The systemd "
        "unit has no network: there, use a unix socket or see docs/operate.md.",
    )
    mode: int = option(0o660, Mode(), "File mode of its unix socket.")
    group: str = option("", OneGroup(), "Group of its unix socket; empty leaves the daemon's own.")


@dataclass(frozen=True)
class LogConfig:
    """Logs, written to standard error."""

    level: str = option("info", Choice("debug", "info", "warning", "error"), "The least severe line that is written.")
    format: str = option("auto", Choice("auto", "console", "json"), "auto: console on a terminal, else one JSON object a line.")


@dataclass(frozen=True)
class DaemonConfig:
    """The process."""

    loop: str = option("auto", Choice("auto", "uvloop", "asyncio"), "The event loop; auto: uvloop where it can be imported.")


@dataclass(frozen=True)
class Config:
    edera: EderaConfig = field(default_factory=EderaConfig)
    falco: FalcoConfig = field(default_factory=FalcoConfig)
    buffer: BufferConfig = field(default_factory=BufferConfig)
    ctl: CtlConfig = field(default_factory=CtlConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    log: LogConfig = field(default_factory=LogConfig)
    daemon: DaemonConfig = field(default_factory=DaemonConfig)


@dataclass(frozen=True)
class Option:
    """One declared option, for help, reference and errors."""

    section: str
    key: str
    kind: Kind
    doc: str
    default: Any

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.section}_{self.key}".upper()


def options() -> list[Option]:
    found: list[Option] = []
    for section in dataclasses.fields(Config):
        assert callable(section.default_factory)
        for one in dataclasses.fields(section.default_factory()):
            found.append(Option(section.name, one.name, one.metadata["kind"], one.metadata["doc"], one.default))
    return found


_OPTIONS: Final = {one.name: one for one in options()}
_SECTIONS: Final = tuple(dict.fromkeys([one.section for one in _OPTIONS.values()]))


def _near(word: str, words: Iterable[str]) -> str:
    """" (did you mean X?)" or nothing."""
    import difflib

    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


class Loader:
    """Collects values, later sources over earlier ones, and remembers where each came from."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}

    def set(self, source: str, name: str, value: Any) -> None:
        known = _OPTIONS.get(name)
        if known is None:
            raise ConfigError(f"{source}: {name}: there is no such key{_near(name, _OPTIONS)} (see: edera-falcod run --help)")
        try:
            self.values[name] = known.kind.read(value)
        except (ValueError, OverflowError) as error:
            shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:80] + "..."
            detail = f" ({error})" if isinstance(error, WrongWord) else ""
            raise ConfigError(f"{source}: {name} = {shown}: must be {known.kind.allowed}{detail}") from None
        self.sources[name] = source

    def file(self, path: str, required: bool = True) -> None:
        try:
            text = Path(path).read_bytes().decode("utf-8")
        except FileNotFoundError:
            if not required:
                return
            raise ConfigError(f"{path}: there is no such file; leave --config out to run with defaults") from None
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: is not UTF-8 at byte {error.start}") from None
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: is not TOML: {error}") from None
        for section, keys in table.items():
            if section not in _SECTIONS or not isinstance(keys, dict):
                what = "there is no such section" if isinstance(keys, dict) else "a key outside of any section"
                raise ConfigError(f"{path}: {section}: {what}{_near(section, _SECTIONS)}; sections are {', '.join(_SECTIONS)}")
            for key, value in keys.items():
                self.set(path, f"{section}.{key}", value)

    def environment(self, environ: Mapping[str, str]) -> None:
        names = {one.variable: one.name for one in _OPTIONS.values()}
        for variable, value in environ.items():
            if not variable.startswith(PREFIX):
                continue
            if variable in names:
                self.set(f"environment {variable}", names[variable], value)
            elif variable[len(PREFIX) :].split("_", 1)[0].lower() in _SECTIONS:
                raise ConfigError(f"environment {variable}: there is no such key{_near(variable, names)}")

    def flag(self, text: str) -> None:
        """One ``section.key=value`` of --set."""
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: must be SECTION.KEY=VALUE")
        self.set("--set", name.strip(), value)

    def config(self) -> Config:
        parts: dict[str, Any] = {}
        for section in dataclasses.fields(Config):
            assert callable(section.default_factory)
            values = {name.partition(".")[2]: value for name, value in self.values.items() if name.startswith(section.name + ".")}
            parts[section.name] = dataclasses.replace(section.default_factory(), **values)
        return Config(**parts)


def load(file: str | None = None, environ: Mapping[str, str] | None = None, flags: Iterable[str] = ()) -> Config:
    """The configuration in force. ``file``: its path; None: DEFAULT_FILE, or EDERA_FALCOD_CONFIG, if it is there. Raises ConfigError."""
    environ = os.environ if environ is None else environ
    loader = Loader()
    named = file if file is not None else environ.get(PREFIX + "CONFIG")
    loader.file(named if named is not None else DEFAULT_FILE, required=named is not None)
    loader.environment(environ)
    for flag in flags:
        loader.flag(flag)
    config = loader.config()
    if config.edera.syscalls == "rules" and not config.edera.rules_files:
        source = loader.sources["edera.syscalls"]
        raise ConfigError(f"{source}: edera.syscalls = 'rules' needs edera.rules_files, the files that Falco loads")
    return config


def reference() -> str:
    """All options with their defaults and documentation, as a commented TOML file."""
    lines: list[str] = []
    for section in dataclasses.fields(Config):
        assert callable(section.default_factory)
        part = section.default_factory()
        lines += [f"# {(type(part).__doc__ or '').strip()}", f"[{section.name}]"]
        for one in dataclasses.fields(part):
            kind: Kind = one.metadata["kind"]
            allowed = kind.allowed[0].upper() + kind.allowed[1:]
            lines += [f"# {one.metadata['doc']}", f"# {allowed}.", f"#{one.name} = {kind.show(one.default)}", ""]
    return "\n".join(lines)
