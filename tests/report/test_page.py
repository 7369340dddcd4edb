"""The HTML page as a browser, a keyboard and a screen reader meet it; needs Chromium, node and npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from needs import refuse_to_skip

from harness.contracts import load_contracts
from harness.live.model import Attempt, Delivery, LiveReport, LiveResult, LiveVerdict
from harness.proof.model import AlertResult, Finding, SituationResult, Verdict
from harness.report.html import page_html
from harness.report.outcome import Outcome, Proved
from harness.stack.load import Tally
from harness.stack.run import Episode, ScenarioResult, judge
from harness.stack.scenario import load_scenario

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ("axe-core@4.10.3", "playwright-core@1.55.0")
HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\"' onmouseover=alert(1) x=\"'`</pre></svg></style><script>alert(2)</script>",
    "\u202egnp.exe \u2066\u05d0\u05d1\u05d2\u2069 \x1b[31m\x00\x07 \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "long" * 2500,
    "javascript:alert(3)//]]>--><!-- {{ 7*7 }} {% raw %}",
]


def hostile(outcome: Outcome) -> Outcome:
    """Every text of a result replaced by something that means harm."""
    assert outcome.proof is not None
    results: list[AlertResult] = []
    for text in HOSTILE:
        old = next(r for r in outcome.proof.results if r.contract is not None and r.measured.facts)
        assert old.contract is not None
        knob = replace(old.contract.knob, name=text, unit=text[:30])
        contract = replace(old.contract, means=text, knob=knob, severity=text, identifies={"a": text})
        situations = [SituationResult(text, "quiet", "fires", text), *old.situations[:2]]
        findings = [Finding(Verdict.OFF_THRESHOLD, reason) for reason in (text, f"{text}; {text}")]
        result = AlertResult(text, contract, old.located, old.measured, situations, findings, notes=[text])
        result.annotations, result.labels, result.pinned = {text: text}, {"job": text, text: "x"}, text
        results.append(result)
    return Outcome(Proved(results, "process", "3.5.3"), outcome.suites, problems=[HOSTILE[0]])


def played(text: str) -> Outcome:
    """A scenario that went wrong in every way that is drawn, named by a text that means harm."""
    scenario = replace(load_scenario(ROOT / "fixtures" / "scenarios" / "error-burst.yml"), name=text, means=text)
    minute = 60_000
    episodes = (
        Episode("HighErrorRate", {"job": text}, 8 * minute, 13 * minute, 21 * minute),
        Episode("HighCPUUsage", {"instance": text}, 2 * minute, 7 * minute, None),
        Episode(text, {text: text}, None, 9 * minute, 10 * minute),
        Episode("NoActiveStreams", {}, 3 * minute, None, 4 * minute),
    )
    tally = Tally(unanswered=3, not_sent=2)
    tally.answered["GET", text, "500"] = 7
    result = ScenarioResult(
        scenario, "process", 60, 1, 1.0, 28.0, tuple(judge(scenario, episodes)), episodes, tally, 8, 1
    )
    assert not result.passed
    return Outcome(scenario=result)


def run_live(text: str) -> Outcome:
    """A live run in which one alert is exact and one is not, in texts that mean harm."""
    first, second = load_contracts([ROOT / "rules" / "contracts" / "business.yml"])[:2]
    told = Delivery(text, "firing", 14_000, {"alertname": text, text: text}, {"summary": text}, {"job": text})
    exact = LiveResult(
        first.alert.value, first, None, Fraction(1), Fraction(0), True, 60_000, 1_000, 2_000, 12_000, 15_000
    )
    exact.hold_ticks, exact.delivered, exact.resolved = 10, told, replace(told, status="resolved", at_ms=17_000)
    wrong = LiveResult(text, second, None, notes=[text], moved_ms=1_000, pending_ms=3_000, interval_ms=60_000)
    wrong.find(LiveVerdict.NEVER_FIRES, text)
    report = LiveReport([exact, wrong], 60, "process", "3.5.3", "0.33.1", text, [Attempt(120, text)], {"running": 20.0})
    assert exact.exact
    assert not report.exact
    return Outcome(live=report)


@pytest.fixture(scope="session")
def modules() -> Path:
    """A folder with playwright-core and axe-core, from npm's own cache or registry; never in the project."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        refuse_to_skip("no node and npm for the browser tests")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache) / "alert-harness" / "test-npm" / "-".join(PACKAGES).replace("@", "_")
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        asked = [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        run = subprocess.run(asked, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
        if run.returncode:
            refuse_to_skip(f"npm could not install {', '.join(PACKAGES)}: {run.stderr.strip()[-300:]}")
        (folder / "done").touch()
    return folder


@pytest.fixture(scope="session")
def seen(modules: Path, good: Outcome, bad: Outcome, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What Chromium saw on the pages: good, bad, hostile, unit tests alone; each narrow and dark, wide and light."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        refuse_to_skip("no Chromium for the browser tests")
    folder = tmp_path_factory.mktemp("pages")
    pages = {"good": good, "bad": bad, "hostile": hostile(good), "suites": Outcome(suites=bad.suites)}
    pages |= {"played": played(HOSTILE[0]), "live": run_live(HOSTILE[1])}
    for name, outcome in pages.items():
        (folder / f"{name}.html").write_text(page_html(outcome), encoding="utf-8")
    with tempfile.TemporaryDirectory() as home:
        run = subprocess.run(
            ["node", HERE / "open_page.mjs", modules, browser, *(folder / f"{name}.html" for name in pages)],
            capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"HOME": home},
        )  # fmt: skip
    assert run.returncode == 0, run.stderr
    views: list[dict[str, Any]] = json.loads(run.stdout)
    for view in views:
        view["name"] = Path(view["file"]).stem
    return views


def opened(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    views = [view for view in seen if "width" in view]
    assert len(views) == 6 * 2
    return views


def where(view: dict[str, Any]) -> str:
    return f"{view['name']} {view['colorScheme']} {view['width']}"


def no_console_error_and_no_request_leaves_the_file(seen: list[dict[str, Any]]) -> None:
    for view in opened(seen):
        assert view["console"] == [], where(view)
        assert [url for url in view["requests"] if not url.startswith(("file:", "data:"))] == [], where(view)
        assert [url for url in view["requests"] if url.startswith("file:")] == [Path(view["file"]).as_uri()]


def no_sideways_scrolling(seen: list[dict[str, Any]]) -> None:
    for view in opened(seen):
        assert view["scrollWidth"] <= view["innerWidth"] == view["width"], where(view)
        if view["name"] != "hostile":
            assert view["outside"] == [], where(view)


def charts_have_marks(seen: list[dict[str, Any]]) -> None:
    for view in opened(seen):
        if view["name"] in ("good", "bad"):
            assert len(view["charts"]) >= 4 * 6, where(view)
            assert min(view["charts"]) >= 2, where(view)
        if view["name"] in ("played", "live"):
            assert len(view["charts"]) == 1, where(view)
            assert max(view["charts"]) >= 5, where(view)


def axe_finds_nothing_serious(seen: list[dict[str, Any]]) -> None:
    assert {view["colorScheme"] for view in opened(seen)} == {"light", "dark"}
    for view in opened(seen):
        assert view["violations"] == [], where(view)


def what_means_harm_is_text(seen: list[dict[str, Any]]) -> None:
    for view in opened(seen):
        assert (view["scripts"], view["handlers"], view["dialogs"], view["foreign"]) == (0, 0, 0, []), where(view)
        assert "\u202e" not in view["text"]
        assert "\x1b" not in view["text"]
        if view["name"] == "hostile":
            assert "<script>alert(1)</script>" in view["text"]
            assert "{{ 7*7 }}" in view["text"]
            assert "\ufffdgnp.exe" in view["text"]
            assert "(10,000 characters)" in view["text"]
    assert [view["inert"] for view in seen if "inert" in view] == [True] * 6  # the page's policy stops any script


def keyboard_and_print(seen: list[dict[str, Any]]) -> None:
    for view in opened(seen):
        if "firstFocus" in view:
            assert view["firstFocus"] == "Skip to the content"
            assert view["printedDetails"] is True, where(view)


def the_summary_answers_first(seen: list[dict[str, Any]]) -> None:
    texts = {view["name"]: view["text"] for view in opened(seen)}
    assert "Yes: every alert fires exactly as meant." in texts["good"]
    assert "No: 7 of 10 alerts are not as meant" in texts["bad"]
    assert "Unit tests" in texts["suites"]
    assert "No: 1 alert is not delivered as meant" in texts["live"]
    assert "No: the scenario did not end as expected" in texts["played"]


def test_the_page_in_a_browser(seen: list[dict[str, Any]]) -> None:
    """One test, so that pytest-xdist opens the browser once."""
    problems = []
    for check in (
        no_console_error_and_no_request_leaves_the_file,
        no_sideways_scrolling,
        charts_have_marks,
        axe_finds_nothing_serious,
        what_means_harm_is_text,
        keyboard_and_print,
        the_summary_answers_first,
    ):
        try:
            check(seen)
        except AssertionError as err:
            problems.append(f"{check.__name__}: {err}")
    assert not problems, "\n\n".join(problems)


def test_a_hundred_alerts_stay_under_a_megabyte(good: Outcome, bad: Outcome) -> None:
    for outcome in (good, bad):
        assert outcome.proof is not None
        hundred = (list(outcome.proof.results) * 12)[:100]
        page = page_html(replace(outcome, proof=replace(outcome.proof, results=hundred)))
        assert page.count('<section aria-labelledby="alert-') == 100
        assert len(page.encode()) < 1_000_000


def test_hostile_names_cannot_swell_the_page(good: Outcome) -> None:
    assert len(page_html(hostile(good)).encode()) < 200_000
