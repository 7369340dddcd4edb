"""An indicator that is grouped by labels: a budget for each group, counted from the same samples as their sum."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import jsonschema
import pytest

from harness.engines import Engine, Samples, make_labels
from harness.engines.process import ProcessEngine
from harness.errors import InputError
from harness.report.junit import junit_xml
from harness.report.section import section_of
from harness.report.slo.csv import slo_report_csv
from harness.report.slo.html import slo_report_html
from harness.report.slo.json import slo_report_json
from harness.report.slo.markdown import slo_report_markdown
from harness.report.slo.section import SloGate
from harness.slo.budget.history import History
from harness.slo.budget.judge import make_report
from harness.slo.budget.observed import Counting
from harness.slo.budget.report import SloReport
from harness.slo.budget.server import ServerClock
from harness.slo.budget.verdict import BudgetVerdict
from harness.slo.model import Grouping
from harness.slo.periods import Window, judged
from tests.slo.report_world import MINUTE, START
from tests.slo.slo_bench import THRESHOLD, document, ratio, read
from tests.slo.test_report_page import SCHEMA

END = START + 120 * MINUTE
PER_MINUTE = {"a": (100, 0), "b": (50, 2), "c": (10, 0)}
"""Instance → good and bad requests a minute; of 99.9 % only b's budget is spent."""
BY = 'sum by (instance) (rate(requests_total{{job="shop"{more}}}[{{{{.window}}}}]))'


