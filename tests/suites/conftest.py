"""What the tests of suites share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engines.promtool import Promtool
from harness.suites.model import SuiteReport
from harness.suites.run import Options, SuiteRun
from harness.toolchain import Toolchain

Run = Callable[..., SuiteReport]


@pytest.fixture(scope="session")
def promtool(promtool_path: Path) -> Promtool:
    return Promtool(promtool_path)


@pytest.fixture(scope="session")
def both_promtools(promtool: Promtool) -> list[Promtool]:
    """The promtool under test, and the last of 2.x."""
    return [promtool, Promtool(Toolchain(versions={"prometheus": "2.53"}).find("promtool").path)]


@pytest.fixture(scope="session")
def run(promtool: Promtool) -> Run:
    """Run files with options given as keywords; returns the report."""

    def run(*files: Path, promtool: Promtool = promtool, **options: object) -> SuiteReport:
        suite_run = SuiteRun(files, promtool, Options(**options))  # type: ignore[arg-type]
        for _ in suite_run.results():
            pass
        return suite_run.report()

    return run
