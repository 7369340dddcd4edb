"""Twenty runs in a row beside a busy core: nine of nine each time, none repeated on a slower clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.choices.shared import RunChoices
from harness.commands import live
from harness.config import load_config

ROOT = Path(__file__).resolve().parents[2]
RUNS = 20


@pytest.mark.slow
def test_no_run_of_twenty_fails_beside_a_busy_core() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        for number in range(RUNS):
            report = live.run(
                load_config(ROOT),
                RunChoices(engine="process"),
                alertmanager=ROOT / "fixtures/monitoring/alertmanager.yml",
            )
            found = {result.alert: result.findings for result in report.results if not result.exact}
            assert (number, found, report.attempts, len(report.results)) == (number, {}, (), 9)
    finally:
        busy.kill()
        busy.wait()
