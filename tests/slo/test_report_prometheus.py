"""Reports on a real Prometheus: the month of report_world, and worlds made for one question each."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from harness.choices.slo_report import ReportChoices
from harness.commands.slo_report import run
from harness.config import load_config
from harness.engines import Engine, Samples, make_labels
from harness.engines.process import ProcessEngine
from harness.errors import InputError
from harness.prometheus import ServerSettings
from harness.report.slo.html import slo_report_html
from harness.report.slo.json import slo_report_json
from harness.slo import Objective, load_objectives
from harness.slo.budget.buckets import Grid
from harness.slo.budget.history import History
from harness.slo.budget.judge import judge, make_report
from harness.slo.budget.observed import Counting
from harness.slo.budget.report import ObjectiveReport, SloReport
from harness.slo.budget.server import ServerClock
from harness.slo.budget.verdict import BudgetVerdict, Rules
from harness.slo.periods import Window, judged
from tests.slo import report_world as world
from tests.slo.report_world import DAY, END, MINUTE, START
from tests.slo.test_sli_counting import LIMIT, covered_seconds, expected, worlds

TARGET = {"job": "shop", "instance": "a:80"}


@pytest.fixture(scope="module")
def month(prometheus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, list[Objective]]]:
    with ProcessEngine(prometheus_path) as engine:
        world.write_month(engine)
        yield engine, world.objectives(tmp_path_factory.mktemp("slo"))


@pytest.fixture(scope="module")
def report(month: tuple[Engine, list[Objective]]) -> SloReport:
    engine, objectives = month
    return make_report(objectives, engine, None, END)


def of(report: SloReport, name: str) -> ObjectiveReport:
    return next(one for one in report.objectives if one.objective.name == name)


def sloth(tmp_path: Path, name: str, error: str, total: str, objective: str = "99.9") -> Objective:
    file = tmp_path / f"{name}.yml"
    file.write_text(
        f"version: prometheus/v1\nservice: {name}\nslos:\n  - name: it\n    objective: {objective}\n    sli:\n"
        f"      events:\n        error_query: '{error}'\n        total_query: '{total}'\n"
        f"    alerting: {{name: It}}\n",
        encoding="utf-8",
    )
    return load_objectives([file])[0]


def raw_sloth(tmp_path: Path, name: str, query: str) -> Objective:
    file = tmp_path / f"{name}.yml"
    file.write_text(
        f"version: prometheus/v1\nservice: {name}\nslos:\n  - name: it\n    objective: 99\n    sli:\n"
        f"      raw: {{error_ratio_query: '{query}'}}\n    alerting: {{name: It}}\n",
        encoding="utf-8",
    )
    return load_objectives([file])[0]


def write(
    engine: Engine, name: str, values: Sequence[float], begin: int = START, every: int = MINUTE, **labels: str
) -> None:
    times = [begin + i * every for i in range(len(values))]
    engine.write([Samples(make_labels(name, **TARGET, **labels), times, list(values))])


# -- the month ---------------------------------------------------------------------------------------------------------


def test_every_verdict_with_its_rule(report: SloReport) -> None:
    assert {one.objective.name: one.ruling.verdict for one in report.objectives} == {
        "checkout": BudgetVerdict.EXHAUSTED,
        "search": BudgetVerdict.AT_RISK,
        "login": BudgetVerdict.MET,
        "queue": BudgetVerdict.MET,
        "export": BudgetVerdict.MET,
        "mail": BudgetVerdict.NO_DATA,
    }
    assert of(report, "search").ruling.reason == "9.15 % of the error budget is left, less than 25 %"
    assert "23.3 % of the time was measured" in of(report, "mail").ruling.reason


def test_counts_are_those_that_were_written(report: SloReport) -> None:
    minutes = world.DAYS * 1440
    checkout = of(report, "checkout")
    assert checkout.whole.total == sum(world.daily(m, 900) for m in range(minutes))
    assert checkout.whole.measured_ms == world.DAYS * DAY
    assert checkout.provenance is not None
    assert checkout.provenance.counting is Counting.RAW
    search = of(report, "search")
    # A day is missing, yet its events stand between the samples around it.
    assert search.whole.total == sum(world.daily(m, 2000) for m in range(minutes))
    assert search.whole.measured_ms == world.DAYS * DAY - 1701 * MINUTE
    queue = of(report, "queue")
    assert queue.whole.bad == 50
    # Prometheus goes on answering with the last value for just under five minutes.
    assert queue.whole.total == minutes - 1700 + 4


def test_partial_history_says_from_when_it_counts(report: SloReport) -> None:
    mail, login = of(report, "mail"), of(report, "login")
    assert mail.counts_from_ms == END - 10_079 * MINUTE
    assert any(text.startswith("partial: counts from 2025-12-25 00:01 UTC") for text in mail.caveats)
    assert any("the period began at 2025-12-01 00:00 EST" in text for text in login.caveats)
    assert login.coverage > login.seen_of_period  # five hours of December are still to come
    assert any("low traffic" in text and "holds 3 bad ones" in text for text in of(report, "export").caveats)


def test_slices_are_no_traffic(month: tuple[Engine, list[Objective]]) -> None:
    engine, objectives = month
    queue = next(one for one in objectives if one.name == "queue")
    run = make_report([queue], engine, END - 10 * MINUTE, END, window=Window.RUN).objectives[0]
    assert run.allowed_bad < 1
    assert not any("traffic" in text for text in run.caveats)


def test_incidents_tell_their_cost(report: SloReport) -> None:
    checkout = of(report, "checkout")
    assert checkout.incidents is not None
    first, second = checkout.incidents.listed
    assert (first.start_ms - START) // MINUTE == 12_000
    assert (first.end_ms - first.start_ms) // MINUTE == 70
    written = sum(world.daily(m, 900) // 2 for m in range(12_000, 12_070))
    assert first.bad.bad == written
    assert first.cost == Fraction(written) / (Fraction(1, 1000) * checkout.whole.total)
    assert second.cost < first.cost


def test_the_burn_rate_alerts_of_the_workbook(report: SloReport) -> None:
    alerts = of(report, "checkout").alerts
    assert [(one.pair.severity, one.pair.label) for one in alerts] == [
        ("page", "1h/5m"), ("page", "6h/30m"), ("ticket", "1d/2h"), ("ticket", "3d/6h"),
    ]  # fmt: skip
    assert [one.times for one in alerts[:2]] == [2, 2]
    assert alerts[0].threshold == Fraction(144, 10_000)
    assert not any(one.firing for one in alerts)
    export = of(report, "export")  # 90 % × 14.4 can never fire
    assert [one.pair.label for one in export.alerts] == ["6h/30m", "1d/2h", "3d/6h"]
    assert any("the page alert 1h/5m can never fire" in text for text in export.caveats)


def test_the_same_data_give_the_same_bytes(month: tuple[Engine, list[Objective]], report: SloReport) -> None:
    engine, objectives = month
    again = make_report(objectives, engine, None, END)
    assert slo_report_json(again, []) == slo_report_json(report, [])
    assert slo_report_html(again) == slo_report_html(report)


def test_the_server_adds_up_what_is_too_wide_to_read(month: tuple[Engine, list[Objective]], report: SloReport) -> None:
    engine, objectives = month
    stretches = {one.objective.name: one.judged for one in report.objectives}
    for objective in objectives:
        if objective.name not in ("checkout", "login"):
            continue
        history = History(engine, ServerClock(END), most_raw_samples=1000)
        observed = history.read(objective, stretches[objective.name])
        assert observed.provenance.counting is Counting.GRID
        exact = of(report, objective.name).whole
        got = observed.events.whole()
        assert (got.total, got.bad) == (exact.total, exact.bad)  # no resets here


def test_what_the_server_adds_up_lacks_what_came_right_before_a_reset(shared_engine: Engine, tmp_path: Path) -> None:
    """As docs/slo-report.md says: here 7 of the events were counted between the last step and the reset."""
    write(shared_engine, "lost_total", [0, 10, 20, 27, 4, 14], every=MINUTE // 2, code="200")
    objective = sloth(
        tmp_path, "lost", 'sum(rate(lost_total{code="500"}[{{.window}}]))', "sum(rate(lost_total[{{.window}}]))"
    )
    stretch = judged(objective, START, START + 2 * MINUTE, Window.RUN)
    totals = [
        History(shared_engine, ServerClock(START + 2 * MINUTE), step_ms=MINUTE, most_raw_samples=most)
        .read(objective, stretch)
        .events.whole()
        .total
        for most in (1000, 1)
    ]
    assert totals == [31, 24]


def test_reading_in_other_pieces_changes_nothing(month: tuple[Engine, list[Objective]], report: SloReport) -> None:
    engine, objectives = month
    shares: list[float] = []
    again = make_report(objectives[:2], engine, None, END, progress=lambda _, share: shares.append(share))
    assert slo_report_json(again, []) == slo_report_json(replace(report, objectives=report.objectives[:2]), [])
    assert len(shares) > 10
    assert max(shares) == 1.0


def test_from_limits_what_is_read_and_says_so(month: tuple[Engine, list[Objective]]) -> None:
    engine, objectives = month
    one = make_report(objectives[:1], engine, END - 20 * DAY, END).objectives[0]
    assert one.whole.measured_ms == 20 * DAY
    assert one.coverage == Fraction(2, 3)
    assert any(text.startswith("partial: counts from 2025-12-12 00:00 UTC") for text in one.caveats)
    less = make_report(objectives[:1], engine, END - 10 * DAY, END).objectives[0]
    assert less.ruling.verdict is BudgetVerdict.NO_DATA  # a third of the period is below the floor
    judged_less = make_report(objectives[:1], engine, END - 10 * DAY, END, rules=Rules(Fraction(1, 4)))
    assert judged_less.objectives[0].ruling.verdict is not BudgetVerdict.NO_DATA


def test_the_run_itself_is_judged_by_what_happened_in_it(month: tuple[Engine, list[Objective]]) -> None:
    engine, objectives = month
    begin = START + 12_000 * MINUTE
    one = make_report(objectives[:1], engine, begin, begin + 70 * MINUTE, window=Window.RUN).objectives[0]
    assert one.whole.bad == sum(world.daily(m, 900) // 2 for m in range(12_000, 12_070))
    assert one.ruling.verdict is BudgetVerdict.EXHAUSTED
    assert one.seen_of_period == Fraction(70, 30 * 1440)
    assert any("nothing is extrapolated" in text for text in one.caveats)


def test_a_compressed_run_is_told_in_the_worlds_time(month: tuple[Engine, list[Objective]]) -> None:
    engine, objectives = month
    begin = START + 12_000 * MINUTE
    end = begin + 60 * MINUTE
    plain = make_report(objectives[:1], engine, begin, end, window=Window.RUN).objectives[0]
    fast = make_report(objectives[:1], engine, begin, end, window=Window.RUN, compress=60, gap_ms=180 * MINUTE)
    one = fast.objectives[0]
    assert one.judged.elapsed_ms == 60 * 60 * MINUTE
    assert (one.whole.total, one.whole.bad) == (plain.whole.total, plain.whole.bad)
    assert one.whole.measured_ms == 60 * plain.whole.measured_ms
    assert any("60 times as fast" in text for text in one.caveats)
    queue = next(o for o in objectives if o.name == "queue")
    begin = START + 19_990 * MINUTE
    ticks = make_report([queue], engine, begin, begin + 60 * MINUTE, window=Window.RUN, compress=60).objectives[0]
    assert ticks.whole.total == 3600  # a slice of a minute is a second of the run
    assert ticks.whole.bad == 50 * 60
    for off_ms in (0, 1, 59_999):  # slices of the period end where the run's clock has no whole millisecond
        end = begin + 60 * MINUTE + off_ms
        of_period = make_report([queue], engine, begin, end, window=Window.PERIOD, compress=60).objectives[0]
        assert 3599 <= of_period.whole.total <= 3660
        assert of_period.ruling.verdict is BudgetVerdict.NO_DATA  # two and a half days of thirty
    with pytest.raises(InputError, match="needs its beginning"):
        make_report(objectives, engine, None, end, compress=60)


def test_a_range_that_ends_before_it_begins_is_refused(month: tuple[Engine, list[Objective]]) -> None:
    engine, objectives = month
    with pytest.raises(InputError, match="not before its end"):
        make_report(objectives, engine, END, END)


# -- uneven traffic, against sloth -------------------------------------------------------------------------------------


def uneven_day(engine: Engine, name: str, wrong_hour: int) -> None:
    """16 h at 100 requests a second, 8 h at 1; one hour with every second request failing."""
    per_minute = [6000 if m < 960 else 60 for m in range(1440)]
    bad = [n // 2 if m // 60 == wrong_hour else 0 for m, n in enumerate(per_minute)]
    good = [n - b for n, b in zip(per_minute, bad, strict=True)]
    for code, counts in (("200", good), ("500", bad)):
        write(engine, name, world.counted(counts.__getitem__, 1440), code=code)


@pytest.mark.parametrize(("hour", "by_events"), [(5, Fraction(180_000, 5_788_800)), (20, Fraction(1_800, 5_788_800))])
def test_an_uneven_day_is_weighed_by_events(
    shared_engine: Engine, tmp_path: Path, hour: int, by_events: Fraction
) -> None:
    """3.11 % in a busy hour and 0.031 % in an idle one; the mean of ratios says 2.08 % for both."""
    name = f"uneven_{hour}_total"
    uneven_day(shared_engine, name, hour)
    objective = sloth(
        tmp_path, f"u{hour}", f'sum(rate({name}{{code="500"}}[{{{{.window}}}}]))', f"sum(rate({name}[{{{{.window}}}}]))"
    )
    report = make_report([objective], shared_engine, START, START + DAY, window=Window.RUN)
    one = report.objectives[0]
    assert one.whole.error_ratio == by_events
    assert (one.whole.total, one.whole.bad) == (5_788_800, 180_000 if hour == 5 else 1_800)
    ratio = f'sum(rate({name}{{code="500"}}[5m])) / sum(rate({name}[5m]))'
    mean = shared_engine.query(f"avg_over_time(({ratio})[1d:5m])", START + DAY)[0].values[0]
    assert abs(mean - 0.0208) < 0.0004


@pytest.mark.parametrize("window", ["1h", "6h"])
def test_on_even_traffic_burn_rates_equal_sloths(shared_engine: Engine, tmp_path: Path, window: str) -> None:
    """Where every minute is alike rate() has nothing to extrapolate wrongly."""
    name = f"even_{window}_total"
    for code, each in (("200", 990), ("500", 10)):
        write(shared_engine, name, [float(each * i) for i in range(1441)], code=code)
    objective = sloth(
        tmp_path,
        f"e{window}",
        f'sum(rate({name}{{code="500"}}[{{{{.window}}}}]))',
        f"sum(rate({name}[{{{{.window}}}}]))",
    )
    one = make_report([objective], shared_engine, START, START + DAY, window=Window.RUN).objectives[0]
    burning = next(a for a in one.alerts if a.pair.label.startswith(f"{window}/"))
    ratio = f'sum(rate({name}{{code="500"}}[{window}])) / sum(rate({name}[{window}])) / 0.001'
    assert burning.long is not None
    assert float(burning.long) == pytest.approx(shared_engine.query(ratio, START + DAY)[0].values[0], rel=1e-9)
    assert burning.long == 10


def test_increase_would_not_have_counted_this(shared_engine: Engine, tmp_path: Path) -> None:
    """Three events in a window that ends beside the last scrape; increase() says something else."""
    write(shared_engine, "few_total", [0, 0, 1, 1, 3, 3], code="500")
    write(shared_engine, "few_total", [0, 9, 20, 31, 44, 55], code="200")
    objective = sloth(
        tmp_path, "few", 'sum(rate(few_total{code="500"}[{{.window}}]))', "sum(rate(few_total[{{.window}}]))"
    )
    end = START + 5 * MINUTE + 20_000
    one = make_report([objective], shared_engine, START, end, window=Window.RUN).objectives[0]
    assert one.whole.bad == 3
    assert shared_engine.query('sum(increase(few_total{code="500"}[5m]))', end)[0].values[0] != 3


# -- against rational arithmetic ---------------------------------------------------------------------------------------

_numbers = itertools.count()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(worlds())
def test_what_is_reported_equals_rational_arithmetic_on_the_samples(
    shared_engine: Engine, tmp_path: Path, world_of: tuple[list, list, Grid, list[int]]
) -> None:
    """Written to a real Prometheus and read back in pieces: resets, gaps, births, and windows that cut anywhere."""
    every, bad, grid, _ = world_of
    name = f"any_{next(_numbers)}"
    wrong = {series for series, _ in bad}
    for series, samples in every:
        if samples:
            given_labels = make_labels(f"{name}_total", **TARGET, path=series, code="500" if series in wrong else "200")
            shared_engine.write([Samples(given_labels, [START + at for at, _ in samples], [v for _, v in samples])])
    objective = sloth(
        tmp_path,
        name,
        f'sum(rate({name}_total{{code="500"}}[{{{{.window}}}}]))',
        f"sum(rate({name}_total[{{{{.window}}}}]))",
    )
    begin, end = START + grid.start_ms, START + grid.end_ms
    one = make_report([objective], shared_engine, begin, end, window=Window.RUN, gap_ms=LIMIT).objectives[0]
    read = [(s, [(at, v) for at, v in samples if grid.start_ms - LIMIT < at <= grid.end_ms]) for s, samples in every]
    total, errors = (
        sum(expected([e for e in read if e[0] in names], read, grid.start_ms, grid.end_ms).values(), Fraction(0))
        for names in ({s for s, _ in every}, wrong)
    )
    assert (one.whole.total, one.whole.bad) == (total, errors)
    assert one.whole.measured_ms == covered_seconds(read, grid.start_ms, grid.end_ms) * 1000
    if one.trusted:
        assert one.left == 1 - errors / total / Fraction(1, 1000)


# -- ways to count -----------------------------------------------------------------------------------------------------


def test_resets_and_births(shared_engine: Engine, tmp_path: Path) -> None:
    write(shared_engine, "born_total", [100, 110, 5, 20, 30], code="200")
    write(shared_engine, "born_total", [2, 6], begin=START + 3 * MINUTE, code="500")
    objective = sloth(
        tmp_path, "born", 'sum(rate(born_total{code="500"}[{{.window}}]))', "sum(rate(born_total[{{.window}}]))"
    )
    one = make_report([objective], shared_engine, START, START + 4 * MINUTE, window=Window.RUN).objectives[0]
    assert one.whole.bad == 6
    assert one.whole.total == 10 + 5 + 15 + 10 + 6
    assert one.provenance is not None
    assert one.provenance.caveats.resets == 1


def test_a_query_that_is_no_sum_of_counters_is_estimated_and_says_so(shared_engine: Engine, tmp_path: Path) -> None:
    for code, each in (("200", 80), ("500", 20)):
        write(shared_engine, "odd_total", [float(each * i) for i in range(1441)], code=code)
    objective = sloth(
        tmp_path, "odd", 'sum(rate(odd_total{code="500"}[{{.window}}])) * 1', "sum(rate(odd_total[{{.window}}])) * 1"
    )
    one = make_report([objective], shared_engine, START, START + DAY, window=Window.RUN).objectives[0]
    assert one.provenance is not None
    assert one.provenance.counting is Counting.ESTIMATED
    assert float(one.whole.error_ratio or 0) == pytest.approx(0.2, rel=1e-9)
    assert float(one.whole.total) == pytest.approx(100 * 1440, rel=0.01)
    assert any("estimated" in text for text in one.caveats)


@pytest.mark.parametrize(
    "zero",
    ["Q or vector(0)", "Q OR on() vector(0)", "(Q) or (vector(0))", "Q or 0 * sum(rate(zero_total[{{.window}}]))"],
)
def test_a_zero_that_stands_in_for_no_series_changes_no_count(shared_engine: Engine, tmp_path: Path, zero: str) -> None:
    """What people write around sums so that they are never empty."""
    bad, total = 'sum(rate(zero_total{code="500"}[{{.window}}]))', "sum(rate(zero_total[{{.window}}]))"
    if not shared_engine.query("zero_total", START + 5 * MINUTE):
        write(shared_engine, "zero_total", [0, 0, 1, 1, 3, 3], code="500")
        write(shared_engine, "zero_total", [0, 9, 20, 31, 44, 55], code="200")
    objective = sloth(tmp_path, "zero", zero.replace("Q", bad), zero.replace("Q", total))
    one = make_report([objective], shared_engine, START, START + 5 * MINUTE, window=Window.RUN).objectives[0]
    assert one.provenance is not None
    assert (one.provenance.counting, one.whole.total, one.whole.bad) == (Counting.RAW, 58, 3)


def test_ready_made_ratios(shared_engine: Engine, tmp_path: Path) -> None:
    write(shared_engine, "ready_ratio", [0.0, 0.5] * 60 + [float("nan")] * 30)
    objective = raw_sloth(tmp_path, "ready", "avg_over_time(ready_ratio[{{.window}}])")
    one = make_report([objective], shared_engine, START, START + 119 * MINUTE, window=Window.RUN).objectives[0]
    assert float(one.whole.error_ratio or 0) == pytest.approx(0.25, abs=0.05)
    write(shared_engine, "percent_ratio", [25.0] * 120)
    wrong = raw_sloth(tmp_path, "percent", "avg_over_time(percent_ratio[{{.window}}])")
    broken = make_report([wrong], shared_engine, START, START + 119 * MINUTE, window=Window.RUN).objectives[0]
    assert broken.ruling.verdict is BudgetVerdict.NO_DATA
    assert "not between 0 and 1" in broken.ruling.reason


# -- edges -------------------------------------------------------------------------------------------------------------


def one_of(engine: Engine, tmp_path: Path, name: str, minutes: int = 60, begin: int = START) -> ObjectiveReport:
    objective = sloth(
        tmp_path,
        name,
        f'sum(rate({name}_total{{code="500"}}[{{{{.window}}}}]))',
        f"sum(rate({name}_total[{{{{.window}}}}]))",
    )
    return make_report([objective], engine, begin, begin + minutes * MINUTE, window=Window.RUN).objectives[0]


def test_an_empty_prometheus_is_no_data(engine: Engine, tmp_path: Path) -> None:
    one = one_of(engine, tmp_path, "nothing")
    assert (one.ruling.verdict, one.ruling.reason) == (BudgetVerdict.NO_DATA, "nothing was measured")
    assert any("no series at all" in text for text in one.caveats)
    assert "100 %" not in slo_report_html(SloReport((one,), START, END, Window.RUN)).partition("How verdicts")[0]


def test_no_error_series_yet_is_zero_errors(shared_engine: Engine, tmp_path: Path) -> None:
    write(shared_engine, "fine_total", [float(50 * i) for i in range(61)], code="200")
    one = one_of(shared_engine, tmp_path, "fine")
    assert (one.ruling.verdict, one.whole.bad, one.whole.total) == (BudgetVerdict.MET, 0, 3000)
    assert any("zero errors while the total exists" in text for text in one.caveats)


def test_no_traffic_is_neither_good_nor_bad(shared_engine: Engine, tmp_path: Path) -> None:
    write(shared_engine, "idle_total", [7.0] * 61, code="200")
    one = one_of(shared_engine, tmp_path, "idle")
    assert one.ruling.verdict is BudgetVerdict.NO_DATA
    assert one.coverage == 1
    assert "0 of 0" in one.ruling.reason


def test_all_gaps(shared_engine: Engine, tmp_path: Path) -> None:
    write(shared_engine, "gaps_total", [float(i) for i in range(7)], every=10 * MINUTE, code="200")
    one = one_of(shared_engine, tmp_path, "gaps")
    assert (one.ruling.verdict, one.coverage) == (BudgetVerdict.NO_DATA, 0)


def test_nan_and_infinity_are_left_out(shared_engine: Engine, tmp_path: Path) -> None:
    values = [float(i) for i in range(61)]
    values[20], values[21], values[30] = float("nan"), float("inf"), float("-inf")
    write(shared_engine, "strange_total", values, code="200")
    one = one_of(shared_engine, tmp_path, "strange")
    assert one.whole.total == 60
    assert any("3 samples are NaN" in text for text in one.caveats)


def test_more_bad_than_all_is_a_defect_and_no_number(shared_engine: Engine, tmp_path: Path) -> None:
    write(shared_engine, "mad_total", [float(10 * i) for i in range(61)], code="200")
    write(shared_engine, "mad_errors_total", [float(20 * i) for i in range(61)], code="500")
    objective = sloth(tmp_path, "mad", "sum(rate(mad_errors_total[{{.window}}]))", "sum(rate(mad_total[{{.window}}]))")
    one = make_report([objective], shared_engine, START, START + 60 * MINUTE, window=Window.RUN).objectives[0]
    assert one.ruling.verdict is BudgetVerdict.NO_DATA
    assert one.defects == ("more bad events (1,200) than events at all (600)",)
    document = json.loads(slo_report_json(SloReport((one,), START, END, Window.RUN), []))
    assert document["objectives"][0]["sli"] is None
    assert document["objectives"][0]["budget"]["left"] is None


def test_an_inverted_indicator_is_a_defect(shared_engine: Engine, tmp_path: Path) -> None:
    write(shared_engine, "upside_total", [float(10_000 * i) for i in range(61)], code="500")
    write(shared_engine, "upside_total", [float(i) for i in range(61)], code="200")
    one = one_of(shared_engine, tmp_path, "upside")
    assert one.ruling.verdict is BudgetVerdict.EXHAUSTED
    assert any("mixed up" in text for text in one.defects)


def test_old_data_are_told(shared_engine: Engine, tmp_path: Path) -> None:
    write(shared_engine, "stopped_total", [float(i) for i in range(61)], code="200")
    one = one_of(shared_engine, tmp_path, "stopped", minutes=90)
    assert any(text.startswith("the newest data are of") and "30m before the end" in text for text in one.caveats)


def test_what_the_server_refuses_makes_one_objective_no_data(shared_engine: Engine, tmp_path: Path) -> None:
    write(shared_engine, "twice_a", [1.0] * 61, side="x")
    write(shared_engine, "twice_b", [1.0] * 61, side="y")
    wrong = raw_sloth(tmp_path, "refused", "twice_a[{{.window}}]")
    good = one_of(shared_engine, tmp_path, "fine_beside")
    report = make_report([wrong, good.objective], shared_engine, START, START + 60 * MINUTE, window=Window.RUN)
    assert report.objectives[0].ruling.verdict is BudgetVerdict.NO_DATA
    assert "the server refuses the query" in report.objectives[0].ruling.reason
    assert len(report.objectives) == 2


def test_judging_is_pure(month: tuple[Engine, list[Objective]]) -> None:
    """What was read once may be judged again, by other rules."""
    engine, objectives = month
    stretch = judged(objectives[1], None, END, Window.PERIOD)
    observed = History(engine, ServerClock(END)).read(objectives[1], stretch)
    strict = judge(objectives[1], observed, stretch, Window.PERIOD, Rules(Fraction(99, 100)))
    lenient = judge(objectives[1], observed, stretch, Window.PERIOD, Rules(Fraction(1, 2), Fraction(1, 20)))
    assert (strict.ruling.verdict, strict.ruling.reason[:7]) == (BudgetVerdict.NO_DATA, "96.06 %")
    assert lenient.ruling.verdict is not BudgetVerdict.NO_DATA


# -- another lookback --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs_with", "setting", "code", "measured"),
    [
        (15, "", 0, 1.0),  # the server itself tells
        (15, 'lookback_delta = "15m"', 0, 1.0),
        (15, 'lookback_delta = "5m"', 2, None),
        (5, "", 1, 0.0),  # to a Prometheus that looks back five minutes there are only gaps
    ],
)
def test_what_a_gap_is_hangs_on_the_server_s_lookback(
    prometheus_path: Path, tmp_path: Path, runs_with: int, setting: str, code: int, measured: float | None
) -> None:
    """Ten minutes lie between two scrapes."""
    sloth(tmp_path, "rare", "sum(rate(bad_total[{{.window}}]))", "sum(rate(all_total[{{.window}}]))")
    (tmp_path / "alert-harness.toml").write_text(f"{setting}\n", encoding="utf-8")
    config = load_config(tmp_path, tmp_path / "alert-harness.toml")
    with ProcessEngine(prometheus_path, server=ServerSettings(lookback_ms=runs_with * MINUTE)) as engine:
        for name in ("bad_total", "all_total"):
            write(engine, name, [10.0 * i * (name == "all_total") for i in range(288)], every=10 * MINUTE)
        choices = ReportChoices(
            files=[str(tmp_path / "rare.yml")], prometheus=engine.url, page="none", json=str(tmp_path / "r.json"),
            begin=str(START // 1000), end=str((START + 287 * 10 * MINUTE) // 1000), window="run",
        )  # fmt: skip
        if code == 2:
            with pytest.raises(InputError, match="runs with 15m"):
                run(config, choices)
            return
        assert run(config, choices) == code
    (found,) = json.loads((tmp_path / "r.json").read_text("utf-8"))["objectives"]
    assert found["coverage"]["measured"] == pytest.approx(measured)
