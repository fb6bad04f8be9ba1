"""Falco's condition language: text to tree and back.

The grammar follows libsinsp's filter parser (userspace/libsinsp/filter/parser.h, libs 0.25.4). Every node knows where it stands
in the text, so that a rewrite can replace just the words it has to and leave the rest as its author wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

MAX_CONDITION: Final = 1 << 20  # characters; the largest of upstream's, all macros expanded, has about 60,000
MAX_DEPTH: Final = 200  # nesting; libsinsp's own parser gives up at 1000, ours recurses and Python's stack is shorter

_QUOTED: Final = re.compile(r""""(\\.|[^"\\])*"|'(\\.|[^'\\])*'""", re.DOTALL)
_NEGATIONS: Final = re.compile(rf"(?:\bnot\s+){{{MAX_DEPTH}}}")

GRAMMAR: Final = r"""
start: [LEADING] or_expr
or_expr: and_expr (_OR and_expr)*
and_expr: not_expr (_AND not_expr)*
not_expr: NOT not_expr        -> negation
        | check
        | macro
        | "(" or_expr ")"     -> group
macro: NAME
check: left UNARY             -> unary
     | left OPERATOR value    -> binary
     | left OPERATOR MODIFIER list  -> modified
     | left LIST_OPERATOR (list | list_name | transformed) -> listed
?left: field | transformer
field: FIELD [_LSQB arg _RSQB]
arg: QUOTED | ARG
transformer: TRANSFORMER targ ("," targ)* ")" [_LSQB arg _RSQB]
?targ: transformer | field | quoted | number | tlist
tlist: "(" [telement ("," telement)*] ")"
?telement: transformer | field | quoted | number
quoted: QUOTED
number: NUMBER
?value: text | transformed
text: QUOTED | BARE
transformed: transformer | VAL field ")" -> value_of
list: "(" [text ("," text)*] ")"
list_name: NAME

LEADING.5: /(and|or)(?=[\s(]|$)/
_OR.5: /or(?=[\s(]|$)/
_AND.5: /and(?=[\s(]|$)/
NOT.5: /not(?=[\s(]|$)/
TRANSFORMER.4: /(tolower|toupper|b64|basename|len|join|concat|getopt)\(/
VAL.4: /val\(/
FIELD.3: /[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z][a-zA-Z0-9_]*)+/
NAME.2: /[a-zA-Z][a-zA-Z0-9_]*/
UNARY.6: /exists/
OPERATOR.6: /<=|>=|<|>|==|=|!=|(i?glob|i?contains|bcontains|b?startswith|endswith|regex)(?=\s|$)/
MODIFIER.6: /(oneof|anyof|allof)(?=\s|$)/
LIST_OPERATOR.6: /intersects|in|pmatch/
NUMBER.2: /[+\-]?[0-9]+\.?[0-9]*([eE][+\-][0-9]+)?/
QUOTED.2: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
BARE.1: /[^()"'\s=,]+/
ARG.1: /[^\[\]"'\s]+/
_LSQB: "["
_RSQB: "]"
%ignore /\s+/
"""


