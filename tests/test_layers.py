"""The package's layers, as ARCHITECTURE.md draws them: a module imports only from those above it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = [
    "errors", "numbers", "units", "series", "source", "prometheus", "config", "rules", "contracts", "toolchain",
    "engines", "replay", "alertmanager", "proof", "suites", "live", "stack", "check", "slo", "report", "drafts", "init",
    "commands", "cli", "strategies", "api", "plugin", "pytest_plugin",
]  # fmt: skip


def _imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "harness" and len(parts) > 1 and parts[1] != "__version__":
                found.add(parts[1])
    return found


def _layer(file: Path) -> str:
    return file.relative_to(ROOT / "harness").parts[0].removesuffix(".py")


FILES = sorted(file for file in (ROOT / "harness").rglob("*.py") if _layer(file) != "__init__")


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_upwards_only(file: Path) -> None:
    own = _layer(file)
    assert own in LAYERS, f"{own} has no place in LAYERS and ARCHITECTURE.md"
    below = {name for name in _imports(file) if name != own and LAYERS.index(name) > LAYERS.index(own)}
    assert not below, f"{file.name} ({own}) imports from below: {sorted(below)}"


def test_every_layer_is_in_the_map() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert [name for name in LAYERS if f"`{name}" not in text and f" {name}" not in text] == []


def test_the_check_sees_an_upward_import(tmp_path: Path) -> None:
    """A check is worth something once it was seen to fail."""
    bad = tmp_path / "bad.py"
    bad.write_text("from harness.cli import main\n", encoding="utf-8")
    assert _imports(bad) == {"cli"}
