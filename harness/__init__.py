"""alert-harness: proves where Prometheus alerts fire, and verifies and reports objectives.

What stands in ``__all__`` is for programs of one's own, described and promised in docs/api.md; everything else is
private and may change from one version to the next. Each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.api.calls import (
        check_metrics,
        load_contracts,
        load_objectives,
        load_rules,
        open_prometheus,
        prove_alerts,
        replay_history,
        replay_series,
        report_objectives,
        run_unit_tests,
    )
    from harness.api.prometheus import NotPlayed, Prometheus
    from harness.api.stories import Stories, Story
    from harness.errors import EngineError, HarnessError, InputError, InputErrors, UnsupportedError
    from harness.prometheus import ServerSettings
    from harness.proof.model import AlertResult, Verdict
    from harness.slo.budget.verdict import BudgetVerdict

__version__ = "0.1.0"

_HOME = {
    "check_metrics": "harness.api.calls",
    "load_contracts": "harness.api.calls",
    "load_objectives": "harness.api.calls",
    "load_rules": "harness.api.calls",
    "open_prometheus": "harness.api.calls",
    "prove_alerts": "harness.api.calls",
    "replay_history": "harness.api.calls",
    "replay_series": "harness.api.calls",
    "report_objectives": "harness.api.calls",
    "run_unit_tests": "harness.api.calls",
    "NotPlayed": "harness.api.prometheus",
    "Prometheus": "harness.api.prometheus",
    "Stories": "harness.api.stories",
    "Story": "harness.api.stories",
    "EngineError": "harness.errors",
    "HarnessError": "harness.errors",
    "InputError": "harness.errors",
    "InputErrors": "harness.errors",
    "UnsupportedError": "harness.errors",
    "ServerSettings": "harness.prometheus",
    "AlertResult": "harness.proof.model",
    "Verdict": "harness.proof.model",
    "BudgetVerdict": "harness.slo.budget.verdict",
}

__all__ = [
    "AlertResult",
    "BudgetVerdict",
    "EngineError",
    "HarnessError",
    "InputError",
    "InputErrors",
    "NotPlayed",
    "Prometheus",
    "ServerSettings",
    "Stories",
    "Story",
    "UnsupportedError",
    "Verdict",
    "__version__",
    "check_metrics",
    "load_contracts",
    "load_objectives",
    "load_rules",
    "open_prometheus",
    "prove_alerts",
    "replay_history",
    "replay_series",
    "report_objectives",
    "run_unit_tests",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
