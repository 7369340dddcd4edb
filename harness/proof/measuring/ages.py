"""Ages: what a contract must say before a rule that reads them can be measured, and what is so at one clock only."""

from __future__ import annotations

import math

from harness.contracts import Contract
from harness.contracts.model import Shape, Signal
from harness.errors import UnsupportedError
from harness.proof.model import Case
from harness.replay import Plan
from harness.rules.clocks import compares_plainly, metrics_read_as_times
from harness.units import DAY_MS


def check_ages(contract: Contract, plan: Plan) -> None:
    """Raises UnsupportedError where the rule takes a metric for a moment in Unix time, and the contract moves it by the
    knob or by `t` without a word of `now`: that would be another age in every slot."""
    times = _times(plan)
    for spec in contract.signal.series if times else ():
        named = spec.formula.names
        if spec.shape is Shape.GAUGE and spec.metric in times and named & {"x", "t"} and "now" not in named:
            text = spec.formula.text
            wrong = "`t` counts from the beginning of a case" if "t" in named else "that is the same at any time"
            raise UnsupportedError(
                f"the rule takes `{spec.metric}` for a Unix time, and the contract sets it to `{text.value}`: {wrong}",
                span=text.span,
                hint="write it with `now`, the Unix time: `now - x` for what happened x seconds ago",
            )


def is_bound_to_a_clock(signal: Signal, plan: Plan) -> bool:
    """Whether a world holds a fixed Unix time that the rule reads as one, such as 0 for "never": on promtool's clock,
    whose time begins at 0, that is another age."""
    times = _times(plan)
    return any(spec.metric in times and "now" not in spec.formula.names for spec in signal.series)


def positive_from_ms(case: Case, plan: Plan) -> int:
    """From when on, on promtool's clock, every moment in a world lies after 1970, as it does in slots: for a rule that
    asks for that (``last_seen > 0``). 0 for any other."""
    times = _times(plan)
    if not times or not compares_plainly(plan.rule.expr, [rule for _, rule in plan.recordings], times):
        return 0
    from_ms = 0
    for trace in case.traces:
        if trace.dated is None or dict(trace.labels)["__name__"] not in times:
            continue
        now, later = (min(trace.beginning_at(case.lead_ms + at).values, default=1.0) for at in (0, DAY_MS))
        if now <= 0 and later > now:
            from_ms = max(from_ms, math.ceil((1 - now) * DAY_MS / (later - now)))
    return from_ms


def _times(plan: Plan) -> set[str]:
    return metrics_read_as_times(plan.rule.expr, [rule for _, rule in plan.recordings])
