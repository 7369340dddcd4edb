"""Series and samples as Prometheus knows them: what is written to an engine and what it answers."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Self

Labels = tuple[tuple[str, str], ...]
"""Sorted (name, value) pairs, the metric's name among them as ``__name__``."""

_METRIC = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
"""Names that stand without quotes; Prometheus 3 takes any others too."""

STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""The stale marker: the NaN with which Prometheus ends a series (model/value/value.go, StaleNaN)."""


class NativeHistogram(float):
    """A sample that is a native histogram with custom bounds; as a number it is the count of its observations.

    A float, so that it goes wherever samples go; only what writes samples down asks for its buckets.
    """

    __slots__ = ("bounds", "counts", "total")

    bounds: tuple[float, ...]
    """Upper bounds, rising, without +Inf."""
    counts: tuple[float, ...]
    """Observations in each bucket, not cumulated; one more than there are bounds."""
    total: float
    """The sum of all observations."""

    def __new__(cls, count: float, bounds: tuple[float, ...], counts: tuple[float, ...], total: float) -> Self:
        made = super().__new__(cls, count)
        made.bounds, made.counts, made.total = bounds, counts, total
        return made


def is_stale(value: float) -> bool:
    """Whether a double is the stale marker; any other NaN is an ordinary value."""
    return value != value and struct.pack("<d", value) == struct.pack("<d", STALE)


def labels_of(metric: str, labels: Mapping[str, str]) -> Labels:
    """The sorted label set; empty values are dropped, as Prometheus does."""
    named = {"__name__": metric, **labels}
    return tuple(sorted((name, value) for name, value in named.items() if value))


def carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether a label set has all that is wanted; an empty value is wanted absent, as Prometheus knows no other."""
    return all(labels.get(name, "") == value for name, value in wanted.items())


def format_labels(labels: Labels | Mapping[str, str]) -> str:
    """``up{instance="a:1", job="node"}``, as Prometheus prints a series; names of other letters stand in quotes."""
    pairs = dict(labels)
    name = pairs.pop("__name__", "")
    inner = [f'{_quoted(key)}="{escape_label(value)}"' for key, value in sorted(pairs.items())]
    if name and not _METRIC.fullmatch(name):
        inner.insert(0, f'"{escape_label(name)}"')
        return f"{{{', '.join(inner)}}}"
    return f"{name}{{{', '.join(inner)}}}" if inner or not name else name


def _quoted(name: str) -> str:
    return name if _LABEL.fullmatch(name) else f'"{escape_label(name)}"'


def escape_label(value: str) -> str:
    """A label value as it stands between double quotes in PromQL."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
