"""One bad alert costs one verdict: what goes wrong with it is its own result, and the others have theirs."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.choices.shared import RunChoices
from harness.commands import prove as command
from harness.config import load_config
from harness.contracts import Contract, load_contracts
from harness.engines import Engine, QueryError
from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.errors import EngineError
from harness.proof import AlertResult, Proof, Verdict
from harness.proof.model import AlertFinding, Measured
from harness.proof.report import ProofReport
from harness.report.section import section_of
from harness.rules import RuleFile, load_rules

RULES = """\
groups:
  - name: queues
    interval: 30s
    rules:
      - alert: First
        expr: jobs{queue="first"} > 10
        labels: {severity: page}
      - alert: Second
        expr: jobs{queue="second"} > 20
        labels: {severity: page}
      - alert: Third
        expr: jobs{queue="third"} > 30
        labels: {severity: page}
"""


def contract(name: str, threshold: int, more: str = "") -> str:
    return (
        f"  - alert: {name}\n    means: too many jobs\n    knob: {{name: jobs, unit: jobs, range: [0, 100], step: 1}}\n"
        f"    op: '>'\n    threshold: {threshold}\n    severity: page\n    identifies: {{queue: {name.lower()}}}\n"
        f"    signal: [{{gauge: 'jobs{{queue=\"{name.lower()}\"}}', value: x}}]\n{more}"
    )


CONTRACTS = "contracts:\n" + contract("First", 10) + contract("Second", 20) + contract("Third", 30)


@pytest.fixture
def loaded(tmp_path: Path) -> tuple[list[RuleFile], list[Contract]]:
    (tmp_path / "r.yml").write_text(RULES, encoding="utf-8")
    (tmp_path / "c.yml").write_text(CONTRACTS, encoding="utf-8")
    return load_rules([tmp_path / "r.yml"]), load_contracts([tmp_path / "c.yml"])


Loaded = tuple[list[RuleFile], list[Contract]]


def verdicts(results: list[AlertResult]) -> list[str]:
    return [result.verdict.value for result in results]


def test_an_engine_that_dies_over_one_alert(
    loaded: Loaded, module_engine: ProcessEngine, promtool_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of the second alert: that one is an error, with the log's words; the third is measured."""
    module_engine.reset()
    true_query = module_engine.query_range
    killed: list[int | None] = []

    def query(expr: str, start_ms: int, end_ms: int, step_ms: int):  # type: ignore[no-untyped-def]
        if "second" in expr and not killed:
            killed.append(module_engine.pid)
            os.kill(module_engine.pid or 0, signal.SIGKILL)
        return true_query(expr, start_ms, end_ms, step_ms)

    monkeypatch.setattr(module_engine, "query_range", query)
    results = list(Proof(*loaded, module_engine, Promtool(promtool_path)).run())
    assert verdicts(results) == ["exact", "error", "exact"]
    assert "ended by signal 9" in results[1].reasons[0] or "SIGKILL" in results[1].reasons[0]
    assert (results[1].confirmed, results[1].confirmed_reason) == (None, "nothing was measured that it could confirm")
    assert module_engine.pid != killed[0]


