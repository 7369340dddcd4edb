"""promtool: checks rule files, runs their unit tests, and has its FAILED output read back.

promtool prints failed assertions for people only. Label values in it are quoted as Go's %q does, so a tokenizer, not a
regular expression, reads them: a value may hold quotes, braces, commas, or the very words between which it stands.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.engines.base import with_log
from harness.engines.private import private_folder
from harness.errors import EngineError, InputError
from harness.source import SourceFile, display_path
from harness.units import parse_duration_ms

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
class RuleProblem:
    """What `promtool check rules` says against a file; line and column are 1-based, None where it gives none."""

    file: str
    message: str
    line: int | None = None
    column: int | None = None
    lint: bool = False
    """Whether it is a style complaint: the file loads."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line is not None else self.file
        return f"{where}: {self.message}"


@dataclass(frozen=True, slots=True)
class CompletedRun:
    """What a promtool process left."""

    returncode: int
    stdout: str
    stderr: str


Alert = tuple[dict[str, str], dict[str, str]]
"""Labels and annotations of an alert in promtool's output."""


@dataclass(frozen=True, slots=True)
class AlertFailure:
    """A failed `alert_rule_test`: the alerts that the test expects at a time, and those that fired."""

    group: str
    """The test group's name, empty if it has none. promtool does not tell the file."""
    alertname: str
    time_ms: int
    expected: tuple[Alert, ...]
    got: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Failures:
    """The failed assertions of a run; ``other`` holds, as text, whatever is no alert assertion."""

    alerts: tuple[AlertFailure, ...]
    other: tuple[str, ...]


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
                problems.extend(_problems(run.stderr, str(file), display_path(file), lint=code == _LINT_EXIT))
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


_UNKNOWN_FIELD = re.compile(r"line (\d+): field (\S+) not found in type (\w+)\.(\w+)")
_TYPES = {
    "RuleGroups": "a rule file", "RuleGroup": "a rule group", "Rule": "a rule", "RuleNode": "a rule",
    "unitTestFile": "a unit-test file", "testGroup": "a test group", "series": "an input series",
    "alertTestCase": "an alert test", "alert": "an expected alert", "promqlTestCase": "an expression test",
    "sample": "an expected sample",
}  # fmt: skip
"""promtool's Go types, in words."""
_SINCE = {
    ("labels", "RuleGroup"): "3.0",
    ("query_offset", "RuleGroup"): "2.53",
    ("limit", "RuleGroup"): "2.31",
    ("keep_firing_for", "Rule"): "2.42",
    ("start_timestamp", "testGroup"): "3.9",
    ("fuzzy_compare", "unitTestFile"): "3.0",
}
"""The Prometheus with which promtool has come to know a field."""


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A field that promtool does not know, as it says; `line` is that of the file that it read."""

    line: int
    name: str
    message: str
    hint: str

    def error(self, source: SourceFile | None, line: int | None) -> InputError:
        """The same for people, at the user's line, if it is known."""
        span = None
        if source is not None and line:
            span = source.span(line, max(source.lines[line - 1].find(self.name), 0) + 1, len(self.name))
        return InputError(self.message, span=span, hint=self.hint)


def unknown_fields(message: str, version: str) -> list[UnknownField]:
    """The fields that promtool does not know, from a message of its own. One that a newer promtool knows is told as
    that."""
    found = []
    for line, field, _, kind in dict.fromkeys(_UNKNOWN_FIELD.findall(message)):
        what = _TYPES.get(kind, f"`{kind}`")
        since = _SINCE.get((field, kind.removesuffix("Node")))
        if since is None:
            found.append(
                UnknownField(int(line), field, f"promtool {version} knows no field `{field}` in {what}", "remove it")
            )
        else:
            told = f"promtool {version} does not know `{field}` in {what} yet: Prometheus has it since {since}"
            hint = f"set `versions` or `tools` to a promtool of {since} or later, or remove the field"
            found.append(UnknownField(int(line), field, told, hint))
    return found


def _must_exist(files: Sequence[Path]) -> None:
    for file in files:
        if not file.is_file():
            raise InputError(f"there is no file {display_path(file)}", hint="check the path")


def _problems(stderr: str, file: str, shown: str, *, lint: bool) -> list[RuleProblem]:
    text = stderr.partition("FAILED:\n")[2] or stderr
    if lint:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return [RuleProblem(shown, "; ".join(lines), lint=True)]
    problems: list[RuleProblem] = []
    for line in text.splitlines():
        if line.startswith(f"{file}: "):
            rest = line.removeprefix(f"{file}: ")
            place = re.match(r"(\d+):(\d+): ", rest)
            if place:
                problems.append(RuleProblem(shown, rest[place.end() :], int(place[1]), int(place[2])))
            else:
                problems.append(RuleProblem(shown, rest))
        elif line.strip():
            if not problems:
                problems.append(RuleProblem(shown, line.strip()))
                continue
            last = problems[-1]  # `yaml: unmarshal errors:` goes on in indented lines
            number = re.match(r"\s*line (\d+): ", line)
            problems[-1] = RuleProblem(
                shown,
                f"{last.message} {line.strip()}",
                last.line if last.line is not None or number is None else int(number[1]),
                last.column if last.column is not None or number is None else 1,
            )
    return problems


# -- the FAILED output -------------------------------------------------------------------------------------------
#
# prometheus cmd/promtool/unittest.go prints, for each failed assertion on alerts,
#
#     name: GROUP,                     only if the group has a name; names are printed raw
#     alertname: NAME, time: 5m, ⏎
#         exp:[
#             0:
#               Labels:{alertname="NAME", i="z\""}
#               Annotations:{summary="no\nyes"}
#             ], ⏎
#         got:[]

