"""Objectives of every format as OpenSLO documents: the same objective, the same rules, and nothing replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cli import main
from harness.errors import EXIT_INPUT, EXIT_OK, Span
from harness.slo import Objective, load_objectives
from harness.slo.compile.rules import compile_objectives
from harness.slo.compile.write import rules_yaml
from harness.slo.model import (
    Alerting,
    BurnPair,
    Calendar,
    Events,
    IndicatorQuery,
    Metadata,
    Occurrences,
    RatioTimeslices,
    RawRatio,
    Rolling,
    SeverityAlert,
    ThresholdIndicator,
    ThresholdOp,
    Timeslices,
    WindowPlacement,
)
from harness.slo.spec import convert as conversion
from harness.slo.spec.convert import convert, in_openslo
from harness.slo.spec.openslo.write import slo_document
from harness.source import Text
from tests.slo.slo_bench import THRESHOLD, document, read

ROOT = Path(__file__).resolve().parents[2]

SERVICE = "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: shop, displayName: The shop}\nspec: {}\n"

SLOTH = """\
version: prometheus/v1
service: myservice
labels: {owner: myteam, tier: "2"}
slos:
  - name: requests-availability
    objective: 99.9
    description: Requests that are answered.
    labels: {tier: "1"}
    sli:
      events:
        error_query: sum(rate(METRIC_count{code=~"(5..|429)"}[{{.window}}]))
        total_query: sum(rate(METRIC_count[{{.window}}]))
    alerting:
      name: MyServiceHighErrorRate
      min_events: 10
      labels: {category: availability}
      annotations: {summary: "High error rate, of {{ $labels.sloth_slo }}"}
      page_alert: {labels: {severity: pageteam}, for: 2m}
      ticket_alert: {disable: true}
      no_data_alert: {labels: {severity: slack}}
  - name: ready-made
    objective: 99
    sli: {raw: {error_ratio_query: "avg_over_time(ratio_of_errors[{{.window}}])"}}
    alerting: {}
