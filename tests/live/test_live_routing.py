"""The user's Alertmanager configuration: what is kept of it, and who silences whom."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.errors import HarnessError, InputError
from harness.live.clock import Clock
from harness.live.routing import Routing, routed_to
from harness.toolchain import Toolchain

CONFIG = r"""
global: {resolve_timeout: 10m, slack_api_url: 'https://example.org/secret'}
templates: ['*.tmpl']
route:
  receiver: a
  routes:
    - {matchers: [severity = page], receiver: b}
    - {matchers: ['team=~"x|y"'], receiver: c, group_wait: 10s}
inhibit_rules:
  - {source_matchers: ['severity="page"', 'alertname!~"Quiet.*"'], target_matchers: [severity = warning], equal: [job]}
  - {source_match: {alertname: Old}, target_match_re: {alertname: 'Older|Oldest'}}
  - {source_matchers: ['{alertname="Both", job="a,b"}'], target_matchers: ['alertname="Both"']}
receivers:
  - {name: a}
  - {name: b, slack_configs: [{channel: '#x'}]}
  - {name: c, slack_configs: [{channel: '#x'}], webhook_configs: [{url: 'https://example.org/hook'}]}
"""


@pytest.fixture
def routing(tmp_path: Path) -> Routing:
    path = tmp_path / "alertmanager.yml"
    path.write_text(CONFIG, encoding="utf-8")
    return Routing.load(path)


def test_receivers_are_ours_and_nothing_else_leaves(routing: Routing) -> None:
    made = routing.for_run(Clock(60), lambda name: f"http://127.0.0.1:1/{name}")
    assert "example.org" not in yaml.safe_dump(made)
    assert made["receivers"] == [
        {"name": "a"},
        {
            "name": "b",
            "webhook_configs": [{"url": "http://127.0.0.1:1/b", "send_resolved": False, "max_alerts": 0}],
        },
        {"name": "c", "webhook_configs": [{"url": "http://127.0.0.1:1/c", "send_resolved": True, "max_alerts": 0}]},
    ]
    assert made["global"] == {"resolve_timeout": "10s"}
    assert made["route"]["routes"][1]["group_wait"] == "167ms"


@pytest.mark.parametrize(
    ("source", "target", "silences"),
    [
        ({"severity": "page", "job": "a"}, {"severity": "warning", "job": "a"}, True),
        ({"severity": "page", "job": "a"}, {"severity": "warning", "job": "b"}, False),
        ({"severity": "page", "alertname": "QuietOne"}, {"severity": "warning"}, False),
        ({"severity": "page"}, {"severity": "warning"}, True),
        ({"alertname": "Old"}, {"alertname": "Oldest"}, True),
        ({"alertname": "Old"}, {"alertname": "Oldest of all"}, False),
        ({"alertname": "Both", "job": "a,b"}, {"alertname": "Both", "job": "c"}, True),
        ({"alertname": "Both", "job": "a,b"}, {"alertname": "Both", "job": "a,b"}, False),
    ],
)
def test_who_silences_whom(routing: Routing, source: dict[str, str], target: dict[str, str], silences: bool) -> None:
    assert any(rule.holds(source, target) for rule in routing.inhibitions()) is silences


def test_amtool_says_where_an_alert_is_routed(routing: Routing, toolchain: Toolchain, tmp_path: Path) -> None:
    path = tmp_path / "run.yml"
    path.write_text(yaml.safe_dump(routing.for_run(Clock(60), lambda name: "http://127.0.0.1:1/")), encoding="utf-8")
    amtool = toolchain.find("amtool").path
    assert routed_to(amtool, path, {"alertname": 'q"uo\\te', "severity": "page"}) == ["b"]
    assert routed_to(amtool, path, {"alertname": "n", "team": "y", "description": "two words"}) == ["c"]
    assert routed_to(amtool, path, {"alertname": "n"}) == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is no Alertmanager configuration"),
        ("route: {receiver: a}", "is no Alertmanager configuration"),
        (
            "route: {receiver: a, group_wait: soon}\nreceivers: [{name: a}]",
            "route.group_wait: `soon` is not a duration",
        ),
        ("route: {receiver: a, routes: [{active_time_intervals: [day]}]}\nreceivers: [{name: a}]", "time of day"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError) as caught:
        Routing.load(path)
    assert message in str(caught.value)
    assert "alertmanager.yml" in str(caught.value)
    with pytest.raises(InputError):
        Routing.load(tmp_path / "absent.yml")
