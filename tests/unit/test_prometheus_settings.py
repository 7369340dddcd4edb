"""Prometheus' own settings: what a prometheus.yml and the project's settings say, and who hears of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.config import load_config
from harness.contracts import load_contracts
from harness.errors import InputError
from harness.prometheus import DEFAULTS, ServerSettings, read_prometheus_yml
from harness.rules import load_rules

S, M = 1000, 60_000

CONFIGURATION = """\
global:
  scrape_interval: 15s
  evaluation_interval: 20s
  rule_query_offset: 30s
  external_labels: {cluster: eu1, replica: "${REPLICA}", price: "5$$", "no.name": $UNSET, nothing: null}
  no_such_field_yet: true
rule_files: [of/another/machine/*.yml]
remote_write: [{url: "http://far.example", basic_auth: {username: u, password_file: /absent}}]
scrape_configs:
  - {job_name: api}
  - {job_name: slow, scrape_interval: 2m}
  - {job_name: zero, scrape_interval: 0s}
"""


def server_of(folder: Path, settings: str, configuration: str | None = None) -> ServerSettings:
    file = folder / "alert-harness.toml"
    file.write_text(settings, encoding="utf-8")
    if configuration is not None:
        (folder / "prometheus.yml").write_text(configuration, encoding="utf-8")
    return load_config(folder, file).server()


def test_what_a_prometheus_yml_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICA", "b")
    monkeypatch.delenv("UNSET", raising=False)
    assert server_of(tmp_path, 'prometheus = "prometheus.yml"', CONFIGURATION) == ServerSettings(
        evaluation_ms=20 * S,
        query_offset_ms=30 * S,
        scrape_ms=15 * S,
        jobs={"api": 15 * S, "slow": 2 * M, "zero": 15 * S},
        external_labels={"cluster": "eu1", "replica": "b", "price": "5$"},
    )


def test_keys_stand_over_the_file(tmp_path: Path) -> None:
    settings = """
        prometheus = "prometheus.yml"
        evaluation_interval = "10s"
        scrape_interval = "30s"
        lookback_delta = "90s"
        external_labels = { cluster = "test" }
        features = ["promql-experimental-functions"]
    """
    assert server_of(tmp_path, settings, CONFIGURATION) == ServerSettings(
        evaluation_ms=10 * S,
        lookback_ms=90 * S,
        query_offset_ms=30 * S,
        scrape_ms=30 * S,
        external_labels={"cluster": "test"},
        features=("promql-experimental-functions",),
    )


def test_what_nobody_says_is_prometheus_own_default(tmp_path: Path) -> None:
    """Of an empty file a scrape every minute, as documented; without a file nothing is known of scrapes."""
    assert server_of(tmp_path, "") == DEFAULTS == ServerSettings(60_000, 300_000, 0, None, {}, {}, ())
    assert server_of(tmp_path, 'prometheus = "prometheus.yml"', "# nothing\n") == ServerSettings(scrape_ms=M)
    assert server_of(tmp_path, 'prometheus = "prometheus.yml"', "global: {evaluation_interval: 0}\n").evaluation_ms == M


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ("global: [x]", r"^prometheus.yml:1:9: `global` must be a mapping .*found a list"),
        ("global:\n  evaluation_interval: 1 m", r"^prometheus.yml:2:24: `evaluation_interval` of `global`: `1 m` is"),
        ("global:\n  external_labels: {a: [b]}", r"^prometheus.yml:2:24: `a` of `external_labels` must be a single"),
        ("scrape_configs: {a: b}", r"^prometheus.yml:1:17: `scrape_configs` of .* must be a list"),
        (
            "scrape_configs:\n  - {scrape_interval: 1m}",
            r"^prometheus.yml:2:5: a scrape configuration has no `job_name`",
        ),
        ("global: {}\n---\nglobal: {}", r"^prometheus.yml:3:1: 2 YAML documents"),
        ("groups: []", r"^prometheus.yml:1:1: .* holds rule groups, expected the configuration"),
        ("global: {\n", r"^prometheus.yml:\d+:\d+: not valid YAML"),
        ("- x", r"^prometheus.yml:1:1: a Prometheus configuration must be a mapping"),
    ],
)
def test_a_broken_prometheus_yml_has_a_place(
    configuration: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prometheus.yml").write_text(configuration, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_prometheus_yml(Path("prometheus.yml"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('prometheus = "absent.yml"', r"alert-harness.toml:1:1: .*absent.yml does not exist"),
        ('evaluation_interval = "1 m"', r"alert-harness.toml:1:1: `evaluation_interval`: `1 m` is not a duration"),
        ('lookback_delta = "0s"', r"alert-harness.toml:1:1: `lookback_delta` must be longer than 0"),
        ("scrape_interval = 15", r"alert-harness.toml:1:1: `scrape_interval` must be a string"),
        ("external_labels = { a = 1 }", r"alert-harness.toml:1:1: `external_labels` must be a table of strings"),
        ('features = ["promql-experimental-function"]', r"1:1: .*did you mean `promql-experimental-functions`\?"),
        ('features = ["a,b"]', r"1:1: Prometheus has no feature `a,b`"),
        ('lookback = "1m"', r"1:1: unknown setting `lookback` \(did you mean `lookback_delta`\?\)"),
    ],
)
def test_a_wrong_setting_has_a_place(settings: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        server_of(tmp_path, settings)


def test_a_setting_is_found_where_a_table_has_its_name(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[tool.alert-harness.tools]\nprometheus = "/bin/prometheus"\n[tool.alert-harness]\nprometheus = "absent.yml"\n',
        encoding="utf-8",
    )
    with pytest.raises(InputError, match=r"pyproject.toml:4:1: .*absent.yml does not exist"):
        load_config(tmp_path, file).server()


def test_groups_without_an_interval_have_that_of_their_server(tmp_path: Path) -> None:
    file = tmp_path / "r.yml"
    rule = "rules: [{alert: A, expr: x > 1}]"
    file.write_text(
        f"groups: [{{name: a, {rule}}}, {{name: b, interval: 0s, {rule}}}, "
        f"{{name: c, interval: 45s, query_offset: 0s, {rule}}}]",
        encoding="utf-8",
    )
    (loaded,) = load_rules([file], ServerSettings(evaluation_ms=20 * S, query_offset_ms=30 * S))
    assert [(group.interval_ms, group.query_offset_ms) for group in loaded.groups] == [
        (20 * S, 30 * S), (20 * S, 30 * S), (45 * S, 0),
    ]  # fmt: skip
    assert [group.interval_ms for group in load_rules([file])[0].groups] == [M, M, 45 * S]


CONTRACT = """\
{top}
contracts:
  - alert: A
    means: it does
    knob: {{name: x, range: [0, 10]}}
    op: ">"
    threshold: 5
    {own}
    signal: [{{gauge: 'm{labels}', value: x, each: {each}}}]
"""


@pytest.mark.parametrize(
    ("named", "scraped_ms"),
    [
        ({}, 15 * S),
        ({"labels": '{job="slow"}'}, 2 * M),
        ({"labels": '{job="elsewhere"}'}, 15 * S),
        ({"labels": '{job="$j"}', "each": "{j: [api, slow]}"}, 2 * M),
        ({"labels": '{job="slow"}', "own": "scrape_interval: 10s"}, 10 * S),
        ({"labels": '{job="slow"}', "top": "scrape_interval: 20s"}, 20 * S),
    ],
)
def test_a_signal_is_scraped_as_its_jobs_are(named: Mapping[str, str], scraped_ms: int, tmp_path: Path) -> None:
    file = tmp_path / "c.yml"
    file.write_text(CONTRACT.format(**{"top": "", "own": "", "labels": "", "each": "{}", **named}), encoding="utf-8")
    server = ServerSettings(scrape_ms=15 * S, jobs={"api": 15 * S, "slow": 2 * M})
    assert load_contracts([file], server)[0].scrape_ms == scraped_ms
    told = 30 * S if scraped_ms in (15 * S, 2 * M) else scraped_ms
    assert load_contracts([file])[0].scrape_ms == told
