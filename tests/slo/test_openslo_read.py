"""OpenSLO documents as objectives, and objectives as documents."""

from __future__ import annotations

import json
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.commands.objectives import load
from harness.config import load_config
from harness.errors import InputError
from harness.slo import load_objectives
from harness.slo.calendar import bounds_ms
from harness.slo.compile.rules import compile_objectives
from harness.slo.model import (
    BurnPair,
    Calendar,
    Events,
    Metadata,
    Rolling,
    Timeslices,
    WindowPlacement,
)
from harness.slo.spec.convert import convert
from tests.slo.slo_bench import document, ratio, read

ROOT = Path(__file__).resolve().parents[2]

REFERENCES = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: pages
  displayName: Pages
  labels: {team: web, tags: [a, b]}
  annotations: {example.com/owner: web}
spec:
  description: Pages are there.
  service: shop
  indicatorRef: page-requests
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - {displayName: Internal, target: 0.995}
    - {displayName: Contract, targetPercent: 99}
  alertPolicies: [{alertPolicyRef: fast}]
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: page-requests, displayName: Page requests}
spec:
  description: Requests for pages.
  ratioMetric:
    counter: true
    good: {metricSource: {metricSourceRef: main, spec: {query: 'sum(pages_total{code!~"5.."})'}}}
    total: {metricSource: {metricSourceRef: main, spec: {query: 'sum(pages_total)'}}}
---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: main}
spec: {type: Prometheus, connectionDetails: {url: "http://x", password: [anything, {goes: here}]}}
---
apiVersion: openslo/v1
kind: Service
metadata: {name: shop, displayName: The shop}
spec: {description: It sells.}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: fast}
spec:
  alertWhenBreaching: true
  conditions: [{conditionRef: burning}]
  notificationTargets: [{targetRef: on-call}]
---
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: burning}
spec:
  severity: page
  condition: {kind: burnrate, threshold: 2.5, lookbackWindow: 1h, alertAfter: 5m}
