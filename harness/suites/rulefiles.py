"""The rule files that unit tests name: plain ones as they are, PrometheusRule objects and several documents unwrapped.

promtool reads only the first document of a file, and no Kubernetes objects. What it is given instead is a private copy
in which everything but the rule groups is blanked, so that lines and columns of its messages stay those of the
original.
"""

from __future__ import annotations

import os.path
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harness.errors import InputError
from harness.rules import Group, RuleFile, load_rule_file
from harness.rules.load import load_group
from harness.rules.model import AlertRule, RecordingRule
from harness.source import Fields, SourceFile, Text, display_path, load_yaml
from harness.suites import goglob

_OPERATOR = "monitoring.coreos.com/"


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A rule file: what promtool reads of it, and what it says (None if we cannot read it; promtool may)."""

    path: Path
    given: tuple[Path, ...]
    rules: RuleFile | None
    problem: InputError | None = None
    intervals: frozenset[str] = frozenset()
    """The groups with an `interval` of their own; the others take that of Prometheus' configuration, unknown to us."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rule files of one unit-test file."""

    files: tuple[LoadedFile, ...]
    unmatched: tuple[Text, ...]
    """Patterns without any file."""

    @property
    def known(self) -> bool:
        """Whether we know every rule that promtool has loaded."""
        return not self.unmatched and all(file.rules is not None for file in self.files)

    def groups(self) -> Iterator[tuple[RuleFile, Group]]:
        for file in self.files:
            if file.rules is not None:
                for group in file.rules.groups:
                    yield file.rules, group

    def has_own_interval(self, file: RuleFile, group: Group) -> bool:
        return any(loaded.rules is file and group.name in loaded.intervals for loaded in self.files)

    def alerts(self) -> Iterator[tuple[RuleFile, Group, AlertRule]]:
        for file, group in self.groups():
            for rule in group.alerts():
                yield file, group, rule

    def records(self) -> Iterator[tuple[RuleFile, Group, RecordingRule]]:
        for file, group in self.groups():
            for rule in group.rules:
                if isinstance(rule, RecordingRule):
                    yield file, group, rule

    def alert_names(self) -> set[str]:
        return {rule.alert for _, _, rule in self.alerts()}


@dataclass
class RuleFiles:
    """Loads rule files, each once however many tests read it; copies go to `folder`."""

    folder: Path
    _loaded: dict[Path, LoadedFile] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of_patterns(self, patterns: tuple[Text, ...], base: Path) -> RuleSet:
        """The files that `rule_files` names, relative to the test file's folder, in promtool's order."""
        files: list[LoadedFile] = []
        unmatched: list[Text] = []
        for pattern in patterns:
            try:
                # normalised as Go's filepath.Join does
                found = goglob.expand(Path(_joined(base, pattern.value))) if pattern.value else []
            except ValueError as err:
                raise InputError(f"`{pattern.value}` is no file pattern: {err}", span=pattern.span) from err
            if not found:
                unmatched.append(pattern)
            files.extend(self.load(path) for path in found)
        return RuleSet(tuple(files), tuple(unmatched))

    def load(self, path: Path) -> LoadedFile:
        """Never raises for what is wrong in the file: promtool judges, `problem` explains."""
        with self._lock:
            if path not in self._loaded:
                self._loaded[path] = self._load(path)
            return self._loaded[path]

    def _load(self, path: Path) -> LoadedFile:
        try:
            source = SourceFile.read(path)
            documents = load_yaml(source)
            if len(documents) == 1 and not _is_object(documents[0]):
                rules = load_rule_file(path)
                return LoadedFile(path, (path,), rules, intervals=_intervals(documents[0].value[0][1]))
        except InputError as err:
            return LoadedFile(path, (path,), None, err)
        given: list[Path] = []
        groups: list[Group] = []
        intervals: frozenset[str] = frozenset()
        problem: InputError | None = None
        for number, document in enumerate(documents):
            try:
                key, value = _groups_of(document, source)
                copy = self.folder / f"rules-{len(self._loaded)}-{number}.yml"
                copy.write_text(_only(source, key, value), encoding="utf-8")
                given.append(copy)
                intervals |= _intervals(value)
                if isinstance(value, yaml.SequenceNode):
                    groups += [load_group(Fields(node, source, "a rule group")) for node in value.value]
            except InputError as err:
                problem = problem or err
        if problem is not None:
            return LoadedFile(path, tuple(given) or (path,), None, problem)
        return LoadedFile(path, tuple(given), RuleFile(path, display_path(path), tuple(groups)), None, intervals)


def _joined(base: Path, pattern: str) -> str:
    return os.path.normpath(os.path.join(base, pattern))


def _intervals(groups: yaml.Node) -> frozenset[str]:
    """The names of the groups, among these nodes, that set an `interval`."""
    found = set()
    for group in groups.value if isinstance(groups, yaml.SequenceNode) else ():
        fields = {key.value: value.value for key, value in group.value} if isinstance(group, yaml.MappingNode) else {}
        if fields.get("interval"):
            found.add(str(fields.get("name")))
    return frozenset(found)


def _is_object(document: yaml.Node) -> bool:
    return isinstance(document, yaml.MappingNode) and any(
        isinstance(key, yaml.ScalarNode) and key.value == "apiVersion" for key, _ in document.value
    )


def _groups_of(document: yaml.Node, source: SourceFile) -> tuple[yaml.Node, yaml.Node]:
    """The `groups` key and its value in a rule file or a PrometheusRule object."""
    fields = Fields(document, source, "a rule file")
    if _is_object(document):
        version, kind = fields.text("apiVersion"), fields.optional_text("kind")
        if (
            not version.value.startswith(_OPERATOR)
            or kind is None
            or kind.value not in ("PrometheusRule", "AlertingRule")
        ):
            raise InputError(
                f"a Kubernetes object of kind `{kind.value if kind else ''}`, expected PrometheusRule",
                span=(kind or version).span,
                hint="name a rule file, or a PrometheusRule of monitoring.coreos.com",
            )
        fields.fields("spec", "`spec`")
        document = next(value for key, value in document.value if key.value == "spec")
    else:
        fields.only("groups")
    for key, value in document.value:
        if isinstance(key, yaml.ScalarNode) and key.value == "groups":
            return key, value
    raise InputError("no `groups` here", span=source.span_of(document), hint="add a `groups:` line")


def _only(source: SourceFile, key: yaml.Node, value: yaml.Node) -> str:
    """The file with everything but this field blanked; serialised anew where it leans on an anchor outside of it."""
    text = source.text
    start, end = key.start_mark.index, value.end_mark.index
    blank = "".join(char if char in "\r\n" else " " for char in text[:start])
    kept = blank + text[start:end] + "\n"
    try:
        documents = load_yaml(SourceFile.of_text(source.name, kept))
        if len(documents) == 1 and _plain(documents[0].value[0][1]) == _plain(value):
            return kept
    except (InputError, AttributeError, IndexError):
        pass
    root = yaml.MappingNode("tag:yaml.org,2002:map", [(key, value)])
    return str(yaml.serialize(root, allow_unicode=True, width=2**31 - 1))


def _plain(node: yaml.Node) -> object:
    if isinstance(node, yaml.ScalarNode):
        return (node.tag, node.value)
    if isinstance(node, yaml.MappingNode):
        return [(_plain(key), _plain(value)) for key, value in node.value]
    return [_plain(child) for child in node.value]
