"""What docs/contracts.md says of windows: a contract without situations cannot tell them, the page's situations do."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.contracts import Contract, load_contracts
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.proof import Proof, Verdict
from harness.rules import load_rules

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contracts.md"
RULE = """\
groups:
  - name: g
    interval: 30s
    rules:
      - alert: TooManyErrors
        expr: {expr} > 5
        for: {hold}
        labels: {{severity: page}}
"""
RATE, IRATE, HOUR = "rate(errors_total[5m])", "irate(errors_total[5m])", "increase(errors_total[1h]) / 3600"


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    """The page's own."""
    (text,) = [t for t in re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL) if "TooManyErrors" in t]
    file = tmp_path / "c.yml"
    file.write_text(f"contracts:\n{text}", encoding="utf-8")
    (contract,) = load_contracts([file])
    return contract


def verdict(contract: Contract, expr: str, folder: Path, module_engine: Engine, promtool: Path) -> Verdict:
    module_engine.reset()
    rules = folder / "rules.yml"
    rules.write_text(RULE.format(expr=expr, hold=f"{contract.hold_ms}ms"), encoding="utf-8")
    (result,) = Proof(load_rules([rules]), [contract], module_engine, Promtool(promtool)).run()
    assert result.confirmed, result.notes
    return result.verdict


def test_a_knob_that_stands_shows_nothing_of_windows_and_one_that_moves_does(
    contract: Contract, tmp_path: Path, module_engine: Engine, promtool_path: Path
) -> None:
    still = replace(contract, situations=())
    for expr, moved in ((RATE, Verdict.EXACT), (IRATE, Verdict.WRONG_SITUATION), (HOUR, Verdict.WRONG_SITUATION)):
        assert verdict(still, expr, tmp_path, module_engine, promtool_path) is Verdict.EXACT
        assert verdict(contract, expr, tmp_path, module_engine, promtool_path) is moved


def test_a_burst_tells_irate_where_there_is_no_hold(tmp_path: Path, module_engine: Engine, promtool_path: Path) -> None:
    text = PAGE.read_text("utf-8")
    (contract_text,) = [t for t in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "TooManyErrors" in t]
    (knob,) = re.findall(r"a burst between two scrapes \(`expect: quiet`, `knob: (\{.*?\})`\)", text)
    burst = f"    situations:\n      - {{name: a burst, expect: quiet, knob: {knob}}}\n"
    head = contract_text.partition("    situations:")[0].replace("for: 5m", "for: 0s")
    file = tmp_path / "c.yml"
    file.write_text(f"contracts:\n{head}{burst}", encoding="utf-8")
    (contract,) = load_contracts([file])
    assert verdict(contract, RATE, tmp_path, module_engine, promtool_path) is Verdict.EXACT
    assert verdict(contract, IRATE, tmp_path, module_engine, promtool_path) is Verdict.WRONG_SITUATION
