"""What `init` lets one choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.choices.option import option


@dataclass(frozen=True, slots=True)
class InitChoices:
    """Where to begin."""

    folder: Path = option(help="default: this folder", default=Path(), nargs="?", type=Path, metavar="DIR")
