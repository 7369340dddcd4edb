"""A project that does not use the plugin pays next to nothing: nothing but one small module is imported."""

from __future__ import annotations

import json
from pathlib import Path

from tests.plugin.plugin_project import Pytest

CONFTEST = """\
import json, sys
def pytest_sessionfinish(session):
    ours = ("harness", "requests", "docker", "yaml", "rich")
    names = sorted(name for name in sys.modules if name.split(".")[0] in ours)
    open("modules.json", "w").write(json.dumps(names))
"""


def test_nothing_is_imported_when_unused(project: Path, run_pytest: Pytest) -> None:
    (project / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    done = run_pytest("-q")
    assert done.returncode == 0, done.stdout
    imported = json.loads((project / "modules.json").read_text(encoding="utf-8"))
    assert imported == ["harness", "harness.pytest_plugin"]


def test_collecting_starts_nothing(project: Path, run_pytest: Pytest) -> None:
    """Neither promtool nor an engine is needed to list the tests."""
    env = {"ALERT_HARNESS_PROMETHEUS": "/nowhere", "ALERT_HARNESS_PROMTOOL": "/nowhere"}
    done = run_pytest("--alert-rules", "rules", "--collect-only", "-q", env=env)
    assert done.returncode == 0
    assert "rules/r.yml::Good::threshold" in done.stdout
