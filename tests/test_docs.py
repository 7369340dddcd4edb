"""The documentation says what is true: generated help, working links, commands that exist."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from harness.cli import build_parser
from harness.proof import Verdict

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HELP = re.compile(r"```\n\$ alert-harness (?P<command>[\w ]+) --help\n(?P<shown>.*?)```", re.DOTALL)


def _help(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1")  # Python 3.14 would obey
    with pytest.raises(SystemExit) as done:
        build_parser().parse_args([*command.split(), "--help"])
    assert done.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("page", [p for p in PAGES if HELP.search(p.read_text(encoding="utf-8"))], ids=lambda p: p.name)
def test_help_in_the_docs_is_what_the_command_prints(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`UPDATE_DOCS=1 pytest tests/test_docs.py` writes it anew."""
    text = page.read_text(encoding="utf-8")
    true = HELP.sub(
        lambda match: (
            f"```\n$ alert-harness {match['command']} --help\n{_help(match['command'], monkeypatch, capsys)}```"
        ),
        text,
    )
    if os.environ.get("UPDATE_DOCS") == "1":
        page.write_text(true, encoding="utf-8")
        return
    assert text == true


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_command_and_option_is_documented() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for words in re.findall(r"^    (alert-harness .*?)(?:\s{2,}#.*)?$", (ROOT / "README.md").read_text(), re.MULTILINE):
        arguments = build_parser().parse_args(words.split()[1:])
        assert f"alert-harness {arguments.command}" in text


def test_make_targets_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+) ", (ROOT / "README.md").read_text(encoding="utf-8"))) <= targets


def test_every_verdict_is_explained() -> None:
    text = (ROOT / "docs" / "prove.md").read_text(encoding="utf-8")
    assert [verdict.value for verdict in Verdict if f"`{verdict.value}`" not in text] == []


def test_the_picture_fetches_nothing() -> None:
    svg = (ROOT / "docs" / "images" / "prove.svg").read_text(encoding="utf-8")
    assert "@import" not in svg
    assert "src:" not in svg
    assert not re.search(r'(?:href|url)\s*[=(]\s*["\']?https?:', svg)