_FAILED = "  FAILED:\n"
_GROUP = re.compile(r"    name: (.*?),\n(?=    (?:alertname|expr): )", re.DOTALL)
_ALERT = re.compile(r"    alertname: (.*?), time: (\w+), ?\n        exp:(?=\[)", re.DOTALL)


def parse_failures(stderr: str) -> Failures:
    """Read the standard error of `promtool test rules` (2.53 to 3.x, without ``--diff``).

    Raises EngineError if an assertion on alerts does not read as above.
    """
    alerts: list[AlertFailure] = []
    other: list[str] = []
    at = 0
    group = ""
    while at < len(stderr):
        if stderr.startswith(_FAILED, at):
            at += len(_FAILED)
            group = ""
        elif named := _GROUP.match(stderr, at):
            group = named[1]
            at = named.end()
        elif header := _ALERT.match(stderr, at):
            reader = _FailureReader(stderr, header.end())
            try:
                time_ms = parse_duration_ms(header[2])
                expected = reader.alerts()
                reader.skip_space()
                reader.take(",")
                reader.skip_space()
                reader.take("got:")
                got = reader.alerts()
            except ValueError as err:
                raise EngineError(
                    f"cannot read promtool's report of alert `{header[1]}`: {err}",
                    hint="this version of promtool prints failures in another way; please report it",
                ) from err
            alerts.append(AlertFailure(group, header[1], time_ms, expected, got))
            at = reader.at + (1 if stderr.startswith("\n", reader.at) else 0)
            group = ""
        else:
            end = stderr.find("\n", at)
            end = len(stderr) if end < 0 else end + 1
            line = stderr[at:end].rstrip("\n")
            if line.startswith("        ") and other:
                other[-1] += "\n" + line  # the exp: and got: of an expression
            elif line.strip():
                other.append((f"{group}: " if group else "") + line.strip())
                group = ""
            at = end
    return Failures(tuple(alerts), tuple(other))


class _FailureReader:
    """Reads ``[0: Labels:{…} Annotations:{…}, 1: …]`` from a position; ValueError says what does not fit."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def take(self, expected: str) -> None:
        if not self.text.startswith(expected, self.at):
            found = self.text[self.at : self.at + 20]
            raise ValueError(f"expected {expected!r} at offset {self.at}, found {found!r}")
        self.at += len(expected)

    def looking_at(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def skip_space(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \n":
            self.at += 1

    def alerts(self) -> tuple[Alert, ...]:
        found: list[Alert] = []
        self.take("[")
        self.skip_space()
        while not self.looking_at("]"):
            self.take(f"{len(found)}:")
            self.skip_space()
            self.take("Labels:")
            labels = self.pairs()
            self.skip_space()
            self.take("Annotations:")
            found.append((labels, self.pairs()))
            if self.looking_at(","):
                self.at += 1
            self.skip_space()
        self.take("]")
        return tuple(found)

    def pairs(self) -> dict[str, str]:
        pairs: dict[str, str] = {}
        self.take("{")
        while not self.looking_at("}"):
            if pairs:
                self.take(", ")
            # 3.x quotes names that are not of the old alphabet, 2.x never does.
            if self.looking_at('"'):
                name = self.quoted()
                self.take("=")
            else:
                end = self.text.find('="', self.at)
                if end < 0:
                    raise ValueError(f'expected name="value" at offset {self.at}')
                name = self.text[self.at : end]
                self.at = end + 1
            pairs[name] = self.quoted()
        self.take("}")
        return pairs

    def quoted(self) -> str:
        start = self.at
        self.take('"')
        while not self.looking_at('"'):
            if self.at >= len(self.text) or self.text[self.at] == "\n":
                raise ValueError(f"a string without end at offset {start}")
            self.at += 2 if self.text[self.at] == "\\" else 1
        self.at += 1
        return go_unquote(self.text[start : self.at])


_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_HEX = re.compile(r"[0-9a-fA-F]+")


def go_unquote(quoted: str) -> str:
    r"""The text of a Go string literal in double quotes, as strconv.Quote writes it (``\xNN`` is a byte, ``\uNNNN`` a
    character). Bytes that are no UTF-8 come out as ``\xNN`` again. Raises ValueError for anything else.
    """
    if len(quoted) < 2 or quoted[0] != '"' or quoted[-1] != '"':
        raise ValueError(f"not a quoted string: {quoted}")
    body = quoted[1:-1]
    out = bytearray()
    at = 0
    while at < len(body):
        char = body[at]
        at += 1
        if char in '"\n':
            raise ValueError(f"a bare {char!r} in {quoted}")
        if char != "\\":
            out += char.encode("utf-8", "surrogatepass")
            continue
        code = body[at : at + 1]
        at += 1
        if code in _HEX_DIGITS:
            digits = body[at : at + _HEX_DIGITS[code]]
            at += len(digits)
            if len(digits) < _HEX_DIGITS[code] or not _HEX.fullmatch(digits):
                raise ValueError(f"a broken escape in {quoted}")
            number = int(digits, 16)
            if code == "x":
                out.append(number)
            elif number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
                raise ValueError(f"no character U+{number:X} in {quoted}")
            else:
                out += chr(number).encode("utf-8")
        elif code and code in _SIMPLE:
            out.append(_SIMPLE[code])
        else:
            raise ValueError(f"an unknown escape \\{code} in {quoted}")
    return out.decode("utf-8", "backslashreplace")
