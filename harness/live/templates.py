"""Labels that only Prometheus' templates can tell, rendered by promtool."""

from __future__ import annotations

from pathlib import Path

import yaml

from harness.engines.promtool import Promtool
from harness.live.cases import LiveCase
from harness.replay.labels import opaque_labels
from harness.rules.selectors import NAME, Matcher, selector_text

_ELEMENT = "alert_harness_element"


def render_labels(case: LiveCase, promtool: Promtool, folder: Path) -> None:
    """Render what templates make of the labels of the case's alert, on the element that its rule returned in its world;
    `folder` is for promtool's files. A template that queries finds nothing but that element."""
    templates = opaque_labels(case.located.rule, case.located.group)
    main = case.main()
    if not templates or main is None or not main.values:
        return
    labels = case.located.group.labels_of(case.located.rule)
    element = dict(main.element)
    selector = selector_text(*(Matcher(name, "=", value) for name, value in {NAME: _ELEMENT, **element}.items()))
    rule = {
        "alert": case.located.rule.alert,
        # an element that a function or an operator returned has no name
        "expr": selector if NAME in element else f"{selector} + 0",
        "labels": {name: labels[name].value for name in templates},
    }
    rules, tests = folder / "labels.yml", folder / "labels.test.yml"
    test = {
        "interval": "1m",
        "external_labels": dict(case.plan.server.external_labels),
        "input_series": [{"series": selector, "values": str(main.values[max(main.values)])}],
        # what is not expected is told
        "alert_rule_test": [{"eval_time": "0m", "alertname": case.located.rule.alert, "exp_alerts": []}],
    }
    for path, content in (
        (rules, {"groups": [{"name": "labels", "rules": [rule]}]}),
        (tests, {"rule_files": [rules.name], "tests": [test]}),
    ):
        path.write_text(yaml.safe_dump(content, allow_unicode=True, width=1 << 20), encoding="utf-8")
    for failure in promtool.failures(promtool.test_rules([tests])).alerts:
        for told, _ in failure.got:
            case.rendered = {name: told.get(name, "") for name in templates}
