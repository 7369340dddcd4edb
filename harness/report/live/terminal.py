"""A live run on a terminal: what goes on while it runs, then one row per alert and what is wrong with whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.live.model import LiveReport, LiveResult, LiveVerdict
from harness.live.run import Progress
from harness.report.terminal import STYLES, narrating, shortened
from harness.report.wording import one_line
from harness.units import count_of, format_duration

HEADER = ("alert", "quiet at", "fires at", "pending", "hold", "of", "delivered to", "resolved", "verdict")
_NUMBERS = ("quiet at", "fires at", "pending", "hold", "of")


@contextmanager
def live_progress(*, aloud: bool = True) -> Iterator[Progress]:
    """Told on standard error: phases, and which alerts are pending and firing now; `aloud` as in `narrating`."""
    with narrating("live", aloud=aloud) as tell:
        states: dict[str, str] = {}
        phase = ""

        def change(what: str) -> None:
            nonlocal phase
            phase = what
            tell(what)

        def state(alert: str, now: str) -> None:
            if states.get(alert) != now:
                states[alert] = now
                counts = {kind: sum(each == kind for each in states.values()) for kind in ("pending", "firing")}
                tell(f"{phase}: {alert} is {now} ({counts['pending']} pending, {counts['firing']} have fired)")

        yield Progress(change, state)


def live_table(report: LiveReport, out: Console) -> None:
    """One row per alert."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in HEADER:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
    for result in report.results:
        cells = [Text(shortened(one_line(cell))) for cell in row(result, report)]
        cells[-1].stylize(STYLES[tone_of_live(result)])
        table.add_row(*cells)
    out.print(table)


def live_warnings(report: LiveReport, out: Console) -> None:
    """What of the Alertmanager file does nothing, a line each."""
    if report.warnings:
        out.print()
    for idle in report.warnings:
        out.print(Text(f"warning: {one_line(str(idle))}", style="yellow"))


def row(result: LiveResult, report: LiveReport) -> list[str]:
    """The cells of one alert; durations are the world's."""

    def after(at_ms: int | None, since_ms: int | None) -> str:
        if at_ms is None or since_ms is None:
            return "-"
        return format_duration((at_ms - since_ms) * report.factor)

    hold = result.hold_ticks
    told = result.delivered.receiver if result.delivered else "-"
    if result.inhibited_by:
        told += f", silenced by {', '.join(result.inhibited_by)}"
    return [
        result.alert,
        "-" if result.quiet_at is None else result.contract.at(result.quiet_at),
        "-" if result.fires_at is None else result.contract.at(result.fires_at),
        after(result.pending_ms, result.moved_ms),
        "-" if hold is None else format_duration(hold * result.interval_ms),
        format_duration(result.contract.hold_ms),
        told,
        "told" if result.resolved else "-",
        verdict(result),
    ]


def verdict(result: LiveResult) -> str:
    """The verdict in words; of an alert that is set aside also that it is."""
    said = result.verdict.value.replace("_", " ")
    return f"{said} (allowed)" if result.contract.allowed is not None and not result.exact else said


def tone_of_live(result: LiveResult) -> str:
    """``good``, ``warn`` (set aside, or a draft) or ``bad``."""
    if result.exact:
        return "good"
    return "warn" if result.good or result.contract.draft else "bad"


def live_counts(report: LiveReport) -> str:
    """What is not exact and need not be, or not yet: ``, 2 drafts, 1 set aside``; empty where there is none."""
    drafts = sum(result.contract.draft for result in report.results)
    aside = report.set_aside + sum(result.contract.allowed is not None for result in report.results)
    return (f", {count_of(drafts, 'draft')}" if drafts else "") + (f", {aside} set aside" if aside else "")


def live_summary(report: LiveReport, out: Console) -> None:
    """One line on the whole run, one for each run that was not believed."""
    exact = sum(result.exact for result in report.results)
    for each in report.attempts:
        out.print(Text(f"repeated: {each.factor} times as fast was too busy: {each.reason}", style="yellow"))
    busy = any(result.verdict is LiveVerdict.TOO_BUSY for result in report.results)
    what = "the machine was too busy" if busy else f"{exact} of {len(report.results)} exact{live_counts(report)}"
    out.print(
        Text(
            f"{what}, {report.factor} times as fast as the world, in {report.total_s:.0f} s "
            f"(Prometheus {report.prometheus} as {report.engine}, Alertmanager {report.alertmanager}, "
            f"routes: {report.configuration})",
            style="bold",
        )
    )
