"""The proof as one self-contained HTML page: no script, nothing fetched, every label escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from harness.proof.model import AlertResult, Fact, Verdict
from harness.report.charts import FRAME, LANE_HEIGHT, response_curve, timeline
from harness.report.wording import (
    contract_cell,
    fires_cell,
    hold_cell,
    off_cell,
    one_line,
    place,
    quiet_cell,
    situations_cell,
    summary,
    verdict_cell,
)
from harness.units import format_duration

_LONGEST = 400
"""Characters of a label or annotation that are shown; a value of 10 kB tells a reader no more."""
_CHARTED = ("fires, then recovers", "one tick too short: never fires", "one gap starts the wait again")


def proof_html(results: Sequence[AlertResult], engine: str, version: str, title: str = "Alert rules, proved") -> str:
    """The whole page."""
    exact = sum(result.verdict is Verdict.EXACT for result in results)
    good = bool(results) and exact == len(results)
    if good:
        answer = "Yes: every alert fires exactly as meant."
    else:
        answer = f"No: {len(results) - exact} of {len(results)} alerts are not as meant."
    return _template().render(
        title=title,
        good=good,
        answer=answer,
        explanation="Each alert was measured on a real Prometheus against its contract: what it is meant to do, "
        "written down apart from the rule. Exact means: to the adjacent value of what it watches, and to the single "
        "evaluation.",
        alerts=[_alert(number, result) for number, result in enumerate(results, 1)],
        frame=FRAME,
        lane_height=LANE_HEIGHT,
        footer=f"{summary(results, engine, version)} Written by alert-harness.",
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("harness.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def _shown(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def _alert(number: int, result: AlertResult) -> dict[str, Any]:
    contract, measured = result.contract, result.measured
    facts: list[tuple[str, str]] = []
    if contract is not None and measured.boundary is not None:
        facts = [
            ("contract", contract_cell(result)),
            ("last quiet", quiet_cell(result)),
            ("first firing", fires_cell(result)),
            ("off by", off_cell(result)),
            ("hold", hold_cell(result)),
        ]
        if measured.too_short_ms is not None:
            facts.append(("longest without firing", format_duration(measured.too_short_ms)))
        if measured.resolves_after_ms is not None:
            facts.append(("resolves after", format_duration(measured.resolves_after_ms)))
        facts.append(("promtool", "agrees" if result.confirmed else "did not confirm"))
    return {
        "anchor": f"alert-{number}",
        "name": _shown(result.alert),
        "verdict": verdict_cell(result),
        "tone": "good" if result.exact else "warn" if result.verdict is Verdict.UNEXPECTED else "bad",
        "contract": contract_cell(result),
        "quiet": quiet_cell(result),
        "fires": fires_cell(result),
        "hold": hold_cell(result),
        "situations_ok": situations_cell(result),
        "place": place(result),
        "means": _shown(contract.means) if contract is not None else "",
        "knob": _shown(contract.knob.name) if contract is not None else "",
        "reasons": [[_shown(part) for part in reason.split("; ")] for reason in result.reasons],
        "notes": [_shown(note) for note in result.notes],
        "facts": facts,
        "curve": response_curve(result),
        "timelines": _timelines(result),
        "tick": format_duration(result.located.group.interval_ms) if result.located is not None else "",
        "situations": result.situations,
        "labels": [(_shown(name), _shown(value)) for name, value in result.labels.items()],
        "annotations": [(_shown(name), _shown(value)) for name, value in result.annotations.items()],
        "pinned": result.pinned,
    }


def _timelines(result: AlertResult) -> list[Any]:
    if result.located is None:
        return []
    facts: list[Fact] = [fact for name in _CHARTED for fact in result.measured.facts if fact.name == name]
    charts = [timeline(fact, result.located.group.interval_ms) for fact in facts]
    return [chart for chart in charts if chart is not None]
