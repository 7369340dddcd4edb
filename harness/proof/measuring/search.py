"""The knob surveyed, and every flip of the rule narrowed to two adjacent positions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from harness.proof.measuring.experiment import Experiment, SteadyWorlds
from harness.proof.positions import KnobPositions, refine

_MAX_FLIPS = 4
"""Flips that are refined; a rule with more of them is no threshold, and its verdict says so after the first."""


@dataclass(slots=True)
class Search:
    """What the knob's survey found: truth per position and the refined flips between neighbours."""

    truth: dict[int, bool]
    flips: list[tuple[int, int]]
    surveyed: list[int]
    """The positions of the survey, in the order of its worlds …"""
    survey: SteadyWorlds | None
    """… and where those are recorded; None if not all at once."""

    def fires_somewhere(self) -> bool:
        return any(self.truth.values())

    def quiet_somewhere(self) -> bool:
        return not all(self.truth.values())


def search(experiment: Experiment) -> Search:
    """Survey the whole knob, then narrow the flips that lie nearest to the threshold."""
    positions, sampling = experiment.positions, experiment.sampling
    surveyed = positions.survey()
    survey = None if sampling.far else experiment.steady([positions.value(p) for p in surveyed])
    if survey is not None:
        truth = dict(zip(surveyed, experiment.holds(survey), strict=True))
    else:
        truth = experiment.truth(surveyed)
    flips = refine(truth, positions.at_threshold, experiment.truth, _MAX_FLIPS, sampling.narrowed_by)
    return Search(truth, flips, surveyed, survey)


def flip_towards(found: Search, *, fires_above: bool | None) -> tuple[int, int, bool]:
    """(quiet, fires, whether it runs that way): the flip that is to be reported, the nearest one that fires on the side
    of larger values if `fires_above`, of smaller ones if not; None: the nearest, whichever way it runs."""

    def oriented(flip: tuple[int, int]) -> tuple[int, int]:
        low, high = flip
        return (low, high) if found.truth[high] else (high, low)

    pairs = [oriented(flip) for flip in found.flips[:_MAX_FLIPS]]
    if fires_above is None:
        return (*pairs[0], True)
    for quiet, fires in pairs:
        if (fires > quiet) == fires_above:
            return quiet, fires, True
    return (*pairs[0], False)


def clear_of_edge(found: Search, positions: KnobPositions, edge: int, *, firing: bool) -> Fraction:
    """A knob position well inside the firing (or quiet) side: midway to the far end of the unbroken run."""
    places = [p for p in sorted(found.truth) if p == edge or not positions.is_blurred(p)]
    at = places.index(edge)
    step = 1 if at + 1 < len(places) and found.truth[places[at + 1]] is firing else -1
    end = at
    while 0 <= end + step < len(places) and found.truth[places[end + step]] is firing:
        end += step
    target = positions.between(edge, places[end], Fraction(1, 2))
    nearest = min(
        places[min(at, end) : max(at, end) + 1], key=lambda p: abs(positions.value(p) - positions.value(target))
    )
    return positions.value(nearest)
