"""`pytest --alert-rules`: which items there are, which fail and with what words, and pytest's own switches on them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.plugin.plugin_project import Pytest

GOOD = [
    f"rules/r.yml::Good::{aspect}"
    for aspect in ("contract", "threshold", "hold", "recovery", "labels", "situation:full for long",
                   "situation:at the limit")
]  # fmt: skip
WRONG = [item.replace("Good", "Wrong") for item in GOOD]
SUITE = ["tests/r.test.yml::file", "tests/r.test.yml::good fires", "tests/r.test.yml::group 2"]
FAILING = {
    "rules/r.yml::Wrong::threshold",
    "rules/r.yml::Wrong::hold",
    "rules/r.yml::Wrong::labels",
    "rules/r.yml::Wrong::situation:at the limit",
    "tests/r.test.yml::group 2",
}
ALL = ("--alert-rules", "rules", "--alert-tests", "tests")


SPY = """\
from harness.proof.measuring.measure import Measurer
measure = Measurer.measure
def told(self, contract, located):
    open("measured.txt", "a").write(located.rule.alert + "\\n")
    return measure(self, contract, located)
Measurer.measure = told
"""


def outcomes(text: str) -> dict[str, str]:
    """Item → PASSED, FAILED, … of a run with `-v`, also with xdist, which puts the word first."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"(\S+\.(?:yml|py)::.*?) (PASSED|FAILED|ERROR|SKIPPED)\s", line + " "):
            found[match[1]] = match[2]
        elif match := re.match(r"\[gw\d\] \[ *\d+%\] (PASSED|FAILED|ERROR|SKIPPED) (.*?)\s*$", line):
            found[match[2]] = match[1]
    return found


def failed(text: str) -> set[str]:
    return {item for item, word in outcomes(text).items() if word != "PASSED"}


def test_an_item_per_alert_and_aspect_and_per_test_group(project: Path, run_pytest: Pytest) -> None:
    done = run_pytest(*ALL, "-v")
    assert set(outcomes(done.stdout)) == {*GOOD, *WRONG, *SUITE, "tests/test_plain.py::test_plain"}, done.stdout
    assert failed(done.stdout) == FAILING
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    for words in (
        "fires at exactly 80 %\n",
        "    the contract says > 80 %\n",
        "    measured: quiet at 79, fires at 80 %",
        "fires 4m after it becomes pending\n",
        "    the contract says 5m (5 ticks of 1m)\n",
        'the alert carries `severity="critical"`\n',
        '    the contract says `severity="warning"`\n',
        "  rule      rules/r.yml:9",
        "            - label job: b\n            + label job: a",
    ):
        assert words in done.stdout
    assert re.search(r"FAILED rules/r.yml::Wrong::threshold - fires at exactly 80 %", done.stdout)


def test_a_caret_stands_under_the_wrong_part_and_nowhere_else(project: Path, run_pytest: Pytest) -> None:
    """The threshold is in the second comparison; a wrong hold is in none."""
    rules = project / "rules" / "r.yml"
    expr = "good_level > 90 or wrong_level >= 80"
    rules.write_text(rules.read_text("utf-8").replace("expr: wrong_level >= 80", f"expr: {expr}"), encoding="utf-8")
    done = run_pytest("--alert-rules", "rules", "-q", "-k", "Wrong and (threshold or hold)")
    line = f"   10 |         expr: {expr}\n"
    caret = f"      |               {' ' * len('good_level > 90 or ')}{'^' * len('wrong_level >= 80')}\n"
    assert done.stdout.count(line) == 2, done.stdout
    assert done.stdout.count(line + caret) == 1, done.stdout
    assert done.stdout.count("^") == len("wrong_level >= 80")


def test_only_what_is_selected_is_measured(project: Path, run_pytest: Pytest) -> None:
    (project / "conftest.py").write_text(SPY, encoding="utf-8")
    done = run_pytest("--alert-rules", "rules", "-v", "-k", "Good", "--junit-xml", "j.xml")
    assert set(outcomes(done.stdout)) == set(GOOD), done.stdout
    assert done.returncode == 0
    assert (project / "measured.txt").read_text(encoding="utf-8") == "Good\n"
    cases = {f"{c.get('classname')}::{c.get('name')}": c for c in ET.parse(project / "j.xml").iter("testcase")}
    threshold = cases["rules.r.yml.Good::threshold"]
    properties = {p.get("name"): p.get("value") for p in threshold.iter("property")}
    assert properties.pop("measured_s")
    assert properties == {"verdict": "exact", "quiet_at": "80", "fires_at": "81"}
    assert sum(float(c.get("time") or 0) for c in cases.values()) > 0


def test_marker_node_ids_and_last_failed(project: Path, run_pytest: Pytest) -> None:
    done = run_pytest(*ALL, "-v", "rules/r.yml::Wrong::hold", "rules/r.yml::Good")
    assert set(outcomes(done.stdout)) == {*GOOD, "rules/r.yml::Wrong::hold"}, done.stdout + done.stderr
    assert failed(done.stdout) == {"rules/r.yml::Wrong::hold"}
    done = run_pytest(*ALL, "-v", "--lf", "-m", "alert_rules")
    assert set(outcomes(done.stdout)) == {"rules/r.yml::Wrong::hold"}, done.stdout


def test_xdist_and_random_order(project: Path, run_pytest: Pytest) -> None:
    done = run_pytest(*ALL, "-v", "-n", "2", "-p", "no:hypothesispytest", others=True)
    assert set(outcomes(done.stdout)) == {*GOOD, *WRONG, *SUITE, "tests/test_plain.py::test_plain"}, done.stdout
    assert failed(done.stdout) == FAILING


