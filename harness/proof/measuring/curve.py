"""What the rule compares over the whole range of the knob, for people to look at."""

from __future__ import annotations

from harness.proof.measuring.experiment import Experiment
from harness.proof.measuring.search import Search
from harness.proof.model import CurvePoint
from harness.rules.expr import Comparison
from harness.series import Labels


def response_curve(experiment: Experiment, found: Search, comparison: Comparison | None) -> list[CurvePoint]:
    """The left side of a comparison of the rule at every surveyed position; None: only whether the rule fires there."""
    shown, survey, positions = found.surveyed, found.survey, experiment.positions
    if survey is None or not experiment.writer.holds(survey.slots):  # of a far-sighted rule some must do
        shown = shown[:: -(-len(shown) // experiment.sampling.at_once)]
        survey = experiment.steady([positions.value(p) for p in shown])
    left: list[dict[Labels, float]] = [{} for _ in shown]
    if comparison is not None:
        left = experiment.at_end(survey, comparison.left)
    # Several series (neighbours of the culprit) make no one curve: the one that fires first is shown.
    first = min if comparison is not None and comparison.op in ("<", "<=", "==") else max
    return [
        CurvePoint(float(positions.value(position)), first(values.values(), default=None), found.truth[position])
        for position, values in zip(shown, left, strict=True)
    ]
