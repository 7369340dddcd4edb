"""The picture of alert quality: detection time over error ratio, measured points on the theory's curve.

Drawn as text, so that it stands alone in a file and inside a page alike. Colours follow the reader's light or dark
scheme; severities differ by shape as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from html import escape

from harness.report.quality.wording import described_percent, described_time
from harness.report.svg import (
    DARK,
    LIGHT,
    PAPER,
    Frame,
    Scale,
    custom_properties,
    line,
    logarithmic,
    x_axis,
    y_axis,
)
from harness.slo import closedform
from harness.slo.quality.results import IncidentOutcome, ObjectiveQuality, SeverityQuality

FRAME = Frame(height=320, left=64, right=610, top=76, bottom=276)
_LOW_MS, _HIGH_MS = 30_000, 5 * 86_400_000
_TIMES_MS = {
    "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "6h": 21_600_000, "1d": 86_400_000,
    "3d": 259_200_000,
}  # fmt: skip
_STEPS = 240
_NEVER_Y = FRAME.top - 12
_STYLE = (
    f"""\
.sq{{font:12px system-ui,sans-serif;{custom_properties(LIGHT, "sq-")}}}
@media (prefers-color-scheme:dark){{.sq{{{custom_properties(DARK, "sq-")}}}}}
@media print{{.sq{{{custom_properties({**LIGHT, **PAPER}, "sq-")}}}}}
"""
    + """\
.sq text{fill:var(--sq-soft)}.sq .sq-head{fill:var(--sq-ink);font-weight:600}.sq .sq-back{fill:var(--sq-page)}
.sq line{stroke:var(--sq-line)}.sq path{fill:none;stroke-width:1.5;stroke-linejoin:round}
.sq .sq-s0{stroke:var(--sq-bad)}.sq .sq-s1{stroke:var(--sq-mark);stroke-dasharray:7 3}
.sq .sq-m{fill:var(--sq-page);stroke-width:1.8;stroke-dasharray:none}
"""
)
_TIME = FRAME.y(logarithmic(_LOW_MS, _HIGH_MS))


def detection_svg(quality: ObjectiveQuality, ident: str = "slo-quality", top: int = 0) -> str:
    """One objective's picture as an `<svg>` element; `ident` makes its ids unique within a page.

    `top` places it inside another `<svg>`.
    """
    ratios = [o.incident.ratio for s in quality.severities for o in s.constant() if o.incident.ratio is not None]
    low = min((float(ratio) for ratio in ratios), default=0.01) * 0.8
    x_of = FRAME.x(logarithmic(low, 1))
    title = f"Detection time over error ratio: {quality.objective.title}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="sq" role="img" aria-labelledby="{ident}-t {ident}-d" '
        f'viewBox="0 0 {FRAME.width} {FRAME.height}" width="{FRAME.width}" height="{FRAME.height}" y="{top}">',
        f'<title id="{ident}-t">{escape(title)}</title>',
        f'<desc id="{ident}-d">{escape(described(quality))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="sq-back" width="{FRAME.width}" height="{FRAME.height}"/>',
        f'<text class="sq-head" x="{FRAME.left}" y="18">{escape(title)}</text>',
        *_axes(x_of, low),
    ]
    for i, severity in enumerate(quality.severities):
        parts += _severity(severity, quality, x_of, low, i)
    return "\n".join([*parts, "</svg>"]) + "\n"


def picture(qualities: Sequence[ObjectiveQuality]) -> str:
    """All objectives, one under the other, as one SVG file."""
    height = FRAME.height * max(1, len(qualities))
    inner = "".join(detection_svg(quality, f"q{i}", i * FRAME.height) for i, quality in enumerate(qualities))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Detection time over error ratio" '
        f'viewBox="0 0 {FRAME.width} {height}" width="{FRAME.width}" height="{height}">\n{inner}</svg>\n'
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


def _axes(x_of: Scale, low: float) -> list[str]:
    """Times in round numbers from the left, shares from `low` on below, and their names."""
    parts = []
    for mark in y_axis(_TIME, [(ms, name) for name, ms in _TIMES_MS.items()], thin=False):
        parts.append(f'<line x1="{FRAME.left}" x2="{FRAME.right}" y1="{mark.at}" y2="{mark.at}"/>')
        parts.append(_label(FRAME.left - 8, mark.at + 4, mark.text, "end"))
    parts.append(_label(FRAME.left - 8, _NEVER_Y + 4, "never", "end"))
    powers = range(math.ceil(math.log10(low)), 1)
    ratios = [Fraction(step) * Fraction(10) ** power for power in powers for step in (1, 2, 5)]
    for mark in x_axis(x_of, [(ratio, described_percent(ratio)) for ratio in ratios if low <= ratio <= 1]):
        parts.append(f'<line x1="{mark.at}" x2="{mark.at}" y1="{FRAME.bottom}" y2="{FRAME.bottom + 4}"/>')
        parts.append(_label(mark.at, FRAME.bottom + 17, mark.text, "middle"))
    parts.append(_label((FRAME.left + FRAME.right) / 2, FRAME.height - 8, "error ratio", "middle"))
    return parts


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _severity(severity: SeverityQuality, quality: ObjectiveQuality, x_of: Scale, low: float, number: int) -> list[str]:
    kind = f"sq-s{min(number, 1)}"
    path = _theory(severity, quality, x_of, low)
    marks = []
    for outcome in severity.constant():
        ratio = outcome.incident.ratio
        if ratio is None:
            continue
        y = _TIME(outcome.detected_ms) if outcome.detected_ms is not None else _NEVER_Y
        said = f"{described_percent(ratio)}: {described_time(outcome.detected_ms)} ({severity.severity})"
        marks.append(_mark(x_of(ratio), y, kind, number, said))
    x = FRAME.left + number * 274
    label = f"{severity.severity}: measured on the closed form"
    legend = [
        f'<path class="{kind}" d="M{x} 36h26"/>',
        _mark(x + 13, 36, kind, number, severity.severity),
        _label(x + 34, 40, label, "start"),
    ]
    return [*legend, f'<path class="{kind}" d="{path}"/>', *marks]


def _mark(x: float, y: float, kind: str, number: int, said: str) -> str:
    title = f"<title>{escape(said)}</title>"
    if number == 0:
        return f'<circle class="sq-m {kind}" cx="{x}" cy="{y}" r="3.6">{title}</circle>'
    left, top = round(x - 3.2, 1), round(y - 3.2, 1)
    return f'<rect class="sq-m {kind}" x="{left}" y="{top}" width="6.4" height="6.4">{title}</rect>'


def _theory(severity: SeverityQuality, quality: ObjectiveQuality, x_of: Scale, low: float) -> str:
    """The closed form of the earliest pair; it jumps at each θ, where the next pair takes over."""
    target = quality.objective.target
    thetas = [pair.threshold(target) for pair in severity.pairs]
    even = [Fraction(low ** (1 - i / _STEPS)) for i in range(_STEPS)]
    jumps = [theta * (1 + after) for theta in thetas for after in (0, Fraction(1, 1_000_000))]
    ratios = sorted(ratio for ratio in {*even, Fraction(1), *jumps} if even[0] <= ratio <= 1)
    path, known = "", list[tuple[float, float]]()
    for ratio in ratios:
        at = closedform.first_detection_ms(severity.pairs, target, ratio)
        if at is not None:
            known.append((x_of(ratio), _TIME(at)))
            continue
        path, known = path + line(dict.fromkeys(known)), []
    return path + line(dict.fromkeys(known))