def test_an_overlapping_argument_makes_no_item_twice(project: Path, run_pytest: Pytest) -> None:
    done = run_pytest(*ALL, "--collect-only", "-q", "-m", "alert_rules", ".")
    ids = [line for line in done.stdout.splitlines() if "::" in line]
    assert sorted(ids) == sorted({*GOOD, *WRONG, *SUITE}), done.stdout


def test_the_setting_does_the_same_and_gives_way_to_arguments(project: Path, run_pytest: Pytest) -> None:
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text(encoding="utf-8") + "alert_rules = ['rules']\n", encoding="utf-8")
    done = run_pytest("--collect-only", "-q")
    assert "rules/r.yml::Good::hold" in done.stdout
    assert "tests/test_plain.py::test_plain" in done.stdout
    done = run_pytest("--collect-only", "-q", "tests/test_plain.py")
    assert [line for line in done.stdout.splitlines() if "::" in line] == ["tests/test_plain.py::test_plain"]


def test_missing_and_unexpected(project: Path, run_pytest: Pytest) -> None:
    rules = project / "rules" / "r.yml"
    rules.write_text(rules.read_text(encoding="utf-8").replace("alert: Wrong", "alert: Other"), encoding="utf-8")
    done = run_pytest("--alert-rules", "rules", "-v", "-k", "contract")
    assert failed(done.stdout) == {"rules/r.yml::Other::contract", "rules/contracts/c.yml::Wrong::contract"}
    assert "no contract speaks of `Other` (rules/r.yml:9" in done.stdout
    assert "has no rule: no alert `Wrong` in rules/r.yml" in done.stdout


def test_what_is_not_measured_is_not_green(project: Path, run_pytest: Pytest) -> None:
    rules = project / "rules" / "r.yml"
    rules.write_text(rules.read_text(encoding="utf-8").replace("good_level > 80", "god_level > 80"), encoding="utf-8")
    done = run_pytest("--alert-rules", "rules", "-v", "-k", "Good")
    quiet = {"rules/r.yml::Good::contract", "rules/r.yml::Good::situation:at the limit"}
    assert failed(done.stdout) == set(GOOD) - quiet, done.stdout
    assert "not measured, because" in done.stdout
    assert "stays quiet at every level from 0 to 100 %" in done.stdout


def test_bad_input_reads_like_the_command_line(project: Path, run_pytest: Pytest) -> None:
    done = run_pytest("--alert-rules", "nowhere")
    assert done.returncode == 4
    assert "nowhere does not exist" in done.stderr
    rules = project / "rules" / "r.yml"
    text = rules.read_text(encoding="utf-8")
    rules.write_text(text.replace("expr: good_level", "exp: good_level"), encoding="utf-8")
    done = run_pytest("--alert-rules", "rules", "-v")
    assert done.returncode == 1
    assert "did you mean `expr`?" in done.stdout
    line = text[: text.index("expr: good_level")].count("\n") + 1
    assert f"rules/r.yml::line {line} FAILED" in done.stdout  # the others are played all the same
    assert "::Good::" not in done.stdout
    assert "::Wrong::threshold" in done.stdout
    assert "Traceback" not in done.stdout
    rules.write_text(text.replace("good_level > 80", "good_level >"), encoding="utf-8")
    done = run_pytest("--alert-rules", "rules", "-k", "Good and hold")
    assert done.returncode == 1
    assert "not a valid PromQL expression" in done.stdout
    assert "Traceback" not in done.stdout


def test_no_engine(project: Path, run_pytest: Pytest) -> None:
    (project / "tests" / "test_own.py").write_text("def test_own(prometheus):\n    pass\n", encoding="utf-8")
    env = {"ALERT_HARNESS_PROMETHEUS": str(project / "no-prometheus")}
    done = run_pytest("--alert-rules", "rules", "--alert-engine", "process", "-k", "Good or own", env=env)
    assert done.returncode == 1
    assert "no-prometheus" in done.stdout
    assert "what to do:" in done.stdout
    assert "Traceback" not in done.stdout
    done = run_pytest("--alert-rules", "rules", "--alert-engine", "proces", "-k", "Good and hold")
    assert "unknown engine `proces` (did you mean `process`?)" in done.stdout


def test_alerts_of_one_name_are_told_apart(project: Path, run_pytest: Pytest) -> None:
    """By severity, and where that is the same by number; each is measured against its own contract."""
    for file in (project / "rules" / "r.yml", project / "rules" / "contracts" / "c.yml"):
        text = file.read_text(encoding="utf-8").replace("Wrong", "Good")
        good, _, wrong = text.rpartition("severity: warning")
        file.write_text(f"{good}severity: critical{wrong}" if "contracts" in str(file) else text, encoding="utf-8")
    rules = project / "rules" / "r.yml"
    more = "      - {alert: Same, expr: up > 1}\n      - {alert: Same, expr: up > 2}\n"
    rules.write_text(rules.read_text(encoding="utf-8") + more, encoding="utf-8")
    done = run_pytest("--alert-rules", "rules", "-v", "-k", "threshold or Same")
    assert outcomes(done.stdout) == {
        "rules/r.yml::Good[warning]::threshold": "PASSED",
        "rules/r.yml::Good[critical]::threshold": "FAILED",
        "rules/r.yml::Same::contract": "FAILED",
        "rules/r.yml::Same (2)::contract": "FAILED",
    }, done.stdout
