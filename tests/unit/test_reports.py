"""Reports of a proof: the words of a row, Markdown that no label can break, JSON as documented."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console

from harness.contracts import Contract, load_contracts
from harness.live.model import LiveReport, LiveResult
from harness.proof.model import AlertFinding, AlertResult, Boundary, LocatedAlert, Measured, SituationResult, Verdict
from harness.proof.report import ProofReport
from harness.report.html.page import page_html
from harness.report.junit import junit_xml
from harness.report.proof.aspects import not_rendered
from harness.report.proof.json import proof_json
from harness.report.proof.markdown import proof_markdown
from harness.report.section import section_of
from harness.report.terminal import tell_findings
from harness.report.wording import HEADER, off_cell, place, row, summary
from harness.rules import load_rule_file

RULES = "groups: [{name: g, interval: 30s, rules: [{alert: A, expr: x > 20, for: 5m}]}]\n"
CONTRACT = """\
contracts:
  - alert: A
    means: m
    knob: {name: n, unit: "%", range: [0, 1000], STEP}
    op: ">"
    threshold: 20
    for: 5m
    severity: page
    identifies: {}
    signal: [{gauge: x, value: x}]
"""


@pytest.fixture
def located(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocatedAlert:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yml").write_text(RULES)
    file = load_rule_file(tmp_path / "r.yml")
    return LocatedAlert(file, file.groups[0], file.groups[0].alerts()[0])


def contract(folder: Path, step: str = "step: 1/10, counts: cameras") -> Contract:
    (folder / "c.yml").write_text(CONTRACT.replace(", STEP", f", {step}" if step else ""))
    return load_contracts([folder / "c.yml"])[0]


def exact(located: LocatedAlert, meant: Contract) -> AlertResult:
    boundary = Boundary(Fraction(20), Fraction(201, 10), 0, 0)
    measured = Measured(boundary, fires_after_ms=300_000, too_short_ms=270_000, resolves_after_ms=0)
    situations = [SituationResult("s", "quiet", "quiet"), SituationResult("t", "fires", "quiet", "nothing fires")]
    return AlertResult("A", meant, located, measured, situations, [])


def test_a_row(located: LocatedAlert, tmp_path: Path) -> None:
    cells = dict(zip(HEADER, row(exact(located, contract(tmp_path))), strict=True))
    assert cells == {
        "alert": "A", "contract": "> 20 % for 5m", "last quiet": "20 %", "first firing": "20.1 %",
        "off by": "0 cameras", "hold": "5m (10 ticks)", "situations": "1/2", "verdict": "exact",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("step", "fires", "ulps", "steps", "text"),
    [
        ("step: 1/10, counts: cameras", "21", 0, 9, "+9 cameras"),
        ("step: 1/10, counts: cameras", "10", 0, -1100, "-1,100 cameras"),
        ("step: 1/10", "20.1", 0, 0, "0"),
        ("", "20", 0, 0, "0 ULP"),
        ("", "20", 999, 999, "999 ULP"),
        ("", "25", 10**15, 10**15, "+5 %"),
        ("", "19.5", 10**15, -(10**15), "-0.5 %"),
    ],
)
def test_how_far_off(
    located: LocatedAlert, tmp_path: Path, step: str, fires: str, ulps: int, steps: int, text: str
) -> None:
    result = exact(located, contract(tmp_path, step))
    result.measured.boundary = Boundary(Fraction(20), Fraction(fires), ulps, steps)
    assert off_cell(result) == text


def test_what_was_not_reached_is_a_dash(located: LocatedAlert, tmp_path: Path) -> None:
    result = AlertResult("A", contract(tmp_path), None, Measured(), [], [AlertFinding(Verdict.MISSING, "no rule")])
    assert row(result)[2:] == ("–", "–", "–", "–", "–", "missing")
    assert place(result) == "c.yml:2"
    assert (
        row(AlertResult("B", None, located, Measured(), [], [AlertFinding(Verdict.UNEXPECTED, "no contract")]))[1]
        == "none"
    )


def test_the_summary_names_its_denominator(located: LocatedAlert, tmp_path: Path) -> None:
    good = exact(located, contract(tmp_path))
    bad = AlertResult("B", None, located, Measured(), [], [AlertFinding(Verdict.UNEXPECTED, "no contract")])
    assert summary([good, bad], "process", "3.5.3") == "1 of 2 alerts is exact, on Prometheus 3.5.3 (process)."
    assert summary([good, good], "docker", "2.53.3") == "2 of 2 alerts are exact, on Prometheus 2.53.3 (docker)."


def markdown(result: AlertResult) -> str:
    report = ProofReport([result], "process", "3.5.3")
    return proof_markdown(report, [section_of(report)])


def test_markdown_that_no_label_breaks(located: LocatedAlert, tmp_path: Path) -> None:
    hostile = "a|b\n| c | <script>\r[x](http://y) `k` **z**"
    result = exact(located, contract(tmp_path))
    result.alert = hostile
    result.findings, result.notes = [AlertFinding(Verdict.ERROR, hostile)], [hostile]
    text = markdown(result)
    table = text.split("\n\n")[0].splitlines()
    assert len(table) == 3
    bars = [sum(c == "|" and line[i - 1 : i] != "\\" for i, c in enumerate(line)) for line in table]
    assert bars == [len(HEADER) + 1] * 3
    assert "<script>" not in text
    assert "](http" not in text
    assert "\r" not in text
    assert sum(line.startswith("- ") for line in text.splitlines()) == 2


def test_the_reason_of_what_is_set_aside_is_shown(located: LocatedAlert, tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("contracts: [{alert: A, allow: {reason: reads ALERTS}}]\n")
    (meant,) = load_contracts([tmp_path / "c.yml"])
    aside = AlertResult("A", meant, located, Measured(), [], [AlertFinding(Verdict.UNSUPPORTED, "cannot be followed")])
    out = Console(file=io.StringIO(), width=80)
    tell_findings(section_of(ProofReport([aside], "process", "3.5.3")), out)
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue().splitlines()[-2:] == ["  set aside: reads ALERTS", "  - cannot be followed"]
    assert "- set aside: reads ALERTS\n- cannot be followed\n" in markdown(aside)


def test_the_page_answers_with_drafts_and_what_is_set_aside(located: LocatedAlert, tmp_path: Path) -> None:
    """A draft that was delivered is no alert that is not delivered, and what is set aside no fault."""
    good = contract(tmp_path)
    (tmp_path / "c.yml").write_text("contracts: [{alert: A, allow: {reason: reads ALERTS}}]\n")
    (meant,) = load_contracts([tmp_path / "c.yml"])
    aside = AlertResult("A", meant, located, Measured(), [], [AlertFinding(Verdict.UNSUPPORTED, "cannot be followed")])
    page = page_html([section_of(ProofReport([exact(located, good), aside], "process", "3.5.3"))])
    assert "Yes: 1 alert fires exactly as meant, 1 is set aside." in page
    assert "set aside: reads ALERTS" in page
    (tmp_path / "c.yml").write_text(CONTRACT.replace(", STEP", "").replace("means: m", "means: m\n    draft: true"))
    (draft,) = load_contracts([tmp_path / "c.yml"])
    live = LiveReport([LiveResult("A", draft, located)], 60, "process", "3.5.3", "0.33.1", "built in")
    assert "No: not yet: 1 draft that nobody has confirmed." in page_html([section_of(live)])


def test_labels_that_promtool_could_not_render_say_why(located: LocatedAlert, tmp_path: Path) -> None:
    result = exact(located, contract(tmp_path))
    result.confirmed_reason = "promtool ends a test where any rule of its files fails"
    assert not_rendered(result, "labels") == result.confirmed_reason
    assert [not_rendered(result, name) for name in ("threshold", "hold")] == ["", ""]
    document = junit_xml([section_of(ProofReport([result], "process", "3.5.3"))])
    assert "not measured: promtool ends a test where any rule of its files fails" in document
    result.labels = {"alertname": "A"}
    assert not_rendered(result, "labels") == ""


def test_json_as_documented(located: LocatedAlert, tmp_path: Path) -> None:
    missing = AlertResult("M", contract(tmp_path), None, Measured(), [], [AlertFinding(Verdict.MISSING, "no rule")])
    stray = AlertResult(
        "S\u2028\x7f é", None, located, Measured(), [], [AlertFinding(Verdict.UNEXPECTED, "no contract")]
    )
    report = ProofReport([exact(located, contract(tmp_path)), missing, stray], "process", "3.5.3")
    text = proof_json(report, [section_of(report)])
    assert text.endswith("}\n")
    document = json.loads(text)
    assert document["version"] == 2
    assert document["engine"] == {"kind": "process", "prometheus": "3.5.3"}
    assert document["summary"] == {
        "exact": 1,
        "total": 3,
        "by_verdict": {"missing": 1, "unexpected": 1, "exact": 1},
        "allowed": 0,
    }
    first, second, third = document["alerts"]
    assert (first["alert"], first["file"], first["line"], first["verdict"]) == ("A", "r.yml", 1, "exact")
    assert first["contract"] == {"op": ">", "threshold": 20.0, "unit": "%", "for_s": 300, "severity": "page"}
    assert first["measured"] == {
        "quiet_at": 20.0, "fires_at": 20.1, "ulps": 0, "fires_after_s": 300, "too_short_s": 270, "resolves_after_s": 0,
    }  # fmt: skip
    assert first["situations"][1] == {"name": "t", "expected": "fires", "got": "quiet"}
    assert (second["file"], second["line"]) == (None, None)
    assert second["reasons"] == [{"verdict": "missing", "message": "no rule", "expr": None, "line": 2, "column": 12}]
    assert set(second["measured"].values()) == {None}
    assert (third["contract"], third["alert"]) == (None, "S\u2028\x7f é")
