"""A contract's world on the compressed clock, and what must come of it.

The knob stands at the last value that should be quiet, goes past the threshold, and comes back. What happens then is
measured beforehand on the world's own clock by replay, so that the live run has every tick of it to meet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from harness.alertmanager.inhibition import Inhibition
from harness.contracts import Contract, ContractKind, Op
from harness.contracts.model import Shape, Signal
from harness.contracts.world import Scrapes, Trace, traces
from harness.engines import Engine, QueryError
from harness.errors import UnsupportedError
from harness.live.clock import Clock
from harness.proof.model import LocatedAlert
from harness.proof.positions import KnobPositions
from harness.replay import AlertState, AlertTimeline, Batch, Plan, Replay, SlotWriter
from harness.rules import AlertRule, Group, Rule, RuleFile
from harness.rules.expr import parse_expr, subquery_steps_ms
from harness.rules.selectors import made_labels, metric_names
from harness.series import STALE, Labels, is_stale
from harness.units import format_duration

UP = "up"
_OWN = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
_SCRAPED = "scrape_"
_ROUNDING = Fraction(1, 10**9)
"""By how much of itself rates stay away from the threshold where they round; counters that have grown large lose up to
a dozen bits in a difference."""
_MAX_SAMPLES = 2_000_000


@dataclass(frozen=True, slots=True)
class KnobCourse:
    """The knob's way, in ticks since the case began: at `quiet`, from `on` past the threshold, from `off` back."""

    quiet: Fraction
    fires: Fraction
    at_threshold: bool
    on: int
    off: int
    ticks: int


