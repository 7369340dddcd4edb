"""The hand-written unit tests of the nine alerts under bare promtool, and the rules' own form."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULE_FILES = sorted((ROOT / "rules").glob("*.yml"))
SUITES = sorted((ROOT / "tests" / "rules").glob("*.test.yml"))
NINE = {
    "HighCPUUsage", "HighMemoryUsage", "LowDiskSpace", "HighErrorRate", "SlowResponseTime", "ServiceDown",
    "NoActiveStreams", "HighCameraOfflineRate", "RecordingFailures",
}  # fmt: skip


@pytest.fixture(scope="module")
def promtool(each_promtool: Path) -> Path:
    return each_promtool


def run(promtool: Path, *arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)


def below_root(files: list[Path]) -> list[Path]:
    return [file.relative_to(ROOT) for file in files]


def rules() -> list[dict[str, object]]:
    groups = [group for file in RULE_FILES for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def test_there_are_nine_alerts_in_three_groups() -> None:
    assert [file.name for file in RULE_FILES] == ["application.yml", "business.yml", "system.yml"]
    assert [file.name for file in SUITES] == ["application.test.yml", "business.test.yml", "system.test.yml"]
    assert {rule["alert"] for rule in rules()} == NINE
    assert len(rules()) == len(NINE)
    groups = [group for file in RULE_FILES for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    assert {group["name"]: group["interval"] for group in groups} == {
        "system": "30s", "application": "30s", "business": "1m",
    }  # fmt: skip


def test_every_suite_passes_from_the_root(promtool: Path) -> None:
    done = run(promtool, "test", "rules", *below_root(SUITES))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("SUCCESS") == len(SUITES)


def test_the_rules_pass_with_lint(promtool: Path) -> None:
    done = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", *below_root(RULE_FILES))
    assert (done.returncode, done.stderr) == (0, "")
    assert "SUCCESS: 3 rules found" in done.stdout


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("system", "> 80", ">= 80"),
        ("system", "> 85", "> 86"),
        ("system", "< 15", "<= 15"),
        ("application", "> 5\n", ">= 5\n"),
        ("application", "> 1\n", "> 1.1\n"),
        ("application", "for: 1m", "for: 90s"),
        ("business", "== 0", "<= 1"),
        ("business", "> 20", ">= 20"),
        ("business", "> 0.1", ">= 0.1"),
    ],
)
def test_the_suites_notice_a_planted_fault(promtool: Path, tmp_path: Path, file: str, old: str, new: str) -> None:
    """A suite that can't fail says nothing: each alert is made slightly wrong in a copy."""
    text = (ROOT / "rules" / f"{file}.yml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    suite = tmp_path / "tests" / "rules" / f"{file}.test.yml"
    suite.parent.mkdir(parents=True)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / f"{file}.yml").write_text(text.replace(old, new), encoding="utf-8")
    suite.write_text((ROOT / "tests" / "rules" / suite.name).read_text(encoding="utf-8"), encoding="utf-8")
    done = run(promtool, "test", "rules", suite, cwd=tmp_path)
    assert done.returncode == 1
    assert "FAILED" in done.stderr


def test_at_least_eight_assertions_per_alert() -> None:
    """An assertion counts for the alerts that its alertname or its expression names."""
    counted: Counter[str] = Counter()
    fires: Counter[str] = Counter()
    for file in SUITES:
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            assert group.get("alert_rule_test") or group.get("promql_expr_test"), f"{group.get('name')} asserts nothing"
            for case in group.get("alert_rule_test", []):
                assert case["alertname"] in NINE, f"misspelt: {case['alertname']}"
                counted[case["alertname"]] += 1
                fires[case["alertname"]] += bool(case.get("exp_alerts"))
            # An expression over ALERTS without a name speaks of the alert that the group's name begins with.
            subject = str(group.get("name", "")).partition(":")[0]
            for case in group.get("promql_expr_test", []):
                named = {alert for alert in NINE if f'"{alert}"' in case["expr"]} or {subject} & NINE
                counted.update(named)
    assert {alert: counted[alert] for alert in NINE if counted[alert] < 8} == {}
    assert {alert for alert in NINE if not fires[alert]} == set(), "never seen to fire, with its annotations"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_tells_a_person_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    alert = str(rule["alert"])
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert all(text.strip() for text in rule["annotations"].values())
    assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{alert}.md")
    runbook = ROOT / "docs" / "runbooks" / f"{alert}.md"
    assert alert in runbook.read_text(encoding="utf-8")
    assert str(rule["for"]) in ("1m", "5m", "10m")
