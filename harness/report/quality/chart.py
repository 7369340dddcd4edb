"""The picture of alert quality: detection time over error ratio, measured points on the theory's curve.

Drawn as text, so that it stands alone in a file and inside a page alike. Colours follow the reader's light or dark
scheme; severities differ by shape as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape

from harness.report.quality.wording import described_percent, described_time
from harness.slo import closedform
from harness.slo.quality.model import IncidentOutcome, ObjectiveQuality, SeverityQuality

WIDTH, HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 30, 62, 44
_LOW_MS, _HIGH_MS = 30_000, 5 * 86_400_000
_TIMES_MS = {
    "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "6h": 21_600_000, "1d": 86_400_000,
    "3d": 259_200_000,
}  # fmt: skip
_STEPS = 240
_NEVER_Y = _TOP + 2
_STYLE = """\
.sq{--sq-page:#fff;--sq-ink:#1b1f24;--sq-soft:#57606a;--sq-line:#d0d7de;--sq-page-alert:#b3261e;--sq-ticket:#0550ae;\
font:12px system-ui,sans-serif}
@media (prefers-color-scheme:dark){.sq{--sq-page:#0d1117;--sq-ink:#e6edf3;--sq-soft:#9da7b3;--sq-line:#3d444d;\
--sq-page-alert:#ff8182;--sq-ticket:#79c0ff}}
@media print{.sq{--sq-page:#fff;--sq-ink:#000;--sq-soft:#444;--sq-line:#bbb;\
--sq-page-alert:#b3261e;--sq-ticket:#0550ae}}
.sq text{fill:var(--sq-soft)}.sq .sq-head{fill:var(--sq-ink);font-weight:600}.sq .sq-back{fill:var(--sq-page)}
.sq line{stroke:var(--sq-line)}.sq path{fill:none;stroke-width:1.5;stroke-linejoin:round}
.sq .sq-s0{stroke:var(--sq-page-alert)}.sq .sq-s1{stroke:var(--sq-ticket);stroke-dasharray:7 3}
.sq .sq-m{fill:var(--sq-page);stroke-width:1.8;stroke-dasharray:none}
"""


@dataclass(frozen=True, slots=True)
class _Scale:
    """Both axes are logarithmic."""

    low: float
    """The lowest error ratio."""

    def x(self, ratio: Fraction | float) -> float:
        share = 1 - math.log(float(ratio)) / math.log(self.low)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, ms: Fraction | float) -> float:
        share = math.log(max(float(ms), _LOW_MS) / _LOW_MS) / math.log(_HIGH_MS / _LOW_MS)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP - 14), 1)


def detection_svg(quality: ObjectiveQuality, ident: str = "slo-quality", top: int = 0) -> str:
    """One objective's picture as an `<svg>` element; `ident` makes its ids unique within a page.

    `top` places it inside another `<svg>`.
    """
    ratios = [o.incident.ratio for s in quality.severities for o in s.constant() if o.incident.ratio is not None]
    scale = _Scale(min((float(ratio) for ratio in ratios), default=0.01) * 0.8)
    title = f"Detection time over error ratio: {quality.objective.title}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="sq" role="img" aria-labelledby="{ident}-t {ident}-d" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" y="{top}">',
        f'<title id="{ident}-t">{escape(title)}</title>',
        f'<desc id="{ident}-d">{escape(described(quality))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="sq-back" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="sq-head" x="{_LEFT}" y="18">{escape(title)}</text>',
        *_axes(scale),
    ]
    for i, severity in enumerate(quality.severities):
        parts += _severity(severity, quality, scale, i)
    return "\n".join([*parts, "</svg>"]) + "\n"


def picture(qualities: Sequence[ObjectiveQuality]) -> str:
    """All objectives, one under the other, as one SVG file."""
    height = HEIGHT * max(1, len(qualities))
    inner = "".join(detection_svg(quality, f"q{i}", i * HEIGHT) for i, quality in enumerate(qualities))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Detection time over error ratio" '
        f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">\n{inner}</svg>\n'
    )


def described(quality: ObjectiveQuality) -> str:
    """What the picture shows, in words."""
    said = []
    for severity in quality.severities:
        points = [o for o in severity.constant() if o.detected_ms is not None]
        if not points:
            said.append(f"{severity.severity}: never fires.")
            continue
        low, high = points[0], points[-1]
        off = max((_off_ms(o) for o in points), default=0)
        said.append(
            f"{severity.severity}: from {described_time(low.detected_ms)} at {described_percent(low.incident.ratio)} "
            f"errors to {described_time(high.detected_ms)} at {described_percent(high.incident.ratio)}; "
            f"{len(points)} measured points, at most {described_time(off)} off the closed form."
        )
    return " ".join(said)


def _off_ms(outcome: IncidentOutcome) -> int:
    if outcome.detected_ms is None or outcome.theory_ms is None:
        return 0
    return round(abs(outcome.detected_ms - outcome.theory_ms))


def _axes(scale: _Scale) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for name, ms in _TIMES_MS.items():
        y = scale.y(ms)
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{name}</text>')
    parts.append(f'<text x="{_LEFT - 8}" y="{_NEVER_Y + 4}" text-anchor="end">never</text>')
    for power in range(math.ceil(math.log10(scale.low)), 1):
        for step in (1, 2, 5):
            ratio = Fraction(step) * Fraction(10) ** power
            if scale.low <= ratio <= 1:
                x = scale.x(ratio)
                parts.append(f'<line x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 4}"/>')
                parts.append(f'<text x="{x}" y="{bottom + 17}" text-anchor="middle">{described_percent(ratio)}</text>')
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">error ratio</text>')
    return parts


def _severity(severity: SeverityQuality, quality: ObjectiveQuality, scale: _Scale, number: int) -> list[str]:
    kind = f"sq-s{min(number, 1)}"
    path = _theory(severity, quality, scale)
    marks = []
    for outcome in severity.constant():
        ratio = outcome.incident.ratio
        if ratio is None:
            continue
        y = scale.y(outcome.detected_ms) if outcome.detected_ms is not None else _NEVER_Y
        said = f"{described_percent(ratio)}: {described_time(outcome.detected_ms)} ({severity.severity})"
        marks.append(_mark(scale.x(ratio), y, kind, number, said))
    x = _LEFT + number * 274
    label = f"{severity.severity}: measured on the closed form"
    legend = [
        f'<path class="{kind}" d="M{x} 36h26"/>',
        _mark(x + 13, 36, kind, number, severity.severity),
        f'<text x="{x + 34}" y="40">{escape(label)}</text>',
    ]
    return [*legend, f'<path class="{kind}" d="{path}"/>', *marks]


def _mark(x: float, y: float, kind: str, number: int, said: str) -> str:
    title = f"<title>{escape(said)}</title>"
    if number == 0:
        return f'<circle class="sq-m {kind}" cx="{x}" cy="{y}" r="3.6">{title}</circle>'
    left, top = round(x - 3.2, 1), round(y - 3.2, 1)
    return f'<rect class="sq-m {kind}" x="{left}" y="{top}" width="6.4" height="6.4">{title}</rect>'


def _theory(severity: SeverityQuality, quality: ObjectiveQuality, scale: _Scale) -> str:
    """The closed form of the earliest pair; it jumps at each θ, where the next pair takes over."""
    target = quality.objective.target
    thetas = [pair.threshold(target) for pair in severity.pairs]
    even = [Fraction(scale.low ** (1 - i / _STEPS)) for i in range(_STEPS)]
    ratios = sorted({*even, Fraction(1), *(theta * Fraction(1_000_001, 1_000_000) for theta in thetas), *thetas})
    path, drawing, last = "", False, None
    for ratio in ratios:
        at = closedform.first_detection_ms(severity.pairs, target, ratio) if ratio <= 1 else None
        if at is None:
            drawing = False
            continue
        point = f"{scale.x(ratio)} {scale.y(at)}"
        if point != last:
            path += f"{'L' if drawing else 'M'}{point}"
        drawing, last = True, point
    return path
