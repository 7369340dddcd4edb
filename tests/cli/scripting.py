"""Text scripts for the command line: files, a command, and its answer; scripts/README.md is the guide."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.cli import main

SCRIPTS = Path(__file__).resolve().parent / "scripts"
COMMAND = Path(sys.executable).with_name("alert-harness")
_FILE = re.compile(r"-- (\S+) --")


@dataclass(slots=True)
class Scenario:
    """One command with its files and its answer."""

    script: Path
    title: str
    line: int
    tags: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    replacements: list[tuple[str, str, str]] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    command: str = ""
    code: int = -1
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    answer_at: tuple[int, int] = (0, 0)
    """First line of the answer and the line behind its last, 0-based; what UPDATE_SCRIPTS=1 writes anew."""

    @property
    def id(self) -> str:
        return f"{self.script.stem}: {self.title}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command answered."""

    code: int
    stdout: str
    stderr: str


def read_script(path: Path) -> list[Scenario]:
    """The scenarios of a script; AssertionError for a line that says nothing to us."""
    lines = path.read_text(encoding="utf-8").split("\n")
    common: dict[str, bytes] = {}
    tags: list[str] = []
    scenarios: list[Scenario] = []
    now: Scenario | None = None
    file: list[str] | None = None
    name = ""

    def close() -> None:
        nonlocal file
        if file is not None:
            while file and not file[-1]:
                file.pop()
            text = "".join(f"{text}\n" for text in file)
            (common if now is None else now.files)[name] = text.encode()
        file = None

    for number, line in enumerate(lines):
        if line.startswith("== "):
            close()
            now = Scenario(path, line[3:], number + 1, list(tags), dict(common))
            scenarios.append(now)
        elif match := _FILE.fullmatch(line):
            close()
            file, name = [], match[1]
        elif line.startswith("chmod ") and now is not None:
            close()
            now.programs.append(line[6:])
        elif line.startswith("$ ") and now is not None:
            close()
            now.command = line[2:]
            now.answer_at = (number + 1, number + 1)
        elif file is not None:
            file.append(line)
        elif not line or line.startswith("#"):
            pass
        elif line.startswith("use "):
            shared = path.parent / line[4:]
            common |= {str(p.relative_to(shared)): p.read_bytes() for p in shared.rglob("*") if p.is_file()}
        elif line.startswith("tag "):
            (tags if now is None else now.tags).extend(line.split()[1:])
        else:
            assert now is not None, f"{path.name}:{number + 1}: {line}"
            _directive(now, line, number, f"{path.name}:{number + 1}: {line}")
    close()
    assert len({s.title for s in scenarios}) == len(scenarios), f"two scenarios of one title in {path.name}"
    return scenarios


def _directive(now: Scenario, line: str, number: int, where: str) -> None:
    word, _, rest = line.partition(" ")
    if word == "replace":
        file, _, change = rest.partition(": ")
        old, arrow, new = change.partition(" => ")
        assert arrow, where
        now.replacements.append((file, _unescape(old), _unescape(new)))
    elif word == "env":
        variable, _, value = rest.partition("=")
        now.environ[variable] = _unescape(value)
    elif word == "bytes":
        file, _, text = rest.partition(": ")
        now.files[file] = text.encode().decode("unicode_escape").encode("latin-1")
    elif word == "folder":
        now.folders.append(rest)
    elif word == "remove":
        now.files.pop(rest)
    elif word in ("exit", "1>", "2>"):
        assert now.command, where
        now.answer_at = (now.answer_at[0], number + 1)
        if word == "exit":
            now.code = int(rest)
        else:
            (now.stdout if word == "1>" else now.stderr).append(rest)
    else:
        raise AssertionError(where)


def _unescape(text: str) -> str:
    r"""``\n``, ``\t``, ``\r``, ``\e``, ``\x41`` and ``\u202e`` as their characters; everything else stays."""
    simple = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "\\": "\\"}
    return re.sub(
        r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|([ntre\\]))",
        lambda m: simple[m[3]] if m[3] else chr(int(m[1] or m[2], 16)),
        text,
    )


