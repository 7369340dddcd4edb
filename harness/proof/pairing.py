"""Which contract speaks of which rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from harness.contracts import Contract
from harness.proof.model import AlertFinding, LocatedAlert, Verdict
from harness.rules import RuleFile


@dataclass(frozen=True, slots=True)
class Pairing:
    """A contract with the rule that it speaks of, or either of them alone."""

    contract: Contract | None
    located: LocatedAlert | None
    duplicates: tuple[LocatedAlert, ...] = ()
    """Further rules of the same name and the same fixed labels: nothing tells their alerts apart."""
    others: tuple[LocatedAlert, ...] = ()
    """Without a rule: those of the contract's name that do not have its labels. Without a contract: nothing."""
    fits: Contract | None = None
    """Without a contract: the one that would fit this rule as well as the one it was given."""
    meant: LocatedAlert | None = None
    """Without a rule: the rule without contract whose name is nearest."""
    meant_by: Contract | None = None
    """Without a contract: the contract without rule that probably means this rule."""


def pair(files: Sequence[RuleFile], contracts: Sequence[Contract]) -> list[Pairing]:
    """Match contracts to rules by name, and by fixed labels where a name is used more than once.

    A contract's `labels` say which rule it means; else its severity, then the labels by which it identifies, choose
    among rules of one name. Where they do not decide, it speaks of the first, and the others are rules without a
    contract.
    """
    rules = [LocatedAlert(f, g, r) for f in files for g in f.groups for r in g.alerts()]
    taken: set[int] = set()
    passed_over: dict[int, Contract] = {}
    pairings = []
    for contract in contracts:
        named = [found for found in rules if found.rule.alert == contract.alert.value]
        fitting = _fitting(contract, named, [c for c in contracts if c is not contract and _same_name(c, contract)])
        if not fitting:
            pairings.append(Pairing(contract, None, others=tuple(named)))
            continue
        free = [found for found in fitting if id(found.rule) not in taken] or fitting
        chosen = free[0]
        alike = [found for found in free[1:] if fixed_labels(found) == fixed_labels(chosen)]
        taken |= {id(found.rule) for found in (chosen, *alike)}
        passed_over |= {id(found.rule): contract for found in free[1:]}
        pairings.append(Pairing(contract, chosen, tuple(alike)))
    for found in rules:
        if id(found.rule) not in taken:
            pairings.append(Pairing(None, found, fits=passed_over.get(id(found.rule))))
    return _near_misses(pairings)


def _near_misses(pairings: Sequence[Pairing]) -> list[Pairing]:
    """A contract whose name no rule has, beside the rule without contract that it probably means; each rule once."""
    made = list(pairings)
    for i, lacking in enumerate(pairings):
        if lacking.contract is None or lacking.located is not None or lacking.others:
            continue
        free = {p.located.rule.alert: n for n, p in enumerate(made) if p.located and not p.contract and not p.meant_by}
        close = get_close_matches(lacking.contract.alert.value, free, n=1)
        if close:
            near = free[close[0]]
            made[i] = replace(lacking, meant=made[near].located)
            made[near] = replace(made[near], meant_by=lacking.contract)
    return made


def _fitting(contract: Contract, named: Sequence[LocatedAlert], rivals: Sequence[Contract]) -> list[LocatedAlert]:
    """The rules of its name that a contract may mean, the file's first one first."""
    found = [one for one in named if _has(one, contract.labels)]
    if contract.severity is not None and (len(found) > 1 or rivals):
        same = [one for one in found if _has(one, {"severity": contract.severity})]
        # With rivals each has its own severity; without, a wrong severity is a finding about the only rule there is.
        found = same if same or (rivals and not contract.labels) else found
    if len(found) > 1:
        identified = contract.identifies or {}
        found = [one for one in found if not _contradicts(one, identified)] or found
    return found


def findings_of(pairing: Pairing, files: Sequence[RuleFile]) -> list[AlertFinding]:
    """What is to be said before anything is measured: no rule, no contract, or rules that nothing tells apart."""
    contract, located = pairing.contract, pairing.located
    if contract is None:
        return [_unexpected(pairing)] if located is not None else []
    name = contract.alert.value
    if located is None:
        where = ", ".join(file.name for file in files)
        what = f"no alert `{name}` in {where}"
        if not pairing.others:
            message = f"the contract at {contract.alert.span} has no rule: {what}"
            if (meant := pairing.meant) is None:
                return [AlertFinding(Verdict.MISSING, message)]
            part = f"did you mean `{meant.rule.alert}` ({meant.rule.span})? No contract speaks of it"
            return [AlertFinding(Verdict.MISSING, message, (part,))]
        wanted = dict(contract.labels) or {"severity": contract.severity or ""}
        message = f"the contract at {contract.alert.span} has no rule: {what} has {_flow(wanted)}"
        there = "; ".join(f"{_flow(fixed_labels(other))} at {other.rule.span}" for other in pairing.others)
        return [AlertFinding(Verdict.MISSING, message, (f"those of this name have: {there}",))]
    return [
        AlertFinding(
            Verdict.WRONG_LABELS,
            f"`{name}` is defined twice with the same labels: {located.rule.span} and {duplicate.rule.span}",
            ("nothing tells their alerts apart", "measured is the first"),
            span=duplicate.rule.span,
        )
        for duplicate in pairing.duplicates
    ]


def _unexpected(pairing: Pairing) -> AlertFinding:
    if pairing.located is None:
        raise AssertionError("a pairing has a contract or a rule")
    rule = pairing.located.rule
    parts: tuple[str, ...] = ()
    if pairing.fits is not None:
        parts = (
            f"the contract at {pairing.fits.alert.span} speaks of another rule of this name",
            f"what to do: write a contract for this one, with `labels: {_flow(fixed_labels(pairing.located))}`",
        )
    if (by := pairing.meant_by) is not None:
        parts = (f"the contract of `{by.alert.value}` ({by.alert.span}) has no rule and may mean this one",)
    return AlertFinding(
        Verdict.UNEXPECTED, f"no contract speaks of `{rule.alert}` ({rule.span})", parts, span=rule.span
    )


def _flow(labels: Mapping[str, str]) -> str:
    """Labels as a contract writes them: ``{severity: page, team: a}``."""
    return "{" + ", ".join(f"{name}: {value or repr(value)}" for name, value in labels.items()) + "}"


def fixed_labels(located: LocatedAlert) -> dict[str, str]:
    """What tells the alerts of a rule from those of another of its name: the labels that it sets on all of them."""
    return {name: value for name, value in located.fixed_labels.items() if value and name != "alertname"}


def _has(located: LocatedAlert, labels: Mapping[str, str]) -> bool:
    fixed = fixed_labels(located)
    return all(fixed.get(name, "") == value for name, value in labels.items())


def _contradicts(located: LocatedAlert, labels: Mapping[str, str]) -> bool:
    fixed = fixed_labels(located)
    return any(name in fixed and fixed[name] != value for name, value in labels.items())


def _same_name(one: Contract, other: Contract) -> bool:
    return one.alert.value == other.alert.value
