"""The use case behind `alert-harness prove` (and verify, and pytest): rules and contracts in, results out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from harness.contracts import Contract
from harness.contracts.model import ContractKind
from harness.engines import Engine, QueryError
from harness.engines.promtool import Promtool
from harness.errors import EngineError, HarnessError, InputError, UnsupportedError
from harness.proof.checked import check_rule_files
from harness.proof.judging.confirmation import OUT_OF_REACH, UNRENDERED, confirm
from harness.proof.judging.judge import judge, worst_first
from harness.proof.judging.rendered import names_opaque
from harness.proof.measuring.measure import Measurer
from harness.proof.model import AlertFinding, AlertResult, Case, LocatedAlert, Measured, Verdict, told
from harness.proof.pairing import Pairing, findings_of, pair
from harness.proof.promtool.check import CheckAnswer, PromtoolCheck
from harness.proof.promtool.emit import Emitted, ResultToEmit, emit
from harness.proof.promtool.expected import ExpectedCase, expected_cases
from harness.proof.promtool.ordered import OrderedRules
from harness.proof.promtool.unit_test import CheckRequest
from harness.replay import EndlessSlotWriter, Replay
from harness.rules import Loaded, RuleFile
from harness.rules.expr import UnreadableError

STEPS_PER_ALERT = 4
"""How often :class:`Proof` calls `advance` per alert with a contract."""
ALERT_TIMEOUT_S = 30.0
_MANY_EVALUATIONS = 15_000
"""How many rules promtool may evaluate (60 µs each) for one alert before it gets only the groups that matter to it."""


def _failed(verdict: Verdict, err: HarnessError, located: LocatedAlert | None = None) -> AlertFinding:
    """An error as a finding: its first line, then the rest of it and what to do; the place too where it is not in the
    file of the rule, which is where a reader looks."""
    first, *rest = err.message.splitlines()
    if err.span is not None and located is not None and err.span.file != located.file.name:
        rest.append(f"it is written at {err.span}")
    todo = [f"what to do: {err.hint}"] if err.hint else []
    return AlertFinding(verdict, first, tuple(line.strip() for line in rest + todo), span=err.span)


def _draft(contract: Contract) -> AlertFinding:
    message = f"the contract at {contract.alert.span} is a draft: what it says was guessed, so it proves nothing"
    return AlertFinding(
        Verdict.DRAFT, message, ("what to do: read it, then delete `draft: true` and every `confirm:`",)
    )


def _cases(result: AlertResult, *, everything: bool) -> tuple[Case, ...]:
    measured = result.measured
    return tuple(told([*measured.cases, *measured.situation_cases] if everything else measured.cases))


_FEW = 16
"""Of so many alerts none is waited for before the next is measured: the last row comes soon. Of more the first is."""


@dataclass(slots=True)
class _PendingResult:
    """A result in the making, with what is needed to finish it."""

    result: AlertResult
    request: CheckRequest | None = None
    answer: Future[CheckAnswer] | None = None
    expected: Sequence[ExpectedCase] = ()
    """What the contract expects, for tests of an alert that is not exact."""

    @property
    def ready(self) -> bool:
        return self.answer is None or self.answer.done()


@dataclass(slots=True)
class Proof:
    """One run over rule files and contracts. `advance` is called STEPS_PER_ALERT times per alert with a contract."""

    files: Sequence[RuleFile]
    contracts: Sequence[Contract]
    engine: Engine
    promtool: Promtool
    advance: Callable[[str], None] = lambda _: None
    complaints: Mapping[int, str] | None = None
    """What :func:`check_rule_files` said against alerts, where it was asked already."""
    alert_timeout_s: float = ALERT_TIMEOUT_S
    """How long one alert may take to measure, and promtool to confirm it; one that takes longer is an `error`."""
    faults: list[HarnessError] = field(default_factory=list, init=False)
    """Contracts that turned out to be wrong while they were measured, and rules that promtool refuses: they have no
    result."""
    emitted: list[Emitted] = field(default_factory=list, init=False)
    """What :meth:`run` wrote as promtool unit tests."""
    _waiting: deque[_PendingResult] = field(default_factory=deque, init=False)
    """What is measured, in order, and waits for promtool."""
    _replay: Replay = field(init=False)
    _writer: EndlessSlotWriter = field(init=False)
    _spoilt: bool = field(default=False, init=False)
    """Whether the engine broke over an alert, so that the next needs a fresh one."""

    def run(self, emit_to: Path | None = None) -> Iterator[AlertResult]:
        """Yield one result per contract and per alert without contract, in the order of files, each when it is known.

        promtool confirms boundary, hold, gap and recovery of each while the next is measured; with `emit_to` also every
        situation, and the tests are written there. What goes wrong with one alert is that alert's result.
        """
        complaints = self.complaints
        if complaints is None:
            checked = check_rule_files(self.promtool, self.files)
            complaints, self.files = checked.complaints, checked.files
            self.faults += [fault.error for fault in checked.faults]
            lost = Loaded(checked.files, checked.faults).lost()
            self.contracts = [contract for contract in self.contracts if contract.alert.value not in lost]
        self._begin()
        waiting = self._waiting
        to_emit: list[ResultToEmit] = []
        pairings = list(pair(self.files, self.contracts))
        first = len(pairings) > _FEW
        with PromtoolCheck(self.promtool, self.alert_timeout_s) as check:
            for pairing in pairings:
                begun = self._measured(pairing, complaints, check, emit=emit_to is not None)
                if begun is not None:
                    waiting.append(begun)
                while waiting and (first or waiting[0].ready):  # the first is waited for: the next may take long
                    first = False
                    yield self._finished(waiting.popleft(), complaints, to_emit)
            while waiting:
                yield self._finished(waiting.popleft(), complaints, to_emit)
        if emit_to is not None:
            self.emitted = emit(self.promtool, emit_to, to_emit)

    def confirmed(self) -> Iterator[AlertResult]:
        """After an interrupted run: what promtool had confirmed already, but :meth:`run` had not yielded yet."""
        complaints = self.complaints or {}
        while self._waiting:
            begun = self._waiting.popleft()
            answer = begun.answer
            if answer is None or (answer.done() and not answer.cancelled() and answer.exception() is None):
                yield self._finished(begun, complaints, [])

    def _begin(self) -> None:
        self._replay = Replay(self.engine, self.files)
        self._writer = EndlessSlotWriter(self.engine)
        self._spoilt = False

    def _renewed(self) -> None:
        """A fresh start after the engine broke, or held samples that it should not. Raises EngineError."""
        if not self._spoilt:
            return
        if self.engine.disposable:
            self.engine.reset()
            self._begin()
        self._spoilt = False

    def _measured(
        self, pairing: Pairing, complaints: Mapping[int, str], check: PromtoolCheck, *, emit: bool
    ) -> _PendingResult | None:
        """The measured result, with promtool on its way; None where the contract itself is at fault."""
        began = time.monotonic()
        result, measured = self._paired(pairing, complaints)
        if not measured or result.contract is None or result.located is None:
            self._skip(result, 0)
            return _PendingResult(result)
        done = 0
        expected: list[ExpectedCase] = []

        def step() -> None:
            nonlocal done
            done += 1
            self.advance(result.alert)

        try:
            self._renewed()
            with self.engine.within(self.alert_timeout_s):
                found = Measurer(self._writer, self._replay, step).measure(result.contract, result.located)
        except (UnreadableError, UnsupportedError) as err:
            result.findings.append(_failed(Verdict.UNSUPPORTED, err, result.located))
        except InputError as err:
            if err.span is not None and err.span.file not in {file.name for file in self.files}:
                self.faults.append(err)
                return None
            result.findings.append(_failed(Verdict.ERROR, err))
        except QueryError as err:
            what = "Prometheus cannot evaluate the rule over the contract's signal"
            result.findings.append(AlertFinding(Verdict.ERROR, f"{what}: {err.message}"))
        except EngineError as err:
            self._spoilt = True
            result.findings.append(self._broke(err, time.monotonic() - began))
        else:
            result.measured, result.situations = found.measured, found.situations
            findings, result.notes = judge(result.contract, result.located, found)
            result.findings += findings
            if emit:
                plan = self._replay.plan(result.located.group, result.located.rule)
                expected = expected_cases(result.contract, plan, found, result.findings)
        result.seconds = time.monotonic() - began
        self._skip(result, done)
        cases = _cases(result, everything=emit or names_opaque(result.contract, result.located))
        if not cases and not expected:
            return _PendingResult(result)
        rules = OrderedRules.of(self.files, result.located, self._replay)
        evaluations = sum(len(group.rules) for file in rules.files for group in file.groups) * sum(
            case.lead_ms // result.located.group.interval_ms + case.ticks for case in cases
        )
        if evaluations > _MANY_EVALUATIONS and not emit:
            rules = rules.lean(result.located)
        request = CheckRequest(result.located, rules, cases, self.engine.server)
        return _PendingResult(result, request, check.submit(request) if cases else None, expected)

    def _skip(self, result: AlertResult, done: int) -> None:
        """Tell the steps that an alert with a contract does not get to."""
        for _ in range(STEPS_PER_ALERT - done if result.contract is not None else 0):
            self.advance(result.alert)

    def _broke(self, err: EngineError, seconds: float) -> AlertFinding:
        if seconds < self.alert_timeout_s:
            return _failed(Verdict.ERROR, err)
        message = f"not measured within {self.alert_timeout_s:g} s"
        todo = "what to do: shorten what the rule looks back on, or allow more with --alert-timeout"
        return AlertFinding(Verdict.ERROR, message, (err.message.splitlines()[0], todo))

    def _paired(self, pairing: Pairing, complaints: Mapping[int, str]) -> tuple[AlertResult, bool]:
        """What can be said before anything is measured, and whether there is something to measure."""
        contract, located = pairing.contract, pairing.located
        found_already = findings_of(pairing, self.files)
        if contract is None:
            if located is None:
                raise AssertionError("a pairing has a contract or a rule")
            return AlertResult(located.rule.alert, None, located, Measured(), [], found_already), False
        name = contract.alert.value
        result = AlertResult(name, contract, located, Measured(), [], found_already)
        if contract.draft:
            result.findings.append(_draft(contract))
        if located is None:
            return result, False
        if contract.kind is ContractKind.SET_ASIDE:
            try:
                self._replay.plan(located.group, located.rule)
            except (UnreadableError, UnsupportedError) as err:
                result.findings.append(_failed(Verdict.UNSUPPORTED, err))
            else:
                message = f"nothing is said of what `{name}` is meant to do: it is only set aside"
                result.findings.append(AlertFinding(Verdict.UNEXPECTED, message))
            return result, False
        if id(located.rule) in complaints:
            message = f"Prometheus refuses the rule: {complaints[id(located.rule)]}"
            result.findings.append(AlertFinding(Verdict.ERROR, message))
        return result, True

    def _finished(
        self, begun: _PendingResult, complaints: Mapping[int, str], to_emit: list[ResultToEmit]
    ) -> AlertResult:
        """The result with promtool's word; what `emit` needs is added to `to_emit`."""
        result = begun.result
        answer: CheckAnswer | None = None
        if begun.answer is not None and begun.request is not None:
            try:
                answer = begun.answer.result()
            except EngineError as err:
                result.confirmed_reason = "promtool could not be asked"
                result.findings.append(_failed(Verdict.ERROR, err))
            else:
                _enter(result, begun.request, answer, complaints)
        elif result.located is None:
            result.confirmed_reason = "there is no rule"
        elif result.contract is None:
            result.confirmed_reason = "there is no contract"
        elif result.measured.cases:
            result.confirmed_reason = OUT_OF_REACH
            result.notes.append(UNRENDERED)
        else:
            result.confirmed_reason = "nothing was measured that it could confirm"
        result.findings = worst_first(result.findings)
        to_emit.append(ResultToEmit(result, begun.request, answer, begun.expected))
        if result.allowed is not None and result.measured_verdict in (Verdict.EXACT, Verdict.MISSING):
            why = "the alert is exact" if result.measured_verdict is Verdict.EXACT else "no rule has this alert"
            result.notes.append(f"its `allow` is no longer needed: {why}")
        return result


def _enter(result: AlertResult, request: CheckRequest, answer: CheckAnswer, complaints: Mapping[int, str]) -> None:
    """Add what promtool's answer means to a result."""
    if result.contract is None:
        return
    found = confirm(result.contract, result.measured, result.situations, request, answer, complaints)
    result.confirmed, result.confirmed_reason = found.confirmed, found.reason
    result.findings += found.findings
    result.notes += found.notes
    result.situations = list(found.situations)
    result.labels, result.annotations, result.pinned = found.labels, found.annotations, found.pinned
