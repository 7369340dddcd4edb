"""Find or fetch promtool, prometheus, alertmanager and the like; say why one is absent."""

from __future__ import annotations

from harness.toolchain.attempts import Attempt
from harness.toolchain.containers import ContainerEngineStatus, probe_container_engine
from harness.toolchain.doctor import Row, diagnose, render_json, render_text, run_doctor
from harness.toolchain.finder import Toolchain
from harness.toolchain.tools import TOOLS, Tool, ToolSpec

__all__ = [
    "TOOLS",
    "Attempt",
    "ContainerEngineStatus",
    "Row",
    "Tool",
    "ToolSpec",
    "Toolchain",
    "diagnose",
    "probe_container_engine",
    "render_json",
    "render_text",
    "run_doctor",
]
