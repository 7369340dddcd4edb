"""Are the metrics real? What rules, dashboards and objectives read, against what a running Prometheus has.

server = Server(engine, now_ms, since_ms)
findings = check(rule_uses(files), server, known_by(files))
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.check.dashboards import Dashboard, load_dashboard
from harness.check.judge import Known, judge_use
from harness.check.model import CheckReport, ProblemKind, Skipped, Use, UseFinding, Wants, Weight
from harness.check.rules import known_by, rule_uses
from harness.check.server import MetricsServer

__all__ = [
    "CheckReport",
    "Dashboard",
    "Known",
    "MetricsServer",
    "ProblemKind",
    "Skipped",
    "Use",
    "UseFinding",
    "Wants",
    "Weight",
    "check",
    "known_by",
    "load_dashboard",
    "rule_uses",
]


def check(uses: Iterable[Use], server: MetricsServer, known: Known | None = None) -> list[UseFinding]:
    """What is wrong with these uses on a server, and what is worth a note, in their order."""
    return [finding for use in uses for finding in judge_use(use, server, known or Known())]
