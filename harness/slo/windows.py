"""Which windows and burn rates alerts use: numbers from the literature, kept as data beside their source.

A catalogue speaks of one period. For every other period its windows scale with the period, and its factors stay, so a
pair goes on to mean the same burn rate and the same share of the budget. Windows shorter than two minutes hold too few
samples for a rate: of short periods all windows stay longer than they should, in proportion, and the pairs stand for a
larger share. Those that would fire only after the whole budget is gone are left out, and that is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from importlib import resources

from harness.errors import InputError, Notice
from harness.slo import closedform
from harness.slo.model import DAY_MS, SEVERITIES, BurnPair, Objective
from harness.slo.values import truth
from harness.source import Fields, SourceFile, load_yaml, number
from harness.units import format_duration, format_number

DEFAULT = "workbook"
_MINUTE_MS = 60_000
DEFAULT_PERIOD_MS = 30 * DAY_MS
"""The workbook's period; also that of sloth's files, which name none (`--default-slo-period`)."""
_BASE_MS = 5 * _MINUTE_MS
_SHORTEST_MS = 2 * _MINUTE_MS
"""A rate needs two samples in its window, so one minute is not enough; pyrra itself goes down to `burnrate0s`."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Window pairs for one period, with the source of the numbers."""

    name: str
    source: str
    period_ms: int
    pairs: tuple[BurnPair, ...]
    scales: bool = False
    """Whether other periods are made of it."""


def catalogues() -> Mapping[str, tuple[Catalogue, ...]]:
    """All built-in catalogues by the name under which `--windows` knows them."""
    found: dict[str, tuple[Catalogue, ...]] = {}
    for catalogue in _all():
        found[catalogue.name] = (*found.get(catalogue.name, ()), catalogue)
    return found


def usual_windows() -> tuple[Catalogue, ...]:
    """The workbook's."""
    return catalogues()[DEFAULT]


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
    else:
        factor = closedform.factor_of(number(fields.text("budget"), "`budget`"), period_ms, long_ms)
    return BurnPair(
        severity=fields.text("severity").value,
        long_ms=long_ms,
        short_ms=fields.duration_ms("short"),
        factor=factor,
        hold_ms=fields.duration_ms("for", 0),
    )


@dataclass(frozen=True, slots=True)
class ChosenPairs:
    """The pairs that an objective alerts on, and what is to be said of those that were left out."""

    pairs: tuple[BurnPair, ...]
    notices: tuple[Notice, ...] = field(default=(), compare=False)


def pairs_of(
    objective: Objective, windows: Sequence[Catalogue] = (), *, unreachable: bool = False
) -> tuple[BurnPair, ...]:
    """The pairs that an objective alerts on: its own policy's, else those of a catalogue (by default the workbook's).

    Disabled severities are left out, and so are pairs that can never fire (unless `unreachable` ones are wanted), as
    long as another is left. Raises InputError where none is, for a period that is too short for the catalogue, and for
    windows in the wrong order.
    """
    return choose(objective, windows, unreachable=unreachable).pairs


def choose(objective: Objective, windows: Sequence[Catalogue] = (), *, unreachable: bool = False) -> ChosenPairs:
    """As :func:`pairs_of`, with what was left out and why."""
    own = objective.alerting.pairs
    severities = objective.alerting.severities
    if own is None and all(name in severities and severities[name].disabled for name in SEVERITIES):
        return ChosenPairs(())
    offered, notices = (own, []) if own is not None else _of_period(objective, windows or usual_windows())
    wanted: list[BurnPair] = []
    for pair in offered:
        settings = severities.get(pair.severity)
        if settings is not None and settings.disabled:
            continue
        if settings is not None and settings.hold_ms is not None:
            pair = replace(pair, hold_ms=settings.hold_ms)
        _check(pair, objective)
        wanted.append(pair)
    notices = [(pair, notice) for pair, notice in notices if not _is_disabled(objective, pair)]
    dead = [] if unreachable else [pair for pair in wanted if not closedform.can_fire(pair, objective.target)]
    found = [pair for pair in wanted if pair not in dead]
    if dead and not found:
        never = _never(dead[0], objective)
        raise InputError(
            never.message,
            span=never.span,
            hint=f"a {format_number(objective.target * 100)} % objective burns at most "
            f"{format_number(1 / objective.budget)} × its budget: give it an alert policy of its own with thresholds "
            "below that, or disable this severity's alerts",
        )
    if notices and not found:
        raise InputError(notices[0][1].message, span=notices[0][1].span, hint=notices[0][1].hint)
    told = [replace(notice, message=f"left out: {notice.message}") for _, notice in notices]
    for pair in dead:
        never, left = _never(pair, objective), [one.label for one in found if one.severity == pair.severity]
        rest = f"alerts of this severity go on {', '.join(left)}" if left else "no alert of this severity is left"
        told.append(replace(never, message=f"left out: {never.message}; {rest}"))
    return ChosenPairs(tuple(found), tuple(told))


