"""Hypothesis strategies for series and signals, and thousands of examples against an oracle in one query.

Strategies make :class:`~harness.contracts.world.Trace`s: series in milliseconds from the beginning of a case. A
:class:`Trial` puts a rule before an oracle. It draws many examples first, evaluates them all at once, each in a slot of
its own on a throwaway Prometheus, and only if one disagrees lets hypothesis draw the same ones again and shrink.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Generic, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from harness.contracts import Contract
from harness.contracts.world import Scrapes, Trace, traces
from harness.engines.base import Engine
from harness.engines.private import private_folder
from harness.engines.promtool import Promtool
from harness.errors import HarnessError, InputError
from harness.numbers import shortened
from harness.proof.model import Case
from harness.proof.pairing import pair
from harness.proof.positions import KnobPositions
from harness.proof.promtool.check import other_lookback
from harness.proof.promtool.ordered import OrderedRules
from harness.proof.promtool.unit_test import CheckRequest, activity_test, says_activity
from harness.replay import Batch, EndlessSlotWriter, Replay, SlotWriter
from harness.replay.slots import FIRST_SLOT_MS
from harness.rules import RuleFile
from harness.series import STALE, Labels, format_labels, labels_of
from harness.toolchain import Toolchain
from harness.units import MINUTE_MS, format_duration, format_number

Example = TypeVar("Example")
_BATCH = 4_000
"""Cases per query: from 1,000 to 4,000 the cost per case is the same; one returns at most 11,000 points a series."""


# -- series --------------------------------------------------------------------------------------------------------


def series(name: str, /, **labels: str) -> Labels:
    """``series("up", job="api")``."""
    return labels_of(name, labels)


@st.composite
def _stamped(
    draw: st.DrawFn, labels: Labels, values: Sequence[float], every_ms: int, phase_ms: int, gaps: bool
) -> Trace:
    """Values on the grid of scrapes; with `gaps` some are missing, and some of those end the series (stale)."""
    times = [phase_ms + i * every_ms for i in range(len(values))]
    if not gaps:
        return Trace(labels, times, list(values))
    # 0, which shrinking prefers, keeps the sample.
    fates = draw(st.lists(st.sampled_from((0, 0, 0, 0, 0, 0, 1, 2)), min_size=len(values), max_size=len(values)))
    kept = [(at, STALE if fate == 2 else v) for at, v, fate in zip(times, values, fates, strict=True) if fate != 1]
    return Trace(labels, [at for at, _ in kept], [value for _, value in kept])


@st.composite
def gauges(
    draw: st.DrawFn,
    labels: Labels,
    *,
    values: st.SearchStrategy[float] | None = None,
    count: int = 20,
    every_ms: int = MINUTE_MS,
    phase_ms: int = 0,
    gaps: bool = True,
) -> Trace:
    """A gauge of up to `count` samples; `values` default to small whole numbers, which read well."""
    drawn = draw(st.lists(values or st.integers(-10, 100).map(float), min_size=1, max_size=count))
    return draw(_stamped(labels, drawn, every_ms, phase_ms, gaps))


@st.composite
def counters(
    draw: st.DrawFn,
    labels: Labels,
    *,
    increases: st.SearchStrategy[int] | None = None,
    count: int = 20,
    every_ms: int = MINUTE_MS,
    phase_ms: int = 0,
    resets: bool = True,
    gaps: bool = True,
) -> Trace:
    """A counter from 0 on; with `resets` it now and then begins again at what has come since."""
    steps = draw(st.lists(increases or st.integers(0, 100), min_size=1, max_size=count))
    again = draw(st.lists(st.sampled_from((0, 0, 0, 0, 0, 1)), min_size=len(steps), max_size=len(steps)))
    total, values = 0, []
    for step, reset in zip(steps, again, strict=True):
        total = step if resets and reset else total + step
        values.append(float(total))
    return draw(_stamped(labels, values, every_ms, phase_ms, gaps))


@st.composite
def histograms(
    draw: st.DrawFn,
    labels: Labels,
    *,
    buckets: Sequence[float] = (0.1, 0.5, 1.0, 5.0),
    count: int = 20,
    every_ms: int = MINUTE_MS,
    phase_ms: int = 0,
    resets: bool = True,
) -> list[Trace]:
    """A classic histogram: `_bucket` (cumulative, `+Inf` last), `_count` and `_sum`, all of one instance and so reset
    and scraped together. Observations count as the bound of their bucket (of the highest beyond it)."""
    names = dict(labels)
    metric = names.pop("__name__", "")
    size = len(buckets) + 1
    rows = draw(st.lists(st.lists(st.integers(0, 20), min_size=size, max_size=size), min_size=1, max_size=count))
    again = draw(st.lists(st.sampled_from((0, 0, 0, 0, 0, 1)), min_size=len(rows), max_size=len(rows)))
    totals = [0] * size
    history = []
    for row, reset in zip(rows, again, strict=True):
        totals = list(row) if resets and reset else [a + b for a, b in zip(totals, row, strict=True)]
        history.append(totals)
    times = [phase_ms + i * every_ms for i in range(len(history))]
    marks = [*buckets, buckets[-1]]
    made = [
        Trace(
            labels_of(f"{metric}_bucket", {**names, "le": "+Inf" if i == len(buckets) else repr(float(buckets[i]))}),
            times,
            [float(sum(row[: i + 1])) for row in history],
        )
        for i in range(size)
    ]
    made.append(Trace(labels_of(f"{metric}_count", names), times, [float(sum(row)) for row in history]))
    sums = [float(sum(n * mark for n, mark in zip(row, marks, strict=True))) for row in history]
    made.append(Trace(labels_of(f"{metric}_sum", names), times, sums))
    return made


# -- signals -------------------------------------------------------------------------------------------------------


def positions(contract: Contract) -> st.SearchStrategy[Fraction]:
    """Where a contract's knob may stand; its threshold and the neighbours of that come often, and are shrunk to."""
    axis = KnobPositions.of(contract)
    here = axis.at_threshold
    near = [p for off in range(9) for p in (here + off, here - off) if axis.lowest <= p <= axis.highest]
    return st.one_of(st.sampled_from(list(dict.fromkeys(near))), st.integers(axis.lowest, axis.highest)).map(axis.value)


