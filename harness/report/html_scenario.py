"""A played scenario on the page: what went wrong and what fired, over the scenario's own time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.report.charts import WIDTH, Mark, lane_name
from harness.report.scenario_text import (
    conclusion,
    ended_in_words,
    labels_in_words,
    meant_in_words,
    moment,
    notes,
    tone,
    traffic_in_words,
)
from harness.stack.run import Judgement, ScenarioResult
from harness.units import format_duration

_LANE = 46
_MOST_LANES = 24
_TONES = {"green": "good", "yellow": "warn", "red": "bad"}
_STEPS_MS = (60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 14_400_000, 86_400_000)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a lane, in pixels."""

    left: float
    width: float
    kind: str
    """``fault``, ``pending``, ``firing`` or ``meant``."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A fault or an alert, over time."""

    name: str
    y: int
    stretches: tuple[Stretch, ...]


def scenario_view(result: ScenarioResult, shown: Callable[[str], str]) -> dict[str, Any]:
    """What the template draws."""
    scenario = result.scenario
    lanes = _lanes(result, shown)
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
        "lanes": lanes,
        "height": len(lanes) * _LANE + 26,
        "bottom": len(lanes) * _LANE,
        "marks": _marks(scenario.lasts_ms),
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


def _lanes(result: ScenarioResult, shown: Callable[[str], str]) -> list[Lane]:
    lasts_ms = result.scenario.lasts_ms

    def stretch(from_ms: int | None, to_ms: int | None, kind: str) -> list[Stretch]:
        if from_ms is None:
            return []
        begin = min(max(0, from_ms), lasts_ms)
        end = min(lasts_ms if to_ms is None else to_ms, lasts_ms)
        return [Stretch(_x(begin, lasts_ms), max(1.5, _x(end, lasts_ms) - _x(begin, lasts_ms)), kind)]

    named: list[tuple[str, list[Stretch]]] = [
        (fault.text, stretch(fault.at_ms, fault.until_ms, "fault")) for fault in result.scenario.faults
    ]
    alerts = dict.fromkeys([judged.alert for judged in result.judged] + [episode.alert for episode in result.episodes])
    for alert in alerts:
        drawn: list[Stretch] = []
        own = [judged for judged in result.judged if judged.alert == alert]
        episodes = [episode for episode in result.episodes if episode.alert == alert]
        for expected in (judged.expected for judged in own if judged.expected is not None):
            drawn += stretch(expected.fires_from_ms, expected.fires_to_ms, "meant")
        for episode in episodes:
            drawn += stretch(episode.pending_ms, episode.firing_ms or episode.ended_ms, "pending")
            drawn += stretch(episode.firing_ms, episode.ended_ms, "firing")
        tolerated = bool(own) and all(judged.judgement is Judgement.TOLERATED for judged in own)
        named.append((f"{alert} (tolerated)" if tolerated else alert, drawn))
    return [
        Lane(lane_name(shown(name)), number * _LANE, tuple(drawn))
        for number, (name, drawn) in enumerate(named[:_MOST_LANES])
    ]


def _x(at_ms: int, lasts_ms: int) -> float:
    return round(WIDTH * at_ms / lasts_ms, 1)


def _marks(lasts_ms: int) -> list[Mark]:
    step = next((step for step in _STEPS_MS if lasts_ms / step <= 8), _STEPS_MS[-1])
    anchors = {0: "start"}
    return [
        Mark(_x(at_ms, lasts_ms), format_duration(at_ms), number % 2 == 1, anchors.get(at_ms, ""))
        for number, at_ms in enumerate(range(0, lasts_ms - step // 3, step))
    ]
