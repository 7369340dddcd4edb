"""What rule files read: the expression of each rule, and the labels that the texts of an alert show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from harness.check.judge import RuleNames
from harness.check.model import Use
from harness.rules import AlertRule, RecordingRule, RuleFile

_SHOWN_LABEL = re.compile(r"\$labels\.([a-zA-Z_]\w*)")


def rule_uses(files: Iterable[RuleFile]) -> Iterator[Use]:
    """One use per rule."""
    for rule in _rules(files):
        if isinstance(rule, RecordingRule):
            yield Use(f"recording rule {rule.record}", rule.expr)
            continue
        texts = [text.value for text in (*rule.labels.values(), *rule.annotations.values())]
        # Those of the query's result: templates see neither what the rule sets nor its name.
        shown = {label for text in texts for label in _SHOWN_LABEL.findall(text)}
        yield Use(f"alert {rule.alert}", rule.expr, made_of=tuple(sorted(shown)))


def rule_names(files: Iterable[RuleFile]) -> RuleNames:
    """What exists because these rules say so."""
    rules = list(_rules(files))
    return RuleNames(
        frozenset(rule.record for rule in rules if isinstance(rule, RecordingRule)),
        frozenset(rule.alert for rule in rules if isinstance(rule, AlertRule)),
    )


def _rules(files: Iterable[RuleFile]) -> Iterator[AlertRule | RecordingRule]:
    for file in files:
        for group in file.groups:
            yield from group.rules
