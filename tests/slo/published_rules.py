"""Rule sets in the shape in which pyrra and sloth publish theirs, rebuilt from what their documentation says of it."""

from __future__ import annotations

from collections.abc import Sequence

PYRRA_PAIRS = (
    # (short, long, factor, for, severity) of 28 days
    ("5m", "1h", 14, "2m0s", "critical"),
    ("30m", "6h", 7, "15m0s", "critical"),
    ("2h", "1d", 2, "1h0m0s", "warning"),
    ("6h", "4d", 1, "3h0m0s", "warning"),
)
SLOTH_PAIRS = {"page": (("5m", "1h", 14.4), ("30m", "6h", 6)), "ticket": (("2h", "1d", 3), ("6h", "3d", 1))}


def pyrra(name: str, metric: str, error_ratio: str, target: str) -> str:
    """Groups of one objective: the increase over the period with an alert on absence, then the burn rates every 30 s.

    `error_ratio` holds RANGE where its window belongs.
    """
    lines = [
        f"  - name: {name}-increase",
        "    interval: 2m30s",
        "    rules:",
        f"      - record: {metric}:increase4w",
        f"        expr: sum by (code) (increase({metric}[4w]))",
        f"        labels: {{slo: {name}}}",
        "      - alert: SLOMetricAbsent",
        f"        expr: absent({metric}) == 1",
        "        for: 2m",
        f"        labels: {{severity: critical, slo: {name}}}",
        f"  - name: {name}",
        "    interval: 30s",
        "    rules:",
    ]
    windows = dict.fromkeys(window for short, long, *_ in PYRRA_PAIRS for window in (short, long))
    for window in windows:
        lines += [
            f"      - record: {metric}:burnrate{window}",
            f"        expr: {error_ratio.replace('RANGE', window)}",
            f"        labels: {{job: web, slo: {name}}}",
        ]
    for short, long, factor, hold, severity in PYRRA_PAIRS:
        seen = [
            f'{metric}:burnrate{window}{{job="web",slo="{name}"}} > ({factor} * (1-{target}))'
            for window in (short, long)
        ]
        lines += [
            "      - alert: ErrorBudgetBurn",
            f"        expr: {' and '.join(seen)}",
            f"        for: {hold}",
            f"        labels: {{job: web, long: {long}, short: {short}, severity: {severity}, slo: {name}}}",
        ]
    return "\n".join(lines) + "\n"


def sloth(service: str, name: str, error_ratio: str, objective: str, budget: str) -> str:
    """sloth's three groups of one objective, with its error budget as the double that Go has of it."""
    labels = f"sloth_id: {service}-{name}, sloth_service: {service}, sloth_slo: {name}"
    mine = f'sloth_id="{service}-{name}", sloth_service="{service}", sloth_slo="{name}"'
    windows = dict.fromkeys(
        window for pairs in SLOTH_PAIRS.values() for short, long, _ in pairs for window in (short, long)
    )
    lines = [f"  - name: sloth-slo-sli-recordings-{service}-{name}", "    rules:"]
    for window in windows:
        lines += [
            f"      - record: slo:sli_error:ratio_rate{window}",
            f"        expr: {error_ratio.replace('RANGE', window)}",
            f"        labels: {{{labels}, sloth_window: {window}}}",
        ]
    lines += [
        "      - record: slo:sli_error:ratio_rate30d",
        f"        expr: sum_over_time(slo:sli_error:ratio_rate5m{{{mine}}}[30d]) / ignoring (sloth_window) "
        f"count_over_time(slo:sli_error:ratio_rate5m{{{mine}}}[30d])",
        f"        labels: {{{labels}, sloth_window: 30d}}",
        f"  - name: sloth-slo-meta-recordings-{service}-{name}",
        "    rules:",
        "      - record: slo:objective:ratio",
        f"        expr: vector({objective})",
        f"        labels: {{{labels}}}",
        f"  - name: sloth-slo-alerts-{service}-{name}",
        "    rules:",
    ]
    for severity, pairs in SLOTH_PAIRS.items():
        lines += ["      - alert: BudgetBurn", "        expr: |"]
        lines += [f"          {line}" for line in _either(pairs, mine, budget)]
        lines.append(f"        labels: {{sloth_severity: {severity}, severity: team-{severity}}}")
    return "\n".join(lines) + "\n"


def _either(pairs: Sequence[tuple[str, str, float]], mine: str, budget: str) -> list[str]:
    lines: list[str] = []
    for short, long, factor in pairs:
        both = [
            f"max(slo:sli_error:ratio_rate{window}{{{mine}}} > ({factor} * {budget})) without (sloth_window)"
            for window in (short, long)
        ]
        lines += ["or", "(", f"  {both[0]}", "  and", f"  {both[1]}", ")"]
    return lines[1:]
