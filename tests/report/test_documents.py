"""JSON against its committed schema, JUnit against the shape that CI servers read, annotations by their own rules."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from harness.errors import Span
from harness.proof.model import AlertFinding, AlertResult, Measured, Verdict
from harness.proof.report import ProofReport
from harness.report.annotations import annotated, github, gitlab
from harness.report.junit import junit_xml
from harness.report.proof.aspects import aspects
from harness.report.proof.json import proof_json
from harness.report.suites.json import suites_json
from tests.report.report_run import Run

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schema"
HOSTILE = "a,b:c%\r\n::error::x <&\"'> \x00\x1b \ud800 \u202e"


def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(document)
    return document


def spoilt(outcome: Run) -> Run:
    """The same outcome with an alert whose every text means harm."""
    located = outcome.proof.results[0].located
    result = AlertResult(
        HOSTILE, None, located, Measured(), [], [AlertFinding(Verdict.UNEXPECTED, HOSTILE)], notes=[HOSTILE]
    )
    return replace(outcome, proof=replace(outcome.proof, results=[*outcome.proof.results, result]))


# -- JSON --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["good", "bad"])
def test_json_is_what_the_schema_says(which: str, request: pytest.FixtureRequest) -> None:
    outcome: Run = request.getfixturevalue(which)
    proof = json.loads(proof_json(outcome.proof, outcome.sections))
    jsonschema.validate(proof, schema("prove"))
    jsonschema.validate(json.loads(suites_json(outcome.suites, outcome.sections[1:])), schema("test"))
    proof["alerts"][0]["verdict"] = "fine"
    with pytest.raises(jsonschema.ValidationError, match="'fine' is not one of"):
        jsonschema.validate(proof, schema("prove"))


def test_the_schema_knows_every_verdict() -> None:
    assert schema("prove")["$defs"]["alert"]["properties"]["verdict"]["enum"] == [v.value for v in Verdict]


# -- aspects -----------------------------------------------------------------------------------------------------------


def failing(outcome: Run) -> dict[str, set[str]]:
    return {
        result.alert: {aspect.name.partition(":")[0] for aspect in aspects(result) if aspect.findings}
        for result in outcome.proof.results
    }


def test_each_fault_fails_its_own_aspect(bad: Run, good: Run) -> None:
    assert not any(failing(good).values())
    assert failing(bad) == {
        "HighErrorRate": {"threshold", "labels", "situation"},
        "SlowResponseTime": {"threshold", "situation"},
        "ServiceDown": {"hold", "situation"},
        "NoActiveStreams": set(),
        "HighCameraOfflineRate": {"threshold", "situation"},
        "RecordingFailures": set(),
        "HighCPUUsage": {"labels"},
        "HighMemoryUsage": {"contract"},
        "LowDiskSpace": set(),
        "HighMemoryUse": {"contract"},
    }


def test_no_reason_is_lost(bad: Run) -> None:
    for result in bad.proof.results:
        told = [reason for aspect in aspects(result) for reason in aspect.findings]
        assert len(told) == len(result.findings)


# -- JUnit -------------------------------------------------------------------------------------------------------------

CHILDREN = {
    "testsuites": {"testsuite"}, "testsuite": {"properties", "testcase"}, "properties": {"property"}, "property": set(),
    "testcase": {"failure", "error", "skipped"}, "failure": set(), "error": set(), "skipped": set(),
}  # fmt: skip
"""What the schemas in use (Jenkins' xunit plugin, Ant's windyroad) have in common."""
REQUIRED = {
    "testsuites": {"tests", "failures", "errors", "time"}, "testsuite": {"name", "tests", "failures", "errors", "time"},
    "testcase": {"name", "classname", "time"}, "property": {"name", "value"}, "failure": {"message", "type"},
    "error": {"message", "type"}, "skipped": {"message"}, "properties": set(),
}  # fmt: skip


def checked(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(text)
    for element in root.iter():
        assert {child.tag for child in element} <= CHILDREN[element.tag], element.tag
        assert set(element.attrib) >= REQUIRED[element.tag], element.tag
        if "time" in element.attrib:
            assert re.fullmatch(r"\d+\.\d{3}", element.attrib["time"])
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        for plural, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[plural]) == sum(case.find(kind) is not None for case in cases)
        assert len({(case.attrib["classname"], case.attrib["name"]) for case in cases}) == len(cases)
    assert int(root.attrib["tests"]) == len(root.findall("*/testcase"))
    return root


def test_junit_of_good_rules(good: Run) -> None:
    root = checked(junit_xml(good.sections))
    assert (root.attrib["failures"], root.attrib["errors"]) == ("0", "0")
    suite = root.find("testsuite[@name='HighCPUUsage']")
    assert suite is not None
    names = [case.attrib["name"] for case in suite.findall("testcase")]
    assert names[:5] == ["contract", "threshold", "hold", "recovery", "labels"]
    assert len(names) == 5 + 16
    assert float(suite.attrib["time"]) > 0
    known = {item.attrib["name"]: item.attrib["value"] for item in suite.iter("property")}
    assert (known["quiet_at"], known["fires_at"], known["verdict"]) == ("80.0", "80.00000000000001", "exact")
    assert sum(float(case.attrib["time"]) for case in suite.findall("testcase")) == float(suite.attrib["time"])


def test_junit_of_wrong_rules(bad: Run) -> None:
    root = checked(junit_xml(bad.sections))
    hold = root.find("testsuite[@name='ServiceDown']/testcase[@name='hold']/failure")
    assert hold is not None
    assert hold.attrib["message"] == "fires 2m after it becomes pending"
    assert hold.text == "fires 2m after it becomes pending\n  the contract says 1m (2 ticks of 30s)"
    assert root.findall("testsuite[@name='HighMemoryUsage']/testcase")[0].attrib["name"] == "contract"
    findings = {case.attrib["name"].partition(" ")[0] for case in root.iter("testcase")}
    assert {f.id for file in bad.suites.files for f in file.findings if f.severity.value == "error"} <= findings


def test_junit_of_what_xml_cannot_say(good: Run) -> None:
    text = junit_xml(spoilt(good).sections)
    root = checked(text)
    assert "\x00" not in text
    assert root.findall("testsuite")[9].attrib["name"].startswith("a,b:c%")


# -- annotations -------------------------------------------------------------------------------------------------------


def test_github_commands_are_one_line_each(bad: Run) -> None:
    lines = github(spoilt(bad).sections).split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(annotated(spoilt(bad).sections))
    assert all(re.fullmatch(r"::(error|warning) [^\n]*?::.*", line) for line in lines)
    for line in lines:
        command, _, message = line.removeprefix("::").partition("::")
        fields = dict(part.split("=", 1) for part in command.partition(" ")[2].split(","))
        assert set(fields) in ({"file", "line", "col", "endColumn", "title"}, {"title"})
        assert not re.search(r"%(?!25|0A|0D|3A|2C)", command + message)
    ours = next(line for line in lines if "a%2Cb%3Ac%25" in line)
    assert "title=a%2Cb%3Ac%25␍␊%3A%3Aerror%3A%3Ax" in ours
    assert "\x1b" not in ours
    down = next(line for line in lines if "ServiceDown" in line)
    assert "::fires 2m after it becomes pending%0A  the contract says 1m (2 ticks of 30s)%0Asituation `down" in down


def moved(outcome: Run, lines: int) -> Run:
    """The same findings some lines further down, with other numbers in their reasons."""
    results = []
    for result in outcome.proof.results:
        located = result.located
        if located is not None:
            span = located.rule.span
            down = Span(span.file, span.line + lines, span.column, span.length)
            located = replace(located, rule=replace(located.rule, span=down))
        findings = [replace(finding, message="other") for finding in result.findings]
        results.append(AlertResult(result.alert, result.contract, located, result.measured, [], findings))
    return Run(ProofReport(results, "process", "3.5.3"), outcome.suites)


def test_gitlab_fingerprints_stay(bad: Run) -> None:
    first, second = json.loads(gitlab(bad.sections)), json.loads(gitlab(moved(bad, 7).sections))
    assert len(first) > 10
    for entry in first:
        assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert entry["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert entry["location"]["lines"]["begin"] >= 1
        assert not entry["location"]["path"].startswith("./")
        assert "\n" not in entry["description"]
    prints = [entry["fingerprint"] for entry in first]
    assert len(set(prints)) == len(prints)
    assert prints == [entry["fingerprint"] for entry in second]
    assert json.loads(gitlab([])) == []
