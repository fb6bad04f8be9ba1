"""What the generated tables are made of: event types, their parameters, flag names.

All printed names are bytes, since values are made as bytes; only ``EventInfo.code_name`` (for messages) is text.
"""

from __future__ import annotations

from typing import Final, final

EF_UNUSED: Final = 1 << 6
EF_OLD_VERSION: Final = 1 << 9
EC_SYSCALL: Final = 1 << 9
EC_CATEGORY_MASK: Final = 0xFF


@final
class FlagTable:
    """Names of the values of one flags or enum parameter, in libs' order, which is the order in which they print.

    ``entries``: (name, value). Source: driver/flags_table.c.
    """

    __slots__ = ("name", "entries")

    def __init__(self, name: str, entries: tuple[tuple[bytes, int], ...]) -> None:
        self.name = name
        self.entries = entries


@final
class ParamInfo:
    """One parameter of an event type. ``type``: PT_*. ``fmt``: PF_*. ``flags``: names of its values or None.
    ``variants``: for PT_DYN, what the value's first byte chooses from, else empty. ``dirfd``: for PT_FSRELPATH, the index of
    the parameter that holds the directory's fd, else -1."""

    __slots__ = ("name", "type", "fmt", "flags", "variants", "dirfd")

    def __init__(
        self, name: bytes, type: int, fmt: int, flags: FlagTable | None, variants: tuple[ParamInfo, ...], dirfd: int
    ) -> None:
        self.name = name
        self.type = type
        self.fmt = fmt
        self.flags = flags
        self.variants = variants
        self.dirfd = dirfd


@final
class EventInfo:
    """One event type. ``code``: PPME number. ``code_name``: PPME_... ``name``: as evt.type prints it. ``category``: EC_* bits,
    ``kind``: the EC_* category alone. ``flags``: EF_* bits. ``old``: superseded, the zone never sends it (EF_OLD_VERSION).
    ``unused``: has no meaning (EF_UNUSED). ``nparams`` = len(params). Source: driver/event_table.c."""

    __slots__ = (
        "code", "code_name", "name", "category", "kind", "flags", "is_exit", "is_syscall", "old", "unused", "nparams", "params",
    )

    def __init__(self, code: int, code_name: str, name: bytes, category: int, flags: int, params: tuple[ParamInfo, ...]) -> None:
        self.code = code
        self.code_name = code_name
        self.name = name
        self.category = category
        self.kind = category & EC_CATEGORY_MASK
        self.flags = flags
        self.is_exit = code & 1 == 1
        self.is_syscall = category & EC_SYSCALL != 0
        self.old = flags & EF_OLD_VERSION != 0
        self.unused = flags & EF_UNUSED != 0
        self.nparams = len(params)
        self.params = params


def flag_table(name: str, text: str) -> FlagTable:
    """``NAME=value NAME=value ...``"""
    entries: list[tuple[bytes, int]] = []
    for entry in text.split():
        label, value = entry.split("=")
        entries.append((label.encode(), int(value)))
    return FlagTable(name, tuple(entries))


def numbers(text: str) -> dict[int, int]:
    """``number=number number=number ...``"""
    pairs: dict[int, int] = {}
    for entry in text.split():
        key, value = entry.split("=")
        pairs[int(key)] = int(value)
    return pairs


def variants(text: str) -> tuple[ParamInfo, ...]:
    """``type:fmt type:fmt ...``"""
    found: list[ParamInfo] = []
    for entry in text.split():
        type_number, fmt = entry.split(":")
        found.append(ParamInfo(b"", int(type_number), int(fmt), None, (), -1))
    return tuple(found)


def event(
    code: int, line: str, flag_tables: dict[str, FlagTable], variant_tables: dict[str, tuple[ParamInfo, ...]]
) -> EventInfo:
    """``PPME_NAME name category flags param ...`` with a param being ``name:type:fmt``, then ``:flags=table``, ``:dyn=table`` or
    ``:dirfd=index`` as it needs."""
    words = line.split()
    params: list[ParamInfo] = []
    for word in words[4:]:
        parts = word.split(":")
        flags: FlagTable | None = None
        choices: tuple[ParamInfo, ...] = ()
        dirfd = -1
        for extra in parts[3:]:
            key, value = extra.split("=")
            if key == "flags":
                flags = flag_tables[value]
            elif key == "dyn":
                choices = variant_tables[value]
            else:
                dirfd = int(value)
        params.append(ParamInfo(parts[0].encode(), int(parts[1]), int(parts[2]), flags, choices, dirfd))
    return EventInfo(code, words[0], words[1].encode(), int(words[2]), int(words[3]), tuple(params))
