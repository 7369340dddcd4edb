"""The SLO report as JUnit XML, a gate for CI: one test case an objective."""

from __future__ import annotations

from collections.abc import Set
from fractions import Fraction

from harness.report.junit import XmlCase, XmlSuite, suites_xml
from harness.report.slo.wording import left_cell, sli_cell, target_cell
from harness.slo.budget.report import ObjectiveReport, SloReport
from harness.slo.budget.verdict import BudgetVerdict


def slo_report_junit(report: SloReport, failing: Set[BudgetVerdict]) -> str:
    """A suite for each objective: what measured it as properties; failed if its verdict is one of `failing`.

    `no data` that does not fail is a skipped test; an indicator that cannot be right is an error.
    """
    return suites_xml([_suite(one, failing) for one in report.objectives])


def _suite(one: ObjectiveReport, failing: Set[BudgetVerdict]) -> XmlSuite:
    objective, verdict = one.objective, one.ruling.verdict
    classname = f"{objective.span.file}::{objective.service}" if objective.span.file else objective.service
    kind, message, text = "", "", ""
    if verdict in failing:
        kind, message = "failure", f"{verdict.value}: {one.ruling.reason}"
    elif verdict is BudgetVerdict.NO_DATA:
        kind, message = "skipped", one.ruling.reason
    if kind == "failure":
        lines = [message, f"measured {sli_cell(one)}, target {target_cell(objective)}, budget left {left_cell(one)}"]
        text = "\n".join([*lines, *one.caveats])
    which = one.title.removeprefix(objective.title)  # of its groups
    name, span = f"{objective.name}{which}", objective.span
    cases = [XmlCase(name, classname, span.file, span.line, 0.0, kind, message, text)]
    if one.defects:
        text = "\n".join(one.defects)
        cases.append(XmlCase("indicator", classname, span.file, span.line, 0.0, "error", one.defects[0], text))
    properties = [
        ("verdict", verdict.value),
        ("target", repr(float(objective.target))),
        ("coverage", repr(float(one.coverage))),
    ]
    if one.trusted:
        properties.append(("sli", repr(float(one.whole.sli or Fraction(0)))))
    if one.left is not None:
        properties.append(("budget_left", repr(float(one.left))))
    return XmlSuite(f"{objective.id}{which}", cases, properties)
