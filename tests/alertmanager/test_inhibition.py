"""Who silences whom: our reading of inhibition rules and matchers against a running Alertmanager."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from harness.alertmanager.file import AlertmanagerFile
from harness.live.servers import Alertmanager
from harness.toolchain import Toolchain

RULES = r"""
receivers: [{name: a}]
route: {receiver: a}
inhibit_rules:
  - {source_matchers: ['severity="page"', 'alertname!~"Quiet.*"'], target_matchers: [severity = warning], equal: [job]}
  - {source_match: {alertname: Old}, target_match_re: {alertname: 'Older|Oldest'}}
  - {source_matchers: ['{alertname="Both", job="a,b"}'], target_matchers: ['alertname="Both"']}
  - {source_matchers: ['alertname=Source'], equal: [everything]}
  - {source_matchers: ['path="C:\\new \"x\""'], target_matchers: ['path=~"^/a\.b(c{2}|d)$"']}
  - {source_matchers: ['bare =~ a{2}|b.c', 'odd!=""'], target_matchers: ['"a name"="yes"']}
"""
ALERTS: list[tuple[dict[str, str], dict[str, str], bool]] = [
    ({"severity": "page", "job": "a"}, {"severity": "warning", "job": "a"}, True),
    ({"severity": "page", "job": "a"}, {"severity": "warning", "job": "b"}, False),
    ({"severity": "page", "alertname": "QuietOne"}, {"severity": "warning"}, False),
    ({"severity": "page"}, {"severity": "warning"}, True),
    ({"alertname": "Old"}, {"alertname": "Oldest"}, True),
    ({"alertname": "Old"}, {"alertname": "Oldest of all"}, False),
    ({"alertname": "Both", "job": "a,b"}, {"alertname": "Both", "job": "c"}, True),
    ({"alertname": "Both", "job": "a,b"}, {"alertname": "Both", "job": "a,b", "other": "x"}, False),
    # A side without matchers fits every alert.
    ({"alertname": "Source", "everything": "1"}, {"alertname": "Anything", "everything": "1"}, True),
    ({"path": 'C:\\new "x"'}, {"path": "/a.bcc"}, True),
    ({"path": 'C:\\new "x"'}, {"path": "/a.bd"}, True),
    ({"path": 'C:\\new "x"'}, {"path": "/axbd"}, False),
    ({"path": 'C:\new "x"'}, {"path": "/a.bd"}, False),
    ({"bare": "aa", "odd": "1"}, {"a name": "yes"}, True),
    ({"bare": "bxc", "odd": "1"}, {"a name": "yes"}, True),
    ({"bare": "aa"}, {"a name": "yes"}, False),
]


@pytest.fixture(scope="module")
def alertmanager(toolchain: Toolchain) -> Iterator[Alertmanager]:
    running = Alertmanager(toolchain.find("alertmanager"), yaml.safe_load(RULES))
    yield running
    running.close()


def test_who_silences_whom(alertmanager: Alertmanager, tmp_path: Path, toolchain: Toolchain) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(RULES, encoding="utf-8")
    rules = AlertmanagerFile.load(path, toolchain.find("amtool")).inhibitions
    for source, target, silences in ALERTS:
        source, target = {"alertname": "S", **source}, {"alertname": "T", **target}
        assert any(rule.holds(source, target) for rule in rules) is silences, (source, target)
        assert _seen(alertmanager.url, source, target) is silences, (source, target)


def _seen(url: str, source: dict[str, str], target: dict[str, str]) -> bool:
    """Whether Alertmanager itself lets the one silence the other; both are over afterwards."""
    api = f"{url}/api/v2/alerts"
    pair = [{"labels": labels} for labels in (source, target)]
    assert requests.post(api, json=pair, timeout=5).status_code == 200
    deadline = time.monotonic() + 10
    while True:
        found = {tuple(sorted(one["labels"].items())): one["status"] for one in requests.get(api, timeout=5).json()}
        mine = found.get(tuple(sorted(target.items())))
        if mine is not None and tuple(sorted(source.items())) in found:
            break
        assert time.monotonic() < deadline, "Alertmanager does not show the alerts"
        time.sleep(0.01)
    over = "2020-01-01T00:00:00Z"
    ended = [{"labels": labels, "startsAt": over, "endsAt": over} for labels in (source, target)]
    assert requests.post(api, json=ended, timeout=5).status_code == 200
    return bool(mine["inhibitedBy"])
