"""The page's part on a proof: each alert with its contract, what was measured, and why it is not as meant."""

from __future__ import annotations

from typing import Any

from harness.contracts import Contract, ContractKind
from harness.errors import printable
from harness.proof.model import AlertResult, Sides
from harness.proof.report import ProofReport
from harness.report.html.template import cut, shown
from harness.report.proof.charts import FRAME, LANE_HEIGHT, LANES, Timeline, counters_of, response_curve, timeline
from harness.report.wording import (
    confirmed_cell,
    contract_cell,
    fires_cell,
    hold_cell,
    off_cell,
    place,
    quiet_cell,
    situations_cell,
    tone_of,
    verdict_cell,
)
from harness.units import count_of, format_duration, format_number

_LONGEST_TEXT = 4000
"""Characters of a text of many lines that are shown: an expression, a promtool test."""
_TEXT_OF_PAGE = 180_000
"""Characters of promtool tests on a page, shared among its alerts: a page of a hundred stays under a megabyte."""
_MOST_REASONS = 12
_CHARTED = ("fires, then recovers", "one tick too short: never fires", "one gap starts the wait again")


def proof_view(report: ProofReport) -> dict[str, Any]:
    """What the template draws."""
    results = report.results
    alerts = [_alert(number, result, len(results)) for number, result in enumerate(results, 1)]
    return {
        "alerts": alerts,
        "aside": [alert for alert, result in zip(alerts, results, strict=True) if result.accepted and not result.exact],
        "charted": any(result.measured.curve or result.measured.cases for result in results),
        "frame": FRAME,
        "lane_names": LANES,
        "lane_height": LANE_HEIGHT,
    }


def _lines(text: str, most: int = _LONGEST_TEXT) -> str:
    """Text of many lines, harmless and not too long."""
    return cut(printable(text), min(most, _LONGEST_TEXT))


def _alert(number: int, result: AlertResult, of: int) -> dict[str, Any]:
    contract, measured = result.contract, result.measured
    timelines = _timelines(result)
    reasons = _reasons(result)
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
        facts.append(("confirmed by promtool", confirmed_cell(result)))
    return {
        "anchor": f"alert-{number}",
        "name": shown(result.alert),
        "verdict": verdict_cell(result),
        "draft": result.is_draft,
        "tone": tone_of(result),
        "contract": contract_cell(result),
        "quiet": quiet_cell(result),
        "fires": fires_cell(result),
        "hold": hold_cell(result),
        "situations_ok": situations_cell(result),
        "place": place(result),
        "means": shown(contract.means) if contract is not None else "",
        "says": shown(_in_words(contract)) if contract is not None else "",
        "expr": _lines(result.located.rule.expr.value.strip()) if result.located is not None else "",
        "knob": shown(contract.knob.name) if contract is not None else "",
        # What was compared and which series matched stand in tables of their own.
        "reasons": [[shown(text) for text in reason] for reason in reasons[:_MOST_REASONS]],
        "more": max(0, len(reasons) - _MOST_REASONS),
        "notes": [shown(note) for note in result.notes],
        "facts": [(name, shown(value)) for name, value in facts],
        "sides": _sides(result) if not result.exact else [],
        "matched": [] if result.exact else [
            (shown(series), _number(value)) for series, value in measured.matched[:8]
        ],
        "curve": response_curve(result),
        "timelines": timelines,
        "input": shown(timelines[0].input_text) if timelines else "",
        "tick": format_duration(result.located.group.interval_ms) if result.located is not None else "",
        "situations": [(shown(s.name), s.expected, s.got, shown(s.reason), s.ok) for s in result.situations],
        "labels": [(shown(name), shown(value)) for name, value in result.labels.items()],
        "annotations": [(shown(name), shown(value)) for name, value in result.annotations.items()],
        "pinned": _lines(result.pinned, _TEXT_OF_PAGE // of),
    }  # fmt: skip


def _reasons(result: AlertResult) -> list[tuple[str, ...]]:
    """Why the alert is not as meant; of situations only how many, for each says its own reason in its row."""
    aside = [] if result.allowed is None or result.exact else [(f"set aside: {result.allowed}",)]
    reasons: list[tuple[str, ...]] = [*aside]
    reasons += [(found.message, *found.parts) for found in result.findings if not found.situation]
    wrong = sum(not s.ok for s in result.situations)
    if wrong:
        reasons.append((f"{count_of(wrong, 'situation')} {'ends' if wrong == 1 else 'end'} otherwise (see below)",))
    return reasons


_WORDS = {">": "above", ">=": "at or above", "<": "below", "<=": "at or below", "==": "at exactly"}


def _in_words(contract: Contract) -> str:
    """``Fires with CPU above 80 % for 5m; severity warning.``"""
    if contract.kind is ContractKind.SET_ASIDE:
        return f"Set aside: {contract.allowed}"
    text = {ContractKind.ALWAYS: "Always fires", ContractKind.ABSENCE: "Fires while its series are gone",
            ContractKind.PRESENCE: "Fires while its series are there"}.get(contract.kind, "")  # fmt: skip
    text = text or f"Fires with {contract.knob.name} {_WORDS[contract.op.value]} {contract.at(contract.threshold)}"
    text += f" for {format_duration(contract.hold_ms)}" if contract.hold_ms else ", at once"
    if contract.keep_firing_ms:
        text += f", and goes on for {format_duration(contract.keep_firing_ms)} after that"
    if contract.severity is not None:
        text += f"; severity {contract.severity or 'none'}"
    if contract.identifies:
        text += f"; names {', '.join(f'{name} {value}' for name, value in contract.identifies.items())}"
    return f"{text}."


def _sides(result: AlertResult) -> list[tuple[str, str, str]]:
    """(comparison, what it compared at the last quiet value, at the first firing one) of the rule."""
    quiet = {sides.text: sides for sides in result.measured.at_quiet}
    return [
        (shown(sides.text), _compared(quiet[sides.text]) if sides.text in quiet else "–", _compared(sides))
        for sides in result.measured.at_fires
    ]


def _compared(sides: Sides) -> str:
    values = [", ".join(_number(v) for v in list(side.values())[:3]) or "nothing" for side in (sides.left, sides.right)]
    return f"{values[0]} {sides.op} {values[1]}"


def _number(value: float) -> str:
    return "NaN" if value != value else format_number(value)


def _timelines(result: AlertResult) -> list[Timeline]:
    if result.located is None:
        return []
    interval, counters = result.located.group.interval_ms, counters_of(result)
    facts = [fact for name in _CHARTED for fact in result.measured.cases if fact.name == name]
    charts = [timeline(fact, fact.tick_ms or interval, counters) for fact in facts]
    return [chart for chart in charts if chart is not None]
