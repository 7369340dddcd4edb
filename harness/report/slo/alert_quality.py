"""The measured quality of an objective's alerts, from the document of `slo prove --json`, beside its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError
from harness.report.wording import one_line
from harness.slo.budget.verdict import lasting
from harness.slo.model import Objective

VERSION = 1
HEADER = ("Severity", "Measured", "Caught", "False alerts", "Total outage found after", "Resolved after")


@dataclass(frozen=True, slots=True)
class QualityTable:
    """A row for each severity."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def check_quality(document: object, file: str) -> Mapping[str, Any]:
    """The document, if it is one that is read here; raises InputError."""
    if not isinstance(document, dict) or document.get("version") != VERSION or "objectives" not in document:
        raise InputError(
            f"{file} is no document of `slo prove`, version {VERSION}",
            hint="name a file that `alert-harness slo prove --json FILE` wrote",
        )
    return document


def quality_table(document: Mapping[str, Any], objective: Objective) -> QualityTable | None:
    """What was measured of this objective's alerts; None if the document does not speak of it.

    Raises InputError where the document lacks what its schema requires.
    """
    try:
        for found in document["objectives"]:
            if found["id"] == objective.id:
                return QualityTable(HEADER, [_row(severity) for severity in found["severities"]])
    except (KeyError, TypeError) as err:
        raise InputError(
            f"the document of `slo prove` lacks {err}", hint="write it again with `alert-harness slo prove --json FILE`"
        ) from err
    return None


def _row(severity: Mapping[str, Any]) -> list[str]:
    outage = next(
        (one for one in severity["incidents"] if one["error_ratio"] == 1 and one["needs_alert"] and not one["missed"]),
        None,
    )
    needed, missed = severity["incidents_needing_it"], severity["missed"]
    false, policy = severity["false_alerts"], severity["false_alerts_of_the_policy"]
    return [
        one_line(severity["severity"]),
        one_line(severity["verdict"]),
        f"{needed - missed} of {needed} incidents",
        f"{false} of {severity['times_fired']}" + (f", {policy} by the policy itself" if policy else ""),
        "–" if outage is None else _both(outage["detection_s"]),
        "–" if outage is None else _both(outage["reset_s"]),
    ]


def _both(times: Mapping[str, float | None]) -> str:
    """Measured, and what the closed form says."""
    measured, theory = times["measured"], times["closed_form"]
    text = "–" if measured is None else lasting(round(measured * 1000))
    return text if theory is None else f"{text} (closed form {lasting(round(theory * 1000))})"
