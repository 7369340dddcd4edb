"""What the tests of reports share: one proof of good rules and one of wrong ones, with a run of unit tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.contracts import load_contracts
from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.proof import Proof
from harness.proof.report import ProofReport
from harness.rules import load_rules
from harness.suites.model import SuiteReport
from harness.suites.run import Options, SuiteRun
from tests.report.report_run import Run

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = sorted((ROOT / "rules" / "contracts").glob("*.yml"))
FAULTS = [
    ("application.yml", "100 * sum by (job) (rate(http_requests_total{", "100 * (rate(http_requests_total{"),
    ("application.yml", "/ sum by (job) (rate(http_requests_total[", "/ (rate(http_requests_total["),
    ("application.yml", "> 1\n", ">= 1\n"),
    ("application.yml", "for: 1m", "for: 2m"),
    ("business.yml", "> 20", "> 25"),
    ("system.yml", "severity: warning", "severity: critical"),
    ("system.yml", "- alert: HighMemoryUsage", "- alert: HighMemoryUse"),
]


def prove(rules: list[Path], prometheus: Path, promtool: Path) -> ProofReport:
    """A proof of rule files against the contracts of this project."""
    with ProcessEngine(prometheus) as engine:
        proof = Proof(load_rules(rules), load_contracts(CONTRACTS), engine, Promtool(promtool))
        return ProofReport(list(proof.run()), engine.kind, engine.version)


def run_suites(files: list[Path], promtool: Path) -> SuiteReport:
    run = SuiteRun(files, Promtool(promtool), Options(strict=True))
    list(run.results())
    return run.report()


@pytest.fixture(scope="session")
def good(prometheus_path: Path, promtool_path: Path) -> Run:
    """The project's own rules and unit tests."""
    proof = prove(sorted((ROOT / "rules").glob("*.yml")), prometheus_path, promtool_path)
    return Run(proof, run_suites(sorted((ROOT / "tests" / "rules").glob("*.test.yml")), promtool_path))


@pytest.fixture(scope="session")
def bad(prometheus_path: Path, promtool_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same rules with faults of every kind, and unit tests that say nothing."""
    folder = tmp_path_factory.mktemp("wrong") / "rules"
    shutil.copytree(ROOT / "rules", folder, ignore=shutil.ignore_patterns("contracts"))
    for name, right, wrong in FAULTS:
        file = folder / name
        text = file.read_text(encoding="utf-8")
        assert right in text, f"{right!r} is not in {name}"
        file.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    fixtures = sorted((ROOT / "tests" / "suites" / "fixtures").glob("*/*.test.yml"))
    return Run(prove(sorted(folder.glob("*.yml")), prometheus_path, promtool_path), run_suites(fixtures, promtool_path))
