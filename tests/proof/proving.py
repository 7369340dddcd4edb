"""A proof of one rule file and one contract file, from beginning to end."""

from __future__ import annotations

from pathlib import Path

from harness.contracts import load_contracts
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.proof import AlertResult, Proof
from harness.rules import load_rules


def prove_files(rules: Path, contracts: Path, engine: Engine, promtool: Path) -> list[AlertResult]:
    """Every result, on an engine that is made empty first."""
    engine.reset()
    return list(Proof(load_rules([rules]), load_contracts([contracts]), engine, Promtool(promtool)).run())
