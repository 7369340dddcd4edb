"""A scenario played on a running stack: traffic, faults, and what Prometheus' own rule manager made of them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from itertools import pairwise

import requests

from harness.engines import Engine, Series
from harness.engines.base import new_session
from harness.errors import EngineError
from harness.live.model import BusyRun
from harness.rules import RuleFile
from harness.series import carries
from harness.stack.load import RequestTally, Traffic
from harness.stack.runtime import Health, Runtime
from harness.stack.scenario import Expectation, Fault, Scenario

_SETTLE_MS = 900_000
"""World time that a stack is given to become quiet before a scenario begins."""
_FIRST_SCRAPE_S = 30.0
_POLL_S = 0.2
_FAULT_TRIES = 20
_WHOLE = 0.9
"""The share of an interval from which on a scrape took all of it."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert from its first active tick to its end, in milliseconds of world time since the scenario began."""

    alert: str
    labels: Mapping[str, str]
    pending_ms: int | None
    """None: the alert has no `for`, and fired on its first tick."""
    firing_ms: int | None
    """None: it was pending only."""
    ended_ms: int | None
    """The first tick without it; None: it was still active at the end."""


class Judgement(Enum):
    """One alert of a scenario."""

    AS_EXPECTED = "as expected"
    """It fired when it should."""
    DID_NOT_FIRE = "did not fire"
    FIRED_EARLY = "fired too early"
    FIRED_LATE = "fired too late"
    FIRED_AGAIN = "fired again"
    NOT_RESOLVED = "not resolved in time"
    UNEXPECTED = "fired unexpectedly"
    TOLERATED = "tolerated"
    """It fired, and the scenario says why that may be."""

    @property
    def ok(self) -> bool:
        return self in (Judgement.AS_EXPECTED, Judgement.TOLERATED)


@dataclass(frozen=True, slots=True)
class JudgedAlert:
    """An expectation, or an alert that fired without one, and what became of it."""

    alert: str
    labels: Mapping[str, str]
    judgement: Judgement
    expected: Expectation | None
    episodes: tuple[Episode, ...]
    because: str = ""


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What a scenario did to the stack."""

    scenario: Scenario
    runtime: str
    factor: int
    seed: int
    began_s: float
    """Unix time of the scenario's moment 0."""
    ended_s: float
    judged: tuple[JudgedAlert, ...]
    episodes: tuple[Episode, ...]
    tally: RequestTally
    counted: int | None
    """What the service itself counted of our requests; None where it crashed and so began anew."""
    missed_ticks: int
    """Evaluations that Prometheus was too busy for."""
    late_answers: int = 0
    """Scrapes that ran into their time-out, which on a fast clock is a fraction of a second."""
    attempts: tuple[BusyRun, ...] = ()
    """Runs before this one that were not believed."""

    @property
    def busy(self) -> str:
        """How it shows that the machine was too busy for this clock; empty if it was not."""
        signs = []
        if self.missed_ticks:
            signs.append(f"Prometheus missed {self.missed_ticks} evaluations")
        if self.late_answers:
            signs.append(f"{self.late_answers} scrapes ran into their time-out")
        return " and ".join(signs)

    @property
    def miscounted(self) -> bool:
        """Whether the service's counters differ from the answers that we got."""
        return self.counted is not None and self.counted != self.tally.total

    @property
    def passed(self) -> bool:
        return all(judged.judgement.ok for judged in self.judged) and not self.miscounted


def play(
    scenario: Scenario,
    runtime: Runtime,
    prometheus: Engine,
    files: Sequence[RuleFile],
    *,
    seed: int,
    step: Callable[[str], None],
) -> ScenarioResult:
    """Play the scenario to its end; faults are taken back and traffic has ended whatever happens.

    `prometheus` is the stack's own, to be asked; `step` is told what goes on, with the world time. Raises EngineError
    if the stack breaks in a way that is not part of the scenario.
    """
    scenario.check_alerts(list(files))
    factor = runtime.clock.factor
    faults = _Faults(runtime)
    before = _counted_before(prometheus)
    traffic = Traffic(
        runtime.url("streaming"), scenario.load, factor=factor, seed=seed, webhook_token=runtime.tokens.webhook
    )
    try:
        with traffic:
            step("waiting until all is scraped and quiet")
            _settle(scenario, runtime, prometheus, factor)
            began_s = time.time()
            _play(scenario, faults, traffic, factor, step)
            ended_s = time.time()
    finally:
        faults.clear()
    step("reading what fired")
    counted = None
    if not any(fault.crash for fault in scenario.faults):
        counted = _await_count(prometheus, before + traffic.tally.total) - before
    episodes = episodes_of(_alerts_between(prometheus, began_s, ended_s), files, factor, began_s, ended_s)
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
        missed_ticks=_missed_ticks(prometheus, began_s),
        late_answers=_late_answers(prometheus, scenario, began_s, ended_s),
    )


