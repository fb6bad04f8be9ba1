"""Mutation testing: changes one thing at a time in a module, and looks whether its tests notice.

    python tools/mutate.py [wire|accounting ...] [--list] [--only TEXT] [--part K/N]

A mutant that survives shows a test that is missing, or means the same as the original; tests/mutants.txt says which do, and why. Exit code:
1 if one survived that is not explained there, or if one is explained that does not survive.

Mutants run in forks of one process that has loaded everything: the module's functions get a mutant's code before tests are collected.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import itertools
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple

import hypothesis
import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
EXPLAINED: Final = ROOT / "tests" / "mutants.txt"
LIMIT: Final = 25  # seconds of CPU for the tests of one mutant: one that never ends has been noticed too
EXAMPLES: Final = 20  # of each property, instead of hypothesis' 100
TARGETS: Final = {
    "wire": ("edera_falcod.scap.wire", ("tests/scap/test_wire.py", "-k", "not every_message_of_a_capture and not betterproto")),
    "accounting": ("edera_falcod.falco.accounting", ("tests/falco/test_accounting.py", "tests/falco/test_ring.py")),
}
# Warnings are no errors here: pytest warns of what is loaded before it could look at it
QUICK: Final = (
    "-q", "-s", "-p", "no:cacheprovider", "-o", "addopts=", "-o", "timeout=0", "-o", "filterwarnings=ignore",
)  # fmt: skip
# Loaded before the first fork: what the tests need beside the module
NEEDED: Final = (
    "google.protobuf.message", "grpc_tools.protoc", "edera_falcod.edera.proto.control", "edera_falcod.sim.encode", "hypothesis.stateful",
    "edera_falcod.falco.ring", "tests.scap.control",
)  # fmt: skip

COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip


class Mutant(NamedTuple):
    """``name``: function and change, which stays the same when lines move; ``path``: the node that ``change`` takes the place of."""

    name: str
    line: int
    path: tuple[tuple[str, int | None], ...] = ()
    change: ast.AST | None = None

    def of(self, source: str) -> ast.Module:
        """The whole module."""
        tree = ast.parse(source)
        if self.change is not None:
            target: Any = tree
            for field, index in self.path[:-1]:
                target = getattr(target, field) if index is None else getattr(target, field)[index]
            field, index = self.path[-1]
            if index is None:
                setattr(target, field, self.change)
            else:
                getattr(target, field)[index] = self.change
        return ast.fix_missing_locations(tree)


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + (1 if isinstance(value, int | float) else b"x" if isinstance(value, bytes) else "x")


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of ``node``."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            if type(operator) in COMPARISONS:
                changed = copy.deepcopy(node)
                changed.ops[index] = COMPARISONS[type(operator)]()
                yield changed
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        changed_op = copy.deepcopy(node)
        changed_op.op = OPERATORS[type(node.op)]()
        yield changed_op
    elif isinstance(node, ast.BoolOp):
        changed_bool = copy.deepcopy(node)
        changed_bool.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield changed_bool
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant) and node.value is not None and node.value is not ...:
        yield ast.Constant(_another(node.value))
    if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.Raise | ast.Delete):
        yield ast.Pass()
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        negated = copy.deepcopy(node)
        negated.test = ast.UnaryOp(ast.Not(), negated.test)
        yield negated
    elif isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
        yield ast.Return(ast.Constant(None))


def mutants(module: ModuleType) -> list[Mutant]:
    """All of them, in the order of the source."""
    assert module.__file__ is not None
    source = Path(module.__file__).read_text()
    found: list[Mutant] = []
    names: dict[str, int] = {}

    def visit(node: ast.AST, path: tuple[tuple[str, int | None], ...], scope: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            scope = f"{scope}.{node.name}".lstrip(".")
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        names_only = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__all__", "__slots__")
        if docstring or names_only or isinstance(node, ast.Import | ast.ImportFrom):
            return
        if path and not (scope == "" and isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr)):
            for change in _changes(node):
                change = ast.copy_location(change, node)
                short = [" ".join(ast.unparse(ast.fix_missing_locations(one)).split())[:90] for one in (node, change)]
                name = f"{scope or 'module'}: {short[0]} -> {short[1]}"
                names[name] = names.get(name, 0) + 1
                if names[name] > 1:
                    name += f" #{names[name]}"
                found.append(Mutant(name, getattr(node, "lineno", 0), path, change))
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "bases") or (field == "target" and scope == ""):
                continue
            if isinstance(value, list):
                for index, child in enumerate(value):
                    if isinstance(child, ast.AST):
                        visit(child, (*path, (field, index)), scope)
            elif isinstance(value, ast.AST):
                visit(value, (*path, (field, None)), scope)

    visit(ast.parse(source), (), "")
    return found


def exchange(module: ModuleType, tree: ast.Module) -> None:
    """Give the loaded module's functions and constants those of ``tree``."""
    fresh = ModuleType(module.__name__)
    fresh.__package__ = module.__package__
    exec(compile(tree, str(module.__file__), "exec"), fresh.__dict__)
    _exchange(vars(module), vars(fresh), module.__name__)


