"""promtool, run: it checks rule files and settings, and runs unit tests."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.engines.private import private_folder
from harness.engines.promtool_complaints import RuleProblem, rule_problems
from harness.engines.promtool_failures import Failures, parse_failures
from harness.errors import EngineError, InputError, with_log
from harness.source import display_path

_LINT_EXIT = 3
_DISK_FULL = re.compile(
    r"^\s*(?:write|open|mkdir|truncate|fallocate|preallocate)\b.*no space left on device$", re.MULTILINE
)
_UNKNOWN_FEATURE = re.compile(r"WARNING: Unknown (?:option for|feature passed to) --enable-feature: \"?([\w-]+)")
_ABOUT_CONFIG = re.compile("^FAILED: (parsing YAML file .*?: )?")
_UTF8 = "utf8-names"
"""A feature of Prometheus 2.x that promtool 2.x has not; 3.x needs none for it."""
_OF_FEATURE = {
    "promql-experimental-functions": re.compile('is not enabled|must be enabled|unknown function with name "limit'),
    _UTF8: re.compile("invalid (label name|recording rule name)"),
}
"""Feature → what promtool says of an expression or rule where it does not have it."""
_VERSION = re.compile(r"promtool, version v?(\d+\.\d+\.\d+[^\s+]*)")


@dataclass(frozen=True, slots=True)
class CompletedRun:
    """What a promtool process left."""

    returncode: int
    stdout: str
    stderr: str


class Promtool:
    """The promtool at ``path``. Raises EngineError if there is none, or if it is something else.

    ``features`` are those of the Prometheus that it speaks for: it is given those that concern expressions, and knows
    no others.
    """

    def __init__(self, path: Path, *, features: Sequence[str] = (), timeout_s: float = 600.0) -> None:
        self.path = path
        self.features = tuple(name for name in features if name.startswith("promql-"))
        self.lacks: tuple[str, ...] = ()
        """Those of the features that this version does not know."""
        self._timeout_s = timeout_s
        run = self._run(["--version"], timeout_s=min(timeout_s, 30.0))
        # 2.x before 2.55 printed its version to standard error on some builds.
        found = _VERSION.match(run.stdout) or _VERSION.match(run.stderr)
        if run.returncode != 0 or found is None:
            raise EngineError(
                with_log(f"{path} is not promtool", run.stdout + run.stderr, "asked for its version it says"),
                hint="`alert-harness doctor` shows what was found",
            )
        self.version = found.group(1)
        if _UTF8 in features and self.version.startswith("2."):
            self.lacks = (_UTF8,)

    def check_rules(self, files: Sequence[Path], *, lint: bool = True) -> list[RuleProblem]:
        """Everything that `promtool check rules` finds in these files, in their order; an empty list if all is well."""
        if not files or not self._check(files, lint=lint)[0]:
            return []
        problems: list[RuleProblem] = []
        for file in files:  # one by one: the complaints of lint do not name their file
            code, run = self._check([file], lint=lint)
            if code:
                problems.extend(rule_problems(run.stderr, str(file), display_path(file), lint=code == _LINT_EXIT))
        return problems

    def check_config(self, file: Path) -> str:
        """What `promtool check config` finds in a prometheus.yml; empty if all is well.

        Files that it names need not be there: they are those of another machine.
        """
        _must_exist([file])
        run = self._run([*self.flags, "check", "config", "--syntax-only", file])
        if run.returncode not in (0, 1) or run.stderr.startswith("promtool: error:"):
            raise self._broke("check config", run)
        return _ABOUT_CONFIG.sub("", " ".join(run.stderr.split())) if run.returncode else ""

    def _check(self, files: Sequence[Path], *, lint: bool) -> tuple[int, CompletedRun]:
        _must_exist(files)
        run = self._run(
            [*self.flags, "check", "rules", *(("--lint=all", "--lint-fatal") if lint else ("--lint=none",)), *files]
        )
        usage = run.stderr.startswith("promtool: error:")
        if run.returncode not in (0, 1, _LINT_EXIT) or usage or (run.returncode == 0) != ("SUCCESS" in run.stdout):
            # Several files: some may be good though one is not.
            if run.returncode in (1, _LINT_EXIT) and not usage and run.stderr.strip():
                return run.returncode, run
            raise self._broke("check rules", run)
        return run.returncode, run

    def test_rules(
        self, files: Sequence[Path], *, flags: Sequence[str] = (), timeout_s: float | None = None
    ) -> CompletedRun:
        """Run unit-test files; exit status 0 and 1 are results, anything else raises EngineError.

        Status 0 is not yet a success: promtool also exits 0 when it has tested nothing.
        """
        if not files:
            raise InputError("no promtool unit-test file was named", hint="name at least one *.test.yml")
        _must_exist(files)
        # promtool's storage lies in its TMPDIR, and stays there if promtool is interrupted or takes too long, or we are
        # killed: then the next run's sweep finds whose it was.
        with private_folder() as folder:
            run = self._run([*self.flags, "test", "rules", *flags, *files], timeout_s=timeout_s, temp=folder)
        if run.returncode not in (0, 1) or run.stderr.startswith("promtool: error:"):
            raise self._broke("test rules", run)
        if full := _DISK_FULL.search(run.stderr):
            raise EngineError(f"the disk is full: {full[0].strip()}", hint="make room, or set TMPDIR to another disk")
        return run

    def failures(self, run: CompletedRun) -> Failures:
        """The failed assertions of a run of :meth:`test_rules` (without ``--diff``)."""
        return parse_failures(run.stderr)

    def misses(self, complaint: str) -> bool:
        """Whether it complains of what only a feature allows that Prometheus has and it does not know."""
        return any(name in self.lacks and pattern.search(complaint) for name, pattern in _OF_FEATURE.items())

    @property
    def flags(self) -> list[str]:
        """What it is given before a command."""
        return [f"--enable-feature={','.join(self.features)}"] if self.features else []

    def _run(
        self, arguments: Sequence[str | Path], *, timeout_s: float | None = None, temp: Path | None = None
    ) -> CompletedRun:
        limit_s = timeout_s or self._timeout_s
        try:
            done = subprocess.run(
                [str(self.path), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limit_s,
                check=False,
                env=None if temp is None else {**os.environ, "TMPDIR": str(temp)},
            )
        except subprocess.TimeoutExpired as err:
            raise EngineError(
                f"promtool ({self.path}) did not end within {limit_s:g} s", hint="test fewer files at a time"
            ) from err
        except FileNotFoundError as err:
            raise EngineError(
                f"there is no promtool at {self.path}", hint="`alert-harness doctor` shows what was found"
            ) from err
        except OSError as err:
            raise EngineError(
                f"cannot start promtool ({self.path}): {err.strerror or err}",
                hint="name an executable promtool for this machine",
            ) from err
        if self.features and (unknown := _UNKNOWN_FEATURE.findall(done.stdout.decode("utf-8", "replace"))):
            self.lacks = tuple(dict.fromkeys((*self.lacks, *(name for name in self.features if name in unknown))))
        return CompletedRun(
            done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )

    def _broke(self, what: str, run: CompletedRun) -> EngineError:
        ended = f"with exit status {run.returncode}" if run.returncode >= 0 else f"by signal {-run.returncode}"
        said = "\n".join((run.stderr or run.stdout).strip().splitlines()[-12:])
        return EngineError(with_log(f"`promtool {what}` ended {ended} ({self.path})", said, "it says"))


def _must_exist(files: Sequence[Path]) -> None:
    for file in files:
        if not file.is_file():
            raise InputError(f"there is no file {display_path(file)}", hint="check the path")
