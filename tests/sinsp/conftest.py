from __future__ import annotations

import pytest

from tests.sinsp_host import SinspHost, require_sinsp


@pytest.fixture(scope="session")
def sinsp() -> SinspHost:
    """The real libsinsp and the built plugin: else the tests are skipped, or fail where EDERA_FALCOD_REQUIRE_SINSP=1."""
    return require_sinsp()
