"""What `doctor` lets one choose."""

from __future__ import annotations

from dataclasses import dataclass

from harness.choices.option import option


@dataclass(frozen=True, slots=True)
class DoctorChoices:
    """Both are switches."""

    json: bool = option("--json", help="print JSON", default=False, action="store_true")
    fetch: bool = option("--fetch", help="fetch what is missing into the cache", default=False, action="store_true")
