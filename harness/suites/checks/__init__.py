"""The ways in which promtool's SUCCESS can be empty, one module each; its file name is its id (`_` for `-`).

A check of a file has a function `check(view: FileView)`, a check of the run `check_run(view: RunView)`; both yield
:class:`Hit`. A module may set ``TASTE = True``: its hits fail the run only under ``--strict``. There is no list of
checks but the folder.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from harness.errors import Span
from harness.suites.capped_windows import CappedWindow
from harness.suites.model import (
    FileResult,
    ObservedStates,
    Result,
    RuleCoverage,
    Severity,
    Status,
    SuiteFile,
    SuiteFinding,
    TestGroup,
)
from harness.suites.order import OrderDependence
from harness.suites.reads import Reads
from harness.suites.rulefiles import TestedRules

__all__ = ["FileView", "Hit", "RunView", "Severity", "check_file", "check_run", "ids"]


@dataclass(frozen=True, slots=True)
class Hit:
    """What a check found: where, what, and what to do."""

    span: Span | None
    message: str
    hint: str
    group: str = ""
    taste: bool = False
    """This one is a matter of taste even if its check is not."""


@dataclass(frozen=True, slots=True)
class FileView:
    """What a check of one file may look at."""

    suite: SuiteFile
    groups: tuple[TestGroup, ...]
    """Those that ran."""
    rules: TestedRules
    reads: Reads
    result: FileResult
    strict: bool
    configured: tuple[Path, ...]
    unpassed: frozenset[int]
    """Indexes of the groups of which some assertion did not pass."""
    by_span: Mapping[Span, Result]
    capped_windows: tuple[CappedWindow, ...] = ()
    """The alerts whose windows promtool cannot fill, where that decides, or nobody can tell."""
    order_dependences: tuple[OrderDependence, ...] = ()
    """The test groups that depend on an order of rule groups which promtool does not promise."""

    @classmethod
    def of(
        cls,
        suite: SuiteFile,
        groups: Sequence[TestGroup],
        rules: TestedRules,
        result: FileResult,
        *,
        strict: bool,
        configured: tuple[Path, ...],
        capped_windows: tuple[CappedWindow, ...] = (),
        order_dependences: tuple[OrderDependence, ...] = (),
    ) -> FileView:
        """The view of a file that was run."""
        unpassed = frozenset(r.group_index for r in result.results if r.status is not Status.PASSED)
        by_span = {r.span: r for r in result.results}
        return cls(
            suite, tuple(groups), rules, Reads(rules), result, strict, configured, unpassed, by_span, capped_windows,
            order_dependences,
        )  # fmt: skip

    def observed(self, group: TestGroup, time_ms: int) -> ObservedStates | None:
        """What promtool saw at the evaluation that an asserted time is compared with."""
        return self.result.observed.get((group.index, self.suite.tick_ms(time_ms)))

    def passed(self, group: TestGroup) -> bool:
        """Whether every assertion of the group passed: only then can it be a false green."""
        return group.index not in self.unpassed

    def result_of(self, span: Span) -> Result | None:
        """The result of the assertion at this place."""
        return self.by_span.get(span)


@dataclass(frozen=True, slots=True)
class RunView:
    """What a check of the whole run may look at."""

    files: tuple[FileResult, ...]
    coverage: tuple[RuleCoverage, ...]
    run: tuple[str, ...]
    strict: bool
    complete: bool


@cache
def _modules() -> tuple[ModuleType, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in names)


def _id(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2].replace("_", "-")


def ids() -> tuple[str, ...]:
    """The id of every check."""
    return tuple(_id(module) for module in _modules())


def _finding(module: ModuleType, hit: Hit, strict: bool) -> SuiteFinding:
    mild = (hit.taste or getattr(module, "TASTE", False)) and not strict
    severity = Severity.WARNING if mild else Severity.ERROR
    return SuiteFinding(_id(module), severity, hit.span, hit.message, hit.hint, hit.group)


def check_file(view: FileView) -> Iterator[SuiteFinding]:
    """The findings of every check of a file."""
    for module in _modules():
        if hasattr(module, "check"):
            for hit in module.check(view):
                yield _finding(module, hit, view.strict)


def check_run(view: RunView) -> Iterator[SuiteFinding]:
    """The findings of every check of the run."""
    for module in _modules():
        if hasattr(module, "check_run"):
            for hit in module.check_run(view):
                yield _finding(module, hit, view.strict)
