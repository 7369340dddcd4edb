"""What is there already: rule files, unit tests, prometheus.yml, and sources that somebody has yet to render."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from harness.config import is_unit_test
from harness.errors import InputError
from harness.prometheus import read_prometheus_yml
from harness.rules import Loaded, read_rules
from harness.rules.forms import JSONNET

_SKIPPED = {"node_modules", "build", "dist", "venv", "__pycache__", "site-packages"}
_MOST_FILES = 10_000
_RULE_LIKE = [re.compile(rb"^[ \t-]*%s\s*:" % key, re.MULTILINE) for key in (rb"groups", rb"alert", rb"expr")]
"""What a rule file has that cannot be read at all: a template, or a slip in its YAML."""


def loaded_below(folder: Path) -> Loaded:
    """Every rule file with an alert, and what is wrong with those that look like one; other YAML is left out."""
    found = Loaded()
    for path in yaml_files(folder):
        if is_unit_test(path):
            continue
        try:
            data = path.read_bytes()
        except OSError:
            continue
        if b"alert" not in data:
            continue
        loaded = read_rules([path])
        found.files += loaded.files
        if loaded.files or any(fault.alerts for fault in loaded.faults) or all(r.search(data) for r in _RULE_LIKE):
            found.faults += loaded.faults
    return found


def to_render(folder: Path) -> str:
    """How the first jsonnet source with alerts becomes a rule file; empty if there is none."""
    for path in _files(folder, JSONNET):
        with contextlib.suppress(OSError):
            if b"alert" in path.read_bytes():
                return str(read_rules([path]).errors[0].hint).replace("FILE", relative(path, folder))
    return ""


def prometheus_yml(folder: Path) -> str:
    """The one prometheus.yml below the folder; empty if there is none, or it cannot be told which is meant."""
    found = []
    for path in yaml_files(folder):
        if path.name in ("prometheus.yml", "prometheus.yaml"):
            with contextlib.suppress(InputError):
                if read_prometheus_yml(path).jobs:
                    found.append(relative(path, folder))
    return found[0] if len(found) == 1 else ""


def yaml_files(folder: Path) -> Iterator[Path]:
    """The first ten thousand YAML files below the folder, in order of their names, without what others made."""
    return _files(folder, (".yml", ".yaml"))


def _files(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    found = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        for name in sorted(names):
            if name.endswith(endings):
                yield Path(place) / name
                found += 1
                if found == _MOST_FILES:
                    return


def relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
