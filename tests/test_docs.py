"""The documentation says what is true: generated help, working links, commands that exist."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import build_parser
from harness.config import Config
from harness.proof import Verdict
from harness.settings import Kind, settings_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HELP = re.compile(r"```\n\$ alert-harness (?P<command>[\w ]*)--help\n(?P<shown>.*?)```", re.DOTALL)


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
            f"```\n$ alert-harness {match['command']}--help\n{_help(match['command'], monkeypatch, capsys)}```"
        ),
        text,
    )
    if os.environ.get("UPDATE_DOCS") == "1":
        page.write_text(true, encoding="utf-8")
        return
    assert text == true


def _settings_table() -> str:
    rows = ["| setting | value | default | what it is |", "|---|---|---|---|"]
    for each in settings_of(Config):
        if each.kind is Kind.SWITCH:
            default = str(each.default).lower()
        else:
            default = json.dumps(each.default) if each.default else ""
        name = f"{each.key}` in `[tool.alert-harness.{each.table}]" if each.table else each.key
        rows.append(f"| `{name}` | {each.kind} | {default and f'`{default}`'} | {each.help} |")
    return "\n".join(rows) + "\n"


def test_the_table_of_settings_is_what_is_read() -> None:
    """`UPDATE_DOCS=1 pytest tests/test_docs.py` writes it anew."""
    page = ROOT / "docs" / "settings.md"
    text = page.read_text(encoding="utf-8")
    before, _, _ = text.partition("| setting | value |")
    if os.environ.get("UPDATE_DOCS") == "1":
        page.write_text(before + _settings_table(), encoding="utf-8")
        return
    assert text == before + _settings_table()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def commands(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[str]:
    """What can be run, by its words: `prove`, `slo report`."""
    below = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield " ".join(words)
    for choices in below:
        for name, each in choices.items():
            yield from commands(each, (*words, name))


def test_every_command_is_shown_with_all_its_options() -> None:
    """As its own `--help`, which another test compares; and what all commands have, as that of none."""
    known = set(commands(build_parser()))
    assert {"prove", "slo report", "stack up"} <= known
    shown = {match["command"].strip() for page in PAGES for match in HELP.finditer(page.read_text(encoding="utf-8"))}
    assert known - shown == set(), "commands without their help in docs/"
    assert shown - known == {""}


def test_the_table_of_commands_is_whole() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`([\w ]+)`", row)]
    assert sorted(listed) == sorted(commands(build_parser()))


def test_what_the_readme_calls_is_there() -> None:
    calls = re.findall(r"^    alert-harness (.*?)(?:\s{2,}#.*)?$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(calls) > 10
    for words in calls:
        build_parser().parse_args(words.split())


def test_make_targets_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {page.name: set(re.findall(r"`make ([a-z-]+)|^    make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE))
             for page in PAGES}  # fmt: skip
    assert ("", "verify") in named["README.md"]
    wanted = {name: {a or b for a, b in found} for name, found in named.items()}
    assert {name: missing for name, found in wanted.items() if (missing := found - targets)} == {}


def test_every_verdict_is_explained() -> None:
    text = (ROOT / "docs" / "prove.md").read_text(encoding="utf-8")
    assert [verdict.value for verdict in Verdict if f"`{verdict.value}`" not in text] == []


def test_the_picture_fetches_nothing() -> None:
    svg = (ROOT / "docs" / "images" / "prove.svg").read_text(encoding="utf-8")
    assert "@import" not in svg
    assert "src:" not in svg
    assert not re.search(r'(?:href|url)\s*[=(]\s*["\']?https?:', svg)
