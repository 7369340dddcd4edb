"""`alert-harness init`: its drafts load and can be proved, say `confirm:`, and nothing is overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from harness.cli import main
from harness.config import load_config
from harness.contracts import load_contracts

ROOT = Path(__file__).resolve().parents[2]
ODD = """\
groups:
  - name: odd
    interval: 30s
    labels: {severity: page}
    rules:
      - {record: 'job:errors:ratio', expr: 'sum by (job) (rate(errors_total{code=~"5[0-9]+|4.."}[5m])) / 10'}
      - {alert: Recorded, expr: 'job:errors:ratio > 0.5', for: 1m}
      - {alert: Absent, expr: 'absent(up{job="x"})'}
      - {alert: Flipped, expr: '5 < depth{queue!="test", name=~".+"}'}
      - {alert: Negative, expr: 'temperature_celsius < -10', annotations: {summary: 'in {{ $labels.room }}'}}
      - {alert: Slow, expr: 'histogram_quantile(0.9, sum by (le) (rate(t_seconds_bucket[5m]))) > 0.25'}
      - {alert: Nothing, expr: 'vector(1) == 1'}
      - {alert: "It's \\"odd\\"", expr: 'disk_bytes{path=~"/(a|b)$"} > 1e+12', keep_firing_for: 5m}
      - {alert: Nameless, expr: '{__name__=~"x.*"} > 3', labels: {severity: '{{ $value }}'}}
      - {alert: Twice, expr: 'a > 1'}
      - {alert: Twice, expr: 'a > 2', labels: {severity: info}}
      - {alert: Twice, expr: 'b > 3'}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prometheus_path: Path, promtool_path: Path) -> Path:
    monkeypatch.setenv("ALERT_HARNESS_PROMETHEUS", str(prometheus_path))
    monkeypatch.setenv("ALERT_HARNESS_PROMTOOL", str(promtool_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def proved(project: Path) -> dict[str, str]:
    """What each alert would be if its contract were no draft."""
    assert main(["prove", "--json", "p.json", "--report", "none"]) == 1
    alerts = json.loads((project / "p.json").read_text())["alerts"]
    assert {alert["verdict"] for alert in alerts} == {"draft"}
    return {alert["alert"]: alert["would_be"] for alert in alerts}


def test_the_nine_alerts(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "rules", project / "alerts", ignore=shutil.ignore_patterns("contracts"))
    shutil.copytree(ROOT / "tests" / "rules", project / "checks", ignore=shutil.ignore_patterns("*.py"))
    assert main(["init"]) == 0
    assert "9 alerts found" in capsys.readouterr().out
    settings = load_config(project)
    assert settings.rules == ("alerts/application.yml", "alerts/business.yml", "alerts/system.yml")
    assert (settings.contracts, settings.tests) == (("contracts",), ("checks",))
    assert len(proved(project)) == 9
    for file in (project / "contracts").iterdir():
        for contract in load_contracts([file]):
            assert contract.draft
            assert contract.means.startswith("confirm:")
        guesses = [
            line for line in file.read_text().splitlines() if line.strip().startswith(("op:", "threshold:", "for:"))
        ]
        assert guesses
        assert all("confirm:" in line for line in guesses)


def test_a_prometheus_yml_tells_how_often_series_are_scraped(project: Path) -> None:
    (project / "r.yml").write_text(
        "groups: [{name: g, rules: [{alert: A, expr: 'x{job=\"slow\"} > 1'}]}]", encoding="utf-8"
    )
    (project / "monitoring").mkdir()
    configuration = "global: {scrape_interval: 15s}\nscrape_configs: [{job_name: slow, scrape_interval: 2m}]\n"
    (project / "monitoring" / "prometheus.yml").write_text(configuration, encoding="utf-8")
    assert main(["init"]) == 0
    settings = load_config(project)
    assert settings.prometheus == project / "monitoring" / "prometheus.yml"
    (contract,) = load_contracts([project / "contracts" / "r.yml"], settings.server())
    assert contract.scrape_ms == 120_000
    assert proved(project) == {"A": "exact"}


def test_of_several_prometheus_yml_none_is_taken(project: Path) -> None:
    (project / "r.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: x > 1}]}]", encoding="utf-8")
    for name in ("one", "two"):
        (project / name).mkdir()
        (project / name / "prometheus.yml").write_text("scrape_configs: [{job_name: a}]\n", encoding="utf-8")
    assert main(["init"]) == 0
    assert load_config(project).prometheus is None


def test_odd_rules(project: Path) -> None:
    (project / "deep" / "er").mkdir(parents=True)
    (project / "deep" / "er" / "odd.yml").write_text(ODD)
    (project / "deep" / "odd.yaml").write_text("groups: [{name: g, rules: [{alert: Other, expr: up == 0}]}]")
    (project / "deep" / "compose.yml").write_text("services: {alert: {image: x}}")
    (project / "deep" / "broken.yml").write_text("alert: [")
    assert main(["init"]) == 0
    assert sorted(file.name for file in (project / "contracts").iterdir()) == ["deep-er-odd.yml", "odd.yml"] or sorted(
        file.name for file in (project / "contracts").iterdir()
    ) == ["deep-odd.yml", "odd.yml"]
    verdicts = proved(project)
    assert set(verdicts) == {
        "Recorded", "Absent", "Flipped", "Negative", "Slow", "Nothing", "It's \"odd\"", "Nameless", "Twice", "Other",
    }  # fmt: skip
    assert verdicts["Flipped"] == verdicts["Negative"] == "exact"
    assert verdicts["Nothing"] == verdicts["Absent"] == "exact"
    text = "".join(file.read_text() for file in (project / "contracts").iterdir())
    assert "counter: 'errors_total{" in text  # through the recording rule
    assert "threshold: -10 " in text
    assert "threshold: 1000000000000 " in text
    assert 'temperature_celsius{room="example"}' in text


def test_nothing_is_overwritten(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "r.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]")
    (project / "alert-harness.toml").write_text('rules = ["r.yml"]\n')
    assert main(["init"]) == 0
    assert "kept  alert-harness.toml, which was there" in capsys.readouterr().out
    assert (project / "alert-harness.toml").read_text() == 'rules = ["r.yml"]\n'
    before = {file: file.read_bytes() for file in project.rglob("*") if file.is_file()}
    assert main(["init"]) == 0
    assert "wrote" not in capsys.readouterr().out
    assert before == {file: file.read_bytes() for file in project.rglob("*") if file.is_file()}


def test_without_rules(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 2
    assert "no alert rules below" in capsys.readouterr().err
    assert main(["init", "elsewhere"]) == 2
    assert "elsewhere is no folder" in capsys.readouterr().err
    assert list(project.iterdir()) == []


def test_what_ci_runs_is_yaml_with_commands_that_exist(project: Path) -> None:
    from harness.cli import build_parser

    (project / "r.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]")
    main(["init"])
    for file in (project / "ci").iterdir():
        text = file.read_text()
        assert yaml.safe_load(text)
        lines = [
            line.split("alert-harness ", 1)[1]
            for line in text.splitlines()
            if "- alert-harness " in line.replace("run: ", "")
        ]
        assert len(lines) == 1
        build_parser().parse_args(lines[0].split())


SAID = [
    # rule, what the draft says: comparison, threshold, severity
    ("spare < spare_threshold", "< 1", None),
    ("spare >= on (d) group_left () limit", ">= 1", None),
    ("5 <= depth", ">= 5", None),
    ("scalar(limit) < depth", "< 1", None),
    ("vector(3) < depth", "> 3", None),
    ("depth > 3 * 60", "> 180", None),
    ("depth > -(2 ^ 1)", "> 1", None),
    ("up != 1", "< 1", None),
    ("errors != 0", "> 0", None),
    ("depth < 5 and on () load > 9", "< 5", None),
    ("depth unless on () load > 9", "present", None),
    ('info{health!~"OK|NA"}', "present", None),
    ("(info and on () up)", "present", None),
    ("absent(up{job='x'})", "absent", None),
    ("sum(absent_over_time(up[5m])) > 0", "absent", None),
    ("absent(up) and on () other", "absent", None),
    ("up == 0 or absent(up)", "== 0", None),
    ("vector(1)", "always", None),
]


@pytest.mark.parametrize(("expr", "limit", "severity"), SAID)
def test_a_draft_says_what_the_rule_says(expr: str, limit: str, severity: str | None, project: Path) -> None:
    (project / "r.yml").write_text(f"groups: [{{name: g, rules: [{{alert: A, expr: {json.dumps(expr)}}}]}}]")
    assert main(["init"]) == 0
    (contract,) = load_contracts([project / "contracts" / "r.yml"])
    assert contract.draft
    assert contract.limit == limit
    assert contract.severity is severity
    assert contract.identifies is None
    assert expr.startswith(("scalar", "vector(1)")) or contract.signal.series


def test_the_age_of_a_moment_is_said_with_now(project: Path) -> None:
    (project / "r.yml").write_text(
        "groups: [{name: g, rules: [{alert: A, expr: (time() - last_success_timestamp) > 3600 * 24 and on () o > 0}]}]"
    )
    main(["init"])
    text = (project / "contracts" / "r.yml").read_text()
    assert text.count("value: now - x") == 1
    assert text.count("value: 1\n") == 1
    assert proved(project) == {"A": "exact"}


def test_the_time_left_until_a_moment_is_said_with_now(project: Path) -> None:
    (project / "r.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: not_after - time() < 86400}]}]")
    main(["init"])
    assert "value: now + x" in (project / "contracts" / "r.yml").read_text()
    assert proved(project) == {"A": "exact"}


def test_of_a_draft_without_threshold_the_other_series_stay(project: Path) -> None:
    (project / "r.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: absent(up) and on () other}]}]")
    main(["init"])
    (contract,) = load_contracts([project / "contracts" / "r.yml"])
    assert {spec.metric: spec.present is not None and "x" in spec.present.names for spec in contract.signal.series} == {
        "up": True,
        "other": False,
    }


def test_severity_is_the_rule_s_own_or_left_out(project: Path) -> None:
    (project / "r.yml").write_text(
        "groups: [{name: g, labels: {severity: page}, rules: [{alert: A, expr: a > 1}, "
        "{alert: B, expr: a > 1, labels: {severity: '{{ $value }}'}}, "
        "{alert: C, expr: a > 1, labels: {severity: ''}}]}]"
    )
    main(["init"])
    found = {one.alert.value: one.severity for one in load_contracts([project / "contracts" / "r.yml"])}
    assert found == {"A": "page", "B": None, "C": None}


def test_rules_of_one_name_are_told_apart_across_files(project: Path) -> None:
    for file, labels in (("a", "{team: a}"), ("b", "{}"), ("c", "{team: c, severity: page}")):
        (project / f"{file}.yml").write_text(
            f"groups: [{{name: g, rules: [{{alert: A, expr: a > 1, labels: {labels}}}]}}]"
        )
    main(["init"])
    found = load_contracts(sorted((project / "contracts").iterdir()))
    assert [(one.labels, one.severity) for one in found] == [({"team": "a"}, None), ({}, None), ({"team": "c"}, "page")]


@pytest.mark.parametrize(
    "expr",
    [
        "increase(jobs_total[5m]) > 3 or jobs_total > 100",
        "histogram_quantile(0.9, rate(took_seconds_bucket[5m])) > 1 and rate(took_seconds_count[5m]) > 0.1",
        "rate(took_seconds_count[5m]) > 1 and on () histogram_quantile(0.9, rate(took_seconds_bucket[5m])) > 1",
    ],
)
def test_a_series_is_written_once_whichever_ways_it_is_read(expr: str, project: Path) -> None:
    """The same series twice would be two samples at one moment, which no world has: measured, it would be refused."""
    (project / "r.yml").write_text(f"groups: [{{name: g, rules: [{{alert: A, expr: {json.dumps(expr)}}}]}}]")
    main(["init"])
    assert proved(project).keys() == {"A"}


def test_the_alternatives_of_an_or_do_not_hold_of_themselves(project: Path) -> None:
    expr = 'max(phase{phase="Pending"} or (phase{phase="Running"} == 1 and on () ready == 0)) > 0'
    (project / "r.yml").write_text(f"groups: [{{name: g, rules: [{{alert: A, expr: {json.dumps(expr)}}}]}}]")
    main(["init"])
    assert proved(project) == {"A": "exact"}


FITTED = [
    # A plainly right rule, and the draft's limit: what is compared is what the knob turns.
    ("rate(failed_total[5m]) / rate(sent_total[5m]) * 100 > 5", "> 5"),
    ("increase(failed_total[10m]) > 3", "> 3"),
    ("delta(queue[5m]) > 8", "> 8"),
    ("100 - (free_bytes / size_bytes * 100) > 90", "> 90"),
    ("started_seconds - finished_seconds > 120", "> 120"),
    ('sum(rate(r_total{code=~"5.."}[5m])) / sum(rate(r_total[5m])) > 0.03', "> 0.03"),
    ("rate(bad_total[5m]) / (rate(bad_total[5m]) + rate(good_total[5m])) > 0.2", "> 0.2"),
    ("time() - last_seconds > 10 * every_seconds", "> 10 s"),
    ("expires_ms / 1000 - time() < 30 * 24 * 3600", "< 2592000"),
    ("(not_after - time()) / 86400 < 7", "< 7"),
    ("histogram_quantile(0.99, sum by (le) (rate(t_seconds_bucket[5m]))) > 0.25", "> 0.25 s"),
    ("histogram_quantile(0.01, sum by (le) (rate(t_seconds_bucket[5m]))) < 60", "< 60 s"),
    ("queue > 5 and on () busy >= 16 and on () stopped == 0", "> 5"),
    ("absent(up == 1)", "< 1"),
    ("count(disk_health == 0) / count(disk_health) * 100 >= 10", "== 0"),
    ('threads{job=~".*(web|db).*", pod=~"data(-[0-9]+)?-(.+)-node-[0-9]+"} > 9', "> 9"),
    ("job:failed:ratio * 100 > 5", "> 5"),
]


@pytest.mark.parametrize(("expr", "limit"), FITTED)
def test_a_rule_that_is_plainly_right_is_exact_in_its_draft(expr: str, limit: str, project: Path) -> None:
    """Ratios, growths, offsets and scales are undone in the signal, and what else must hold does."""
    (project / "r.yml").write_text(
        "groups: [{name: g, rules: [{record: 'job:failed:ratio', expr: 'rate(f_total[5m]) / rate(s_total[5m])'}, "
        f"{{alert: A, expr: {json.dumps(expr)}}}]}}]"
    )
    main(["init"])
    (contract,) = load_contracts([project / "contracts" / "r.yml"])
    assert contract.limit == limit
    assert proved(project) == {"A": "exact"}