# -- what goes wrong ---------------------------------------------------------------------------------------------


class _Faults:
    """What is switched at the service: errors, latency, failing recordings, and whether it lives at all."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._session = new_session()
        self._session.headers["Authorization"] = f"Bearer {runtime.tokens.faults}"
        self._switched = False
        self._down = False

    def switch(self, active: Sequence[Fault]) -> None:
        """Make the service misbehave as these faults say, taken together."""
        slow = max(active, key=lambda fault: fault.latency_s, default=None)
        wanted: dict[str, float] = {
            "error_ratio": float(max((fault.error_ratio for fault in active), default=Fraction(0))),
            "latency_s": float(slow.latency_s) if slow else 0.0,
            "latency_ratio": float(slow.latency_ratio) if slow else 1.0,
            "recording_failure_ratio": float(max((fault.recording_failures for fault in active), default=Fraction(0))),
        }
        if any(value for name, value in wanted.items() if name != "latency_ratio"):
            self._switched = True
            self._ask("PUT", wanted)
        elif self._switched:
            self._switched = False
            self._ask("DELETE")

    def kill(self) -> None:
        self._down = True
        self._runtime.kill("streaming")

    def start(self) -> None:
        self._runtime.start("streaming")
        self._down = False

    def clear(self) -> None:
        """The service lives and behaves again."""
        if self._down:
            self.start()
        if self._switched:
            self.switch(())

    def _ask(self, method: str, body: Mapping[str, float] | None = None) -> None:
        for _ in range(_FAULT_TRIES):
            try:
                answer = self._session.request(
                    method, f"{self._runtime.url('streaming')}/faults", json=body, timeout=5, allow_redirects=False
                )
            except requests.RequestException:
                time.sleep(_POLL_S)  # it may just be starting again
                continue
            if answer.ok:
                return
            raise EngineError(
                f"the streaming service answers {answer.status_code} at {method} /faults",
                hint="faults exist only with STREAMING_FAULTS=1 and a token; `stack up` sets both",
            )
        raise EngineError("the streaming service does not take faults: it does not answer", hint="look at `stack logs`")


def _play(scenario: Scenario, faults: _Faults, traffic: Traffic, factor: int, step: Callable[[str], None]) -> None:
    begin = time.monotonic()
    for at_ms, act, what in sorted(_acts(scenario, faults, traffic), key=lambda planned: planned[0]):
        _wait_until(begin + at_ms / 1000 / factor)
        if what:
            step(what)
        act()


def _acts(scenario: Scenario, faults: _Faults, traffic: Traffic) -> list[tuple[int, Callable[[], None], str]]:
    """(world time, what to do, what to tell) of everything that happens."""

    def switch(at_ms: int) -> Callable[[], None]:
        active = scenario.faults_at(at_ms)

        def act() -> None:
            traffic.silence(float(max((fault.cameras_silent for fault in active), default=Fraction(0))))
            traffic.end_streams(any(fault.streams_ended for fault in active))
            faults.switch(active)

        return act

    acts: list[tuple[int, Callable[[], None], str]] = []
    for at_ms in sorted({at_ms for fault in scenario.faults for at_ms in (fault.at_ms, fault.until_ms)}):
        said = "; ".join(fault.text for fault in scenario.faults_at(at_ms)) or "all is well again"
        acts.append((at_ms, switch(at_ms), said))
    for fault in scenario.faults:
        if fault.crash is None:
            continue
        for at_ms in range(fault.at_ms, fault.until_ms, fault.crash.every_ms):
            acts.append((at_ms, faults.kill, "the service is killed"))
            acts.append((min(at_ms + fault.crash.down_ms, fault.until_ms), faults.start, "the service starts again"))
    acts.append((scenario.lasts_ms, lambda: None, ""))
    return acts


def _wait_until(moment: float) -> None:
    while (left := moment - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))


# -- what Prometheus says ----------------------------------------------------------------------------------------


def _settle(scenario: Scenario, runtime: Runtime, prometheus: Engine, factor: int) -> None:
    """Wait until the service is scraped and no alert is active that the scenario would be blamed for."""
    tolerated = {alert for tolerance in scenario.tolerate for alert in tolerance.alerts}
    patience_s = _FIRST_SCRAPE_S + _SETTLE_MS / 1000 / factor
    deadline = time.monotonic() + patience_s
    while True:
        waiting = [target.job for target in runtime.targets() if target.health in (Health.DOWN, Health.WAITING)]
        active = {series.metric["alertname"] for series in prometheus.query("ALERTS", _now_ms())} - tolerated
        if not waiting and not active:
            return
        if time.monotonic() > deadline:
            raise EngineError(
                f"the stack did not become quiet within {patience_s:.0f} s: "
                + "; ".join(
                    ([f"not up: {', '.join(sorted(waiting))}"] if waiting else [])
                    + ([f"active before anything went wrong: {', '.join(sorted(active))}"] if active else [])
                ),
                hint="look at `alert-harness stack status` and at the alerts in Prometheus",
            )
        time.sleep(_POLL_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _counted(prometheus: Engine) -> int:
    """Requests to the API that the service has counted, as of its last scrape."""
    found = prometheus.query('http_requests_total{job="streaming",endpoint=~"/api/.*"}', _now_ms())
    return round(sum(series.values[0] for series in found))


def _counted_before(prometheus: Engine) -> int:
    """The count that a scrape after this moment sees: an earlier one lacks what came last; 0 if there was none ever."""
    since_s = time.time()
    deadline = time.monotonic() + _FIRST_SCRAPE_S * 2
    while scraped := prometheus.query('timestamp(up{job="streaming"})', _now_ms()):
        if max(series.values[0] for series in scraped) > since_s or time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    return _counted(prometheus)


def _await_count(prometheus: Engine, wanted: int) -> int:
    """The service's count once it was scraped behind the last answer; what it is after a while if that never comes."""
    deadline = time.monotonic() + _FIRST_SCRAPE_S
    while (found := _counted(prometheus)) < wanted and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return found


