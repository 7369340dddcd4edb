"""Episodes of firing from the stored states of alerts, held against what the scenario expects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from harness.engines import Series
from harness.rules import RuleFile
from harness.series import carries
from harness.stack.scenarios.result import Episode, JudgedAlert, Judgement
from harness.stack.scenarios.scenario import Expectation, Scenario


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
