"""The HTML page as a browser, a keyboard and a screen reader meet it; needs Chromium, node and npm."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import load_contracts
from harness.errors import Span
from harness.live.model import BusyRun, Delivery, LiveReport, LiveResult, LiveVerdict
from harness.proof.model import AlertFinding, AlertResult, SituationResult, Verdict
from harness.proof.report import ProofReport
from harness.report.html.page import page_html
from harness.report.section import Finding, FindingSeverity, Section, section_of
from harness.report.steps.section import StepReport
from harness.stack.scenarios.judge import judge
from harness.stack.scenarios.load import RequestTally
from harness.stack.scenarios.result import Episode, ScenarioResult
from harness.stack.scenarios.scenario import load_scenario
from tests.browser import HOSTILE, views_of
from tests.report.report_run import Run

ROOT = Path(__file__).resolve().parents[2]


def hostile(outcome: Run) -> list[Section]:
    """Every text of a result replaced by something that means harm."""
    results: list[AlertResult] = []
    for text in HOSTILE:
        old = next(r for r in outcome.proof.results if r.contract is not None and r.measured.cases)
        assert old.contract is not None
        knob = replace(old.contract.knob, name=text, unit=text[:30])
        contract = replace(old.contract, means=text, knob=knob, severity=text, identifies={"a": text})
        situations = [SituationResult(text, "quiet", "fires", text), *old.situations[:2]]
        findings = [AlertFinding(Verdict.OFF_THRESHOLD, reason) for reason in (text, f"{text}; {text}")]
        result = AlertResult(text, contract, old.located, old.measured, situations, findings, notes=[text])
        result.annotations, result.labels, result.pinned = {text: text}, {"job": text, text: "x"}, text
        results.append(result)
    objection = Finding("promtool-lint", FindingSeverity.ERROR, HOSTILE[0], Span(HOSTILE[1], 1, 1), help=HOSTILE[2])
    step = StepReport(HOSTILE[0], (objection,))
    return [section_of(each) for each in (ProofReport(results, "process", "3.5.3"), outcome.suites, step)]


def played(text: str) -> list[Section]:
    """A scenario that went wrong in every way that is drawn, named by a text that means harm."""
    scenario = replace(load_scenario(ROOT / "fixtures" / "scenarios" / "error-burst.yml"), name=text, means=text)
    minute = 60_000
    episodes = (
        Episode("HighErrorRate", {"job": text}, 8 * minute, 13 * minute, 21 * minute),
        Episode("HighCPUUsage", {"instance": text}, 2 * minute, 7 * minute, None),
        Episode(text, {text: text}, None, 9 * minute, 10 * minute),
        Episode("NoActiveStreams", {}, 3 * minute, None, 4 * minute),
    )
    tally = RequestTally(unanswered=3, not_sent=2)
    tally.answered["GET", text, "500"] = 7
    result = ScenarioResult(
        scenario, "process", 60, 1, 1.0, 28.0, tuple(judge(scenario, episodes)), episodes, tally, 8, 1
    )
    assert not result.passed
    return [section_of(result)]


def run_live(text: str) -> list[Section]:
    """A live run in which one alert is exact and one is not, in texts that mean harm."""
    first, second = load_contracts([ROOT / "rules" / "contracts" / "business.yml"])[:2]
    told = Delivery(text, "firing", 14_000, {"alertname": text, text: text}, {"summary": text}, {"job": text})
    exact = LiveResult(
        first.alert.value, first, None, Fraction(1), Fraction(0), True, 60_000, 1_000, 2_000, 12_000, 15_000
    )
    exact.hold_ticks, exact.delivered, exact.resolved = 10, told, replace(told, status="resolved", at_ms=17_000)
    wrong = LiveResult(text, second, None, notes=[text], moved_ms=1_000, pending_ms=3_000, interval_ms=60_000)
    wrong.find(LiveVerdict.NEVER_FIRES, text)
    report = LiveReport([exact, wrong], 60, "process", "3.5.3", "0.33.1", text, [BusyRun(120, text)], {"running": 20.0})
    assert exact.exact
    assert not report.exact
    return [section_of(report)]


@pytest.fixture(scope="session")
def seen(good: Run, bad: Run, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What Chromium saw on the pages: good, bad, hostile, unit tests alone, a scenario, a live run."""
    outcomes = {"good": good.sections, "bad": bad.sections, "hostile": hostile(good), "suites": bad.sections[1:]}
    outcomes |= {"played": played(HOSTILE[0]), "live": run_live(HOSTILE[1])}
    pages = {name: page_html(sections) for name, sections in outcomes.items()}
    return views_of(pages, tmp_path_factory.mktemp("pages"))


