"""The rule files that unit tests name, and what promtool is given of each: itself, or copies where it refuses that."""

from __future__ import annotations

import itertools
import os.path
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.engines.promtool import Promtool
from harness.engines.promtool_input import PromtoolInput, promtool_input
from harness.errors import HarnessError, InputError, by_place
from harness.prometheus import DEFAULTS, ServerSettings
from harness.proof.checked import check_rule_files
from harness.rules import Group, RuleFile, read_rules
from harness.rules.model import AlertRule, RecordingRule
from harness.source import Text
from harness.suites import goglob


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A rule file: what promtool is given of it, and what it says."""

    path: Path
    given: tuple[PromtoolInput, ...]
    """The rules that we can read, and where they are for promtool."""
    problems: tuple[HarnessError, ...] = ()
    """What is wrong with the others."""
    refused: bool = False
    """Whether promtool finds so too. If not, it gets the file as it is, and knows more of it than we do."""

    @property
    def paths(self) -> tuple[Path, ...]:
        if self.problems and not self.refused:
            return (self.path,)
        return tuple(one.path for one in self.given)


@dataclass(frozen=True, slots=True)
class TestedRules:
    """The rule files of one unit-test file."""

    files: tuple[LoadedFile, ...]
    unmatched: tuple[Text, ...]
    """Patterns without any file."""
    evaluation_ms: int | None = None
    """The evaluation interval of the project's Prometheus, which groups have that set none; None where nobody told."""

    @property
    def known(self) -> bool:
        """Whether we know every rule that promtool has loaded."""
        return not self.unmatched and not any(file.problems for file in self.files)

    @property
    def problems(self) -> list[HarnessError]:
        return [problem for file in self.files for problem in file.problems]

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for file in self.files for path in file.paths)

    def groups(self) -> Iterator[tuple[RuleFile, Group]]:
        for file in self.files:
            for one in file.given:
                for group in one.file.groups:
                    yield one.file, group

    def alerts(self) -> Iterator[tuple[RuleFile, Group, AlertRule]]:
        for file, group in self.groups():
            for rule in group.alerts():
                yield file, group, rule

    def records(self) -> Iterator[tuple[RuleFile, Group, RecordingRule]]:
        for file, group in self.groups():
            for rule in group.rules:
                if isinstance(rule, RecordingRule):
                    yield file, group, rule

    def alert_names(self) -> set[str]:
        return {rule.alert for _, _, rule in self.alerts()}


@dataclass
class RuleFiles:
    """Loads rule files, each once however many tests read it; copies go to `folder`."""

    folder: Path
    ignore_unknown_fields: bool = False
    evaluation_ms: int | None = None
    """The interval of groups that set none; None where nobody told."""
    _loaded: dict[Path, LoadedFile] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of_patterns(self, patterns: tuple[Text, ...], base: Path) -> TestedRules:
        """The files that `rule_files` names, relative to the test file's folder, in promtool's order."""
        files: list[LoadedFile] = []
        unmatched: list[Text] = []
        for pattern in patterns:
            try:
                # normalised as Go's filepath.Join does
                found = goglob.expand(Path(_joined(base, pattern.value))) if pattern.value else []
            except ValueError as err:
                raise InputError(f"`{pattern.value}` is no file pattern: {err}", span=pattern.span) from err
            if not found:
                unmatched.append(pattern)
            files.extend(self.load(path) for path in found)
        return TestedRules(tuple(files), tuple(unmatched), self.evaluation_ms)

    def load(self, path: Path) -> LoadedFile:
        """Never raises for what is wrong in the file: promtool judges, `problems` explain."""
        with self._lock:
            if path not in self._loaded:
                self._loaded[path] = self._load(path)
            return self._loaded[path]

    def _load(self, path: Path) -> LoadedFile:
        server = DEFAULTS if self.evaluation_ms is None else ServerSettings(evaluation_ms=self.evaluation_ms)
        loaded = read_rules([path], server, ignore_unknown=self.ignore_unknown_fields)
        problems = tuple(fault.error for fault in loaded.faults if not fault.nothing)
        return LoadedFile(path, self._given(loaded.files), problems)

    def without_refused(self, rules: TestedRules, promtool: Promtool) -> TestedRules:
        """The same without the rules that promtool refuses, each told in its file's `problems`."""
        return replace(rules, files=tuple(self._without_refused(file, promtool) for file in rules.files))

    def _without_refused(self, file: LoadedFile, promtool: Promtool) -> LoadedFile:
        checked = check_rule_files(promtool, [one.file for one in file.given])
        if not file.problems and not checked.faults:
            return file
        problems = by_place([*file.problems, *(fault.error for fault in checked.faults)])
        return LoadedFile(file.path, self._given(checked.files), tuple(problems), refused=True)

    def _given(self, files: Iterable[RuleFile]) -> tuple[PromtoolInput, ...]:
        return tuple(promtool_input(file, self.folder, f"rules-{next(self._numbers)}.yml") for file in files)


def _joined(base: Path, pattern: str) -> str:
    return os.path.normpath(os.path.join(base, pattern))
