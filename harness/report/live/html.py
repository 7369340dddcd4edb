"""A live run on the page: each alert's way from the metric to the receiver, on the run's clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.live.model import LiveReport, LiveResult
from harness.report.live.terminal import HEADER, row, verdict
from harness.report.proof.charts import LANE_STEP, WIDTH, ChartStretch, Lane, lane_name, time_marks, time_x


def live_view(report: LiveReport, shown: Callable[[str], str]) -> dict[str, Any]:
    """What the template draws. Times are the world's, from when the first knob went past its threshold."""
    drawn = [result for result in report.results if result.moved_ms is not None]
    begin_ms = min((result.moved_ms for result in drawn if result.moved_ms is not None), default=0)
    length_ms = max((_last(result) - begin_ms for result in drawn), default=0) or 1

    def x(at_ms: int | None) -> float | None:
        return None if at_ms is None else time_x(at_ms - begin_ms, length_ms)

    lanes = [_lane(result, number, x, shown) for number, result in enumerate(drawn)]
    wrong = [result for result in report.results if not result.exact]
    return {
        "exact": report.exact,
        "facts": [
            ("exact", f"{len(report.results) - len(wrong)} of {len(report.results)}"),
            ("clock", f"{report.factor}x"),
            ("took", f"{report.total_s:.0f} s"),
            ("Prometheus", f"{report.prometheus} ({report.engine})"),
            ("Alertmanager", report.alertmanager),
            ("routes", shown(report.configuration)),
        ],
        "repeated": [f"{each.factor}x was too fast for this machine: {shown(each.reason)}" for each in report.attempts],
        "lanes": lanes,
        "height": len(lanes) * LANE_STEP + 26,
        "bottom": len(lanes) * LANE_STEP,
        "marks": time_marks(length_ms * report.factor),
        "header": HEADER,
        "rows": [
            ([shown(cell) for cell in row(result, report)], "good" if result.exact else "bad")
            for result in report.results
        ],
        "wrong": [
            (shown(result.alert), verdict(result), [shown(finding.reason) for finding in result.findings])
            for result in wrong
        ],
        "notes": [
            *((shown(str(idle.span)), shown(idle.message)) for idle in report.warnings),
            *((shown(result.alert), shown(note)) for result in report.results for note in result.notes),
        ],
        "received": [
            (
                shown(result.alert),
                shown(result.delivered.receiver),
                _pairs(result.delivered.group_labels, shown),
                _pairs(result.delivered.labels, shown),
                _pairs(result.delivered.annotations, shown),
            )
            for result in report.results
            if result.delivered is not None
        ],
    }


def _pairs(texts: Mapping[str, str], shown: Callable[[str], str]) -> list[tuple[str, str]]:
    return [(shown(name), shown(value)) for name, value in texts.items()]


def _last(result: LiveResult) -> int:
    known = (result.resolved_ms, result.resolved.at_ms if result.resolved else None, result.firing_ms, result.moved_ms)
    return max(at_ms for at_ms in known if at_ms is not None)


def _lane(
    result: LiveResult, number: int, x: Callable[[int | None], float | None], shown: Callable[[str], str]
) -> Lane:
    pending, firing, resolved = x(result.pending_ms), x(result.firing_ms), x(result.resolved_ms)
    stretches = []
    if pending is not None:
        end = next((at for at in (firing, resolved) if at is not None), float(WIDTH))
        stretches.append(ChartStretch.between(pending, end, "pending"))
    if firing is not None:
        stretches.append(ChartStretch.between(firing, float(WIDTH) if resolved is None else resolved, "firing"))
    told = x(result.delivered.at_ms) if result.delivered else None
    ended = x(result.resolved.at_ms) if result.resolved else None
    return Lane(lane_name(shown(result.alert)), number * LANE_STEP, tuple(stretches), told, ended)
