"""Planted faults are caught, each with its own verdict and reason; equivalent writings stay exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from harness.contracts import Contract, Signal, load_contracts
from harness.contracts.world import KnobSteps, Scrapes, Trace, traces
from harness.engines.base import Engine
from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.proof import AlertResult, Proof, Verdict
from harness.replay import SlotWriter
from harness.rules import load_rules
from tests.proof.faults import EQUIVALENTS, FAULTS, HOMES, RULES, Edit, Fault, telling


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    found = load_contracts(sorted((RULES / "contracts").glob("*.yml")))
    return {contract.alert.value: contract for contract in found}


class Bench:
    """One engine for all mutants. They share one writer, and a fresh start now and then keeps it short."""

    def __init__(self, engine: Engine, promtool: Promtool, folder: Path, contracts: dict[str, Contract]) -> None:
        self.engine, self.promtool, self.folder, self.contracts = engine, promtool, folder, contracts
        self.writer = SlotWriter(engine)
        self.proved = 0

    def prove(self, alert: str, text: str, *, situations: str | None = "") -> AlertResult:
        """The verdict on one alert in the text of a rule file; `situations` keeps those so named, None keeps none."""
        self.proved += 1
        if self.proved % 3 == 0:
            self.engine.reset()
            self.writer = SlotWriter(self.engine)
        file = self.folder / f"{HOMES[alert]}.yml"
        file.write_text(text, encoding="utf-8")
        contract = self.contracts[alert]
        kept = () if situations is None else tuple(s for s in contract.situations if situations in s.name)
        only = replace(contract, situations=kept or contract.situations if situations else kept)
        results = Proof(load_rules([file]), [only], self.engine, self.promtool).run()
        return next(result for result in results if result.alert == alert and result.contract is not None)


@pytest.fixture(scope="module")
def mutant_bench(
    contracts: dict[str, Contract], prometheus_path: Path, promtool_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    with ProcessEngine(prometheus_path) as engine:
        yield Bench(engine, Promtool(promtool_path), tmp_path_factory.mktemp("mutants"), contracts)


_SEEN: dict[tuple[int, tuple[tuple[int, Fraction], ...], Scrapes], list[Trace]] = {}


@pytest.fixture
def bench(mutant_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The bench, with worlds made only once: they hang on the contract alone, so all mutants share them."""

    def remembered(signal: Signal, knob: KnobSteps, scrapes: Scrapes) -> list[Trace]:
        key = (id(signal), tuple(knob), scrapes)
        if key not in _SEEN:
            _SEEN[key] = traces(signal, knob, scrapes)
        return _SEEN[key]

    for module in ("measure", "situations"):
        monkeypatch.setattr(f"harness.proof.measuring.{module}.traces", remembered)
    monkeypatch.setattr("harness.proof.prove.EndlessSlotWriter", lambda _: mutant_bench.writer)
    return mutant_bench


_ALWAYS = telling(FAULTS)
_FAULTS = [
    pytest.param(fault, id=fault.edit.id, marks=() if fault.edit.id in _ALWAYS else pytest.mark.slow)
    for fault in FAULTS
]
_EQUIVALENTS = [
    pytest.param(
        edit, id=edit.id, marks=pytest.mark.slow if [e.alert for e in EQUIVALENTS[:i]].count(edit.alert) > 0 else ()
    )
    for i, edit in enumerate(EQUIVALENTS)
]


@pytest.mark.parametrize("alert", HOMES)
def test_clean_rule_is_exact(alert: str, bench: Bench) -> None:
    result = bench.prove(alert, (RULES / f"{HOMES[alert]}.yml").read_text(encoding="utf-8"))
    assert (result.verdict, result.reasons) == (Verdict.EXACT, [])
    assert result.confirmed


@pytest.mark.parametrize("fault", _FAULTS)
def test_fault_is_caught(fault: Fault, bench: Bench) -> None:
    # A fault that is to be found without situations is proved without any, one that a situation is to find with that
    # one only; what Prometheus cannot evaluate may be so in any of them.
    needed = fault.reason if {Verdict.WRONG_SITUATION, Verdict.ERROR} & set(fault.verdicts) else None
    result = bench.prove(fault.edit.alert, fault.edit.text(), situations=needed)
    told = "\n".join(result.reasons)
    assert result.verdict in fault.verdicts, told
    assert fault.reason in told


@pytest.mark.parametrize("edit", _EQUIVALENTS)
def test_equivalent_writing_stays_exact(edit: Edit, bench: Bench) -> None:
    result = bench.prove(edit.alert, edit.text())
    assert (result.verdict, result.reasons) == (Verdict.EXACT, [])
    assert result.confirmed