@pytest.fixture(scope="module")
def engine(prometheus_path: Path) -> Iterator[Engine]:
    with ProcessEngine(prometheus_path) as engine:
        times = [START + i * MINUTE // 2 for i in range(241)]
        for instance, counts in PER_MINUTE.items():
            for code, each in zip(("200", "500"), counts, strict=True):
                labels = make_labels("requests_total", job="shop", instance=instance, zone=f"z-{instance}", code=code)
                engine.write([Samples(labels, times, [float(each * i // 2) for i in range(241)])])
            engine.write([
                Samples(make_labels("depth", instance=instance, zone="z"), times, [float(counts[1] * 20)] * 241)
            ])  # fmt: skip
        yield engine


def windowed(prefix: str = "sum by (instance)", more: str = "") -> str:
    bad, total = (
        BY.format(more=matcher + more).replace("sum by (instance)", prefix) for matcher in (',code="500"', "")
    )
    return document(indicator=ratio("bad", bad, total))


ANNOTATED = document().replace("  name: answers", "  name: answers\n  annotations: {alert-harness/group-by: instance}")
ANNOTATED = ANNOTATED.replace('errors_total{job="shop"}', 'requests_total{job="shop",code="500"}')
SHAPES = {
    "sloth's sums": windowed(),
    "without": windowed("sum without (code, job, zone)"),
    "or zero": windowed().replace("[{{.window}}]))'", "[{{.window}}])) or on() vector(0)'"),
    "the annotation": ANNOTATED,
    "estimated": windowed().replace("[{{.window}}]))'", "[{{.window}}])) * 1'"),
}


def reported(engine: Engine, tmp_path: Path, text: str, **choices: bool) -> SloReport:
    return make_report(read(tmp_path, text), engine, START, END, window=Window.RUN, **choices)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_group_has_its_own_budget_and_the_worst_comes_first(engine: Engine, tmp_path: Path, shape: str) -> None:
    report = reported(engine, tmp_path, SHAPES[shape])
    assert [one.group for one in report.objectives] == [(("instance", name),) for name in ("b", "a", "c")]
    assert [one.ruling.verdict for one in report.objectives] == [
        BudgetVerdict.EXHAUSTED,
        BudgetVerdict.MET,
        BudgetVerdict.MET,
    ]
    for one in report.objectives:
        good, bad = PER_MINUTE[one.group[0][1]]
        assert one.whole.error_ratio == Fraction(bad, good + bad) or one.provenance.counting is Counting.ESTIMATED
        if one.provenance.counting is Counting.RAW:
            assert (one.whole.total, one.whole.bad) == ((good + bad) * 120, bad * 120)
    assert (report.objectives[0].provenance.counting is Counting.ESTIMATED) == (shape == "estimated")


def test_the_sum_is_told_only_if_asked_and_is_that_of_the_groups(engine: Engine, tmp_path: Path) -> None:
    whole, *groups = reported(engine, tmp_path, windowed(), sum_groups=True).objectives
    assert (whole.group, whole.sum_of, len(groups)) == ((), 3, 3)
    assert whole.whole.total == sum(one.whole.total for one in groups) == 162 * 120
    assert whole.whole.bad == sum(one.whole.bad for one in groups) == 240
    plain = reported(engine, tmp_path, windowed("sum")).objectives[0]
    assert (plain.whole, plain.points, plain.sum_of) == (whole.whole, whole.points, None)


def test_the_server_adds_up_group_by_group(engine: Engine, tmp_path: Path) -> None:
    (objective,) = read(tmp_path, windowed())
    stretch = judged(objective, START, END, Window.RUN)
    history = History(engine, ServerClock(END), most_raw_samples=100)
    found = {one.group: one for one in history.read_groups(objective, stretch, Grouping(("instance",)))}
    assert {one.provenance.counting for one in found.values()} == {Counting.GRID}
    assert {dict(group)["instance"]: one.events.whole().total for group, one in found.items()} == {
        name: sum(counts) * 120 for name, counts in PER_MINUTE.items()
    }


@pytest.mark.parametrize("query", ["max by (instance) (depth)", "depth"])
def test_thresholds_are_told_apart_too(engine: Engine, tmp_path: Path, query: str) -> None:
    text = document(indicator=THRESHOLD.format(query=query), goal="{op: lt, value: 10, target: 0.9}")
    if query == "depth":  # which aggregates nothing: the document names the label
        text = text.replace("  name: answers", "  name: answers\n  annotations: {alert-harness/group-by: instance}")
    report = reported(engine, tmp_path, text)
    assert [(dict(one.group)["instance"], one.whole.error_ratio) for one in report.objectives] == [
        ("b", 1), ("a", 0), ("c", 0)
    ]  # fmt: skip


def test_every_document_tells_the_groups_apart(engine: Engine, tmp_path: Path) -> None:
    report = reported(engine, tmp_path, windowed().replace("  name: answers", "  name: answers\n  labels: {team: web}"))
    document_ = json.loads(slo_report_json(report, [section_of(SloGate(report))]))
    jsonschema.validate(document_, SCHEMA)
    assert [(entry["labels"], entry["group"]) for entry in document_["objectives"]] == [
        ({"team": "web", "instance": name}, {"instance": name}) for name in ("b", "a", "c")
    ]
    rows = list(csv.DictReader(io.StringIO(slo_report_csv(report))))
    assert [row["group"] for row in rows] == [f'{{instance="{name}"}}' for name in ("b", "a", "c")]
    page, markdown, junit = (
        slo_report_html(report),
        slo_report_markdown(report),
        junit_xml([section_of(SloGate(report))]),
    )
    for name in PER_MINUTE:
        assert f"answers {{instance=&#34;{name}&#34;}}" in page
        assert f'instance="{name}"' in markdown
        assert f"shop-answers {{instance=&quot;{name}&quot;}}" in junit


def test_nothing_measured_is_one_line(engine: Engine, tmp_path: Path) -> None:
    (one,) = reported(engine, tmp_path, windowed().replace("requests_total", "reqests_total")).objectives
    assert (one.group, one.sum_of, one.ruling.verdict) == ((), None, BudgetVerdict.NO_DATA)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            document(
                indicator=ratio("bad", "sum(rate(e_total[{{.window}}]))", "sum by (a) (rate(t_total[{{.window}}]))")
            ),
            "the query of bad events is not grouped, that of all events by (a)",
        ),
        (
            ANNOTATED.replace(": instance}", ": the-instance}"),
            "`the-instance` in `alert-harness/group-by` is no label name",
        ),
        (
            windowed("sum").replace(
                "  name: answers", "  name: answers\n  annotations: {alert-harness/group-by: zone}"
            ),
            "`alert-harness/group-by: zone`, but this query adds all groups up",
        ),
        (
            windowed().replace("  name: answers", "  name: answers\n  annotations: {alert-harness/group-by: zone}"),
            "`alert-harness/group-by: zone`, but this query groups by (instance)",
        ),
    ],
)
def test_groups_that_cannot_be(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert message in caught.value.message
    assert caught.value.span is not None
