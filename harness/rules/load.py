"""Rule files from YAML. As strict as Prometheus: an unknown field is an error, and names its near miss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import InputError
from harness.prometheus import DEFAULTS, ServerSettings
from harness.rules.model import AlertRule, Group, RecordingRule, Rule, RuleFile
from harness.source import Fields, SourceFile, Text, display_path, load_yaml, whole_number


def load_rules(paths: Sequence[Path], server: ServerSettings = DEFAULTS) -> list[RuleFile]:
    """Load each file; raises InputError at the first thing that Prometheus would refuse.

    Groups that set no `interval` or `query_offset` have those of the server that loads them.
    """
    return [load_rule_file(path, server) for path in paths]


def load_rule_file(path: Path, server: ServerSettings = DEFAULTS) -> RuleFile:
    """Load one rule file with the place of every field."""
    source = SourceFile.read(path)
    documents = load_yaml(source)
    if not documents:
        raise InputError(f"{source.name} is empty, expected rule groups", hint="start it with `groups:`")
    if len(documents) > 1:
        raise InputError(
            f"{len(documents)} YAML documents in one rule file; Prometheus reads only the first",
            span=source.span_of(documents[1]),
            hint="split the file, or put all groups under one `groups:`",
        )
    top = Fields(documents[0], source, "a rule file")
    top.only("groups")
    groups: list[Group] = []
    for item in top.items("groups", "a rule group") if "groups" in top else []:
        group = load_group(item.fields(), server)
        for other in groups:
            if other.name == group.name:
                raise InputError(
                    f"two groups are named `{group.name}` (first on line {other.span.line})",
                    span=group.span,
                    hint="group names must be unique within a file",
                )
        groups.append(group)
    if not any(group.rules for group in groups):
        raise InputError(f"{source.name} holds no rules", span=top.span, hint="add a group with rules, or remove it")
    return RuleFile(path, display_path(path), tuple(groups))


def load_group(fields: Fields, server: ServerSettings = DEFAULTS) -> Group:
    """One rule group, from its fields."""
    fields.only("name", "interval", "query_offset", "limit", "labels", "rules")
    name = fields.text("name")
    if not name.value:
        raise InputError("a rule group's `name` is empty", span=name.span, hint="give the group a name")
    return Group(
        name=name.value,
        interval_ms=fields.duration_ms("interval", 0) or server.evaluation_ms,  # Prometheus takes 0 as "not set"
        rules=tuple(_rule(item.fields()) for item in fields.items("rules", "a rule")) if "rules" in fields else (),
        span=fields.span,
        labels=fields.fields("labels", "group labels").texts() if "labels" in fields else {},
        limit=_whole_number(fields, "limit"),
        query_offset_ms=fields.duration_ms("query_offset", server.query_offset_ms),
    )


def _rule(fields: Fields) -> Rule:
    fields.only("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
    if ("record" in fields) == ("alert" in fields):
        raise InputError(
            "a rule needs exactly one of `alert` and `record`",
            span=fields.span,
            hint="start it with `- alert: Name` or `- record: name`",
        )
    kind = "alert" if "alert" in fields else "record"
    name = fields.text(kind)
    if not name.value:
        raise InputError(f"`{kind}` is empty", span=name.span, hint="give the rule a name")
    expr = fields.text("expr")
    if not expr.value.strip():
        raise InputError(f"`expr` of `{name.value}` is empty", span=expr.span, hint="write a PromQL expression")
    labels: dict[str, Text] = fields.fields("labels", f"labels of `{name.value}`").texts() if "labels" in fields else {}
    if kind == "record":
        for forbidden in ("for", "keep_firing_for", "annotations"):
            if forbidden in fields:
                raise InputError(
                    f"a recording rule has no `{forbidden}`",
                    span=fields.key_span(forbidden),
                    hint="remove it, or write `alert:` instead of `record:`",
                )
        return RecordingRule(name.value, expr, labels, name.span)
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
    )


def _whole_number(fields: Fields, name: str) -> int:
    text = fields.optional_text(name)
    if text is None:
        return 0
    return whole_number(text, f"`{name}`")
