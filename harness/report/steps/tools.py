"""What promtool objects to, as findings."""

from __future__ import annotations

from harness.engines.promtool_complaints import RuleProblem
from harness.errors import Span
from harness.report.section import Finding, FindingSeverity


def rule_objection(problem: RuleProblem) -> Finding:
    """What `promtool check rules` says against a rule file; where it names no line, of the file as a whole."""
    span = Span(problem.file, problem.line or 0, problem.column or 1 if problem.line else 0)
    check = "promtool-lint" if problem.lint else "promtool-check-rules"
    return Finding(
        check, FindingSeverity.ERROR, problem.message, span, title="promtool check rules", identity=problem.message
    )


def config_objection(file: str, said: str) -> Finding:
    """What `promtool check config` says against a prometheus.yml."""
    return Finding(
        "promtool-check-config", FindingSeverity.ERROR, said, Span(file, 0, 0), title="promtool check config"
    )
