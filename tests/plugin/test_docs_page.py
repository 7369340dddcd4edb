"""docs/pytest.md: its code runs as it stands there, its tables name every option and fixture."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from harness import pytest_plugin
from tests.plugin.plugin_project import Pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pytest.md"


def test_the_code_on_the_page_passes(nine: Path, run_pytest: Pytest) -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    tests = 0
    for number, text in enumerate(code):
        (nine / f"test_page_{number}.py").write_text(text, encoding="utf-8")
        tests += text.count("def test_")
    done = run_pytest("-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tests} passed" in done.stdout
    assert tests >= 6


def test_the_strategies_failure_on_the_page_is_what_is_shown(nine: Path, run_pytest: Pytest) -> None:
    """The rule as the page supposes it: the disagreement is shrunk to one camera of four."""
    rules = nine / "rules" / "business.yml"
    rules.write_text(rules.read_text(encoding="utf-8").replace("> 20\n", "> 25\n"), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    (code,) = [c for c in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "Trial(" in c]
    (nine / "test_page.py").write_text(code, encoding="utf-8")
    done = run_pytest("-q")
    assert done.returncode == 1
    (shown,) = re.findall(r"^    (HighCameraOfflineRate must .*?) …$", page, re.MULTILINE)
    assert shown in done.stdout, done.stdout
    assert 'series: "gtvision_cameras_total{' in done.stdout


def test_every_option_and_fixture_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    source = inspect.getsource(pytest_plugin)
    options = ["rules", "contracts", "tests", "engine"]
    assert [name for name in options if f"`--alert-{name} " not in page or f"`alert_{name}`" not in page] == []
    fixtures = re.findall(r"@pytest.fixture.*\ndef (\w+)", source)
    assert len(fixtures) == 5
    assert [name for name in fixtures if f"`{name}`" not in page] == []
