"""Awaits of ours that fail. Two ways:

* ``Rewritten`` loads modules of ours with every await in their source turned into one that may raise, whether it waits or not.
* ``Suspensions`` makes tasks whose coroutines are driven step by step, so that each await that really waits is seen and the daemon can be
  cancelled right there.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from pathlib import Path
from types import AsyncGeneratorType, FrameType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2] / "edera_falcod"


class Injector:
    """``visits``: how often each await was come to. At the ``nth`` time of ``place`` what ``make`` gives is raised; ``hit``: it was.
    ``before``: a place that is left with a RuntimeError at its first visit, so that ``place`` is come to."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.watch()

    def watch(self, place: str = "", nth: int = 1, make: Callable[[], BaseException] | None = None, before: str = "") -> None:
        self.visits: Counter[str] = Counter()
        self.hit = False
        self._place = place
        self._nth = nth
        self._make = make
        self._before = before

    def meet(self, name: str) -> None:
        self.visits[name] += 1
        if name == self._before and self.visits[name] == 1:
            raise RuntimeError("injected")
        if name == self._place and self.visits[name] == self._nth and self._make is not None:
            self.hit = True
            raise self._make()

    # What rewritten code calls

    async def point(self, awaited: Any, name: str) -> Any:
        try:
            self.meet(name)
        except BaseException:
            if inspect.iscoroutine(awaited):
                awaited.close()  # what is not awaited would be warned of
            elif isinstance(awaited, asyncio.Future):
                awaited.cancel()
            raise
        return await awaited

    def around(self, context: Any, name: str) -> _Around:
        return _Around(self, context, name)

    async def over(self, items: Any, name: str) -> AsyncIterator[Any]:
        async for item in items:
            self.meet(name)
            yield item


class _Around:
    """An ``async with`` that may fail when it is entered, and when it is left after it was."""

    def __init__(self, injector: Injector, context: Any, name: str) -> None:
        self._injector = injector
        self._context = context
        self._name = name

    async def __aenter__(self) -> Any:
        self._injector.meet(f"{self._name} enter")
        return await self._context.__aenter__()

    async def __aexit__(self, *error: Any) -> Any:
        suppressed = await self._context.__aexit__(*error)
        if error[0] is None:
            self._injector.meet(f"{self._name} leave")
        return suppressed


class _Rewriter(ast.NodeTransformer):
    def __init__(self, file: str, names: list[str]) -> None:
        self._file = file.removesuffix(".py")
        self._names = names
        self._functions: list[str] = []
        self._counts: Counter[str] = Counter()

    def _name(self, *suffixes: str) -> str:
        function = ".".join(self._functions)
        self._counts[function] += 1
        name = f"{self._file}:{function}:{self._counts[function]}"
        self._names += [name + suffix for suffix in suffixes]
        return name

    def _scope(self, node: Any) -> ast.AST:
        self._functions.append(node.name)
        self.generic_visit(node)
        self._functions.pop()
        return node  # type: ignore[no-any-return]

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _scope

    @staticmethod
    def _call(what: str, value: ast.expr, name: str) -> ast.expr:
        function = ast.Attribute(ast.Name("__injector__", ast.Load()), what, ast.Load())
        return ast.copy_location(ast.Call(function, [value, ast.Constant(name)], []), value)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        name = self._name("")
        self.generic_visit(node)
        node.value = self._call("point", node.value, name)
        return node

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        names = [self._name(" enter", " leave") for _ in node.items]
        self.generic_visit(node)
        for item, name in zip(node.items, names, strict=True):
            item.context_expr = self._call("around", item.context_expr, name)
        return node

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        name = self._name("")
        self.generic_visit(node)
        node.iter = self._call("over", node.iter, name)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        name = self._name("") if node.is_async else ""
        self.generic_visit(node)
        if name:
            node.iter = self._call("over", node.iter, name)
        return node


class Rewritten(importlib.abc.MetaPathFinder):
    """Loads ``files`` (of edera_falcod) rewritten; install it before they are imported."""

    def __init__(self, files: Sequence[str], injector: Injector) -> None:
        self._files = {f"edera_falcod.{file.removesuffix('.py').replace('/', '.')}": file for file in files}
        self._injector = injector
        already = self._files.keys() & sys.modules.keys()
        assert not already, already
        sys.meta_path.insert(0, self)

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        file = self._files.get(fullname)
        if file is None:
            return None
        return importlib.util.spec_from_loader(fullname, _Loader(fullname, file, self._injector))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, file: str, injector: Injector) -> None:
        super().__init__(name, str(ROOT / file))
        self._file = file
        self._injector = injector

    def path_stats(self, path: Any) -> Any:
        raise OSError  # no bytecode is kept, nor is any taken

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> Any:  # type: ignore[override]
        tree = _Rewriter(self._file, self._injector.names).visit(ast.parse(data))
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__injector__"] = self._injector
        super().exec_module(module)


class Suspensions:
    """A task factory under which suspensions of coroutines that run code of ``files`` are counted, of those at one place the first
    ``REPEATED``. At the ``nth`` ``act`` is called. ``place``: where that was, outermost await first."""

    REPEATED = 3

    def __init__(self, files: Sequence[str], nth: int, act: Callable[[], None]) -> None:
        self.count = 0
        self.place = ""
        self._files = {str(ROOT / file): file for file in files}
        self._nth = nth
        self._act = act
        self._seen: Counter[str] = Counter()

    def factory(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:
        async def driven() -> Any:
            return await _Driver(self, coro)

        return asyncio.Task(driven(), loop=loop, **more)

    def _where(self, coro: object) -> list[str]:
        found: list[str] = []
        step: Any = coro
        while step is not None:
            if type(step).__name__.startswith("async_generator_"):  # what it belongs to, only the collector knows
                step = next((one for one in gc.get_referents(step) if isinstance(one, AsyncGeneratorType)), None)
            frame: FrameType | None = getattr(step, "cr_frame", None) or getattr(step, "gi_frame", None) or getattr(step, "ag_frame", None)
            if frame is not None and frame.f_code.co_filename in self._files:
                found.append(f"{self._files[frame.f_code.co_filename]}:{frame.f_lineno}")
            step = getattr(step, "cr_await", None) or getattr(step, "gi_yieldfrom", None) or getattr(step, "ag_await", None)
        return found

    def at(self, coro: object) -> None:
        """``coro`` waits now."""
        where = " > ".join(self._where(coro))
        self._seen[where] += 1
        if where and self._seen[where] <= self.REPEATED:
            self.count += 1
            if self.count == self._nth:
                self.place = where
                asyncio.get_running_loop().call_soon(self._act)


class _Driver:
    def __init__(self, suspensions: Suspensions, coro: Coroutine[Any, Any, Any]) -> None:
        self._suspensions = suspensions
        self._coro = coro

    def __await__(self) -> Generator[Any, Any, Any]:
        value: Any = None
        error: BaseException | None = None
        try:
            while True:
                try:
                    waited = self._coro.throw(error) if error is not None else self._coro.send(value)
                except StopIteration as stop:
                    return stop.value
                value, error = None, None
                self._suspensions.at(self._coro)
                try:
                    value = yield waited
                except BaseException as raised:
                    error = raised
        finally:
            self._coro.close()
