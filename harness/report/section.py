"""What one part of a run found, in the one form from which every document is written.

A run yields sections: of the proof, of the unit tests, of each tool that was asked. A product (a folder beside this
file) gives a function from its result to a :class:`Section`, registered by one line in :data:`PRODUCTS`. JUnit,
annotations, Markdown, the findings in JSON, the page's head and the exit code know sections only, so whatever fails a
run is told by all of them. What is the product's own (its table on the terminal, the body of its JSON, its template on
the page) stays in its folder.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from harness.errors import EXIT_ENGINE, EXIT_FINDINGS, EXIT_INPUT, EXIT_OK, HarnessError, InputErrors, Span

GRAVEST_FIRST = (EXIT_ENGINE, EXIT_INPUT, EXIT_FINDINGS, EXIT_OK)


class FindingSeverity(Enum):
    """Whether a finding fails the run."""

    ERROR = "error"
    """It does."""
    WARNING = "warning"
    """It should be mended, and fails nothing."""
    NOTE = "note"
    """It is accepted: set aside with a reason, or declared."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to tell."""

    check: str
    """What kind of finding it is: a verdict, or what was looked for. The same word in every version and document."""
    severity: FindingSeverity
    message: str
    """One sentence; lines below it belong to it (a difference, what a tool said)."""
    span: Span | None = None
    """Where it is; line 0: somewhere in the file; None: at no place of a file."""
    parts: tuple[str, ...] = ()
    """What belongs to it, a sentence each."""
    help: str = ""
    """What to do."""
    page: str = ""
    """The page of the documentation that says more, from the repository's root."""
    title: str = ""
    """Its heading beside a line of code; empty: the name of its group and the check."""
    identity: str = ""
    """What tells it from others of its check and file while lines move and numbers change; empty: its group's name."""
    exit_code: int = EXIT_FINDINGS
    """What a run exits with for it, if it fails."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What its product's own JSON says of it under keys of its own."""

    @property
    def fails(self) -> bool:
        return self.severity is FindingSeverity.ERROR

    @property
    def place(self) -> str:
        """``rules/a.yml:12:5``, the file alone where no line is known, or empty."""
        if self.span is None:
            return ""
        return str(self.span) if self.span.line else self.span.file

    @property
    def lines(self) -> list[str]:
        """The message, what belongs to it indented below."""
        return [self.message, *(f"  {part}" for part in self.parts)]

    @property
    def text(self) -> str:
        """Message and parts in one, to be read and never to be taken apart again."""
        return "; ".join((self.message, *self.parts))


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """What is said of one subject: an alert, a test file, an objective, a tool."""

    name: str
    findings: tuple[Finding, ...] = ()
    """The worst first."""
    verdict: str = ""
    """In words, where the subject has one; ``off threshold``."""
    tone: str = "bad"
    """``good``, ``warn``, ``bad`` or ``soft``: how the verdict is coloured."""
    place: str = ""
    """``rules/system.yml:12``, behind its name."""
    allowed: str = ""
    """The reason for which it is set aside."""
    notes: tuple[str, ...] = ()
    """What a reader should know although it is no finding."""
    check: str = ""
    """What its findings come to as one; empty: the check of the first."""
    span: Span | None = None
    """Where all its findings stand as one annotation; None: each stands at its own place."""
    anchor: str = ""
    """Its place on the page."""

    @property
    def failing(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.fails)


@dataclass(frozen=True, slots=True)
class Tile:
    """A number of the page's head that anybody understands."""

    number: str
    what: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class JUnitCase:
    """One `testcase`: passed, unless a finding that it refers to fails."""

    name: str
    classname: str
    file: str = ""
    line: int = 1
    findings: tuple[Finding, ...] = ()
    skipped: str = ""
    """Why it says nothing, if it does not fail."""
    broken: bool = False
    """Whether it could not be judged: JUnit's `error` instead of `failure`, if it fails."""
    message: str = ""
    """What it says instead of the first finding's message, if it fails …"""
    text: str = ""
    """… and instead of its findings' own lines."""
    seconds: float = 0.0

    @property
    def kind(self) -> str:
        """``failure``, ``error``, ``skipped``, or empty where it passed."""
        if any(finding.fails for finding in self.findings):
            return "error" if self.broken else "failure"
        return "skipped" if self.skipped else ""


