"""`--report`, `--junit` and `--annotate`: what is written where, what is printed, and what is refused at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.cli import main

RULE = "groups: [{name: g, interval: 30s, rules: [{alert: A, expr: depth > LIMIT, labels: {severity: page}}]}]\n"
CONTRACT = """\
contracts:
  - alert: A
    means: more than 20 wait
    knob: {name: depth, range: [0, 100], step: 1}
    op: ">"
    threshold: 20
    severity: page
    identifies: {}
    signal: [{gauge: depth, value: x}]
"""
TEST = """\
rule_files: [r.yml]
evaluation_interval: 30s
tests:
  - interval: 30s
    input_series: [{series: depth, values: 21x10}]
    alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{exp_labels: {severity: page}}]}]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prometheus_path: Path, promtool_path: Path) -> Path:
    monkeypatch.setenv("ALERT_HARNESS_PROMETHEUS", str(prometheus_path))
    monkeypatch.setenv("ALERT_HARNESS_PROMTOOL", str(promtool_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yml").write_text(RULE.replace("LIMIT", "20"))
    (tmp_path / "c.yml").write_text(CONTRACT)
    (tmp_path / "a.test.yml").write_text(TEST)
    (tmp_path / "alert-harness.toml").write_text('rules = ["r.yml"]\ncontracts = ["c.yml"]\ntests = ["a.test.yml"]\n')
    return tmp_path


def wrong(project: Path) -> None:
    (project / "r.yml").write_text(RULE.replace("LIMIT", "30"))


@pytest.mark.parametrize("command", ["prove", "verify --skip live", "test"])
def test_the_page_is_written_and_named(project: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 0
    out = capsys.readouterr().out
    assert out.count("report: build/report/index.html\n") == 1
    page = (project / "build" / "report" / "index.html").read_text(encoding="utf-8")
    assert "Yes: " in page
    assert ("Unit tests" in page) is (command != "prove")
    if command.startswith("verify"):
        assert out.rstrip().endswith("YES: 1 alert fires exactly as meant.")


@pytest.mark.parametrize("command", ["prove", "verify --skip live", "test"])
def test_standard_output_belongs_to_json(project: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong(project)
    arguments = ["--annotate", "github"] + (
        ["--json", "-"] if command == "test" else ["--json", "-", "--report", "out"]
    )
    assert main([*command.split(), *arguments]) == 1
    said = capsys.readouterr()
    json.loads(said.out)
    assert "report: " in said.err
    assert "::error file=" in said.err


def test_no_page(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for off in ("none", ""):
        assert main(["prove", "--report", off]) == 0
    with (project / "alert-harness.toml").open("a") as file:
        file.write('report = "none"\n')
    assert main(["prove"]) == 0
    assert "report:" not in capsys.readouterr().out
    assert not (project / "build").exists()
    assert main(["prove", "--report", "here"]) == 0
    assert (project / "here" / "index.html").exists()


def test_every_document_at_once(project: Path) -> None:
    wrong(project)
    command = "verify --skip live --junit x/j.xml --annotate gitlab --report x --json x/p.json"
    assert main(command.split()) == 1
    assert sorted(file.name for file in (project / "x").iterdir()) == ["index.html", "j.xml", "p.json"]
    entries = json.loads((project / "gl-code-quality-report.json").read_text())
    assert {entry["check_name"] for entry in entries} == {"alert-harness/off_threshold", "alert-harness/unit-test"}
    assert {entry["location"]["path"] for entry in entries} == {"r.yml", "a.test.yml"}
    assert main(["prove", "--annotate", "gitlab=q/c.json"]) == 1
    assert len(json.loads((project / "q" / "c.json").read_text())) == 1


DUPLICATE = "groups: [{name: d, rules: [{record: 'a:b', expr: depth}, {record: 'a:b', expr: depth}]}]\n"


def test_what_only_promtool_objects_to_is_in_every_document(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its lint fails verify: no document may look as if nothing had."""
    (project / "r2.yml").write_text(DUPLICATE)
    (project / "alert-harness.toml").write_text('rules = ["r.yml", "r2.yml"]\ncontracts = ["c.yml"]\ntests = []\n')
    documents = "--junit j.xml --annotate github --json p.json --markdown p.md --report ."
    assert main(f"verify --skip live {documents}".split()) == 1
    said = capsys.readouterr()
    root = ElementTree.fromstring((project / "j.xml").read_text())
    assert (root.get("failures"), root.get("errors")) == ("1", "0")
    assert root.find("testsuite[@name='promtool check rules']/testcase/failure") is not None
    assert re.findall("^::error file=r2.yml,title=promtool check rules::.*duplicate", said.err, re.MULTILINE)
    (finding,) = json.loads((project / "p.json").read_text())["findings"]
    assert "duplicate" in finding.pop("message")
    assert finding == {
        "id": "promtool-lint", "severity": "error", "file": "r2.yml", "line": None, "column": None, "help": None,
    }  # fmt: skip
    assert "**promtool check rules**" in (project / "p.md").read_text()
    page = (project / "index.html").read_text()
    assert "No: promtool check rules objects (below)." in page
    assert "duplicate" in page
    assert said.out.rstrip().endswith("NO: see above for what is not as meant.")


def test_a_rule_that_is_left_out_is_in_every_document(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rest is proved and exact, and the exit code is 2: JUnit says why."""
    (project / "r2.yml").write_text("groups: [{name: w, rules: [{alert: B, expr: depth >}]}]\n")
    documents = "--junit j.xml --annotate github --json p.json --report ."
    assert main(f"prove --rules r.yml --rules r2.yml {documents}".split()) == 2
    root = ElementTree.fromstring((project / "j.xml").read_text())
    assert root.find("testsuite[@name='rules and contracts']/testcase/failure") is not None
    assert "::error file=r2.yml,line=1," in capsys.readouterr().err
    assert [finding["id"] for finding in json.loads((project / "p.json").read_text())["findings"]] == ["input"]
    assert "No: 1 mistake in what was given is left out (below)." in (project / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--annotate", "gitlub"], "there is no such annotator (did you mean `gitlab`?)"),
        (["--annotate", "github=x"], "there is no such annotator"),
        (["--junit", "."], "cannot write .: it is a folder"),
        (["--report", "r.yml"], "cannot write r.yml/index.html: r.yml is no folder"),
        (["--annotate", "gitlab=c.yml/x"], "cannot write c.yml/x: c.yml is no folder"),
    ],
)
@pytest.mark.parametrize("command", ["prove", "verify", "test"])
def test_what_cannot_be_is_refused_before_anything_runs(
    project: Path, command: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""
    assert not (project / "build").exists()