def _exchange(old: Any, new: Any, module: str) -> None:
    for name, value in list(new.items()):
        before = old.get(name)
        if isinstance(value, FunctionType) and isinstance(before, FunctionType) and before.__module__ == module:
            before.__code__ = value.__code__
            before.__defaults__ = value.__defaults__
        elif isinstance(value, type) and isinstance(before, type) and before.__module__ == module:
            _exchange(vars(before), vars(value), module)
        elif isinstance(value, int | str | bytes | list) and not name.startswith("__") and isinstance(old, dict):
            old[name] = value


class Runner:
    """A pytest plugin that runs the collected tests once for each mutant, in a fork: quick tests first, up to the first that fails."""

    def __init__(self, module: ModuleType, chosen: list[Mutant], reasons: dict[str, str]) -> None:
        self._module = module
        self._source = Path(str(module.__file__)).read_text()
        self._chosen = chosen
        self._reasons = reasons
        self.survivors: set[str] = set()
        self.done = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        times = self._tests(session, Mutant("none", 0))
        assert times is not None and len(times) == len(session.items), "the tests fail without a mutant"
        session.items.sort(key=lambda item: times[item.nodeid])
        for mutant in self._chosen:
            if self._tests(session, mutant) is not None:
                self.survivors.add(mutant.name)
                print(f"  survives, line {mutant.line}: {mutant.name}  [{self._reasons.get(mutant.name, 'NOT EXPLAINED')}]", flush=True)
        self.done = True
        return True

    def _tests(self, session: pytest.Session, mutant: Mutant) -> dict[str, float] | None:
        """How long each test took; None if one failed, or did not end."""
        source, sink = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                null = os.open(os.devnull, os.O_RDWR)
                for number in range(3):
                    os.dup2(null, number)
                resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
                exchange(self._module, mutant.of(self._source))
                times: dict[str, float] = {}
                for item, following in itertools.zip_longest(session.items, session.items[1:]):
                    started = time.monotonic()
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                    times[item.nodeid] = time.monotonic() - started
                    if session.testsfailed:
                        os._exit(1)
                with os.fdopen(sink, "w") as stream:
                    json.dump(times, stream)
            finally:
                os._exit(0)
        os.close(sink)
        with os.fdopen(source) as stream:
            said = stream.read()
        os.waitpid(child, 0)
        return json.loads(said) if said else None


def explained(target: str) -> dict[str, str]:
    """Mutant -> why it may survive."""
    found: dict[str, str] = {}
    for line in EXPLAINED.read_text().splitlines() if EXPLAINED.exists() else ():
        kind, _, rest = line.partition(" | ")
        if kind == target:
            name, _, why = rest.partition(" | ")
            found[name] = why
    return found


def run(target: str, only: str, part: int, parts: int) -> tuple[int, set[str]]:
    """How many mutants there were, and which survived. ``part`` of ``parts``: every so many-th."""
    name, tests = TARGETS[target]
    module = importlib.import_module(name)
    chosen = [one for one in mutants(module) if only in one.name][part::parts]
    runner = Runner(module, chosen, explained(target))
    pytest.main([*QUICK, *tests], plugins=[runner])
    assert runner.done
    return len(chosen), runner.survivors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    parser.add_argument("--only", default="", metavar="TEXT", help="mutants whose name has this in it")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="the K-th of N parts")
    options = parser.parse_args()
    part, parts = (int(number) for number in options.part.split("/"))
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, deadline=None, max_examples=EXAMPLES)
    hypothesis.settings.load_profile("mutants")
    for needed in NEEDED:
        importlib.import_module(needed)
    importlib.import_module("tests.scap.control").reply("entries")
    good = True
    for target in options.targets or TARGETS:
        if options.list:
            for mutant in mutants(importlib.import_module(TARGETS[target][0])):
                print(f"{target} {mutant.line}: {mutant.name}")
            continue
        total, survivors = run(target, options.only, part - 1, parts)
        reasons = explained(target)
        unexplained = survivors - reasons.keys()
        stale = set() if options.only or parts > 1 else reasons.keys() - survivors
        print(f"{target}: {total} mutants, {total - len(survivors)} noticed, {len(survivors)} survive, {len(unexplained)} unexplained"
              + (f"; explained but noticed: {sorted(stale)}" if stale else ""), flush=True)  # fmt: skip
        good = good and not unexplained and not stale
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
