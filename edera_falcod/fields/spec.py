"""What a field declaration is made of. docs/protocol.md says what the operations mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Type(IntEnum):
    """How a field's value is served. Numbers are the plugin API's (falco-plugin-abi.md 1.4), SIGNED is ours: a signed
    number served as decimal text, so that comparisons with 0 and -1 are right (rules-usage.md, Signedness)."""

    UINT64 = 8
    STRING = 9
    RELTIME = 20
    ABSTIME = 21
    BOOL = 25
    IPADDR = 40
    IPNET = 41
    SIGNED = 109


class Kind(IntEnum):
    """Block kinds of the consumer protocol."""

    EVENT = 0
    ETYPE = 1
    ZONE = 2
    THREAD = 3
    ENV = 4
    FD = 5
    FILES = 6
    WORKLOAD = 7


class Op(IntEnum):
    """How a consumer finds a field's value."""

    NONE = 0
    CELL = 1
    OVERRIDE = 2
    PARENT = 3
    SID = 4
    VPGID = 5
    PGID = 6
    ANCESTOR = 7
    ANCESTORS = 8
    ITEM = 9
    ENV = 10
    AENV = 11
    SINCE = 12
    PSINCE = 13
    ARG = 14
    RAWARG = 15
    ARGN = 16
    TYPEIS = 17
    FDTYPE = 18
    CELLDIV = 19
    CELLMOD = 20
    KEY = 21
    FLAG = 22


class Arg(IntEnum):
    """The argument that a field takes in brackets; OR of bits."""

    NO = 0
    INDEX = 1
    KEY = 2
    INDEX_OR_KEY = 3
    REQUIRED_KEY = 6
    REQUIRED_INDEX = 5
    REQUIRED = 4


@dataclass(frozen=True, slots=True)
class Field:
    """One declaration. Its id is its place in ``catalog.FIELDS``; places, slots and operations never change once released."""

    name: str
    type: Type
    doc: str
    op: Op
    kind: Kind = Kind.EVENT
    slot: int = 0
    slot2: int = 0
    arg: Arg = Arg.NO
    is_list: bool = False
    suggested: bool = False  # Falco appends it to every output of the source
    hidden: bool = False
    note: str = ""  # where the value differs from libsinsp's, for docs/fields.md

    def line(self) -> str:
        """The declaration's line in the lock file: what both sides of the socket have to agree on."""
        return "|".join(
            (
                self.name, self.type.name, self.op.name, self.kind.name, str(self.slot), str(self.slot2), str(int(self.arg)),
                "list" if self.is_list else "one",
            )
        )


NO_NAME: Final = 0xFFFF  # a parameter whose name is not in the registry's list