def _is_disabled(objective: Objective, pair: BurnPair) -> bool:
    settings = objective.alerting.severities.get(pair.severity)
    return settings is not None and settings.disabled


def recorded_windows_ms(objective: Objective, windows: Sequence[Catalogue] = ()) -> tuple[int, ...]:
    """The windows over which error ratios are recorded, ascending; the first is at most 5 minutes.

    Those of disabled severities too, for dashboards show them.
    """
    own = objective.alerting.pairs
    if own is None:
        enabled = pairs_of(objective, windows)
        own = _of_period(objective, windows or usual_windows())[0] if enabled else _usual_pairs()
    found = {ms for pair in own for ms in pair.windows_ms}
    return tuple(sorted(found | ({_BASE_MS} if min(found, default=_BASE_MS + 1) > _BASE_MS else set())))


def _usual_pairs() -> tuple[BurnPair, ...]:
    """The windows that dashboards know, for an objective without alerts, whatever its period."""
    return next(c for c in usual_windows() if c.period_ms == DEFAULT_PERIOD_MS).pairs


def _of_period(
    objective: Objective, windows: Sequence[Catalogue]
) -> tuple[tuple[BurnPair, ...], list[tuple[BurnPair, Notice]]]:
    """The catalogue's pairs for the objective's period, and those of them that the period is too short for."""
    period_ms = objective.period.nominal_ms
    for catalogue in windows:
        if catalogue.period_ms == period_ms:
            return catalogue.pairs, []
    catalogue = min(
        (c for c in windows if c.scales),
        key=lambda c: max(Fraction(c.period_ms, period_ms), Fraction(period_ms, c.period_ms)),
    )
    shortest = min(ms for pair in catalogue.pairs for ms in pair.windows_ms)
    by = max(Fraction(period_ms, catalogue.period_ms), min(Fraction(1), Fraction(_SHORTEST_MS, shortest)))
    found, left_out = [], []
    for pair in catalogue.pairs:
        scaled = replace(
            pair,
            long_ms=_scaled(pair.long_ms, by),
            short_ms=None if pair.short_ms is None else _scaled(pair.short_ms, by),
            hold_ms=_scaled(pair.hold_ms, by),
        )
        share = closedform.budget_fraction(scaled, period_ms)
        if share < 1 and scaled.long_ms < period_ms:
            found.append(scaled)
            continue
        label = objective.period.label
        left_out.append(
            (
                scaled,
                Notice(
                    f"the {pair.severity} alert {scaled.label} × {format_number(pair.factor)} of `{objective.name}` "
                    f"would fire only after {format_number(round(share * 100))} % of the budget of {label} is spent",
                    objective.span,
                    f"{label} are too short for these windows: choose a longer period, or give --windows FILE or the "
                    "document an alert policy of its own with shorter windows",
                ),
            )
        )
    return tuple(found), left_out


def _scaled(ms: int, by: Fraction) -> int:
    """To the nearest minute, halves away from zero, as Go's Duration.Round does for pyrra."""
    return int(ms * by / _MINUTE_MS + Fraction(1, 2)) * _MINUTE_MS


def _check(pair: BurnPair, objective: Objective) -> None:
    span = pair.span or objective.target_span or objective.span
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


def _never(pair: BurnPair, objective: Objective) -> Notice:
    threshold = format_number(pair.threshold(objective.target))
    target = format_number(objective.target * 100)
    return Notice(
        f"the {pair.severity} alert {pair.label} can never fire: {format_number(pair.factor)} × (100 % − {target} %) "
        f"is an error ratio of {threshold}, and no ratio is above 1",
        pair.span or objective.target_span or objective.span,
    )