def test_an_alert_that_takes_too_long(
    loaded: Loaded, module_engine: Engine, promtool_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module_engine.reset()
    true_query = module_engine.query_range

    def query(expr: str, start_ms: int, end_ms: int, step_ms: int):  # type: ignore[no-untyped-def]
        if "second" in expr:
            time.sleep(1.1)
        return true_query(expr, start_ms, end_ms, step_ms)

    monkeypatch.setattr(module_engine, "query_range", query)
    results = list(Proof(*loaded, module_engine, Promtool(promtool_path), alert_timeout_s=1.0).run())
    assert verdicts(results)[1] == "error"
    assert results[1].findings[0].message == "not measured within 1 s"
    assert "--alert-timeout" in results[1].reasons[0]
    assert results[2].verdict is Verdict.EXACT, results[2].reasons


def test_what_prometheus_refuses_is_an_error_in_its_own_words(
    loaded: Loaded, module_engine: Engine, promtool_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module_engine.reset()
    true_query = module_engine.query_range

    def query(expr: str, start_ms: int, end_ms: int, step_ms: int):  # type: ignore[no-untyped-def]
        if "second" in expr:
            raise QueryError("execution", "many-to-many matching not allowed", expr)
        return true_query(expr, start_ms, end_ms, step_ms)

    monkeypatch.setattr(module_engine, "query_range", query)
    results = list(Proof(*loaded, module_engine, Promtool(promtool_path)).run())
    assert verdicts(results) == ["exact", "error", "exact"]
    assert "many-to-many matching not allowed" in results[1].reasons[0]


def test_a_promtool_that_breaks_costs_the_alerts_that_it_was_asked_about(
    loaded: Loaded, module_engine: Engine, promtool_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module_engine.reset()
    promtool = Promtool(promtool_path)
    true_test = promtool.test_rules

    def test_rules(files: list[Path], **more: object):  # type: ignore[no-untyped-def]
        if "second" in files[0].read_text(encoding="utf-8"):
            raise EngineError("`promtool test rules` ended by signal 11")
        return true_test(files, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(promtool, "test_rules", test_rules)
    results = list(Proof(*loaded, module_engine, promtool).run())
    assert verdicts(results) == ["exact", "error", "exact"]
    assert results[1].reasons == ["`promtool test rules` ended by signal 11"]


def test_results_come_while_others_are_still_to_be_measured(
    loaded: Loaded, module_engine: Engine, promtool_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module_engine.reset()
    steps: list[str] = []
    proof = Proof(*loaded, module_engine, Promtool(promtool_path), steps.append)
    true_query = module_engine.query_range

    def query(expr: str, start_ms: int, end_ms: int, step_ms: int):  # type: ignore[no-untyped-def]
        time.sleep(0.3 if "second" in expr else 0.0)  # promtool needs that long for the first
        return true_query(expr, start_ms, end_ms, step_ms)

    monkeypatch.setattr(module_engine, "query_range", query)
    first = next(iter(proof.run()))
    assert first.alert == "First"
    assert "Third" not in steps


def test_a_draft_proves_nothing_whatever_was_measured(
    loaded: Loaded, module_engine: Engine, promtool_path: Path
) -> None:
    module_engine.reset()
    files, (first, second, third) = loaded
    contracts = [replace(first, draft=True), replace(second, draft=True, threshold=second.threshold + 5), third]
    results = list(Proof(files, contracts, module_engine, Promtool(promtool_path)).run())
    assert verdicts(results) == ["draft", "draft", "exact"]
    assert [result.would_be for result in results] == [Verdict.EXACT, Verdict.OFF_THRESHOLD, None]
    assert [finding.verdict for finding in results[1].findings] == [Verdict.OFF_THRESHOLD, Verdict.DRAFT]
    assert not results[0].accepted
    section = section_of(ProofReport(results, "process", "3.5.3"))
    assert (section.good, section.not_yet, section.exit_code) == (False, "2 drafts", 1)


def test_an_error_stays_an_error_in_a_draft(
    loaded: Loaded, module_engine: Engine, promtool_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module_engine.reset()

    def query(expr: str, start_ms: int, end_ms: int, step_ms: int):  # type: ignore[no-untyped-def]
        raise QueryError("execution", "no", expr)

    monkeypatch.setattr(module_engine, "query_range", query)
    contracts = [replace(loaded[1][0], draft=True)]
    result = next(iter(Proof(loaded[0], contracts, module_engine, Promtool(promtool_path)).run()))
    assert (result.verdict, result.would_be) == (Verdict.ERROR, Verdict.ERROR)


def test_what_is_set_aside_is_shown_and_not_held_against_the_run(
    loaded: Loaded, module_engine: Engine, promtool_path: Path
) -> None:
    module_engine.reset()
    files, (first, second, third) = loaded
    off = replace(second, threshold=second.threshold + 5, allowed="known since May, see OPS-7")
    results = list(
        Proof(files, [replace(first, allowed="old"), off, third], module_engine, Promtool(promtool_path)).run()
    )
    assert verdicts(results) == ["exact", "off_threshold", "exact"]
    assert [result.allowed for result in results] == ["old", "known since May, see OPS-7", None]
    assert results[0].notes == ["its `allow` is no longer needed: the alert is exact"]
    section = section_of(ProofReport(results, "process", "3.5.3"))
    assert (section.good, section.exit_code) == (True, 0)


@pytest.mark.parametrize(
    ("verdict", "allowed", "code"),
    [(Verdict.ERROR, None, 3), (Verdict.ERROR, "known", 0), (Verdict.UNSUPPORTED, None, 1), (Verdict.MISSING, None, 1)],
)
def test_exit_codes(
    loaded: Loaded, module_engine: Engine, promtool_path: Path, verdict: Verdict, allowed: str | None, code: int
) -> None:
    contract = replace(loaded[1][0], allowed=allowed)
    result = AlertResult("First", contract, None, Measured(), [], [AlertFinding(verdict, "so")])
    other = AlertResult("Second", loaded[1][1], None, Measured(), [], [])
    assert section_of(ProofReport([result, other], "process", "3.5.3")).exit_code == code


def test_interrupted_what_is_known_is_printed_and_written(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    prometheus_path: Path, promtool_path: Path,
) -> None:  # fmt: skip
    (tmp_path / "alert-harness.toml").write_text(
        'rules = ["r.yml"]\ncontracts = ["c.yml"]\n'
        f'[tools]\nprometheus = "{prometheus_path}"\npromtool = "{promtool_path}"\n',
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    true_query = ProcessEngine.query_range

    def query(self: ProcessEngine, expr: str, start_ms: int, end_ms: int, step_ms: int):  # type: ignore[no-untyped-def]
        if "third" in expr:
            raise KeyboardInterrupt
        return true_query(self, expr, start_ms, end_ms, step_ms)

    monkeypatch.setattr(ProcessEngine, "query_range", query)
    choices = RunChoices(engine="process", json="p.json", report=str(tmp_path / "page"))
    with pytest.raises(KeyboardInterrupt):
        command.run(load_config(tmp_path), choices)
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "exact" in line and "jobs" in line]
    assert rows in (["First"], ["First", "Second"])
    assert [alert["alert"] for alert in json.loads(Path("p.json").read_text())["alerts"]] == rows
    assert "the run was interrupted" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
