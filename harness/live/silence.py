"""Who must silence an alert and who must not: its contract against the inhibition rules of the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.alertmanager.file import AlertmanagerFile
from harness.alertmanager.inhibition import why_none_holds
from harness.errors import near_miss
from harness.live.cases import LiveCase
from harness.live.model import LiveResult, LiveVerdict
from harness.live.world import labels_of
from harness.proof.model import LocatedAlert
from harness.rules import RuleFile


def judge_silence(
    case: LiveCase, cases: Sequence[LiveCase], files: Sequence[RuleFile], routing: AlertmanagerFile, result: LiveResult
) -> None:
    """Compare `silenced_by` and `never_silenced_by` of the case's contract with the inhibition rules.

    By exact labels where the other alert has a case; else by its rule's plain labels and, for what `equal` asks, ours.
    What must be silenced and is was also seen to be, unless a note says why not.
    """
    mine = labels_of(case)
    known = {rule.alert for file in files for group in file.groups for rule in group.alerts()}
    contract = case.contract
    for field, names in (("silenced_by", contract.silenced_by), ("never_silenced_by", contract.never_silenced_by)):
        for name in names:
            if name.value not in known:
                what = f"`{field}` names `{name.value}`, an alert that no rule has{near_miss(name.value, known)}"
                result.find(LiveVerdict.WRONG_SILENCE, f"{what} ({name.span})")
                continue
            others = list(_labels(name.value, case, cases, files, mine))
            silent = any(inhibition.holds(theirs, mine) for theirs in others for inhibition in routing.inhibitions)
            if field == "never_silenced_by" and silent:
                result.find(
                    LiveVerdict.WRONG_SILENCE,
                    f"`{name.value}` silences it by the inhibition rules of {routing.name}; the contract says never",
                )
            elif field == "silenced_by" and not silent:
                why = why_none_holds(routing.inhibitions, others, mine)
                result.find(
                    LiveVerdict.WRONG_SILENCE,
                    f"`{name.value}` does not silence it by the inhibition rules of {routing.name}, the contract says "
                    f"that it must: {why}",
                )
            elif field == "silenced_by" and name.value not in result.inhibited_by:
                result.notes.append(
                    f"`{name.value}` silences it by the inhibition rules, which was not seen: it has no contract that "
                    "could be run beside this one"
                )


def _labels(
    name: str, case: LiveCase, cases: Sequence[LiveCase], files: Sequence[RuleFile], mine: Mapping[str, str]
) -> Iterator[Mapping[str, str]]:
    """The labels of every other alert of a name."""
    exact = {id(other.located.rule): labels_of(other) for other in cases}
    for file in files:
        for group in file.groups:
            for rule in group.alerts():
                if rule.alert == name and rule is not case.located.rule:
                    yield exact.get(id(rule), {**mine, **LocatedAlert(file, group, rule).fixed_labels})
