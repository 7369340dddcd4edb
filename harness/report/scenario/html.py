"""A played scenario on the page: what went wrong and what fired, over the scenario's own time."""

from __future__ import annotations

from typing import Any

from harness.report import svg
from harness.report.html.template import shown
from harness.report.scenario.terminal import (
    conclusion,
    ended_in_words,
    labels_in_words,
    meant_in_words,
    moment,
    notes,
    tone,
    traffic_in_words,
)
from harness.stack.scenarios.result import Judgement, ScenarioResult
from harness.units import format_duration

_MOST_LANES = 24
_TONES = {"green": "good", "yellow": "warn", "red": "bad"}


def scenario_view(result: ScenarioResult) -> dict[str, Any]:
    """What the template draws."""
    scenario = result.scenario
    return {
        "name": shown(scenario.name),
        "means": shown(scenario.means),
        "passed": result.passed,
        "conclusion": shown(conclusion(result)),
        "facts": [
            ("scenario time", format_duration(scenario.lasts_ms)),
            ("clock", f"{result.factor}x" if result.factor > 1 else "real time"),
            ("runs as", "containers" if result.runtime == "compose" else "local processes"),
            ("traffic", traffic_in_words(result)),
        ],
        "notes": notes(result),
        "chart": _chart(result),
        "rows": [
            (
                shown(judged.alert),
                shown(labels_in_words(judged.labels)),
                shown(meant_in_words(judged)),
                ", ".join(moment(episode.firing_ms or 0) for episode in judged.episodes) or "–",
                ", ".join(ended_in_words(episode) for episode in judged.episodes) or "–",
                judged.judgement.value,
                _TONES[tone(judged.judgement)],
            )
            for judged in result.judged
        ],
    }


def _chart(result: ScenarioResult) -> svg.LaneChart:
    """A lane for each fault, then one for each alert that is meant or fired."""
    lasts_ms = result.scenario.lasts_ms
    scale = svg.time_scale(lasts_ms)

    def stretch(from_ms: int | None, to_ms: int | None, kind: str) -> list[svg.Band]:
        if from_ms is None:
            return []
        return [svg.stretch(scale, from_ms, lasts_ms if to_ms is None else to_ms, kind)]

    named: list[tuple[str, list[svg.Band]]] = [
        (fault.text, stretch(fault.at_ms, fault.until_ms, "fault")) for fault in result.scenario.faults
    ]
    alerts = dict.fromkeys([judged.alert for judged in result.judged] + [episode.alert for episode in result.episodes])
    for alert in alerts:
        drawn: list[svg.Band] = []
        own = [judged for judged in result.judged if judged.alert == alert]
        episodes = [episode for episode in result.episodes if episode.alert == alert]
        for expected in (judged.expected for judged in own if judged.expected is not None):
            drawn += stretch(expected.fires_from_ms, expected.fires_to_ms, "meant")
        for episode in episodes:
            drawn += stretch(episode.pending_ms, episode.firing_ms or episode.ended_ms, "pending")
            drawn += stretch(episode.firing_ms, episode.ended_ms, "firing")
        tolerated = bool(own) and all(judged.judgement is Judgement.TOLERATED for judged in own)
        named.append((f"{alert} (tolerated)" if tolerated else alert, drawn))
    lanes = [svg.lane(number, shown(name), drawn) for number, (name, drawn) in enumerate(named[:_MOST_LANES])]
    return svg.LaneChart(tuple(lanes), svg.time_axis(scale, lasts_ms))
