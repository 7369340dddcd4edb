"""Every scenario of every script under scripts/; README.md there says how they read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.scripting import (
    SCRIPTS,
    Outcome,
    Scenario,
    arguments_of,
    clean_environ,
    in_process,
    in_subprocess,
    lay_out,
    masked,
    matches,
    read_script,
    update,
)

UPDATE = os.environ.get("UPDATE_SCRIPTS") == "1"
ALL = [read_script(path) for path in sorted(SCRIPTS.glob("*.txt"))]


def params(scenarios: list[Scenario]) -> list[object]:
    return [pytest.param(s, id=s.id, marks=[getattr(pytest.mark, tag) for tag in s.tags]) for s in scenarios]


def play(
    scenario: Scenario, run: Callable[..., Outcome], tmp_path: Path, tools: dict[str, Path]
) -> tuple[int, list[str], list[str]]:
    folder, temp = tmp_path / "work", tmp_path / "temp"
    folder.mkdir()
    temp.mkdir()
    lay_out(scenario, folder)
    before = sorted(folder.rglob("*"))
    environ = clean_environ(os.environ, tools, temp)
    for name, value in scenario.environ.items():
        environ[name] = value.replace("[WORK]", str(folder))
    outcome = run(arguments_of(scenario), folder, environ)
    both = outcome.stdout + outcome.stderr
    assert "Traceback" not in both, both
    assert "fault of alert-harness" not in both, both
    assert "\x1b" not in both, "an escape sequence where there is no terminal"
    assert list(temp.iterdir()) == [], "something was left behind"
    if outcome.code >= 2:
        assert outcome.stderr
        if "report: build/report/" not in both:  # a run that got as far as rows writes its documents
            assert sorted(folder.rglob("*")) == before
    return outcome.code, masked(outcome.stdout, folder, tools), masked(outcome.stderr, folder, tools)


@pytest.mark.parametrize("scenario", params([s for script in ALL for s in script]))
def test_script(scenario: Scenario, tmp_path: Path, tools: dict[str, Path]) -> None:
    code, stdout, stderr = play(scenario, in_process, tmp_path, tools)
    if UPDATE:
        update(scenario, code, stdout, stderr)
        return
    assert stderr == scenario.stderr or matches(scenario.stderr, stderr)
    assert stdout == scenario.stdout or matches(scenario.stdout, stdout)
    assert code == scenario.code


@pytest.mark.sampled(3)
@pytest.mark.parametrize("scenario", params([script[0] for script in ALL]))
def test_the_installed_command_answers_the_same(scenario: Scenario, tmp_path: Path, tools: dict[str, Path]) -> None:
    code, stdout, stderr = play(scenario, in_subprocess, tmp_path, tools)
    assert matches(scenario.stderr, stderr), stderr
    assert matches(scenario.stdout, stdout), stdout
    assert code == scenario.code
