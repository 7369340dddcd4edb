"""Contracts as a first draft: what was guessed, with a word at every line that a person has to confirm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from harness.contracts import ContractKind
from harness.contracts.unconfirmed import CONFIRM
from harness.drafts import number_text
from harness.errors import HarnessError
from harness.init.guess import guess_of
from harness.init.model import Guess
from harness.rules import AlertRule, Group, RuleFault
from harness.source import Text
from harness.units import format_duration

_UP_OR_DOWN = {("==", 0), ("==", 1), ("<", 1), ("<=", 0), (">", 0), (">=", 1)}
"""The comparisons with which a rule asks whether a target is up, or down."""


@dataclass(slots=True)
class Skeletons:
    """Drafts of the contracts of all rule files of a project."""

    recordings: Mapping[str, Text]
    """The expressions of recording rules, by name."""
    rules_named: Mapping[str, int]
    """How many rules of all files have an alert's name."""
    prometheus: str
    """The file that tells how often series are scraped; empty if there is none."""
    faults: list[RuleFault] = field(default_factory=list)
    """What is wrong with rules that cannot be drafted."""
    _seen: set[tuple[str, frozenset[tuple[str, str]]]] = field(default_factory=set)
    """Name and plain labels of each alert: what can tell two rules apart. One contract is enough for rules alike."""

    def of_file(self, path: Path, groups: Sequence[Group]) -> str:
        """The contract file for a rule file; empty if nothing is to be drafted."""
        parts = []
        for group in groups:
            for rule in group.alerts():
                labels = {**group.labels, **rule.labels}
                fixed = {name: text.value for name, text in labels.items() if text.value and "{{" not in text.value}
                key = (rule.alert, frozenset(fixed.items()))
                if key in self._seen:
                    continue
                self._seen.add(key)
                try:
                    told_apart = self.rules_named[rule.alert] > 1
                    parts.append(_contract(rule, fixed, self.recordings, told_apart=told_apart))
                except HarnessError as err:
                    self.faults.append(RuleFault(err, frozenset({rule.alert})))
        if not parts:
            return ""
        own = f"# {_one_line(self.prometheus)} says how often series are scraped."
        scraped = own if self.prometheus else _SCRAPED
        return _HEAD.format(file=_one_line(path.name), scraped=scraped) + "\n".join(parts)


def _contract(rule: AlertRule, fixed: Mapping[str, str], recordings: Mapping[str, Text], *, told_apart: bool) -> str:
    """A draft; `fixed` are the rule's plain labels, of which those are named that tell it from others of its name."""
    guess = guess_of(rule, recordings)
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
        knob = _one_line("value compared" if compared else metric)
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


def _signal(guess: Guess, limit: float) -> list[str]:
    """The lines of a contract's `signal:`; `limit` is its threshold."""
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


def _range(limit: float, guess: Guess) -> tuple[float, float]:
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


def _one_line(text: str) -> str:
    """Text that keeps to its line of YAML."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _quoted(text: str) -> str:
    """Text as a YAML scalar in single quotes."""
    return "'" + _one_line(text).replace("'", "''") + "'"


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
