"""Every check has a page and a fixture: a file on which bare promtool says SUCCESS and we fail, and a clean one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.engines.promtool import Promtool
from harness.suites import checks
from harness.suites.model import Severity, Status, SuiteFinding, SuiteReport

HERE = Path(__file__).parent
FIXTURES = HERE / "fixtures"
PAGES = HERE.parent.parent / "docs" / "false-greens"
FALSE_RED = {"nan-cannot-be-asserted"}
"""promtool fails these, for no reason that its message tells."""
BY_CHANCE = {"group-order"}
"""promtool passes these most of the time."""
IDS = checks.ids()


def _options(check: str) -> dict[str, Any]:
    if check == "run-matches-nothing":
        return {"run": ("no such group",)}
    if check == "stale-copy":
        return {"configured_rules": (FIXTURES / check / "rules.yml",)}
    return {}


def _found(report: SuiteReport) -> list[SuiteFinding]:
    return [*report.findings, *(finding for file in report.files for finding in file.findings)]


@pytest.mark.parametrize("check", IDS)
def test_promtool_says_success_and_we_do_not(
    check: str, both_promtools: list[Promtool], run: Callable[..., SuiteReport]
) -> None:
    bad = FIXTURES / check / "bad.test.yml"
    options = _options(check)
    for promtool in both_promtools:
        bare = promtool.test_rules([bad], flags=[f"--run={pattern}" for pattern in options.get("run", ())])
        assert check in BY_CHANCE or (bare.returncode == 0) is (check not in FALSE_RED), bare.stderr
        report = run(bad, promtool=promtool, strict=True, **options)
        hits = [finding for finding in _found(report) if finding.id == check]
        assert hits, [f.id for f in _found(report)]
        assert all(hit.severity is Severity.ERROR and hit.message and hit.hint for hit in hits)
        assert not report.passed
        if check != "run-matches-nothing":
            assert all(hit.span and hit.span.file.endswith(("bad.test.yml", "rules.yml")) for hit in hits)


@pytest.mark.parametrize("check", IDS)
def test_the_clean_counterpart_stays_silent(check: str, run: Callable[..., SuiteReport]) -> None:
    options = _options(check) if check == "stale-copy" else {}
    report = run(FIXTURES / check / "clean.test.yml", strict=True, **options)
    assert [(finding.id, finding.message) for finding in _found(report)] == []
    assert report.passed


@pytest.mark.parametrize("check", IDS)
def test_the_message_says_where_and_what(check: str, run: Callable[..., SuiteReport]) -> None:
    report = run(FIXTURES / check / "bad.test.yml", strict=True, **_options(check))
    message = next(finding.message for finding in _found(report) if finding.id == check)
    assert MESSAGES[check] in message


MESSAGES = {
    "external-url-error": "`externalURL` in annotation `summary` of `HostDown` is an error message",
    "group-order": "`DiskFull` of group `pages` reads `node:disk_used:ratio` of group `disks`; it passes where",
    "interval-ignored": "`HostDown` (for: 1m30s) fires after 2m in the test and after 1m30s in production",
    "misspelt-alertname": "defines an alert `HostDwon` (did you mean `HostDown`?)",
    "missing-rule-files": "`rule.yml` matches no file (did you mean `rules.yml`?)",
    "nan-cannot-be-asserted": "NaN cannot be asserted",
    "later-document": "group `disks` stands behind the first document",
    "line-end-in-values": "promtool drops the 1 series after it",
    "no-assertions": "this test group asserts nothing",
    "pending-not-asserted": "`HostDown` is pending at 4m",
    "run-matches-nothing": "--run `no such group` matches no test group",
    "sample-cap": "looks back 30d, which is 43200 samples",
    "samples-after-last-tick": "at 2m30s is not loaded: the last evaluation before eval_time 2m30s is at 2m",
    "stale-copy": "which differs from the deployed",
    "unasserted-firing": "`NoHosts` fires at 5m (one alert)",
    "untested-rules": "no test speaks of the alert `HostSlow`",
}


def test_every_check_has_a_page_and_a_fixture_and_nothing_else_has() -> None:
    assert sorted(path.name for path in FIXTURES.iterdir()) == sorted(IDS)
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted(IDS)
    for page in PAGES.glob("*.md"):
        assert page.read_text(encoding="utf-8").startswith(f"# {page.stem}\n"), page


def test_taste_is_a_warning_without_strict(run: Callable[..., SuiteReport]) -> None:
    for check in ("unasserted-firing", "pending-not-asserted", "untested-rules"):
        report = run(FIXTURES / check / "bad.test.yml")
        assert {f.severity for f in _found(report) if f.id == check} == {Severity.WARNING}
        assert report.passed


@pytest.mark.parametrize(("evaluation_ms", "found"), [(None, 0), (60_000, 0), (30_000, 1)])
def test_a_group_without_an_interval_has_that_of_prometheus(
    evaluation_ms: int | None, found: int, tmp_path: Path, run: Callable[..., SuiteReport]
) -> None:
    """Where the settings tell it; the test runs it every minute, for there is no word of that in it."""
    (tmp_path / "r.yml").write_text(
        "groups: [{name: g, rules: [{alert: Down, expr: up == 0, for: 90s}]}]", encoding="utf-8"
    )
    test = tmp_path / "a.test.yml"
    test.write_text(
        """
rule_files: [r.yml]
tests:
  - interval: 1m
    input_series: [{series: up, values: 0x9}]
    alert_rule_test:
      - {eval_time: 1m, alertname: Down, exp_alerts: []}
      - {eval_time: 2m, alertname: Down, exp_alerts: [{exp_labels: {}}]}
""",
        encoding="utf-8",
    )
    report = run(test, evaluation_ms=evaluation_ms)
    hits = [finding.message for finding in _found(report) if finding.id == "interval-ignored"]
    assert len(hits) == found
    assert all("`Down` (for: 1m30s) fires after 2m in the test and after 1m30s in production" in hit for hit in hits)


@pytest.mark.parametrize(("evaluation_ms", "found"), [(None, 0), (60_000, 0), (15_000, 1)])
def test_a_subquery_without_a_step_has_that_of_prometheus(
    evaluation_ms: int | None, found: int, tmp_path: Path, run: Callable[..., SuiteReport]
) -> None:
    """By hand: eight samples of a 15 s step, two of promtool's minute; so it never fires in production, but here."""
    rule = "{alert: Few, expr: 'count_over_time(up[2m:]) < 4'}"
    (tmp_path / "r.yml").write_text(f"groups: [{{name: g, interval: 1m, rules: [{rule}]}}]", encoding="utf-8")
    test = tmp_path / "a.test.yml"
    test.write_text(
        """
rule_files: [r.yml]
tests:
  - interval: 15s
    input_series: [{series: up, values: 1x40}]
    alert_rule_test: [{eval_time: 5m, alertname: Few, exp_alerts: [{exp_labels: {}}]}]
""",
        encoding="utf-8",
    )
    report = run(test, evaluation_ms=evaluation_ms)
    assert report.files[0].results[0].status is Status.PASSED
    hits = [finding.message for finding in _found(report) if finding.id == "interval-ignored"]
    said = "`Few` has a subquery without a step, which is 1m in the test and 15s in production"
    assert hits == [f"{said} (global.evaluation_interval)"] * found
