"""Rule files in every form (:mod:`harness.rules.forms`) → groups and rules with their places.

As strict as Prometheus: an unknown field is an error, and names its near miss. What is wrong is collected: one bad rule
hides neither the others nor their mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harness.errors import HarnessError, InputError, InputErrors, UnsupportedError
from harness.prometheus import DEFAULTS, ServerSettings
from harness.rules.forms import (
    FOREIGN_GROUP,
    FOREIGN_RULE,
    FOREIGN_TOP,
    GROUP_FIELDS,
    KINDS,
    RULE_FIELDS,
    Form,
    forms,
)
from harness.rules.model import AlertRule, Group, Origin, RecordingRule, Rule, RuleFile
from harness.source import Fields, Item, SourceFile, Text, display_path, merged, whole_number

_PROMQL = "prometheus"
"""vmalert's `type` of a group whose expressions are PromQL."""


@dataclass(frozen=True, slots=True)
class RuleFault:
    """What is wrong with a rule, a group or a file, and the alerts that are lost by it."""

    error: HarnessError
    alerts: frozenset[str] = frozenset()
    nothing: bool = False
    """Whether there is merely no rule in the file, which Prometheus takes."""


@dataclass(slots=True)
class Loaded:
    """What rule files hold, and what is wrong with the rest of them."""

    files: list[RuleFile] = field(default_factory=list)
    faults: list[RuleFault] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What is right, but not for Prometheus."""
        return [
            f"{file.groups[0].span}: Prometheus reads only the first document of a rule file, and so not this one "
            "(vmalert and mimirtool read all)"
            for file in self.files
            if file.is_later_document
        ]

    @property
    def errors(self) -> list[HarnessError]:
        return [fault.error for fault in self.faults]

    def lost(self) -> set[str]:
        """The alerts of which no rule is left."""
        left = {rule.alert for file in self.files for group in file.groups for rule in group.alerts()}
        return {name for fault in self.faults for name in fault.alerts} - left


def load_rules(paths: Sequence[Path], server: ServerSettings = DEFAULTS) -> list[RuleFile]:
    """Load each file; raises what is wrong with them, all at once.

    Groups that set no `interval` or `query_offset` have those of the server that loads them.
    """
    loaded = read_rules(paths, server)
    if loaded.faults:
        errors = loaded.errors
        raise errors[0] if len(errors) == 1 else InputErrors(errors)
    return loaded.files


def load_rule_file(path: Path, server: ServerSettings = DEFAULTS) -> RuleFile:
    """The same for a file that holds one document."""
    files = load_rules([path], server)
    if len(files) > 1:
        raise InputError(f"{display_path(path)} holds several objects or documents", hint="split the file")
    return files[0]


def read_rules(paths: Iterable[Path], server: ServerSettings = DEFAULTS, *, ignore_unknown: bool = False) -> Loaded:
    """Load each file, and collect what is wrong with them; with `ignore_unknown` unknown fields are not."""
    loaded = Loaded()
    for path in paths:
        try:
            _file(path, loaded, server, ignore_unknown)
        except HarnessError as err:
            loaded.faults.append(RuleFault(err))
    return loaded


def _file(path: Path, loaded: Loaded, server: ServerSettings, ignore_unknown: bool) -> None:
    source = SourceFile.read(path)
    found, others = forms(source)
    rules = faults = 0
    for number, form in enumerate(found):
        before = len(loaded.faults)
        file = _RuleReader(form, loaded.faults, server, ignore_unknown).file(path, first=number == 0)
        faults += len(loaded.faults) - before
        count = sum(len(group.rules) for group in file.groups)
        rules += count
        if count:
            loaded.files.append(file)
    if not rules and not faults:
        span = source.span(1, 1)
        if others and not found:
            raise InputError(
                f"{source.name} holds no rules: it is a Kubernetes object of kind `{others[0]}`",
                span=span,
                hint=f"name a rule file, or an object of a kind that holds rules: {', '.join(KINDS)}, ConfigMap, List",
            )
        if found:
            span = found[0].fields.span
            error = InputError(f"{source.name} holds no rules", span=span, hint="add a group with rules, or remove it")
        else:
            error = InputError(f"{source.name} is empty, expected rule groups", hint="start it with `groups:`")
        loaded.faults.append(RuleFault(error, nothing=True))


class _RuleReader:
    """Reads the groups of one form; adds to `faults` what is wrong with them."""

    def __init__(self, form: Form, faults: list[RuleFault], server: ServerSettings, ignore_unknown: bool) -> None:
        self._form = form
        self._server = server
        self._faults = faults
        self._ignore = ignore_unknown
        self._foreign = False
        """Whether there is something that promtool does not know."""

    def file(self, path: Path, *, first: bool) -> RuleFile:
        """All that is right of the form; `first`: whether Prometheus would read this document of the file."""
        fields, before = self._form.fields, len(self._faults)
        if self._form.bare:
            self._only(fields, ("groups",), FOREIGN_TOP)
        groups: list[Group] = []
        if "groups" in fields:
            for item in fields.items("groups", "a rule group"):
                if item.is_nothing:
                    continue  # as Prometheus does
                try:
                    groups.append(self._group(item.fields(), groups))
                except HarnessError as err:
                    self._faults.append(RuleFault(err, frozenset(_alerts(item))))
        as_it_is = self._form.bare and first and not self._foreign and len(self._faults) == before
        origin = Origin(self._form.source, fields.node, as_it_is, later=self._form.bare and not first)
        return RuleFile(path, self._form.source.name, tuple(groups), origin)

    def _only(self, fields: Fields, known: tuple[str, ...], foreign: tuple[str, ...]) -> None:
        """Collect unknown fields of a file, which take nothing from its groups."""
        try:
            self._check(fields, known, foreign)
        except InputError as err:
            self._faults.append(RuleFault(err))

    def _check(self, fields: Fields, known: tuple[str, ...], foreign: tuple[str, ...]) -> None:
        """Raises InputError for an unknown field; notes one that others know."""
        if fields.unknown(known) is None:
            return
        self._foreign = True
        if not self._ignore and (err := fields.unknown(known, foreign)) is not None:
            raise err

    def _group(self, fields: Fields, others: Sequence[Group]) -> Group:
        self._check(fields, GROUP_FIELDS, FOREIGN_GROUP)
        name = fields.text("name")
        if not name.value:
            raise InputError("a rule group's `name` is empty", span=name.span, hint="give the group a name")
        for other in others:
            if other.name == name.value:
                raise InputError(
                    f"two groups are named `{name.value}` (first on line {other.span.line})",
                    span=fields.span,
                    hint="group names must be unique within a file",
                )
        language = fields.optional_text("type")
        if language is not None and language.value not in ("", _PROMQL):
            raise UnsupportedError(
                f"the expressions of group `{name.value}` are no PromQL: its `type` is `{language.value}`",
                span=language.span,
                hint="only groups of type `prometheus` can be treated; keep the others in files of their own",
            )
        interval_ms = fields.duration_ms("interval", 0)
        return Group(
            name=name.value,
            interval_ms=interval_ms or self._server.evaluation_ms,  # Prometheus takes 0 as "not set"
            own_interval=interval_ms != 0,
            labels=fields.fields("labels", "group labels").texts() if "labels" in fields else {},
            limit=_whole_number(fields, "limit"),
            query_offset_ms=fields.duration_ms("query_offset", self._server.query_offset_ms),
            span=fields.span,
            node=fields.node,
            rules=tuple(self._rules(fields.items("rules", "a rule"))) if "rules" in fields else (),
        )

    def _rules(self, items: Iterable[Item]) -> Iterator[Rule]:
        for item in items:
            if item.is_nothing:
                continue
            try:
                yield self._rule(item.fields())
            except HarnessError as err:
                self._faults.append(RuleFault(err, frozenset(_alert(item))))

    def _rule(self, fields: Fields) -> Rule:
        self._check(fields, RULE_FIELDS, FOREIGN_RULE)
        given = {kind: fields.text(kind) for kind in ("alert", "record") if kind in fields}
        named = {kind: text for kind, text in given.items() if text.value}  # an empty one is none for Prometheus
        if given and not named:
            kind, name = next(iter(given.items()))
            raise InputError(f"`{kind}` is empty", span=name.span, hint="give the rule a name")
        if len(named) != 1:
            raise InputError(
                "a rule needs exactly one of `alert` and `record`",
                span=fields.span,
                hint="start it with `- alert: Name` or `- record: name`",
            )
        ((kind, name),) = named.items()
        expr = fields.text("expr")
        if not expr.value.strip():
            raise InputError(f"`expr` of `{name.value}` is empty", span=expr.span, hint="write a PromQL expression")
        labels: dict[str, Text] = (
            fields.fields("labels", f"labels of `{name.value}`").texts() if "labels" in fields else {}
        )
        if kind == "record":
            for forbidden in ("for", "keep_firing_for", "annotations"):
                if forbidden in fields:
                    raise InputError(
                        f"a recording rule has no `{forbidden}`",
                        span=fields.key_span(forbidden),
                        hint="remove it, or write `alert:` instead of `record:`",
                    )
            return RecordingRule(name.value, expr, labels, name.span, fields.node)
        annotations = (
            fields.fields("annotations", f"annotations of `{name.value}`").texts() if "annotations" in fields else {}
        )
        return AlertRule(
            alert=name.value,
            expr=expr,
            hold_ms=fields.duration_ms("for", 0),
            keep_firing_ms=fields.duration_ms("keep_firing_for", 0),
            labels=labels,
            annotations=annotations,
            span=name.span,
            node=fields.node,
        )


def _alerts(group: Item) -> Iterator[str]:
    """The names of the alerts in a group that cannot be read."""
    for key, value in _pairs(group):
        if key == "rules" and isinstance(value, yaml.SequenceNode):
            for rule in value.value:
                yield from _alert(Item(rule, group.source, group.what))


def _alert(rule: Item) -> Iterator[str]:
    """The name of an alert that cannot be read, if it has one."""
    for key, value in _pairs(rule):
        if key == "alert" and isinstance(value, yaml.ScalarNode) and value.value:
            yield value.value


def _pairs(item: Item) -> Iterator[tuple[str, yaml.Node]]:
    if not isinstance(item.node, yaml.MappingNode):
        return
    try:
        pairs = merged(item.node, item.source)
    except InputError:
        pairs = item.node.value
    for key, value in pairs:
        if isinstance(key, yaml.ScalarNode):
            yield key.value, value


def _whole_number(fields: Fields, name: str) -> int:
    text = fields.optional_text(name)
    if text is None:
        return 0
    return whole_number(text, f"`{name}`")
