"""A played scenario on a terminal: what was sent, what had to fire, what did."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.terminal import shortened
from harness.report.wording import one_line
from harness.stack.scenarios.result import Episode, JudgedAlert, Judgement, ScenarioResult
from harness.units import format_duration

HEADER = ("alert", "labels", "meant", "fired", "ended", "judgement")
_MOST_EPISODES = 4


def scenario_report(result: ScenarioResult, out: Console) -> None:
    """Print the table of alerts, what the traffic was, and a line of conclusion."""
    scenario = result.scenario
    took_s = scenario.lasts_ms / 1000 / result.factor
    pace = f"{format_duration(scenario.lasts_ms)} at {result.factor}x ({took_s:.0f} s)" if result.factor > 1 else ""
    out.print(Text.assemble((shortened(one_line(scenario.name)), "bold"), f"  {one_line(scenario.means)}"))
    out.print(Text(f"{pace or format_duration(scenario.lasts_ms)}, {traffic_in_words(result)}", style="dim"))
    out.print()
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in HEADER:
        table.add_column(name, overflow="fold")
    for judged in result.judged:
        cells = [Text(shortened(one_line(cell))) for cell in row(judged)]
        cells[-1].stylize(tone(judged.judgement))
        table.add_row(*cells)
    if result.judged:
        out.print(table)
        out.print()
    for note in notes(result):
        out.print(Text(f"note: {note}", style="dim"))
    out.print(Text(conclusion(result), style="bold green" if result.passed else "bold red"))


def tone(judgement: Judgement) -> str:
    """A colour of rich."""
    return "yellow" if judgement is Judgement.TOLERATED else "green" if judgement.ok else "red"


def row(judged: JudgedAlert) -> tuple[str, ...]:
    """The cells under :data:`HEADER`; times are the scenario's."""
    told = judged.episodes[:_MOST_EPISODES]
    more = ", …" if len(judged.episodes) > len(told) else ""
    return (
        judged.alert,
        labels_in_words(judged.labels),
        meant_in_words(judged),
        ", ".join(moment(episode.firing_ms or 0) for episode in told) + more or "–",
        ", ".join(ended_in_words(episode) for episode in told) + more or "–",
        judged.judgement.value,
    )


def ended_in_words(episode: Episode) -> str:
    return "still firing" if episode.ended_ms is None else moment(episode.ended_ms)


def moment(at_ms: int) -> str:
    """A moment of the scenario to the second: ``13m30s``. Ticks do not fall on whole ones."""
    return format_duration(round(at_ms / 1000) * 1000)


def labels_in_words(labels: Mapping[str, str]) -> str:
    """Without severity and team, which say nothing on who fired."""
    return ", ".join(f"{name}={value}" for name, value in labels.items() if name not in ("severity", "team"))


def meant_in_words(judged: JudgedAlert) -> str:
    """``fires 12m to 15m, quiet from 25m``."""
    expected = judged.expected
    if expected is None:
        return judged.because or "quiet"
    said = f"fires {format_duration(expected.fires_from_ms)} to {format_duration(expected.fires_to_ms)}"
    return f"{said}, quiet from {format_duration(expected.resolved_to_ms)}" if expected.resolved_to_ms else said


def traffic_in_words(result: ScenarioResult) -> str:
    """``1,733 requests answered, 12 of them with a server error``."""
    tally = result.tally
    said = f"{tally.total:,d} requests answered, {tally.failed:,d} of them with a server error"
    if tally.unanswered:
        said += f", {tally.unanswered:,d} not at all"
    return said


def notes(result: ScenarioResult) -> list[str]:
    """What one should know before one trusts the run."""
    tally, said = result.tally, []
    if result.miscounted:
        said.append(f"the service counted {result.counted:,d} requests, but {tally.total:,d} were answered")
    elif result.counted is not None:
        said.append(f"the service counted {result.counted:,d} requests, exactly those that were answered")
    said += [f"at {each.factor}x the machine was too busy: {each.reason}; played again" for each in result.attempts]
    if result.busy:
        said.append(f"the machine was busy: {result.busy}; with a smaller --compress it has more time")
    if tally.not_sent:
        said.append(f"{tally.not_sent:,d} requests were not sent, for as many were in flight as are allowed")
    return said


def conclusion(result: ScenarioResult) -> str:
    """One line, with the reason of a no."""
    wrong = [judged for judged in result.judged if not judged.judgement.ok]
    if wrong:
        first = wrong[0]
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return f"NO: {one_line(first.alert)} {first.judgement.value}{more}."
    if result.miscounted:
        return "NO: the service's counters do not tell the truth."
    expected = sum(judged.expected is not None for judged in result.judged)
    others = "what else fired is tolerated" if len(result.judged) > expected else "nothing else did"
    if not expected:
        return f"YES: no alert had to fire, and {others}."
    return f"YES: {'the alert' if expected == 1 else f'all {expected} alerts'} fired as expected, and {others}."
