"""Whatever a run finds, every document tells: not good means a failure in each, and the same findings; good none."""

from __future__ import annotations

import html
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.alertmanager.unused import UnusedPart
from harness.check.model import CheckReport, ProblemKind, UseFinding, Weight
from harness.contracts import Contract, load_contracts
from harness.engines.answers import QueryError
from harness.engines.promtool_complaints import RuleProblem
from harness.errors import EngineError, HarnessError, InputError, Span, UnsupportedError
from harness.live.model import LiveFinding, LiveReport, LiveResult, LiveVerdict
from harness.proof.model import AlertFinding, AlertResult, LocatedAlert, Measured, Verdict
from harness.proof.report import ProofReport
from harness.report import junit
from harness.report.annotations import annotated, github, gitlab
from harness.report.check.json import check_json
from harness.report.check.terminal import write_check
from harness.report.html.page import page_html
from harness.report.html.template import shown
from harness.report.junit import junit_xml
from harness.report.live.json import live_json
from harness.report.markdown import escape_markdown, told_markdown
from harness.report.proof.json import proof_json
from harness.report.proof.markdown import proof_markdown
from harness.report.quality.json import quality_json
from harness.report.quality.section import QualityReport
from harness.report.quality.terminal import quality_table
from harness.report.scenario.json import scenario_json
from harness.report.scenario.terminal import scenario_report
from harness.report.section import FindingSeverity, Section, answer, exit_code, section_of
from harness.report.slo.json import slo_report_json
from harness.report.slo.markdown import slo_report_markdown
from harness.report.slo.section import SloGate
from harness.report.slo.terminal import print_slo_report
from harness.report.slo.wording import sentence
from harness.report.steps.section import StepReport, wrong_input
from harness.report.steps.tools import rule_objection
from harness.report.suites.json import suites_json
from harness.report.suites.terminal import write_file, write_report
from harness.report.terminal import console, tell_findings
from harness.rules import load_rule_file
from harness.slo import Objective, load_objectives
from harness.slo.budget.judge import make_report
from harness.slo.budget.report import ObjectiveReport, SloReport
from harness.slo.budget.verdict import BudgetVerdict, Ruling
from harness.slo.quality.results import ObjectiveQuality, QualityVerdict, SeverityQuality
from harness.stack.scenarios.load import RequestTally
from harness.stack.scenarios.result import JudgedAlert, Judgement, ScenarioResult
from harness.stack.scenarios.scenario import Scenario, load_scenario
from harness.suites.model import FileResult, Result, Severity, Status, SuiteFinding, SuiteReport

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = """\
contracts:
  - alert: A
    means: more than 20 wait
    knob: {name: depth, range: [0, 100], step: 1}
    op: ">"
    threshold: 20
    severity: page
    identifies: {}
    signal: [{gauge: depth, value: x}]
    situations: [{name: down, expect: quiet, signal: [{gauge: depth, value: 0}]}]
"""
RULES = "groups: [{name: g, interval: 30s, rules: [{alert: A, expr: depth > 20, labels: {severity: page}}]}]\n"


@dataclass(frozen=True)
class World:
    """What drawn results are about, loaded once."""

    contract: Contract
    located: LocatedAlert
    scenario: Scenario
    objective: ObjectiveReport


class _Refuses:
    """A server that refuses every query."""

    last_warnings: tuple[str, ...] = ()

    def query(self, expr: str, *_: Any, **__: Any) -> Any:
        raise QueryError("bad_data", "no", expr)

    query_range = query


@lru_cache(maxsize=1)
def world() -> World:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "r.yml").write_text(RULES)
        (folder / "c.yml").write_text(CONTRACT)
        file = load_rule_file(folder / "r.yml")
        (contract,) = load_contracts([folder / "c.yml"])
    objectives: list[Objective] = load_objectives(sorted((ROOT / "slo").glob("*.yml")))[:1]
    refused = make_report(objectives, _Refuses(), None, 1_767_225_600_000)  # type: ignore[arg-type]
    return World(
        contract,
        LocatedAlert(file, file.groups[0], file.groups[0].alerts()[0]),
        load_scenario(ROOT / "fixtures" / "scenarios" / "error-burst.yml"),
        refused.objectives[0],
    )


