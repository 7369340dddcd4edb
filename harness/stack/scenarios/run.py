"""A scenario played on a running stack: traffic, faults, and what Prometheus' own rule manager made of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from harness.engines.url import UrlEngine
from harness.live.clock import Clock
from harness.live.model import BusyRun
from harness.rules import RuleFile
from harness.stack.opening import RuntimeKind, throwaway
from harness.stack.runtime import Runtime
from harness.stack.scenarios import observed
from harness.stack.scenarios.faults import FaultSwitch
from harness.stack.scenarios.judge import episodes_of, judge
from harness.stack.scenarios.load import Traffic
from harness.stack.scenarios.result import ScenarioResult
from harness.stack.scenarios.scenario import Scenario
from harness.stack.spec import Spec
from harness.toolchain import Toolchain


@contextmanager
def played_on_own(
    scenario: Scenario,
    files: Sequence[RuleFile],
    spec: Spec,
    tools: Toolchain,
    kind: RuntimeKind,
    *,
    seed: int,
    step: Callable[[str], None],
) -> Iterator[tuple[Runtime, ScenarioResult]]:
    """Play it on a stack of our own, which ends with the block.

    What did not end as it should while the machine was too busy says nothing: it is played again, once and slower.
    """
    attempts: tuple[BusyRun, ...] = ()
    while True:
        with throwaway(spec, tools, kind, step) as stack:
            result = replace(play(scenario, files, stack, seed=seed, step=step), attempts=attempts)
            factor = result.factor
            if result.passed or not result.busy or attempts or factor == 1:
                yield stack, result
                return
        attempts = (BusyRun(factor, result.busy),)
        # A divisor: durations that this clock divides, the slower one divides too.
        slower = next(slower for slower in range(factor // 2, 0, -1) if factor % slower == 0)
        spec = replace(spec, clock=Clock(slower))
        step(f"the machine was too busy ({result.busy}): again at {slower}x")


def play(
    scenario: Scenario, files: Sequence[RuleFile], runtime: Runtime, *, seed: int, step: Callable[[str], None]
) -> ScenarioResult:
    """Play the scenario to its end; faults are taken back and traffic has ended whatever happens.

    `files` hold the rules that the stack's Prometheus evaluates; `step` is told what goes on, with the world time.
    Raises EngineError if the stack breaks in a way that is not part of the scenario.
    """
    factor = runtime.clock.factor
    with UrlEngine(runtime.url("prometheus"), read_only=True) as prometheus:
        before = observed.counted_before(prometheus)
        traffic = Traffic(
            runtime.url("streaming"), scenario.load, factor=factor, seed=seed, webhook_token=runtime.tokens.webhook
        )
        faults = FaultSwitch(runtime, traffic)
        try:
            with traffic:
                step("waiting until all is scraped and quiet")
                observed.settle(scenario, runtime, prometheus)
                began_s, begin = time.time(), time.monotonic()
                for moment in scenario.timetable():
                    _wait_until(begin + moment.at_ms / 1000 / factor)
                    if moment.says:
                        step(moment.says)
                    faults.apply(moment)
                ended_s = time.time()
        finally:
            faults.clear()
        step("reading what fired")
        counted = None
        if not any(fault.crash for fault in scenario.faults):
            counted = observed.await_count(prometheus, before + traffic.tally.total) - before
        episodes = episodes_of(observed.alerts_between(prometheus, began_s, ended_s), files, factor, began_s, ended_s)
        return ScenarioResult(
            scenario=scenario,
            runtime=runtime.kind,
            factor=factor,
            seed=seed,
            began_s=began_s,
            ended_s=ended_s,
            judged=tuple(judge(scenario, episodes)),
            episodes=tuple(episodes),
            tally=traffic.tally,
            counted=counted,
            missed_ticks=observed.missed_ticks(prometheus, began_s),
            late_answers=observed.late_answers_of(prometheus, scenario, began_s, ended_s),
        )


def _wait_until(moment: float) -> None:
    while (left := moment - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))
