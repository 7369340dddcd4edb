"""A project's settings: ``[tool.alert-harness]`` in pyproject.toml, or alert-harness.toml."""

from __future__ import annotations

import glob
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from harness.errors import InputError, Span, near_miss
from harness.prometheus import DEFAULTS, FEATURES, ServerSettings, read_prometheus_yml
from harness.settings import Kind, SettingPlace, read_settings, setting
from harness.source import SourceFile, display_path
from harness.units import parse_duration_ms

FILE_NAMES = ("alert-harness.toml", "pyproject.toml")
_YAML = ("*.yml", "*.yaml")
_TESTS = ("*.test", "*_test", "*_tests", "test_*", "tests")
"""What people call files of unit tests, without `.yml` and `.yaml`."""
_TOP_KEY = re.compile(r"^[\"']?(tests|rule_files|groups|apiVersion)[\"']?\s*:", re.MULTILINE)

_NO_RULES = ("kustomization.yaml", "kustomization.yml", "Chart.yaml")
"""What stands beside rules in a folder of manifests or a chart."""


def _patterns(value: list[str], place: SettingPlace) -> tuple[str, ...]:
    return tuple(value)


def _some_patterns(value: list[str], place: SettingPlace) -> tuple[str, ...]:
    if not value:
        raise InputError(f"`{place.key}` is empty", span=place.span, hint="name a file, folder or glob")
    return tuple(value)


def _path(value: str, place: SettingPlace) -> Path:
    return place.folder / value


def _paths(value: dict[str, str], place: SettingPlace) -> dict[str, Path]:
    return {name: place.folder / path for name, path in value.items()}


def _interval_ms(value: str, place: SettingPlace) -> int:
    """A duration of more than 0."""
    try:
        ms = parse_duration_ms(value)
    except ValueError as err:
        raise InputError(f"`{place.key}`: {err}", span=place.span, hint=f'write {place.key} = "30s"') from err
    if ms == 0:
        raise InputError(f"`{place.key}` must be longer than 0", span=place.span, hint=f'write {place.key} = "30s"')
    return ms


def _features(value: list[str], place: SettingPlace) -> tuple[str, ...]:
    """The names of features; InputError for one that is nearly that of another."""
    for name in value:
        close = near_miss(name, FEATURES) if name not in FEATURES else ""
        if close or not re.fullmatch(r"[a-z0-9-]+", name):
            raise InputError(
                f"Prometheus has no feature `{name}`{close}",
                span=place.span,
                hint="write names as behind --enable-feature, each a string of its own",
            )
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one project; paths and globs are relative to `folder`."""

    folder: Path
    rules: tuple[str, ...] = setting(
        "rule files, folders or globs", Kind.TEXTS, default=("rules",), convert=_some_patterns
    )
    contracts: tuple[str, ...] = setting(
        "contract files, folders or globs", Kind.TEXTS, default=("rules/contracts",), convert=_some_patterns
    )
    tests: tuple[str, ...] = setting(
        "promtool unit tests: `*.test.yml`, `test_*.yml`, … or whatever has them",
        Kind.TEXTS,
        default=("tests/rules",),
        convert=_patterns,
    )
    objectives: tuple[str, ...] = setting(
        "OpenSLO or sloth documents", Kind.TEXTS, default=("slo",), convert=_some_patterns
    )
    dashboards: tuple[str, ...] = setting(
        "Grafana dashboards (JSON) for `check`", Kind.TEXTS, default=(), convert=_patterns
    )
    engine: str = setting("`auto`, `process`, `docker` or `url` ([engines](engines.md))", default="auto")
    image: str | None = setting("container image of Prometheus, for `docker`")
    url: str | None = setting("Prometheus-compatible API, for `url` and `slo report`")
    stack: str = setting(
        "folder of the instrumented stack: `compose.yaml`, `monitoring/`, `streaming/`", default="fixtures"
    )
    scenario: str | None = setting("what `verify` plays on the stack; not set: nothing")
    alertmanager: Path | None = setting(
        "Alertmanager's configuration, whose routes `live` uses; not set: a small one of its own", convert=_path
    )
    report: str = setting("folder of the HTML page; `none` or empty: no page", default="build/report")
    maintenance: Path | None = setting(
        "planned maintenance, which spends no budget in `slo report`; not set: none", convert=_path
    )
    slo_period: str | None = setting(
        "period of objectives that name none; not set: 30 days of sloth's, and OpenSLO's must name theirs"
    )
    prometheus: Path | None = setting(
        "prometheus.yml, of which Prometheus' own settings are read (above)", convert=_path
    )
    evaluation_ms: int | None = setting(
        "interval of groups without one", key="evaluation_interval", convert=_interval_ms
    )
    scrape_ms: int | None = setting(
        "how often a contract's world is scraped, for all jobs", key="scrape_interval", convert=_interval_ms
    )
    lookback_ms: int | None = setting(
        "how old a sample may be that is still seen", key="lookback_delta", convert=_interval_ms
    )
    external_labels: Mapping[str, str] | None = setting("labels on alerts as they are sent", Kind.TABLE)
    features: tuple[str, ...] | None = setting(
        "what Prometheus is started with behind `--enable-feature`", Kind.TEXTS, convert=_features
    )
    tools: Mapping[str, Path] = setting(
        'where tools are: `promtool = "/opt/prometheus/promtool"`', Kind.TABLE, factory=dict, convert=_paths
    )
    versions: Mapping[str, str] = setting(
        'prefixes that the tools\' versions must have: `prometheus = "3.5"`', Kind.TABLE, factory=dict
    )
    strict_tests: bool = setting(
        "matters of taste fail `test` too", Kind.SWITCH, default=False, key="strict", table="test"
    )
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
    found = read_settings(Config, file)
    return Config(file.parent, file=file, places=found.places, **found.values)


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
