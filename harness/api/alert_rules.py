"""A project's rule files and contracts, looked up by the names of alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from harness.contracts import Contract, load_contracts
from harness.errors import HarnessError, InputError, InputErrors, near_miss
from harness.prometheus import ServerSettings
from harness.rules import AlertRule, RuleFile, read_rules

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AlertRules:
    """A project's rule files and contracts."""

    files: list[RuleFile]
    contracts: list[Contract]
    faults: list[HarnessError] = field(default_factory=list)
    """What is wrong with rules; neither they nor their contracts are in here."""

    @classmethod
    def load(cls, rules: Sequence[Path], contracts: Sequence[Path], server: ServerSettings) -> Self:
        loaded = read_rules(rules, server)
        if not loaded.files:
            raise InputErrors(loaded.errors)
        lost = loaded.lost()
        left = [contract for contract in load_contracts(contracts, server) if contract.alert.value not in lost]
        return cls(loaded.files, left, loaded.errors)

    @property
    def paths(self) -> list[Path]:
        return list(dict.fromkeys(file.path for file in self.files))

    def rule(self, alert: str) -> AlertRule:
        """The first rule of this name; InputError, with the near miss, if there is none."""
        return named(alert, {r.alert: r for f in reversed(self.files) for g in f.groups for r in reversed(g.alerts())})

    def contract(self, alert: str) -> Contract:
        """The first contract for an alert; InputError, with the near miss, if there is none."""
        return named(alert, {contract.alert.value: contract for contract in reversed(self.contracts)})


def named(name: str, known: Mapping[str, _T]) -> _T:
    """The one of this name; InputError, with the near miss, if there is none."""
    if name not in known:
        raise InputError(f"there is no alert `{name}`{near_miss(name, known)}", hint="check the name")
    return known[name]
