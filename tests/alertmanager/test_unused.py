"""Parts of an Alertmanager file that do nothing for the alerts at hand; routes are walked as amtool walks them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.alertmanager.alerts import known_alerts
from harness.alertmanager.amtool import routed_to
from harness.alertmanager.file import AlertmanagerFile
from harness.alertmanager.unused import KnownAlert, idle_parts, reachable
from harness.contracts.load import load_contracts
from harness.prometheus import DEFAULTS, ServerSettings
from harness.rules.load import load_rules
from harness.toolchain import Toolchain

RULES = """\
groups:
  - name: g
    rules:
      - {alert: Down, expr: up == 0, labels: {severity: page}}
      - {alert: Slow, expr: seconds > 5, labels: {severity: info, tier: '{{ if $value }}a{{ end }}'}}
      - {alert: Open, expr: anything > 5, labels: {severity: info}}
"""
CONTRACTS = """\
scrape_interval: 30s
contracts:
  - {alert: Down, means: m, op: absent, severity: page, signal: [{gauge: 'up{job="j", host="a"}', value: 1}]}
  - alert: Slow
    means: m
    knob: {name: k, unit: s, range: [0, 9]}
    op: '>'
    threshold: 5
    severity: info
    signal: [{gauge: 'seconds{host="a"}', value: x}]
"""
ROUTE = "route: {receiver: a}\n"
RECEIVERS = "receivers: [{name: a}]\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in (("rules.yml", RULES), ("contracts.yml", CONTRACTS)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def known(folder: Path, server: ServerSettings = DEFAULTS, *, without: str = "") -> list[KnownAlert]:
    files, contracts = load_rules([folder / "rules.yml"], server), load_contracts([folder / "contracts.yml"], server)
    found = known_alerts(files, contracts, server)
    return [alert for alert in found if alert.fixed["alertname"] != without]


def told(folder: Path, text: str, alerts: list[KnownAlert]) -> list[str]:
    path = folder / "alertmanager.yml"
    path.write_text(text, encoding="utf-8")
    return [f"{idle.span.line}: {idle.message}" for idle in idle_parts(AlertmanagerFile.load(path, None), alerts)]


def inhibiting(rule: str) -> str:
    return f"{ROUTE}{RECEIVERS}inhibit_rules: [{rule}]"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{source_matchers: [alertname=Down], target_matchers: [severity=info], equal: [host]}", ""),
        ("{source_matchers: [tier=a], target_matchers: [alertname=Down]}", ""),
        (
            "{source_matchers: [alert=Down], target_matchers: [severity=info]}",
            'silences nothing here: no alert fits its source, {alert="Down"}: none here has a label `alert` '
            "(did you mean `alertname`?)",
        ),
        (
            "{source_matchers: [alertname=Dwon], target_matchers: [severity=info]}",
            'no alert fits its source, {alertname="Dwon"}: none has that name (did you mean `Down`?)',
        ),
        (
            "{source_matchers: [severity=page], target_matchers: ['severity=~warn.*']}",
            'no alert fits its target, {severity=~"warn.*"}: `severity` is info, page here',
        ),
        (
            "{source_matchers: [severity=page], target_matchers: [severity=info], equal: [severity]}",
            "no source and target of it are equal in `severity`",
        ),
        (
            "{source_matchers: [severity=page], target_matchers: [alertname=Down]}",
            "every source of it is also a target, and such alerts do not silence each other",
        ),
        (
            "{source_matchers: [severity=page], target_matchers: [severity=info], equal: [hots]}",
            "no alert here has the label `hots` that inhibition rule 1 wants equal (did you mean `host`?)",
        ),
    ],
)
def test_inhibition_rules(project: Path, rule: str, message: str) -> None:
    found = told(project, inhibiting(rule), known(project, without="Open"))
    assert (message in found[0]) if message else (found == [])


def test_of_an_alert_without_a_contract_any_label_may_be_there(project: Path) -> None:
    rule = inhibiting("{source_matchers: [alert=Down], target_matchers: [severity=page]}")
    assert len(told(project, rule, known(project, without="Open"))) == 1
    assert told(project, rule, known(project)) == []


def test_external_labels_are_labels_too(project: Path) -> None:
    rule = inhibiting("{source_matchers: [severity=page, cluster=eu], target_matchers: [severity=info]}")
    for labels, idle in (({}, 1), ({"cluster": "eu"}, 0), ({"cluster": "us"}, 1)):
        alerts = known(project, ServerSettings(external_labels=labels), without="Open")
        assert len(told(project, rule, alerts)) == idle


ROUTES = """\
receivers: [{name: a}, {name: b}, {name: c}]
route:
  receiver: a
  routes:
    - {matchers: [severity=page], receiver: b, continue: true}
    - {matchers: [severity=info]}
    - {matchers: [tier=a, severity=info], receiver: b}
    - matchers: [severity=warning]
      routes:
        - {matchers: [host=a]}
    - {matchers: [host=a], routes: [{matchers: [alertname=Down]}, {matchers: [alertname=Slow]}]}
"""


def test_routes_and_receivers(project: Path) -> None:
    path = project / "alertmanager.yml"
    assert told(project, ROUTES, known(project, without="Open")) == [
        "7: nothing reaches route.routes[2]: what fits it stops before it, at route.routes[1] "
        f"({path}:6:7), which has no `continue: true`",
        '8: nothing reaches route.routes[3]: no alert fits it, {severity="warning"}: `severity` is info, page here',
        "11: nothing reaches route.routes[4].routes[1]: no alert fits it that reaches route.routes[4], "
        '{alertname="Slow"}: none has that name',
        "1: no route uses the receiver `c`",
    ]


def test_routes_are_walked_as_alertmanager_does(tmp_path: Path, toolchain: Toolchain) -> None:
    """Random trees and alerts of which everything is known: the receivers must be the ones that amtool tells."""
    dice, amtool, path = random.Random(7), toolchain.find("amtool").path, tmp_path / "alertmanager.yml"
    for _ in range(15):
        receivers: list[dict[str, Any]] = []
        tree = _tree(dice, 0, receivers)
        path.write_text(yaml.safe_dump({"route": tree, "receivers": receivers}), encoding="utf-8")
        labels = {"alertname": "A", **{name: dice.choice("xy") for name in "pqr" if dice.random() < 0.8}}
        file = AlertmanagerFile.load(path, None)
        reached = reachable(file.route, KnownAlert(labels, frozenset(labels)))
        last = [route for route in reached if not any(child in reached for child in route.routes)]
        assert {route.receiver for route in last} == set(routed_to(amtool, path, labels))


def _tree(dice: random.Random, depth: int, receivers: list[dict[str, Any]]) -> dict[str, Any]:
    receivers.append({"name": f"r{len(receivers)}"})
    made: dict[str, Any] = {"receiver": receivers[-1]["name"]}
    if depth:
        made["matchers"] = [f'{dice.choice("pqr")}{dice.choice(["=", "!=", "=~"])}"{dice.choice("xy")}"']
        made["continue"] = dice.random() < 0.4
    if depth < 3:
        made["routes"] = [_tree(dice, depth + 1, receivers) for _ in range(dice.randrange(4))]
    return made
