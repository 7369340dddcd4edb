"""amtool: whether Alertmanager takes a file, and where it routes an alert."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.errors import EngineError, InputError, Span
from harness.series import escape_label
from harness.source import SourceFile
from harness.toolchain import Tool

_PATIENCE_S = 30
_LINE = re.compile(r"\s*(?:yaml: )?line (\d+): (.*)")
_QUOTED = re.compile(r'`([^`]*)`|"((?:\\.|[^"\\])*)"')
_FIELD = re.compile(r"field (\S+) (?:not found|already set) in type")
_KEY = re.compile(r"key \"?([^\"\s]+)\"? already set in map")


def check_config(
    amtool: Tool,
    path: Path,
    source: SourceFile,
    document: yaml.Node | None,
    told: Callable[[str], str],
    near: Span | None = None,
) -> None:
    """Raise InputError, at the user's place where one can be told, for a file that Alertmanager does not take.

    `source` is the file as it may be shown, `told` hides what its messages must not repeat, `near` is where we have
    found something wrong ourselves. Raises EngineError if amtool breaks.
    """
    code, said = _run(amtool.path, ["check-config", str(path.resolve())])
    if code == 0:
        return
    _, failed, rest = said.partition("FAILED: ")
    lines = [line.strip() for line in rest.partition("amtool: error")[0].splitlines() if line.strip()]
    if lines[:1] == ["yaml: unmarshal errors:"]:
        lines = lines[1:]
    if not failed or not lines:
        raise EngineError(
            f"`amtool check-config` ended with exit status {code} and did not say why ({amtool.path})",
            hint="`alert-harness doctor` shows what was found",
        )
    spots = [(_span(line, source, document, near), told(_without_line(line))) for line in lines]
    (span, message), *others = spots
    also = [f"line {place.line}: {text}" if place else text for place, text in others]
    raise InputError(
        "; ".join([f"{'' if span else f'{source.name}: '}Alertmanager refuses this file: {message}", *also]),
        span=span,
        hint=f"correct it; `amtool check-config` ({amtool.version_text}) says the same",
    )


def routed_to(amtool: Path, config: Path, labels: Mapping[str, str]) -> list[str]:
    """The receivers to which Alertmanager routes an alert with these labels, as amtool says."""
    pairs = [f'{name}="{escape_label(value)}"' for name, value in labels.items()]
    code, said = _run(amtool, ["config", "routes", "test", f"--config.file={config}", *pairs])
    if code != 0:
        raise EngineError(f"amtool cannot say where an alert is routed: {said.strip()[:300]}")
    return [name for name in said.strip().split(",") if name]


def _run(amtool: Path, arguments: Sequence[str]) -> tuple[int, str]:
    """Exit status and what was said; of a run that failed also on standard error."""
    try:
        done = subprocess.run(
            [str(amtool), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        raise EngineError(f"amtool ({amtool}) did not end within {_PATIENCE_S} s") from err
    except OSError as err:
        raise EngineError(
            f"cannot start amtool ({amtool}): {err.strerror or err}", hint="`alert-harness doctor` shows what was found"
        ) from err
    said = done.stdout + (done.stderr if done.returncode else b"")
    return done.returncode, said.decode("utf-8", "replace")


# -- where in the user's file ------------------------------------------------------------------------------------


def _without_line(said: str) -> str:
    found = _LINE.fullmatch(said)
    return found[2] if found else said


def _span(said: str, source: SourceFile, document: yaml.Node | None, near: Span | None) -> Span | None:
    """The place that a complaint is about: the line that it tells, and on it the field or value that it names."""
    scalars = list(_scalars(document)) if document is not None else []
    found = _LINE.fullmatch(said)
    if found is None:
        return _by_words(said, source, scalars) or near
    line = int(found[1])
    here = [each for each in scalars if each.node.start_mark.line == line - 1]
    if field := _FIELD.match(found[2]) or _KEY.match(found[2]):
        named = [each.node for each in here if each.is_key and each.node.value == field[1]]
        if named:
            return source.span_of(named[-1] if "already" in found[2] else named[0])
    for value in _quoted(found[2]):
        for each in here:
            if each.node.value == value or (value.endswith("...") and each.node.value.startswith(value[:-3])):
                return source.span_of(each.node)
    if near is not None and near.line == line:
        return near
    text = source.lines[line - 1] if 0 < line <= len(source.lines) else ""
    return source.span(line, len(text) - len(text.lstrip()) + 1, len(text.strip()))


def _by_words(said: str, source: SourceFile, scalars: Sequence[_Scalar]) -> Span | None:
    """The value that a complaint without a line repeats, or else the part of the file that it speaks of."""
    values = [each for each in scalars if not each.is_key]
    for value in _quoted(said):
        whole = [each for each in values if each.node.value == value]
        whole = [each for each in whole if each.key and each.key in said] or whole
        # a regular expression is quoted as it is anchored
        part = value.removeprefix("^(?:").removesuffix(")$")
        within = [each for each in values if part and part in each.node.value]
        if whole or len(within) == 1:
            return source.span_of((whole or within)[-1].node)
    for each in values:
        if len(each.node.value) > 3 and each.node.value in said:
            return source.span_of(each.node)
    for each in scalars:
        kind = each.node.value.removesuffix("_configs")
        speaks = each.is_key and ("_" in each.node.value or each.node.start_mark.column == 0)
        if speaks and re.search(rf"(?i)\b{re.escape(kind)}\b", said):
            return source.span_of(each.node)
    return None


def _quoted(said: str) -> Iterator[str]:
    for found in _QUOTED.finditer(said):
        yield found[1] if found[1] is not None else re.sub(r"\\(.)", r"\1", found[2])


@dataclass(frozen=True, slots=True)
class _Scalar:
    node: yaml.ScalarNode
    is_key: bool
    key: str
    """The key of which it is the value, or in whose list it stands."""


def _scalars(document: yaml.Node) -> Iterator[_Scalar]:
    """Every scalar in the order of the file."""
    todo: list[tuple[yaml.Node, bool, str]] = [(document, False, "")]
    seen: set[int] = set()
    while todo:
        node, is_key, key = todo.pop()
        if isinstance(node, yaml.ScalarNode):
            yield _Scalar(node, is_key, key)
        elif id(node) not in seen:
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                for name, value in reversed(node.value):
                    todo += [(value, False, str(name.value)), (name, True, "")]
            else:
                todo += [(child, False, key) for child in reversed(node.value)]
