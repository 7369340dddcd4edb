"""Runs: one result per assertion in its place, promtool's verdict, rule files of every shape, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main
from harness.engines.promtool import Promtool
from harness.report.suites.json import suites_json
from harness.suites import checks
from harness.suites.diff import Change, diff_alerts
from harness.suites.model import Labelled, Status, SuiteReport
from tests.foreign import corpus

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = Path(__file__).parent / "fixtures"
Run = Callable[..., SuiteReport]

RULES = """\
groups:
- name: g
  rules:
  - {record: "job:up:sum", expr: sum by (job) (up)}
  - alert: Down
    expr: job:up:sum == 0
    labels: {severity: page}
    annotations: {summary: "{{ $labels.job }} is down"}
"""
GROUP = """\
- interval: 1m
  input_series: [{series: 'up{job="a"}', values: '%s'}, {series: other, values: '1x5'}]
  alert_rule_test:
  - {eval_time: 1m, alertname: Down, exp_alerts: []}
  - eval_time: 2m
    alertname: Down
    exp_alerts: [{exp_labels: {job: a, severity: page}, exp_annotations: {summary: a is down}}]
  promql_expr_test:
  - {expr: "job:up:sum", eval_time: 2m, exp_samples: [{labels: 'job:up:sum{job="a"}', value: 0}]}
"""


def write(folder: Path, tests: str, rules: str = RULES) -> Path:
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    file = folder / "x.test.yml"
    file.write_text(f"rule_files: [rules.yml]\ntests:\n{tests}", encoding="utf-8")
    return file


def test_groups_without_a_name_are_told_apart(tmp_path: Path, run: Run) -> None:
    file = write(tmp_path, GROUP % "1 1 0x5" + GROUP % "0x5" + GROUP % "1 1 0x5" + GROUP % "1x5")
    result = run(file).files[0]
    got = [(r.group_index, r.kind, r.eval_time_ms // 60_000) for r in result.results if r.status is Status.FAILED]
    assert got == [(1, "alert", 1), (3, "alert", 2), (3, "expr", 2)]
    assert len(result.results) == 12
    failed = next(r for r in result.results if r.status is Status.FAILED)
    assert failed.span.line == 15
    assert failed.inputs == ('up{job="a"} 0x5',)
    assert failed.got is not None
    assert dict(failed.got[0].labels) == {"alertname": "Down", "job": "a", "severity": "page"}


def test_two_assertions_on_one_alert_and_time(tmp_path: Path, run: Run) -> None:
    tests = """\
- interval: 1m
  input_series: [{series: 'up{job="a"}', values: '1x5'}]
  alert_rule_test:
  - {eval_time: 1m, alertname: Down, exp_alerts: [{exp_labels: {job: x}}]}
  - {eval_time: 1m, alertname: Down, exp_alerts: []}
  - {eval_time: 1m, alertname: Down, exp_alerts: [{exp_labels: {job: y}}]}
"""
    result = run(write(tmp_path, tests)).files[0]
    assert [r.status.value for r in result.results] == ["failed", "passed", "failed"]


def test_a_diff_pairs_similar_alerts() -> None:
    def alert(annotation: str, **labels: str) -> Labelled:
        return Labelled(labels, {"summary": annotation})

    diffs = diff_alerts(
        [alert("one", job="a", severity="page"), alert("two", job="b"), alert("same", job="c")],
        [alert("same", job="c"), alert("1", job="a", severity="warn"), alert("z", x="1", y="2", z="3")],
    )
    assert diffs[0].changes == (
        Change("label", "severity", "page", "warn"),
        Change("annotation", "summary", "one", "1"),
    )
    assert len(diffs) == 2


MERGES = {
    "own fields behind": ("<<: *t\n  input_series: [{series: up, values: 1x5}]", "[]"),
    "own fields before, which the merge overrides": ("input_series: [{series: up, values: 1x5}]\n  <<: *t", "[{}]"),
    "the first of a list": ("<<: [*t, *u]", "[{}]"),
    "the last of two": ("<<: *t\n  <<: *u", "[]"),
    "nothing behind": ("<<: *t\n  input_series:", "[]"),
    "nothing before": ("input_series:\n  <<: *t", "[{}]"),
}
"""How a test group gets its series from `t` (0) or `u` (1), and what fires for promtool."""


@pytest.mark.parametrize("name", MERGES)
def test_merge_keys_of_unit_tests_are_promtools(
    name: str, tmp_path: Path, both_promtools: list[Promtool], run: Run
) -> None:
    fields, fires = MERGES[name]
    tests = f"""\
