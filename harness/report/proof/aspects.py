"""One alert's result, aspect by aspect, as test reports count it: which of them fails, and why."""

from __future__ import annotations

from dataclasses import dataclass

from harness.contracts import Contract, ContractKind
from harness.proof.model import AlertFinding, AlertResult, Verdict
from harness.report.wording import one_line

CONTRACT, THRESHOLD, HOLD, RECOVERY, LABELS = "contract", "threshold", "hold", "recovery", "labels"
SITUATION = "situation:"

_ASPECT_OF = {
    Verdict.MISSING: CONTRACT,
    Verdict.UNEXPECTED: CONTRACT,
    Verdict.ERROR: CONTRACT,
    Verdict.NEVER_FIRES: THRESHOLD,
    Verdict.ALWAYS_FIRES: THRESHOLD,
    Verdict.WRONG_COMPARISON: THRESHOLD,
    Verdict.OFF_THRESHOLD: THRESHOLD,
    Verdict.WRONG_HOLD: HOLD,
    Verdict.WRONG_LABELS: LABELS,
    Verdict.WRONG_ANNOTATIONS: LABELS,
}


@dataclass(frozen=True, slots=True)
class Aspect:
    """One thing that a contract says of an alert, and why the rule does otherwise."""

    name: str
    """``contract`` (rule and contract belong together, Prometheus evaluates and renders the rule, promtool agrees),
    ``threshold``, ``hold``, ``recovery``, ``labels``, or ``situation:NAME``."""
    findings: tuple[AlertFinding, ...] = ()
    """Empty where it is as meant."""
    measured: bool = True
    """False where the measurement did not get so far."""

    @property
    def ok(self) -> bool:
        return self.measured and not self.findings


def aspect_names(contract: Contract | None, *, has_rule: bool) -> list[str]:
    """The names of an alert's aspects, before anything is measured."""
    if contract is None or not has_rule or contract.kind is ContractKind.SET_ASIDE:
        return [CONTRACT]
    situations = [f"{SITUATION}{one_line(situation.name)}" for situation in contract.situations]
    recovery = [RECOVERY] if contract.kind is not ContractKind.ALWAYS else []
    return [CONTRACT, THRESHOLD, HOLD, *recovery, LABELS, *situations]


def aspects(result: AlertResult) -> list[Aspect]:
    """Every aspect of an alert; each of its findings belongs to exactly one."""
    return [aspect(result, name) for name in aspect_names(result.contract, has_rule=result.located is not None)]


def aspect(result: AlertResult, name: str) -> Aspect:
    """One aspect of an alert, by its name."""
    findings = tuple(finding for finding in result.findings if _belongs(finding) == name)
    return Aspect(name, findings, bool(findings) or _measured(result, name))


def not_rendered(result: AlertResult, name: str) -> str:
    """Why nothing is known of the labels of an alert that was measured, for promtool renders them; empty if that is
    not so."""
    if name != LABELS or aspect(result, name).measured or result.measured.fires_after_ms is None:
        return ""
    return "" if result.confirmed is not None else result.confirmed_reason


def _belongs(finding: AlertFinding) -> str:
    if finding.situation:
        return f"{SITUATION}{one_line(finding.situation)}"
    return RECOVERY if finding.recovery else _ASPECT_OF.get(finding.verdict, CONTRACT)


def _measured(result: AlertResult, name: str) -> bool:
    measured = result.measured
    if name.startswith(SITUATION):
        return any(f"{SITUATION}{one_line(s.name)}" == name for s in result.situations)
    match name:
        case "threshold":
            always = result.contract is not None and result.contract.kind is ContractKind.ALWAYS
            return measured.boundary is not None or (always and bool(measured.cases))
        case "hold" | "recovery":
            return measured.fires_after_ms is not None
        case "labels":
            return bool(result.labels)
        case _:
            return True
