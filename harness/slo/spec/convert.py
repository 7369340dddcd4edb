"""Objectives of any format as OpenSLO v1 documents, each of which was read back before it is handed out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.errors import HarnessError, UnsupportedError
from harness.slo.model import Objective
from harness.slo.spec.load import read_objectives
from harness.slo.spec.openslo.documents import API_VERSION
from harness.slo.spec.openslo.write import service_documents, slo_document
from harness.source import SourceFile


@dataclass(frozen=True, slots=True)
class Conversion:
    """What objectives are in OpenSLO's words."""

    services: str
    """The `Service` documents that they refer to, one after the other; empty if there are none."""
    documents: Sequence[tuple[Objective, str]]
    """Each objective with its `SLO` document, but for those that cannot be said."""
    unsaid: Sequence[UnsupportedError]
    """What cannot be said in OpenSLO, at the place of its objective."""


def convert(objectives: Sequence[Objective]) -> Conversion:
    """Objectives as OpenSLO v1. One that cannot be said hides no other."""
    documents, unsaid = [], []
    for objective in objectives:
        try:
            documents.append((objective, _document(objective)))
        except UnsupportedError as err:
            unsaid.append(err)
    return Conversion(service_documents([objective for objective, _ in documents]), documents, unsaid)


def in_openslo(objective: Objective) -> Objective:
    """The objective as its OpenSLO document reads: there an indicator has a name, without one the objective's."""
    named = objective.indicator_about.name or objective.name
    return replace(objective, spec=API_VERSION, indicator_about=replace(objective.indicator_about, name=named))


def _document(objective: Objective) -> str:
    """The `SLO` document; raises UnsupportedError unless it reads back as the same objective."""
    text = slo_document(objective)
    services = service_documents([objective])
    try:
        (found,) = read_objectives([SourceFile.of_text(objective.span.file, f"{services}---\n{text}")])
    except HarnessError as err:
        raise UnsupportedError(
            f"OpenSLO cannot say `{objective.name}`: {err.message}", span=objective.span, hint=err.hint
        ) from err
    if found != in_openslo(objective):
        raise UnsupportedError(
            f"OpenSLO cannot say `{objective.name}`: as a document it would mean something else",
            span=objective.span,
            hint="please report it, with the objective",
        )
    return text
