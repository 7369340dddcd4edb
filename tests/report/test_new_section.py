"""A new kind of section: a folder of its own, a template, one registration, and every document tells of it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from harness.proof.model import AlertResult, Measured
from harness.proof.report import ProofReport
from harness.report import section as registry
from harness.report.document import findings_json
from harness.report.outputs import Outputs
from harness.report.proof.markdown import proof_markdown
from harness.report.section import Section, exit_code, register, section_of
from harness.report.terminal import tell_findings
from tests.report.test_told_everywhere import world

SECTION = '''
"""The weather as a section."""

from dataclasses import dataclass

from harness.errors import Span
from harness.report.section import Finding, FindingGroup, FindingSeverity, Section, SectionPage, Tile


@dataclass(frozen=True)
class WeatherReport:
    rains: bool


def section(report):
    wet = Finding("rain", FindingSeverity.ERROR, "it rains & pours", Span("sky.yml", 7, 3), ("since noon",), "wait")
    return Section(
        "weather",
        "it rains" if report.rains else "the sun shines",
        (FindingGroup("Utrecht", (wet,) if report.rains else (), "wet" if report.rains else "dry"),),
        SectionPage("The weather", "weather", "weather:weather.html.j2", lambda: {"rains": report.rains}),
        tiles=(Tile("1" if report.rains else "0", "showers"),),
    )
'''
TEMPLATE = (
    '<section aria-labelledby="weather"><h2 id="weather">{{ "umbrellas" if view.rains else "hats" }}</h2></section>'
)


@pytest.fixture
def weather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    folder = tmp_path / "weather"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "section.py").write_text(SECTION)
    (folder / "weather.html.j2").write_text(TEMPLATE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "PRODUCTS", dict(registry.PRODUCTS))
    register("WeatherReport", "weather.section")
    yield importlib.import_module("weather.section").WeatherReport
    for name in ("weather", "weather.section"):
        sys.modules.pop(name, None)


def run_of(weather: Any, *, rains: bool) -> tuple[ProofReport, list[Section]]:
    """A proof in which all is exact, and the weather."""
    exact = AlertResult("A", world().contract, world().located, Measured(), [], [])
    report = ProofReport([exact], "process", "3.5.3")
    return report, [section_of(report), section_of(weather(rains))]


def documents(folder: Path, sections: list[Section], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    out = Console(file=(folder / "out.txt").open("w"), width=200)
    Outputs(folder, folder / "j.xml", "github").write(sections, out)
    Outputs(annotate=f"gitlab={folder / 'q.json'}").write(sections, out)
    return {
        "junit": (folder / "j.xml").read_text(), "page": (folder / "index.html").read_text(),
        "github": capsys.readouterr().err, "gitlab": (folder / "q.json").read_text(),
    }  # fmt: skip


def test_it_is_in_every_document(weather: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, sections = run_of(weather, rains=True)
    assert exit_code(sections) == 1
    told = documents(tmp_path, sections, capsys)
    failure = ElementTree.fromstring(told["junit"]).find("testsuite[@name='weather']/testcase/failure")
    assert failure is not None
    assert failure.text == "it rains & pours\n  since noon\nwhat to do: wait"
    assert "::error file=sky.yml,line=7,col=3,endColumn=3,title=Utrecht%3A rain::it rains & pours" in told["github"]
    assert [entry["check_name"] for entry in json.loads(told["gitlab"])] == ["alert-harness/rain"]
    for text in ("No: it rains.", "umbrellas", "showers", "it rains &amp; pours", ">The weather</a>"):
        assert text in told["page"]
    assert "**Utrecht**\n\n- it rains &amp; pours; since noon; what to do: wait" in proof_markdown(report, sections)
    assert findings_json(sections) == [
        {"id": "rain", "severity": "error", "file": "sky.yml", "line": 7, "column": 3,
         "message": "it rains & pours; since noon", "help": "wait"},
    ]  # fmt: skip
    with (tmp_path / "t.txt").open("w+") as file:
        tell_findings(sections[1], Console(file=file, width=100))
        file.seek(0)
        assert file.read().split("\n")[1:4] == ["Utrecht  wet", "  - it rains & pours", "    since noon"]


def test_no_document_complains_where_it_is_good(
    weather: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, sections = run_of(weather, rains=False)
    assert exit_code(sections) == 0
    told = documents(tmp_path, sections, capsys)
    root = ElementTree.fromstring(told["junit"])
    assert (root.get("failures"), root.get("errors"), told["github"]) == ("0", "0", "")
    assert json.loads(told["gitlab"]) == findings_json(sections) == []
    assert "Yes: every alert fires exactly as meant." in told["page"]
    assert "hats" in told["page"]
