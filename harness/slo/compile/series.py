"""The names and labels of what compiled rules record: sloth's where sloth has one, so that dashboards carry over."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.errors import InputError
from harness.rules.selectors import quote
from harness.slo.model import Objective
from harness.units import format_duration

OBJECTIVE = "slo:objective:ratio"
ERROR_BUDGET = "slo:error_budget:ratio"
PERIOD_DAYS = "slo:time_period:days"
CURRENT_BURN_RATE = "slo:current_burn_rate:ratio"
PERIOD_BURN_RATE = "slo:period_burn_rate:ratio"
BUDGET_REMAINING = "slo:period_error_budget_remaining:ratio"
INFO = "sloth_slo_info"
SLICE_ERROR = "slo:sli_slice_error:ratio"
"""Ours: the error of one time slice, or of one tick of a threshold; 0 or 1, or a ratio between."""
CALENDAR_LABEL = "slo_period"
"""The number of a calendar's period, on what is recorded for it."""
PAIR_LABEL = "slo_windows"
"""On alerts: which pair fired, ``1h/5m``."""
SEVERITY_LABEL = "sloth_severity"
WINDOW_LABEL = "sloth_window"

INFO_LABELS = ("sloth_mode", "sloth_objective", "sloth_spec", "sloth_version")
"""What `sloth_slo_info` has beside the labels of all series."""

_RESERVED = frozenset({
    "sloth_id", "sloth_service", "sloth_slo", WINDOW_LABEL, SEVERITY_LABEL, PAIR_LABEL, CALENDAR_LABEL, *INFO_LABELS,
})  # fmt: skip
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def error_ratio(window: int | str) -> str:
    """``slo:sli_error:ratio_rate5m``, of a window in milliseconds or a period's label."""
    return f"slo:sli_error:ratio_rate{_text(window)}"


def bad_events(window_ms: int) -> str:
    """Ours: bad events per second over the shortest window, of which the period's ratio is made."""
    return f"slo:sli_bad_events:rate{_text(window_ms)}"


def total_events(window_ms: int) -> str:
    """Ours: all events per second over the shortest window."""
    return f"slo:sli_total_events:rate{_text(window_ms)}"


def in_calendar(name: str) -> str:
    """The same series with the number of the calendar's period as a label."""
    return name.replace("slo:sli_", "slo:calendar_", 1)


def _text(window: int | str) -> str:
    return window if isinstance(window, str) else format_duration(window)


def select(name: str, objective: Objective) -> str:
    """A selector of one objective's series."""
    return f"{name}{{sloth_id={quote(objective.id)}}}"


def labels_of(objective: Objective) -> dict[str, str]:
    """The labels of every recorded series: sloth's three, and the document's own as Prometheus can have them.

    As kube-state-metrics does, what is no letter, digit or `_` in a name becomes `_`; lists are joined with commas.
    Raises InputError for names that are ours, or become the same.
    """
    found = {"sloth_id": objective.id, "sloth_service": objective.service, "sloth_slo": objective.name}
    own: dict[str, str] = {}
    for key, value in objective.labels.items():
        name = re.sub(r"[^A-Za-z0-9_]", "_", key)
        name = f"_{name}" if name[:1].isdigit() else name
        if name in own:
            raise InputError(
                f"the labels `{own[name]}` and `{key}` of `{objective.name}` both become `{name}` in Prometheus",
                span=objective.span,
                hint="rename one",
            )
        refuse_reserved(name, objective)
        own[name] = key
        found[name] = value if isinstance(value, str) else ",".join(value)
    return found


def refuse_reserved(name: str, objective: Objective) -> None:
    """Raise InputError for a label that the compiled rules set themselves, or that Prometheus does not take."""
    if name in _RESERVED or name.startswith("__"):
        raise InputError(
            f"the label `{name}` of `{objective.name}` is set by the compiled rules themselves",
            span=objective.span,
            hint="rename it",
        )
    if not _LABEL.fullmatch(name):
        raise InputError(
            f"`{name}` of `{objective.name}` is no label name of Prometheus",
            span=objective.span,
            hint="letters, digits and `_`, not beginning with a digit",
        )


def checked(labels: Mapping[str, str], objective: Objective) -> Mapping[str, str]:
    """Labels of alerts, each name refused if it cannot be one."""
    for name in labels:
        refuse_reserved(name, objective)
    return labels
