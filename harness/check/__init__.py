"""Are the metrics real? What rules, dashboards and objectives read, against what a running Prometheus has.

server = MetricsServer(engine, now_ms, since_ms)
findings = check(rule_uses(files), server, rule_names(files))
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.check.dashboards import Dashboard, load_dashboard
from harness.check.judge import RuleNames, judge_use
from harness.check.model import CheckReport, ProblemKind, SkippedUse, Use, UseFinding, Wants, Weight
from harness.check.rules import rule_names, rule_uses
from harness.check.server import MetricsServer

__all__ = [
    "CheckReport",
    "Dashboard",
    "MetricsServer",
    "ProblemKind",
    "RuleNames",
    "SkippedUse",
    "Use",
    "UseFinding",
    "Wants",
    "Weight",
    "check",
    "load_dashboard",
    "rule_names",
    "rule_uses",
]


def check(uses: Iterable[Use], server: MetricsServer, names: RuleNames | None = None) -> list[UseFinding]:
    """What is wrong with these uses on a server, and what is worth a note, in their order."""
    return [finding for use in uses for finding in judge_use(use, server, names or RuleNames())]
