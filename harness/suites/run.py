"""Run unit-test files: promtool judges each in one process, in parallel; checks say what its verdict hides."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from harness.engines.owner import processes_with
from harness.engines.private import private_folder
from harness.engines.promtool import CompletedRun, Promtool
from harness.engines.promtool_complaints import unknown_fields
from harness.errors import EngineError, HarnessError, InputError, InputErrors, Span
from harness.rules.copies import line_map
from harness.source import display_path
from harness.suites import checks
from harness.suites.account import probes, read_account, write_copy
from harness.suites.capped_windows import CappedWindow, TestedSuite, capped_windows
from harness.suites.coverage import coverage
from harness.suites.load import load_suite
from harness.suites.model import (
    FileResult,
    ObservedStates,
    Result,
    Status,
    SuiteFile,
    SuiteFinding,
    SuiteReport,
    TestGroup,
)
from harness.suites.order import (
    DistinctGroups,
    EvaluationOrder,
    Link,
    OrderDependence,
    PromtoolRules,
    blamed,
    distinct_groups,
)
from harness.suites.outcome import group_results
from harness.suites.reads import Reads
from harness.suites.rulefiles import RuleFiles, TestedRules
from harness.units import parse_duration_ms

_AGAIN_S = 0.2
_PATIENCE_S = 120.0
"""How long promtool may take over a window that is full: a thousand hours of ticks, of a few rules."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. `run`, `features` and `ignore_unknown_fields` are promtool's own switches."""

    strict: bool = False
    run: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    ignore_unknown_fields: bool = False
    jobs: int = 0
    """Processes at a time; 0: one per core."""
    configured_rules: tuple[Path, ...] = ()
    """The rule files that the project deploys."""
    evaluation_ms: int | None = None
    """Prometheus' own evaluation interval, of groups that set none; None where nobody told."""

    @property
    def flags(self) -> list[str]:
        flags = [f"--enable-feature={name}" for name in self.features]
        return [*flags, *(["--ignore-unknown-fields"] if self.ignore_unknown_fields else [])]


