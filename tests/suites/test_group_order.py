"""group-order: what promtool does in each order, written out, is the oracle; a finding is where that differs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.engines.promtool import Promtool
from harness.suites.model import SuiteFinding, SuiteReport

Run = Callable[..., SuiteReport]

MAKES = "rules: [{record: 'site:load:sum', expr: sum by (site) (load)}]"
READS = "rules: [{alert: Busy, expr: 'site:load:sum > 10', for: 1m}]"
ON_ALERTS = """rules: [{alert: Both, expr: 'count(ALERTS{alertname="Busy", alertstate="firing"}) > 0'}]"""
OTHER = "rules: [{record: 'site:load:max', expr: max by (site) (load)}]"
RISES = "0 0 0 20x8"
STEADY = "20x12"
FIRST_FIRING = "alert_rule_test: [{eval_time: 4m, alertname: Busy, exp_alerts: [{exp_labels: {site: a}}]}]"
LATER = "alert_rule_test: [{eval_time: 9m, alertname: Busy, exp_alerts: [{exp_labels: {site: a}}]}]"


def write(folder: Path, groups: dict[str, str], head: str = "", values: str = RISES, tests: str = FIRST_FIRING) -> Path:
    """A rule file per group; a name may end in `@file` to stand in another file than its like."""
    names = []
    for number, (name, rules) in enumerate(groups.items()):
        text = "groups:\n- name: " + name.partition("@")[0] + f"\n  {rules}\n"
        (folder / f"{number}.yml").write_text(text, encoding="utf-8")
        names.append(f"{number}.yml")
    file = folder / "x.test.yml"
    file.write_text(
        f"rule_files: [{', '.join(names)}]\n{head}\ntests:\n- interval: 1m\n"
        f"  input_series: [{{series: 'load{{site=\"a\"}}', values: '{values}'}}]\n  {tests}\n",
        encoding="utf-8",
    )
    return file


def found(report: SuiteReport) -> list[SuiteFinding]:
    return [f for file in report.files for f in file.findings if f.id == "group-order"]


def verdicts(promtool: Promtool, file: Path, groups: Sequence[str]) -> set[int]:
    """What bare promtool says in each order of the groups."""
    said = set()
    for order in itertools.permutations(groups):
        text = file.read_text(encoding="utf-8")
        copy = file.with_name("order.test.yml")
        copy.write_text(f"group_eval_order: [{', '.join(order)}]\n{text}", encoding="utf-8")
        said.add(promtool.test_rules([copy]).returncode)
    return said


@pytest.mark.parametrize(
    ("groups", "values", "tests"),
    [
        ({"make": MAKES, "read": READS}, RISES, FIRST_FIRING),
        ({"read": READS, "make": MAKES}, RISES, FIRST_FIRING),
        ({"make": MAKES, "read": READS}, RISES, LATER),
        ({"make": MAKES, "read": READS}, STEADY, FIRST_FIRING),
        ({"other": OTHER, "read": READS.replace("site:load:sum", "sum by (site) (load)")}, RISES, FIRST_FIRING),
        # through a third group; and only the expression reads, which promtool asks after all groups
        (
            {"make": MAKES, "read": READS, "on": ON_ALERTS},
            RISES,
            "alert_rule_test: [{eval_time: 4m, alertname: Both, exp_alerts: [{}]}]",
        ),
        (
            {"make": MAKES, "other": OTHER},
            RISES,
            "promql_expr_test: [{eval_time: 3m, expr: 'site:load:sum', exp_samples: "
            "[{labels: 'site:load:sum{site=\"a\"}', value: 20}]}]",
        ),
        (
            {"make": MAKES, "read": READS},
            RISES,
            "promql_expr_test: [{eval_time: 3m, expr: 'count(ALERTS)', exp_samples: [{labels: '{}', value: 1}]}]",
        ),
    ],
)  # fmt: skip
def test_a_finding_is_where_orders_differ(
    groups: dict[str, str], values: str, tests: str, tmp_path: Path, run: Run, both_promtools: list[Promtool]
) -> None:
    for promtool in both_promtools:
        file = write(tmp_path, groups, "", values, tests)
        differ = len(verdicts(promtool, file, list(groups))) > 1
        report = run(file, promtool=promtool)
        assert bool(found(report)) is differ
        assert report.passed is not differ


def test_the_other_cases_are_not_all_of_one_kind(tmp_path: Path, promtool: Promtool) -> None:
    assert verdicts(promtool, write(tmp_path, {"make": MAKES, "read": READS}), ["make", "read"]) == {0, 1}
    assert verdicts(promtool, write(tmp_path, {"make": MAKES, "read": READS}, tests=LATER), ["make", "read"]) == {0}


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ("[make, read]", None),
        ("[read, make]", None),  # it fails, in every run
        ("[read, other, make]", None),
        ("[make]", "it leaves out `read`"),
        ("[read]", "it leaves out `make`"),
        ("[other, read]", "it leaves out `make`"),
        ("[other]", "it leaves out `make` and `read`"),
        ("[maek, read]", "leaves out `make`; no group is named `maek` (did you mean `make`?)"),
        ("[]", "Without `group_eval_order`"),
    ],
)
def test_what_is_promised(order: str, why: str | None, tmp_path: Path, run: Run) -> None:
    groups = {"make": MAKES, "read": READS, "other": OTHER}
    report = run(write(tmp_path, groups, f"group_eval_order: {order}"))
    messages = [finding.message for finding in found(report)]
    if why is None:
        assert messages == []
        assert report.files[0].promtool_passed is order.startswith("[make")
    else:
        assert why in messages[0]
        assert not report.passed


@pytest.mark.parametrize(
    ("order", "passes"), [("[other, read]", True), ("[other, make]", False), ("[maek, read]", True)]
)
def test_an_order_that_is_so_but_not_promised(
    order: str, passes: bool, tmp_path: Path, run: Run, promtool: Promtool
) -> None:
    """What is not named is sorted as if it were named first: this promtool always does the same here."""
    file = write(tmp_path, {"make": MAKES, "read": READS, "other": OTHER}, f"group_eval_order: {order}")
    assert {promtool.test_rules([file]).returncode == 0 for _ in range(10)} == {passes}
    report = run(file)
    (finding,) = found(report)
    assert "at 4m leans on an order that promtool does not promise" in finding.message
    assert report.files[0].promtool_passed is passes
    assert not report.passed


def test_groups_of_one_name_lean_whatever_is_written(tmp_path: Path, run: Run) -> None:
    file = write(tmp_path, {"g": MAKES, "g@2": READS, "other": OTHER}, "group_eval_order: [g, other]")
    (finding,) = found(run(file))
    assert "0.yml:2" in finding.message
    assert "1.yml:2" in finding.message
    assert "two groups of one name in random order" in finding.message
    assert finding.hint.startswith("rename one")
    assert found(run(write(tmp_path, {"g": MAKES, "g@2": OTHER, "read": READS}, "group_eval_order: [g, read]"))) == []


def test_what_it_suggests_is_enough(tmp_path: Path, run: Run) -> None:
    groups = {"read": READS, "other": OTHER, "make": MAKES}
    (finding,) = found(run(write(tmp_path, groups, "group_eval_order: [other]")))
    assert finding.hint.startswith("write `group_eval_order: [other, make, read]`")
    assert run(write(tmp_path, groups, "group_eval_order: [other, make, read]")).passed


def test_thirty_runs_agree(tmp_path: Path, run: Run) -> None:
    file = write(tmp_path, {"read": READS, "make": MAKES})
    told = set()
    for _ in range(30):
        report = run(file)
        told.add((report.passed, report.files[0].promtool_passed, *(f.message for f in report.files[0].findings)))
    assert len(told) == 1


def test_labels_that_cannot_meet_are_no_dependency(tmp_path: Path, run: Run) -> None:
    makes = MAKES.replace("expr:", "labels: {env: ''}, expr:")
    reads = READS.replace("site:load:sum >", 'site:load:sum{env="x"} >')
    tests = "alert_rule_test: [{eval_time: 4m, alertname: Busy, exp_alerts: []}]"
    assert run(write(tmp_path, {"read": reads, "make": makes}, tests=tests)).passed
