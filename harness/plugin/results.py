"""Where items get their results: one proof over the alerts that are left after selection, one promtool run per file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harness.api.alert_rules import AlertRules
from harness.errors import HarnessError, InputErrors
from harness.plugin.session import ProjectSession
from harness.proof import AlertResult, Proof
from harness.proof.pairing import Pairing
from harness.suites.model import FileResult
from harness.suites.run import Options, SuiteRun


def _key(pairing: Pairing) -> tuple[str, int]:
    """A contract or rule by identity: neither is hashable, and names are not unique."""
    if pairing.contract is not None:
        return "contract", id(pairing.contract)
    return "rule", id(pairing.located.rule) if pairing.located is not None else 0


class Proofs:
    """Results of alerts. `selected` are those that will be asked for, as far as is known."""

    def __init__(self, project_session: ProjectSession) -> None:
        self._session = project_session
        self._known: dict[tuple[str, int], AlertResult | HarnessError] = {}
        self.selected: list[Pairing] = []

    def of(self, pairing: Pairing) -> AlertResult:
        """The result of one alert; raises HarnessError if it cannot be measured."""
        if _key(pairing) not in self._known:
            # A worker of pytest-xdist is told bit by bit which items are its own, so it measures alert by alert.
            wanted = [pairing] if self._session.in_worker else [*self.selected, pairing]
            try:
                self._prove(self._session.alert_rules(), wanted)
            except HarnessError as err:
                for key in map(_key, wanted):
                    self._known.setdefault(key, err)
        result = self._known[_key(pairing)]
        if isinstance(result, HarnessError):
            raise result
        return result

    def _prove(self, loaded: AlertRules, wanted: Sequence[Pairing]) -> None:
        names = {pairing.contract.alert.value for pairing in wanted if pairing.contract is not None}
        # All contracts of a name: which rule each of them means is decided between them.
        contracts = [contract for contract in loaded.contracts if contract.alert.value in names]
        promtool = self._session.promtool
        proof = Proof(loaded.files, contracts, self._session.blank_engine(), promtool)
        for result in proof.run():
            self._known[_key(Pairing(result.contract, result.located))] = result
        if proof.faults:
            raise InputErrors(proof.faults)


class Suites:
    """Results of promtool unit-test files."""

    def __init__(self, project_session: ProjectSession) -> None:
        self._session = project_session
        self._known: dict[Path, FileResult] = {}
        self.selected: list[Path] = []

    def of(self, path: Path) -> FileResult:
        """What came of a file; the first call runs every selected one, in parallel."""
        if path not in self._known:
            wanted = [path] if self._session.in_worker else list(dict.fromkeys([*self.selected, path]))
            options = Options(
                strict=self._session.config.strict_tests,
                configured_rules=tuple(_or_none(self._session.rule_paths)),
                jobs=1 if self._session.in_worker else 0,
                evaluation_ms=self._session.config.told_evaluation_ms(),
            )
            for result in SuiteRun(wanted, self._session.promtool, options).results():
                self._known[result.path] = result
        return self._known[path]


def _or_none(paths: Callable[[], Iterable[Path]]) -> Iterable[Path]:
    """Unit tests need no rule files of the project."""
    try:
        return paths()
    except HarnessError:
        return ()
