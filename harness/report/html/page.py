"""A run as one self-contained HTML page: no script, nothing fetched, every label escaped."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jinja2 import Template

from harness.contracts import Contract, ContractKind
from harness.errors import printable
from harness.proof.model import AlertResult, Sides, Verdict
from harness.report.html.template import cut, page_template, shown
from harness.report.outcome import Outcome
from harness.report.proof.charts import FRAME, LANE_HEIGHT, LANES, Timeline, counters_of, response_curve, timeline
from harness.report.suites.html import suites_view, untested
from harness.report.wording import (
    confirmed_cell,
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
from harness.units import count_of, format_duration, format_number

_LONGEST_TEXT = 4000
"""Characters of a text of many lines that are shown: an expression, a promtool test."""
_TEXT_OF_PAGE = 180_000
"""Characters of promtool tests on a page, shared among its alerts: a page of a hundred stays under a megabyte."""
_MOST_REASONS = 12
_CHARTED = ("fires, then recovers", "one tick too short: never fires", "one gap starts the wait again")


def page_html(outcome: Outcome, title: str = "") -> str:
    """The whole page of a run."""
    proof, untested_rules = outcome.proof, untested(outcome, shown)
    results = proof.results if proof is not None else ()
    footer = [summary(results, proof.engine, proof.version)] if proof is not None else []
    if outcome.suites is not None:
        footer.append(f"Unit tests by promtool {one_line(outcome.suites.promtool)}.")
    return _template().render(
        title=title or _title(outcome),
        good=outcome.good,
        answer=_answer(outcome),
        explanation=_explanation(outcome),
        tiles=_tiles(outcome),
        problems=[shown(problem) for problem in outcome.problems],
        alerts=[_alert(number, result, len(results)) for number, result in enumerate(results, 1)],
        charted=any(result.measured.curve or result.measured.cases for result in results),
        **_other_views(outcome),
        suites=suites_view(outcome.suites, shown) if outcome.suites is not None else None,
        untested=untested_rules,
        parts=_parts(outcome, bool(untested_rules)),
        frame=FRAME,
        lane_names=LANES,
        lane_height=LANE_HEIGHT,
        footer=" ".join([*footer, "Written by alert-harness."]),
    )


def _other_views(outcome: Outcome) -> dict[str, Any]:
    """What came of the real thing, where it was run; its modules are many, and a proof needs none of them."""
    live = scenario = objectives = None
    if outcome.live is not None:
        from harness.report.live.html import live_view

        live = live_view(outcome.live, shown)
    if outcome.scenario is not None:
        from harness.report.scenario.html import scenario_view

        scenario = scenario_view(outcome.scenario, shown)
    if outcome.objectives is not None:
        from harness.report.slo.summary import objectives_view

        objectives = objectives_view(outcome.objectives, shown)
    return {"live": live, "scenario": scenario, "objectives": objectives}


@lru_cache(maxsize=1)
def _template() -> Template:
    return page_template("html/page.html.j2")


def _lines(text: str, most: int = _LONGEST_TEXT) -> str:
    """Text of many lines, harmless and not too long."""
    return cut(printable(text), min(most, _LONGEST_TEXT))


def _answer(outcome: Outcome) -> str:
    proof, suites = outcome.proof, outcome.suites
    if outcome.good:
        if proof is not None:
            aside = len(proof.results) - proof.exact
            if aside:
                fire = "alert fires" if proof.exact == 1 else "alerts fire"
                return f"Yes: {proof.exact} {fire} exactly as meant, {aside} {_be(aside)} set aside."
            return "Yes: every alert fires exactly as meant."
        if outcome.live is not None:
            return "Yes: every alert fires on its tick and reaches its receiver."
        if outcome.scenario is not None:
            return "Yes: what fired is what had to."
        return "Yes: every unit test passes, and none of them is empty."
    said = []
    if proof is not None and not proof.complete:
        said.append("the run was interrupted")
    if proof is not None and not proof.results:
        said.append("nothing was proved")
    elif proof is not None and not proof.good:
        if proof.drafts:
            said.append(f"not yet: {count_of(proof.drafts, 'draft')} that nobody has confirmed")
        wrong = sum(not result.accepted for result in proof.results) - proof.drafts
        if wrong:
            said.append(f"{wrong} of {count_of(len(proof.results), 'alert')} {_be(wrong)} not as meant")
    if suites is not None and not suites.passed:
        wrong = sum(file.status.value != "passed" for file in suites.files)
        said.append(
            f"{wrong} of {count_of(len(suites.files), 'test file')} {'does' if wrong == 1 else 'do'} not pass"
            if wrong
            else "the unit tests leave something unsaid"
        )
    if outcome.live is not None and not outcome.live.exact:
        drafts = sum(result.contract.draft for result in outcome.live.results)
        wrong = sum(not result.good and not result.contract.draft for result in outcome.live.results)
        if drafts and proof is None:
            said.append(f"not yet: {count_of(drafts, 'draft')} that nobody has confirmed")
        if not outcome.live.results:
            said.append("nothing was run live")
        if wrong:
            said.append(f"{count_of(wrong, 'alert')} {_be(wrong)} not delivered as meant")
    if outcome.scenario is not None and not outcome.scenario.passed:
        said.append("the scenario did not end as expected")
    if outcome.problems:
        said.append("there are objections (below)")
    return f"No: {', and '.join(said)}."


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _parts(outcome: Outcome, untested_rules: bool) -> list[tuple[str, str]]:
    """(anchor, name) of the sections behind the alerts."""
    there = (
        ("live", "Live, from the metric to the receiver", outcome.live is not None),
        ("scenario", "Scenario", outcome.scenario is not None),
        ("objectives", "Objectives", outcome.objectives is not None),
        ("tests", "Unit tests", outcome.suites is not None),
        ("untested", "What is untested", untested_rules),
    )
    return [(anchor, name) for anchor, name, present in there if present]


def _title(outcome: Outcome) -> str:
    if outcome.proof is not None:
        return "Alert rules, proved"
    if outcome.live is not None:
        return "Alert rules, live"
    return "Alert rules, tested" if outcome.scenario is None else "Alert rules, under load"


def _explanation(outcome: Outcome) -> str:
    if outcome.proof is None and outcome.live is not None:
        return (
            "Each alert travelled from a scraped metric through Prometheus' own rule manager and Alertmanager to a "
            "receiver, on a clock that runs faster than the world's."
        )
    if outcome.proof is None and outcome.scenario is not None:
        return (
            "Real traffic, real faults, and what Prometheus' own rule manager made of them, compared with what the "
            "scenario says must fire and must not."
        )
    if outcome.proof is None:
        return "promtool ran each unit test; then every way in which its success can be empty was looked for."
    return (
        "Each alert was measured on a real Prometheus against its contract: what it is meant to do, written down apart "
        "from the rule. Exact means: to the adjacent value of what it watches, and to the single evaluation."
    )


def _tiles(outcome: Outcome) -> list[tuple[str, str, str]]:
    """(number, what it counts, tone) of the summary that anybody understands."""
    tiles = []
    if outcome.proof is not None:
        results = outcome.proof.results
        situations = [s for result in results for s in result.situations]
        passed = sum(s.ok for s in situations)
        aside = outcome.proof.good and outcome.proof.exact < len(results)
        tiles.append((f"{outcome.proof.exact} of {len(results)}", "alerts fire exactly as meant",
                      "" if aside else _tone(outcome.proof.exact, len(results))))  # fmt: skip
        if situations:
            tiles.append((f"{passed} of {len(situations)}", "situations end as meant", _tone(passed, len(situations))))
        confirmed = sum(result.confirmed is True for result in results)
        tiles.append((f"{confirmed} of {len(results)}", "confirmed by promtool",
                      "" if aside else _tone(confirmed, len(results))))  # fmt: skip
    if outcome.live is not None:
        exact = sum(result.exact for result in outcome.live.results)
        of = len(outcome.live.results)
        tiles.append((f"{exact} of {of}", "delivered on their tick and resolved", _tone(exact, of)))
    if outcome.suites is not None:
        assertions = [result for file in outcome.suites.files for result in file.results]
        passed = sum(result.status.value == "passed" for result in assertions)
        tiles.append(
            (f"{passed} of {len(assertions)}", "assertions of unit tests hold", _tone(passed, len(assertions)))
        )
        empty = sum(file.false_green for file in outcome.suites.files)
        if empty:
            tiles.append((str(empty), "test files of which promtool says SUCCESS wrongly", "bad"))
        rules = outcome.suites.coverage
        tested = sum(rule.asserted for rule in rules)
        tiles.append((f"{tested} of {len(rules)}", "rules have a unit test", "" if tested < len(rules) else "good"))
    return tiles


def _tone(number: int, of: int) -> str:
    return "good" if number == of and of else "bad"


# -- one alert ---------------------------------------------------------------------------------------------------------


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
        "tone": _tone_of(result),
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


def _tone_of(result: AlertResult) -> str:
    if result.exact:
        return "good"
    return "warn" if result.accepted or result.verdict in (Verdict.UNEXPECTED, Verdict.DRAFT) else "bad"


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