def opened(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    views = [view for view in seen if "width" in view]
    assert len(views) == 6 * 2
    return views


def where(view: dict[str, Any]) -> str:
    return f"{view['name']} {view['colorScheme']} {view['width']}"


def no_console_error_and_no_request_leaves_the_file(seen: list[dict[str, Any]]) -> None:
    for view in opened(seen):
        assert view["console"] == [], where(view)
        assert [url for url in view["requests"] if not url.startswith(("file:", "data:"))] == [], where(view)
        assert [url for url in view["requests"] if url.startswith("file:")] == [Path(view["file"]).as_uri()]


def no_sideways_scrolling(seen: list[dict[str, Any]]) -> None:
    for view in opened(seen):
        assert view["scrollWidth"] <= view["innerWidth"] == view["width"], where(view)
        if view["name"] != "hostile":
            assert view["outside"] == [], where(view)


def charts_have_marks(seen: list[dict[str, Any]]) -> None:
    for view in opened(seen):
        if view["name"] in ("good", "bad"):
            assert len(view["charts"]) >= 4 * 6, where(view)
            assert min(view["charts"]) >= 2, where(view)
        if view["name"] in ("played", "live"):
            assert len(view["charts"]) == 1, where(view)
            assert max(view["charts"]) >= 5, where(view)


def axe_finds_nothing_serious(seen: list[dict[str, Any]]) -> None:
    assert {view["colorScheme"] for view in opened(seen)} == {"light", "dark"}
    for view in opened(seen):
        assert view["violations"] == [], where(view)


def what_means_harm_is_text(seen: list[dict[str, Any]]) -> None:
    for view in opened(seen):
        assert (view["scripts"], view["handlers"], view["dialogs"], view["foreign"]) == (0, 0, 0, []), where(view)
        assert "\u202e" not in view["text"]
        assert "\x1b" not in view["text"]
        if view["name"] == "hostile":
            assert "<script>alert(1)</script>" in view["text"]
            assert "{{ 7*7 }}" in view["text"]
            assert "\ufffdgnp.exe" in view["text"]
            assert "(10,000 characters)" in view["text"]
    assert [view["inert"] for view in seen if "inert" in view] == [True] * 6  # the page's policy stops any script


def keyboard_and_print(seen: list[dict[str, Any]]) -> None:
    for view in opened(seen):
        if "firstFocus" in view:
            assert view["firstFocus"] == "Skip to the content"
            assert view["printedDetails"] is True, where(view)


def the_summary_answers_first(seen: list[dict[str, Any]]) -> None:
    texts = {view["name"]: view["text"] for view in opened(seen)}
    assert "Yes: every alert fires exactly as meant." in texts["good"]
    assert "No: 7 of 10 alerts are not as meant" in texts["bad"]
    assert "Unit tests" in texts["suites"]
    assert "No: 1 alert is not delivered as meant" in texts["live"]
    assert "No: the scenario did not end as expected" in texts["played"]


@pytest.mark.system
def test_the_page_in_a_browser(seen: list[dict[str, Any]]) -> None:
    """One test, so that pytest-xdist opens the browser once."""
    problems = []
    for check in (
        no_console_error_and_no_request_leaves_the_file,
        no_sideways_scrolling,
        charts_have_marks,
        axe_finds_nothing_serious,
        what_means_harm_is_text,
        keyboard_and_print,
        the_summary_answers_first,
    ):
        try:
            check(seen)
        except AssertionError as err:
            problems.append(f"{check.__name__}: {err}")
    assert not problems, "\n\n".join(problems)


def test_a_hundred_alerts_stay_under_a_megabyte(good: Run, bad: Run) -> None:
    for outcome in (good, bad):
        hundred = (list(outcome.proof.results) * 12)[:100]
        page = page_html(replace(outcome, proof=replace(outcome.proof, results=hundred)).sections)
        assert page.count('<section aria-labelledby="alert-') == 100
        assert len(page.encode()) < 1_000_000


def test_hostile_names_cannot_swell_the_page(good: Run) -> None:
    assert len(page_html(hostile(good)).encode()) < 200_000