@dataclass(frozen=True, slots=True)
class JUnitSuite:
    """One `testsuite`."""

    name: str
    cases: tuple[JUnitCase, ...]
    properties: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SectionPage:
    """The section on the HTML page. Without a template of its own it is shown as a list of its findings."""

    heading: str
    """Of the list of what is on the page."""
    anchor: str
    template: str = ""
    """``proof/proof.html.j2`` below harness/report, or ``package:file`` elsewhere."""
    view: Callable[[], Mapping[str, Any]] = dict
    """What the template draws, as `view`; asked for only where there is a page."""
    title: str = ""
    """Of a page that begins with this section; empty: it begins none."""
    explanation: str = ""
    """What was done, for such a page."""
    untested: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(what nobody has looked at, of which subjects)."""
    footer: str = ""
    beside: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    """File name → pages of their own beside this one."""


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of a run found. It is good if none of its findings fails, and never else."""

    name: str
    answer: str
    """A clause that follows ``Yes:`` or ``No:``."""
    groups: tuple[FindingGroup, ...]
    page: SectionPage
    suites: tuple[JUnitSuite, ...] = ()
    """What JUnit counts; a finding to which no case refers gets one of its own there."""
    tiles: tuple[Tile, ...] = ()
    not_yet: str = ""
    """What waits for a person: ``2 drafts``."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for group in self.groups for finding in group.findings)

    @property
    def good(self) -> bool:
        return not any(finding.fails for finding in self.findings)

    @property
    def exit_code(self) -> int:
        return gravest(finding.exit_code for finding in self.findings if finding.fails)


def share_tone(number: int, of: int) -> str:
    """How a tile that says `number` of `of` is coloured."""
    return "good" if number == of and of else "bad"


def gravest(codes: Iterable[int]) -> int:
    """The first that applies of 3, 2, 1; else 0."""
    known = {EXIT_OK, *codes}
    return next(code for code in GRAVEST_FIRST if code in known)


def exit_code(sections: Iterable[Section]) -> int:
    """What a run with these sections exits with."""
    return gravest(section.exit_code for section in sections)


def answer(sections: Sequence[Section]) -> str:
    """The run in a sentence: ``Yes: …`` in the words of the section that leads, ``No: …`` in those of all that are not
    good. `sections` holds at least one.
    """
    if wrong := [section.answer for section in sections if not section.good]:
        return f"No: {', and '.join(wrong)}."
    return f"Yes: {leading(sections).answer}."


def leading(sections: Sequence[Section]) -> Section:
    """The first that can begin a page, else the first."""
    return next((section for section in sections if section.page.title), sections[0])


def not_good(sections: Iterable[Section]) -> Iterator[FindingGroup]:
    """Every subject of which something fails."""
    return (group for section in sections for group in section.groups if group.failing)


def finding_of(error: HarnessError, check: str) -> Finding:
    """What could not be done, or is wrong with the input, as a finding with the error's exit code."""
    return Finding(
        check, FindingSeverity.ERROR, error.message, error.span, help=error.hint or "", exit_code=error.exit_code
    )


def findings_of(errors: Iterable[HarnessError], check: str) -> tuple[Finding, ...]:
    """One for each error, also of several that were raised at once."""
    each = (one for error in errors for one in (error.errors if isinstance(error, InputErrors) else (error,)))
    return tuple(finding_of(error, check) for error in each)


# -- the products ------------------------------------------------------------------------------------------------------

PRODUCTS = {
    "ProofReport": "harness.report.proof.section",
    "SuiteReport": "harness.report.suites.section",
    "LiveReport": "harness.report.live.section",
    "ScenarioResult": "harness.report.scenario.section",
    "SloGate": "harness.report.slo.section",
    "QualityReport": "harness.report.quality.section",
    "CheckReport": "harness.report.check.section",
    "StepReport": "harness.report.steps.section",
}
"""The name of a result's class (unique in the package) → the module whose `section` makes a section of it. A module is
imported when such a result comes: a proof needs none of the stack's."""


def register(result: str, module: str) -> None:
    """Have results of a class of this name told by `module.section`."""
    PRODUCTS[result] = module


def section_of(result: object) -> Section:
    """The section of a product's result; raises TypeError for a class that is not registered."""
    name = type(result).__name__
    if name not in PRODUCTS:
        raise TypeError(f"{name} is not registered in harness/report/section.py: no document would tell of it")
    made: Section = importlib.import_module(PRODUCTS[name]).section(result)
    return made
