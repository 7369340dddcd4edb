"""Sections: what is registered, and what follows from findings alone."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from harness.errors import EXIT_ENGINE, EXIT_FINDINGS, EXIT_INPUT, EXIT_OK, EngineError, InputError, InputErrors, Span
from harness.proof.report import ProofReport
from harness.report.section import (
    PRODUCTS,
    Finding,
    FindingGroup,
    FindingSeverity,
    Section,
    SectionPage,
    answer,
    exit_code,
    findings_of,
    section_of,
)
from harness.report.steps.section import StepReport

HARNESS = Path(__file__).resolve().parents[2] / "harness"


def test_every_product_with_a_section_is_registered() -> None:
    """A section that nobody registered would be in no document."""
    there = {
        f"harness.report.{file.parent.name}.section"
        for file in (HARNESS / "report").glob("*/section.py")
        if "def section(" in file.read_text(encoding="utf-8")
    }
    assert there == set(PRODUCTS.values())
    for module in PRODUCTS.values():
        assert callable(importlib.import_module(module).section)


def test_every_result_that_is_registered_is_a_class_of_the_package() -> None:
    classes = {
        node.name
        for file in HARNESS.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    assert set(PRODUCTS) <= classes


def test_what_is_not_registered_is_refused() -> None:
    with pytest.raises(TypeError, match="Path is not registered"):
        section_of(type("Path", (), {})())


def made(*findings: Finding, name: str = "x", title: str = "") -> Section:
    page = SectionPage(heading=name, anchor=name, title=title)
    return Section(name, f"{name} is told", (FindingGroup("subject", findings),), page)


@pytest.mark.parametrize(
    ("severities", "good"),
    [
        ((), True),
        ((FindingSeverity.NOTE, FindingSeverity.WARNING), True),
        ((FindingSeverity.NOTE, FindingSeverity.ERROR), False),
    ],
)
def test_a_section_is_good_unless_a_finding_fails(severities: tuple[FindingSeverity, ...], good: bool) -> None:
    section = made(*(Finding("c", severity, "m") for severity in severities))
    assert section.good is good
    assert section.exit_code == (EXIT_OK if good else EXIT_FINDINGS)


def test_the_gravest_exit_code_counts() -> None:
    span = Span("r.yml", 3, 4)
    wrong = InputErrors([InputError("a", span=span, hint="mend it"), InputError("b")])
    findings = findings_of([wrong], "input")
    assert [(f.message, f.span, f.help, f.exit_code) for f in findings] == [
        ("a", span, "mend it", EXIT_INPUT), ("b", None, "", EXIT_INPUT),
    ]  # fmt: skip
    assert exit_code([made(Finding("c", FindingSeverity.ERROR, "m")), made(*findings)]) == EXIT_INPUT
    assert exit_code([made(*findings_of([EngineError("no"), wrong], "live"))]) == EXIT_ENGINE
    assert exit_code([]) == EXIT_OK


def test_the_answer_is_that_of_who_leads_or_of_all_that_are_wrong() -> None:
    step, lead, other = made(name="step"), made(name="lead", title="Alerts"), made(name="other", title="Tests")
    assert answer([step, lead, other]) == "Yes: lead is told."
    wrong = Finding("c", FindingSeverity.ERROR, "m")
    assert answer([made(wrong, name="step"), lead, made(wrong, name="other")]) == (
        "No: step is told, and other is told."
    )


def test_a_run_of_nothing_is_not_good() -> None:
    section = section_of(ProofReport([], "process", "3.5.3"))
    assert (section.good, section.answer) == (False, "nothing was proved")
    assert section_of(StepReport("promtool check rules")).good
