"""Expected and received alerts side by side: similar ones paired, each difference by label and annotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.suites.model import Labelled


@dataclass(frozen=True, slots=True)
class Change:
    """One label or annotation that differs; None where it is absent."""

    part: str
    """``label`` or ``annotation``."""
    name: str
    expected: str | None
    got: str | None


@dataclass(frozen=True, slots=True)
class AlertDiff:
    """An expected alert against a received one; one of them is None for a missing or an extra alert."""

    expected: Labelled | None
    got: Labelled | None
    changes: tuple[Change, ...] = ()


def diff_alerts(expected: Sequence[Labelled], got: Sequence[Labelled]) -> list[AlertDiff]:
    """Only what differs: changed pairs, then missing, then extra alerts."""
    left, right = list(expected), list(got)
    for alert in expected:
        same = next((other for other in right if not _changes(alert, other)), None)
        if same is not None:
            left.remove(alert)
            right.remove(same)
    pairs: list[AlertDiff] = []
    candidates = sorted(
        ((_distance(a, b), i, j) for i, a in enumerate(left) for j, b in enumerate(right)), key=lambda entry: entry
    )
    used_left: set[int] = set()
    used_right: set[int] = set()
    for _, i, j in candidates:
        if i not in used_left and j not in used_right:
            used_left.add(i)
            used_right.add(j)
            pairs.append(AlertDiff(left[i], right[j], tuple(_changes(left[i], right[j]))))
    missing = [AlertDiff(alert, None) for i, alert in enumerate(left) if i not in used_left]
    extra = [AlertDiff(None, alert) for j, alert in enumerate(right) if j not in used_right]
    return [*pairs, *missing, *extra]


def _changes(a: Labelled, b: Labelled) -> list[Change]:
    found = []
    for part, ours, theirs in (("label", a.labels, b.labels), ("annotation", a.annotations, b.annotations)):
        for name in sorted({**ours, **theirs}):
            # An empty value is no label at all.
            if (ours.get(name) or "") != (theirs.get(name) or ""):
                found.append(Change(part, name, ours.get(name), theirs.get(name)))
    return found


def _distance(a: Labelled, b: Labelled) -> tuple[int, int]:
    changes = _changes(a, b)
    return sum(change.part == "label" for change in changes), len(changes)
