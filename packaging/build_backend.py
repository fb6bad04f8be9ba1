"""setuptools' build backend, which brings mypy where the core is to be compiled: EDERA_FALCOD_COMPILE=1 pip wheel ."""

from __future__ import annotations

import os
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
)

COMPILER = "mypy>=2.4,<3"  # mypyc is part of it; what the core is tested with


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Does not ask setuptools: it would run setup.py, which wants the compiler that is asked for here. Nothing else is needed."""
    return [COMPILER] if os.environ.get("EDERA_FALCOD_COMPILE") == "1" else []


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """The metadata are the same whether compiled or not; without the compiler they take a second, not a minute."""
    asked = os.environ.pop("EDERA_FALCOD_COMPILE", None)
    try:
        return str(build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings))
    finally:
        if asked is not None:
            os.environ["EDERA_FALCOD_COMPILE"] = asked
