"""Planned maintenance: what happened in it spends no budget, and its silence is no missing data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import jsonschema
import pytest

from harness.cli import main
from harness.engines import Engine, Samples, make_labels
from harness.engines.process import ProcessEngine
from harness.errors import InputError
from harness.report.slo.charts import spark
from harness.report.slo.html import slo_report_html
from harness.report.slo.json import slo_report_json
from harness.report.slo.markdown import slo_report_markdown
from harness.slo.budget.budget import utc
from harness.slo.budget.history import History
from harness.slo.budget.judge import make_report
from harness.slo.budget.maintenance import load_maintenance
from harness.slo.budget.observed import Counting
from harness.slo.budget.report import ObjectiveReport
from harness.slo.budget.server import ServerClock
from harness.slo.budget.verdict import BudgetVerdict
from harness.slo.periods import Window, judged
from tests.slo.report_world import MINUTE, START
from tests.slo.slo_bench import THRESHOLD, document, ratio, read
from tests.slo.test_report_page import SCHEMA

MINUTES = 240
END = START + MINUTES * MINUTE
FAILS, SILENT = (60, 90), (150, 180)
"""Minutes in which all fails, and in which nothing is scraped."""


@pytest.fixture(scope="module")
def engine(prometheus_path: Path) -> Iterator[Engine]:
    with ProcessEngine(prometheus_path) as engine:
        at, counts, depth = [], {"200": [0.0], "500": [0.0]}, []
        for half in range(2 * MINUTES + 1):
            fails = FAILS[0] * 2 < half <= FAILS[1] * 2
            for code, values in counts.items():
                if half:
                    values.append(values[-1] + 5 * ((code == "500") == fails))
            if not SILENT[0] * 2 < half < SILENT[1] * 2:
                at.append(half)
                depth.append(20.0 if fails else 1.0)
        times = [START + half * MINUTE // 2 for half in at]
        for code, values in counts.items():
            labels = make_labels("requests_total", job="shop", instance="a", code=code)
            engine.write([Samples(labels, times, [values[half] for half in at])])
        engine.write([Samples(make_labels("depth", job="shop", instance="a"), times, depth)])
        yield engine


def planned(tmp_path: Path, *entries: str) -> Path:
    file = tmp_path / "maintenance.yml"
    file.write_text("maintenance:\n" + "".join(f"  - {entry}\n" for entry in entries), encoding="utf-8")
    return file


def entry(minutes: tuple[int, int], more: str = "") -> str:
    begin, end = (utc(START + at * MINUTE) for at in minutes)
    return f"{{from: {begin}, to: {end}{more}}}"


EVENTS = document(indicator=ratio("bad", 'requests_total{code="500"}', "requests_total"))
SHAPES = {
    "events": EVENTS,
    "slices": EVENTS.replace("Occurrences", "Timeslices").replace(
        "{target: 0.999}", "{target: 0.999, timeSliceTarget: 0.9, timeSliceWindow: 5m}"
    ),
    "estimated": document(
        indicator=ratio(
            "bad",
            'sum(rate(requests_total{code="500"}[{{.window}}])) * 1',
            "sum(rate(requests_total[{{.window}}])) * 1",
        )
    ),
    "ticks": document(indicator=THRESHOLD.format(query="max(depth)"), goal="{op: lt, value: 10, target: 0.999}"),
}


def reported(engine: Engine, tmp_path: Path, text: str, *entries: str) -> ObjectiveReport:
    maintenance = load_maintenance(planned(tmp_path, *entries)) if entries else ()
    objectives = read(tmp_path, text)
    return make_report(objectives, engine, START, END, window=Window.RUN, maintenance=maintenance).objectives[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_failure_in_it_spends_nothing_and_its_time_is_not_missing(engine: Engine, tmp_path: Path, shape: str) -> None:
    told = reported(engine, tmp_path, SHAPES[shape])
    assert told.ruling.verdict is BudgetVerdict.EXHAUSTED
    margin = (FAILS[0] - 5, FAILS[1] + 5)  # rates of five minutes see what was just before them
    excused = reported(engine, tmp_path, SHAPES[shape], entry(margin if shape == "estimated" else FAILS), entry(SILENT))
    assert (excused.ruling.verdict, excused.whole.bad, excused.left) == (BudgetVerdict.MET, 0, 1)
    assert excused.coverage > Fraction(97, 100) > told.coverage
    assert excused.whole.total < told.whole.total


def test_of_events_every_other_one_counts(engine: Engine, tmp_path: Path) -> None:
    told, excused = (reported(engine, tmp_path, EVENTS, *entries) for entries in ((), (entry(FAILS),)))
    assert (told.whole.total, told.whole.bad) == (MINUTES * 10, 300)
    assert (excused.whole.total, excused.whole.bad) == (MINUTES * 10 - 300, 0)
    assert excused.whole.measured_ms == told.whole.measured_ms - 30 * MINUTE
    # Half of it: the rest is spent, of a budget that is that of the rest.
    half = reported(engine, tmp_path, EVENTS, entry((FAILS[0], 75)))
    assert (half.whole.total, half.whole.bad) == (MINUTES * 10 - 150, 150)
    assert half.left == 1 - Fraction(150, MINUTES * 10 - 150) * 1000


def test_what_came_over_a_gap_is_excused_if_some_of_it_may_have_been_in_it(engine: Engine, tmp_path: Path) -> None:
    whole = reported(engine, tmp_path, EVENTS)
    assert whole.provenance is not None
    assert whole.provenance.caveats.after_gaps == 300
    excused = reported(engine, tmp_path, EVENTS, entry((160, 170)))
    assert excused.whole.total == whole.whole.total - 300
    assert excused.gaps == (
        (START + 150 * MINUTE, START + 160 * MINUTE), (START + 170 * MINUTE, START + 180 * MINUTE)
    )  # fmt: skip


def test_the_server_adds_up_without_it(engine: Engine, tmp_path: Path) -> None:
    (objective,) = read(tmp_path, EVENTS)
    cut = ((START + FAILS[0] * MINUTE, START + FAILS[1] * MINUTE),)
    stretch = replace(judged(objective, START, END, Window.RUN), left_out=cut)
    observed = History(engine, ServerClock(END), most_raw_samples=100).read(objective, stretch)
    assert observed.provenance.counting is Counting.GRID
    assert observed.events.whole().bad == 0


def test_all_of_the_time_is_no_data(engine: Engine, tmp_path: Path) -> None:
    one = reported(engine, tmp_path, EVENTS, entry((-10, MINUTES + 10)))
    assert (one.ruling.verdict, one.ruling.reason) == (BudgetVerdict.NO_DATA, "all of the time was planned maintenance")


def test_only_those_that_it_names_are_excused(engine: Engine, tmp_path: Path) -> None:
    both = read(tmp_path, EVENTS, EVENTS.replace("name: answers", "name: other"))
    file = planned(tmp_path, entry(FAILS, ", objectives: [answ*]"), entry(SILENT, ", objectives: [shop-o?her]"))
    report = make_report(both, engine, START, END, window=Window.RUN, maintenance=load_maintenance(file))
    assert [one.whole.bad for one in report.objectives] == [0, 300]
    assert [len(one.maintenance) for one in report.objectives] == [1, 1]


def test_every_document_states_it_and_the_page_draws_it(engine: Engine, tmp_path: Path) -> None:
    file = planned(tmp_path, entry(FAILS, ", reason: database <move>"))
    objectives = read(tmp_path, EVENTS)
    report = make_report(
        objectives, engine, START, END, window=Window.RUN, maintenance=load_maintenance(file)
    )  # fmt: skip
    said = "lanned maintenance is left out, 30m: 2025-12-02 01:00 UTC to 2025-12-02 01:30 UTC"
    page = slo_report_html(report)
    assert f"{said} (database &lt;move&gt;)" in page
    assert page.count('<path class="planned"') == 3  # two charts and their key
    assert said in slo_report_markdown(report)
    assert spark(report.objectives[0]) == "M0 2H30M45 2H75M90 2H120"  # level up to each of them
    document_ = json.loads(slo_report_json(report, []))
    jsonschema.validate(document_, SCHEMA)
    assert document_["objectives"][0]["maintenance"] == [
        {"from": "2025-12-02T01:00:00Z", "to": "2025-12-02T01:30:00Z", "reason": "database <move>"}
    ]
    assert '<path class="planned"' not in slo_report_html(
        make_report(objectives, engine, START, END, window=Window.RUN)
    )


@pytest.mark.parametrize(
    ("text", "message", "shown"),
    [
        ("from: 2026-03-01, to: 2026-03-02T00:00:00Z", "`from` is `2026-03-01`, no moment of RFC 3339", "2026-03-01"),
        ("from: 2026-03-01T00:00:00, to: 2026-03-02T00:00:00Z", "no moment of RFC 3339", "2026-03-01T00:00:00"),
        ("from: 2026-02-30T00:00:00Z, to: 2026-03-02T00:00:00Z", "no moment of RFC 3339", "2026-02-30T00:00:00Z"),
        (
            "from: 2026-03-02T00:00:00Z, to: 2026-03-02T01:00:00+01:00",
            "ends before it begins",
            "2026-03-02T01:00:00+01:00",
        ),
        ("form: 2026-03-01T00:00:00Z, to: 2026-03-02T00:00:00Z", "did you mean `from`?", "form"),
        ("from: 2026-03-01T00:00:00Z, to: 2026-03-02T00:00:00Z, objectives: []", "excuses none", "objectives"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(tmp_path: Path, text: str, message: str, shown: str) -> None:
    file = planned(tmp_path, f"{{{text}}}")
    with pytest.raises(InputError) as caught:
        load_maintenance(file)
    assert message in caught.value.message
    span = caught.value.span
    assert span is not None
    assert file.read_text().splitlines()[span.line - 1][span.column - 1 :].startswith(shown)
    assert caught.value.hint


def test_the_setting_and_the_option_and_a_glob_that_fits_none(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slo").mkdir()
    (tmp_path / "slo" / "slo.yml").write_text(EVENTS, encoding="utf-8")
    planned(tmp_path, entry(FAILS, ", objectives: [anwsers]"), entry(FAILS))
    command = ["slo", "report", "--prometheus", engine.url, "--from", utc(START), "--to", utc(END), "--window", "run",
               "--report", "none"]  # fmt: skip
    assert main(command) == 1
    assert main([*command, "--maintenance", "maintenance.yml"]) == 0
    assert "`anwsers` fits none of the objectives (did you mean `answers`?)" in capsys.readouterr().err
    (tmp_path / "alert-harness.toml").write_text('maintenance = "maintenance.yml"\n', encoding="utf-8")
    assert main(command) == 0
    assert main([*command, "--maintenance", "missing.yml"]) == 2
