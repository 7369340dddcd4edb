"""The start of a project: settings, a contract skeleton for each alert that is there, and what CI runs.

A contract that was copied from its rule proves nothing. What is guessed here is the shape (which series, which labels)
and a first number, and every guess says `confirm:` until somebody has.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import promql_parser as promql

from harness.config import FILE_NAMES, is_unit_test
from harness.errors import InputError, UnsupportedError
from harness.rules import AlertRule, RuleFile, load_rule_file
from harness.rules.expr import children, parse_expr
from harness.rules.model import RecordingRule
from harness.source import Text, display_path
from harness.units import format_duration

CONFIRM = "confirm:"
"""How a guess begins; `means` begins with it until somebody has read the contract."""

_SKIPPED = {"node_modules", "build", "dist", "venv", "__pycache__", "site-packages"}
_COUNTING = {"rate", "irate", "increase", "resets"}
_FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "=="}
_UNITS = {"seconds": "s", "bytes": "bytes", "percent": "%", "celsius": "°C", "volts": "V"}
_NAMED_LABEL = re.compile(r"\$labels\.(\w+)|\.Labels\.(\w+)")
_METRIC = re.compile(r"[A-Za-z_:][\w:]*", re.ASCII)
_MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Written:
    """One file of a start: whether it was written, or was there and was left alone."""

    path: Path
    new: bool


def init(folder: Path) -> tuple[list[Written], int]:
    """Write what is missing below `folder`; returns the files and the number of alerts found.

    Raises InputError if there is no alert rule below it. Nothing is ever overwritten.
    """
    if not folder.is_dir():
        raise InputError(f"{display_path(folder)} is no folder", hint="name the folder of your project")
    files = list(_rule_files(folder))
    alerts = sum(len(group.alerts()) for file in files for group in file.groups)
    if not alerts:
        raise InputError(
            f"no alert rules below {display_path(folder.resolve())}",
            hint="write a Prometheus rule file first, or name the folder that holds yours",
        )
    recordings = {
        rule.record: rule.expr
        for file in files
        for group in file.groups
        for rule in group.rules
        if isinstance(rule, RecordingRule)
    }
    rules = sorted(_relative(file.path, folder) for file in files)
    tests = sorted({_relative(path.parent, folder) for path in _yaml_files(folder) if is_unit_test(path)})
    contracts = _contract_names(files, folder)
    wanted = {folder / FILE_NAMES[0]: _settings(rules, sorted({_folder(name) for name in contracts.values()}), tests)}
    seen: set[tuple[str, str]] = set()
    for file in files:
        if text := _contracts(file, recordings, seen):
            wanted[folder / contracts[file.path]] = text
    wanted[folder / "ci" / "alert-harness.github.yml"] = _GITHUB
    wanted[folder / "ci" / "alert-harness.gitlab.yml"] = _GITLAB
    return [_write(path, text) for path, text in wanted.items()], alerts


def _write(path: Path, text: str) -> Written:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return Written(path, new=False)
    except OSError as err:
        raise InputError(f"cannot write {display_path(path)}: {err.strerror or err}", hint="check its folder") from err
    return Written(path, new=True)


# -- what is there -----------------------------------------------------------------------------------------------------


def _yaml_files(folder: Path) -> Iterator[Path]:
    found = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        for name in sorted(names):
            if name.endswith((".yml", ".yaml")):
                yield Path(place) / name
                found += 1
                if found == _MOST_FILES:
                    return


def _rule_files(folder: Path) -> Iterator[RuleFile]:
    """Every file with an alert; what is no rule file is none of ours."""
    for path in _yaml_files(folder):
        if is_unit_test(path):
            continue
        try:
            if b"alert" not in path.read_bytes():
                continue
            file = load_rule_file(path)
        except (InputError, OSError, UnsupportedError):
            continue
        if file.groups:
            yield file


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _contract_names(files: Sequence[RuleFile], folder: Path) -> dict[Path, str]:
    """`contracts/NAME.yml` for each rule file; with the folder's name where two files are named alike."""
    names: dict[Path, str] = {}
    for file in files:
        stem = file.path.stem
        name = f"contracts/{stem}.yml"
        if name in names.values():
            name = f"contracts/{_relative(file.path, folder).rpartition('.')[0].replace('/', '-')}.yml"
        names[file.path] = name
    return names


# -- contracts ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Guess:
    """What an expression tells of the knob and the world."""

    op: str = ">"
    threshold: float | None = None
    series: list[tuple[str, str]] = field(default_factory=list)
    """(kind, selector) in the order in which the expression reads them."""
    unit: str = ""


def _contracts(file: RuleFile, recordings: Mapping[str, Text], seen: set[tuple[str, str]]) -> str:
    parts = []
    for group in file.groups:
        for rule in group.alerts():
            text = rule.labels.get("severity") or group.labels.get("severity")
            severity = text.value if text is not None and "{{" not in text.value else ""
            key = (rule.alert, severity or "warning")
            if key not in seen:
                seen.add(key)
                parts.append(_contract(rule, severity, recordings))
    if not parts:
        return ""
    return _HEAD.format(file=_plain(file.path.name)) + "\n".join(parts)


