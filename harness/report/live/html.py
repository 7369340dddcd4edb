"""A live run on the page: each alert's way from the metric to the receiver, on the run's clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.live.model import Delivery, LiveReport, LiveResult
from harness.report import svg
from harness.report.html.template import shown
from harness.report.live.terminal import HEADER, row, verdict


def live_view(report: LiveReport) -> dict[str, Any]:
    """What the template draws. Times are the world's, from when the first knob went past its threshold."""
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
        "chart": _chart(report),
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
                _pairs(result.delivered.group_labels),
                _pairs(result.delivered.labels),
                _pairs(result.delivered.annotations),
            )
            for result in report.results
            if result.delivered is not None
        ],
    }


def _pairs(texts: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(shown(name), shown(value)) for name, value in texts.items()]


def _last(result: LiveResult) -> int:
    known = (result.resolved_ms, result.resolved.at_ms if result.resolved else None, result.firing_ms, result.moved_ms)
    return max(at_ms for at_ms in known if at_ms is not None)


def _chart(report: LiveReport) -> svg.LaneChart:
    """A lane for each alert whose knob was moved, over the time that the rules write: the run's, uncompressed."""
    drawn = [(result, result.moved_ms) for result in report.results if result.moved_ms is not None]
    begin_ms = min((moved_ms for _, moved_ms in drawn), default=0)
    end_ms = max((_last(result) for result, _ in drawn), default=0)
    length_ms = max(1, end_ms - begin_ms) * report.factor
    scale = svg.time_scale(length_ms)

    def written(at_ms: int | None) -> int | None:
        return None if at_ms is None else (at_ms - begin_ms) * report.factor

    def place(delivery: Delivery | None) -> float | None:
        return None if delivery is None else scale((delivery.at_ms - begin_ms) * report.factor)

    lanes = []
    for number, (result, _) in enumerate(drawn):
        pending, firing, resolved = map(written, (result.pending_ms, result.firing_ms, result.resolved_ms))
        ends = length_ms if resolved is None else resolved
        bands = []
        if pending is not None:
            bands.append(svg.stretch(scale, pending, ends if firing is None else firing, "pending"))
        if firing is not None:
            bands.append(svg.stretch(scale, firing, ends, "firing"))
        lanes.append(svg.lane(number, shown(result.alert), bands, place(result.delivered), place(result.resolved)))
    return svg.LaneChart(tuple(lanes), svg.time_axis(scale, length_ms))
