"""The public face: docs/api.md runs as it stands there, and only what it promises is public."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import harness
from harness.engines import Samples
from harness.engines.process import ProcessEngine
from harness.series import labels_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SERVER = "http://127.0.0.1:9090"
_MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def began_ms() -> int:
    """When the server's history begins: three hours ago, on a minute."""
    return (round(time.time() * 1000) // _MINUTE_MS - 180) * _MINUTE_MS


@pytest.fixture(scope="module")
def url(prometheus_path: Path, began_ms: int) -> Iterator[str]:
    """A server on which a target was down from the 10th to the 15th minute, scraped on the ticks."""
    times = [began_ms + i * _MINUTE_MS for i in range(175)]
    values = [0.0 if 10 <= i <= 15 else 1.0 for i in range(175)]
    with ProcessEngine(prometheus_path) as engine:
        engine.write([Samples(labels_of("up", {"job": "a", "instance": "b"}), times, values)])
        yield engine.url


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_code_on_the_page_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = list(re.finditer(r"```python\n(.*?)```", PAGE, re.DOTALL))
    assert len(code) >= 8
    names: dict[str, object] = {}
    for block in code:
        above = "\n" * PAGE.count("\n", 0, block.start(1))  # so that a failure names the page's line
        exec(compile(above + block[1].replace(SERVER, url), "docs/api.md", "exec"), names)
    said = capsys.readouterr().out
    assert "'instance': 'b'" in said
    assert " firing at " in said
    assert "recordings no data nothing was measured" in said


def test_every_public_name_is_on_the_page_or_an_answer() -> None:
    calls = [name for name in harness.__all__ if name[0].islower() and not name.startswith("_")]
    assert len(calls) == 10
    assert [name for name in calls if name not in PAGE] == []


def test_public_names_stand_once_in_each_list() -> None:
    """What type checkers see, what is imported lazily and ``__all__`` are the same names from the same places."""
    source = ast.parse((ROOT / "harness" / "__init__.py").read_text(encoding="utf-8"))
    (seen,) = [node for node in source.body if isinstance(node, ast.If)]
    typed = {a.name: n.module for n in seen.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert typed == harness._HOME
    assert sorted(harness.__all__) == sorted([*typed, "__version__"])
    assert [name for name in harness.__all__ if not hasattr(harness, name)] == []
    assert set(harness.__all__) <= set(dir(harness))


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'harness' has no attribute 'prove_alert'"):
        _ = harness.prove_alert


def test_the_import_alone_loads_nothing() -> None:
    program = "import sys, harness; print(*(name for name in sys.modules if name.startswith('harness')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["harness"]


def test_a_history_is_replayed_as_the_same_series_are(url: str, began_ms: int) -> None:
    rules = harness.load_rules("rules/application.yml")
    begin, end = (datetime.fromtimestamp((began_ms + at * _MINUTE_MS) / 1000, UTC) for at in (5, 60))
    (told,) = harness.replay_history(rules, url, begin, end, alert="ServiceDown")["ServiceDown"]
    series = {'up{job="a", instance="b"}': [1.0] * 10 + [0.0] * 6 + [1.0] * 45}
    (played,) = harness.replay_series("rules/application.yml", series, until="60m")["ServiceDown"]
    assert told.labels == played.labels
    assert [state for _, state in told.changes] == [state for _, state in played.changes]
    at = [datetime.strptime(when, "%Y-%m-%d %H:%M %Z").replace(tzinfo=UTC) for when, _ in told.changes]
    minutes = [f"{round(each.timestamp() * 1000 - began_ms) // _MINUTE_MS}m" for each in at]
    assert minutes == [when for when, _ in played.changes] == ["10m", "11m", "16m"]


def test_a_history_that_ends_before_it_begins(url: str) -> None:
    now = datetime.now(UTC)
    with pytest.raises(harness.InputError, match="not before its end"):
        harness.replay_history([], url, now, now)


def test_an_alert_that_there_is_none_of() -> None:
    stories = harness.replay_series("rules/application.yml", {"up": "1"}, until="0m")
    with pytest.raises(harness.InputError, match=r"there is no alert `ServiceDwn` \(did you mean `ServiceDown`"):
        _ = stories["ServiceDwn"]


def test_every_mistake_in_rules_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(
        "groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'up +'}\n  - {alert: B, expr: 'up', fro: 5m}\n",
        encoding="utf-8",
    )
    with pytest.raises(harness.HarnessError) as caught:
        harness.load_rules(tmp_path / "r.yml")
    assert "r.yml:5" in str(caught.value) or "r.yml:4" in str(caught.value)


def test_alerts_without_a_contract_are_results_too() -> None:
    rules = harness.load_rules("rules/application.yml")
    contracts = harness.load_contracts("rules/contracts/application.yml")
    results = harness.prove_alerts(rules, [one for one in contracts if one.alert.value == "ServiceDown"])
    verdicts = {result.alert: result.verdict for result in results}
    assert verdicts.pop("ServiceDown") is harness.Verdict.EXACT
    assert set(verdicts.values()) == {harness.Verdict.UNEXPECTED}