def _contract(rule: AlertRule, severity: str, recordings: Mapping[str, Text]) -> str:
    guess = _guess(rule, recordings)
    limit = 1.0 if guess.threshold is None else guess.threshold
    low, high = _range(limit, guess)
    step = ", step: 1" if guess.op == "==" and limit == int(limit) else ""
    knob = _plain(guess.series[0][1].partition("{")[0] if guess.series else rule.alert)
    guessed = f"# {CONFIRM} guessed from the rule"
    lines = [
        f"  - alert: {_quoted(rule.alert)}",
        f"    means: {_quoted(f'{CONFIRM} in a sentence, what {rule.alert} should tell whom')}",
        f"    knob: {{name: {_quoted(knob)}, unit: {_quoted(guess.unit)}, "
        f"range: [{_number(low)}, {_number(high)}]{step}}}  # {CONFIRM} the quantity that a person would turn",
        f'    op: "{guess.op}"  {guessed}',
        f"    threshold: {_number(limit)}  {guessed}" + ("" if guess.threshold is not None else ", which has none"),
        f"    for: {format_duration(rule.hold_ms)}  {guessed}",
    ]
    if rule.keep_firing_ms:
        lines.append(f"    keep_firing_for: {format_duration(rule.keep_firing_ms)}  {guessed}")
    lines += [
        f"    severity: {_quoted(severity or 'warning')}  {guessed}" + ("" if severity else ", which has none"),
        f"    identifies: {{}}  # {CONFIRM} the labels by which a person finds the culprit",
    ]
    if not guess.series:
        return "\n".join([*lines, f"    signal: []  # {CONFIRM} the rule reads no series with a name", ""])
    lines.append(f"    signal:  # {CONFIRM} how these series look when the knob stands at x")
    for number, (kind, selector) in enumerate(guess.series):
        amount = "x" if number == 0 else "1"
        lines.append(f"      - {kind}: {_quoted(selector)}")
        if kind == "histogram":
            bounds = [limit / 2, limit, limit * 2] if limit > 0 else [0.1, 0.5, 1.0]
            lines.append("        rate: 10")
            lines.append(f"        buckets: [{', '.join(map(_number, bounds))}]")
            lines.append(f"        quantile: {{q: 95/100, at: {'x' if number == 0 else _number(bounds[0])}}}")
        else:
            lines.append(f"        {'rate' if kind == 'counter' else 'value'}: {amount}")
    lines.append(f"    situations: []  # {CONFIRM} worlds in which it must fire or stay quiet: no traffic, restarts")
    return "\n".join([*lines, ""])


def _range(limit: float, guess: _Guess) -> tuple[float, float]:
    """A range with the limit well inside; a counter's rate and a duration are never negative."""
    low, high = (0.0, max(1.0, math.ceil(2 * limit))) if limit >= 0 else (math.floor(2 * limit), 0.0)
    if limit in (0.0, 1.0):
        high = 10.0
    if limit == 0 and guess.op in ("<", "<=") and guess.series and guess.series[0][0] == "gauge":
        low = -10.0
    return low, high


def _number(value: float) -> str:
    return format(Decimal(repr(value)).normalize(), "f")


def _guess(rule: AlertRule, recordings: Mapping[str, Text]) -> _Guess:
    guess = _Guess()
    tree = parse_expr(rule.expr)
    for node, _ in _walk(tree):
        if not isinstance(node, promql.BinaryExpr):
            continue
        sides = (_literal(node.lhs), _literal(node.rhs))
        op = str(node.op)
        if op in _FLIPPED and (sides[0] is None) != (sides[1] is None):
            guess.op = op if sides[1] is not None else _FLIPPED[op]
            guess.threshold = sides[1] if sides[1] is not None else sides[0]
            break
    wanted = {
        name for text in rule.annotations.values() for pair in _NAMED_LABEL.findall(text.value) for name in pair if name
    }
    for kind, selector in _series(tree, recordings, wanted, frozenset()):
        if (kind, selector) not in guess.series:
            guess.series.append((kind, selector))
    if guess.series and guess.threshold is not None and guess.threshold < 0 and guess.series[0][0] != "gauge":
        guess.threshold = None
    metric = guess.series[0][1].partition("{")[0] if guess.series else ""
    guess.unit = next((unit for word, unit in _UNITS.items() if word in metric.split("_")), "")
    return guess


def _walk(tree: Any) -> Iterator[tuple[Any, str]]:
    """Every node with the function around it, parents first, left to right."""
    todo = [(tree, "")]
    while todo:
        node, around = todo.pop()
        yield node, around
        inner = node.func.name if isinstance(node, promql.Call) else around
        todo += [(child, inner) for child in reversed(children(node))]


def _literal(node: Any) -> float | None:
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    if isinstance(node, promql.UnaryExpr):
        inner = _literal(node.expr)
        return -inner if inner is not None else None
    if isinstance(node, promql.NumberLiteral) and math.isfinite(node.val) and abs(node.val) < 1e15:
        return float(node.val)
    return None


