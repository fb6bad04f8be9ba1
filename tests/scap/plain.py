"""Objects of the core as dictionaries, whether interpreted or compiled (compiled classes have no ``__slots__``)."""

from __future__ import annotations

from typing import Any


def names(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_") and not callable(getattr(kind, name))]


def plain(item: object) -> dict[str, Any]:
    return {name: getattr(item, name) for name in names(type(item))}