@dataclass
class SuiteRun:
    """One run over unit-test files. :meth:`results` yields them in order; then :meth:`report` has the whole."""

    files: Sequence[Path]
    promtool: Promtool
    options: Options = field(default_factory=Options)
    _done: list[tuple[FileResult, TestedRules]] = field(default_factory=list)
    _begun: float = field(default_factory=time.monotonic)

    def results(self) -> Generator[FileResult, None, None]:
        """Each file's result as soon as it and those before it are there.

        Raises EngineError if promtool breaks. After an interrupt no promtool is left, and :meth:`report` has what is
        known; whoever may be interrupted between two results closes the generator.
        """
        with private_folder() as folder:
            rules = RuleFiles(folder, self.options.ignore_unknown_fields, self.options.evaluation_ms)
            chosen = self._chosen(folder) if self.options.run else None
            pool = ThreadPoolExecutor(max_workers=self.options.jobs or os.cpu_count() or 1)
            try:
                # The longest first, so that no core ends up alone with it.
                order = sorted(range(len(self.files)), key=lambda i: -_size(self.files[i]))
                futures: dict[int, Future[tuple[FileResult, TestedRules]]] = {
                    i: pool.submit(self._file, self.files[i], i, folder, rules, chosen) for i in order
                }
                for index in range(len(self.files)):
                    done = futures[index].result()
                    self._done.append(done)
                    yield done[0]
            except BaseException:
                known = [futures[i] for i in range(len(self._done), len(self.files)) if i in futures]
                for future in futures.values():
                    future.cancel()
                self._done += [f.result() for f in known if f.done() and not f.cancelled() and not f.exception()]
                left = [future for future in futures.values() if not future.done()]
                while left:  # whoever had not started its promtool yet is about to
                    for pid in processes_with(str(folder)):
                        with contextlib.suppress(OSError):
                            os.kill(pid, signal.SIGKILL)
                    left = list(wait(left, timeout=_AGAIN_S).not_done)
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def report(self) -> SuiteReport:
        """The whole run so far."""
        files = tuple(result for result, _ in self._done)
        complete = len(files) == len(self.files)
        rule_sets = [rules for _, rules in self._done]
        covered = coverage(files, rule_sets)
        run = checks.RunView(files, covered, self.options.run, self.options.strict, complete)
        return SuiteReport(
            files=files,
            findings=tuple(checks.check_run(run)),
            coverage=covered,
            promtool=self.promtool.version,
            strict=self.options.strict,
            seconds=time.monotonic() - self._begun,
            complete=complete,
        )

    # -- one file ------------------------------------------------------------------------------------------------------

    def _file(
        self, path: Path, number: int, folder: Path, rules: RuleFiles, chosen: set[str] | None
    ) -> tuple[FileResult, TestedRules]:
        begun = time.monotonic()
        none = TestedRules((), ())
        try:
            suite = load_suite(path)
            rule_set = rules.of_patterns(suite.patterns, path.resolve().parent)
        except InputError as err:
            result = self._misread(path, err)
            return replace(result, seconds=time.monotonic() - begun), none
        groups = [group for group in suite.groups if chosen is None or group.name in chosen]
        copy = folder / f"{number}.test.yml"
        result, order_dependences = self._run_file(suite, groups, rule_set, copy, number)
        refused = result.problem is None and result.errors and all(r.status is Status.ERROR for r in result.results)
        if groups and refused:  # see what loads of its rules
            sound = rules.without_refused(rule_set, self.promtool)
            if sound.problems:
                rule_set = sound
                result, order_dependences = self._run_file(suite, groups, rule_set, copy, number)
                result = replace(result, problem=InputErrors(sound.problems), promtool_passed=False)
        view = checks.FileView.of(
            suite, groups, rule_set, result, strict=self.options.strict, configured=self.options.configured_rules,
            capped_windows=self._capped_windows(suite, groups, rule_set, copy, result),
            order_dependences=order_dependences,
        )  # fmt: skip
        unread = () if refused else map(_not_understood, rule_set.problems)
        result = result.with_findings((*unread, *checks.check_file(view)))
        return replace(result, seconds=time.monotonic() - begun), rule_set

    def _run_file(
        self, suite: SuiteFile, groups: list[TestGroup], rule_set: TestedRules, copy: Path, number: int
    ) -> tuple[FileResult, tuple[OrderDependence, ...]]:
        order = EvaluationOrder.of(suite, rule_set)
        if order.undecided():  # left to promtool, the next run might say something else
            distinct = distinct_groups(order, rule_set, copy.parent, f"{number}-rules")
            result = self._judged(suite, groups, rule_set, copy, distinct.in_order(order.main()))
            return result, self._order_dependences(suite, groups, rule_set, copy, order, distinct, result)
        return self._judged(suite, groups, rule_set, copy), ()

    def _misread(self, path: Path, err: InputError) -> FileResult:
        """A file that we cannot read. If promtool can, the fault is ours, and its verdict stands."""
        name = display_path(path)
        run = None
        with contextlib.suppress(InputError):
            run = self.promtool.test_rules(
                [path], flags=[*self.options.flags, *(f"--run={r}" for r in self.options.run)]
            )
        if run is None or run.returncode != 0:
            return FileResult(path, name, None, False, (), (), problem=err)
        return FileResult(path, name, None, True, (), (), findings=(_not_understood(err),))

    def _judged(
        self,
        suite: SuiteFile,
        groups: list[TestGroup],
        rule_set: TestedRules,
        copy: Path,
        given: PromtoolRules | None = None,
    ) -> FileResult:
        if given is None:
            given = PromtoolRules(rule_set.paths, None, {})
        tree = write_copy(suite, groups, given.paths, copy, given.order)
        run: CompletedRun = self.promtool.test_rules([copy], flags=self.options.flags)
        account = read_account(run.stderr, len(groups))
        names = {str(path): display_path(file.path) for file in rule_set.files for path in file.paths}
        names |= {copied: display_path(path) for copied, path in given.shown.items()}
        names[str(copy)] = suite.name
        results: list[Result] = []
        errors: list[str] = []
        observed: dict[tuple[int, int], ObservedStates] = {}
        if groups and not account.groups:
            said = account.before or run.stderr.strip()
            lines = line_map(copy.read_text(encoding="utf-8"), tree) if _AT_LINE.search(said) else {}
            return FileResult(
                suite.path, suite.name, suite, False, (), (_renamed(_at_lines(said, lines), names),),
                problem=_unknown(suite, said, lines, self.promtool.version),
                ran=tuple(group.index for group in groups),
            )  # fmt: skip
        reads = Reads(rule_set)
        for group, said, seen in zip(groups, account.groups, account.observed, strict=True):
            found, whole = group_results(suite, group, _renamed(said, names), reads)
            results += found
            errors += [text for text in whole if text not in errors]
            if probes(group) and not whole:
                for tick in {suite.tick_ms(time_ms) for time_ms in group.times_ms}:
                    answer = seen.get(tick, ObservedStates({}, {}))
                    if answer is not None:
                        observed[group.index, tick] = answer
        passed = not any(text.strip() for text in (*account.groups, account.before))
        return FileResult(
            suite.path, suite.name, suite, passed, tuple(results), tuple(errors),
            problem=_explanation(groups) if errors else None,
            observed=observed, ran=tuple(group.index for group in groups),
        )  # fmt: skip

    # -- the order of groups -------------------------------------------------------------------------------------------

    def _order_dependences(
        self,
        suite: SuiteFile,
        groups: list[TestGroup],
        rule_set: TestedRules,
        copy: Path,
        order: EvaluationOrder,
        distinct: DistinctGroups,
        result: FileResult,
    ) -> tuple[OrderDependence, ...]:
        """The test groups of which an assertion goes another way in another order that promtool may take."""
        main = order.main()
        was = {each.span: each for each in result.results}
        alike: dict[frozenset[tuple[int, int]], tuple[list[Link], list[TestGroup]]] = {}
        for group in groups:
            links = order.undecided_behind(group)
            if links and any(each.group_index == group.index for each in result.results):
                alike.setdefault(frozenset(link.pair for link in links), (links, []))[1].append(group)
        found = []
        for links, left in alike.values():
            for way in order.orders(links):
                if way == main or not left:
                    continue
                other = self._judged(suite, left, rule_set, copy.with_suffix(".order.yml"), distinct.in_order(way))
                turned = [each for each in other.results if each.status is not was[each.span].status]
                for group in [each for each in left if any(t.group_index == each.index for t in turned)]:
                    left.remove(group)
                    mine = tuple((was[t.span], t) for t in turned if t.group_index == group.index)
                    found.append(OrderDependence(group, mine, blamed(links, main, way), order))
        return tuple(sorted(found, key=lambda dependence: dependence.group.index))

    # -- windows beyond the cap ---------------------------------------------------------------------------------------

    def _capped_windows(
        self,
        suite: SuiteFile,
        groups: list[TestGroup],
        rule_set: TestedRules,
        copy: Path,
        result: FileResult,
    ) -> tuple[CappedWindow, ...]:
        """The alerts whose windows promtool cannot fill, in test groups that pass."""
        unpassed = {each.group_index for each in result.results if each.status is not Status.PASSED}
        passed = [group for group in groups if result.promtool_passed and group.index not in unpassed]
        tested = TestedSuite(
            suite,
            Reads(rule_set),
            order=lambda: [loaded.group for loaded in EvaluationOrder.of(suite, rule_set).main()],
            seen=lambda group, time_ms: result.observed.get((group.index, suite.tick_ms(time_ms)), None),
            run=lambda path: self.promtool.test_rules([path], flags=self.options.flags, timeout_s=_PATIENCE_S),
            target=copy.with_suffix(".backfilled.yml"),
        )
        return tuple(capped_windows(tested, filter(probes, passed)))

    # -- `--run` -------------------------------------------------------------------------------------------------------

    def _chosen(self, folder: Path) -> set[str]:
        """The group names that `--run` takes. promtool is asked, for its expressions are Go's.

        Every name gets a group whose only assertion is incomplete: promtool complains of those that it runs, and tells
        their `eval_time`, which is the name's number.
        """
        names: list[str] = []
        for path in self.files:
            with contextlib.suppress(InputError):
                names += [group.name for group in load_suite(path).groups]
        names = list(dict.fromkeys(names))
        tests = [
            {"name": name, "interval": "1m", "alert_rule_test": [{"eval_time": f"{number}ms"}]}
            for number, name in enumerate(names)
        ]
        asked = folder / "names.test.yml"
        asked.write_text(yaml.safe_dump({"tests": tests}, allow_unicode=True), encoding="utf-8")
        try:
            run = self.promtool.test_rules([asked], flags=[f"--run={pattern}" for pattern in self.options.run])
        except EngineError as err:
            problem = re.search(r"panic: regexp: Compile\(.*?\): (.*)", err.message)
            if problem is None:
                raise
            raise InputError(
                f"--run: {problem[1]}", hint="write a regular expression of Go (RE2) that matches names of test groups"
            ) from err
        times = re.findall(r"misses required attribute alertname at eval_time (\w+)", run.stderr)
        return {names[parse_duration_ms(text)] for text in times}


_AT_LINE = re.compile(r"\bline (\d+):")


def _at_lines(said: str, lines: Mapping[int, int]) -> str:
    """What promtool says of lines of the copy, said of the user's."""
    return _AT_LINE.sub(lambda at: f"line {lines.get(int(at[1]), int(at[1]))}:", said)


def _unknown(suite: SuiteFile, said: str, lines: Mapping[int, int], version: str) -> InputError | None:
    """The fields that this promtool does not know, each with its place."""
    found = [each.error(suite.source, lines.get(each.line)) for each in unknown_fields(said, version)]
    return InputErrors(found) if found else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for given, shown in names.items():
        text = text.replace(given, shown)
    return text


def _explanation(groups: Sequence[TestGroup]) -> InputError | None:
    """What is wrong with the input, with its place, once promtool has refused it."""
    for group in groups:
        for series in group.series:
            if series.problem is not None:
                return series.problem
    return None


def _not_understood(err: HarnessError) -> SuiteFinding:
    span: Span | None = err.span
    return SuiteFinding(
        "not-understood",
        checks.Severity.WARNING,
        span,
        f"promtool passes this file, but it was not checked for false greens: {err.message}",
        "please report it",
    )
