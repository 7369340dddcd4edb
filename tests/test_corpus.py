"""Many rule files: what Prometheus loads, we load; what we refuse, Prometheus refuses too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cli import main
from harness.engines.promtool import Promtool
from harness.errors import HarnessError, InputError, UnsupportedError
from harness.prometheus import DEFAULTS
from harness.rules import RuleFile, load_rule_file
from harness.rules.expr import comparisons, reach_ms, subquery_steps_ms
from harness.rules.selectors import metric_names
from tests.cut import unlike
from tests.foreign import corpus

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = corpus("rules")
WRONG = [
    "rules: [{alert: A, exprr: up}]",
    "rules: [{alert: A, expr: up, for: a while}]",
    "rules: [{alert: A, record: a, expr: up}]",
    "interval: 1, rules: [{alert: A}]",
    "rules: [{expr: up}]",
]


@dataclass(frozen=True)
class Collection:
    """Rule files: how many there are, those that load, and why the others do not."""

    size: int
    loaded: list[RuleFile]
    refused: dict[Path, HarnessError]


def own(folder: Path) -> list[Path]:
    """The rule files of this repository, those that it makes of its objectives, and some that nobody loads."""
    folders = (ROOT / "rules", ROOT / "examples", ROOT / "tests" / "suites" / "fixtures", ROOT / "tests" / "cli")
    files = sorted(file for each in folders for file in each.rglob("*.yml") if _has_rules(file))
    assert main(["--config", str(ROOT / "pyproject.toml"), "slo", "compile", "-o", str(folder)]) == 0
    files += sorted((folder / "rules").glob("*.yml"))
    for number, text in enumerate(WRONG):
        wrong = folder / f"wrong-{number}.yml"
        wrong.write_text(f"groups: [{{name: g, {text}}}]\n", encoding="utf-8")
        files.append(wrong)
    return files


def _has_rules(file: Path) -> bool:
    text = file.read_text(encoding="utf-8")
    return bool(re.search(r"^groups:", text, re.MULTILINE) and re.search(r"^ +(- )?expr:", text, re.MULTILINE))


@pytest.fixture(scope="module", params=["own", *(["foreign"] if FOREIGN else [])])
def collection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    paths = FOREIGN if request.param == "foreign" else own(tmp_path_factory.mktemp("own"))
    loaded: list[RuleFile] = []
    refused: dict[Path, HarnessError] = {}
    for path in paths:
        try:
            loaded.append(load_rule_file(path))
        except (InputError, UnsupportedError) as err:
            refused[path] = err
    if request.param == "own":
        assert len(refused) == len(WRONG) + 1
    return Collection(len(paths), loaded, refused)


def test_what_we_refuse_promtool_refuses(collection: Collection, promtool_path: Path) -> None:
    promtool = Promtool(promtool_path)
    accepted = {}
    for path, err in collection.refused.items():
        assert err.message
        # Legal for Prometheus are a file without rules, of no use to anybody, and several documents (it reads one).
        legal = "holds no rules" in err.message or "holds several" in err.message
        if not legal and not promtool.check_rules([path], lint=False):
            accepted[path.name] = str(err)
    assert accepted == {}


def test_what_we_load_promtool_loads(collection: Collection, promtool_path: Path) -> None:
    files = [file.path for file in collection.loaded]
    assert len(files) > 0.8 * collection.size
    assert [str(problem) for problem in Promtool(promtool_path).check_rules(files, lint=False)] == []


def test_every_expression_is_understood_or_refused_by_name(collection: Collection) -> None:
    refused: list[str] = []
    compared = seen = 0
    for file in collection.loaded:
        for group in file.groups:
            for rule in group.rules:
                seen += 1
                compared += bool(comparisons(rule.expr))
                assert all(step > 0 for step in subquery_steps_ms(rule.expr, DEFAULTS))
                try:
                    assert reach_ms(rule.expr, DEFAULTS) >= (300_000 if metric_names(rule.expr) else 0)
                except UnsupportedError as err:
                    refused.append(err.message)
    assert seen > 120
    assert compared > seen / 3
    assert all("`@`" in message or "negative offset" in message for message in refused)
    assert len(refused) < seen / 100


def test_every_part_of_every_expression_comes_back_from_its_own_text(collection: Collection) -> None:
    rules = [rule for file in collection.loaded for group in file.groups for rule in group.rules]
    assert [(rule.span, kind, cut) for rule in rules for kind, cut in unlike(rule.expr)] == []
