"""Rules of other projects: what Prometheus loads, we load; what we refuse, Prometheus refuses too."""

from __future__ import annotations

from pathlib import Path

import pytest
from cut import unlike

from harness.engines.promtool import Promtool
from harness.errors import HarnessError, InputError, UnsupportedError
from harness.prometheus import DEFAULTS
from harness.rules import RuleFile, load_rule_file
from harness.rules.expr import comparisons, reach_ms, subquery_steps_ms
from harness.rules.selectors import metric_names

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus" / "rules"
FILES = sorted(path for path in CORPUS.rglob("*") if path.suffix in (".yml", ".yaml", ".rules"))

pytestmark = pytest.mark.skipif(not FILES, reason=f"no corpus of rules in ../{CORPUS.relative_to(CORPUS.parents[2])}")


@pytest.fixture(scope="module")
def loaded() -> tuple[list[RuleFile], dict[Path, HarnessError]]:
    """The files that load, and why the others do not."""
    files, refused = [], {}
    for path in FILES:
        try:
            files.append(load_rule_file(path))
        except (InputError, UnsupportedError) as err:
            refused[path] = err
    return files, refused


def test_what_we_refuse_promtool_refuses(
    loaded: tuple[list[RuleFile], dict[Path, HarnessError]], promtool_path: Path
) -> None:
    promtool = Promtool(promtool_path)
    accepted = {}
    for path, err in loaded[1].items():
        assert err.message
        # A file without rules is legal for Prometheus, and of no use to anybody.
        if "holds no rules" not in err.message and not promtool.check_rules([path], lint=False):
            accepted[path.name] = str(err)
    assert accepted == {}


def test_what_we_load_promtool_loads(
    loaded: tuple[list[RuleFile], dict[Path, HarnessError]], promtool_path: Path
) -> None:
    files = [file.path for file in loaded[0]]
    assert len(files) > 0.9 * len(FILES)
    assert [str(problem) for problem in Promtool(promtool_path).check_rules(files, lint=False)] == []


def test_every_expression_is_understood_or_refused_by_name(
    loaded: tuple[list[RuleFile], dict[Path, HarnessError]],
) -> None:
    refused: list[str] = []
    compared = seen = 0
    for file in loaded[0]:
        for group in file.groups:
            for rule in group.rules:
                seen += 1
                compared += bool(comparisons(rule.expr))
                assert all(step > 0 for step in subquery_steps_ms(rule.expr, DEFAULTS))
                try:
                    assert reach_ms(rule.expr, DEFAULTS) >= (300_000 if metric_names(rule.expr) else 0)
                except UnsupportedError as err:
                    refused.append(err.message)
    assert seen > 1000
    assert compared > seen / 3
    assert all("`@`" in message or "negative offset" in message for message in refused)
    assert len(refused) < seen / 100


def test_every_part_of_every_expression_comes_back_from_its_own_text(
    loaded: tuple[list[RuleFile], dict[Path, HarnessError]],
) -> None:
    rules = [rule for file in loaded[0] for group in file.groups for rule in group.rules]
    assert [(rule.span, kind, cut) for rule in rules for kind, cut in unlike(rule.expr)] == []
