"""docs/getting-started.md, word by word in an empty folder; and the example project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "getting-started.md"
COMMANDS = Path(sys.executable).parent
_STEP = re.compile(
    r"(?:[Ss]ave this as `(?P<file>[^`]+)`(?:(?!```).)*?```yaml\n(?P<text>.*?)```)|(?:```console\n(?P<shown>.*?)```)",
    re.DOTALL,
)


@pytest.fixture
def environ(prometheus_path: Path, promtool_path: Path) -> dict[str, str]:
    return os.environ | {
        "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}",
        "ALERT_HARNESS_PROMETHEUS": str(prometheus_path),
        "ALERT_HARNESS_PROMTOOL": str(promtool_path),
        "NO_COLOR": "1",
    }


def run(command: str, folder: Path, environ: dict[str, str]) -> str:
    assert command.startswith("alert-harness ")
    done = subprocess.run(
        command.split(), cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def matches(shown: str, got: str) -> bool:
    """Line by line; `[...]` stands for any lines, `[..]` for anything within one."""
    wanted = "\n".join(line.rstrip() for line in shown.strip("\n").splitlines())
    pattern = re.escape(wanted).replace(re.escape("[...]"), r"[\s\S]*").replace(re.escape("[..]"), r"[^\n]*")
    said = "\n".join(line.rstrip() for line in got.strip("\n").splitlines())
    return re.fullmatch(pattern, said) is not None


def test_word_by_word(tmp_path: Path, environ: dict[str, str]) -> None:
    """`UPDATE_DOCS=1 pytest tests/test_getting_started.py` writes the answers anew; read them."""
    page = PAGE.read_text(encoding="utf-8")
    answers, ran = [], []
    for step in _STEP.finditer(page):
        if step["file"]:
            file = tmp_path / step["file"]
            file.parent.mkdir(exist_ok=True)
            file.write_text(step["text"], encoding="utf-8")
            continue
        first, _, answer = step["shown"].partition("\n")
        assert first.startswith("$ ")
        got = run(first[2:], tmp_path, environ)
        ran.append(first)
        if os.environ.get("UPDATE_DOCS") == "1":
            lines = "\n".join(line.rstrip() for line in got.strip("\n").splitlines())
            lines = re.sub(r"(?<=Prometheus )\d[\w.]*|(?<=promtool )\d[\w.]*", "[..]", lines)
            lines = re.sub(r"    --  prove in a container:.*", "[...]", lines)
            answers.append((step.start("shown"), step.end("shown"), f"{first}\n{lines}\n"))
        else:
            assert matches(answer, got), f"{first}\n{got}"
    assert len(ran) == 4
    for start, end, text in reversed(answers):
        page = page[:start] + text + page[end:]
    if answers:
        PAGE.write_text(page, encoding="utf-8")
    assert (tmp_path / "build" / "report" / "index.html").is_file()
    assert (tmp_path / "build" / "junit.xml").is_file()


def test_it_begins_with_a_failure_and_ends_exact() -> None:
    answers = [m["shown"] for m in _STEP.finditer(PAGE.read_text(encoding="utf-8")) if m["shown"]]
    assert "off threshold" in answers[1]
    assert "exact" in answers[2]
    assert "YES" in answers[3]


def test_the_install_command_is_the_one_of_the_readme() -> None:
    assert "```sh\npip install .\n```" in PAGE.read_text(encoding="utf-8")
    assert "pip install .  " in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.system
def test_the_example_is_exact_and_ends_in_yes(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = tmp_path / "thumbnails"
    shutil.copytree(ROOT / "examples" / "thumbnails", folder, ignore=shutil.ignore_patterns("build"))
    got = run("alert-harness verify", folder, environ)
    assert "YES: 2 alerts fire exactly as meant." in got
    assert "report: build/report/index.html" in got
    strict = run("alert-harness test --strict --report none", folder, environ)
    assert "1 of 1 file passed, 5 of 5 assertions" in strict