def _alerts_between(prometheus: Engine, began_s: float, ended_s: float) -> list[Series]:
    """The stored samples of ALERTS: each tick's exact state."""
    length_ms = round((ended_s - began_s) * 1000)
    return prometheus.query(f"ALERTS[{length_ms}ms]", round(ended_s * 1000))


def _missed_ticks(prometheus: Engine, began_s: float) -> int:
    length_ms = max(1, _now_ms() - round(began_s * 1000))
    found = prometheus.query(f"sum(increase(prometheus_rule_group_iterations_missed_total[{length_ms}ms]))", _now_ms())
    return round(found[0].values[0]) if found else 0


def _late_answers(prometheus: Engine, scenario: Scenario, began_s: float, ended_s: float) -> int:
    """Scrapes that failed by waiting, but not those of a service that the scenario kills: its name may be unknown."""
    killed = "streaming" if any(fault.crash for fault in scenario.faults) else ""
    window = f'{{job!="{killed}"}}[{round((ended_s - began_s) * 1000)}ms]'
    up, took = (
        prometheus.query(f"{name}{window}", round(ended_s * 1000)) for name in ("up", "scrape_duration_seconds")
    )
    return late_answers(up, took)


def late_answers(up: Sequence[Series], took: Sequence[Series]) -> int:
    """Of the samples of `up`, the zeros behind a scrape that took (`scrape_duration_seconds`) its whole interval.

    A service that is gone refuses at once. A fast clock leaves an interval for the time-out, as they cannot be longer.
    """
    seconds = {
        (_target(series), at_ms): value
        for series in took
        for at_ms, value in zip(series.timestamps_ms, series.values, strict=True)
    }
    late = 0
    for series in up:
        interval_ms = min((b - a for a, b in pairwise(series.timestamps_ms)), default=0)
        for at_ms, value in zip(series.timestamps_ms, series.values, strict=True):
            took_s = seconds.get((_target(series), at_ms), 0.0)
            late += value == 0 and interval_ms > 0 and took_s * 1000 >= _WHOLE * interval_ms
    return late


