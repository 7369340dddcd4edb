"""Ages: what a contract must say before a rule that reads them can be measured, and what is so at one clock only."""

from __future__ import annotations

from harness.contracts import Contract
from harness.contracts.model import Shape, Signal
from harness.errors import UnsupportedError
from harness.replay import Plan
from harness.rules.clocks import metrics_read_as_times


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


def _times(plan: Plan) -> set[str]:
    return metrics_read_as_times(plan.rule.expr, [rule for _, rule in plan.recordings])
