"""Windows that promtool cannot fill, filled all the same: does what a test asserts hang on it?

promtool loads at most 10,000 samples of a series into one window. A test of a rule over 30 days at an interval of one
minute therefore only ever sees the beginning of a window. Often that is all it takes: "was it ever seen" is answered by
one sample. So the test group is run once more behind a past as long as the window, sampled so thinly that promtool can
load it: what the series begin with went on all the time, or, for counters, they grew all the time as they do in the
beginning. If an alert is active then where it was not, or no longer, the outcome hangs on the full window.

Only the windows beyond the cap see that past: between it and the test lies a gap as long as all others look back. What
is compared is whether the alert is active, for with a past it may have waited for its `for` long ago.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from harness.engines.promtool import CompletedRun
from harness.errors import HarnessError
from harness.rules.model import AlertRule, Group
from harness.suites.account import read_account, string, write_copy
from harness.suites.backfill import Backfill, BackfillPlan, backfilled
from harness.suites.model import AlertAssertion, ObservedStates, SuiteFile, TestGroup
from harness.suites.reads import Reads, read_series
from harness.suites.window_use import PER_SAMPLE, CannotTellError, RulesBehind, WindowUse, longest_capped_ms
from harness.units import format_duration

_SAMPLES = 500
"""How many of the window's samples the past has."""
_WEIGHTED = PER_SAMPLE | {"avg_over_time", "quantile_over_time", "stddev_over_time", "stdvar_over_time"}
"""Functions to which every sample counts the same: the test must be sampled as thinly as its past."""
_OF_COUNTERS = frozenset({"rate", "increase"})


@dataclass(frozen=True, slots=True)
class CappedWindow:
    """An alert whose window promtool cannot fill, though an assertion hangs on it, or it cannot be told whether."""

    group: TestGroup
    assertion: AlertAssertion
    """The first one that hangs on it; the first of all where that cannot be told."""
    window_ms: int
    backfill: Backfill | None = None
    """With which past it goes another way; None: what hangs on it cannot be told."""
    active: bool = False
    """Whether the alert is active there with that past."""
    why: str = ""
    """Why it cannot be told."""


@dataclass(frozen=True, slots=True)
class TestedSuite:
    """A unit-test file, and how promtool is asked about it."""

    suite: SuiteFile
    reads: Reads
    order: Callable[[], Sequence[Group]]
    """The rule groups as promtool evaluates them."""
    seen: Callable[[TestGroup, int], ObservedStates | None]
    """What was active at an asserted time (milliseconds); None where promtool does not tell."""
    run: Callable[[Path], CompletedRun]
    target: Path
    """A file that may be written; so may its siblings of other endings."""


def capped_windows(tested: TestedSuite, groups: Iterable[TestGroup]) -> list[CappedWindow]:
    """The alerts of these test groups, all of which pass, whose windows promtool cannot fill and of which an assertion
    hangs on that, or it cannot be told whether one does."""
    found = []
    for group in groups:
        asserted: dict[str, list[AlertAssertion]] = {}
        for assertion in group.alerts:
            asserted.setdefault(assertion.alertname.value, []).append(assertion)
        for name, assertions in asserted.items():
            window_ms = longest_capped_ms(tested.suite, tested.reads, name, group.interval_ms)
            if not window_ms or not read_series(group.series, tested.reads.of_alert(name)[0]):
                continue
            first = CappedWindow(group, assertions[0], window_ms)
            try:
                rules = RulesBehind(name, tested.reads, tested.order())
                use = rules.window_use(tested.suite, group.interval_ms)
                hanging = _Question(tested, group, tuple(assertions), rules, use).hanging()
            except (CannotTellError, HarnessError) as err:
                found.append(replace(first, why=str(err).splitlines()[0]))
                continue
            if hanging is not None:
                assertion, backfill, active = hanging
                found.append(replace(first, assertion=assertion, backfill=backfill, active=active))
    return found


