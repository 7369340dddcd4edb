"""The report's documents, and its page as a browser, a keyboard and a screen reader meet it (Chromium, node, npm)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import jsonschema
import pytest

from harness.engines.process import ProcessEngine
from harness.errors import InputError
from harness.report.junit import junit_xml
from harness.report.section import section_of
from harness.report.slo.alert_quality import check_quality, quality_table
from harness.report.slo.csv import COLUMNS, slo_report_csv
from harness.report.slo.html import slo_report_html
from harness.report.slo.json import slo_report_json
from harness.report.slo.markdown import slo_report_markdown
from harness.report.slo.section import SloGate
from harness.report.slo.terminal import print_slo_report
from harness.report.slo.wording import sparkline, trend_text
from harness.report.terminal import console
from harness.slo.annotations import BUDGET_POLICY
from harness.slo.budget.budget import Trend
from harness.slo.budget.judge import make_report
from harness.slo.budget.report import SloReport
from harness.slo.budget.verdict import BudgetVerdict, Ruling
from harness.slo.model import Objective
from harness.slo.periods import Window
from tests.browser import HOSTILE, views_of
from tests.slo import report_world as world

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "schema" / "slo-report.schema.json").read_text(encoding="utf-8"))
QUALITY: dict[str, Any] = {
    "version": 1,
    "objectives": [
        {
            "id": "shop-checkout",
            "severities": [
                {
                    "severity": "page", "verdict": "as meant", "incidents_needing_it": 9, "missed": 1,
                    "false_alerts": 2, "false_alerts_of_the_policy": 1, "times_fired": 11,
                    "incidents": [
                        {"error_ratio": 1.0, "needs_alert": True, "missed": False,
                         "detection_s": {"measured": 120, "closed_form": 51.84},
                         "reset_s": {"measured": 300, "closed_form": None}},
                    ],
                }
            ],
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def report(prometheus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SloReport]:
    with ProcessEngine(prometheus_path) as engine:
        world.write_month(engine)
        objectives = world.objectives(tmp_path_factory.mktemp("slo"))
        yield make_report(objectives, engine, None, world.END, quality=QUALITY)


@pytest.fixture(scope="module")
def empty(prometheus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SloReport]:
    with ProcessEngine(prometheus_path) as engine:
        objectives = world.objectives(tmp_path_factory.mktemp("slo"))
        yield make_report(objectives, engine, world.END - 900_000, world.END, window=Window.RUN)


def hostile(report: SloReport) -> SloReport:
    """Every text of a report replaced by something that means harm."""
    made = []
    for one, text in zip(report.objectives, HOSTILE, strict=False):
        objective: Objective = replace(
            one.objective,
            name=text,
            service=text,
            display_name=text,
            description=text,
            annotations={BUDGET_POLICY: text},
        )
        made.append(
            replace(
                one, objective=objective, ruling=Ruling(one.ruling.verdict, text), defects=(text,), caveats=(text, text)
            )
        )
    return replace(report, objectives=tuple(made), quality=None)


# -- documents ---------------------------------------------------------------------------------------------------------


def test_json_is_as_its_schema_says(report: SloReport, empty: SloReport) -> None:
    for one in (report, empty, hostile(report)):
        jsonschema.validate(json.loads(slo_report_json(one, [section_of(SloGate(one))])), SCHEMA)
    document = json.loads(slo_report_json(report, [section_of(SloGate(report))]))
    assert document["summary"] == {"met": 3, "at_risk": 1, "exhausted": 1, "no_data": 1}
    checkout = document["objectives"][0]
    assert checkout["counts"]["total"] == report.objectives[0].whole.total
    assert sum(checkout["steps"]["bad"]) == checkout["counts"]["bad"]
    assert checkout["coverage"]["gaps"] == []
    assert document["objectives"][1]["coverage"]["gaps"] == [
        {"from": "2025-12-18T15:59:00Z", "to": "2025-12-19T20:20:00Z"}
    ]


@pytest.mark.parametrize(("path", "value"), [("version", 2), ("window", "month"), ("objectives", [{}])])
def test_the_schema_refuses_what_is_wrong(report: SloReport, path: str, value: object) -> None:
    document = json.loads(slo_report_json(report, [section_of(SloGate(report))])) | {path: value}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize(
    ("last", "before", "said"),
    [
        ("0.2", "0.5", "spending more slowly: 20 % of the budget in the last 7d, 50 % before"),
        ("0.5", "0.2", "spending faster: 50 % of the budget in the last 7d, 20 % before"),
        ("0.203", "0.2", "spending as before: 20.3 % of the budget in the last 7d, 20 % before"),
        ("0", "0.5", "nothing spent lately: 0 % of the budget in the last 7d, 50 % before"),
    ],
)
def test_a_trend_never_calls_a_falling_line_better(report: SloReport, last: str, before: str, said: str) -> None:
    trend = Trend(7 * world.DAY, Fraction(last), Fraction(before))
    one = replace(report.objectives[0], trend=trend)
    assert one.ruling.verdict is BudgetVerdict.EXHAUSTED
    assert trend_text(one) == said
    page = slo_report_html(replace(report, objectives=(one,)))
    assert said.partition(":")[0] in page
    assert not {"↗", "↘", "better"} & set(page.split())


def test_csv_has_a_line_an_objective_and_no_formula(report: SloReport) -> None:
    rows = list(csv.DictReader(io.StringIO(slo_report_csv(report))))
    assert [row["verdict"] for row in rows] == ["exhausted", "at_risk", "met", "met", "met", "no_data"]
    assert set(rows[0]) == set(COLUMNS)
    assert Fraction(rows[0]["bad"]) == report.objectives[0].whole.bad
    listed = [len(one.incidents.listed) if one.incidents else 0 for one in report.objectives]
    assert [int(row["incidents"]) for row in rows] == listed
    assert rows[0]["incidents"] == "2"
    assert "<h3>Incidents (2)</h3>" in slo_report_html(report)
    assert int(rows[1]["small_incidents"]) > 0
    spoilt = list(csv.DictReader(io.StringIO(slo_report_csv(hostile(report)))))
    assert spoilt[4]["objective"].startswith("'=javascript")


def test_markdown_holds_its_cells(report: SloReport) -> None:
    text = slo_report_markdown(report)
    assert text.startswith("**1 of 6 objectives has spent its error budget, 1 is at risk, 1 cannot be judged.**")
    assert "| Checkout             | ✗ exhausted |" in text
    assert "Budget policy: No releases but fixes" in text
    spoilt = slo_report_markdown(hostile(report))
    assert "<script" not in spoilt
    assert "](javascript" not in spoilt
    table = [line for line in spoilt.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {9}


def test_junit_is_xml_whatever_the_names_are(report: SloReport) -> None:
    root = fromstring(junit_xml([section_of(SloGate(hostile(report), {BudgetVerdict.EXHAUSTED}))]))
    assert root.get("failures") == "1"
    assert root.get("errors") == "5"  # each indicator is said to be wrong


def test_the_terminal_shows_sparklines_and_obeys_nobody(report: SloReport) -> None:
    out = io.StringIO()
    print_slo_report(hostile(report), console(out))
    assert "\x1b" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert sparkline(report.objectives[0]) == "██████▃▃▃▃▃▃▃▃▃▃▂▁▁▁▁▁▁▁"
    assert sparkline(report.objectives[5]).startswith("······")
    assert max(map(len, out.getvalue().splitlines())) < 11_000


def test_quality_stands_beside_its_objective(report: SloReport) -> None:
    page = slo_report_html(report)
    assert page.count("Measured quality of these alerts") == 1
    assert "8 of 9 incidents" in page
    assert "2m (closed form 51s)" in page
    assert "Measured quality" not in slo_report_html(replace(report, quality=None))
    with pytest.raises(InputError, match="is no document of `slo prove`"):
        check_quality({"version": 2}, "x.json")
    with pytest.raises(InputError, match="lacks 'severities'"):
        quality_table({"objectives": [{"id": "shop-checkout"}]}, report.objectives[0].objective)


def test_what_is_read_of_quality_is_what_slo_prove_promises() -> None:
    schema = json.loads((ROOT / "docs" / "schema" / "slo-prove.schema.json").read_text(encoding="utf-8"))
    assert schema["properties"]["version"]["const"] == QUALITY["version"]
    promised, read = schema["properties"]["objectives"]["items"], QUALITY["objectives"][0]
    assert set(read) <= set(promised["required"])
    promised, read = promised["properties"]["severities"]["items"], read["severities"][0]
    assert set(read) <= set(promised["required"])
    promised, read = promised["properties"]["incidents"]["items"], read["incidents"][0]
    assert set(read) <= set(promised["required"])
    for times in ("detection_s", "reset_s"):
        assert set(read[times]) <= set(promised["properties"][times]["required"])


def test_what_has_no_data_shows_no_number(empty: SloReport) -> None:
    page = slo_report_html(empty)
    summary = page.partition('<h2 id="summary">')[2].partition("<details>")[0]
    assert summary.count("no data") == len(empty.objectives)
    assert "%" not in summary.replace("99.9\u00a0%", "").replace("99\u00a0%", "").replace("99.5\u00a0%", "").replace(
        "90\u00a0%", ""
    )
    assert "6 of 6 objectives cannot be judged." in page


def test_a_run_of_minutes_calls_for_no_policy(report: SloReport) -> None:
    assert "<h2>What follows</h2>" in slo_report_html(report)
    assert "(not due now)" not in slo_report_html(report)
    run = replace(report, objectives=tuple(replace(one, window=Window.RUN) for one in report.objectives))
    assert "<h2>What follows</h2>" not in slo_report_html(run)
    assert "(not due now)" in slo_report_html(run)
    assert "Budget policy" not in slo_report_markdown(run)


def test_a_hundred_objectives_stay_under_a_megabyte(report: SloReport) -> None:
    hundred = replace(report, objectives=(report.objectives * 17)[:100])
    page = slo_report_html(hundred)
    assert page.count('<section aria-labelledby="objective-') == 100
    assert len(page.encode()) < 1_000_000
    assert len(slo_report_html(hostile(report)).encode()) < 300_000


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen(report: SloReport, empty: SloReport, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What Chromium saw on the pages, each narrow and dark, wide and light."""
    reports = {"month": report, "empty": empty, "hostile": hostile(report)}
    pages = {name: slo_report_html(one) for name, one in reports.items()}
    return views_of(pages, tmp_path_factory.mktemp("pages"))


