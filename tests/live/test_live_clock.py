"""The compressed clock: what is divided, what is put right, what is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.engines import Engine, Samples, make_labels
from harness.errors import HarnessError, InputError, Span, UnsupportedError
from harness.live.clock import Clock
from harness.prometheus import ServerSettings
from harness.rules import load_rule_file, load_rules
from harness.source import Text

ROOT = Path(__file__).resolve().parents[2]
MINUTE = Clock(60)


def expr(text: str) -> Text:
    return Text(text, Span("rules.yml", 7, 11, 1, text))


@pytest.mark.parametrize(
    ("world", "fast"),
    [
        ("rate(x[5m]) > 5", "rate(x[5s]) > 5"),
        ("x offset 1h", "x offset 1m"),
        ("x offset -1h", "x offset -1m"),
        ('rate(x{a="b"}[5m] offset 1h30m)', 'rate(x{a="b"}[5s] offset 1m30s)'),
        ("max_over_time(rate(x[5m])[1h:1m] offset 2h)", "max_over_time(rate(x[5s])[1m:1s] offset 2m)"),
        # Without a step it is the evaluation interval's, which who evaluates this need not have divided too.
        ("avg_over_time(x[10m:])", "avg_over_time(x[10s:1s])"),
        ("avg_over_time(x[ 10m : ] offset 1h)", "avg_over_time(x[ 10s : 1s] offset 1m)"),
        ("increase(x[5m]) > 10", "(increase(x[5s]) * 60) > 10"),
        ("deriv(x[5m])", "(deriv(x[5s]) / 60)"),
        ("predict_linear(x[1h], 4 * 3600) < 0", "predict_linear(x[1m], (4 * 3600) / 60) < 0"),
        ("delta(x[1h]) + changes(x[1h])", "delta(x[1m]) + changes(x[1m])"),
        ('x{a="q\\"\\\\\\n[5m] offset 5m"}', 'x{a="q\\"\\\\\\n[5m] offset 5m"}'),
        ('rate({"http.requests", "a.b"!~"[5m]"}[5m])', 'rate({"http.requests", "a.b"!~"[5m]"}[5s])'),
        ("SUM by(a)( max_over_time( x [1d:] ) )>1e1", "SUM by(a)( max_over_time( x [24m:1s] ) )>1e1"),
        ("-increase(x[5m] offset - 1h)^2", "-(increase(x[5s] offset -1m) * 60)^2"),
        ("x{a=~`\\d[5m]`} # over [5m]\n > 1", "x{a=~`\\d[5m]`} # over [5m]\n > 1"),
        ("a / on (job) group_left (zone) (b > bool 5)", "a / on (job) group_left (zone) (b > bool 5)"),
        ("sum without (a) (rate(x[90s]))", "sum without (a) (rate(x[1s500ms]))"),
    ],
)
def test_expressions(world: str, fast: str) -> None:
    assert MINUTE.expression(expr(world)) == fast


def test_prometheus_own_settings_on_a_faster_clock() -> None:
    """Lookback and evaluation interval are divided, external labels are none of time."""
    server = ServerSettings(evaluation_ms=120_000, lookback_ms=90_000, external_labels={"cluster": "eu1", "p": "5$"})
    clock = Clock(60, server)
    assert clock.expression(expr("avg_over_time(x[10m:])")) == "avg_over_time(x[10s:2s])"
    assert "--query.lookback-delta=1s500ms" in clock.flags()
    assert clock.prometheus({"global": server.config()})["global"] == {
        "scrape_interval": "1s",
        "evaluation_interval": "2s",
        "external_labels": {"cluster": "eu1", "p": "5$$"},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate(x[100ms])", "the range in `x[100ms]` of 100ms is no whole number of milliseconds"),
        ("x offset 1s", "the offset in `x offset 1s` of 1s"),
        ("max_over_time(x[1h:1s])", "the step in `x[1h:1s]` of 1s"),
        ("time() - x > 3600", "reads the time of day"),
        ("x and on () hour() > 8", "reads the time of day"),
        ("timestamp(x) > 1", "reads the time of day (timestamp)"),
        ("x @ 1700000000", "fixes an evaluation time"),
        ("rate(x[5m] @ end())", "fixes an evaluation time"),
        ('x{a="1" or b="2"}', "joins matchers by `or`"),
    ],
)
def test_what_has_no_equal_is_refused_at_its_place(text: str, message: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        MINUTE.expression(expr(text))
    assert message in caught.value.message
    assert str(caught.value).startswith("rules.yml:7:11: ")


@pytest.mark.parametrize(("ms", "fits"), [(29 * 61, 29), (7_000, 56), (59, 59), (61, 1)])
def test_the_refusal_names_a_factor_that_fits(ms: int, fits: int) -> None:
    with pytest.raises(UnsupportedError, match=f"{fits} is the largest factor") as caught:
        MINUTE.shrink_ms(ms)
    assert Clock(fits).shrink_ms(ms) * fits == ms
    assert "as fast" in caught.value.message


def test_durations() -> None:
    assert MINUTE.duration("5m") == "5s"
    assert MINUTE.duration("30s") == "500ms"
    assert Clock(1).duration("1h30m") == "1h30m"
    with pytest.raises(InputError, match="is not a duration"):
        MINUTE.duration("soon")
    with pytest.raises(InputError, match="cannot run 0 times as fast"):
        Clock(0)


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.yml")), ids=lambda path: path.name)
def test_rule_files_keep_everything_but_durations(path: Path, tmp_path: Path) -> None:
    before = load_rule_file(path)
    shrunk = tmp_path / path.name
    shrunk.write_text(MINUTE.rules(before), encoding="utf-8")
    after = load_rule_file(shrunk)
    for old, new in zip(before.groups, after.groups, strict=True):
        assert (new.name, new.interval_ms * 60, new.limit) == (old.name, old.interval_ms, old.limit)
        for alert, fast in zip(old.alerts(), new.alerts(), strict=True):
            assert (fast.alert, fast.hold_ms * 60, fast.keep_firing_ms * 60) == (
                alert.alert,
                alert.hold_ms,
                alert.keep_firing_ms,
            )
            for texts, others in ((alert.labels, fast.labels), (alert.annotations, fast.annotations)):
                assert {n: t.value for n, t in texts.items()} == {n: t.value for n, t in others.items()}
    again = tmp_path / "again.yml"
    again.write_text(Clock(1).rules(before), encoding="utf-8")
    assert [load_rules([again])[0].groups[0].name] == [before.groups[0].name]


def test_prometheus_configurations() -> None:
    config: dict[str, Any] = {
        "global": {"scrape_interval": "30s", "scrape_timeout": "10s"},
        "scrape_configs": [
            {"job_name": "a", "scrape_interval": "1m", "scrape_timeout": "5s"},
            {"job_name": "b", "dns_sd_configs": [{"names": ["b"], "refresh_interval": "30s"}]},
        ],
    }
    kept = yaml.safe_dump(config)
    made = MINUTE.prometheus(config)
    assert made["global"] == {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"}
    assert made["scrape_configs"][0] == {"job_name": "a", "scrape_interval": "1s", "scrape_timeout": "1s"}
    assert made["scrape_configs"][1]["dns_sd_configs"] == [{"names": ["b"], "refresh_interval": "500ms"}]
    assert yaml.safe_dump(config) == kept  # the given one is not changed
    assert MINUTE.flags()[0] == "--query.lookback-delta=5s"


def test_alertmanager_configurations() -> None:
    made = MINUTE.alertmanager({"route": {"receiver": "a", "routes": [{"group_wait": "1m"}]}})
    assert made["route"] == {
        "receiver": "a",
        "group_wait": "500ms",
        "group_interval": "5s",
        "repeat_interval": "4m",
        "routes": [{"group_wait": "1s"}],
    }
    assert made["global"] == {"resolve_timeout": "5s"}
    with pytest.raises(UnsupportedError, match=r"route\.routes\[0\]\.mute_time_intervals depends on the time of day"):
        MINUTE.alertmanager({"route": {"receiver": "a", "routes": [{"mute_time_intervals": ["nights"]}]}})
    with pytest.raises(HarnessError, match="has no `route`"):
        MINUTE.alertmanager({"receivers": []})


_WINDOWS = st.sampled_from(["1m", "2m", "5m"])
_INNER = st.sampled_from(
    ["rate(c[{w}])", "increase(c[{w}])", "irate(c[{w}])", "deriv(g[{w}])", "delta(g[{w}])", "g offset {w}",
     "predict_linear(g[{w}], 600)", "max_over_time(rate(c[{w}])[{w}:30s])", "changes(g[{w}])", "avg_over_time(g[{w}])"]
)  # fmt: skip


@given(
    inner=_INNER,
    window=_WINDOWS,
    factor=st.sampled_from([2, 10, 30, 60]),
    values=st.lists(st.integers(0, 1000), min_size=24, max_size=24),
)
def test_the_same_comes_out_on_both_clocks(
    shared_engine: Engine, inner: str, window: str, factor: int, values: list[int]
) -> None:
    """A rule over a world and the compressed rule over the compressed world return the same, tick for tick."""
    text = inner.format(w=window)
    clock = Clock(factor)
    number = _next()
    begin = 1_600_000_200_000 + number * 7_200_000
    every = 30_000
    outcomes = []
    for name, k, rule in (("world", 1, text), ("fast", factor, clock.expression(expr(text)))):
        step = every // k
        times = [begin + i * step + step // 2 for i in range(len(values))]
        counted = [sum(values[: i + 1]) / k for i in range(len(values))]
        series = {"c": counted, "g": [float(value) for value in values]}
        shared_engine.write(
            Samples(make_labels(f"{metric}_{name}_{number}"), times, seen) for metric, seen in series.items()
        )
        for metric in series:
            rule = rule.replace(f"({metric}[", f"({metric}_{name}_{number}[").replace(
                f"{metric} offset", f"{metric}_{name}_{number} offset"
            )
        found = shared_engine.query_range(rule, begin + 12 * step, begin + 24 * step, step)
        outcomes.append([value for one in found for value in one.values])
    assert outcomes[1] == pytest.approx(outcomes[0], rel=1e-9, abs=1e-9)
    assert outcomes[0]


_numbers = iter(range(1 << 30))


def _next() -> int:
    return next(_numbers)
