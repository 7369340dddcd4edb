"""Three groups of an objective's series of which one burns: does an alert that tells them apart know what is meant?

An objective over all of them has one budget, so a rule that groups by a label pages for a third of the traffic. An
objective that is itself grouped has a budget for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.replay import SlotWriter
from harness.rules.selectors import NAME, Selector
from harness.series import Labels, labels_of
from harness.slo.model import Objective
from harness.slo.quality.labelsets import words_of
from harness.slo.quality.observe import elements
from harness.slo.quality.series import EventSeries, labels_grouped_by, uses_of
from harness.slo.queries import queries_of, tree

COUNT = 3
_ANY = ("instance", "pod", "replica")
"""A label that tells groups apart where nobody names one: that of an expression which does not aggregate."""
_NEVER = frozenset({"le", "quantile"})
_VALUES = ("a", "b", "c", "500", "503", "502", "200", "204", "other")


@dataclass(frozen=True, slots=True)
class Groups:
    """What the series of each group are called."""

    members: tuple[Mapping[Labels, Labels], ...]
    """Per group, the label set that stands for each of the world's."""
    labels: tuple[str, ...]
    """The labels of the rules' groups among those that tell them apart; empty: the rules name none."""
    apart: bool
    """Whether the objective's own queries tell the groups apart: it has a budget for each of them."""

    @property
    def part(self) -> Fraction:
        """The share of all events whose budget is at stake while one group burns."""
        return Fraction(1, COUNT) if self.apart else Fraction(1)


def groups_of(
    objective: Objective, series: EventSeries, extra: Sequence[Selector], by: Sequence[str], writer: SlotWriter
) -> Groups | None:
    """Three groups that differ in the labels of `by` and of the objective's own `by (…)`, and in one nobody speaks of.

    Not in those whose matchers leave them one value; None if none is left.

    `extra` are the selectors of the rules, which see each group as they see the world's series, and so do the
    objective's.
    """
    own = [label for query in queries_of(objective.indicator) for label in labels_grouped_by(tree(query))]
    every = [use.selector for query in queries_of(objective.indicator) for use in uses_of(query)] + list(extra)
    spoken = {matcher.label for selector in every for matcher in selector.matchers}
    free = next((name for name in _ANY if name not in spoken and name not in (*by, *own)), None)
    varied: dict[str, Mapping[Labels, tuple[str, ...]]] = {}
    for name in dict.fromkeys((*by, *own, *([free] if free else []))):
        values = {one: tuple(_values(one, name, every)) for one in series.all}
        if name not in _NEVER and all(len(found) > 1 for found in values.values()):
            varied[name] = values
    if not varied:
        return None
    members = tuple(
        {one: _with(one, {name: _nth(values[one], i) for name, values in varied.items()}) for one in series.all}
        for i in range(COUNT)
    )
    return Groups(members, tuple(name for name in by if name in varied), _apart(objective, series, members, writer))


def _nth(values: Sequence[str], i: int) -> str:
    """Of two values the second stands for the third too: the first group is still alone."""
    return values[min(i, len(values) - 1)]


def _values(series: Labels, name: str, every: Sequence[Selector]) -> Iterator[str]:
    """Up to three values of a label under which each selector sees the series as it does now, its own first."""
    labels = dict(series)
    mine = [selector for selector in every if selector.metric == labels[NAME]]
    patterns = [m.value for selector in mine for m in selector.matchers if m.label == name]
    tried = [labels.get(name, ""), *(word for pattern in patterns for word in words_of(pattern)), *_VALUES]
    found: dict[str, None] = {}
    for value in tried:
        if value and all(s.accepts({**labels, name: value}) is s.accepts(labels) for s in mine):
            found[value] = None
    return iter(list(found)[:COUNT])


def _with(series: Labels, values: Mapping[str, str]) -> Labels:
    labels = {**dict(series), **values}
    return labels_of(labels[NAME], {name: value for name, value in labels.items() if name != NAME})


def _apart(
    objective: Objective, series: EventSeries, members: Sequence[Mapping[Labels, Labels]], writer: SlotWriter
) -> bool:
    world = {found[one]: 3 * (one in series.good) + (one in series.bad) for found in members for one in series.all}
    return elements(objective, world, writer, cumulative=series.cumulative) > 1
