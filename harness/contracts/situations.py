"""The situations of a contract: worlds, written out, in which its alert must fire or stay quiet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from harness.contracts.knob import knob_position, read_given
from harness.contracts.model import Knob, SeriesSpec, Signal, Situation, TimeRange
from harness.contracts.signal import read_series
from harness.errors import InputError
from harness.source import Fields, duration_ms

SITUATION_FIELDS = (
    "name", "expect", "alerts", "given", "knob", "signal", "also", "lasts", "scrape_interval", "failed_scrapes", "gap",
    "restarts",
)  # fmt: skip
DEFAULT_LASTS_MS = 1_800_000


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a situation takes from its contract where it says nothing itself."""

    given: Mapping[str, Fraction]
    series: Callable[[Mapping[str, Fraction]], tuple[SeriesSpec, ...]]
    """The contract's own series, with these constants."""
    knob: Knob
    quiet_at: Fraction
    """The position of the knob at which the alert is quiet."""
    identifies: Mapping[str, str] | None
    scrape_ms: int


def read_situations(fields: Fields, inherited: Inherited) -> tuple[Situation, ...]:
    """The situations of a contract, none if it has none; raises InputError where two have one name."""
    situations: list[Situation] = []
    for item in fields.items("situations", "a situation") if "situations" in fields else []:
        situation = _situation(item.fields(), inherited)
        if any(other.name == situation.name for other in situations):
            raise InputError(f"two situations are named `{situation.name}`", span=situation.span, hint="rename one")
        situations.append(situation)
    return tuple(situations)


def _situation(fields: Fields, inherited: Inherited) -> Situation:
    name = fields.text("name")
    fields.what = f"situation `{name.value}`"
    fields.only(*SITUATION_FIELDS)
    given = read_given(fields, inherited.given)
    series = read_series(fields.items("signal", "a series"), given) if "signal" in fields else inherited.series(given)
    if "also" in fields:
        series += read_series(fields.items("also", "a series"), given)
    expect = fields.text("expect")
    if expect.value not in ("quiet", "fires"):
        raise InputError(
            f"`expect` must be quiet or fires, found `{expect.value}`", span=expect.span, hint="write one of the two"
        )
    alerts: tuple[Mapping[str, str], ...] | None = ()
    if expect.value == "fires":
        alerts = (inherited.identifies,) if inherited.identifies is not None else None
        if "alerts" in fields:
            alerts = tuple(
                {n: t.value for n, t in item.fields().texts().items()} for item in fields.items("alerts", "an alert")
            )
            if not alerts:
                raise InputError("`alerts` is empty", span=fields.key_span("alerts"), hint="or write expect: quiet")
    elif "alerts" in fields:
        raise InputError(
            "`alerts` goes with expect: fires", span=fields.key_span("alerts"), hint="remove it, or write expect: fires"
        )
    return Situation(
        name=name.value,
        span=name.span,
        alerts=alerts,
        signal=Signal(given, series),
        knob=_knob_timeline(fields, inherited, given),
        lasts_ms=fields.duration_ms("lasts", DEFAULT_LASTS_MS, least_ms=1000),
        scrape_ms=fields.duration_ms("scrape_interval", inherited.scrape_ms, least_ms=1000),
        failed_scrapes=_time_range(fields, "failed_scrapes"),
        gap=_time_range(fields, "gap"),
        restarts_ms=tuple(
            duration_ms(item.text(), "`restarts`") for item in fields.items("restarts", "a time")
        ) if "restarts" in fields else (),
    )  # fmt: skip


def _knob_timeline(
    fields: Fields, inherited: Inherited, given: Mapping[str, Fraction]
) -> tuple[tuple[int, Fraction], ...]:
    if "knob" not in fields:
        return ((0, inherited.quiet_at),)
    item = fields.item("knob", "`knob`")
    if not item.is_mapping:
        return ((0, knob_position(item.text(), inherited.knob, given)),)
    steps = [
        (duration_ms(at, "a time of `knob`"), knob_position(value.text(), inherited.knob, given))
        for at, value in item.fields().each()
    ]
    if not steps or steps[0][0] != 0 or [at for at, _ in steps] != sorted({at for at, _ in steps}):
        raise InputError(
            "the times of `knob` must begin at 0s and rise", span=item.span, hint="write knob: {0s: 10, 10m: 90}"
        )
    return tuple(steps)


def _time_range(fields: Fields, name: str) -> TimeRange | None:
    if name not in fields:
        return None
    inner = fields.fields(name, f"`{name}`")
    inner.only("from", "to")
    start, end = inner.duration_ms("from"), inner.duration_ms("to")
    if start >= end:
        raise InputError(f"`{name}` must end after it begins", span=inner.span, hint="write {from: 12m, to: 16m}")
    return TimeRange(start, end)