@dataclass(slots=True)
class LiveCase:
    """One contract with its rule, on its way through a live run."""

    contract: Contract
    located: LocatedAlert
    plan: Plan
    """On the world's clock."""
    reads: frozenset[str | None]
    """Every metric that the rule reads, through recording rules too; None for a selector without a name."""
    shows: frozenset[str]
    """Every metric of the contract's signal."""
    course: KnobCourse
    timelines: Sequence[AlertTimeline] = ()
    """What must come of the course."""
    begin_ms: int = 0
    """When the case began on this run: Unix milliseconds of its tick 0."""
    inhibitors: list[str] = field(default_factory=list)
    """Alerts that silence it in this world, so that no notification may come."""
    co_firing: Sequence[LocatedAlert] = ()
    """Other alerts that the same signal may set off and that may silence this one; they run beside it."""
    rendered: Mapping[str, str] = field(default_factory=dict)
    """The labels that only Prometheus' templates can tell, as it renders them in this world."""
    routed: Sequence[str] = ()
    """The receivers to which Alertmanager routes what the contract describes."""

    @property
    def name(self) -> str:
        return self.contract.alert.value

    @property
    def may_carry(self) -> set[str]:
        """The names of labels that its alert may have, by its signal, its rule and what rules before it make."""
        exprs = [self.located.rule.expr, *(recording.expr for _, recording in self.plan.recordings)]
        shown = {name for spec in self.contract.signal.series for name, _ in spec.labels}
        recorded = [set(group.labels_of(recording)) for group, recording in self.plan.recordings]
        made = [made_labels(parse_expr(expr)) for expr in exprs]
        return shown.union(self.located.group.labels_of(self.located.rule), *recorded, *made)

    @property
    def uses_up(self) -> bool:
        """Whether targets that answer or not show it; a target cannot come and go, so an `up` that does is exposed."""
        return UP in self.shows and not any(s.metric == UP and s.present for s in self.contract.signal.series)

    @property
    def always(self) -> bool:
        """Whether the alert is meant to fire always, so that the knob has nowhere to go."""
        return self.contract.kind is ContractKind.ALWAYS

    @property
    def fades(self) -> bool:
        """Whether series may end. The exporter dates its samples, and such series end without a stale marker: they are
        gone once the lookback is over."""
        return any(spec.present is not None for spec in self.contract.signal.series)

    @property
    def play(self) -> int:
        """By how many ticks the running system may rightly differ from replay, because their phases are its own.

        `up` is written when the scrape takes place, a subquery looks at multiples of its step wherever the ticks lie,
        and other groups, whose recordings the rule may read, have ticks of their own.
        """
        interval, rule = self.plan.interval_ms, self.located.rule
        recordings = [(group, recording.expr) for group, recording in self.plan.recordings]
        exprs = (rule.expr, *(expr for _, expr in recordings))
        steps = [step for expr in exprs for step in subquery_steps_ms(expr, self.plan.server)]
        steps += [group.interval_ms for group, _ in recordings if group is not self.located.group]
        return int(self.uses_up) + sum(-(-step // interval) for step in steps)

    def main(self) -> AlertTimeline | None:
        """The alert that the contract speaks of."""
        fitting = [t for t in self.timelines if self.contract.names(dict(t.labels))] or list(self.timelines)
        return max(fitting, key=lambda t: len(t.true_at), default=None)

    def first(self, state: AlertState) -> int | None:
        """The tick at or after the knob's move at which the alert must first be in a state."""
        timeline = self.main()
        if timeline is None:
            return None
        return next((i for i, s in enumerate(timeline.states) if i >= self.course.on and s is state), None)

    def over(self) -> int | None:
        """The first tick at which the alert must be inactive again."""
        timeline, firing = self.main(), self.first(AlertState.FIRING)
        if timeline is None or firing is None:
            return None
        states = enumerate(timeline.states)
        return next((i for i, s in states if i > firing and s is AlertState.INACTIVE), None)

    def tick_ms(self, tick: int, clock: Clock) -> int:
        """When a tick of the case is, in Unix milliseconds."""
        return self.begin_ms + tick * clock.shrink_ms(self.plan.interval_ms)


class Planner:
    """Makes cases on an engine of its own, while the live servers start."""

    def __init__(
        self,
        engine: Engine,
        writer: SlotWriter,
        files: Sequence[RuleFile],
        shrunk: Sequence[RuleFile],
        clock: Clock,
        inhibitions: Sequence[Inhibition],
        rest_ms: int,
    ) -> None:
        """`writer` is all of the engine's history; `shrunk` are the same files on the compressed clock; in `rest_ms`
        (of the world) what was firing is over and told."""
        self._rest_ms = rest_ms
        self._clock = clock
        self._inhibitions = inhibitions
        self._writer = writer
        self._replay = Replay(engine, files)
        self._fast = Replay(engine, shrunk)
        self._shrunk = {
            id(rule): (fast_group, fast)
            for file, fast_file in zip(files, shrunk, strict=True)
            for group, fast_group in zip(file.groups, fast_file.groups, strict=True)
            for rule, fast in zip(group.rules, fast_group.rules, strict=True)
        }

    def settle(self, case: LiveCase, linger_ms: int) -> None:
        """Choose the knob's positions, measure what must come of them, and keep the knob past the threshold for
        `linger_ms` (of the world) after the alert fires.

        Raises UnsupportedError if the rule does not mean the same on the compressed clock.
        """
        interval = case.plan.interval_ms
        if case.always:
            self._settle_always(case, linger_ms)
            return
        if case.contract.kind is ContractKind.ABSENCE:
            # Before its world is shown it is absent, too.
            rest = -(-(self._rest_ms + case.contract.keep_firing_ms) // interval)
            case.course = replace(case.course, on=_reach_ticks(case.plan, case.contract.scrape_ms) + 1 + rest)
        clear, first = _past(case.contract)
        for quiet, at_threshold in _quiet(case.contract):
            far = case.course.on + _window_ticks(case) + case.plan.hold_ticks + 4
            # Further in, a knob that counts things may turn several bad, and then there is an alert for each.
            for fires in (clear, first):
                course = replace(case.course, quiet=quiet, fires=fires, at_threshold=at_threshold)
                case.course = replace(course, off=far, ticks=far + 2)
                case.timelines = self._world(case)
                if _culprits(case) <= 1 and not self._is_silenced(case):
                    break
            firing = case.first(AlertState.FIRING)
            off = far if firing is None else firing + -(-linger_ms // interval)
            keep = -(-case.plan.rule.keep_firing_ms // interval)
            case.course = replace(course, off=off, ticks=off + _window_ticks(case) + keep + 4)
            case.timelines = self._world(case)
            if self._compressed(case) == _states(case.timelines):
                return
        raise self._differs(case)

    def _settle_always(self, case: LiveCase, linger_ms: int) -> None:
        """The knob stays where it is for as long as the alert takes to be told."""
        x, interval = case.contract.knob.low, case.plan.interval_ms
        ticks = _window_ticks(case) + case.plan.hold_ticks + -(-linger_ms // interval) + 4
        case.course = KnobCourse(x, x, True, 0, ticks, ticks)
        case.timelines = self._world(case)
        if self._compressed(case) != _states(case.timelines):
            raise self._differs(case)

    def _differs(self, case: LiveCase) -> UnsupportedError:
        return UnsupportedError(
            f"`{case.name}` goes other ways on a clock {self._clock.factor} times as fast than on the world's",
            span=case.located.rule.expr.span_at(0),
            hint="compress less, or prove it with `alert-harness prove`",
        )

    def _is_silenced(self, case: LiveCase) -> bool:
        """Whether the course sets off an alert that silences this one: then there may be one nearer that does not."""
        main = case.main()
        for other in case.co_firing if main is not None and main.fires else ():
            plan = self._replay.plan(other.group, other.rule)
            length_ms = case.course.ticks * case.plan.interval_ms
            try:
                timelines = self._timelines(self._replay, plan, _traces(case), length_ms)
            except QueryError:
                continue  # what Prometheus cannot evaluate silences nobody
            for timeline in timelines:
                if timeline.fires and main is not None and self._silences(timeline, main):
                    return True
        return False

    def _silences(self, source: AlertTimeline, target: AlertTimeline) -> bool:
        sent = self._clock.server.sent
        labels = sent(dict(source.labels)), sent(dict(target.labels))
        return any(inhibition.holds(*labels) for inhibition in self._inhibitions)

    def _world(self, case: LiveCase) -> list[AlertTimeline]:
        """What replay sees on the world's clock."""
        return self._timelines(self._replay, case.plan, _traces(case), case.course.ticks * case.plan.interval_ms)

    def _compressed(self, case: LiveCase) -> dict[Labels, tuple[AlertState, ...]]:
        """The same rule and world, compressed, on the same engine."""
        group, rule = self._shrunk[id(case.located.rule)]
        if not isinstance(rule, AlertRule):
            raise AssertionError("a compressed rule is of the same kind")
        plan = self._fast.plan(group, rule)
        # The engine's lookback is that of the world: where a series ends, its compressed copy is told to.
        short = [_ended(trace, self._clock) for trace in compressed(case, self._clock)]
        return _states(self._timelines(self._fast, plan, short, case.course.ticks * plan.interval_ms))

    def _timelines(self, replay: Replay, plan: Plan, world: Sequence[Trace], length_ms: int) -> list[AlertTimeline]:
        (slots,) = self._writer.record([Batch([world], length_ms, plan.reach_ms, plan.align_ms)])
        return replay.timelines(plan, slots)[0]


def new_case(
    contract: Contract, located: LocatedAlert, files: Sequence[RuleFile], engine: Engine, clock: Clock
) -> LiveCase:
    """A case, its course not yet settled. Raises UnsupportedError, with the reason, for what cannot be run live."""
    plan = Replay(engine, files).plan(located.group, located.rule)
    names = set(metric_names(located.rule.expr))
    for _, recording in plan.recordings:
        names |= metric_names(recording.expr) | {recording.record}
    shown = {name for name, _ in _metrics(contract.signal)}
    on = _reach_ticks(plan, contract.scrape_ms) + 1
    course = KnobCourse(Fraction(0), Fraction(0), True, on, on, on)
    case = LiveCase(contract, located, plan, frozenset(names), frozenset(shown), course)
    _refuse(case, clock)
    return case


def _refuse(case: LiveCase, clock: Clock) -> None:
    """Name what a scraped target cannot show."""
    contract, span = case.contract, case.contract.alert.span
    if contract.signal.follows_clock:
        raise UnsupportedError(
            f"the signal of `{case.name}` tells the time (`now`), and the live clock is not the world's",
            span=span,
            hint="prove it with `alert-harness prove`",
        )
    clock.shrink_ms(contract.scrape_ms, f"the scrape interval of `{case.name}`", span)
    clock.shrink_ms(contract.scrape_ms // 2, f"half the scrape interval of `{case.name}`", span)
    for metric in sorted(case.shows):
        if metric in _OWN or metric.startswith(_SCRAPED):
            raise UnsupportedError(
                f"the signal of `{case.name}` sets `{metric}`, which Prometheus writes itself",
                span=span,
                hint="prove it with `alert-harness prove`",
            )
    if any(spec.shape is Shape.NATIVE for spec in contract.signal.series):
        raise UnsupportedError(
            f"the signal of `{case.name}` has native histograms, which the exporter of a live run does not show",
            span=span,
            hint="prove it with `alert-harness prove`",
        )
    shapes: dict[str, bool] = {}
    for metric, counts in _metrics(contract.signal):
        if shapes.setdefault(metric, counts) is not counts:
            raise UnsupportedError(
                f"the signal of `{case.name}` has `{metric}` both as a gauge and as a counter",
                span=span,
                hint="a metric of a real exporter has one type",
            )


def _metrics(signal: Signal) -> Iterator[tuple[str, bool]]:
    """(metric, whether it counts) of a signal."""
    for spec in signal.series:
        if spec.shape is Shape.HISTOGRAM:
            yield from ((f"{spec.metric}{end}", True) for end in ("_bucket", "_count", "_sum"))
        else:
            yield spec.metric, spec.shape is Shape.COUNTER


def _reach_ticks(plan: Plan, scrape_ms: int) -> int:
    """Ticks after which nothing is left of how the knob stood before, if no series ends."""
    return -(-plan.window_ms // plan.interval_ms) + -(-scrape_ms // plan.interval_ms) + 1


def _window_ticks(case: LiveCase) -> int:
    """Ticks after which nothing is left of how the knob stood before."""
    fading = -(-case.plan.server.lookback_ms // case.plan.interval_ms) if case.fades else 0
    return _reach_ticks(case.plan, case.contract.scrape_ms) + fading


def _quiet(contract: Contract) -> Iterator[tuple[Fraction, bool]]:
    """(where the knob must be quiet, whether that is the very last such position), the best first."""
    axis = KnobPositions.of(contract)
    here, op = axis.at_threshold, contract.op
    if op is Op.EQ:
        beside = [p for p in (here + 1, here - 1) if axis.lowest <= p <= axis.highest]
        yield axis.value(beside[0]), True
        return
    up = 1 if op.fires_above else -1
    last = here - up if op.fires_at_threshold else here
    yield axis.value(last), True
    away = last - up if axis.knob.step is not None else axis.position(contract.threshold - up * _near(contract))
    if axis.lowest <= away <= axis.highest:
        yield axis.value(away), False


def _past(contract: Contract) -> tuple[Fraction, Fraction]:
    """Where the knob must fire: midway to its end, and right past the threshold (as near as rates allow)."""
    axis = KnobPositions.of(contract)
    here, op = axis.at_threshold, contract.op
    if op is Op.EQ:
        return contract.threshold, contract.threshold
    up = 1 if op.fires_above else -1
    first = here if op.fires_at_threshold else here + up
    clear = axis.value(axis.between(first, axis.highest if op.fires_above else axis.lowest, Fraction(1, 2)))
    if axis.knob.step is None:
        first = axis.position(contract.threshold + up * _near(contract))
    return clear, axis.value(min(max(first, axis.lowest), axis.highest))


def _near(contract: Contract) -> Fraction:
    """The distance from the threshold at which rounding no longer matters."""
    size = abs(contract.threshold) or contract.knob.high - contract.knob.low
    return size * _ROUNDING


def _culprits(case: LiveCase) -> int:
    return sum(timeline.fires for timeline in case.timelines)


def _states(timelines: Sequence[AlertTimeline]) -> dict[Labels, tuple[AlertState, ...]]:
    return {timeline.labels: timeline.states for timeline in timelines}


def _traces(case: LiveCase) -> list[Trace]:
    """The contract's world under the course, on the world's clock."""
    interval, course = case.plan.interval_ms, case.course
    knob = [(0, course.quiet), (course.on * interval, course.fires), (course.off * interval, course.quiet)]
    scrapes = Scrapes.regular(case.contract.scrape_ms, course.ticks * interval)
    world = [_unmarked(trace) for trace in traces(case.contract.signal, knob, scrapes)]
    if sum(len(trace.times_ms) for trace in world) > _MAX_SAMPLES:
        raise UnsupportedError(
            f"the world of `{case.name}` takes more than {_MAX_SAMPLES:,} samples to show",
            span=case.contract.alert.span,
            hint=f"it looks back {format_duration(case.plan.reach_ms)}; prove it with `alert-harness prove`",
        )
    return world


def _unmarked(trace: Trace) -> Trace:
    """The trace without stale markers, which an exporter that dates its samples cannot show."""
    kept = [(at, value) for at, value in zip(trace.times_ms, trace.values, strict=True) if not is_stale(value)]
    if len(kept) == len(trace.times_ms):
        return trace
    return replace(trace, times_ms=[at for at, _ in kept], values=[value for _, value in kept])


def _ended(trace: Trace, clock: Clock) -> Trace:
    """A compressed trace with a stale marker wherever its next sample is further away than the compressed lookback."""
    lookback = clock.shrink_ms(clock.server.lookback_ms)
    times: list[int] = []
    values: list[float] = []
    after = [*trace.times_ms[1:], None]
    for at, value, following in zip(trace.times_ms, trace.values, after, strict=True):
        times.append(at)
        values.append(value)
        if following is None or following - at > lookback:
            times.append(at + lookback)
            values.append(STALE)
    return replace(trace, times_ms=times, values=values)


def compressed(case: LiveCase, clock: Clock) -> Iterator[Trace]:
    """The same on the compressed clock: counters grow at the same rate, so they get as far less in the shorter time."""
    counts = dict(_metrics(case.contract.signal))
    for trace in _traces(case):
        times = [clock.shrink_ms(at) for at in trace.times_ms]
        values = trace.values
        if counts[dict(trace.labels)["__name__"]]:
            values = [value / clock.factor for value in values]
        yield Trace(trace.labels, times, values)


def only(file: RuleFile, kept: Collection[int], more: Callable[[Group], Sequence[Rule]]) -> RuleFile | None:
    """The file with only the rules whose ids are `kept`, and in each group `more`; None if nothing is left."""
    groups = []
    for group in file.groups:
        rules = tuple(rule for rule in group.rules if id(rule) in kept)
        if rules:
            groups.append(replace(group, rules=(*rules, *more(group))))
    return replace(file, groups=tuple(groups)) if groups else None


def says(case: LiveCase, x: Fraction) -> str:
    """A knob position in words."""
    if case.contract.kind in (ContractKind.ABSENCE, ContractKind.PRESENCE):
        return f"its series are {case.contract.at(x)}"
    return f"{case.contract.knob.name} = {case.contract.at(x)}"