def _series(
    tree: Any, recordings: Mapping[str, Text], wanted: set[str], inside: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """The series that an expression reads, through recording rules, as a signal's entries."""
    grouped = {
        label
        for node, _ in _walk(tree)
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None
        for label in _by(node.modifier)
    }
    for node, around in _walk(tree):
        if not isinstance(node, promql.VectorSelector):
            continue
        fixed = [m.value for m in node.matchers.matchers if m.name == "__name__" and m.op == promql.MatchOp.Equal]
        name = node.name or (fixed[0] if fixed else "")
        if name in recordings and name not in inside:
            try:
                read = parse_expr(recordings[name])
            except InputError:
                continue
            yield from _series(read, recordings, wanted | grouped, inside | {name})
            continue
        if not name or not _METRIC.fullmatch(name) or name in ("ALERTS", "ALERTS_FOR_STATE"):
            continue
        labels = {
            label: "example" for label in sorted(wanted | grouped) if label not in ("le", "alertname", "__name__")
        }
        for matcher in node.matchers.matchers:
            if matcher.name != "__name__":
                value = _sample(matcher)
                if value:
                    labels[matcher.name] = value
                else:
                    labels.pop(matcher.name, None)
        kind = "counter" if around in _COUNTING else "gauge"
        if name.endswith("_bucket") and any(isinstance(n, promql.Call) and n.func.name == "histogram_quantile"
                                            for n, _ in _walk(tree)):  # fmt: skip
            kind, name = "histogram", name.removesuffix("_bucket")
            labels.pop("le", None)
        inner = ", ".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
        yield kind, f"{name}{{{inner}}}" if inner else name


def _by(modifier: Any) -> list[str]:
    text = str(getattr(modifier, "type", ""))
    return list(modifier.labels) if "By" in text else []


def _sample(matcher: Any) -> str:
    """A label value that the matcher takes; empty where none was found, or where the label is better left out."""
    value = str(matcher.value)
    if "$" in value and matcher.op in (promql.MatchOp.Equal, promql.MatchOp.Re):
        value = value.replace("$", "") if matcher.op == promql.MatchOp.Re else ""
    if matcher.op == promql.MatchOp.Equal:
        return value
    if matcher.op == promql.MatchOp.NotEqual:
        return "example" if value != "example" else "another"
    candidates = [part.strip("^()") for part in value.split("|")] if "(" not in value else []
    candidates += [re.sub(r"\.[*+]", "example", part) for part in candidates]
    candidates += [re.sub(r"\.", "0", part) for part in candidates]
    candidates += [re.sub(r"\[(.)[^\]]*\][*+]?|\\d[*+]?", lambda m: m[1] or "0", part) for part in candidates]
    wanted = matcher.op == promql.MatchOp.Re
    try:
        pattern = re.compile(value)
    except re.error:
        return ""
    for candidate in [*candidates, "example", "another", "0", "a"]:
        plain = not re.search(r"[\\\[\]*+?.$]", candidate)
        if plain and candidate and (pattern.fullmatch(candidate) is not None) is wanted:
            return candidate
    return ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _plain(text: str) -> str:
    """Text that keeps to its line of YAML."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _quoted(text: str) -> str:
    return "'" + _plain(text).replace("'", "''") + "'"


# -- texts -------------------------------------------------------------------------------------------------------------


def _settings(rules: Sequence[str], contracts: Sequence[str], tests: Sequence[str]) -> str:
    def listed(names: Sequence[str]) -> str:
        return "[" + ", ".join('"' + n.replace("\\", "\\\\").replace('"', '\\"') + '"' for n in names) + "]"

    return _SETTINGS.format(rules=listed(rules), contracts=listed(contracts), tests=listed(tests))


_SETTINGS = """\
# What alert-harness works on; paths are relative to this file.
rules = {rules}
contracts = {contracts}
tests = {tests}                      # promtool unit tests, if there are any
report = "build/report"         # the folder of the HTML page
"""

_HEAD = """\
# What the alerts of {file} are meant to do: a first draft.
#
# A contract that was copied from its rule proves nothing: if the rule is wrong, so is the copy. Read each line that
# says `confirm:`, ask whoever is woken by the alert, correct it, and take the word away.
version: 1
scrape_interval: 30s  # confirm: how often these series are scraped

contracts:
"""

_GITHUB = """\
# For GitHub Actions: copy this to .github/workflows/alert-harness.yml.
name: alert rules
on: [push, pull_request]
permissions:
  contents: read
jobs:
  prove:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install alert-harness
      - run: alert-harness verify --annotate github --junit build/junit.xml
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: alert-rules
          path: build/
"""

_GITLAB = """\
# For GitLab: `include: {local: ci/alert-harness.gitlab.yml}` in .gitlab-ci.yml.
alert rules:
  image: python:3.12
  script:
    - pip install alert-harness
    - alert-harness verify --annotate gitlab --junit build/junit.xml
  artifacts:
    when: always
    paths: [build/report]
    reports:
      junit: build/junit.xml
      codequality: gl-code-quality-report.json
"""
