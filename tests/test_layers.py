"""The package's shape: layers as ARCHITECTURE.md's map draws them, no circles, one name for one class."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted((ROOT / "harness").rglob("*.py"))
}
"""Every module by its full name."""
PLUG_INS = {"harness.suites.checks"}
"""Packages of which every module is found by being there and has the shape that the package asks for."""


def layers_of(architecture: str) -> list[str]:
    """The names in the first column of the map, from top to bottom; packages with a slash at their end."""
    the_map = re.search(r"^## The map$(.*?)^## ", architecture, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\|((?: `\w+/?`)+) \|", the_map[1] if the_map else "", re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+/?)`", row)]


LAYERS = layers_of((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
PUBLIC = "harness"
"""The package itself: the last layer. Its version is all that others may take from there."""


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else PUBLIC


def imports(source: str, modules: Iterable[str]) -> Iterator[str]:
    """The modules of ours that a module names in its imports, wherever they stand in it."""
    known = set(modules)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: an import says the whole name"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name in known:
                    yield name
                elif node.module in known and name != f"{PUBLIC}.__version__":
                    yield node.module


def from_below(module: str, imported: Iterable[str], layers: list[str]) -> list[str]:
    """What a module imports from layers below its own."""
    ranks = {name.rstrip("/"): rank for rank, name in enumerate(layers)} | {PUBLIC: len(layers)}
    return sorted(name for name in imported if ranks[layer(name)] > ranks[layer(module)])


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The groups of modules of which each leads to each (Tarjan's strongly connected components)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        open_.append(module)
        for other in graph[module]:
            if other not in number:
                visit(other)
            if other in open_:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == number[module]:
            group = open_[open_.index(module) :]
            del open_[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in graph:
        if module not in number:
            visit(module)
    return sorted(found)


GRAPH = {module: set(imports(file.read_text(encoding="utf-8"), MODULES)) - {module} for module, file in MODULES.items()}


def test_the_map_and_the_tree_are_the_same() -> None:
    tree = {layer(module) + ("/" if MODULES[module].name == "__init__.py" else "") for module in MODULES
            if module.count(".") == 1}  # fmt: skip
    assert set(LAYERS) - tree == set(), "in ARCHITECTURE.md's map, and not there"
    assert tree - set(LAYERS) == set(), "without a place in ARCHITECTURE.md's map"
    assert len(LAYERS) == len(set(LAYERS)), "twice in ARCHITECTURE.md's map"


def test_imports_point_upwards_only() -> None:
    below = {module: from_below(module, imported, LAYERS) for module, imported in GRAPH.items()}
    assert {module: names for module, names in below.items() if names} == {}


def test_there_is_no_circle_of_imports() -> None:
    """Those in functions count too: a circle that is put off is a circle."""
    assert circles(GRAPH) == []


def test_every_class_has_a_name_of_its_own() -> None:
    """Who reads a name should not have to ask whose it is."""
    where: dict[str, list[str]] = defaultdict(list)
    for module, file in MODULES.items():
        if module.rpartition(".")[0] not in PLUG_INS:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    where[node.name].append(module)
    assert len(where) > 300
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}


def test_without_a_map_there_are_no_layers() -> None:
    assert layers_of("`errors` and cli/ are in ARCHITECTURE.md\n## The map\n\n## Else\n| `cli/` | |\n") == []
    assert layers_of("## The map\n| module | is |\n|---|---|\n| `a` `b/` | `c` |\n| `d` | e |\n## \n") == [
        "a",
        "b/",
        "d",
    ]


def test_the_check_sees_every_form_of_import() -> None:
    source = """
import harness.cli
from harness import series, __version__, main
def later():
    from harness.rules import load, Rule
    import os, harness.errors
"""
    known = ["harness", "harness.cli", "harness.series", "harness.rules", "harness.rules.load", "harness.errors"]
    found = list(imports(source, known))
    assert sorted(found) == sorted(
        ["harness.cli", "harness.series", "harness", "harness.rules.load", "harness.rules", "harness.errors"]
    )
    assert from_below("harness.rules.load", found, ["errors", "rules/", "series", "cli/"]) == [
        "harness", "harness.cli", "harness.series",
    ]  # fmt: skip


def test_the_check_sees_a_circle() -> None:
    graph = {"a": ["b"], "b": ["c", "d"], "c": ["a"], "d": ["e"], "e": [], "f": ["g", "a"], "g": ["f"]}
    assert circles(graph) == [["a", "b", "c"], ["f", "g"]]