class ConditionError(ValueError):
    """A condition that is not one; ``offset`` counts characters from its start."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(slots=True)
class Node:
    """``start`` and ``end``: the characters of the text that the node covers, end exclusive."""

    start: int
    end: int


@dataclass(slots=True)
class FieldRef(Node):
    """A field, its argument as written (None = no brackets)."""

    name: str
    arg: str | None = None

    def text(self) -> str:
        return self.name if self.arg is None else f"{self.name}[{self.arg}]"


@dataclass(slots=True)
class Transformer(Node):
    """A transformer such as ``tolower(...)``; ``val`` too. Arguments are fields, transformers, texts or lists of them."""

    name: str
    args: list[Operand]
    arg: str | None = None

    def text(self) -> str:
        inside = ", ".join(_operand(item) for item in self.args)
        return f"{self.name}({inside})" + ("" if self.arg is None else f"[{self.arg}]")


@dataclass(slots=True)
class Text(Node):
    """A value as written, quotes included."""

    raw: str

    def text(self) -> str:
        return self.raw

    def value(self) -> str:
        """What it means: without quotes, escapes resolved."""
        return unquote(self.raw)


@dataclass(slots=True)
class Values(Node):
    """A list in parentheses. Its entries may name lists of the rules file."""

    items: list[Text]

    def text(self) -> str:
        return f"({', '.join(item.raw for item in self.items)})"


@dataclass(slots=True)
class ListName(Node):
    """A list of the rules file by name, without parentheses."""

    name: str

    def text(self) -> str:
        return self.name


Operand = FieldRef | Transformer | Text | list["Operand"]
Left = FieldRef | Transformer
Right = Text | Values | ListName | Transformer | None


@dataclass(slots=True)
class Check(Node):
    """A comparison. ``operator``: as libsinsp names it, with its modifier after a blank if any."""

    left: Left
    operator: str
    right: Right

    def text(self) -> str:
        right = "" if self.right is None else " " + self.right.text()
        return f"{self.left.text()} {self.operator}{right}"


@dataclass(slots=True)
class Macro(Node):
    name: str

    def text(self) -> str:
        return self.name


@dataclass(slots=True)
class Not(Node):
    child: Expression

    def text(self) -> str:
        return f"not {_inner(self.child)}"


@dataclass(slots=True)
class Junction(Node):
    """``and`` or ``or`` of two or more."""

    word: str
    children: list[Expression] = field(default_factory=list)

    def text(self) -> str:
        return f" {self.word} ".join(_inner(child) for child in self.children)


Expression = Check | Macro | Not | Junction


@dataclass(slots=True)
class Condition:
    """A whole condition. ``leading``: ``and`` / ``or`` in front of a condition that is to be appended to another, else empty."""

    leading: str
    root: Expression

    def text(self) -> str:
        return f"{self.leading} {self.root.text()}".strip()


def checks(node: Expression) -> Iterator[Check]:
    """Every comparison below, in order."""
    match node:
        case Check():
            yield node
        case Not():
            yield from checks(node.child)
        case Junction():
            for child in node.children:
                yield from checks(child)


def macros(node: Expression) -> Iterator[Macro]:
    """Every use of a macro below, in order."""
    match node:
        case Macro():
            yield node
        case Not():
            yield from macros(node.child)
        case Junction():
            for child in node.children:
                yield from macros(child)


def _inner(node: Expression) -> str:
    return f"({node.text()})" if isinstance(node, Junction) else node.text()


def _operand(item: Operand) -> str:
    return f"({', '.join(_operand(entry) for entry in item)})" if isinstance(item, list) else item.text()


def is_quoted(raw: str) -> bool:
    """Whether this is one whole quoted value, from its first quote to its last."""
    return _QUOTED.fullmatch(raw) is not None


def unquote(raw: str) -> str:
    """The text that a quoted value stands for (libsinsp/filter/escaping.cpp); a bare one stands for itself."""
    if len(raw) < 2 or raw[0] not in "\"'":
        return raw
    out: list[str] = []
    escaped = False
    for character in raw[1:-1]:
        if escaped:
            out.append({"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", " ": "\\"}.get(character, character))
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            out.append(character)
    return "".join(out)


def quote(value: str) -> str:
    """A value as a condition can hold it: bare where that is safe."""
    if value and not any(character in "()\"'=,[]<>!" or character.isspace() for character in value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=True)


def parse(text: str) -> Condition:
    """Raises ConditionError with the place and what was expected there."""
    if len(text) > MAX_CONDITION:
        raise ConditionError(f"condition has {len(text)} characters, at most {MAX_CONDITION} are read", 0)
    depth = deepest = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise ConditionError(f"condition nests {deepest} deep, at most {MAX_DEPTH} are read", 0)
    if _NEGATIONS.search(text):
        raise ConditionError(f"condition nests more than {MAX_DEPTH} deep", 0)
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _explained(error, text) from None
    leading, root = tree.children
    assert isinstance(root, Tree)
    return Condition(str(leading) if leading is not None else "", _expression(root))


_WORDS: Final = {
    "_OR": "'or'", "_AND": "'and'", "NOT": "'not'", "LEADING": "", "RPAR": "')'", "LPAR": "'('", "FIELD": "a field", "NAME": "a macro",
    "UNARY": "'exists'", "OPERATOR": "an operator", "LIST_OPERATOR": "'in', 'intersects' or 'pmatch'", "QUOTED": "a quoted text",
    "BARE": "a value", "COMMA": "','", "$END": "the end", "TRANSFORMER": "a transformer", "VAL": "", "MODIFIER": "", "_LSQB": "'['",
    "_RSQB": "']'", "ARG": "an argument", "NUMBER": "a number",
}  # fmt: skip


def _explained(error: UnexpectedInput, text: str) -> ConditionError:
    if isinstance(error, UnexpectedToken):
        expected, offset, found = error.accepts or error.expected, error.token.start_pos or 0, str(error.token)
    elif isinstance(error, UnexpectedCharacters):
        expected, offset, found = error.allowed or set(), error.pos_in_stream or 0, text[error.pos_in_stream or 0 :]
    else:
        expected, offset, found = set(), len(text), ""
    if isinstance(error, UnexpectedEOF) or not found:
        offset, found = len(text.rstrip()), ""
    wanted = ", ".join(sorted({_WORDS.get(name, name) for name in expected} - {""}))
    what = f"unexpected {found.split()[0]!r}" if found.split() else "unexpected end"
    return ConditionError(f"{what}, expected {wanted}" if wanted else what, offset)


def _span(tree: Tree[Token]) -> tuple[int, int]:
    return tree.meta.start_pos, tree.meta.end_pos


def _expression(tree: Tree[Token]) -> Expression:
    children = [child for child in tree.children if isinstance(child, Tree)]
    match tree.data:
        case "or_expr" | "and_expr":
            if len(children) == 1:
                return _expression(children[0])
            return Junction(*_span(tree), "or" if tree.data == "or_expr" else "and", [_expression(child) for child in children])
        case "negation":
            return Not(*_span(tree), _expression(children[0]))
        case "group" | "not_expr":
            return _expression(children[0])
        case "macro":
            return Macro(*_span(tree), str(tree.children[0]))
    left = _left(children[0])
    if tree.data == "unary":
        return Check(*_span(tree), left, "exists", None)
    operator = str(tree.children[1])
    if tree.data == "modified":
        operator += f" {tree.children[2]}"
    return Check(*_span(tree), left, operator, _right(children[1]))


def _argument(child: object) -> str | None:
    return str(child.children[0]) if isinstance(child, Tree) else None


def _left(tree: Tree[Token]) -> Left:
    if tree.data == "field":
        return FieldRef(*_span(tree), str(tree.children[0]), _argument(tree.children[1]))
    name = str(tree.children[0])[:-1]
    return Transformer(*_span(tree), name, [_argument_of(child) for child in tree.children[1:-1]], _argument(tree.children[-1]))


def _argument_of(child: object) -> Operand:
    assert isinstance(child, Tree)
    if child.data in ("field", "transformer"):
        return _left(child)
    if child.data == "tlist":
        return [_argument_of(item) for item in child.children if item is not None]
    return Text(*_span(child), str(child.children[0]))


def _right(tree: Tree[Token]) -> Right:
    match tree.data:
        case "text":
            return Text(*_span(tree), str(tree.children[0]))
        case "list":
            texts = [child for child in tree.children if isinstance(child, Tree)]
            return Values(*_span(tree), [Text(*_span(child), str(child.children[0])) for child in texts])
        case "list_name":
            return ListName(*_span(tree), str(tree.children[0]))
        case "value_of":
            inner = tree.children[1]
            assert isinstance(inner, Tree)
            return Transformer(*_span(tree), "val", [_left(inner)])
    inner = tree.children[0]
    assert isinstance(inner, Tree)
    transformer = _left(inner)
    assert isinstance(transformer, Transformer)
    return transformer
