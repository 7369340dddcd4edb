"""`prove --emit`: tests of what the contract says. They pass on a right rule and on no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main
from harness.contracts import load_contracts
from harness.engines.base import Engine
from harness.engines.promtool import Promtool
from harness.proof import Proof
from harness.proof.model import Verdict
from harness.proof.promtool.emit import Emitted
from harness.rules import load_rules

CONTRACT = """\
version: 1
scrape_interval: 30s
contracts:
  - alert: QueueFull
    means: More than 90 % of a queue's places are taken.
    knob: {name: taken, unit: "%", range: [0, 100], step: 1, counts: "places in 100"}
    op: ">"
    threshold: 90
    for: 2m
    severity: page
    identifies: {queue: mail}
    annotations: [summary]
    signal:
      - gauge: places_taken{queue="mail"}
        value: 5 * x
      - gauge: places{queue="mail"}
        value: 500
    situations:
      - name: the exporter is down
        expect: quiet
        knob: {0s: 50, 1m: 95}
        failed_scrapes: {from: 2m, to: 10m}
        lasts: 10m
      - name: a full queue
        expect: fires
        knob: 95
"""
RIGHT = """\
groups:
  - name: queues
    interval: 1m
    rules:
      - alert: HalfFull
        expr: places_taken / places > 0.5
      - alert: QueueFull
        expr: places_taken / places > 0.9
        for: 2m
        labels: {severity: page}
        annotations: {summary: "{{ $labels.queue }} is full"}
"""
FAULTS = {
    "off threshold": ("> 0.9", "> 0.95", Verdict.OFF_THRESHOLD),
    "one step": ("> 0.9", "> 0.91", Verdict.OFF_THRESHOLD),
    "too early": ("> 0.9", "> 0.8", Verdict.OFF_THRESHOLD),
    "comparison": ("> 0.9", ">= 0.9", Verdict.WRONG_COMPARISON),
    "direction": ("> 0.9", "< 0.9", Verdict.WRONG_COMPARISON),
    "two sides": ("> 0.9", "> 0.9 or places_taken / places < 0.1", Verdict.WRONG_COMPARISON),
    "never": ("> 0.9", "> 9", Verdict.NEVER_FIRES),
    "always": ("> 0.9", ">= 0", Verdict.ALWAYS_FIRES),
    "waits longer": ("for: 2m", "for: 3m", Verdict.WRONG_HOLD),
    "waits shorter": ("for: 2m", "for: 1m", Verdict.WRONG_HOLD),
    "keeps firing": ("for: 2m", "for: 2m\n        keep_firing_for: 3m", Verdict.WRONG_HOLD),
    "situation": ("places > 0.9", "places > 0.9 or absent(places)", Verdict.WRONG_SITUATION),
    "severity": ("severity: page", "severity: pag", Verdict.WRONG_LABELS),
    "no culprit": ("places_taken / places > 0.9", "sum(places_taken) / sum(places) > 0.9", Verdict.WRONG_SITUATION),
    "no annotation": ("summary: ", "about: ", Verdict.WRONG_ANNOTATIONS),
}


class Bench:
    def __init__(self, folder: Path, engine: Engine, promtool: Promtool) -> None:
        self.rules, self.out = folder / "rules.yml", folder / "out"
        self.contracts = folder / "contracts.yml"
        self.contracts.write_text(CONTRACT, encoding="utf-8")
        self.engine, self.promtool = engine, promtool

    def emit(self, rules: str) -> tuple[Verdict, Emitted]:
        self.rules.write_text(rules, encoding="utf-8")
        self.engine.reset()
        proof = Proof(load_rules([self.rules]), load_contracts([self.contracts]), self.engine, self.promtool)
        result, *_ = proof.run(self.out)
        (emitted,) = proof.emitted
        return result.verdict, emitted

    def passes(self, file: Path) -> bool:
        return self.promtool.test_rules([file]).returncode == 0

    def strict(self) -> int:
        return main(["test", "--strict", str(self.out), "--report", "none"])


@pytest.fixture
def bench(tmp_path: Path, shared_engine: Engine, promtool_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path, shared_engine, Promtool(promtool_path))


def test_of_an_exact_alert(bench: Bench) -> None:
    verdict, emitted = bench.emit(RIGHT)
    assert (verdict, emitted.note, emitted.fails) == (Verdict.EXACT, "", False)
    assert emitted.file is not None
    assert bench.passes(emitted.file)
    assert bench.strict() == 0
    for name, (old, new, _) in FAULTS.items():
        if name == "two sides":  # the tests hold the boundary; what is far from it, prove looks at
            continue
        bench.rules.write_text(RIGHT.replace(old, new), encoding="utf-8")
        assert not bench.passes(emitted.file), name


@pytest.mark.sampled(3)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_of_any_other_fails_until_the_rule_is_mended(bench: Bench, fault: tuple[str, str, Verdict]) -> None:
    old, new, expected = fault
    verdict, emitted = bench.emit(RIGHT.replace(old, new))
    assert verdict is expected
    assert emitted.fails
    assert emitted.note.startswith(f"{expected.value}: ")
    assert emitted.file is not None
    assert "# This test fails until the rule is mended" in emitted.file.read_text(encoding="utf-8")
    assert not bench.passes(emitted.file)
    if expected is Verdict.WRONG_ANNOTATIONS:  # what it should say is for a person to write
        text = emitted.file.read_text(encoding="utf-8")
        assert text.count("(write here what it should say)") == 1
        emitted.file.write_text(text.replace('"about": "mail is full", ', "").replace(
            "(write here what it should say)", "mail is full"), encoding="utf-8")  # fmt: skip
    bench.rules.write_text(RIGHT, encoding="utf-8")
    assert bench.passes(emitted.file), bench.promtool.test_rules([emitted.file]).stderr
    assert bench.strict() == 0


def test_of_a_draft_there_is_none(bench: Bench) -> None:
    bench.contracts.write_text(CONTRACT.replace("    op:", "    draft: true\n    op:"), encoding="utf-8")
    verdict, emitted = bench.emit(RIGHT)
    assert verdict is Verdict.DRAFT
    assert emitted.file is None
    assert list(bench.out.glob("*.test.yml")) == []
