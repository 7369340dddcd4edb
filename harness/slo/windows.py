"""Which windows and burn rates alerts use: numbers from the literature, kept as data beside their source.

A catalogue speaks of one period; one that `scales` gives windows for every other period too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from importlib import resources

from harness.errors import InputError
from harness.slo.alerting import SEVERITIES
from harness.slo.model import DAY_MS, BurnPair, Objective
from harness.slo.values import truth
from harness.source import Fields, SourceFile, load_yaml, number
from harness.units import format_duration, format_number

DEFAULT = "workbook"
_MINUTE_MS = 60_000
DEFAULT_PERIOD_MS = 30 * DAY_MS
"""The workbook's period; also that of sloth's files, which name none (`--default-slo-period`)."""
_BASE_MS = 5 * _MINUTE_MS


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Window pairs for one period, with the source of the numbers."""

    name: str
    source: str
    period_ms: int
    pairs: tuple[BurnPair, ...]
    scales: bool = False


def catalogues() -> Mapping[str, tuple[Catalogue, ...]]:
    """All catalogues by the name under which `--windows` knows them."""
    found: dict[str, tuple[Catalogue, ...]] = {}
    for catalogue in _all():
        found[catalogue.name] = (*found.get(catalogue.name, ()), catalogue)
    return found


@cache
def _all() -> tuple[Catalogue, ...]:
    folder = resources.files("harness.slo") / "catalogues"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yml")), key=lambda file: file.name)
    return tuple(_read(SourceFile.of_text(file.name, file.read_text(encoding="utf-8"))) for file in files)


def _read(source: SourceFile) -> Catalogue:
    fields = Fields(load_yaml(source)[0], source, "a window catalogue")
    fields.only("source", "catalogue", "period", "scales", "pairs")
    period_ms = fields.duration_ms("period")
    return Catalogue(
        name=fields.text("catalogue").value,
        source=fields.text("source").value,
        period_ms=period_ms,
        pairs=tuple(_pair(item.fields(), period_ms) for item in fields.items("pairs", "a window pair")),
        scales=truth(fields, "scales", default=False),
    )


def _pair(fields: Fields, period_ms: int) -> BurnPair:
    fields.only("severity", "long", "short", "budget", "factor", "for")
    long_ms = fields.duration_ms("long")
    if "factor" in fields:
        factor = number(fields.text("factor"), "`factor`")
    else:  # b = budget fraction × period / long window (SRE Workbook, chapter 5)
        factor = number(fields.text("budget"), "`budget`") * period_ms / long_ms
    return BurnPair(
        severity=fields.text("severity").value,
        long_ms=long_ms,
        short_ms=fields.duration_ms("short"),
        factor=factor,
        hold_ms=fields.duration_ms("for", 0),
    )


def pairs_of(objective: Objective, windows: str = DEFAULT, *, unreachable: bool = False) -> tuple[BurnPair, ...]:
    """The pairs that an objective alerts on: its own policy's, else those of the catalogue `windows`.

    Disabled severities are left out. Raises InputError for a period without catalogue, for a pair that can never fire
    (unless `unreachable` ones are wanted), and for windows in the wrong order.
    """
    own = objective.alerting.pairs
    severities = objective.alerting.severities
    if own is None and all(name in severities and severities[name].disabled for name in SEVERITIES.values()):
        return ()
    chosen = []
    for pair in own if own is not None else _of_period(objective, windows):
        settings = severities.get(pair.severity)
        if settings is not None and settings.disabled:
            continue
        if settings is not None and settings.hold_ms is not None:
            pair = replace(pair, hold_ms=settings.hold_ms)
        _check(pair, objective, unreachable=unreachable)
        chosen.append(pair)
    return tuple(chosen)


def recorded_windows_ms(objective: Objective, windows: str = DEFAULT) -> tuple[int, ...]:
    """The windows over which error ratios are recorded, ascending; the first is at most 5 minutes.

    Those of disabled severities too, for dashboards show them.
    """
    own = objective.alerting.pairs
    if own is None:
        enabled = pairs_of(objective, windows)
        own = _of_period(objective, windows) if enabled else _usual_pairs()
    found = {ms for pair in own for ms in pair.windows_ms}
    return tuple(sorted(found | ({_BASE_MS} if min(found, default=_BASE_MS + 1) > _BASE_MS else set())))


def _usual_pairs() -> tuple[BurnPair, ...]:
    """The windows that dashboards know, for an objective without alerts, whatever its period."""
    return next(c for c in catalogues()[DEFAULT] if c.period_ms == DEFAULT_PERIOD_MS).pairs


def _of_period(objective: Objective, windows: str) -> tuple[BurnPair, ...]:
    period_ms = objective.period.nominal_ms
    known = catalogues()[windows]
    for catalogue in known:
        if catalogue.period_ms == period_ms:
            return catalogue.pairs
    for catalogue in known:
        if catalogue.scales:
            return tuple(_scaled(pair, period_ms, catalogue, objective) for pair in catalogue.pairs)
    periods = ", ".join(sorted({format_duration(catalogue.period_ms) for catalogue in known}, reverse=True))
    raise InputError(
        f"`{objective.name}` has a period of {objective.period.label}, for which `{windows}` has no windows",
        span=objective.span,
        hint=f"choose a period of {periods}, or --windows pyrra, which scales its windows to any period, or give the "
        "document an alert policy of its own",
    )


def _scaled(pair: BurnPair, period_ms: int, catalogue: Catalogue, objective: Objective) -> BurnPair:
    def scale(ms: int) -> int:
        # Go's Duration.Round: to the nearest minute, halves away from zero.
        return int(Fraction(ms * period_ms, catalogue.period_ms * _MINUTE_MS) + Fraction(1, 2)) * _MINUTE_MS

    scaled = replace(
        pair,
        long_ms=scale(pair.long_ms),
        short_ms=None if pair.short_ms is None else scale(pair.short_ms),
        hold_ms=scale(pair.hold_ms),
    )
    # A rate needs two samples in its window, so minutes are not enough; pyrra itself goes down to `burnrate0s`.
    if min(scaled.windows_ms) < 2 * _MINUTE_MS:
        raise InputError(
            f"`{objective.name}` has a period of {objective.period.label}: scaled to it, the windows {pair.label} "
            f"become {scaled.label}, too short for a rate",
            span=objective.span,
            hint="choose a longer period (`pyrra` needs 9d or more), or an alert policy of its own",
        )
    return scaled


def _check(pair: BurnPair, objective: Objective, *, unreachable: bool) -> None:
    span = pair.span or objective.target_span or objective.span
    factor = format_number(pair.factor)
    target = format_number(objective.target * 100)
    if pair.short_ms is not None and pair.short_ms >= pair.long_ms:
        raise InputError(
            f"the long window of {pair.label} is not longer than the short one",
            span=span,
            hint="the long window says that budget is really spent, the short one that it still is",
        )
    if pair.long_ms > objective.period.nominal_ms:
        raise InputError(
            f"the window {format_duration(pair.long_ms)} is longer than the period {objective.period.label}",
            span=span,
            hint="choose a shorter window",
        )
    threshold = pair.threshold(objective.target)
    if threshold >= 1 and not unreachable:
        most = format_number(1 / objective.budget)
        raise InputError(
            f"the {pair.severity} alert {pair.label} can never fire: {factor} × (100 % − {target} %) is an error ratio "
            f"of {format_number(threshold)}, and no ratio is above 1",
            span=span,
            hint=f"a {target} % objective burns at most {most} × its budget: give it an alert policy of its own with "
            "thresholds below that, or disable this severity's alerts",
        )
