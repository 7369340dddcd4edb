"""A setting, stated once: as the field of a dataclass. Settings files (TOML) are read and checked by these fields."""

from __future__ import annotations

import enum
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from harness.errors import InputError, Span, near_miss
from harness.source import SourceFile

_KEY = "setting"


class Kind(enum.StrEnum):
    """What a setting's value is in TOML, in words."""

    TEXT = "a string"
    TEXTS = "a list of strings"
    TABLE = "a table of strings"
    SWITCH = "true or false"

    def fits(self, value: object) -> bool:
        inner = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
        return type(value) is _TYPES[self] and all(isinstance(each, str) for each in inner)


_TYPES = {Kind.TEXT: str, Kind.TEXTS: list, Kind.TABLE: dict, Kind.SWITCH: bool}
_EXAMPLES = {
    Kind.TEXT: '"text"',
    Kind.TEXTS: '["rules/*.yml"]',
    Kind.TABLE: '{ prometheus = "text" }',
    Kind.SWITCH: "KEY = true",
}


@dataclass(frozen=True, slots=True)
class SettingPlace:
    """Where a setting stands: the folder of its file, its key, and the place in the file."""

    folder: Path
    key: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class SettingField:
    """How a settings file fills a field.

    ``key`` is what it is called there, in the table ``table`` below ours if that is not empty. ``convert`` makes the
    field's value from what TOML holds; it raises InputError. ``default`` is the field's.
    """

    field: str
    key: str
    help: str
    kind: Kind
    table: str
    convert: Callable[[Any, SettingPlace], Any]
    default: Any


def _as_it_is(value: Any, place: SettingPlace) -> Any:
    return value


def setting(
    help: str,
    kind: Kind = Kind.TEXT,
    *,
    default: Any = None,
    factory: Callable[[], Any] | None = None,
    key: str = "",
    table: str = "",
    convert: Callable[[Any, SettingPlace], Any] = _as_it_is,
) -> Any:
    """A field that a settings file fills; `key` where it is not called there as the field is."""
    stated = {_KEY: (key, help, kind, table, convert)}
    if factory is not None:
        return field(default_factory=factory, metadata=stated)
    return field(default=default, metadata=stated)


def settings_of(settings: Any) -> Iterator[SettingField]:
    """The settings of a dataclass, in the order of its fields."""
    for each in fields(settings):
        if _KEY in each.metadata:
            key, help, kind, table, convert = each.metadata[_KEY]
            default = each.default
            if each.default_factory is not MISSING:
                default = each.default_factory()
            yield SettingField(each.name, key or each.name, help, kind, table, convert, default)


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """What a settings file says: the values by field, and where each key of ours stands."""

    values: Mapping[str, Any]
    places: Mapping[str, Span]


def read_settings(settings: Any, file: Path) -> SettingsFile:
    """Read the settings that a dataclass has; a pyproject.toml holds them in [tool.alert-harness].

    Raises InputError for a file that is no TOML, unknown keys (with the near miss), and values of the wrong type.
    """
    source = SourceFile.read(file)
    content = _ours(_toml(source), source) if file.name == "pyproject.toml" else _toml(source)
    known = list(settings_of(settings))
    below = dict.fromkeys(each.table for each in known if each.table)
    values: dict[str, Any] = {}
    for name in below:  # before ours, whose places leave them out
        table = content.pop(name, {})
        if not isinstance(table, dict):
            raise InputError(
                f"`{name}` must be a table", span=place_of(source, name), hint=f"write [tool.alert-harness.{name}]"
            )
        values |= _checked(table, {each.key: each for each in known if each.table == name}, f"{name}.", (), source)
    ours = {each.key: each for each in known if not each.table}
    values |= _checked(content, ours, "", tuple(below), source)
    for each in known:
        if each.field in values:
            place = SettingPlace(file.parent, each.key, place_of(source, each.key))
            values[each.field] = each.convert(values[each.field], place)
    return SettingsFile(values, {key: span for key in content if (span := place_of(source, key)) is not None})


def _toml(source: SourceFile) -> dict[str, Any]:
    try:
        return tomllib.loads(source.text)
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


def _ours(pyproject: Mapping[str, Any], source: SourceFile) -> dict[str, Any]:
    tool = pyproject.get("tool", {})
    table = tool.get("alert-harness", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise InputError(
            "`tool.alert-harness` must be a table",
            span=place_of(source, "alert-harness"),
            hint="write [tool.alert-harness]",
        )
    return table


def _checked(
    table: Mapping[str, Any],
    known: Mapping[str, SettingField],
    prefix: str,
    tables: tuple[str, ...],
    source: SourceFile,
) -> dict[str, Any]:
    """The values by field. `prefix` stands before keys of a table below ours, whose names are `tables`."""
    values = {}
    for key, value in table.items():
        if key not in known:
            expected = [*known, *tables]
            raise InputError(
                f"unknown setting `{prefix}{key}`{near_miss(key, expected)}",
                span=place_of(source, key),
                hint=f"expected{' one of' if len(expected) > 1 else ''}: {', '.join(expected)}",
            )
        kind = known[key].kind
        if not kind.fits(value):
            raise InputError(
                f"`{key}` must be {kind}",
                span=place_of(source, key),
                hint=f"write {_EXAMPLES[kind].replace('KEY', key)}",
            )
        values[known[key].field] = value
    return values


def place_of(source: SourceFile, key: str) -> Span | None:
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
