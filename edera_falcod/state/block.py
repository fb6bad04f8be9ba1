"""A cold block: the bytes of something that seldom changes, sent once per connection and referred to by id.

The layout is docs/protocol.md's. State keeps blocks where their facts live (a thread, a file, an environment) so that an
event that changes nothing costs no more than a reference; only the fields room builds them.
"""

from __future__ import annotations

from typing import final

from mypy_extensions import i64


@final
class Block:
    """``id``: unique for the daemon's life, never 0. ``kind``: one of the ``KIND_*`` of fields/layout. ``data``: the bytes.
    ``refs``: the blocks that ``data`` names by id; a consumer has to know them first. ``mark``: of the connection that was sent an event
    with it last (falco/batch.py)."""

    __slots__ = ("id", "kind", "data", "refs", "mark")

    def __init__(self, id: int, kind: int, data: bytes, refs: tuple[Block, ...]) -> None:
        self.id = id
        self.kind = kind
        self.data = data
        self.refs = refs
        self.mark = 0


@final
class Shown:
    """A parameter as evt.args has it, kept where it is likely to come again. ``text``: its label and value, or the value alone where the
    caller puts the label before it. ``word``, ``value``: its entry in the parameter table (docs/protocol.md), the place counted from where
    the text begins. ``arg``: what evt.arg prints."""

    __slots__ = ("arg", "text", "value", "word")

    def __init__(self, text: bytes, word: i64, value: i64, arg: bytes) -> None:
        self.text = text
        self.word = word
        self.value = value
        self.arg = arg
