"""setuptools' build backend, which needs mypy where the core is to be compiled: EDERA_FALCOD_COMPILE=1 pip wheel ."""

from __future__ import annotations

import os
from typing import Any

from setuptools import build_meta as build_meta
from setuptools.build_meta import (  # noqa: F401
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

COMPILER = "mypy>=2.4,<3"  # mypyc is part of it; what the core is tested with


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    extra = [COMPILER] if os.environ.get("EDERA_FALCOD_COMPILE") == "1" else []
    return [*build_meta.get_requires_for_build_wheel(config_settings), *extra]
