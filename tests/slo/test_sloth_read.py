"""sloth's prometheus/v1 files, and our rules beside sloth's own on the same ticks."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from harness.engines.base import Engine
from harness.errors import HarnessError, InputError, UnsupportedError
from harness.slo import load_objectives
from harness.slo.compile.rules import compile_objectives
from harness.slo.compile.series import error_ratio
from harness.slo.model import Events, RawRatio, Rolling, WindowPlacement
from tests.slo.slo_bench import MINUTE_MS, play, ticks, unique, write_series

# As in sloth's "getting started": https://sloth.dev/introduction/
EXAMPLE = """\
version: prometheus/v1
service: myservice
labels:
  owner: myteam
  tier: "2"
slos:
  - name: requests-availability
    objective: 99.9
    description: Requests that are answered.
    labels: {tier: "1"}
    sli:
      events:
        error_query: sum(rate(METRIC_count{job="myservice",code=~"(5..|429)"}[{{.window}}]))
        total_query: sum(rate(METRIC_count{job="myservice"}[{{.window}}]))
    alerting:
      name: MyServiceHighErrorRate
      labels: {category: availability}
      annotations: {summary: High error rate}
      page_alert: {labels: {severity: pageteam}}
      ticket_alert: {labels: {severity: slack}}
"""


def _load(tmp_path: Path, text: str, **options: int) -> list:
    file = tmp_path / "sloth.yml"
    file.write_text(text, encoding="utf-8")
    return load_objectives([file], **options)


def test_the_example(tmp_path: Path) -> None:
    (objective,) = _load(tmp_path, EXAMPLE)
    assert objective.id == "myservice-requests-availability"
    assert objective.target == Fraction(999, 1000)
    assert objective.period == Rolling(30 * 86_400_000)
    assert objective.labels == {"owner": "myteam", "tier": "1"}
    assert isinstance(objective.indicator, Events)
    assert objective.indicator.bad is not None
    assert objective.indicator.bad.reading is WindowPlacement.WINDOWED
    assert objective.alerting.severities["page"].labels == {"severity": "pageteam"}
    assert _load(tmp_path, EXAMPLE, period_ms=28 * 86_400_000)[0].period == Rolling(28 * 86_400_000)


def test_a_raw_ratio(tmp_path: Path) -> None:
    text = EXAMPLE.split("      events:")[0] + "      raw: {error_ratio_query: 'avg_over_time(x[{{ .window }}])'}\n"
    (objective,) = _load(tmp_path, text)
    assert isinstance(objective.indicator, RawRatio)
    assert objective.indicator.is_error


def _as_object(text: str) -> str:
    """The same as sloth's Kubernetes object: fields in camelCase, under `spec`."""
    camel = re.sub(r"_([a-z])(?=[a-z_]*: )", lambda match: match[1].upper(), text.partition("\n")[2])
    body = "".join(f"  {line}\n" for line in camel.splitlines())
    return f"apiVersion: sloth.slok.dev/v1\nkind: PrometheusServiceLevel\nmetadata: {{name: a}}\nspec:\n{body}"


def test_a_kubernetes_object_is_the_same(tmp_path: Path) -> None:
    text = _as_object(EXAMPLE)
    assert "errorQuery: " in text
    assert "pageAlert: " in text
    assert _load(tmp_path, text) == _load(tmp_path, EXAMPLE)
    with pytest.raises(InputError, match=r"unknown field `page_alert` .*did you mean `pageAlert`"):
        _load(tmp_path, text.replace("pageAlert", "page_alert"))
    with pytest.raises(UnsupportedError, match="`sloPlugins` of `spec`"):
        _load(tmp_path, text.replace("  slos:", "  sloPlugins: {}\n  slos:"))
    with pytest.raises(InputError, match="`totalQuery` has no"):
        _load(tmp_path, text.replace('myservice"}[{{.window}}]', 'myservice"}[5m]'))