def _target(series: Series) -> tuple[str | None, str | None]:
    return series.metric.get("job"), series.metric.get("instance")


def episodes_of(
    alerts: Sequence[Series], files: Sequence[RuleFile], factor: int, began_s: float, ended_s: float
) -> list[Episode]:
    """Episodes from the samples of ALERTS (real milliseconds); sorted by when they begin."""
    intervals = {
        alert.alert: group.interval_ms / factor for file in files for group in file.groups for alert in group.alerts()
    }
    states: dict[tuple[tuple[str, str], ...], dict[int, str]] = defaultdict(dict)
    for series in alerts:
        labels = dict(series.metric)
        state = labels.pop("alertstate")
        labels.pop("__name__")
        for at_ms in series.timestamps_ms:
            states[tuple(sorted(labels.items()))][at_ms] = state

    def world(at_ms: float) -> int:
        return round((at_ms - began_s * 1000) * factor)

    made = []
    for key, ticks in states.items():
        labels = dict(key)
        name = labels.pop("alertname")
        interval_ms = intervals[name]
        for run in _runs(sorted(ticks), interval_ms):
            pending = [at_ms for at_ms in run if ticks[at_ms] == "pending"]
            firing = [at_ms for at_ms in run if ticks[at_ms] == "firing"]
            ended_ms = run[-1] + interval_ms
            made.append(
                Episode(
                    alert=name,
                    labels=labels,
                    pending_ms=world(pending[0]) if pending else None,
                    firing_ms=world(firing[0]) if firing else None,
                    ended_ms=world(ended_ms) if ended_ms < ended_s * 1000 else None,
                )
            )
    return sorted(made, key=lambda episode: (_begin(episode), episode.alert, sorted(episode.labels.items())))


def _begin(episode: Episode) -> int:
    found = episode.firing_ms if episode.pending_ms is None else episode.pending_ms
    return found if found is not None else 0


def _runs(ticks: Sequence[int], interval_ms: float) -> list[list[int]]:
    """Ticks without a gap; one that the machine was too late for is no gap, two are."""
    runs = [[ticks[0]]] if ticks else []
    for before, at_ms in pairwise(ticks):
        if at_ms - before > 2.5 * interval_ms:
            runs.append([])
        runs[-1].append(at_ms)
    return runs


# -- what to think of it -----------------------------------------------------------------------------------------


def judge(scenario: Scenario, episodes: Sequence[Episode]) -> list[JudgedAlert]:
    """Each expectation, then each alert that fired without one."""
    fired = [episode for episode in episodes if episode.firing_ms is not None]
    judged, taken = [], set()
    for expectation in scenario.expect:
        own = tuple(episode for episode in fired if _meets(expectation, episode))
        taken |= {id(episode) for episode in own}
        judged.append(
            JudgedAlert(expectation.alert.value, expectation.labels, _verdict(expectation, own), expectation, own)
        )
    reasons = {alert: tolerance.because for tolerance in scenario.tolerate for alert in tolerance.alerts}
    for episode in fired:
        if id(episode) not in taken:
            because = reasons.get(episode.alert, "")
            judgement = Judgement.TOLERATED if episode.alert in reasons else Judgement.UNEXPECTED
            judged.append(JudgedAlert(episode.alert, episode.labels, judgement, None, (episode,), because))
    return judged


def _meets(expectation: Expectation, episode: Episode) -> bool:
    return episode.alert == expectation.alert.value and carries(episode.labels, expectation.labels)


def _verdict(expectation: Expectation, own: Sequence[Episode]) -> Judgement:
    if not own:
        return Judgement.DID_NOT_FIRE
    first = min(episode.firing_ms for episode in own if episode.firing_ms is not None)
    if first < expectation.fires_from_ms:
        return Judgement.FIRED_EARLY
    if first > expectation.fires_to_ms:
        return Judgement.FIRED_LATE
    if len(own) > 1 and not expectation.again:
        return Judgement.FIRED_AGAIN
    limit = expectation.resolved_to_ms
    if limit is not None and any(episode.ended_ms is None or episode.ended_ms > limit for episode in own):
        return Judgement.NOT_RESOLVED
    return Judgement.AS_EXPECTED
