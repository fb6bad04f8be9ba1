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
    LINEAGE = 8


class Op(IntEnum):
    """How a consumer finds a field's value: docs/protocol.md, How a field finds its value."""

    NONE = 0
    CELL = 1
    OVERRIDE = 2
    ZERO = 3
    MAIN = 4
    PARENT = 5
    LEADER = 6
    ANCESTOR = 7
    ANCESTORS = 8
    ITEM = 9
    ENV = 10
    AENV = 11
    AENVS = 12
    SINCE = 13
    PSINCE = 14
    ARG = 15
    RAWARG = 16
    BUFFER = 17
    TYPEIS = 18
    FDTYPE = 19
    CELLDIV = 20
    CELLMOD = 21
    KEY = 22
    GLOB = 23
    FLAG = 24
    BIT = 25
    MASKED = 26
    FAILED = 27
    RESULT = 28
    IFMAIN = 29
    WITHTID = 30
    PREFIXED = 31
    ENDS = 32
    TID = 33


class Arg(IntEnum):
    """The argument that a field takes in brackets; OR of bits."""

    NO = 0
    INDEX = 1
    KEY = 2
    INDEX_OR_KEY = 3
    REQUIRED = 4
    REQUIRED_INDEX = 5
    REQUIRED_KEY = 6
    REQUIRED_INDEX_OR_KEY = 7


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