@st.composite
def pairs(draw: st.DrawFn, share: Fraction, most: int, *, least: int = 0) -> tuple[int, int]:
    """(k, n): k of n things, `least` ≤ n ≤ `most`; half of them at k/n = `share` or one or two beside it."""
    # As a multiple of the share's denominator and a rest: so an example at the share itself shrinks to the smallest.
    whole = draw(st.integers(0, most // share.denominator)) * share.denominator
    n = min(max(whole + draw(st.integers(0, share.denominator - 1)), least), most)
    beside = int(n * share) + draw(st.sampled_from((0, 1, -1, 2, -2)))
    return min(max(beside, 0), n) if draw(st.booleans()) else draw(st.integers(0, n)), n


# -- a rule on trial -----------------------------------------------------------------------------------------------


class Disagreement(AssertionError):
    """A rule and an oracle say different things of one example."""


@dataclass(frozen=True, slots=True)
class World(Generic[Example]):
    """An example with its series and what the oracle says of it."""

    example: Example
    series: Sequence[Trace]
    fires: bool


class Trial:
    """A rule before an oracle, on one engine. `world` makes the series of an example, `oracle` says whether the rule's
    condition holds for it; the condition is evaluated where `length_ms` of the series are over. `promtool` runs what is
    to be printed (default: the one that is here)."""

    def __init__(
        self,
        writer: SlotWriter,
        files: Sequence[RuleFile],
        contract: Contract,
        *,
        length_ms: int | None = None,
        promtool: Promtool | None = None,
    ) -> None:
        self.writer = writer
        self._promtool = promtool
        self.contract = contract
        self.queries = 0
        self._files = files
        self._replay = Replay(writer.engine, files)
        (pairing, *_) = pair(files, [contract])
        if pairing.located is None:
            name = contract.alert.value
            raise InputError(f"there is no alert `{name}`", span=contract.alert.span, hint="name its rule file")
        self.located = pairing.located
        self.plan = self._replay.plan(self.located.group, self.located.rule)
        interval = self.plan.interval_ms
        # Long enough for every window to see the standing signal and nothing else.
        needed = self.plan.window_ms + 2 * contract.scrape_ms if length_ms is None else length_ms
        self.length_ms = -(-needed // interval) * interval

    @classmethod
    def on(cls, engine: Engine, files: Sequence[RuleFile], contract: Contract) -> Trial:
        """A trial on an engine of its own."""
        return cls(EndlessSlotWriter(engine), files, contract)

    def signal(self, x: Fraction, length_ms: int | None = None, **given: int | Fraction) -> list[Trace]:
        """The contract's signal with the knob at `x`, its `given` names replaced."""
        unknown = given.keys() - self.contract.signal.given.keys()
        if unknown:
            known = ", ".join(sorted(self.contract.signal.given)) or "nothing"
            raise InputError(f"the contract gives no `{min(unknown)}`", hint=f"it gives: {known}")
        named = {**self.contract.signal.given, **{name: Fraction(value) for name, value in given.items()}}
        lasts = self.length_ms if length_ms is None else length_ms
        scrapes = Scrapes.regular(self.contract.scrape_ms, lasts, self.plan.tick_ms)
        return traces(replace(self.contract.signal, given=named), ((0, x),), scrapes)

    def holds(self, worlds: Sequence[Sequence[Trace]]) -> list[bool]:
        """For each world whether the rule's condition holds at its end: one query for a thousand."""
        truth: list[bool] = []
        slot_ms = self.length_ms + self.plan.reach_ms + self.plan.align_ms
        size = max(1, min(_BATCH, int(time.time() * 1000 - FIRST_SLOT_MS) // slot_ms))
        for start in range(0, len(worlds), size):
            cases = worlds[start : start + size]
            (slots,) = self.writer.record([Batch(cases, self.length_ms, self.plan.reach_ms, self.plan.align_ms)])
            self.queries += 1
            found = self._replay.instants(self.plan, self.plan.rule.expr.value, slots, self.length_ms)
            truth += [bool(elements) for elements in found]
        return truth

    def disagreements(
        self,
        examples: Iterable[Example],
        world: Callable[[Example], Sequence[Trace]],
        oracle: Callable[[Example], bool],
    ) -> list[World[Example]]:
        """The examples of which rule and oracle say different things."""
        worlds = [World(example, world(example), oracle(example)) for example in examples]
        truth = self.holds([one.series for one in worlds])
        return [one for one, holds in zip(worlds, truth, strict=True) if holds is not one.fires]

    def agrees(
        self,
        examples: Sequence[Example],
        world: Callable[[Example], Sequence[Trace]],
        oracle: Callable[[Example], bool],
    ) -> None:
        """Raise :class:`Disagreement` about the first of these examples on which rule and oracle differ."""
        __tracebackhide__ = True
        for one in self.disagreements(examples, world, oracle)[:1]:
            raise Disagreement(self.explain(one))

    def agrees_on(
        self,
        strategy: st.SearchStrategy[Example],
        world: Callable[[Example], Sequence[Trace]],
        oracle: Callable[[Example], bool],
        *,
        examples: int = 1_000,
        seed_: int = 0,
    ) -> None:
        """Draw examples, evaluate them all at once, and raise :class:`Disagreement` about the simplest that differs.

        The same seed draws the same examples: another run with another seed sees others.
        """
        __tracebackhide__ = True
        options: dict[str, Any] = {
            "max_examples": examples,
            "database": None,
            "deadline": None,
            "report_multiple_bugs": False,
            "suppress_health_check": list(HealthCheck),
        }
        drawn: dict[str, Example] = {}

        @settings(phases=[Phase.generate], **options)
        @seed(seed_)
        @given(strategy)
        def draw(example: Example) -> None:
            drawn.setdefault(repr(example), example)

        draw()
        wrong = {repr(one.example) for one in self.disagreements(drawn.values(), world, oracle)}
        if not wrong:
            return
        simplest: list[World[Example]] = []

        @settings(phases=[Phase.generate, Phase.shrink], **options)
        @seed(seed_)
        @given(strategy)
        def shrink(example: Example) -> None:
            key = repr(example)
            if key in drawn and key not in wrong:
                return
            for one in self.disagreements([example], world, oracle):
                simplest[:] = [one]  # the last one is the simplest
                raise Disagreement(key)

        with contextlib.suppress(Disagreement):
            shrink()
        if simplest:  # raised here, without what led to it
            raise Disagreement(self.explain(simplest[0]))
        raise Disagreement(f"of {len(drawn)} examples {len(wrong)} differ, but none did when drawn again: {min(wrong)}")

    def explain(self, one: World[Any]) -> str:
        """The disagreement in words, and as a promtool unit test that passes once the rule is as the oracle says."""
        meant, does = ("fire", "stays quiet") if one.fires else ("stay quiet", "fires")
        text = f"{self.contract.alert.value} must {meant}, but {does}, for {one.example!r} ({self.located.rule.span})."
        keeps_ms = self.plan.rule.keep_firing_ms
        if keeps_ms and not one.fires:
            kept = f"the alert may still fire from before, for it keeps firing for {format_duration(keeps_ms)}"
            return f"{text} A promtool unit test cannot say so: {kept}."
        return f"{text} As a promtool unit test{self._confirmation(one)}:\n\n{self.as_promtool_test(one)}"

    def _confirmation(self, one: World[Any]) -> str:
        """What promtool says of the printed test: with the rule as it is it must fail."""
        try:
            if self._promtool is None and (tool := Toolchain().locate("promtool")) is not None:
                self._promtool = Promtool(tool.path, features=self.writer.engine.server.features)
            if (promtool := self._promtool) is None:
                return " (not confirmed: promtool is not here)"
            if why := other_lookback(self.writer.engine.server):
                return f" (not confirmed: {why})"
            with private_folder() as folder:
                file = folder / "printed.test.yml"
                file.write_text(self.as_promtool_test(one, folder, "printed"), encoding="utf-8")
                for copy, text in self._ordered().copies(folder, "printed"):
                    copy.write_text(text, encoding="utf-8")
                run = promtool.test_rules([file])
        except HarnessError as err:
            return f" (not confirmed: {err.message})"
        failures = promtool.failures(run)
        if self._ordered().renamed:
            return " (not confirmed: promtool may run its groups in any order, for two have one name)"
        if run.returncode == 0:
            return " (promtool does not confirm it: with the rule as it is, it passes)"
        if failures.alerts or not all(map(says_activity, failures.other)):
            return f" (promtool cannot run it: {' '.join((*failures.other, run.stderr)[0].split())})"
        return f", which fails with the rule as it is (promtool {promtool.version})"

    def as_promtool_test(self, one: World[Any], folder: Path | None = None, prefix: str = "") -> str:
        """A promtool unit test that expects what the oracle says at the end of the world: the alert is pending or
        firing, or neither. Its paths are relative to `folder` (here: the current one); those of rule files that must
        be copied there begin with `prefix`."""
        series = [trace for trace in one.series if trace.times_ms]
        step_ms = math.gcd(self.plan.interval_ms, *(at for trace in series for at in trace.times_ms))
        name = shortened(f"{one.example!r}")
        case = Case(name, series, step_ms, 0, self.length_ms // self.plan.interval_ms + 1, ())
        request = CheckRequest(self.located, self._ordered(), (case,), self.writer.engine.server)
        return activity_test(request, folder or Path(), self.length_ms, prefix, active=one.fires)

    def _ordered(self) -> OrderedRules:
        return OrderedRules.of(self._files, self.located, self._replay)


def show(traces: Iterable[Trace]) -> str:
    """Series for people, one a line: ``up{job="api"}  30s 1, 1m 1, 90s stale``."""
    lines = []
    for trace in traces:
        points = zip(trace.times_ms, trace.values, strict=True)
        told = (f"{format_duration(at)} {'stale' if v != v else format_number(v)}" for at, v in points)
        lines.append(f"{format_labels(trace.labels)}  {', '.join(told)}")
    return "\n".join(lines)