@pytest.mark.parametrize(
    ("old", "new", "kind", "message", "hint"),
    [
        ("objective: 99.9", "objective: 100", InputError, "100 % leaves no error budget", "99.9 %"),
        ("objective: 99.9", "objective: 0", InputError, "an objective of 0 %", "above 0"),
        ("      events:", "      plugin: {id: x}\n      events:", UnsupportedError, "`plugin` of", "sloth generate"),
        ("slos:", "slo_plugins: {chain: []}\nslos:", UnsupportedError, "`slo_plugins` of", "min_events"),
        ("    sli:", "    plugins: {}\n    sli:", UnsupportedError, "`plugins` of", "remove them"),
        ("      events:", "      raw: {}\n      events:", InputError, "exactly one of `events` and `raw`", "keep one"),
        ("myservice\"}[{{.window}}]", "myservice\"}[5m]", InputError, "`total_query` has no `{{.window}}`", "range"),
        ("error_query", "eror_query", InputError, "did you mean `error_query`", "expected one of"),
        ("sum(rate(METRIC_count{job=\"myservice\"}", "sum(rate(METRIC_count{job=\"myservice\"", InputError,
         "cannot be read", "promtool"),
        ("version: prometheus/v1", "version: prometheus/v2", InputError, "did you mean `prometheus/v1`", "sloth"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, old: str, new: str, kind: type[HarnessError], message: str, hint: str) -> None:
    assert EXAMPLE.count(old) == 1
    with pytest.raises(kind) as caught:
        _load(tmp_path, EXAMPLE.replace(old, new))
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == 2
    assert caught.value.span is not None


# -- the same alerts on the same ticks -----------------------------------------------------------------------------


def _sloths_ratio(metric: str, window: str) -> str:
    """An error ratio as sloth documents it: errors of all, without any care for missing series."""
    error = f'sum(rate({metric}_count{{job="myservice",code=~"(5..|429)"}}[{window}]))'
    return f'({error}) / (sum(rate({metric}_count{{job="myservice"}}[{window}])))'


def _sloths_alert(metric: str, pairs: list[tuple[str, str, float]]) -> str:
    """(short > b·budget and long > b·budget) or (…)."""
    budget = 0.0009999999999999432
    return " or ".join(
        f"((({_sloths_ratio(metric, short)}) > ({factor} * {budget})) and (({_sloths_ratio(metric, long)}) > "
        f"({factor} * {budget})))"
        for short, long, factor in pairs
    )


SLOTH = {"page": [("5m", "1h", 14.4), ("30m", "6h", 6)], "ticket": [("2h", "1d", 3), ("6h", "3d", 1)]}
HOURS = 10
EVENTS = 6007
"""A minute. A prime, so that no ratio lies exactly on a threshold: sloth's budget of 99.9 % is 0.00099999999999994, and
fires there."""

INCIDENTS: dict[str, Callable[[int], float]] = {
    # error ratio as a function of the minute
    "total outage": lambda m: 1.0 if 240 <= m < 260 else 0.0,
    "one percent for hours": lambda m: 0.01 if m >= 200 else 0.0,
    "slow leak": lambda m: 0.002 if m >= 100 else 0.0,
    "short spike": lambda m: 0.5 if m == 300 else 0.0,
    "flapping": lambda m: 0.2 if m >= 120 and (m // 7) % 2 else 0.0,
    "within budget": lambda m: 0.0009,
}


@pytest.mark.parametrize(
    ("incident", "trouble"),
    [
        *((incident, "none") for incident in INCIDENTS),
        ("total outage", "gap in the scrapes"),
        ("flapping", "gap in the scrapes"),
        ("total outage", "counter reset"),
        ("slow leak", "counter reset"),
    ],
)
def test_sloths_alerts_fire_on_the_same_ticks(
    tmp_path: Path, shared_engine: Engine, incident: str, trouble: str
) -> None:
    metric = unique()
    good, bad = {}, {}
    counts = [1_000_000, 1_000_000]
    for minute in range(HOURS * 60 + 1):
        share = INCIDENTS[incident](minute)
        counts = [counts[0] + round(EVENTS * (1 - share)), counts[1] + round(EVENTS * share)]
        if trouble == "counter reset" and minute == 250:
            counts = [0, 0]
        if trouble == "gap in the scrapes" and 245 <= minute < 252:
            continue
        good[minute * MINUTE_MS - 7_000], bad[minute * MINUTE_MS - 7_000] = float(counts[0]), float(counts[1])
    name = f"{metric}_count"
    write_series(shared_engine, name, {"job": "myservice", "code": "200"}, good)
    write_series(shared_engine, name, {"job": "myservice", "code": "503"}, bad)
    text = EXAMPLE.replace("METRIC", metric).replace("service: myservice", f"service: {metric}")
    (group,) = compile_objectives(_load(tmp_path, text))
    play(shared_engine, group, HOURS * 60)
    fired = 0
    for severity, pairs in SLOTH.items():
        ours: set[int] = set()
        for rule in group.burn_alerts:
            if rule.labels["sloth_severity"] == severity:
                ours |= set(ticks(shared_engine, rule.expr, HOURS * 60))
        theirs = set(ticks(shared_engine, _sloths_alert(metric, pairs), HOURS * 60))
        assert ours == theirs, severity
        fired += len(ours)
    assert (fired > 0) == (incident != "within budget")
    for window in ("5m", "1h", "3d"):
        mine = ticks(shared_engine, f'{error_ratio(window)}{{sloth_id="{group.objective.id}"}}', HOURS * 60)
        sloths = ticks(shared_engine, _sloths_ratio(metric, window), HOURS * 60)
        assert mine.keys() == {at for at, value in sloths.items() if value == value}
        assert all(mine[at] == pytest.approx(sloths[at], rel=1e-12, abs=1e-15) for at in mine)


def test_exactly_at_a_threshold_sloth_fires_and_we_do_not(tmp_path: Path, shared_engine: Engine) -> None:
    """Its budget of 99.9 % is 1 - 0.9990000000000001 in doubles: a hair too small. 6 of 1000 is exactly 6 × 0.001."""
    metric = unique()
    for code, per_minute in (("200", 994), ("503", 6)):
        points = {minute * MINUTE_MS - 7_000: float(10**6 + minute * per_minute) for minute in range(61)}
        write_series(shared_engine, f"{metric}_count", {"job": "myservice", "code": code}, points)
    text = EXAMPLE.replace("METRIC", metric).replace("service: myservice", f"service: {metric}")
    (group,) = compile_objectives(_load(tmp_path, text))
    play(shared_engine, group, 60)
    ours = next(rule for rule in group.burn_alerts if rule.labels["slo_windows"] == "6h/30m")
    assert "> 0.006\n" in ours.expr
    theirs = ticks(shared_engine, _sloths_alert(metric, SLOTH["page"][1:]), 60)
    assert len(theirs) > len(ticks(shared_engine, ours.expr, 60))


def test_names_and_labels_are_sloths(tmp_path: Path) -> None:
    (group,) = compile_objectives(_load(tmp_path, EXAMPLE))
    recorded = {rule.name for rule in group.rules if not rule.is_alert}
    assert recorded >= {
        *(f"slo:sli_error:ratio_rate{window}" for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")),
        "slo:objective:ratio",
        "slo:error_budget:ratio",
        "slo:time_period:days",
        "slo:current_burn_rate:ratio",
        "slo:period_burn_rate:ratio",
        "slo:period_error_budget_remaining:ratio",
        "sloth_slo_info",
    }
    for rule in group.rules:
        if not rule.is_alert:
            assert rule.labels["sloth_id"] == "myservice-requests-availability"
            assert rule.labels["sloth_service"] == "myservice"
            assert rule.labels["sloth_slo"] == "requests-availability"
            assert rule.labels["owner"] == "myteam"
            assert rule.name.partition("ratio_rate")[2] in ("", rule.labels.get("sloth_window"))
    assert [
        (r.name, r.labels["sloth_severity"], r.labels["slo_windows"], r.labels["severity"]) for r in group.burn_alerts
    ] == [
        ("MyServiceHighErrorRate", "page", "1h/5m", "pageteam"),
        ("MyServiceHighErrorRate", "page", "6h/30m", "pageteam"),
        ("MyServiceHighErrorRate", "ticket", "1d/2h", "slack"),
        ("MyServiceHighErrorRate", "ticket", "3d/6h", "slack"),
    ]
    assert all(rule.annotations["summary"] == "High error rate" for rule in group.burn_alerts)
