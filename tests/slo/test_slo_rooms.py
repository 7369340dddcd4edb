"""The rooms of harness/slo know the core, and each other in one direction only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SLO = Path(__file__).resolve().parents[2] / "harness" / "slo"
KNOWS = {
    "core": set(),
    "spec": {"core"},
    "compile": {"core"},
    "quality": {"core", "compile"},
    "budget": {"core"},
}
"""Room → the rooms that it may import from. `slo prove` reads the labels by which compiled rules tell pairs apart."""


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module below harness/slo; what stands there itself is the core."""
    return parts[0] if parts and (SLO / parts[0]).is_dir() else "core"


def imported(text: str) -> Iterator[str]:
    """The rooms from which a module's text imports."""
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (room_of(tuple(name.split(".")[2:])) for name in names if name.startswith("harness.slo."))


FILES = sorted(file for file in SLO.rglob("*.py") if file != SLO / "__init__.py")


def test_every_room_has_its_place() -> None:
    assert {room_of(file.relative_to(SLO).parts) for file in FILES} == set(KNOWS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SLO)))
def test_a_room_imports_only_what_it_may(file: Path) -> None:
    room = room_of(file.relative_to(SLO).parts)
    assert set(imported(file.read_text(encoding="utf-8"))) <= {room} | KNOWS[room]


def test_an_import_of_another_room_is_seen() -> None:
    """A check is worth something once it was seen to fail."""
    text = "from harness.slo import windows\nfrom harness.slo.spec.sloth import read\nimport harness.slo.budget.report"
    assert list(imported(text)) == ["core", "spec", "budget"]
