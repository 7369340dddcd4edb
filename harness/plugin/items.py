"""Rule, contract and promtool test files as pytest collects them: one item per alert and aspect, one per test group."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.errors import HarnessError, InputError, printable
from harness.plugin.failures import failure_text, reasons
from harness.plugin.results import Proofs, Suites
from harness.plugin.session import ProjectSession
from harness.proof.pairing import Pairing, pair
from harness.report.proof.aspects import aspect_names, not_rendered
from harness.report.suites.terminal import write_file
from harness.report.wording import one_line
from harness.source import display_path
from harness.suites.load import load_suite
from harness.suites.model import FileResult, Severity, Status, TestGroup
from harness.units import format_number

_WIDTH = 120
WHOLE_FILE = "file"


class NotAsMeant(Exception):
    """An item's failure; its text is all there is to say."""


def _told(excinfo: pytest.ExceptionInfo[BaseException]) -> str | None:
    """The text of what a user may see; None for a fault of ours, which shows its traceback."""
    if isinstance(excinfo.value, NotAsMeant | HarnessError):
        return printable(str(excinfo.value))
    return None


class Door:
    """The part of the plugin that a session with rules or promtool tests gets."""

    def __init__(self, config: pytest.Config, project_session: ProjectSession) -> None:
        self.project_session = project_session
        self.proofs = Proofs(project_session)
        self.suites = Suites(project_session)
        self.rules: set[Path] = set()
        self.contracts: set[Path] = set()
        self.tests: set[Path] = set()
        self._pairings: list[Pairing] | None = None
        try:
            if project_session.given("rules"):
                self.rules = _resolved(project_session.rule_paths())
                self.contracts = _resolved(project_session.contract_paths())
            self.tests = _resolved(project_session.test_paths())
        except HarnessError as err:
            raise pytest.UsageError(str(err)) from err
        self._add_arguments(config)

    def _add_arguments(self, config: pytest.Config) -> None:
        """Have pytest collect our files where its own arguments do not lead to them."""
        ours = self.rules | self.contracts | self.tests
        named = {(config.invocation_params.dir / arg.partition("::")[0]).resolve() for arg in config.args}
        chosen = config.args_source is pytest.Config.ArgsSource.ARGS
        on_command_line = any(config.getoption(f"alert_{name}") for name in ("rules", "tests"))
        if named & ours or (chosen and not on_command_line):
            return
        for path in sorted(ours):
            if not any(folder in named for folder in path.parents) or _is_left_out(config, path, named):
                config.args.append(str(path))

    @property
    def faults(self) -> list[HarnessError]:
        """What is wrong with single rules."""
        return self.project_session.alert_rules().faults

    @property
    def pairings(self) -> list[Pairing]:
        if self._pairings is None:
            loaded = self.project_session.alert_rules()
            self._pairings = pair(loaded.files, loaded.contracts)
        return self._pairings

    def pytest_report_header(self) -> str:
        parts = [(self.rules, "rule file"), (self.contracts, "contract file"), (self.tests, "promtool test file")]
        counts = (f"{len(paths)} {what}{'' if len(paths) == 1 else 's'}" for paths, what in parts if paths)
        return f"alert-harness: {', '.join(counts)}"

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        path = file_path.resolve()
        if path in self.rules or path in self.contracts:
            return AlertFile.from_parent(parent, path=file_path, door=self)
        if path in self.tests:
            return PromtoolFile.from_parent(parent, path=file_path, door=self)
        return None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """What -k, -m, --lf and arguments left is all that will be measured."""
        chosen = {id(item.pairing): item.pairing for item in session.items if isinstance(item, AspectItem)}
        self.proofs.selected = list(chosen.values())
        files = {item.path: None for item in session.items if isinstance(item, GroupItem)}
        self.suites.selected = list(files)


def _resolved(paths: Iterable[Path]) -> set[Path]:
    return {path.resolve() for path in paths}


def _is_left_out(config: pytest.Config, path: Path, named: set[Path]) -> bool:
    """Whether pytest, on its way down to the file, would turn away from a folder."""
    patterns = config.getini("norecursedirs")
    below = [folder for folder in path.parents if any(top in folder.parents for top in named)]
    return any(folder.match(pattern) for folder in below for pattern in patterns)


class AlertFile(pytest.File):
    """A rule file with its alerts, or a contract file with those that no rule file has."""

    def __init__(self, *, door: Door, **named: Any) -> None:
        super().__init__(**named)
        self.door = door

    def collect(self) -> Iterator[pytest.Collector | pytest.Item]:
        path = self.path.resolve()
        here = [pairing for pairing in self.door.pairings if _file_of(pairing) == path]
        plain = Counter(_name_of(pairing) for pairing in here)
        names = [_name_of(p) if plain[_name_of(p)] == 1 else f"{_name_of(p)}{_severity(p)}" for p in here]
        for pairing, name in zip(here, _unique(names), strict=True):
            yield AlertNode.from_parent(self, name=name, pairing=pairing, door=self.door)
        shown = display_path(path)
        wrong = [fault for fault in self.door.faults if fault.span is not None and fault.span.file == shown]
        for fault, name in zip(wrong, _unique(f"line {f.span.line}" for f in wrong if f.span), strict=True):
            yield FaultItem.from_parent(self, name=name, fault=fault, door=self.door)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return _told(excinfo) or super().repr_failure(excinfo)


def _file_of(pairing: Pairing) -> Path | None:
    if pairing.located is not None:
        return pairing.located.file.path.resolve()
    return Path(pairing.contract.file).resolve() if pairing.contract is not None else None