def lay_out(scenario: Scenario, folder: Path) -> None:
    """Write the scenario's files below `folder`."""
    files = dict(scenario.files)
    for file, old, new in scenario.replacements:
        text = files[file].decode()
        assert text.count(old) == 1, f"{scenario.id}: {old!r} stands {text.count(old)} times in {file}"
        files[file] = text.replace(old, new).encode()
    for made in scenario.folders:
        (folder / made).mkdir(parents=True)
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    for program in scenario.programs:
        (folder / program).chmod(0o755)


def clean_environ(base: Mapping[str, str], tools: Mapping[str, Path], temp: Path) -> dict[str, str]:
    """The environment of a scenario: our own settings gone, the tools named, temporary files below `temp`."""
    kept = {
        name: value
        for name, value in base.items()
        if not name.startswith(("ALERT_HARNESS_", "DOCKER_", "LC_", "COV_"))
        and name not in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "LANG", "TTY_COMPATIBLE")
    }
    named = {f"ALERT_HARNESS_{name.upper()}": str(path) for name, path in tools.items()}
    return kept | named | {"TMPDIR": str(temp), "LC_ALL": "C.UTF-8"}


def in_process(arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Outcome:
    """Run main() in this process, as the installed command would."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(folder)
        for name in set(os.environ) - set(environ):
            patch.delenv(name)
        for name, value in environ.items():
            patch.setenv(name, value)
        patch.setattr(tempfile, "tempdir", environ["TMPDIR"])
        patch.setattr(sys, "argv", ["alert-harness", *arguments])
        with _signals_kept():
            try:
                code = main(list(arguments))
            except SystemExit as end:
                code = int(end.code or 0)
        texts = []
        for stream in (out, err):
            stream.flush()
            texts.append(stream.buffer.getvalue().decode("utf-8"))
    return Outcome(code, *texts)


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def in_subprocess(arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Outcome:
    """Run the installed command."""
    done = subprocess.run(
        [str(COMMAND), *arguments],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


def arguments_of(scenario: Scenario) -> list[str]:
    program, *arguments = shlex.split(scenario.command)
    assert program == "alert-harness", scenario.command
    return arguments


def masked(text: str, folder: Path, tools: Mapping[str, Path]) -> list[str]:
    """Lines without what differs from run to run."""
    for name, path in tools.items():
        text = text.replace(str(path), f"[{name.upper()}]")
    text = text.replace(str(folder), "[WORK]")
    text = re.sub(r"alert-harness-(?:\d+\.\d*-)?\w{8,16}\b", "alert-harness-[ID]", text)
    text = re.sub(r"(127\.0\.0\.1|localhost):\d{4,5}\b", r"\1:[PORT]", text)
    text = re.sub(r"\b[23]\.\d+\.\d+(\+ds\d+)?\b", "[VERSION]", text)
    lines = [line.rstrip() for line in text.split("\n")]
    return lines[:-1] if lines and not lines[-1] else lines


def matches(expected: Sequence[str], got: Sequence[str]) -> bool:
    """Line by line; ``[..]`` stands for anything within a line, a line ``[...]`` for any lines."""
    pattern = ""
    for line in expected:
        if line.strip() == "[...]":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += ".*?".join(map(re.escape, line.rstrip().split("[..]"))) + "\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in got)) is not None


def update(scenario: Scenario, code: int, stdout: Sequence[str], stderr: Sequence[str]) -> None:
    """Write the answer into the script; what still matches stays as it was written."""
    answer = [f"exit {code}"]
    for mark, expected, got in (("1>", scenario.stdout, stdout), ("2>", scenario.stderr, stderr)):
        answer += [f"{mark} {line}".rstrip() for line in (expected if matches(expected, got) else got)]
    lines = scenario.script.read_text(encoding="utf-8").split("\n")
    # Earlier updates may have moved the scenario.
    now = next(s for s in read_script(scenario.script) if s.title == scenario.title)
    start, end = now.answer_at
    lines[start:end] = answer
    scenario.script.write_text("\n".join(lines), encoding="utf-8")