---
apiVersion: openslo/v1
kind: AlertNotificationTarget
metadata: {name: on-call}
spec: {target: email}
"""


def test_every_reference_is_resolved_and_all_metadata_kept(tmp_path: Path) -> None:
    one, two = read(tmp_path, REFERENCES)
    assert (one.name, two.name) == ("pages-internal", "pages-contract")
    assert (one.target, two.target) == (Fraction(995, 1000), Fraction(99, 100))
    assert one.period == Rolling(28 * 86_400_000)
    assert one.labels == {"team": "web", "tags": ("a", "b")}
    assert one.annotations == {"example.com/owner": "web"}
    assert one.service_about == Metadata("shop", "The shop", "It sells.")
    assert one.indicator_about == Metadata("page-requests", "Page requests", "Requests for pages.")
    assert one.alerting.labels == {"notification_target": "on-call"}
    assert one.alerting.pairs == (BurnPair("page", 3_600_000, None, Fraction(5, 2), 300_000),)
    assert isinstance(one.indicator, Events)
    assert one.indicator.good is not None
    assert (one.indicator.good.expr, one.indicator.good.source_ref, one.indicator.good.source_type) == (
        'sum(pages_total{code!~"5.."})', "main", "Prometheus",
    )  # fmt: skip


def test_references_reach_into_other_files(tmp_path: Path) -> None:
    parts = REFERENCES.split("---\n")
    files = []
    for i, part in enumerate(parts):
        files.append(tmp_path / f"{i}.yml")
        files[-1].write_text(part, encoding="utf-8")
    assert [objective.name for objective in load_objectives(files)] == ["pages-internal", "pages-contract"]
    with pytest.raises(
        InputError, match=r"no document of kind SLI is named `page-requests` \(did you mean `page-request`"
    ):
        read(tmp_path, REFERENCES.replace("name: page-requests,", "name: page-request,"))


def test_a_list_is_its_documents(tmp_path: Path) -> None:
    """As go-sdk writes them, in YAML and in JSON, which is YAML."""
    documents = [yaml.safe_load(text) for text in (document("one"), document("two"))]
    for name, text in (("a.yml", yaml.safe_dump(documents)), ("a.json", json.dumps(documents, indent=2))):
        assert [objective.name for objective in read(tmp_path, text, name=name)] == ["one", "two"]


def test_policies_conditions_and_targets_can_be_named(tmp_path: Path) -> None:
    text = (
        REFERENCES.replace("{alertPolicyRef: fast}", "fast")
        .replace("{conditionRef: burning}", "burning")
        .replace("{targetRef: on-call}", "{name: on-call}")
    )
    assert text.count("Ref: ") == REFERENCES.count("Ref: ") - 3
    assert read(tmp_path, text) == read(tmp_path, REFERENCES)


def test_gte_fires_at_the_threshold_too(tmp_path: Path) -> None:
    text = document(policies=[("2", "1h")]).replace("kind: burnrate,", "kind: burnrate, op: gte,")
    (objective,) = read(tmp_path, text)
    (pair,) = objective.alerting.pairs or ()
    assert pair.inclusive
    assert pair.burns(pair.threshold(objective.target), objective.target)
    (group,) = compile_objectives([objective])
    assert group.burn_alerts[0].expr.endswith(">= 0.002")
    ((_, text_again),) = convert([objective]).documents
    assert read(tmp_path, text_again)[0].alerting.pairs == objective.alerting.pairs
    (usual,) = read(tmp_path, text.replace("gte", "gt"))[0].alerting.pairs or ()
    assert not usual.inclusive
    assert not usual.burns(usual.threshold(objective.target), objective.target)


def test_promql_is_nobl9s_word_for_query(tmp_path: Path) -> None:
    text = document()
    assert read(tmp_path, text.replace("spec: {query:", "spec: {promql:")) == read(tmp_path, text)


def test_an_operator_beside_a_ratio_is_told_and_ignored(tmp_path: Path) -> None:
    text = document(goal="{target: 0.999, op: gt}")
    (objective,) = read(tmp_path, text)
    assert [objective] == read(tmp_path, document())
    (notice,) = objective.notices
    assert "`op` means nothing with a `ratioMetric`" in notice.message
    assert notice.span is not None
    assert text.splitlines()[notice.span.line - 1][notice.span.column - 1 :].startswith("op: gt")
    with pytest.raises(InputError, match="`op` is `more`"):
        read(tmp_path, document(goal="{target: 0.999, op: more}"))


def test_the_period_of_those_that_name_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line's, else the settings'; sloth's files have it too, and a `timeWindow` overrides both."""
    (tmp_path / "slo.yml").write_text(document().replace("  timeWindow:\n    - {duration: 30d, isRolling: true}\n", ""))
    (tmp_path / "alert-harness.toml").write_text('slo_period = "14d"\nobjectives = ["slo.yml"]\n')
    monkeypatch.chdir(tmp_path)
    config = load_config(tmp_path)
    assert load(config, [])[0].period == Rolling(14 * 86_400_000)
    assert load(config, [], "7d")[0].period == Rolling(7 * 86_400_000)
    (tmp_path / "slo.yml").write_text(document())
    assert load(config, [], "7d")[0].period == Rolling(30 * 86_400_000)
    (tmp_path / "alert-harness.toml").write_text('objectives = ["slo.yml"]\nslo_period = "a month"\n')
    with pytest.raises(InputError, match="`slo_period`: ") as caught:
        load(load_config(tmp_path), [])
    assert caught.value.span is not None
    assert caught.value.span.line == 2


def test_documents_that_nobody_refers_to_are_checked_too(tmp_path: Path) -> None:
    wrong = "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: x}\nspec: {descripton: x}\n"
    with pytest.raises(InputError, match=r"did you mean `description`"):
        read(tmp_path, document(), wrong)


