"""A project's settings: ``[tool.alert-harness]`` in pyproject.toml, or alert-harness.toml."""

from __future__ import annotations

import glob
import re
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from harness.errors import InputError, Span, near_miss
from harness.prometheus import DEFAULTS, FEATURES, ServerSettings, read_prometheus_yml
from harness.source import SourceFile, display_path
from harness.units import parse_duration_ms

FILE_NAMES = ("alert-harness.toml", "pyproject.toml")
_YAML = ("*.yml", "*.yaml")
_TESTS = ("*.test", "*_test", "*_tests", "test_*", "tests")
"""What people call files of unit tests, without `.yml` and `.yaml`."""
_TOP_KEY = re.compile(r"^[\"']?(tests|rule_files|groups|apiVersion)[\"']?\s*:", re.MULTILINE)

_NO_RULES = ("kustomization.yaml", "kustomization.yml", "Chart.yaml")
"""What stands beside rules in a folder of manifests or a chart."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one project; paths and globs are relative to `folder`."""

    folder: Path
    rules: tuple[str, ...] = ("rules",)
    contracts: tuple[str, ...] = ("rules/contracts",)
    tests: tuple[str, ...] = ("tests/rules",)
    objectives: tuple[str, ...] = ("slo",)
    slo_period: str | None = None
    """The period of objectives that name none; None: 30 days of sloth's, and OpenSLO's must name theirs."""
    dashboards: tuple[str, ...] = ()
    """Grafana dashboards (JSON) for `alert-harness check`."""
    stack: str = "fixtures"
    """The folder of the instrumented stack: compose.yaml, monitoring/, streaming/."""
    scenario: str | None = None
    """The scenario that `alert-harness verify` plays on the stack; None: none."""
    maintenance: Path | None = None
    """Planned maintenance, which spends no budget in `alert-harness slo report`; None: none."""
    alertmanager: Path | None = None
    """The Alertmanager configuration whose routes `alert-harness live` uses; None: a small built-in one."""
    prometheus: Path | None = None
    """The project's prometheus.yml; see :meth:`server`."""
    evaluation_ms: int | None = None
    scrape_ms: int | None = None
    lookback_ms: int | None = None
    external_labels: Mapping[str, str] | None = None
    features: tuple[str, ...] | None = None
    engine: str = "auto"
    image: str | None = None
    url: str | None = None
    tools: Mapping[str, Path] = field(default_factory=dict)
    """Explicit paths: `promtool = "/opt/prometheus/promtool"`."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Version prefixes that tools must have: `prometheus = "3.5"`."""
    report: str = "build/report"
    """The folder of the HTML page; ``none`` or empty: no page."""
    strict_tests: bool = False
    """`[tool.alert-harness.test]` `strict`: matters of taste fail `alert-harness test` too."""
    file: Path | None = None
    places: Mapping[str, Span] = field(default_factory=dict)
    """Where each setting stands, for messages of those who use it."""

    def server(self) -> ServerSettings:
        """Prometheus' own settings: the keys, over what the prometheus.yml says, over its defaults.

        Raises InputError for a prometheus.yml that is not there or cannot be understood.
        """
        told = DEFAULTS
        if self.prometheus is not None:
            if _mode(self.prometheus) is None:
                raise InputError(
                    f"{display_path(self.prometheus)} does not exist",
                    span=self.places.get("prometheus"),
                    hint="name the configuration file of Prometheus, relative to the settings",
                )
            told = read_prometheus_yml(self.prometheus)
        keys: dict[str, object] = {
            "evaluation_ms": self.evaluation_ms,
            "scrape_ms": self.scrape_ms,
            "lookback_ms": self.lookback_ms,
            "external_labels": self.external_labels,
            "features": self.features,
        }
        if self.scrape_ms is not None:
            keys["jobs"] = {}  # one interval for all
        given: dict[str, Any] = {name: value for name, value in keys.items() if value is not None}
        return replace(told, **given)

    def told_evaluation_ms(self) -> int | None:
        """Prometheus' evaluation interval, where somebody told it."""
        return self.server().evaluation_ms if "evaluation_ms" in self.named() else None

    def named(self) -> dict[str, Span | None]:
        """The fields of :meth:`server` that somebody set, and where."""
        keys = {
            "evaluation_ms": "evaluation_interval",
            "scrape_ms": "scrape_interval",
            "lookback_ms": "lookback_delta",
            "external_labels": "external_labels",
            "features": "features",
        }
        named = {name: self.places.get(key) for name, key in keys.items() if getattr(self, name) is not None}
        if self.prometheus is not None:
            place = self.places.get("prometheus")
            for name in ("evaluation_ms", "query_offset_ms", "scrape_ms", "jobs", "external_labels"):
                named.setdefault(name, place)
        return named


def load_config(start: Path, explicit: Path | None = None) -> Config:
    """The nearest configuration at or above `start`; defaults relative to `start` if there is none.

    Raises InputError for unknown keys (with the near miss) and values of the wrong type.
    """
    if explicit is not None:
        return _read(explicit)
    for folder in (start, *start.resolve().parents):
        for name in FILE_NAMES:
            file = folder / name
            if file.is_file() and (name != "pyproject.toml" or _speaks_of_us(file)):
                return _read(file)
    return Config(start)


