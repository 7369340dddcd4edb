"""Which files of a folder are unit tests: by what people call them, or by what they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.config import rule_files, unit_test_files
from harness.errors import InputError

RULES = "groups:\n  - name: g\n    rules: []\n"
TESTS = "rule_files:\n  - rules.yml\ntests: []\n"
FOLDER = {
    "a.test.yml": TESTS,
    "a.test.yaml": TESTS,
    "b_test.yml": "# nothing yet\n",
    "c_tests.yaml": TESTS,
    "test_d.yml": TESTS,
    "tests.yml": TESTS,
    "below/tests.yaml": "tests: []\n",
    "below/smoke.yml": TESTS,
    "quoted.yml": '"tests": []\n"rule_files": [rules.yml]\n',
    # Not tests, whatever they are called.
    "rules.yml": RULES,
    "test_cluster.yml": RULES,
    "load_test.yaml": "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n",
    "helm.yml": "tests: []\n",
    "notes.txt": TESTS,
    "latest.yml": RULES,
}
NOT = {"rules.yml", "test_cluster.yml", "load_test.yaml", "helm.yml", "notes.txt", "latest.yml"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FOLDER.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_unit_tests_are_found_by_name_or_by_content(folder: Path) -> None:
    found = {path.relative_to(folder).as_posix() for path in unit_test_files(["."], folder)}
    assert found == set(FOLDER) - NOT


def test_what_is_named_itself_is_taken(folder: Path) -> None:
    assert unit_test_files(["helm.yml", "rul*.yml"], folder) == [folder / "helm.yml", folder / "rules.yml"]
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="no promtool test file"):
        unit_test_files(["empty"], folder)


def test_rule_files_are_the_others(folder: Path) -> None:
    found = {path.name for path in rule_files(["."], folder)}
    assert found == NOT - {"notes.txt"}
