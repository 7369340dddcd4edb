"""What rules, dashboards and objectives read exists on the stack, with its real exporters: metrics, labels, queries."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from harness.cli import main
from harness.config import load_config
from harness.errors import EXIT_OK
from harness.stack.opening import RuntimeKind
from harness.stack.runtime import Health, Runtime
from harness.stack.scenarios.load import Traffic
from harness.stack.scenarios.scenario import load_scenario
from tests.stack.stack_probes import scraped

ROOT = Path(__file__).resolve().parents[2]
CALM = load_scenario(ROOT / "fixtures" / "scenarios" / "calm.yml").load


@pytest.mark.parametrize("kind", [RuntimeKind.PROCESS, pytest.param(RuntimeKind.COMPOSE, marks=pytest.mark.system)])
def test_what_is_used_exists(
    kind: RuntimeKind,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack: Runtime = request.getfixturevalue(f"{kind.value}_stack")
    monkeypatch.chdir(ROOT)
    assert load_config(ROOT).objectives
    factor = stack.clock.factor
    with Traffic(stack.url("streaming"), CALM, factor=factor, seed=3, webhook_token=stack.tokens.webhook):
        assert all(target.health is not Health.DOWN for target in scraped(stack))
        time.sleep(5)  # five scrapes, so that rates have what they need
        code = main(
            ["check", "--against", stack.url("prometheus"), "--since", "1m", "--scrape-interval", "1s", "--json", "-"]
        )
    document = json.loads(capsys.readouterr().out)
    assert [finding for finding in document["findings"] if finding["weight"] == "finding"] == []
    assert code == EXIT_OK
