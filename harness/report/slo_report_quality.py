"""The measured quality of an objective's alerts, from the document of `slo prove --json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.slo.model import Objective


def quality_rows(document: Mapping[str, Any], objective: Objective) -> dict[str, Any] | None:
    return None