WORDS = st.text(st.sampled_from("abc <>&|*`é"), min_size=1, max_size=12).map(lambda text: f"w{text.strip()}w")
SPANS = st.builds(Span, st.sampled_from(["a.yml", "b/c.yml"]), st.integers(1, 99), st.integers(1, 9))


# -- drawn results of every product ------------------------------------------------------------------------------------


@st.composite
def proofs(draw: st.DrawFn) -> ProofReport:
    here = world()
    results = []
    for number in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["exact", "draft", "wrong", "unexpected", "missing"]))
        contract = None if kind == "unexpected" else here.contract
        if contract is not None and draw(st.booleans()):
            contract = replace(contract, allowed=draw(WORDS))
        if contract is not None and kind == "draft":
            contract = replace(contract, draft=True)
        findings = []
        if kind in ("wrong", "unexpected", "missing"):
            verdicts = st.sampled_from([verdict for verdict in Verdict if verdict is not Verdict.EXACT])
            for _ in range(draw(st.integers(1, 2))):
                recovery = draw(st.booleans())
                situation = draw(st.sampled_from(["", "down"]))
                parts = tuple(draw(st.lists(WORDS, max_size=2)))
                findings.append(
                    AlertFinding(draw(verdicts), draw(WORDS), parts, situation=situation, recovery=recovery)
                )
        located = None if kind == "missing" and contract is not None else here.located
        results.append(AlertResult(f"Alert{number}", contract, located, Measured(), [], findings))
    return ProofReport(results, "process", "3.5.3", complete=draw(st.booleans()))


@st.composite
def suites(draw: st.DrawFn) -> SuiteReport:
    checks = st.builds(
        SuiteFinding, st.just("no-assertions"), st.sampled_from(Severity), st.none() | SPANS, WORDS, WORDS
    )
    results = st.builds(
        Result, st.just("t.yml"), WORDS, st.just(0), st.just("expr"), WORDS, st.just(60_000), SPANS,
        st.sampled_from(Status), message=WORDS,
    )  # fmt: skip
    problems = st.none() | st.builds(lambda text, span: InputError(text, span=span), WORDS, st.none() | SPANS)
    files = st.builds(
        FileResult, st.just(Path("t.yml")), WORDS.map(lambda word: f"{word}.yml"), st.none(), st.booleans(),
        st.lists(results, max_size=2).map(tuple), st.lists(WORDS, max_size=1).map(tuple), problems,
        st.lists(checks, max_size=2).map(tuple),
    )  # fmt: skip
    return SuiteReport(
        tuple(draw(st.lists(files, max_size=2, unique_by=lambda file: file.name))),
        tuple(draw(st.lists(checks, max_size=1))), (), "3.5.3", False, complete=draw(st.booleans()),
    )  # fmt: skip


@st.composite
def lives(draw: st.DrawFn) -> LiveReport:
    results = []
    for number in range(draw(st.integers(0, 3))):
        contract = replace(world().contract, draft=draw(st.booleans()), allowed=draw(st.none() | WORDS))
        result = LiveResult(f"Alert{number}", contract, draw(st.sampled_from([None, world().located])))
        for verdict in draw(
            st.lists(st.sampled_from([v for v in LiveVerdict if v is not LiveVerdict.EXACT]), max_size=2)
        ):
            result.findings.append(LiveFinding(verdict, draw(WORDS)))
        results.append(result)
    warnings = draw(st.lists(st.builds(UnusedPart, SPANS, WORDS), max_size=2))
    faults = draw(st.lists(st.builds(lambda text, span: InputError(text, span=span), WORDS, SPANS), max_size=1))
    aside = draw(st.integers(0, 1))
    return LiveReport(results, 60, "process", "3", "0.3", "built in", warnings=warnings, faults=faults, set_aside=aside)


