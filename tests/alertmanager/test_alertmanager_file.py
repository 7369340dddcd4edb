"""The user's Alertmanager file: what amtool refuses, and where; what is kept of it; that no secret is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.alertmanager.amtool import routed_to
from harness.alertmanager.file import AlertmanagerFile
from harness.errors import HarnessError, InputError, UnsupportedError
from harness.live.clock import Clock
from harness.live.routing import config_for_run
from harness.toolchain import Tool, Toolchain

CONFIG = r"""
global: {resolve_timeout: 10m, slack_api_url: 'https://example.org/secret'}
templates: ['*.tmpl']
route:
  receiver: a
  group_wait: 45s
  routes:
    - {matchers: [severity = page], receiver: b}
    - {matchers: ['team=~"x|y"'], receiver: c, group_wait: 10s, continue: true}
receivers:
  - {name: a}
  - {name: b, slack_configs: [{channel: '#x'}]}
  - {name: c, slack_configs: [{channel: '#x'}], webhook_configs: [{url: 'https://example.org/hook'}]}
"""
ROUTE = "route: {receiver: a}\n"
RECEIVERS = "receivers: [{name: a}]\n"


@pytest.fixture(scope="module")
def amtool(toolchain: Toolchain) -> Tool:
    return toolchain.find("amtool")


def written(folder: Path, text: str) -> Path:
    path = folder / "alertmanager.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_receivers_are_ours_and_nothing_else_leaves(tmp_path: Path, amtool: Tool) -> None:
    file = AlertmanagerFile.load(written(tmp_path, CONFIG), amtool)
    made = config_for_run(file, Clock(60), lambda name: f"http://127.0.0.1:1/{name}")
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
    assert [route["continue"] for route in made["route"]["routes"]] == [False, True]
    assert [route.waits_ms["group_wait"] for route in file.route.all()] == [45_000, 45_000, 10_000]


ALIASED = f"""\
{RECEIVERS}
route:
  receiver: a
  routes:
    - &page {{matchers: [severity=page], group_wait: 1m, routes: [&deep {{matchers: [team=x], group_interval: 10m}}]}}
    - {{matchers: [severity=info], routes: [*deep, *page]}}
    - *page
