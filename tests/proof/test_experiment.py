"""A rule is measured without a contract: an expression, a knob, and whatever makes a world of a course of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from harness.contracts import Knob
from harness.contracts.world import KnobSteps, Scrapes, Trace
from harness.engines.base import Engine
from harness.proof.measuring.attribution import attribute
from harness.proof.measuring.curve import response_curve
from harness.proof.measuring.experiment import Experiment
from harness.proof.measuring.sampling import Sampling
from harness.proof.measuring.search import clear_of_edge, flip_towards, search
from harness.proof.measuring.timings import Standpoints, timings
from harness.proof.model import Boundary
from harness.proof.positions import KnobPositions
from harness.replay import EndlessSlotWriter, Replay
from harness.rules import load_rules

RULE = "groups: [{name: g, interval: 30s, rules: [{alert: A, expr: 'm > 7 and on () limit == 7', for: 1m}]}]\n"


def world(course: KnobSteps, scrapes: Scrapes) -> Sequence[Trace]:
    """The knob itself, and a limit that stands still."""
    times = scrapes.times_ms()
    knob = [float(next(x for since, x in reversed(course) if since <= max(at, course[0][0]))) for at in times]
    named = (("__name__", "m"),), (("__name__", "limit"),)
    return [Trace(named[0], times, knob), Trace(named[1], times, [7.0] * len(times))]


@pytest.fixture
def experiment(module_engine: Engine, tmp_path: Path) -> Experiment:
    file = tmp_path / "rules.yml"
    file.write_text(RULE, encoding="utf-8")
    files = load_rules([file])
    replay = Replay(module_engine, files)
    plan = replay.plan(files[0].groups[0], files[0].groups[0].alerts()[0])
    knob = Knob("level", "", Fraction(0), Fraction(100), None, "")
    sampling = Sampling(30_000, plan.interval_ms, far=False, at_once=64, narrowed_by=64)
    module_engine.reset()
    return Experiment(
        plan, world, KnobPositions(knob, Fraction(20)), sampling, EndlessSlotWriter(module_engine), replay
    )


def test_a_rule_without_a_contract_is_measured(experiment: Experiment) -> None:
    """The knob's reference is 20, but the rule fires above 7: what is found is the rule's, to the adjacent double."""
    found, positions = search(experiment), experiment.positions
    quiet, fires, that_way = flip_towards(found, fires_above=True)
    assert that_way
    assert (float(positions.value(quiet)), float(positions.value(fires))) == (7.0, math.nextafter(7.0, math.inf))
    boundary = Boundary(positions.value(quiet), positions.value(fires), 0, 0)
    flips = attribute(experiment, quiet, fires, boundary, {})
    assert [comparison.text for comparison in flips.flipped] == ["m > 7"]
    assert [point.value for point in response_curve(experiment, found, flips.flipped[0]) if point.x == 100.0] == [100.0]
    off = clear_of_edge(found, positions, quiet, firing=False)
    on = clear_of_edge(found, positions, fires, firing=True)
    seen = timings(experiment, Standpoints(boundary.quiet_at, boundary.fires_at, off, on))
    assert (seen.fires_after_ms, seen.resolves_after_ms, seen.too_short_ms) == (60_000, 0, 30_000)
    assert len(seen.cases) == 5