@st.composite
def scenarios(draw: st.DrawFn) -> ScenarioResult:
    scenario = world().scenario
    judged = tuple(
        JudgedAlert(f"Alert{number}", {}, judgement, draw(st.sampled_from([None, scenario.expect[0]])), ())
        for number, judgement in enumerate(draw(st.lists(st.sampled_from(Judgement), max_size=3)))
    )
    tally = RequestTally()
    tally.answered["GET", "/", "200"] = 7
    counted = draw(st.sampled_from([None, 7, 8]))
    return ScenarioResult(scenario, "process", 60, 1, 1.0, 28.0, judged, (), tally, counted, 0)


@st.composite
def gates(draw: st.DrawFn) -> SloGate:
    made = tuple(
        replace(
            world().objective, ruling=Ruling(draw(st.sampled_from(BudgetVerdict)), draw(WORDS)),
            defects=tuple(draw(st.lists(WORDS, max_size=1))), group=(("instance", str(number)),),
        )
        for number in range(draw(st.integers(1, 3)))
    )  # fmt: skip
    report = SloReport(made, None, 1_767_225_600_000, made[0].window)
    return SloGate(
        report, draw(st.frozensets(st.sampled_from(BudgetVerdict))) - {BudgetVerdict.MET}, draw(st.booleans())
    )


@st.composite
def qualities(draw: st.DrawFn) -> QualityReport:
    wrong = st.sampled_from([verdict for verdict in QualityVerdict if verdict is not QualityVerdict.AS_MEANT])
    severities = tuple(
        SeverityQuality(name, (), (), (), (), tuple(draw(st.lists(st.tuples(wrong, WORDS), max_size=2))))
        for name in draw(st.sampled_from([(), ("page",), ("page", "ticket")]))
    )
    return QualityReport([ObjectiveQuality(world().objective.objective, "events", severities)], "process", "3.5.3")


USES = st.builds(UseFinding, st.sampled_from(ProblemKind), st.sampled_from(Weight), WORDS, SPANS, WORDS, WORDS)
CHECKS = st.builds(
    CheckReport, st.just("http://x"), st.just("3.5.3"), st.just(3_600_000), st.lists(USES, max_size=3).map(tuple),
    st.just(()), st.integers(0, 9), st.integers(0, 9),
)  # fmt: skip
ERRORS: st.SearchStrategy[HarnessError] = st.one_of(
    st.builds(lambda text, span: InputError(text, span=span, hint="mend it"), WORDS, st.none() | SPANS),
    st.builds(UnsupportedError, WORDS),
    st.builds(EngineError, WORDS),
)


@dataclass(frozen=True)
class Drawn:
    """A product's result, and its own documents."""

    result: object
    terminal: Callable[[Sequence[Section], Any], None]
    json: Callable[[Sequence[Section]], str]
    schema: str
    """The name of its schema in docs/schema."""
    markdown: Callable[[Sequence[Section]], str]


def _plain_markdown(sections: Sequence[Section]) -> str:
    return "\n\n".join(told_markdown(sections))


def _proof(report: ProofReport) -> Drawn:
    return Drawn(
        report, lambda told, out: tell_findings(told[0], out), lambda told: proof_json(report, told), "prove",
        lambda told: proof_markdown(report, told),
    )  # fmt: skip


def _suites(report: SuiteReport) -> Drawn:
    def tell(_: Sequence[Section], out: Any) -> None:
        for file in report.files:
            write_file(file, out)
        write_report(report, out)

    return Drawn(report, tell, lambda told: suites_json(report, told), "test", _plain_markdown)


def _live(report: LiveReport) -> Drawn:
    return Drawn(
        report,
        lambda told, out: tell_findings(told[0], out),
        lambda told: live_json(report, told),
        "live",
        _plain_markdown,
    )


def _scenario(result: ScenarioResult) -> Drawn:
    return Drawn(
        result,
        lambda _, out: scenario_report(result, out),
        lambda told: scenario_json(result, told),
        "scenario",
        _plain_markdown,
    )


def _slo(gate: SloGate) -> Drawn:
    return Drawn(
        gate, lambda _, out: print_slo_report(gate.report, out), lambda told: slo_report_json(gate.report, told),
        "slo-report", _plain_markdown,
    )  # fmt: skip