@pytest.mark.system
def test_the_page_in_a_browser(seen: list[dict[str, Any]]) -> None:
    """One test, so that pytest-xdist opens the browser once; every complaint is told."""
    problems = []
    views = [view for view in seen if "width" in view]
    assert len(views) == 3 * 2
    for view in views:
        where = f"{view['name']} {view['colorScheme']} {view['width']}"
        wrong = {
            "console": view["console"],
            "requests": [url for url in view["requests"] if not url.startswith(("file:", "data:"))],
            "overflow": [] if view["scrollWidth"] <= view["innerWidth"] == view["width"] else [view["scrollWidth"]],
            "text outside of a chart": view["outside"],
            "axe": view["violations"],
            "scripts": [view["scripts"], view["handlers"], view["dialogs"], view["foreign"]] != [0, 0, 0, []],
        }
        if view["name"] == "month":
            wrong["charts"] = len(view["charts"]) < 10 or min(view["charts"]) < 3
            wrong["answer"] = "1 of 6 objectives has spent its error budget" not in view["text"]
        if view["name"] == "hostile":
            wrong["harm is text"] = "<script>alert(1)</script>" not in view["text"] or "{{ 7*7 }}" not in view["text"]
            wrong["controls"] = "\u202e" in view["text"] or "\x1b" in view["text"]
        if "firstFocus" in view:
            wrong["keyboard"] = view["firstFocus"] != "Skip to the content"
            wrong["print"] = view["printedDetails"] is not True
        problems += [f"{where}: {what}: {found}" for what, found in wrong.items() if found]
    assert [view["inert"] for view in seen if "inert" in view] == [True] * 3
    assert not problems, "\n".join(problems)