"""


def test_an_aliased_route_is_one_in_two_places(tmp_path: Path, amtool: Tool) -> None:
    path = written(tmp_path, ALIASED)
    file = AlertmanagerFile.load(path, amtool)
    made = config_for_run(file, Clock(60), lambda name: "http://127.0.0.1/")
    page: dict[str, Any] = {"matchers": ["severity=page"], "group_wait": "1s", "continue": False}
    page["routes"] = [{"matchers": ["team=x"], "group_interval": "10s", "continue": False}]
    assert made["route"]["routes"] == [
        page,
        {"matchers": ["severity=info"], "continue": False, "routes": [page["routes"][0], page]},
        page,
    ]
    # The stack's files go the other way, as plain values.
    plain = Clock(60).alertmanager(yaml.safe_load(ALIASED))
    assert [route.get("group_wait") for route in plain["route"]["routes"]] == ["1s", None, "1s"]
    job = {"job_name": "a", "scrape_interval": "1m"}
    shrunk = Clock(60).prometheus({"scrape_configs": [job, job]})["scrape_configs"]
    assert [each["scrape_interval"] for each in shrunk] == ["1s", "1s"]


def test_amtool_says_where_an_alert_is_routed(tmp_path: Path, amtool: Tool) -> None:
    file = AlertmanagerFile.load(written(tmp_path, CONFIG), amtool)
    path = tmp_path / "run.yml"
    made = config_for_run(file, Clock(60), lambda name: "http://127.0.0.1:1/")
    path.write_text(yaml.safe_dump(made), encoding="utf-8")
    assert routed_to(amtool.path, path, {"alertname": 'q"uo\\te', "severity": "page"}) == ["b"]
    assert routed_to(amtool.path, path, {"alertname": "n", "team": "y", "description": "two words"}) == ["c"]
    assert routed_to(amtool.path, path, {"alertname": "n"}) == ["a"]


DEEP = "{routes: [" * 450 + "{}" + "]}" * 450
WRONG = [
    ("receivers: {a: 1}\n" + ROUTE, "1:12", "cannot unmarshal !!map into []config.Receiver"),
    (RECEIVERS + "route: {receiver: a, routes: [x]}", "2:31", "cannot unmarshal !!str `x`"),
    ("receivers: [{name: a, webhook_configs: 5}]\n" + ROUTE, "1:40", "cannot unmarshal !!int `5`"),
    ("receivers: [{name: a, webhook_configs: [[]]}]\n" + ROUTE, "1:41", "cannot unmarshal !!seq"),
    ("receivers: [{name: a, webhook_configs: [{urll: 'http://x/'}]}]\n" + ROUTE, "1:42", "field urll not found"),
    (RECEIVERS + ROUTE + "inhibit_rule: []\nfoo: 1", "3:1", "not found in type config.plain; line 4: field foo"),
    (RECEIVERS + ROUTE + "---\n" + RECEIVERS + ROUTE, "4:1", "a second document"),
    (RECEIVERS + "route: !mine {receiver: a}", "2:8", "a YAML tag, `!mine`"),
    (RECEIVERS + "route: " + DEEP, "2:1008", "nested more than 200 levels deep"),
    (RECEIVERS + "route: &r {receiver: a, routes: [*r]}", "2:8", "contains itself"),
    (RECEIVERS + "route: {receiver: a, group_wait: soon}", "2:34", 'not a valid duration string: "soon"'),
    (RECEIVERS + "route: {receiver: a, group_interval: 0s}", "2:22", "group_interval cannot be zero"),
    (RECEIVERS + "route: {receiver: b}", "2:19", 'undefined receiver "b"'),
    (RECEIVERS + "route: {receiver: a, matchers: [x=y]}", "2:1", "root route must not have any matchers"),
    (RECEIVERS + "route: {receiver: a, routes: [{matchers: ['x=~[']}]}", "2:43", "missing closing ]"),
    (RECEIVERS + "route: {receiver: a, routes: [{matchers: ['x']}]}", "2:43", "bad matcher format: x"),
    (RECEIVERS + "route: {receiver: a, routes: [null]}", "2:31", "a route must be a mapping"),
    ("receivers: [{name: a},{name: a}]\n" + ROUTE, "1:30", 'name "a" is not unique'),
    (RECEIVERS + ROUTE + RECEIVERS, "3:1", "field receivers already set"),
    (RECEIVERS, "1:1", "no routes provided"),
    (RECEIVERS + ROUTE + "inhibit_rules: [{equal: [{}]}]", "3:26", "cannot unmarshal !!map into string"),
    ("[]", "1:1", "cannot unmarshal !!seq"),
    ("receivers: [{name: a, slack_configs: [{channel: x}]}]\n" + ROUTE, "1:23", "no Slack API URL"),
    ("\t", "1:1", "not valid YAML"),
]


@pytest.mark.parametrize(("text", "place", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_what_is_wrong_is_told_at_its_place(tmp_path: Path, amtool: Tool, text: str, place: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        AlertmanagerFile.load(path, amtool)
    assert message in caught.value.message
    assert str(caught.value).startswith(f"{path}:{place}: ")


def test_what_is_wrong_without_a_place_names_the_file(tmp_path: Path, amtool: Tool) -> None:
    with pytest.raises(InputError, match=r"alertmanager\.yml: Alertmanager refuses this file: no route provided"):
        AlertmanagerFile.load(written(tmp_path, "# nothing\n"), amtool)
    with pytest.raises(InputError, match="cannot read"):
        AlertmanagerFile.load(tmp_path / "absent.yml", amtool)
    (tmp_path / "bad.tmpl").write_text("{{", encoding="utf-8")
    with pytest.raises(InputError, match=r"template: bad\.tmpl:1: "):
        AlertmanagerFile.load(written(tmp_path, RECEIVERS + ROUTE + "templates: [bad.tmpl]"), amtool)


SECRET = "hunter2hunter2"
LEAKS = [
    f"receivers: [{{name: a, webhook_configs: [{{url: 'http://user:{SECRET} x@y z/'}}]}}]\n" + ROUTE,
    f"receivers: [{{name: a, webhook_configs: [{SECRET}]}}]\n" + ROUTE,
    f"receivers: [{{name: a, webhook_configs: [{{url: 'http://u:{SECRET}%zz@y/'}}]}}]\n" + ROUTE,
    f"receivers: [{{name: a, pagerduty_configs: [{{routing_key: *{SECRET}}}]}}]\n" + ROUTE,
    f"receivers: [{{name: a, pagerduty_configs: [{{routing_key: '{SECRET}}}]}}]\n" + ROUTE,
    f"receivers: [{{name: a, pagerduty_configs: [{{routing_keyy: {SECRET}}}]}}]\n" + ROUTE,
    f"receivers: [{{name: a, slack_configs: [{{password:{SECRET}}}]}}]\n" + ROUTE,
    f"receivers: [{{name: a, webhook_configs: [{{url: 'http://x/', max_alerts: {SECRET}}}]}}]\n" + ROUTE,
    f"receivers: [{{name: a, email_configs: [{{to: x, headers: {{X: {SECRET}, x: {SECRET}}}}}]}}]\n" + ROUTE,
    f"global: {{slack_api_url: {SECRET}}}\n" + RECEIVERS + ROUTE,
    f"global: {{smtp_smarthost: {SECRET}}}\n" + RECEIVERS + ROUTE,
    f"globall: {{x: {SECRET}}}\n" + RECEIVERS + ROUTE,
    f"global:\n  http_config:\n    basic_auth:\n      password: |\n        {SECRET}\n        {SECRET}\n      x: 1\n"
    + RECEIVERS
    + ROUTE,
    f"receivers: [{{name: [{SECRET}]}}]\n" + ROUTE,
    f"- {SECRET}",
    SECRET,
]


def complaint(path: Path, amtool: Tool | None) -> str:
    try:
        AlertmanagerFile.load(path, amtool)
    except InputError as err:
        return str(err)
    return ""


@pytest.mark.parametrize("text", LEAKS)
def test_no_secret_gets_into_a_message(tmp_path: Path, amtool: Tool, text: str) -> None:
    said = complaint(written(tmp_path, text), amtool)
    assert said
    assert "hunter2" not in said
    assert "hunter2" not in complaint(tmp_path / "alertmanager.yml", None)


def test_what_is_not_ours_to_run_is_refused_with_its_place(tmp_path: Path, amtool: Tool) -> None:
    timed = "time_intervals: [{name: night}]\n" + RECEIVERS
    timed += "route: {receiver: a, routes: [{active_time_intervals: [night]}]}"
    file = AlertmanagerFile.load(written(tmp_path, timed), amtool)
    with pytest.raises(UnsupportedError, match="time of day") as caught:
        config_for_run(file, Clock(60), lambda name: "")
    assert str(caught.value).startswith(f"{tmp_path / 'alertmanager.yml'}:3:")
    only_go = RECEIVERS + "route: {receiver: a, routes: [{matchers: ['x=~[[:alpha:]]+']}]}"
    with pytest.raises(HarnessError, match=r"`\[\[:`, which Go's regular expressions read otherwise"):
        AlertmanagerFile.load(written(tmp_path, only_go), amtool)