def _quality(report: QualityReport) -> Drawn:
    return Drawn(
        report, lambda _, out: quality_table(report.qualities, out), lambda told: quality_json(report, told),
        "slo-prove", _plain_markdown,
    )  # fmt: skip


def _check(report: CheckReport) -> Drawn:
    return Drawn(
        report, lambda _, out: write_check(report, out), lambda told: check_json(report, told), "check", _plain_markdown
    )


PRODUCTS: st.SearchStrategy[Drawn] = st.one_of(
    proofs().map(_proof), suites().map(_suites), lives().map(_live), scenarios().map(_scenario), gates().map(_slo),
    qualities().map(_quality), CHECKS.map(_check),
)  # fmt: skip


@st.composite
def steps(draw: st.DrawFn) -> list[StepReport]:
    """What a run finds besides: input that was left out, what could not be done."""
    return wrong_input(draw(st.lists(ERRORS, max_size=2)))


# -- what every document says ------------------------------------------------------------------------------------------


def failures(sections: Sequence[Section]) -> list[str]:
    return [finding.message for section in sections for finding in section.findings if finding.fails]


def in_junit(text: str, sections: Sequence[Section]) -> bool:
    root = ElementTree.fromstring(text)
    told = [*root.iter("failure"), *root.iter("error")]
    for element in (root, *root.iter("testsuite")):
        own = [*element.iter("failure"), *element.iter("error")]
        assert int(element.attrib["failures"]) + int(element.attrib["errors"]) == len(own)
    said = "\n".join(f"{each.attrib['message']}\n{each.text}" for each in told)
    assert [message for message in failures(sections) if message not in said] == []
    return bool(told)


def in_annotations(sections: Sequence[Section]) -> bool:
    notes = [note for note in annotated(sections) if note.level == "error"]
    said = "\n".join(note.message for note in notes)
    assert [message for message in failures(sections) if message not in said] == []
    assert github(sections).count("::error ") == len(notes)
    assert [entry["severity"] for entry in json.loads(gitlab(sections))].count("major") == len(notes)
    return bool(notes)


def in_markdown(text: str, sections: Sequence[Section]) -> None:
    assert [message for message in failures(sections) if escape_markdown(message) not in text] == []


def in_json(text: str, sections: Sequence[Section]) -> bool:
    found = [finding for finding in json.loads(text)["findings"] if finding["severity"] == "error"]
    ids = [finding.check for section in sections for finding in section.findings if finding.fails]
    assert [finding["id"] for finding in found] == ids
    for finding in found:
        assert set(finding) >= {"id", "severity", "file", "line", "column", "message", "help"}
    return bool(found)


def in_page(page: str, sections: Sequence[Section]) -> bool:
    text = html.unescape(page)
    assert answer(sections) in text
    for section in sections:
        for group in section.groups:
            if group.failing:
                assert shown(group.name) in text
                assert shown(group.failing[0].message) in text
    return "What is not as meant" in text


def on_the_terminal(text: str, section: Section) -> None:
    """Every subject that has a verdict and fails is named."""
    for group in section.groups:
        if group.failing and group.verdict:
            assert group.name.split()[0] in text


@given(PRODUCTS, steps())
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_document_tells_what_fails_and_nothing_else(drawn: Drawn, besides: list[StepReport]) -> None:
    sections = [section_of(drawn.result), *map(section_of, besides)]
    good = all(section.good for section in sections)
    assert (exit_code(sections) == 0) is good
    assert answer(sections).startswith("Yes: " if good else "No: ")
    assert in_junit(junit_xml(sections), sections) is not good
    assert in_annotations(sections) is not good
    in_markdown(drawn.markdown(sections), sections)
    assert in_json(drawn.json(sections), sections) is not good
    assert in_page(page_html(sections), sections) is not good
    out = io.StringIO()
    drawn.terminal(sections, console(out))
    on_the_terminal(out.getvalue(), sections[0])


_ALONE = ("test", "scenario", "slo-report")
"""Schemas of commands whose runs have one section."""