"""


def converted(objectives: Sequence[Objective]) -> str:
    """All documents in one text, none of which may be missing."""
    found = convert(objectives)
    assert not found.unsaid
    return "---\n".join([found.services] * bool(found.services) + [text for _, text in found.documents])


# -- the same objective ------------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x85\u2028\u2029\ufeff"), max_size=20)
FILLED = WORDS.filter(lambda text: bool(text.strip()))
KEYS = st.sampled_from(["a", "team", "x.y", "x-y", "Z_9", "0", "null", "yes"])
TEXTS = st.dictionaries(KEYS, WORDS, max_size=3)
RATIOS = st.decimals("0.0001", "0.9999", places=4).map(Fraction)
MINUTES = st.integers(1, 100_000).map(lambda count: count * 60_000)


def _query(expr: str, reading: WindowPlacement) -> IndicatorQuery:
    return IndicatorQuery(expr, reading, Text(expr, Span("", 1, 1)), "Prometheus", None)


def _selector(name: str) -> st.SearchStrategy[str]:
    return WORDS.map(lambda value: f"{name}{{a={_quoted(value)}}}")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _first_day(moment: datetime) -> datetime:
    return moment.replace(day=1, microsecond=0)


@st.composite
def objectives(draw: st.DrawFn) -> Objective:
    reading = draw(st.sampled_from([WindowPlacement.COUNTER, WindowPlacement.GAUGE]))
    total = _query(draw(_selector("all_total")), reading)
    part = _query(draw(_selector("part_total")), reading)
    instant = _query(draw(_selector("value")), WindowPlacement.INSTANT)
    indicator = draw(
        st.sampled_from(
            [
                Events(total, good=part),
                Events(total, bad=part),
                RawRatio(instant, True),
                RawRatio(instant, False),
                ThresholdIndicator(
                    instant, draw(st.sampled_from(ThresholdOp)), draw(st.decimals(-9, 9, places=3).map(Fraction))
                ),
            ]
        )
    )
    settings_of = st.builds(
        SeverityAlert, labels=TEXTS, annotations=TEXTS, hold_ms=st.none() | MINUTES, disabled=st.booleans()
    )
    pairs = st.builds(
        BurnPair, severity=FILLED, long_ms=MINUTES, short_ms=st.none(),
        factor=st.decimals("0.01", 99, places=2).map(Fraction), hold_ms=st.just(0) | MINUTES,
    )  # fmt: skip
    return Objective(
        name=draw(FILLED),
        service=draw(FILLED),
        target=draw(RATIOS),
        period=draw(
            st.builds(Rolling, MINUTES)
            | st.builds(
                Calendar, st.sampled_from([1, 2, 3, 12]), st.just(0),
                st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 28)).map(_first_day),
                st.sampled_from(["UTC", "Europe/Berlin"]),
            )
        ),
        indicator=indicator,
        budgeting=draw(
            st.just(Occurrences()) | st.builds(Timeslices, RATIOS, MINUTES) | st.builds(RatioTimeslices, MINUTES)
        ),
        alerting=draw(
            st.builds(
                Alerting, name=st.none() | FILLED, labels=TEXTS, annotations=TEXTS,
                severities=st.dictionaries(st.sampled_from(["page", "ticket"]), settings_of),
                pairs=st.none() | st.lists(pairs, min_size=1, max_size=2).map(tuple), min_events=st.integers(0, 9),
            )
        ),
        display_name=draw(WORDS),
        description=draw(WORDS),
        labels=draw(st.dictionaries(KEYS, WORDS | st.lists(WORDS, max_size=3).map(tuple), max_size=3)),
        annotations=draw(TEXTS),
        goal=draw(WORDS),
        indicator_about=draw(st.just(Metadata()) | st.builds(Metadata, FILLED, WORDS, WORDS, TEXTS, TEXTS)),
        service_about=Metadata(),
        spec=draw(st.sampled_from(["openslo/v1", "prometheus/v1"])),
    )  # fmt: skip


@given(objectives())
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_what_is_written_reads_back_as_the_same_objective(tmp_path: Path, objective: Objective) -> None:
    file = tmp_path / "slo.yml"
    file.write_text(converted([objective]), encoding="utf-8")
    assert load_objectives([file]) == [in_openslo(objective)]


def test_services_are_written_once(tmp_path: Path) -> None:
    found = read(tmp_path, SERVICE, document("answers"), document("pages"))
    text = converted(found)
    assert text.count("kind: Service") == 1
    assert read(tmp_path, text) == found


def test_thresholds_and_slices_survive(tmp_path: Path) -> None:
    text = document(
        indicator=THRESHOLD.format(query="sum(depth)"),
        method="Timeslices",
        goal="{op: lte, value: 0.1, target: 0.99, timeSliceTarget: 0.5, timeSliceWindow: 5}",
    )
    (objective,) = read(tmp_path, text)
    assert objective.budgeting == Timeslices(Fraction(1, 2), 300_000)
    assert read(tmp_path, converted([objective])) == [objective]


def test_sloths_objectives_give_the_same_rules(tmp_path: Path) -> None:
    found = read(tmp_path, SLOTH, name="sloth.yml")
    again = read(tmp_path, converted(found), name="openslo.yml")
    assert again == [in_openslo(one) for one in found]
    rules, same = (rules_yaml(compile_objectives(some)) for some in (found, again))
    assert rules.count("sloth_spec: prometheus/v1") == 2
    assert rules.replace("sloth_spec: prometheus/v1", "sloth_spec: openslo/v1") == same


def test_the_projects_own_objectives(tmp_path: Path) -> None:
    own = load_objectives(sorted((ROOT / "slo").glob("*.yml")))
    assert read(tmp_path, converted(own)) == [in_openslo(one) for one in own]


def test_a_document_that_would_mean_something_else_is_not_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "slo_document", lambda one: slo_document(replace(one, target=Fraction(1, 2))))
    found = convert(read(tmp_path, document()))
    assert not found.documents
    (error,) = found.unsaid
    assert "OpenSLO cannot say `answers`: as a document it would mean something else" in str(error)
    assert "slo.yml:4:9" in str(error)


# -- the command -------------------------------------------------------------------------------------------------------


def test_a_folder_has_a_file_for_each_and_nothing_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("slo.yml").write_text(f"{SERVICE}---\n{document()}", encoding="utf-8")
    for _ in range(2):  # what is there already is the same
        assert main(["slo", "convert", "slo.yml", "-o", "out"]) == EXIT_OK
        assert capsys.readouterr().err == "1 objective in out: 2 files written\n"
    files = sorted(Path("out").iterdir())
    assert [file.name for file in files] == ["services.yml", "shop-answers.yml"]
    assert load_objectives(files) == [in_openslo(one) for one in load_objectives([Path("slo.yml")])]
    files[1].write_text("mine\n", encoding="utf-8")
    files[0].unlink()
    assert main(["slo", "convert", "slo.yml", "-o", "out"]) == EXIT_INPUT
    assert "out/shop-answers.yml is there already and holds something else" in capsys.readouterr().err
    assert [file.read_text(encoding="utf-8") for file in Path("out").iterdir()] == ["mine\n"]


def test_two_objectives_of_one_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("slo.yml").write_text(f"{document()}---\n{document('Answers')}", encoding="utf-8")
    assert main(["slo", "convert", "slo.yml", "-o", "out"]) == EXIT_INPUT
    assert "two files would be named shop-answers.yml" in capsys.readouterr().err
    assert not Path("out").exists()
