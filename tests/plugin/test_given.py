"""The fixtures in tests of hypothesis, and failures of one's own tests: what a reader of pytest's output sees."""

from __future__ import annotations

from pathlib import Path

from tests.plugin.plugin_project import Pytest

GIVEN = '''\
from hypothesis import example, given, settings
from hypothesis import strategies as st

seen = set()


@settings(max_examples=80, deadline=None)
@given(values=st.lists(st.integers(70, 90), min_size=1, max_size=12), job=st.sampled_from("abc"))
@example(values=[81] * 6, job="a")  # which chance need not bring
@example(values=[80] * 6, job="a")
def test_replay(replay, values, job):
    """By the rule's words: above 80 without a break for five minutes."""
    stories = replay("rules/r.yml", {f'good_level{{job="{job}"}}': values}, until=f"{len(values) - 1}m", alert="Good")
    ran, fired = 0, False
    for value in values:
        ran = ran + 1 if value > 80 else 0
        fired |= ran > 5
    assert any("firing" in str(story) for story in stories["Good"]) is fired
    assert {story.labels["job"] for story in stories["Good"]} <= {job}
    seen.add(fired)


@settings(max_examples=40, deadline=None)
@given(name=st.from_regex("[a-z]{1,8}", fullmatch=True), value=st.integers(-9, 9))
def test_an_empty_prometheus_for_each_example(prometheus_factory, name, value):
    bench = prometheus_factory().samples({name: [value]})
    assert bench.query("{__name__=~'.+'}", at=0) == {name: value}


def test_both_came_up():
    assert seen == {True, False}
'''


def test_given_works_with_the_fixtures(project: Path, run_pytest: Pytest) -> None:
    """More than a hundred examples, each of which sees nothing of the others, and no health check complains."""
    (project / "tests" / "test_given.py").write_text(GIVEN, encoding="utf-8")
    done = run_pytest("-q", "-p", "no:randomly", "-p", "no:xdist", "tests/test_given.py", others=True)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


FAILING = """\
from hypothesis import given
from hypothesis import strategies as st
from harness.strategies import Trial


def test_expression(prometheus):
    prometheus.query("sum by (job) (up) + rate(up)", at="5m")


def test_values(replay):
    replay("rules/r.yml", {"up": "1 2 3,4"}, until="5m")


@given(st.integers(0, 9))
def test_example(replay, n):
    replay("rules/r.yml", {"up": [n]}, until="5m")["Godd"]


def test_trial(prometheus, alert_rules):
    trial = Trial(prometheus.slots, alert_rules.files, alert_rules.contract("Wrong"))
    trial.agrees([79, 80, 81], lambda x: trial.signal(x), lambda x: x > 80)


def test_promtool(promtool):
    promtool.test_rules("nowhere.test.yml")


def test_rules(prometheus):
    prometheus.load("rules/none.yml")
"""


def test_failures_are_told_once_and_at_the_tests_own_line(project: Path, run_pytest: Pytest) -> None:
    (project / "tests" / "test_failing.py").write_text(FAILING, encoding="utf-8")
    options = ["-q", "-p", "no:randomly", "-p", "no:xdist", "--alert-rules", "rules", "-m", "not alert_rules"]
    done = run_pytest(*options, "tests", others=True)
    assert "6 failed" in done.stdout, done.stdout
    once = [
        "query:1:26: Prometheus cannot read this: expected type range vector in call to function \"rate\"",
        "    1 | sum by (job) (up) + rate(up)\nE     |                          ^",
        "values:1:6: up: cannot read `3,4` in the values of a series",
        "there is no alert `Godd` (did you mean `Good`?)",
        "Wrong must stay quiet, but fires, for 80 (rules/r.yml:9:16)",
        "there is no file nowhere.test.yml",
        "rules/none.yml does not exist",
        ">       prometheus.query(\"sum by",
        ">       trial.agrees([79",
    ]  # fmt: skip
    failures = done.stdout.partition("short test summary info")[0]
    told = failures.replace("E       ", "")
    assert [text for text in once if told.replace("E       ", "").count(text.replace("E     |", "      |")) != 1] == []
    for ours in ("harness/plugin", "harness/strategies.py", "contextlib", "During handling", "direct cause"):
        assert ours not in failures, failures
