"""Rules and tests of other projects, for who has a collection of them: ALERT_HARNESS_CORPUS names its folder.

Below `rules/` it holds plain rule files, below `tests/` promtool tests with the rules that they need. None is part of
this repository: they are under licences of their own. What is tested on them is tested on our own files too.
"""

from __future__ import annotations

import os
from pathlib import Path


def corpus(part: str) -> list[Path]:
    """The YAML files of a part; none where there is no collection. Raises where the one that is named is empty."""
    folder = os.environ.get("ALERT_HARNESS_CORPUS")
    if not folder:
        return []
    found = [p for p in (Path(folder) / part).rglob("*") if p.suffix in (".yml", ".yaml", ".rules")]
    if not found:
        raise ValueError(f"ALERT_HARNESS_CORPUS={folder}: no YAML files below {part}/")
    return sorted(found)
