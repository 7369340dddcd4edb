"""The use case behind `alert-harness prove` (and verify, and pytest): rules and contracts in, results out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from harness.contracts import Contract
from harness.engines.base import Engine, QueryError
from harness.engines.promtool import Promtool, go_unquote
from harness.errors import HarnessError, InputError, Span, UnsupportedError
from harness.proof.judge import holes, judge, judge_rendered, rounding_decides, value_labels, worst_first
from harness.proof.measure import JUST_PAST, LAST_QUIET, Measurement, Measurer
from harness.proof.model import AlertResult, Fact, Finding, Located, Measured, Verdict
from harness.proof.notary import Deed, Notary, Testimony, emit, pinned
from harness.replay import Replay, Tape
from harness.rules import AlertRule, RuleFile
from harness.rules.expr import parse_expr

STEPS_PER_ALERT = 4
"""How often :class:`Proof` calls `advance` per alert with a contract."""

_IN_RULE = re.compile(
    r'group (?P<group>"(?:\\.|[^"\\])*"), rule (?P<rule>\d+), (?P<name>"(?:\\.|[^"\\])*"): (?P<what>.*)', re.DOTALL
)
_AT = re.compile(r"could not parse expression: (?:(\d+):(\d+): )?(?:parse error: )?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pairing:
    """A contract with the rule that it speaks of, or either of them alone."""

    contract: Contract | None
    located: Located | None
    twins: tuple[Located, ...] = ()
    """Further rules of the same name that this contract could mean as well."""


def pair(files: Sequence[RuleFile], contracts: Sequence[Contract]) -> list[Pairing]:
    """Match contracts to rules by name, and by severity where a name is used more than once."""
    rules = [Located(f, g, r) for f in files for g in f.groups for r in g.alerts()]
    taken: set[int] = set()
    pairings = []
    for contract in contracts:
        named = [found for found in rules if found.rule.alert == contract.alert.value]
        same = [found for found in named if contract.severity in (None, _severity(found))]
        rivals = [c for c in contracts if c.alert.value == contract.alert.value and c is not contract]
        candidates = same if (len(named) > 1 and same) or rivals else named
        if not candidates:
            pairings.append(Pairing(contract, None))
            continue
        taken |= {id(found.rule) for found in candidates}
        pairings.append(Pairing(contract, candidates[0], tuple(candidates[1:])))
    pairings += [Pairing(None, found) for found in rules if id(found.rule) not in taken]
    return pairings


def _facts(result: AlertResult, *, everything: bool) -> tuple[Fact, ...]:
    measured = result.measured
    return (*measured.facts, *measured.situation_facts) if everything else tuple(measured.facts)


def _severity(located: Located) -> str:
    text = located.rule.labels.get("severity") or located.group.labels.get("severity")
    return text.value if text is not None else ""


def check_rule_files(promtool: Promtool, files: Sequence[RuleFile]) -> dict[int, str]:
    """What `promtool check rules` says against single rules: id of the rule → its complaint.

    Raises InputError, with a caret in the expression, for a file that Prometheus would not load because of an
    expression or its shape. Broken templates are returned: they belong to one alert's verdict.
    """
    complaints: dict[int, str] = {}
    by_path = {str(file.path): file for file in files}
    for problem in promtool.check_rules([file.path for file in files], lint=False):
        file = by_path.get(problem.file) or next(f for f in files if f.name == problem.file or len(files) == 1)
        match = _IN_RULE.search(problem.message)
        found = _rule_of(file, go_unquote(match["group"]), int(match["rule"])) if match else None
        if match is None or found is None:
            span = Span(file.name, problem.line, problem.column or 1) if problem.line else None
            raise InputError(
                f"promtool refuses {file.name}: {problem.message}", span=span, hint="promtool check rules shows it too"
            )
        at = _AT.match(match["what"])
        if at:
            line, column = int(at[1] or 1), int(at[2] or 1)
            lines = found.expr.value.split("\n")
            # Prometheus counts bytes.
            before = lines[line - 1].encode()[: column - 1].decode("utf-8", "ignore") if line <= len(lines) else ""
            offset = sum(len(text) + 1 for text in lines[: line - 1]) + len(before)
            raise InputError(
                f"`{go_unquote(match['name'])}`: not a valid PromQL expression: {at[3].strip()}",
                span=found.expr.span_at(offset),
                hint="the caret stands where Prometheus' parser stopped",
            )
        if isinstance(found, AlertRule):
            complaints[id(found)] = match["what"].strip()
    return complaints


def _rule_of(file: RuleFile, group: str, number: int) -> AlertRule | None:
    for candidate in file.groups:
        if candidate.name == group and 0 < number <= len(candidate.rules):
            rule = candidate.rules[number - 1]
            return rule if isinstance(rule, AlertRule) else AlertRule(
                rule.record, rule.expr, 0, 0, rule.labels, {}, rule.span
            )  # fmt: skip
    return None


@dataclass(slots=True)
class _Draft:
    """A result in the making, with what is needed to finish it."""

    result: AlertResult
    found: Measurement | None = None
    deed: Deed | None = None
    testimony: Future[Testimony] | None = None


@dataclass(slots=True)
class Proof:
    """One run over rule files and contracts. `advance` is called STEPS_PER_ALERT times per alert with a contract."""

    files: Sequence[RuleFile]
    contracts: Sequence[Contract]
    engine: Engine
    promtool: Promtool
    advance: Callable[[str], None] = lambda _: None
    measured: Callable[[AlertResult], None] = lambda _: None
    """Told each result as soon as it is measured; promtool's word, which may still change its verdict, comes later."""
    complaints: Mapping[int, str] | None = None
    """What :func:`check_rule_files` said, where it was asked already."""

    def run(self, emit_to: Path | None = None) -> Iterator[AlertResult]:
        """Yield one result per contract and per alert without contract, in the order of files.

        promtool confirms boundary, hold, gap and recovery of each while the next is measured; with `emit_to` also every
        situation, and the tests are written there.
        """
        complaints = self.complaints
        if complaints is None:
            complaints = check_rule_files(self.promtool, self.files)
        for file in self.files:  # after promtool, which knows the exact column
            for group in file.groups:
                for rule in group.rules:
                    parse_expr(rule.expr)
        replay = Replay(self.engine, self.files)
        tape = Tape(self.engine)
        drafts: list[_Draft] = []
        with Notary(self.promtool) as notary:
            for pairing in pair(self.files, self.contracts):
                draft = self._measure(pairing, replay, tape, complaints)
                result = draft.result
                self.measured(result)
                if draft.found is not None and result.located is not None:
                    facts = _facts(result, everything=emit_to is not None)
                    draft.deed = Deed(result.located, self._files_of(replay, result.located), facts)
                    draft.testimony = notary.hear(draft.deed)
                drafts.append(draft)
            heard = [(d.deed, d.testimony.result()) for d in drafts if d.deed is not None and d.testimony is not None]
        if emit_to is not None:
            emit(self.promtool, emit_to, [deed for deed, _ in heard], [testimony for _, testimony in heard])
        for draft in drafts:
            result = draft.result
            if draft.testimony is not None:
                rendered = self._rendered(result, draft.testimony.result(), complaints)
                result.findings = worst_first([*result.findings, *rendered])
            yield result

    def _measure(self, pairing: Pairing, replay: Replay, tape: Tape, complaints: Mapping[int, str]) -> _Draft:
        contract, located = pairing.contract, pairing.located
        if contract is None:
            if located is None:
                raise AssertionError("a pairing has a contract or a rule")
            message = f"no contract speaks of `{located.rule.alert}` ({located.rule.span})"
            unexpected = Finding(Verdict.UNEXPECTED, message)
            return _Draft(AlertResult(located.rule.alert, None, located, Measured(), [], [unexpected]))
        name = contract.alert.value
        result = AlertResult(name, contract, located, Measured(), [], [])
        if located is None:
            self._skip(name)
            where = ", ".join(file.name for file in self.files)
            message = f"the contract at {contract.alert.span} has no rule: no alert `{name}` in {where}"
            result.findings.append(Finding(Verdict.MISSING, message))
            return _Draft(result)
        result.findings += [
            Finding(Verdict.WRONG_LABELS, f"`{name}` is defined twice: {located.rule.span} and {twin.rule.span}")
            for twin in pairing.twins
        ]
        if id(located.rule) in complaints:
            message = f"Prometheus refuses the rule: {complaints[id(located.rule)]}"
            result.findings.append(Finding(Verdict.ERROR, message))
        measurer = Measurer(tape, replay, lambda: self.advance(name))
        try:
            found = measurer.measure(contract, located)
        except QueryError as err:
            message = f"Prometheus cannot evaluate the rule over the contract's signal: {err.message}"
            result.findings.append(Finding(Verdict.ERROR, message))
            return _Draft(result)
        except UnsupportedError as err:
            parts = (f"what to do: {err.hint}",) if err.hint else ()
            result.findings.append(Finding(Verdict.UNSUPPORTED, err.message, parts, span=err.span))
            return _Draft(result)
        except HarnessError as err:
            if isinstance(err, InputError) and err.span is not None and err.span.file != located.file.name:
                raise  # the contract is at fault, not the rule
            if err.exit_code != InputError.exit_code:
                raise
            result.findings.append(Finding(Verdict.ERROR, str(err)))
            return _Draft(result)
        result.measured, result.situations = found.measured, found.situations
        findings, result.notes = judge(contract, located, found)
        result.findings = worst_first([*result.findings, *findings])
        return _Draft(result, found)

    def _skip(self, name: str) -> None:
        for _ in range(STEPS_PER_ALERT):
            self.advance(name)

    def _rendered(self, result: AlertResult, testimony: Testimony, complaints: Mapping[int, str]) -> list[Finding]:
        if result.contract is None or result.located is None:
            return []
        alert = testimony.first_alert()
        if alert is not None:
            result.labels, result.annotations = alert
        if result.contract.knob.step is None or rounding_decides(result.measured):
            # One double from the threshold the order in which series are added up decides, and before 3.x that is not
            # the same from one process to the next.
            at_edge = [text for text in testimony.disagreements if JUST_PAST in text or LAST_QUIET in text]
            if at_edge:  # promtool does not say to which course an expression belongs, and the edge explains it
                at_edge += [text for text in testimony.disagreements if text.startswith("pending alerts differ")]
            result.notes += at_edge
            testimony.disagreements = [text for text in testimony.disagreements if text not in at_edge]
        result.confirmed = not testimony.refused and not testimony.disagreements
        if result.measured.facts:
            result.pinned = pinned(
                Deed(result.located, (result.located.file.path,), tuple(result.measured.facts)), testimony
            )
        if testimony.refused and complaints:
            # Another rule of the file keeps Prometheus from loading it; that rule's own verdict says so.
            result.notes.append(f"not confirmed by promtool, which refuses {result.located.file.name}")
            return []
        if value_labels(result.located.rule):
            # Replay takes every value for another alert; the label itself is already a finding.
            result.notes += testimony.disagreements
            testimony.disagreements.clear()
        findings, notes = holes(result.contract, result.located.rule, result.labels) if alert is not None else ([], [])
        result.notes += notes
        return judge_rendered(result.contract, testimony) + findings

    def _files_of(self, replay: Replay, located: Located) -> tuple[Path, ...]:
        """The rule's own file and those of the recording rules that it reads, in the order given."""
        needed = {id(rule) for _, rule in replay.plan(located.group, located.rule).recordings}
        return tuple(
            file.path
            for file in self.files
            if file is located.file or any(id(rule) in needed for group in file.groups for rule in group.rules)
        )
