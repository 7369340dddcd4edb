"""The label sets that an objective's selectors tell apart: one for each way to be selected by some of them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

from harness.rules.selectors import NAME, Matcher, Selector
from harness.series import Labels, labels_of
from harness.slo.model import Objective
from harness.slo.quality.series import SelectorUse, underivable
from harness.slo.queries import queries_of

_MOST_LABEL_SETS = 512
_OTHER_VALUES = ("200", "other", "0")
"""Values for a label that must not match something; the first that fits is taken."""


def families_of(uses: Sequence[SelectorUse], extra: Sequence[Selector], objective: Objective) -> list[list[Labels]]:
    """Per metric the label sets that its selectors can tell apart, one of each kind."""
    own: dict[str, list[Selector]] = {}
    for use in uses:
        own.setdefault(use.selector.metric, []).append(use.selector)
    return [
        _label_sets(metric, found, [s for s in extra if s.metric == metric], objective) for metric, found in own.items()
    ]


def _label_sets(metric: str, own: Sequence[Selector], extra: Sequence[Selector], objective: Objective) -> list[Labels]:
    matchers = [m for s in own for m in s.matchers]
    known = {m.label for m in matchers}
    # What a rule asks of labels that the objective leaves open is granted; of the others the objective alone decides.
    matchers += [m for s in extra for m in s.matchers if m.label not in known]
    values = {
        label: _values([m for m in matchers if m.label == label], objective)
        for label in dict.fromkeys(m.label for m in matchers)
    }
    if math.prod(map(len, values.values())) > _MOST_LABEL_SETS:
        raise underivable(
            objective, queries_of(objective.indicator)[0], f"too many combinations of labels on `{metric}`"
        )
    best: dict[tuple[bool, ...], tuple[int, Labels]] = {}
    for chosen in itertools.product(*values.values()):
        labels = {NAME: metric, **dict(zip(values, chosen, strict=True))}
        seen_by = tuple(selector.accepts(labels) for selector in own)
        if not any(seen_by):
            continue
        worth = sum(selector.accepts(labels) for selector in extra) * 100 + sum(map(bool, chosen))
        if seen_by not in best or worth > best[seen_by][0]:
            best[seen_by] = (worth, labels_of(metric, dict(zip(values, chosen, strict=True))))
    return [labels for _, labels in best.values()]


def _values(matchers: Sequence[Matcher], objective: Objective) -> list[str]:
    """Values of one label: what each matcher wants, something that none of them names, and absence."""
    wanted: dict[str, None] = {}
    for matcher in matchers:
        if matcher.op in ("=", "!="):
            wanted[matcher.value] = None
        else:
            fits = [word for word in words_of(matcher.value) if matcher.accepts(word) is (matcher.op == "=~")]
            if not fits and matcher.op == "=~":
                raise underivable(
                    objective, queries_of(objective.indicator)[0], f"no value was found that `{matcher}` matches"
                )
            wanted |= dict.fromkeys(fits[:3])
    others = [w for w in _OTHER_VALUES if all(m.accepts(w) is (m.op in ("!=", "!~")) for m in matchers)]
    wanted |= dict.fromkeys(others[:1])
    wanted[""] = None
    return list(wanted)


def words_of(pattern: str) -> list[str]:
    """Texts that a pattern may match, each of its alternatives made plain; the caller tries them."""
    made = []
    for part in (pattern, *re.split(r"[|()]", pattern)):
        for plain in ("0", "a"):
            text = re.sub(r"\\d", "5", part)
            text = re.sub(r"\[\^[^\]]*\]", plain, text)
            text = re.sub(r"\[([^\]])[^\]]*\]", r"\1", text)
            text = re.sub(r"(?<!\\)\.", plain, text)
            made.append(re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)[\^$()?:*+]|\{\d+(,\d*)?\}", "", text)))
    return [*made, "500", "503", "404", "200", "301", "GET", "POST", "x"]