def test_our_own_objectives() -> None:
    """The service's five promises, as numbers; the first a second time by the calendar month."""
    found = {o.name: o for o in load_objectives(sorted((ROOT / "slo").glob("*.yml")))}
    assert {name: str(o.target) for name, o in found.items()} == {
        "api-availability": "999/1000",
        "api-availability-month": "999/1000",
        "api-latency": "99/100",
        "camera-fleet": "99/100",
        "recordings": "999/1000",
        "stream-availability": "199/200",
    }
    assert all(o.period.nominal_ms == 30 * 86_400_000 for o in found.values())
    assert found["camera-fleet"].budgeting == Timeslices(Fraction(1), 60_000)
    assert found["camera-fleet"].indicator.threshold == Fraction(1, 5)
    assert all(o.service == "streaming" for o in found.values())


@pytest.mark.parametrize(
    ("calendar", "at", "begin", "end"),
    [
        (Calendar(1, 0, datetime(2026, 1, 1), "UTC"), "2026-02-28T23:59:59+00:00", "2026-02-01", "2026-03-01"),
        (
            Calendar(1, 0, datetime(2026, 1, 15, 12), "UTC"),
            "2026-03-15T11:59:59+00:00",
            "2026-02-15T12",
            "2026-03-15T12",
        ),
        (Calendar(3, 0, datetime(2026, 1, 1), "UTC"), "2025-12-31T00:00:00+00:00", "2025-10-01", "2026-01-01"),
        (Calendar(12, 0, datetime(2024, 4, 1), "UTC"), "2026-03-31T00:00:00+00:00", "2025-04-01", "2026-04-01"),
        (Calendar(0, 7, datetime(2026, 1, 5), "UTC"), "2026-01-04T12:00:00+00:00", "2025-12-29", "2026-01-05"),
    ],
)
def test_calendar_periods(calendar: Calendar, at: str, begin: str, end: str) -> None:
    ms = round(datetime.fromisoformat(at).timestamp() * 1000)
    utc = [round(datetime.fromisoformat(f"{text}+00:00" if "T" not in text else f"{text}:00+00:00").timestamp() * 1000)
           if "T" in text else round(datetime.fromisoformat(f"{text}T00:00:00+00:00").timestamp() * 1000)
           for text in (begin, end)]  # fmt: skip
    assert bounds_ms(calendar, ms) == tuple(utc)


def test_a_day_on_which_the_clock_is_put_back_has_25_hours() -> None:
    berlin = Calendar(0, 1, datetime(2026, 1, 1), "Europe/Berlin")
    noon = round(datetime.fromisoformat("2026-10-25T12:00:00+01:00").timestamp() * 1000)
    begin, end = bounds_ms(berlin, noon)
    assert end - begin == 25 * 3_600_000


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2035, 1, 1)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
    st.sampled_from([(1, 0), (3, 0), (12, 0), (0, 1), (0, 7)]),
    st.integers(1, 28),
)
@settings(deadline=None, max_examples=100)
def test_every_moment_lies_in_one_period_and_periods_join(
    at: datetime, zone: str, length: tuple[int, int], day: int
) -> None:
    calendar = Calendar(*length, datetime(2026, 1, day, 3), zone)
    ms = round(at.timestamp() * 1000)
    begin, end = bounds_ms(calendar, ms)
    assert begin <= ms < end
    assert bounds_ms(calendar, begin) == (begin, end)
    assert bounds_ms(calendar, end)[0] == end
    assert bounds_ms(calendar, begin - 1)[1] == begin


def test_a_windowed_query_may_stand_in_openslo(tmp_path: Path) -> None:
    indicator = ratio("bad", "sum(rate(errors_total[{{ .window }}]))", "sum(rate(requests_total[{{.window}}]))")
    (objective,) = read(tmp_path, document(indicator=indicator))
    assert isinstance(objective.indicator, Events)
    assert objective.indicator.total.reading is WindowPlacement.WINDOWED
