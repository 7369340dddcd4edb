"""Windows that promtool cannot fill: an error where the outcome hangs on it, nothing where it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.suites.model import Severity, SuiteReport

Findings = dict[str, list[tuple[Severity, str]]]
CASES = {
    # what is asserted of the alert → expression, series, fires, severity, a part of the message
    "was it ever seen": ("count_over_time(m[7d]) unless count_over_time(m[10m])", "1x20", True, None, ""),
    "was it ever seen, at last": ("last_over_time(m[7d]) unless m", "1x20", True, None, ""),
    "the share of errors": ("increase(m[30d]) / increase(n[30d]) > 0.001", "0+1x60", True, None, ""),
    "never so high": ("max_over_time(m[30d]) < 5", "1 2 3x58", True, None, ""),
    "a burst is enough": ("increase(m[30d]) > 1000", "0+50x60", True, None, ""),
    "slowly": ("increase(m[30d]) > 1000", "0+1x60", False, Severity.ERROR, "counters grown as they begin for all that"),
    "slowly, in a ratio": ("rate(m[30d]) > 0.01", "0+1x60", False, Severity.ERROR, "it would be active at 1h"),
    "on average": ("avg_over_time(m[30d]) < 0.5", "1x5 0x54", True, Severity.ERROR, "it would not be active at 1h"),
    "on average, all the time": ("avg_over_time(m[30d]) < 0.5", "0.4x60", True, None, ""),
    "a number of samples": ("count_over_time(m[7d]) > 5000", "1x60", False, Severity.ERROR, "it would be active"),
    "few samples": ("count_over_time(m[7d]) < 12000", "1x60", True, None, ""),
    "on samples, read elsewhere too": (
        "count_over_time(m[7d]) > 5000 and m",
        "1x60",
        False,
        Severity.WARNING,
        "how many",
    ),
    "what begins later": ("max_over_time(m[30d]) > 2", "_x30 3x29", True, None, ""),
    "by a subquery": ("max_over_time(m[30d:1m]) > 2", "3x60", True, Severity.WARNING, "it has a subquery"),
    "by a subquery of few steps": ("max_over_time(m[30d:1h]) > 2", "3x60", True, None, ""),
    "against a month ago": ("m > 2 unless m offset 30d", "3x60", True, None, ""),
    "by the clock": ("min_over_time(m[30d]) < time()", "3x60", True, Severity.WARNING, "it reads the clock"),
    "over what is recorded": ("max_over_time(job:m[30d]) > 2", "3x60", True, Severity.WARNING, "over recorded series"),
}
RULES = """\
groups:
  - name: g
    rules:
      - {record: 'job:m', expr: sum(m)}
      - alert: A
        expr: EXPR
        for: 10m
"""
TESTS = """\
rule_files: [RULES]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{series: m, values: 'VALUES'}, {series: n, values: '0+100x60'}]
    alert_rule_test:
      - {eval_time: 1h, alertname: A, exp_alerts: [EXPECTED]}
"""


@pytest.fixture(scope="module")
def findings(
    tmp_path_factory: pytest.TempPathFactory, run: Callable[..., SuiteReport]
) -> dict[str, list[tuple[Severity, str]]]:
    folder = tmp_path_factory.mktemp("cap")
    files = {}
    for number, (name, (expr, values, fires, _, _)) in enumerate(CASES.items()):
        rules = folder / f"{number}.yml"
        rules.write_text(RULES.replace("EXPR", expr), encoding="utf-8")
        tests = TESTS.replace("RULES", rules.name).replace("VALUES", values)
        files[name] = folder / f"{number}.test.yml"
        files[name].write_text(tests.replace("EXPECTED", "{exp_labels: {}}" if fires else ""), encoding="utf-8")
    report = run(*files.values())
    assert all(file.promtool_passed for file in report.files), [file.errors for file in report.files]
    by_path = {
        file.path: [(f.severity, f.message) for f in file.findings if f.id == "sample-cap"] for file in report.files
    }
    return {name: by_path[path] for name, path in files.items()}


@pytest.mark.parametrize("name", CASES)
def test_whether_the_outcome_hangs_on_a_full_window(name: str, findings: dict[str, list[tuple[Severity, str]]]) -> None:
    severity, message = CASES[name][3:]
    found = findings[name]
    assert [each for each, _ in found] == ([] if severity is None else [severity]), found
    assert all(message in said for _, said in found), found
