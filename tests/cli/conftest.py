"""What the command-line tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tools(promtool_path: Path, prometheus_path: Path) -> dict[str, Path]:
    return {"promtool": promtool_path, "prometheus": prometheus_path}
