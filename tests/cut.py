"""Whether the parts of an expression, cut from its source, are what the tree says that they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser as promql

from harness.rules.expr import parse_expr, walk
from harness.rules.spans import node_text, parsed
from harness.source import Text


def unlike(expr: Text) -> Iterator[tuple[str, str]]:
    """The nodes that do not come back from their own text: (kind, text)."""
    tree = parse_expr(expr)
    within = {id(node.vector_selector): node.vector_selector for node in walk(tree) if _is_range(node)}
    for node in walk(tree):
        cut = node_text(expr, node)
        again = parsed(cut).tree
        if id(node) in within:  # offset and `@` stand behind the brackets and are seen with them
            same = (repr(again.matchers), again.name) == (repr(node.matchers), node.name)
        else:
            same = repr(again) == repr(node)
        if not same:
            yield type(node).__name__, cut


def _is_range(node: Any) -> bool:
    return isinstance(node, promql.MatrixSelector)
