"""What tests need beyond Python, and what happens where it is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from harness.errors import EngineError
from harness.toolchain import Toolchain


def refuse_to_skip(reason: str) -> NoReturn:
    """Skip with a reason; CI, which sets ALERT_HARNESS_REQUIRE_DOCKER=1, refuses to go on without."""
    if os.environ.get("ALERT_HARNESS_REQUIRE_DOCKER") == "1":
        pytest.fail(f"{reason}, but ALERT_HARNESS_REQUIRE_DOCKER=1", pytrace=False)
    pytest.skip(reason)


def binary_of(name: str, version: str) -> Path:
    """A tool of one of the versions on which everything is proved; skips as :func:`refuse_to_skip` does."""
    try:
        return Toolchain(versions={"prometheus": version}).find(name).path
    except EngineError as err:
        refuse_to_skip(f"no {name} {version}: {err.message}")
