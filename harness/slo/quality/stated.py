"""The series that an objective's document states in its annotation, checked against what the queries see."""

from __future__ import annotations

import re
from fractions import Fraction

import promql_parser as promql

from harness.errors import InputError
from harness.replay import SlotWriter
from harness.rules.expr import parse_expr
from harness.rules.selectors import selectors_of
from harness.series import Labels, labels_of
from harness.slo.annotations import SERIES
from harness.slo.model import Objective, ThresholdIndicator
from harness.slo.quality.observe import holds, judge_states, near, observe
from harness.slo.quality.series import EventSeries, StateSeries, WorldSeries
from harness.source import Fields, SourceFile, Text, load_yaml
from harness.units import format_number

_STATED = re.compile(r"(?P<series>.*?)(?:\s+(?P<value>[-+]?\d+(?:\.\d+)?))?", re.DOTALL)


def stated(objective: Objective, writer: SlotWriter, *, counts: bool) -> WorldSeries:
    """The series as the annotation says: `good` and `bad`, each a list; behind a gauge stands its value.

    Raises InputError where the objective's queries see something else in them.
    """
    what = f"the annotation `{SERIES}` of `{objective.name}`"
    source = SourceFile.of_text(what, objective.annotations[SERIES])
    documents = load_yaml(source)
    if len(documents) != 1:
        raise InputError(f"{what} is empty", span=objective.span, hint="see docs/slo-prove.md for an example")
    fields = Fields(documents[0], source, what)
    fields.only("good", "bad")
    good, bad = ([_one(item.text()) for item in fields.items(key, "a series")] for key in ("good", "bad"))
    if all(value is None for _, value in (*good, *bad)):
        found = EventSeries(tuple(labels for labels, _ in good), tuple(labels for labels, _ in bad), counts)
        _check_events(objective, found, what, writer)
        return found
    states = dict(good), dict(bad)
    if set(states[0]) != set(states[1]) or any(value is None for state in states for value in state.values()):
        raise InputError(
            f"{what}: `good` and `bad` must give a value to the same gauges",
            span=objective.span,
            hint="write each series in both lists, with its value behind it",
        )
    order = tuple(states[0])
    at_good, at_bad = (tuple(value for labels in order if (value := state[labels]) is not None) for state in states)
    worlds = [{}, *(dict(zip(order, values, strict=True)) for values in (at_good, at_bad))]
    absent, *judged = judge_states(objective, worlds, writer)
    for name, wanted, found_good in zip(("good", "bad"), (True, False), judged, strict=True):
        if found_good is not wanted:
            seen = {True: "good", False: "bad", None: "neither good nor bad"}[found_good]
            raise InputError(
                f"{what}: what it calls `{name}` is {seen} to the objective's queries",
                span=objective.span,
                hint=f"give each gauge the value that it has in a {name} moment",
            )
    return StateSeries(order, at_good, at_bad, holds(objective), absent)


def _check_events(objective: Objective, series: EventSeries, what: str, writer: SlotWriter) -> None:
    """Raise InputError unless the queries see no errors in good events, only errors in bad ones, a quarter in a mix."""
    if isinstance(objective.indicator, ThresholdIndicator):
        raise InputError(
            f"{what}: its gauges need values",
            span=objective.span,
            hint="write the value behind each series, as in `up 1`",
        )
    only_good, only_bad = dict.fromkeys(series.good, 1), dict.fromkeys(series.bad, 1)
    mix = series.mix
    rest = dict.fromkeys(series.all, 0)
    worlds = [{**rest, **only_good}, {**rest, **only_bad}, mix]
    seen = observe(objective, worlds, writer, cumulative=series.cumulative)
    for (ratio, _), wanted, events in zip(
        seen, (0.0, 1.0, 0.25), ("good events", "bad events", "three good events and a bad one"), strict=True
    ):
        if not near(ratio, wanted):
            found = "nothing" if ratio is None else f"{format_number(float(f'{ratio * 100:.4g}'))} % errors"
            raise InputError(
                f"{what} says something else than the objective's queries see: {events} are {found} to them, and not "
                f"{wanted * 100:g} %",
                span=objective.span,
                hint="list under `good` the series that one good event moves, and under `bad` those that one bad event "
                "does: each by one (docs/slo-prove.md has an example)",
            )


def _one(text: Text) -> tuple[Labels, Fraction | None]:
    found = _STATED.fullmatch(text.value.strip())
    assert found is not None
    node = parse_expr(Text(found["series"], text.span))
    selector = selectors_of(node)[0] if isinstance(node, promql.VectorSelector) else None
    if selector is None or not selector.metric or any(m.op != "=" for m in selector.names + selector.matchers):
        raise InputError(
            f"`{text.value}` is no series", span=text.span, hint='write its name and labels, such as up{job="api"}'
        )
    labels = labels_of(selector.metric, {m.label: m.value for m in selector.matchers})
    return labels, None if found["value"] is None else Fraction(found["value"])
