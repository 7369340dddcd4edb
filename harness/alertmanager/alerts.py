"""A project's alerts as Alertmanager gets them: what is known of their labels, and what of its file is for none."""

from __future__ import annotations

from collections.abc import Sequence

from harness.alertmanager.file import AlertmanagerFile
from harness.alertmanager.unused import KnownAlert, UnusedPart, idle_parts
from harness.contracts import Contract, ContractKind
from harness.prometheus import ServerSettings
from harness.proof.pairing import pair
from harness.rules import RecordingRule, RuleFile
from harness.rules.expr import parse_expr
from harness.rules.selectors import made_labels


def unused_by(
    file: AlertmanagerFile, files: Sequence[RuleFile], contracts: Sequence[Contract], server: ServerSettings
) -> list[UnusedPart]:
    """What of the configuration does nothing for the alerts of these rule files, by what rules and contracts tell of
    their labels."""
    return idle_parts(file, known_alerts(files, contracts, server))


def known_alerts(files: Sequence[RuleFile], contracts: Sequence[Contract], server: ServerSettings) -> list[KnownAlert]:
    """What rules and contracts tell of the labels of every alert.

    A contract shows every label that its alert has: those of its signal's series, and what rules add to them. Of an
    alert without one only what its rule sets is known.
    """
    added = _added(files)
    known = []
    for pairing in pair(files, contracts):
        names = _names(pairing.contract) if pairing.contract is not None else None
        for located in (pairing.located, *pairing.duplicates):
            if located is None:
                continue
            fixed, outside = located.fixed_labels, server.external_labels
            every = None
            if names is not None:
                every = names | added | set(located.group.labels_of(located.rule)) | {"alertname"}
            # an external label stands where the alert has none of its name
            lacking = {name for name in outside if fixed.get(name) == "" or (every is not None and name not in every)}
            fixed |= {name: outside[name] for name in lacking}
            known.append(KnownAlert(fixed, None if every is None else every | set(outside)))
    return known


def _names(contract: Contract) -> frozenset[str] | None:
    """The labels of all series that a contract shows; None where it shows none."""
    if contract.kind is ContractKind.SET_ASIDE:
        return None
    signals = (contract.signal, *(situation.signal for situation in contract.situations))
    shown = {label for signal in signals for spec in signal.series for label, _ in spec.labels}
    return frozenset({*shown, *contract.meant_labels, "le"})


def _added(files: Sequence[RuleFile]) -> frozenset[str]:
    """The labels that rules add to what alerts read: those of recording rules, and those that functions make."""
    found: set[str] = set()
    for file in files:
        for group in file.groups:
            for rule in group.rules:
                found |= made_labels(parse_expr(rule.expr))
                if isinstance(rule, RecordingRule):
                    found |= set(group.labels_of(rule))
    return frozenset(found)