def _name_of(pairing: Pairing) -> str:
    if pairing.contract is not None:
        return one_line(pairing.contract.alert.value)
    return one_line(pairing.located.rule.alert) if pairing.located is not None else ""


def _severity(pairing: Pairing) -> str:
    """``[critical]``, which tells alerts of one name apart; empty if there is none."""
    severity = None if pairing.contract is None else pairing.contract.severity
    if severity is None and pairing.located is not None:
        severity = pairing.located.fixed_labels.get("severity")
    return f"[{one_line(severity)}]" if severity else ""


def _unique(names: Iterable[str]) -> list[str]:
    """The names, a repeated one with its number: two items of one id could not be told apart."""
    seen: Counter[str] = Counter()
    made = []
    for name in names:
        seen[name] += 1
        made.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return made


class AlertNode(pytest.Collector):
    """One alert."""

    def __init__(self, *, pairing: Pairing, door: Door, **named: Any) -> None:
        super().__init__(**named)
        self.pairing = pairing
        self.door = door

    def collect(self) -> Iterator[pytest.Item]:
        names = aspect_names(self.pairing.contract, has_rule=self.pairing.located is not None)
        for aspect, name in zip(names, _unique(names), strict=True):
            yield AspectItem.from_parent(self, name=name, aspect=aspect, pairing=self.pairing, door=self.door)


class _OurItem(pytest.Item):
    """An item whose failure is a text."""

    def __init__(self, *, door: Door, line: int, **named: Any) -> None:
        super().__init__(**named)
        self.door = door
        self._line = line
        self.add_marker("alert_rules")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return _told(excinfo) or super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self._line - 1, self.nodeid.partition("::")[2].replace("::", " ")


class FaultItem(_OurItem):
    """A rule that cannot be read: it fails, and those beside it run."""

    def __init__(self, *, fault: HarnessError, **named: Any) -> None:
        super().__init__(line=fault.span.line if fault.span else 1, **named)
        self.fault = fault

    def runtest(self) -> None:
        raise self.fault


class AspectItem(_OurItem):
    """One aspect of one alert."""

    def __init__(self, *, aspect: str, pairing: Pairing, **named: Any) -> None:
        located, contract = pairing.located, pairing.contract
        line = located.rule.span.line if located is not None else contract.alert.span.line if contract else 1
        super().__init__(line=line, **named)
        self.aspect = aspect
        self.pairing = pairing

    def runtest(self) -> None:
        result = self.door.proofs.of(self.pairing)
        self.user_properties.append(("verdict", result.verdict.value))
        if result.measured.boundary is not None:
            self.user_properties.append(("quiet_at", format_number(result.measured.boundary.quiet_at)))
            self.user_properties.append(("fires_at", format_number(result.measured.boundary.fires_at)))
        self.user_properties.append(("measured_s", f"{result.seconds:.3f}"))
        if unknown := not_rendered(result, self.aspect):
            pytest.skip(f"not measured: {unknown}")
        if why := reasons(result, self.aspect):
            if result.allowed is not None:
                pytest.xfail(f"set aside: {result.allowed}")
            raise NotAsMeant(failure_text(result, self.aspect, why))


class PromtoolFile(pytest.File):
    """A promtool unit-test file: an item for each group, and one for what is said of the file as a whole."""

    def __init__(self, *, door: Door, **named: Any) -> None:
        super().__init__(**named)
        self.door = door

    def collect(self) -> Iterator[pytest.Item]:
        try:
            suite = load_suite(self.path)
        except InputError:
            groups: tuple[TestGroup, ...] = ()  # the file's own item tells what promtool makes of it
        else:
            groups = suite.groups
        yield GroupItem.from_parent(self, name=WHOLE_FILE, group=None, door=self.door)
        names = [one_line(group.name) or f"group {group.index + 1}" for group in groups]
        for group, name in zip(groups, _unique([WHOLE_FILE, *names])[1:], strict=True):
            yield GroupItem.from_parent(self, name=name, group=group, door=self.door)


class GroupItem(_OurItem):
    """One test group of a promtool unit-test file, or with `group` None the file as a whole."""

    def __init__(self, *, group: TestGroup | None, **named: Any) -> None:
        super().__init__(line=group.span.line if group else 1, **named)
        self.group = group

    def runtest(self) -> None:
        result = self.door.suites.of(self.path)
        part = _whole(result) if self.group is None else _of_group(result, self.group)
        self.user_properties.append(("assertions", str(len(part.results))))
        if _passes(part):
            return
        text = io.StringIO()
        write_file(part, Console(file=text, width=_WIDTH, color_system=None, highlight=False))
        raise NotAsMeant(text.getvalue().rstrip())


def _of_group(result: FileResult, group: TestGroup) -> FileResult:
    """The file's result with only what concerns one group; the file's errors where nothing of it was judged."""
    results = tuple(r for r in result.results if r.group_index == group.index)
    findings = tuple(f for f in result.findings if f.group and f.group in (group.name, group.title))
    lost = not result.results or any(r.status is Status.ERROR for r in results)
    if result.problem is not None and not lost:
        result = replace(result, problem=None)
    return replace(result, results=results, findings=findings, errors=result.errors if lost else ())


def _whole(result: FileResult) -> FileResult:
    findings = tuple(f for f in result.findings if not f.group)
    told = result.promtool_passed or result.errors or any(r.status is not Status.PASSED for r in result.results)
    errors = result.errors if told or result.problem is not None else ("promtool fails this file",)
    return replace(result, results=(), findings=findings, errors=errors)


def _passes(part: FileResult) -> bool:
    if part.problem is not None or part.errors or any(f.severity is Severity.ERROR for f in part.findings):
        return False
    return all(r.status is Status.PASSED for r in part.results)