- &t {{interval: 1m, input_series: [{{series: up, values: 0x5}}]}}
- &u {{interval: 1m, input_series: [{{series: up, values: 1x5}}]}}
- {fields}
  alert_rule_test: [{{alertname: A, eval_time: 1m, exp_alerts: {fires}}}]
"""
    file = write(tmp_path, tests, "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n")
    for promtool in both_promtools:
        assert promtool.test_rules([file]).returncode == 0
        assert [r.status for r in run(file, promtool=promtool).files[0].results] == [Status.PASSED]


def test_a_label_twice_by_a_merge_is_refused_as_promtool_does(tmp_path: Path, run: Run) -> None:
    alert = "{exp_labels: {x: own, <<: {x: base}}}"
    tests = GROUP.replace("exp_alerts: [", f"exp_alerts: [{alert}, ", 1) % "1x5"
    result = run(write(tmp_path, tests)).files[0]
    assert result.status is Status.ERROR
    assert "`x` stands twice" in str(result.problem)


OBJECT = """\
# a comment
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: x}
spec:
%s"""


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    "rules",
    [
        OBJECT % _indented(RULES),
        f"groups: []\n---\n{RULES}",
        f"{RULES}---\n{OBJECT % _indented(RULES.replace('Down', 'Other').replace('job:up', 'x:up'))}",
        '{"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "spec": {"groups": [{"name": "g", '
        '"rules": [{"record": "job:up:sum", "expr": "sum by (job) (up)"}, {"alert": "Down", "expr": "job:up:sum == 0", '
        '"labels": {"severity": "page"}, "annotations": {"summary": "{{ $labels.job }} is down"}}]}]}}',
        OBJECT.replace("{name: x}", "{labels: &l {severity: page}}")
        % _indented(RULES.replace("{severity: page}", "*l")),
    ],
)  # fmt: skip
def test_rule_files_of_every_shape(rules: str, tmp_path: Path, run: Run) -> None:
    report = run(write(tmp_path, GROUP % "1 1 0x5", rules))
    assert report.files[0].promtool_passed, report.files[0].errors


def test_a_fault_in_an_object_is_named_in_its_own_lines(tmp_path: Path, run: Run) -> None:
    rules = OBJECT % _indented(RULES.replace("sum by (job) (up)", '"sum by (job (up)"'))
    result = run(write(tmp_path, GROUP % "1 1 0x5", rules)).files[0]
    assert result.status is Status.ERROR
    assert result.problem is not None
    assert result.problem.span is not None
    assert result.problem.span.file.endswith("rules.yml")
    assert "sum by (job (up)" in result.problem.span.source_line
    assert not any("alert-harness-" in text for text in (*result.errors, str(result.problem)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "must be a mapping"),
        ("tests:\n\t- interval: 1m\n", "tab"),
        ("tets: []\n", "unknown field `tets`"),
        ("tests:\n- intervall: 1m\n", "did you mean `interval`?"),
        ("tests:\n- alert_rule_test:\n  - {alertname: A, exp_alert: []}\n", "did you mean `exp_alerts`?"),
        ("tests:\n- interval: 5 minutes\n", "is not a duration"),
        ("tests:\n- alert_rule_test: [{eval_time: 1m}]\n", "without `alertname`"),
        ("groups: []\n", "is a rule file"),
        ("tests: {a: b}\n", "must be a list"),
        ("group_eval_order: [a, a]\n", "stands twice"),
        ("evaluation_interval: 1m\nevaluation_interval: 2m\n", "stands twice"),
        ("tests:\n- input_series: [{series: up, values: '1 2 x'}]\n", "cannot read `x`"),
    ],
)
def test_bad_input_is_named(
    text: str, message: str, tmp_path: Path, promtool: Promtool, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.test.yml"
    file.write_text(text, encoding="utf-8")
    assert main(["test", str(file)]) == 2
    assert message in capsys.readouterr().out
    assert promtool.test_rules([file]).returncode == 1


def test_an_empty_file_tests_nothing(tmp_path: Path, promtool: Promtool, run: Run) -> None:
    file = tmp_path / "x.test.yml"
    file.write_text("# nothing yet\n", encoding="utf-8")
    assert promtool.test_rules([file]).returncode == 0
    assert [f.id for f in run(file).files[0].findings] == ["no-assertions"]


def test_a_binary_file_and_a_missing_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.test.yml"
    file.write_bytes(b"\x7fELF\0\0")
    assert main(["test", str(file)]) == 2
    assert "binary file" in capsys.readouterr().out
    assert main(["test", str(tmp_path / "none.yml")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_rule_file_outside_of_the_tree_works_and_a_missing_one_is_named(tmp_path: Path, run: Run) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    file = write(inner, GROUP % "1 1 0x5")
    (inner / "rules.yml").rename(tmp_path / "[odd] *.yml")
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("[rules.yml]", r"['../../\[odd\] \*.yml']"), encoding="utf-8")
    assert run(file).passed
    file.write_text(text, encoding="utf-8")
    assert [f.id for f in run(file).files[0].findings] == ["missing-rule-files"]


def test_interval_zero_is_promtools_to_judge(tmp_path: Path, both_promtools: list[Promtool], run: Run) -> None:
    file = write(tmp_path, (GROUP % "1 1 0x5").replace("interval: 1m", "interval: 0"))
    for promtool in both_promtools:
        bare = promtool.test_rules([file]).returncode == 0
        assert run(file, promtool=promtool).files[0].promtool_passed is bare


@pytest.mark.slow  # promtool alone takes 10 ms a group
def test_ten_thousand_groups(tmp_path: Path, promtool: Promtool, run: Run) -> None:
    tests = "".join(
        f"- {{name: g{i}, promql_expr_test: [{{expr: vector({i}), exp_samples: [{{value: {i}}}]}}]}}\n"
        for i in range(10_000)
    )
    file = tmp_path / "x.test.yml"
    file.write_text(f"tests:\n{tests}".replace("vector(777)", "vector(778)"), encoding="utf-8")
    result = run(file).files[0]
    assert [r.group for r in result.results if r.status is Status.FAILED] == ["g777"]
    assert len(result.results) == 10_000


def test_run_is_promtools(tmp_path: Path, run: Run) -> None:
    tests = "".join(f"- name: {name}\n " + (GROUP % "1x5")[1:] for name in ("alpha", "beta 2", "gamma"))
    file = write(tmp_path, tests)
    result = run(file, run=(r"^a", r"\d$")).files[0]
    assert result.ran == (0, 1)
    assert run(file, run=("[[:upper:]]",)).findings[0].id == "run-matches-nothing"


def test_exit_codes_and_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # away from our own settings, which tell the evaluation interval
    good = write(tmp_path, GROUP % "1 1 0x5")
    assert main(["test", str(good)]) == 0
    assert "1 of 1 file passed, 3 of 3 assertions" in capsys.readouterr().out
    bad = tmp_path / "bad.test.yml"
    bad.write_text(good.read_text(encoding="utf-8").replace("job: a,", "job: b,"), encoding="utf-8")
    assert main(["test", str(good), str(bad), "--json", "-"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [file["status"] for file in document["files"]] == ["passed", "failed"]
    failed = document["files"][1]["assertions"][1]
    assert failed["differences"][0]["changes"] == [{"part": "label", "name": "job", "expected": "b", "got": "a"}]
    assert document["summary"]["assertions_passed"] == 5
    assert main(["test", "--run", "(", str(good)]) == 2
    assert "--run: error parsing regexp" in capsys.readouterr().err


def test_strict_from_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = FIXTURES / "untested-rules" / "bad.test.yml"
    monkeypatch.chdir(tmp_path)
    assert main(["test", str(file)]) == 0
    assert main(["test", str(file), "--strict"]) == 1
    (tmp_path / "alert-harness.toml").write_text("[test]\nstrict = true\n", encoding="utf-8")
    assert main(["test", str(file)]) == 1
    assert main(["test", str(file), "--no-strict"]) == 0
    (tmp_path / "alert-harness.toml").write_text("[test]\nstrikt = true\n", encoding="utf-8")
    assert main(["test", str(file)]) == 2
    assert "did you mean `strict`?" in capsys.readouterr().err


def test_an_interrupt_tells_what_is_known(tmp_path: Path, promtool_path: Path) -> None:
    quick = write(tmp_path, GROUP % "1 1 0x5")
    slow = tmp_path / "slow.test.yml"
    heavy = "- {input_series: [{series: a, values: '1x100000'}], promql_expr_test: [{expr: sum(a), eval_time: 27h}]}\n"
    slow.write_text("evaluation_interval: 1s\ntests:\n" + heavy * 50, encoding="utf-8")
    command = [sys.executable, "-m", "harness.cli", "test", str(quick), str(slow), "--json", str(tmp_path / "out.json")]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert b"ok" in process.stdout.readline()
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert time.monotonic() - begun < 20
    assert process.returncode == 130
    assert b"interrupted; so far 1 of 1 file passed" in out
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert document["complete"] is False
    assert not [*tmp_path.glob("alert-harness-*"), *tmp_path.glob("test_storage*")]


def test_our_own_suite_is_clean_under_strict(run: Run) -> None:
    files = sorted((ROOT / "tests" / "rules").glob("*.test.yml"))
    report = run(*files, strict=True, configured_rules=tuple(sorted((ROOT / "rules").glob("*.yml"))))
    assert report.passed
    assert all(rule.asserted and rule.firing and rule.quiet for rule in report.coverage if rule.kind == "alert")
    assert json.loads(suites_json(report, []))["passed"]


def test_every_check_is_documented() -> None:
    text = (ROOT / "docs" / "test.md").read_text(encoding="utf-8")
    assert [check for check in checks.ids() if f"(false-greens/{check}.md)" not in text] == []


OWN = [file for file in sorted(FIXTURES.rglob("*.test.yml")) if file.parent.name != "sample-cap"]  # that takes its time
FOREIGN = [
    file
    for file in corpus("tests")
    if "\nrule_files:" in "\n" + file.read_text(encoding="utf-8")
    # Takes promtool minutes, and on a busy machine times out within it.
    and not file.match("kubernetes-mixin/tests/tests.yaml")
]


@pytest.mark.parametrize("files", [OWN, *([pytest.param(FOREIGN, marks=pytest.mark.slow)] if FOREIGN else [])])
def test_the_verdict_is_promtools(promtool: Promtool, run: Run, files: list[Path]) -> None:
    report = run(*files)
    assert len(report.files) == len(files) > 25
    for result in report.files:
        assert result.promtool_passed is (promtool.test_rules([result.path]).returncode == 0), result.name
        if result.promtool_passed and result.status is not Status.PASSED:
            assert {f.id for f in result.findings} <= set(checks.ids())
        if not result.promtool_passed:
            assert result.problem or result.errors or any(r.status is not Status.PASSED for r in result.results)
