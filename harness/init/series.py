"""The series that an expression reads, as entries of a signal: their kind, and labels that its matchers take."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser as promql

from harness.errors import InputError
from harness.init.tree import walk_firing
from harness.rules.expr import parse_expr
from harness.series import escape_label
from harness.source import Text

_METRIC = re.compile(r"[A-Za-z_:][\w:]*", re.ASCII)


def series_read(
    tree: Any,
    whole: Any,
    recordings: Mapping[str, Text],
    wanted: set[str],
    counting: set[str],
    inside: frozenset[str] = frozenset(),
) -> Iterator[tuple[str, str]]:
    """The series that a part of a `whole` expression reads, through recording rules, as a signal's entries."""
    grouped = {
        label
        for node, _ in walk_firing(whole)
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None
        for label in _by(node.modifier)
    }
    for node, around in walk_firing(tree):
        if not isinstance(node, promql.VectorSelector):
            continue
        fixed = [m.value for m in node.matchers.matchers if m.name == "__name__" and m.op == promql.MatchOp.Equal]
        name = node.name or (fixed[0] if fixed else "")
        if name in recordings and name not in inside:
            try:
                read = parse_expr(recordings[name])
            except InputError:
                continue
            yield from series_read(read, read, recordings, wanted | grouped, counting, inside | {name})
            continue
        if not name or not _METRIC.fullmatch(name) or name in ("ALERTS", "ALERTS_FOR_STATE"):
            continue
        labels = {
            label: "example" for label in sorted(wanted | grouped) if label not in ("le", "alertname", "__name__")
        }
        for matcher in node.matchers.matchers:
            if matcher.name != "__name__":
                value = _sample(matcher)
                if value:
                    labels[matcher.name] = value
                else:
                    labels.pop(matcher.name, None)
        kind = "counter" if around in counting else "gauge"
        if name.endswith("_bucket") and any(isinstance(n, promql.Call) and n.func.name == "histogram_quantile"
                                            for n, _ in walk_firing(whole)):  # fmt: skip
            kind, name = "histogram", name.removesuffix("_bucket")
            labels.pop("le", None)
        inner = ", ".join(f'{label}="{escape_label(value)}"' for label, value in labels.items())
        yield kind, f"{name}{{{inner}}}" if inner else name


def _by(modifier: Any) -> list[str]:
    """The labels of a `by (…)`."""
    text = str(getattr(modifier, "type", ""))
    return list(modifier.labels) if "By" in text else []


def _sample(matcher: Any) -> str:
    """A label value that the matcher takes; empty where none was found, or where the label is better left out."""
    value = str(matcher.value)
    if "$" in value and matcher.op in (promql.MatchOp.Equal, promql.MatchOp.Re):
        value = value.replace("$", "") if matcher.op == promql.MatchOp.Re else ""
    if matcher.op == promql.MatchOp.Equal:
        return value
    if matcher.op == promql.MatchOp.NotEqual:
        return "example" if value != "example" else "another"
    needed = re.sub(r"\([^()]*\)[?*]", "", value).replace("(?:", "(")
    firsts = re.sub(r"\(([^()|]*)[^()]*\)", r"\1", needed)  # of each group its first alternative
    candidates = [part.strip("^") for part in [firsts, *re.sub(r"[()]", "", needed).split("|")]]
    candidates += [re.sub(r"\.[*+]", "example", part) for part in candidates]
    candidates += [re.sub(r"\.", "0", part) for part in candidates]
    candidates += [re.sub(r"\[(.)[^\]]*\][*+]?|\\d[*+]?", lambda m: m[1] or "0", part) for part in candidates]
    wanted = matcher.op == promql.MatchOp.Re
    try:
        pattern = re.compile(value)
    except re.error:
        return ""
    for candidate in [*candidates, "example", "another", "0", "a"]:
        plain = not re.search(r"[\\\[\]*+?.$]", candidate)
        if plain and candidate and (pattern.fullmatch(candidate) is not None) is wanted:
            return candidate
    return ""
