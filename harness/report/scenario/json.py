"""A played scenario as JSON, version 1; docs/schema/scenario.schema.json is its schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.report.document import document_text, findings_json
from harness.report.section import Section
from harness.stack.scenarios.result import Episode, JudgedAlert, ScenarioResult


def scenario_json(result: ScenarioResult, sections: Sequence[Section]) -> str:
    """The document that `alert-harness stack run --json` prints, with a final newline. Times are seconds of the
    scenario's own clock since its moment 0.
    """
    tally = result.tally
    return document_text(
        {
            "version": 1,
            "scenario": {
                "name": result.scenario.name,
                "file": result.scenario.file,
                "lasts_s": _seconds(result.scenario.lasts_ms),
            },
            "runtime": result.runtime,
            "compress": result.factor,
            "seed": result.seed,
            "began": result.began_s,
            "ended": result.ended_s,
            "alerts": [_judged(judged) for judged in result.judged],
            "requests": {
                "answered": [
                    {"method": method, "endpoint": endpoint, "status": status, "count": count}
                    for (method, endpoint, status), count in sorted(tally.answered.items())
                ],
                "unanswered": tally.unanswered,
                "not_sent": tally.not_sent,
                "total": tally.total,
                "counted_by_service": result.counted,
            },
            "missed_evaluations": result.missed_ticks,
            "late_scrapes": result.late_answers,
            "attempts": [{"compress": each.factor, "reason": each.reason} for each in result.attempts],
            "passed": result.passed,
            "findings": findings_json(sections),
        }
    )


def _judged(judged: JudgedAlert) -> dict[str, Any]:
    expected = judged.expected
    return {
        "alert": judged.alert,
        "labels": dict(judged.labels),
        "judgement": judged.judgement.name.lower(),
        "expected": None
        if expected is None
        else {
            "fires_from_s": _seconds(expected.fires_from_ms),
            "fires_to_s": _seconds(expected.fires_to_ms),
            "resolved_to_s": _seconds(expected.resolved_to_ms),
            "again": expected.again,
        },
        "because": judged.because or None,
        "episodes": [_episode(episode) for episode in judged.episodes],
    }


def _episode(episode: Episode) -> dict[str, Any]:
    return {
        "labels": dict(episode.labels),
        "pending_s": _seconds(episode.pending_ms),
        "firing_s": _seconds(episode.firing_ms),
        "ended_s": _seconds(episode.ended_ms),
    }


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