def _speaks_of_us(pyproject: Path) -> bool:
    return (
        re.search(r"^\s*\[\[?\s*tool\s*\.\s*[\"']?alert-harness", SourceFile.read(pyproject).text, re.MULTILINE)
        is not None
    )


def _read(file: Path) -> Config:
    source = SourceFile.read(file)
    try:
        table: Any = tomllib.loads(source.text)
    except ValueError as err:  # also a number of more digits than Python takes
        place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)", str(err))
        last = len(source.text.rstrip().split("\n"))
        line, column = (int(place[1]), int(place[2])) if place and place[1] else (last, len(source.lines[last - 1]) + 1)
        problem = str(err).partition(" (at ")[0]
        raise InputError(
            f"not valid TOML: {problem[:1].lower()}{problem[1:]}",
            span=source.span(line, column),
            hint="correct the line; strings need quotes",
        ) from err
    if file.name == "pyproject.toml":
        tool = table.get("tool", {})
        table = tool.get("alert-harness", {}) if isinstance(tool, dict) else {}
        if not isinstance(table, dict):
            raise InputError(
                "`tool.alert-harness` must be a table",
                span=_span(source, "alert-harness"),
                hint="write [tool.alert-harness]",
            )
    known: dict[str, object] = {
        "rules": list, "contracts": list, "tests": list, "objectives": list, "dashboards": list,
        "engine": str, "image": str, "url": str, "stack": str, "scenario": str, "alertmanager": str, "report": str,
        "maintenance": str,
        "slo_period": str,
        "prometheus": str, "evaluation_interval": str, "scrape_interval": str, "lookback_delta": str,
        "external_labels": dict, "features": list, "tools": dict, "versions": dict,
    }  # fmt: skip
    test = _test_table(table.pop("test", {}), source)
    for key, value in table.items():
        if key not in known:
            raise InputError(
                f"unknown setting `{key}`{near_miss(key, [*known, 'test'])}",
                span=_span(source, key),
                hint=f"expected one of: {', '.join(known)}, test",
            )
        inner = value if isinstance(value, list) else value.values() if isinstance(value, dict) else []
        if type(value) is not known[key] or not all(isinstance(v, str) for v in inner):
            kind = (
                "a list of strings" if known[key] is list else "a string" if known[key] is str else "a table of strings"
            )
            raise InputError(f"`{key}` must be {kind}", span=_span(source, key), hint=f"write {_EXAMPLES[known[key]]}")
        if key in ("rules", "contracts", "objectives") and not value:
            raise InputError(f"`{key}` is empty", span=_span(source, key), hint="name a file, folder or glob")
    folder = file.parent
    default = Config(folder)
    return Config(
        folder=folder,
        rules=tuple(table.get("rules", default.rules)),
        contracts=tuple(table.get("contracts", default.contracts)),
        tests=tuple(table.get("tests", default.tests)),
        objectives=tuple(table.get("objectives", default.objectives)),
        slo_period=table.get("slo_period"),
        dashboards=tuple(table.get("dashboards", default.dashboards)),
        prometheus=folder / table["prometheus"] if "prometheus" in table else None,
        evaluation_ms=_interval_ms(table, "evaluation_interval", source),
        scrape_ms=_interval_ms(table, "scrape_interval", source),
        lookback_ms=_interval_ms(table, "lookback_delta", source),
        external_labels=table.get("external_labels"),
        features=_features(table, source),
        engine=table.get("engine", "auto"),
        image=table.get("image"),
        url=table.get("url"),
        stack=table.get("stack", default.stack),
        scenario=table.get("scenario"),
        alertmanager=folder / table["alertmanager"] if "alertmanager" in table else None,
        maintenance=folder / table["maintenance"] if "maintenance" in table else None,
        report=table.get("report", default.report),
        tools={name: folder / path for name, path in table.get("tools", {}).items()},
        versions=table.get("versions", {}),
        strict_tests=test,
        file=file,
        places={key: span for key in table if (span := _span(source, key)) is not None},
    )


def _test_table(table: object, source: SourceFile) -> bool:
    """`strict` of the table `test`."""
    if not isinstance(table, dict):
        raise InputError("`test` must be a table", span=_span(source, "test"), hint="write [tool.alert-harness.test]")
    for key, value in table.items():
        if key != "strict":
            raise InputError(
                f"unknown setting `test.{key}`{near_miss(key, ['strict'])}",
                span=_span(source, key),
                hint="expected: strict",
            )
        if not isinstance(value, bool):
            raise InputError("`strict` must be true or false", span=_span(source, key), hint="write strict = true")
    return bool(table.get("strict", False))


