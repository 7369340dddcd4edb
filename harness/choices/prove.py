"""What `prove` lets one choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.choices.shared import RunChoices, alert_option


@dataclass(frozen=True)
class ProveChoices(RunChoices):
    """Which alerts, beside what `verify` has too."""

    alerts: Sequence[str] | None = alert_option()
