"""Whether the parts of an expression, cut from its source, are what the tree says that they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser as promql

from harness.rules.expr import parse_expr, walk
from harness.rules.selectors import selectors_of
from harness.rules.spans import node_text, parsed
from harness.source import Text


def unlike(expr: Text) -> Iterator[tuple[str, str]]:
    """The nodes that do not come back from their own text: (kind, text)."""
    tree = parse_expr(expr)
    within = {id(node.vector_selector): node.vector_selector for node in walk(tree) if _is_range(node)}
    for node in walk(tree):
        cut = node_text(expr, node)
        again = parsed(cut).tree
        # Offset and `@` of a range selector stand behind its brackets, and are compared with it.
        part = selectors_of if id(node) in within else repr
        if part(again) != part(node):
            yield type(node).__name__, cut


def _is_range(node: Any) -> bool:
    return isinstance(node, promql.MatrixSelector)
