"""A small project with a good alert, a wrong one and promtool tests, and pytest run on it in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.plugin_project import FILES, Pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """`rules/` with contracts, `tests/` with a promtool test and a plain test; pytest's settings."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run_pytest(tmp_path: Path) -> Pytest:
    """pytest in the test's folder, in its own process; other plugins only with `others`, for they take their time."""

    def run(
        *arguments: str, others: bool = False, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        # Under CI pytest prints whole messages in its summary too.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_")) and k != "CI"}
        off = [] if others else ["-p", "no:randomly", "-p", "no:xdist", "-p", "no:hypothesispytest"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *off, *arguments],
            cwd=tmp_path,
            env={**inherited, "COLUMNS": "160", **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def nine(tmp_path: Path) -> Path:
    """A folder with the project's own rules and contracts."""
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    return tmp_path
