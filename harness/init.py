"""The start of a project: settings, a contract skeleton for each alert that is there, and what CI runs.

A contract that was copied from its rule proves nothing. What is guessed here is the shape (which series, which labels)
and a first number, and every guess says `confirm:` until somebody has.
"""

from __future__ import annotations

import contextlib
import math
import operator
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import promql_parser as promql

from harness.config import FILE_NAMES, is_unit_test
from harness.contracts import ContractKind
from harness.contracts.unconfirmed import CONFIRM
from harness.drafts import DraftSeries, DraftWorld, KnobLine, is_time, line, number_text, value
from harness.errors import HarnessError, InputError, InputErrors
from harness.prometheus import read_prometheus_yml
from harness.rules import AlertRule, Group, Loaded, RuleFault, RuleFile, read_rules
from harness.rules.expr import children, parse_expr
from harness.rules.forms import JSONNET
from harness.rules.model import RecordingRule
from harness.rules.selectors import selectors_of
from harness.source import Text, display_path
from harness.units import format_duration

_SKIPPED = {"node_modules", "build", "dist", "venv", "__pycache__", "site-packages"}
_COUNTING = {"rate", "irate", "increase", "resets"}
_CHANGING = {"delta", "deriv"}
"""How fast a gauge changes: for a draft it rises like a counter, where the rule asks for a rise."""
_FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
_INVERTED = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
_PAST = {">": 1, "<": -1, ">=": 0, "<=": 0, "==": 0, "!=": 1}
"""How far beyond its limit what else is compared stands, so that it holds."""
_UP_OR_DOWN = {("==", 0), ("==", 1), ("<", 1), ("<=", 0), (">", 0), (">=", 1)}
_PLACES = (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_ABSENT = {"absent", "absent_over_time"}
_UNITS = {"seconds": "s", "bytes": "bytes", "percent": "%", "celsius": "°C", "volts": "V"}
_NAMED_LABEL = re.compile(r"\$labels\.(\w+)|\.Labels\.(\w+)")
_METRIC = re.compile(r"[A-Za-z_:][\w:]*", re.ASCII)
_MOST_FILES = 10_000
_RULE_LIKE = [re.compile(rb"^[ \t-]*%s\s*:" % key, re.MULTILINE) for key in (rb"groups", rb"alert", rb"expr")]
"""What a rule file has that cannot be read at all: a template, or a slip in its YAML."""


@dataclass(frozen=True, slots=True)
class Written:
    """One file of a start: whether it was written, or was there and was left alone."""

    path: Path
    new: bool


@dataclass(frozen=True, slots=True)
class Start:
    """What :func:`init` did."""

    written: list[Written]
    alerts: int
    """How many were found."""
    faults: list[HarnessError]
    """What is wrong with rules for which nothing was written."""


def init(folder: Path) -> Start:
    """Write what is missing below `folder`.

    Raises InputError if there is no alert rule below it. Nothing is ever overwritten.
    """
    if not folder.is_dir():
        raise InputError(f"{display_path(folder)} is no folder", hint="name the folder of your project")
    loaded = _loaded(folder)
    files = loaded.files
    alerts = sum(len(group.alerts()) for file in files for group in file.groups)
    if not alerts and loaded.faults:
        raise InputErrors(loaded.errors)
    if not alerts:
        raise InputError(
            f"no alert rules below {display_path(folder.resolve())}",
            hint=_to_render(folder) or "write a Prometheus rule file first, or name the folder that holds yours",
        )
    recordings = {
        rule.record: rule.expr
        for file in files
        for group in file.groups
        for rule in group.rules
        if isinstance(rule, RecordingRule)
    }
    rules = sorted({_relative(file.path, folder) for file in files})
    tests = sorted({_relative(path.parent, folder) for path in _yaml_files(folder) if is_unit_test(path)})
    contracts = _contract_names(files, folder)
    prometheus = _prometheus(folder)
    folders = sorted({_folder(name) for name in contracts.values()})
    wanted = {folder / FILE_NAMES[0]: _settings(rules, folders, tests, prometheus)}
    names = Counter(rule.alert for file in files for group in file.groups for rule in group.alerts())
    seen: set[_Key] = set()
    for path, name in contracts.items():
        groups = [group for file in files if file.path == path for group in file.groups]
        if text := _contracts(path, groups, recordings, names, seen, loaded.faults, prometheus):
            wanted[folder / name] = text
    wanted[folder / "ci" / "alert-harness.github.yml"] = _GITHUB
    wanted[folder / "ci" / "alert-harness.gitlab.yml"] = _GITLAB
    return Start([_write(path, text) for path, text in wanted.items()], alerts, loaded.errors)


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


def _to_render(folder: Path) -> str:
    """How the first jsonnet source with alerts becomes a rule file; empty if there is none."""
    for path in _files(folder, JSONNET):
        with contextlib.suppress(OSError):
            if b"alert" in path.read_bytes():
                return str(read_rules([path]).errors[0].hint).replace("FILE", _relative(path, folder))
    return ""


def _yaml_files(folder: Path) -> Iterator[Path]:
    return _files(folder, (".yml", ".yaml"))


def _files(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    found = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        for name in sorted(names):
            if name.endswith(endings):
                yield Path(place) / name
                found += 1
                if found == _MOST_FILES:
                    return


def _loaded(folder: Path) -> Loaded:
    """Every file with an alert; what is no rule file is none of ours."""
    found = Loaded()
    for path in _yaml_files(folder):
        if is_unit_test(path):
            continue
        try:
            data = path.read_bytes()
        except OSError:
            continue
        if b"alert" not in data:
            continue
        loaded = read_rules([path])
        found.files += loaded.files
        if loaded.files or any(fault.alerts for fault in loaded.faults) or all(r.search(data) for r in _RULE_LIKE):
            found.faults += loaded.faults
    return found


def _prometheus(folder: Path) -> str:
    """The one prometheus.yml below the folder; empty if there is none, or it cannot be told which is meant."""
    found = []
    for path in _yaml_files(folder):
        if path.name in ("prometheus.yml", "prometheus.yaml"):
            with contextlib.suppress(InputError):
                if read_prometheus_yml(path).jobs:
                    found.append(_relative(path, folder))
    return found[0] if len(found) == 1 else ""


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _contract_names(files: Sequence[RuleFile], folder: Path) -> dict[Path, str]:
    """`contracts/NAME.yml` for each rule file; with the folder's name where two files are named alike."""
    names: dict[Path, str] = {}
    for file in files:
        if file.path in names:
            continue
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

    kind: ContractKind = ContractKind.THRESHOLD
    op: str = ">"
    threshold: float | None = None
    series: list[tuple[str, str]] = field(default_factory=list)
    """(kind, selector): first what comes to the compared side, then in the order in which the expression reads them."""
    comes_and_goes: frozenset[str] = frozenset()
    """The selectors, of an absence or presence, that are there or gone."""
    ages: Mapping[str, str] = field(default_factory=dict)
    """The selectors whose values are moments: `-` where the rule compares `time() - …`, `+` where `… - time()`."""
    amounts: dict[str, str] = field(default_factory=dict)
    """The formulas of those selectors that stand neither at x nor at 1."""
    within: tuple[float, float] = (-math.inf, math.inf)
    """What the knob can be at most, so that no series is less than nothing or more than all."""
    quantile: Fraction = Fraction(95, 100)
    unit: str = ""
    one_sided: bool = False
    """The rule says `!=`, which a contract can only say of a knob that goes no further than the threshold."""


_Key = tuple[str, frozenset[tuple[str, str]]]
"""An alert's name and its rule's plain labels: what can tell two rules apart."""


def _contracts(
    path: Path,
    groups: Sequence[Group],
    recordings: Mapping[str, Text],
    names: Mapping[str, int],
    seen: set[_Key],
    faults: list[RuleFault],
    prometheus: str,
) -> str:
    """The drafts of a file's alerts; `names` counts how many rules of all files have a name, `prometheus` is the file
    that tells how often series are scraped. Adds to `faults` what cannot be drafted."""
    parts = []
    for group in groups:
        for rule in group.alerts():
            labels = {**group.labels, **rule.labels}
            fixed = {name: text.value for name, text in labels.items() if text.value and "{{" not in text.value}
            key = (rule.alert, frozenset(fixed.items()))
            if key not in seen:
                seen.add(key)
                try:
                    parts.append(_contract(rule, fixed, recordings, told_apart=names[rule.alert] > 1))
                except HarnessError as err:
                    faults.append(RuleFault(err, frozenset({rule.alert})))
    if not parts:
        return ""
    scraped = f"# {_plain(prometheus)} says how often series are scraped." if prometheus else _SCRAPED
    return _HEAD.format(file=_plain(path.name), scraped=scraped) + "\n".join(parts)


def _contract(rule: AlertRule, fixed: Mapping[str, str], recordings: Mapping[str, Text], *, told_apart: bool) -> str:
    """A draft; `fixed` are the rule's plain labels, of which those are named that tell it from others of its name."""
    guess = _guess(rule, recordings)
    guessed = f"# {CONFIRM} guessed from the rule"
    lines = [
        f"  - alert: {_quoted(rule.alert)}",
        "    draft: true  # take this away once somebody has read and corrected the rest",
        f"    means: {_quoted(f'{CONFIRM} in a sentence, what {rule.alert} should tell whom')}",
    ]
    apart = {name: value for name, value in fixed.items() if name != "severity"} if told_apart else {}
    if apart:
        shown = ", ".join(f"{_quoted(name)}: {_quoted(value)}" for name, value in apart.items())
        lines.append(f"    labels: {{{shown}}}  # tell it from the other rules of this name")
    limit = 1.0 if guess.threshold is None else guess.threshold
    if guess.kind is ContractKind.ALWAYS:
        lines.append(f"    always: true  {guessed}, which reads no series and compares nothing")
    elif guess.kind is not ContractKind.THRESHOLD:
        state = "gone" if guess.kind is ContractKind.ABSENCE else "there"
        lines.append(f"    op: {guess.kind.value}  {guessed}: it fires while the series are {state}")
    else:
        low, high = _range(limit, guess)
        compared = guess.series and guess.series[0][1] in guess.amounts and guess.series[0][1] not in guess.ages
        metric = guess.series[0][1].partition("{")[0] if guess.series else rule.alert
        whole = guess.op == "==" and limit == int(limit)
        if metric == "up" and not compared and (guess.op, limit) in _UP_OR_DOWN:
            low, high, whole = 0.0, 1.0, True
        step = ", step: 1" if whole else ""
        knob = _plain("value compared" if compared else metric)
        lines += [
            f"    knob: {{name: {_quoted(knob)}, unit: {_quoted(guess.unit)}, "
            f"range: [{_number(low)}, {_number(high)}]{step}}}  # {CONFIRM} the quantity that a person would turn",
            f'    op: "{guess.op}"  {guessed}',
            f"    threshold: {_number(limit)}  {guessed}" + ("" if guess.threshold is not None else ", which has none"),
        ]
    lines.append(f"    for: {format_duration(rule.hold_ms)}  {guessed}")
    if rule.keep_firing_ms and guess.kind is not ContractKind.ALWAYS:
        lines.append(f"    keep_firing_for: {format_duration(rule.keep_firing_ms)}  {guessed}")
    if "severity" in fixed:
        lines.append(f"    severity: {_quoted(fixed['severity'])}  {guessed}")
    lines.append(f"    # {CONFIRM} add `identifies: {{label: value}}`, the labels by which a person finds the culprit")
    if guess.kind is not ContractKind.ALWAYS:
        lines += _signal(guess, limit)
    lines.append(f"    situations: []  # {CONFIRM} worlds in which it must fire or stay quiet: no traffic, restarts")
    return "\n".join([*lines, ""])


def _signal(guess: _Guess, limit: float) -> list[str]:
    if not guess.series:
        return [f"    signal: []  # {CONFIRM} the rule reads no series with a name; or set it aside, with `allow:`"]
    turned = "x" if guess.kind is ContractKind.THRESHOLD else "1"
    lines = [
        f"    signal:  # {CONFIRM} how these series look" + (" when the knob stands at x" if turned == "x" else "")
    ]
    for number, (kind, selector) in enumerate(guess.series):
        amount = turned if number == 0 else "1"
        if selector in guess.amounts:
            amount = guess.amounts[selector]
        elif selector in guess.ages:
            amount = f"now {guess.ages[selector]} {amount}"
        lines.append(f"      - {kind}: {_quoted(selector)}")
        if kind == "histogram":
            bounds = [limit / 2, limit, limit * 2] if limit > 0 else [0.1, 0.5, 1.0]
            lines.append("        rate: 10")
            lines.append(f"        buckets: [{', '.join(map(_number, bounds))}]")
            at = amount if number == 0 and turned == "x" else _number(bounds[0])
            lines.append(f"        quantile: {{q: {number_text(guess.quantile)}, at: {at}}}")
        else:
            lines.append(f"        {'rate' if kind == 'counter' else 'value'}: {amount}")
        if guess.kind is not ContractKind.THRESHOLD and selector not in guess.comes_and_goes:
            lines.append("        present: 1")
    return lines


def _parts(histogram: str) -> list[str]:
    """The series that a histogram of a signal makes, but for its buckets."""
    metric, brace, labels = histogram.partition("{")
    return [f"{metric}{part}{brace}{labels}" for part in ("_count", "_sum")]


def _range(limit: float, guess: _Guess) -> tuple[float, float]:
    """A range with the limit well inside; a counter's rate and a duration are never negative."""
    if guess.one_sided:
        return (0.0, limit) if guess.op == "<" else (limit, limit + max(10.0, abs(limit)))
    low, high = (0.0, max(1.0, math.ceil(2 * limit))) if limit >= 0 else (math.floor(2 * limit), 0.0)
    if limit in (0.0, 1.0):
        high = 10.0
    if limit == 0 and guess.op in ("<", "<=") and guess.series and guess.series[0][0] == "gauge":
        low = -10.0
    return max(low, guess.within[0]), min(high, guess.within[1])


def _number(value: float) -> str:
    return format(Decimal(repr(value)).normalize(), "f")


def _guess(rule: AlertRule, recordings: Mapping[str, Text]) -> _Guess:
    guess = _Guess()
    tree = parse_expr(rule.expr)
    wanted = {
        name for text in rule.annotations.values() for pair in _NAMED_LABEL.findall(text.value) for name in pair if name
    }

    def read(node: Any) -> list[tuple[str, str]]:
        return list(dict.fromkeys(_series(node, tree, recordings, wanted, counting)))

    comparison, inverted = _comparison(tree)
    turned = tree  # what the knob turns: of a comparison the side with series, the left one if both have some
    if comparison is not None:
        flipped = not _selects(comparison.lhs)
        turned = comparison.rhs if flipped else comparison.lhs
        _compared(comparison, guess, flipped=flipped, inverted=inverted)
    rises = guess.threshold is not None and guess.threshold >= 0 and guess.op in (">", ">=")
    counting = _COUNTING | _CHANGING if rises else _COUNTING
    # A series that is read in two ways (counted, and as it is) is one series: the first way tells its kind.
    kinds = {selector: kind for kind, selector in reversed([*read(turned), *read(tree)])}
    made = {part for selector, kind in kinds.items() if kind == "histogram" for part in _parts(selector)}
    guess.series = [
        (kinds[selector], selector)
        for selector in dict.fromkeys(s for _, s in [*read(turned), *read(tree)])
        if selector not in made
    ]
    guess.ages = {selector: sign for moment, sign in _moments(turned) for _, selector in read(moment)}
    gone = _absent(turned)
    if not _selects(tree):
        guess.kind = ContractKind.ALWAYS
    elif gone is not None and read(gone):
        guess.kind = ContractKind.ABSENCE
        guess.comes_and_goes = frozenset(selector for _, selector in read(gone))
    elif comparison is None and guess.series:
        guess.kind = ContractKind.PRESENCE
        guess.comes_and_goes = frozenset(selector for _, selector in guess.series)
    if guess.series and guess.threshold is not None and guess.threshold < 0 and guess.series[0][0] != "gauge":
        guess.threshold = None
    for node, _ in _walk(tree):
        if isinstance(node, promql.Call) and node.func.name == "histogram_quantile":
            q = _literal(node.args[0])
            if q is not None and 0 < q < 1:
                guess.quantile = Fraction(repr(q))
    metric = guess.series[0][1].partition("{")[0] if guess.series else ""
    guess.unit = next((unit for word, unit in _UNITS.items() if word in metric.split("_")), "")
    if comparison is not None and guess.kind is ContractKind.THRESHOLD and guess.series:
        _fit(guess, comparison, tree, recordings)
    return guess


def _compares(node: Any) -> bool:
    return isinstance(node, promql.BinaryExpr) and str(node.op) in _FLIPPED


def _comparison(tree: Any) -> tuple[Any | None, bool]:
    """The comparison that the knob turns, and whether the alert fires where it does not hold: inside of `absent()`.

    Of a number of series that are past something, it is what they are past.
    """
    first: Any = None
    counting = False
    for node, around in _walk(tree):
        if isinstance(node, promql.AggregateExpr) and str(node.op) == "count":
            counting = True
        if not _compares(node):
            continue
        if first is None:
            first = node
            if around in _ABSENT:
                return node, True
            if node.modifier is not None and node.modifier.return_bool:
                return node, False
            counting = any(
                isinstance(part, promql.AggregateExpr) and str(part.op) == "count" for part, _ in _walk(node.lhs)
            )
            inside = [part for part, _ in _walk(node.lhs) if _compares(part)]
            return (inside[0], False) if counting and inside and _literal(node.rhs) is not None else (node, False)
    return first, False


def _fit(guess: _Guess, comparison: Any, tree: Any, recordings: Mapping[str, Text]) -> None:
    """Lets the series stand where the compared value is the knob, as far as that is plain arithmetic."""
    flipped = not _selects(comparison.lhs)
    turned, other = (comparison.rhs, comparison.lhs) if flipped else (comparison.lhs, comparison.rhs)
    main = guess.series[0][1]
    labels = {selector: _labels(selector) for _, selector in guess.series}
    kinds = {selector: "age" if selector in guess.ages else kind for kind, selector in guess.series}
    stands = {selector: Fraction(1) for selector in labels}

    def world(moved: Mapping[str, Fraction] = {}) -> DraftWorld:
        return DraftWorld(
            tuple(DraftSeries(kinds[s], labels[s], moved.get(s, stands[s])) for s in labels), recordings, scale
        )

    scale = Fraction(1)
    for moment, _ in _moments(turned):
        gauges = tuple(DraftSeries("gauge", labels[s], Fraction(1)) for s in labels if s in guess.ages)
        found = value(moment, DraftWorld(gauges, recordings))
        if found:
            scale = found
    # What else must hold for it to fire does.
    for node in _needed(tree):
        held = _literal(node.rhs) if node is not comparison else None
        for selector in labels if held is not None else ():
            if selector == main or kinds[selector] not in ("gauge", "counter"):
                continue
            at = line(partial(_moved, node.lhs, world, selector), *_PLACES)
            if at is not None and held is not None:
                amount = (Fraction(repr(held)) + _PAST[str(node.op)] - at.base) / at.slope
                if amount >= 0 or kinds[selector] == "gauge":
                    stands[selector] = amount
                    guess.amounts[selector] = number_text(amount)
    limit = None if guess.threshold is None else Fraction(repr(guess.threshold))
    if limit is None:
        limit = value(other, world())
        if limit is None or limit != value(other, world({main: Fraction(7)})):
            return
    straight = line(lambda v: value(turned, world({main: v})), *_PLACES)
    shares: list[str] = []
    if straight is None:
        # Perhaps the rest of a whole: what fails, beside what does not.
        shares = [s for s in labels if s != main and kinds[s] == kinds[main] and s not in guess.amounts]
        straight = line(lambda v: value(turned, world({main: v, **dict.fromkeys(shares, 1 - v)})), *_PLACES)
    if straight is None:
        return
    at_limit = (limit - straight.base) / straight.slope
    ends = [straight.base] if at_limit > 0 else []
    if shares:
        if not 0 < at_limit < 1:
            return
        ends.append(straight.base + straight.slope)
    for end in ends:
        low, high = guess.within
        guess.within = (max(low, float(end)), high) if end < limit else (low, min(high, float(end)))
    guess.threshold = float(limit)
    text = straight.back("x")
    if main in guess.ages:
        inner = f"({text})" if straight.base else text
        moment_text = f"now {guess.ages[main]} {inner}"
        if scale != 1:
            moment_text = KnobLine(scale, Fraction(0)).back(f"({moment_text})")
        guess.amounts[main] = moment_text
    elif text != "x" or shares:
        guess.amounts[main] = text
        guess.unit = ""
    for selector in shares:
        guess.amounts[selector] = f"1 - {text}" if straight.slope > 0 and not straight.base else f"1 - ({text})"


def _needed(tree: Any) -> Iterator[Any]:
    """The comparisons that must hold for it to fire; of the alternatives of an `or` none must."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, promql.BinaryExpr) and str(node.op) == "or":
            continue
        if _compares(node):
            yield node
        todo += [node.lhs] if isinstance(node, promql.BinaryExpr) and str(node.op) == "unless" else children(node)


def _moved(
    node: Any, world: Callable[[Mapping[str, Fraction]], DraftWorld], selector: str, to: Fraction
) -> Fraction | None:
    return value(node, world({selector: to}))


def _labels(selector: str) -> dict[str, str]:
    """The labels of a series of a draft, with ``__name__``."""
    (read,) = selectors_of(parse_expr(Text.of_text("draft", selector)))
    return {"__name__": read.metric, **{matcher.label: matcher.value for matcher in read.matchers}}


def _compared(comparison: Any, guess: _Guess, *, flipped: bool, inverted: bool) -> None:
    """Comparison and threshold as the rule has them, read from the side with series; where both sides have some there
    is no number, and the right one's series stand at 1."""
    op = str(comparison.op)
    op = _FLIPPED[op] if flipped else op
    guess.op = _INVERTED[op] if inverted else op
    guess.threshold = _literal(comparison.lhs if flipped else comparison.rhs)
    if guess.op == "!=":
        guess.one_sided, guess.op = True, "<" if guess.threshold == 1 else ">"


def _absent(node: Any) -> Any | None:
    """The call of `absent` or `absent_over_time` that an expression comes down to."""
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    if isinstance(node, promql.Call):
        return node if node.func.name in _ABSENT else None
    if isinstance(node, promql.AggregateExpr):
        return _absent(node.expr)
    if isinstance(node, promql.BinaryExpr) and str(node.op) in ("and", "or", "unless"):
        return _absent(node.lhs) or (_absent(node.rhs) if str(node.op) != "unless" else None)
    return None


def _moments(tree: Any) -> Iterator[tuple[Any, str]]:
    """What is subtracted from the time, or the time from it, with the sign of the difference in it."""
    for node, _ in _walk(tree):
        if isinstance(node, promql.BinaryExpr) and str(node.op) == "-":
            if is_time(node.lhs):
                yield node.rhs, "-"
            elif is_time(node.rhs):
                yield node.lhs, "+"


def _selects(tree: Any) -> bool:
    return any(isinstance(node, promql.VectorSelector) for node, _ in _walk(tree))


def _walk(tree: Any) -> Iterator[tuple[Any, str]]:
    """Every node with the function around it, parents first, left to right."""
    todo = [(tree, "")]
    while todo:
        node, around = todo.pop()
        yield node, around
        inner = node.func.name if isinstance(node, promql.Call) else around
        below = children(node)
        if isinstance(node, promql.BinaryExpr) and str(node.op) == "unless":
            below = [node.lhs]  # what must not be there for it to fire is no part of the world in which it does
        todo += [(child, inner) for child in reversed(below)]


def _literal(node: Any) -> float | None:
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    if isinstance(node, promql.UnaryExpr):
        inner = _literal(node.expr)
        return -inner if inner is not None else None
    if isinstance(node, promql.BinaryExpr) and str(node.op) in _ARITHMETIC:
        sides = _literal(node.lhs), _literal(node.rhs)
        if sides[0] is None or sides[1] is None or (str(node.op) == "/" and not sides[1]):
            return None
        return _ARITHMETIC[str(node.op)](sides[0], sides[1])
    if isinstance(node, promql.NumberLiteral) and math.isfinite(node.val) and abs(node.val) < 1e15:
        return float(node.val)
    return None


def _series(
    tree: Any,
    whole: Any,
    recordings: Mapping[str, Text],
    wanted: set[str],
    counting: set[str],
    inside: frozenset[str] = frozenset(),
) -> Iterator[tuple[str, str]]:
    """The series that a part of a `whole` expression reads, through recording rules, as a signal's entries."""
    grouped = {
        label
        for node, _ in _walk(whole)
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
            yield from _series(read, read, recordings, wanted | grouped, counting, inside | {name})
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
        kind = "counter" if around in counting else "gauge"
        if name.endswith("_bucket") and any(isinstance(n, promql.Call) and n.func.name == "histogram_quantile"
                                            for n, _ in _walk(whole)):  # fmt: skip
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
    needed = re.sub(r"\([^()]*\)[?*]", "", value).replace("(?:", "(")
    firsts = re.sub(r"\(([^()|]*)[^()]*\)", r"\1", needed)  # of each group its first alternative
    candidates = [part.strip("^") for part in [firsts, *re.sub(r"[()]", "", needed).split("|")]]
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


def _settings(rules: Sequence[str], contracts: Sequence[str], tests: Sequence[str], prometheus: str) -> str:
    def text(name: str) -> str:
        return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def listed(names: Sequence[str]) -> str:
        return f"[{', '.join(map(text, names))}]"

    made = _SETTINGS.format(rules=listed(rules), contracts=listed(contracts), tests=listed(tests))
    own = "  # confirm: Prometheus' own settings, such as evaluation_interval"
    return made + (f"prometheus = {text(prometheus)}{own}\n" if prometheus else "")


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
# says `confirm:`, ask whoever is woken by the alert, correct it, and take the word away. While a contract says
# `draft: true`, or a value of it begins with `confirm:`, it counts as a draft and not as a proof.
version: 1
{scraped}

contracts:
"""
_SCRAPED = "scrape_interval: 30s  # confirm: how often these series are scraped"

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
