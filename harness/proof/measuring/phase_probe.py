"""What a rule does in each phase of the calendar, and slots that lie where it does what its contract is about."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from harness.contracts import Contract, ContractKind, Op
from harness.contracts.world import Scrapes
from harness.errors import UnsupportedError
from harness.proof.measuring.experiment import Experiment
from harness.proof.measuring.phases import ANY_BEGIN, CalendarPhases
from harness.proof.positions import KnobPositions
from harness.replay import Batch, Plan, SlotRange, SlotWriter
from harness.units import format_duration

_BESIDE = 64
"""How far beside the threshold of a continuous knob, in its positions, no rounding is left."""

Pattern = tuple[bool | None, ...]
"""Whether it fires at each of the probed positions of the knob; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class ProbePositions:
    """Where the knob is probed: as the contract means it, the alert fires at the first ones and not at the others."""

    values: Sequence[Fraction]
    firing: int
    """How many of them must fire."""


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """What the rule does in each phase, and in which of them everything else is measured."""

    phases: CalendarPhases
    positions: ProbePositions
    patterns: Sequence[Pattern]
    home: Pattern
    """What it does where the contract applies, in most of the time in which it does that best."""
    parted: bool
    """Whether the rule itself hangs on the calendar, and not only the contract."""

    def is_home(self, phase: int) -> bool:
        return self.phases.inside[phase] and alike(self.patterns[phase], self.home)

    def writer(self, writer: SlotWriter, plan: Plan) -> PhasedSlotWriter:
        """A writer that lays all cases where the rule does what it does at home."""
        return PhasedSlotWriter(writer, self.phases.stretches(self.is_home), plan)

    def promtool_begins(self, plan: Plan) -> list[tuple[int, int]]:
        """(first aligned tick, last tick) of the runs of promtool's first days in which it is so."""
        if not self.parted:
            return ANY_BEGIN
        runs = self.phases.early(self.is_home)
        return [(-(-start // plan.align_ms) * plan.align_ms, end) for start, end in runs]


def probed_positions(contract: Contract, positions: KnobPositions) -> ProbePositions:
    """Far on either side of the threshold and near to it; where it must fire, also the knob's end."""
    here, op = positions.at_threshold, contract.op
    if contract.kind is ContractKind.ALWAYS:
        return ProbePositions((positions.threshold,), 1)
    if op is Op.EQ:
        other = positions.lowest if here != positions.lowest else positions.highest
        return ProbePositions((positions.threshold, positions.value(other)), 1)
    up = 1 if op.fires_above else -1
    first = here if op.holds(positions.value(here), positions.threshold) else here + up
    beside = 0 if positions.knob.step is not None else _BESIDE * up
    ends = (positions.lowest, positions.highest)[::up]

    def on_knob(position: int) -> int:
        return min(max(position, positions.lowest), positions.highest)

    near_on, near_off = on_knob(first + beside), on_knob(first - up - beside)
    on, off = positions.between(near_on, ends[1], Fraction(1, 2)), positions.between(near_off, ends[0], Fraction(1, 2))
    return ProbePositions(tuple(positions.value(p) for p in (on, near_on, ends[1], near_off, off)), 3)


def probe(contract: Contract, experiment: Experiment, phases: CalendarPhases) -> PhaseReport:
    """Measure the rule once in every phase, with the knob at a few positions.

    Raises UnsupportedError if the contract applies at none of the ticks, or a phase is too short to be measured.
    """
    plan, every = experiment.plan, experiment.scrape_ms
    span = contract.when.span if contract.when is not None else plan.rule.expr.span_at(0)
    if not any(phases.inside):
        raise UnsupportedError("the contract's `when` applies at no time of four years", span=span, hint="widen it")
    probed = probed_positions(contract, experiment.positions)
    needed = plan.window_ms + 2 * every
    length = -(-needed // plan.align_ms) * plan.align_ms
    gap = length + plan.reach_ms + plan.align_ms + every
    chosen = _schedule(phases, len(probed.values), experiment.writer.free_ms(0) + gap, gap)
    scrapes = Scrapes.regular(every, length, plan.tick_ms)
    worlds = [experiment.make_world(((0, probed.values[number]),), scrapes) for _, _, number in chosen]
    begins = [at - length for at, _, _ in chosen]
    batch = Batch(worlds, length, plan.reach_ms, plan.align_ms, place=lambda case, _: begins[case])
    (slots,) = experiment.writer.record([batch])
    found = experiment.replay.instants(plan, plan.rule.expr.value, slots, length)
    patterns: list[list[bool | None]] = [[None] * len(probed.values) for _ in phases.inside]
    for (_, phase, number), elements in zip(chosen, found, strict=True):
        patterns[phase][number] = bool(elements)
    sealed = [tuple(pattern) for pattern in patterns]
    if any(pattern[0] is None for pattern in sealed):
        raise UnsupportedError(
            "some of the times at which the rule or its contract changes are too rare to be measured",
            span=span,
            hint="write a plainer `when`, or test this rule with promtool",
        )
    meant = tuple(i < probed.firing for i in range(len(probed.values)))
    weights: dict[Pattern, int] = {}
    for phase in phases.phase_of:
        if phases.inside[phase]:
            weights[sealed[phase]] = weights.get(sealed[phase], 0) + 1
    home = max(weights, key=lambda p: (alike(p, meant), any(p[: probed.firing]) and not all(p), weights[p]))
    return PhaseReport(phases, probed, sealed, home, bool(phases.parts))


def _schedule(phases: CalendarPhases, positions: int, from_ms: int, gap_ms: int) -> list[tuple[int, int, int]]:
    """(tick, phase, position) of every phase with every position, as early as can be and `gap_ms` apart."""
    wanted = {phase: list(range(positions)) for phase in range(len(phases.inside))}
    chosen: list[tuple[int, int, int]] = []
    free_ms = from_ms
    for at, phase in zip(phases.ticks_ms, phases.phase_of, strict=True):
        if at < free_ms or not wanted.get(phase):
            continue
        chosen.append((at, phase, wanted[phase].pop(0)))
        free_ms = at + gap_ms
        if not wanted[phase]:
            del wanted[phase]
            if not wanted:
                break
    return chosen


def alike(one: Pattern, other: Pattern) -> bool:
    """Whether two patterns are the same wherever both were measured."""
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


class PhasedSlotWriter(SlotWriter):
    """A writer that lays every case, from its beginning to its end, in one of the given stretches of time."""

    def __init__(self, writer: SlotWriter, stretches: Sequence[tuple[int, int]], plan: Plan) -> None:
        super().__init__(writer.engine, writer.free_ms(0))
        self._writer = writer
        self._stretches = stretches
        self._ends = [end for _, end in stretches]
        self._plan = plan

    def record(self, batches: Iterable[Batch]) -> list[SlotRange]:
        return self._writer.record([replace(batch, place=partial(self._place, batch)) for batch in batches])

    def _place(self, batch: Batch, _: int, earliest_ms: int) -> int:
        for i in range(bisect.bisect_left(self._ends, earliest_ms), len(self._ends)):
            start, end = self._stretches[i]
            begin = -(-max(start, earliest_ms) // batch.align_ms) * batch.align_ms
            if begin + batch.length_ms <= end:
                return begin
        longest = max((end - start for start, end in self._stretches), default=0)
        raise UnsupportedError(
            f"the alert and its contract go together for {format_duration(longest)} at most, and what is measured "
            f"takes {format_duration(batch.length_ms)}"
            if batch.length_ms > longest
            else "the times at which the alert and its contract go together are too few for all that is measured",
            span=self._plan.rule.expr.span_at(0),
            hint="widen `when`, or test this rule with promtool",
        )