@given(PRODUCTS, steps(), suites())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_findings_are_what_the_schemas_say(drawn: Drawn, besides: list[StepReport], tests: SuiteReport) -> None:
    """The proof's document is verify's too, which tells of all that was run."""
    more = [] if drawn.schema in _ALONE else besides
    others = [tests] if drawn.schema == "prove" else []
    sections = [section_of(result) for result in (drawn.result, *more, *others)]
    document = json.loads(drawn.json(sections))
    assert len(document["findings"]) == sum(len(section.findings) for section in sections)
    schema = json.loads((ROOT / "docs" / "schema" / f"{drawn.schema}.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate({"findings": document["findings"]}, schema | {"required": ["findings"]})


@given(gates())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_markdown_of_objectives_tells_verdicts_and_defects(gate: SloGate) -> None:
    text = slo_report_markdown(gate.report)
    for one in gate.report.objectives:
        assert f" {one.ruling.verdict.value} " in text
        assert escape_markdown(sentence(one.ruling.reason)) in text
        assert [defect for defect in one.defects if escape_markdown(defect) not in text] == []


@given(PRODUCTS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_section_is_good_as_its_result_says(drawn: Drawn) -> None:
    """What a product means by good, in its own words, is what its section comes to."""
    result, section = drawn.result, section_of(drawn.result)
    match result:
        case ProofReport():
            meant = result.complete and bool(result.results) and all(each.accepted for each in result.results)
        case LiveReport():
            meant = result.exact and not result.faults
        case ScenarioResult() | CheckReport():
            meant = result.passed
        case SloGate():
            failing = any(one.ruling.verdict in result.failing for one in result.report.objectives)
            meant = not failing and not (result.defects_fail and result.report.defective)
        case QualityReport():
            severities = [severity for quality in result.qualities for severity in quality.severities]
            meant = bool(severities) and all(quality.as_meant for quality in result.qualities)
        case _:
            return  # a drawn file may pass although an assertion of it fails, as no real one does
    assert section.good is meant


def test_a_writer_that_forgets_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The property is worth something: a JUnit writer that counts only what products count would pass no step."""
    monkeypatch.setattr(junit, "_suites", lambda section: iter(section.suites))
    interrupted = [section_of(ProofReport([], "process", "3.5.3", complete=False))]
    with pytest.raises(AssertionError):
        in_junit(junit_xml(interrupted), interrupted)


def test_what_is_accepted_is_told_and_fails_nothing() -> None:
    here = world()
    aside = replace(here.contract, allowed="known since May")
    result = AlertResult("A", aside, here.located, Measured(), [], [AlertFinding(Verdict.OFF_THRESHOLD, "so")])
    section = section_of(ProofReport([result], "process", "3.5.3"))
    assert [finding.severity for finding in section.findings] == [FindingSeverity.NOTE]
    assert "set aside (known since May): so" in junit_xml([section])
    assert section.good


def test_what_verify_accepts_is_not_in_its_markdown_nor_beside_lines() -> None:
    """A planted fault spends budget; notes of an objective are for its own report."""
    one = replace(
        world().objective, ruling=Ruling(BudgetVerdict.EXHAUSTED, "spent"), caveats=("low traffic",), defects=()
    )
    gate = SloGate(SloReport((one,), None, 1_767_225_600_000, one.window), others=FindingSeverity.NOTE)
    proof = ProofReport([AlertResult("A", world().contract, world().located, Measured(), [], [])], "process", "3.5.3")
    sections = [section_of(proof), section_of(gate)]
    assert told_markdown(sections) == []
    assert annotated(sections) == []
    assert [finding.severity for finding in sections[1].findings] == [FindingSeverity.NOTE]
    assert len(told_markdown(sections[1:])) == 1


def test_an_objection_without_a_line_has_none() -> None:
    finding = rule_objection(RuleProblem("r.yml", "duplicate rule", lint=True))
    sections = [section_of(StepReport("promtool check rules", (finding,)))]
    assert github(sections) == "::error file=r.yml,title=promtool check rules::duplicate rule\n"
    assert json.loads(gitlab(sections))[0]["location"] == {"path": "r.yml", "lines": {"begin": 1}}
    assert finding.place == "r.yml"