def _interval_ms(table: Mapping[str, Any], key: str, source: SourceFile) -> int | None:
    """A duration of more than 0; None if the key is not there."""
    if key not in table:
        return None
    try:
        ms = parse_duration_ms(table[key])
    except ValueError as err:
        raise InputError(f"`{key}`: {err}", span=_span(source, key), hint=f'write {key} = "30s"') from err
    if ms == 0:
        raise InputError(f"`{key}` must be longer than 0", span=_span(source, key), hint=f'write {key} = "30s"')
    return ms


def _features(table: Mapping[str, Any], source: SourceFile) -> tuple[str, ...] | None:
    """The names of features; InputError for one that is nearly that of another."""
    for name in table.get("features", ()):
        close = near_miss(name, FEATURES) if name not in FEATURES else ""
        if close or not re.fullmatch(r"[a-z0-9-]+", name):
            raise InputError(
                f"Prometheus has no feature `{name}`{close}",
                span=_span(source, "features"),
                hint="write names as behind --enable-feature, each a string of its own",
            )
    return tuple(table["features"]) if "features" in table else None


_EXAMPLES: Mapping[object, str] = {list: '["rules/*.yml"]', str: '"text"', dict: '{ prometheus = "text" }'}


def _span(source: SourceFile, key: str) -> Span | None:
    """Where a key stands: in the table of ours first, for `tools` and others' tables have keys of the same names."""
    plain = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]")
    header = re.compile(rf"\s*\[.*{re.escape(key)}[\"']?\s*\]")
    elsewhere, ours = None, not source.name.endswith("pyproject.toml")
    for number, line in enumerate(source.lines, 1):
        if line.lstrip().startswith("["):
            ours = re.fullmatch(r"\s*\[\s*tool\s*\.\s*[\"']?alert-harness[\"']?\s*\]\s*(#.*)?", line) is not None
        if plain.match(line) or header.match(line):
            found = source.span(number, line.index(key) + 1, len(key))
            if ours:
                return found
            elsewhere = elsewhere or found
    return elsewhere


def rule_files(patterns: Sequence[str], folder: Path) -> list[Path]:
    """The YAML files that files, folders (not their subfolders) and globs name, each once, in order.

    Raises InputError for a path that does not exist and for a pattern without any file.
    """
    return _files(
        patterns, folder, _YAML, "YAML file", taken=lambda path: path.name not in _NO_RULES and not is_unit_test(path)
    )


def objective_files(patterns: Sequence[str], folder: Path) -> list[Path]:
    """The YAML files of service level objectives, found as rule files are."""
    return _files(patterns, folder, _YAML, "YAML file", taken=lambda path: not is_unit_test(path))


def dashboard_files(patterns: Sequence[str], folder: Path) -> list[Path]:
    """The JSON files of Grafana dashboards; folders are searched through."""
    return _files(patterns, folder, ("**/*.json",), "Grafana dashboard (*.json)")


def is_unit_test(path: Path) -> bool:
    """Whether a YAML file holds promtool unit tests: by its name, unless it is a rule file of such a name, or, whatever
    its name, by its `tests` and `rule_files`."""
    try:
        keys = set(_TOP_KEY.findall(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError):
        keys = set()  # whoever reads it says what is wrong with it
    if any(fnmatch(path.stem, name) for name in _TESTS):
        return "tests" in keys or not keys & {"groups", "apiVersion"}
    return {"tests", "rule_files"} <= keys


def unit_test_files(patterns: Sequence[str], folder: Path) -> list[Path]:
    """The promtool unit-test files, as :func:`is_unit_test` knows them; folders are searched through."""
    everywhere = tuple(f"**/{name}" for name in _YAML)
    return _files(patterns, folder, everywhere, "promtool test file (*.test.yml)", taken=is_unit_test)


def _files(
    patterns: Sequence[str],
    folder: Path,
    in_folders: Sequence[str],
    what: str,
    taken: Callable[[Path], bool] = lambda path: True,
) -> list[Path]:
    """`in_folders` are the globs of files in a folder, of which those are meant that are `taken`."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        if not pattern or "\0" in pattern:
            raise InputError(f"`{pattern}` is no path", hint="name a file, folder or glob")
        path = folder / pattern
        mode = _mode(path)
        if mode is None and any(char in pattern for char in "*?["):
            # Not Path.glob: it takes no absolute pattern.
            matches = sorted(m for name in glob.glob(str(path), recursive=True) if (m := Path(name)).is_file())
        elif mode is not None and stat.S_ISDIR(mode):
            matches = sorted({m for name in in_folders for m in path.glob(name) if m.is_file() and taken(m)})
        elif mode is not None:
            matches = [path]
        else:
            raise InputError(
                f"{display_path(path)} does not exist", hint="check the path, or set it in [tool.alert-harness]"
            )
        if not matches:
            raise InputError(
                f"no {what} in {display_path(path)}", hint="check the path, or set it in [tool.alert-harness]"
            )
        found.update(dict.fromkeys(matches))
    return list(found)


def _mode(path: Path) -> int | None:
    """What the path is (``st_mode``), or None if it is not there.

    Raises OSError for one that may not be looked at, which Path.exists calls absent since Python 3.14.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
