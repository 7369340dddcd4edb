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
            assert contract.means.startswith("confirm:")
        guesses = [
            line for line in file.read_text().splitlines() if line.strip().startswith(("op:", "threshold:", "for:"))
        ]
        assert guesses
        assert all("confirm:" in line for line in guesses)


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
    assert verdicts["Nothing"] == "always_fires"
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
