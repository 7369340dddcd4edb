"""The forms in which rule groups are kept: where in a YAML file `groups` stands, and what else the file may hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from harness.errors import InputError, UnsupportedError, near_miss
from harness.source import Fields, SourceFile, Text, load_yaml

KINDS = {
    "PrometheusRule": ("monitoring.coreos.com", "monitoring.rhobs"),
    "AlertingRule": ("monitoring.openshift.io",),
    "VMRule": ("operator.victoriametrics.com",),
    "Rules": ("monitoring.googleapis.com",),
    "ClusterRules": ("monitoring.googleapis.com",),
    "GlobalRules": ("monitoring.googleapis.com",),
}
"""Kubernetes objects that hold rule groups under `spec`, and the API groups that define them."""

GROUP_FIELDS = ("name", "interval", "query_offset", "limit", "labels", "rules")
RULE_FIELDS = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
"""What Prometheus knows."""

FOREIGN_TOP = ("namespace",)
FOREIGN_GROUP = (
    # Thanos
    "partial_response_strategy",
    # Mimir, Cortex
    "source_tenants", "align_evaluation_time_on_interval", "evaluation_delay", "remote_write",
    # vmalert, VMRule
    "type", "tenant", "concurrency", "eval_offset", "eval_delay", "eval_alignment", "params", "headers",
    "notifier_headers", "extra_filter_labels", "debug",
)  # fmt: skip
FOREIGN_RULE = ("debug", "update_entries_limit")
"""What others know: it says where and how a rule runs, not what it returns; docs/rules.md has a line on each."""

JSONNET = (".jsonnet", ".libsonnet")
_HELM = re.compile(
    r"\{\{-?\s*(?:(?:if|range|with|not|and|or|eq)\s+)*"
    r"(?:(?:include|toYaml|tpl|required)\b|\$?\.(?:Values|Release|Chart|Capabilities)\b)"
)
"""What Prometheus' own templates never hold …"""
_HELM_LINE = re.compile(r"^\s*\{\{-? *(?:if|range|with|end|define|template|/\*)", re.MULTILINE)
"""… and what they may, but not where it makes the file no YAML."""
_LITERAL = "|"


@dataclass(frozen=True, slots=True)
class Form:
    """Groups as one document, object or entry of a file holds them."""

    source: SourceFile
    """The file, or the part of it that is the entry of a ConfigMap; places are the same."""
    fields: Fields
    """What holds `groups`."""
    bare: bool
    """Whether that is a document by itself, as Prometheus wants it."""


def forms(source: SourceFile) -> tuple[list[Form], list[str]]:
    """The forms in a file, and the kinds of other Kubernetes objects in it, which are nobody's mistake.

    Raises InputError for what is no YAML, with a hint for templates and sources that are still to be rendered.
    """
    if source.name.endswith(JSONNET):
        raise InputError(
            f"{source.name} is jsonnet, expected what it renders to",
            hint="render it first: jsonnet -J vendor -S -e 'std.manifestYamlDoc((import \"FILE\").prometheusAlerts)'",
        )
    if helm := _HELM.search(source.text):
        raise _helm(source, helm)
    try:
        documents = load_yaml(source)
    except InputError as err:
        if helm := _HELM_LINE.search(source.text):
            raise _helm(source, helm) from err
        if "{%" in source.text:
            raise InputError(err.message, span=err.span, hint="is it a template? Render it first") from err
        raise
    found: list[Form] = []
    others: list[str] = []
    for document in documents:
        for form in _forms(document, source):
            if isinstance(form, str):
                others.append(form)
            else:
                found.append(form)
    return found, others


def _helm(source: SourceFile, found: re.Match[str]) -> InputError:
    before = source.text[: source.text.index("{{", found.start())]
    line = before.count("\n") + 1
    return InputError(
        f"{source.name} is a Helm template, expected what it renders to",
        span=source.span(line, len(before) - before.rfind("\n"), 2),
        hint="render it first: helm template CHART > rules.yml",
    )


def _forms(node: yaml.Node, source: SourceFile) -> Iterator[Form | str]:
    fields = Fields(node, source, "a rule file")
    if "apiVersion" not in fields or "groups" in fields:
        yield Form(source, fields, bare=True)
        return
    kind = fields.optional_text("kind")
    name = kind.value if kind is not None else ""
    if name == "List" or (name.endswith("List") and name.removesuffix("List") in KINDS):
        for item in fields.items("items", "an object") if "items" in fields else []:
            yield from _forms(item.node, source)
    elif kind is not None and name in KINDS:
        _known_group(fields.text("apiVersion"), kind)
        yield Form(source, fields.fields("spec", "`spec`"), bare=False)
    elif name == "ConfigMap":
        yield from _entries(fields, source)
    else:
        yield name or "object without a kind"


def _known_group(version: Text, kind: Text) -> None:
    group = version.value.partition("/")[0]
    if group not in KINDS[kind.value]:
        raise InputError(
            f"a `{kind.value}` of `{version.value}`{near_miss(group, KINDS[kind.value])}",
            span=version.span,
            hint=f"expected one of: {', '.join(f'{known}/v1' for known in KINDS[kind.value])}",
        )


def _entries(fields: Fields, source: SourceFile) -> Iterator[Form | str]:
    """The entries of a ConfigMap that are rule files: each a block of text, which is YAML at the place where it is."""
    found = False
    for _, item in fields.fields("data", "`data`").each() if "data" in fields else ():
        node = item.node
        if not isinstance(node, yaml.ScalarNode) or not re.search(
            r"^\s*[\"']?groups[\"']?\s*:", node.value, re.MULTILINE
        ):
            continue
        if node.style != _LITERAL:
            raise UnsupportedError(
                "rules in a ConfigMap that are no literal block", span=item.span, hint="write them behind `|`"
            )
        kept = _block(source.lines, node.start_mark.line + 1)
        entry = SourceFile(source.name, "\n".join(kept), source.lines)
        for document in load_yaml(entry):
            form = Form(entry, Fields(document, entry, "a rule file"), bare=False)
            if "groups" in form.fields:
                found = True
                yield form
    if not found:
        yield "ConfigMap"


def _block(lines: Sequence[str], first: int) -> list[str]:
    """The lines with all but the literal block that begins on line `first` (from 0) blanked."""
    end, indent = first, 0
    while end < len(lines):
        text = lines[end].lstrip(" ")
        indent = indent or (len(lines[end]) - len(text) if text else 0)
        if text and len(lines[end]) - len(text) < indent:
            break
        end += 1
    return [line if first <= number < end else "" for number, line in enumerate(lines)]