@dataclass(frozen=True, slots=True)
class _Question:
    """Whether one of the assertions on an alert in a test group hangs on its full window."""

    tested: TestedSuite
    group: TestGroup
    assertions: tuple[AlertAssertion, ...]
    rules: RulesBehind
    use: WindowUse

    def hanging(self) -> tuple[AlertAssertion, Backfill, bool] | None:
        """The first assertion that goes another way behind some past, with which, and whether the alert is active then.

        Raises CannotTellError where no past of ours says what a full window would.
        """
        use = self.use
        every = -(-use.window_ms // self.group.interval_ms // _SAMPLES)
        read_elsewhere = bool(use.capped & use.elsewhere)
        # how many times what counts samples counts, and whether the test is sampled as thinly as its past
        ways = [(1, False)]
        if use.functions & _WEIGHTED:
            ways = [(every, True)]
            if read_elsewhere:
                if not use.functions <= PER_SAMPLE:
                    raise CannotTellError(
                        "every sample of its window counts the same, and its metric is read elsewhere, too"
                    )
                ways = [(1, False), (every, False)]  # too few, too many
        grows = use.functions <= _OF_COUNTERS and not read_elsewhere
        for backfill in (Backfill.HELD, Backfill.GROWN) if grows else (Backfill.HELD,):
            turned = [self._turned(backfill, every, per_sample, thin=thin) for per_sample, thin in ways]
            if None in turned and any(turned):
                raise CannotTellError("it hangs on how many samples the past has")
            if turned[0] is not None:
                return turned[0][0], backfill, turned[0][1]
        return None

    def _turned(
        self, backfill: Backfill, every: int, per_sample: int, *, thin: bool
    ) -> tuple[AlertAssertion, bool] | None:
        """The first assertion that goes another way behind one past, and whether the alert is active then."""
        alert, suite = self.rules.alert, self.tested.suite
        looked = self._looked_at()
        ticks = {tick for _, _, found in looked for tick in found}
        tick_ms = suite.evaluation_ms if self.use.every_tick else math.gcd(*ticks) or suite.evaluation_ms
        unit_ms = math.lcm(tick_ms, self.group.interval_ms * every)
        before_ms = -(-(self.use.window_ms + self.use.others_ms) // unit_ms) * unit_ms
        if before_ms > 3 * self.use.window_ms:
            raise CannotTellError("its intervals fit into no stretch of time as long as its window")
        plan = BackfillPlan(backfill, before_ms, every, thin)
        observed = self._observed(backfilled(self.group, ticks, self.use, plan), tick_ms, per_sample)
        for assertion, was, times in looked:
            for time_ms in times:
                now = observed.get(before_ms + time_ms, ObservedStates({}, {}))
                if now is None:
                    raise CannotTellError("promtool does not tell what is active")
                active = _active(now, alert)
                if active is not _active(was, alert):
                    return assertion, active
        return None

    def _looked_at(self) -> list[tuple[AlertAssertion, ObservedStates, list[int]]]:
        """Each assertion, what was active at its time, and the ticks (milliseconds) at which to look behind a past."""
        suite = self.tested.suite
        alerts = [rule for _, rules in self.rules.groups() for rule in rules if isinstance(rule, AlertRule)]
        hold_ms = max((rule.hold_ms for rule in alerts), default=0)
        looked = []
        for assertion in self.assertions:
            tick_ms = suite.tick_ms(assertion.eval_time_ms)
            was = self.tested.seen(self.group, assertion.eval_time_ms)
            if was is None:
                raise CannotTellError("promtool does not tell what is active")
            ticks = [tick_ms]
            if was.firing.get(self.rules.alert):  # what fires has been active for as long as its `for`
                ticks.append(suite.tick_ms(max(0, tick_ms - hold_ms)))
            looked.append((assertion, was, ticks))
        return looked

    def _observed(self, group: TestGroup, tick_ms: int, per_sample: int) -> Mapping[int, ObservedStates | None]:
        """What is active at each tick of a test group behind its past, by milliseconds."""
        target = self.tested.target
        rules_file = target.with_suffix(".rules.yml")
        rules_file.write_text(self.rules.written(per_sample, group.interval_ms), encoding="utf-8")
        names = [str(number) for number in range(len(self.rules.groups()))]
        write_copy(_ticking(self.tested.suite, tick_ms), [group], [rules_file], target, names)
        account = read_account(self.tested.run(target).stderr, 1)
        if not account.observed or account.groups[0].strip():
            raise CannotTellError("promtool does not evaluate it behind a past")
        return account.observed[0]


def _ticking(suite: SuiteFile, tick_ms: int) -> SuiteFile:
    """The file with another evaluation interval."""
    fields = [(key, value) for key, value in suite.root.value if key.value != "evaluation_interval"]
    fields.append((string("evaluation_interval"), string(format_duration(tick_ms))))
    return replace(suite, evaluation_ms=tick_ms, root=yaml.MappingNode(suite.root.tag, fields))


def _active(seen: ObservedStates, alert: str) -> bool:
    return bool(seen.firing.get(alert) or seen.pending.get(alert))
