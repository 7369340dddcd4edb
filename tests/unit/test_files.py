"""The one writer of files: all or nothing, links and devices left what they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.errors import InputError
from harness.files import write_document, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    write_whole(file, "old")
    reader = file.open()
    write_whole(file, "new")
    assert (reader.read(), file.read_text()) == ("old", "new")
    assert os.listdir(tmp_path) == ["rules.yml"]


def test_what_fails_leaves_the_old_text(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    write_whole(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "new \udcff")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["rules.yml"]


@pytest.mark.parametrize(("private", "mode"), [(False, 0o640), (True, 0o600)])
def test_others_may_read_what_the_umask_lets_them(tmp_path: Path, private: bool, mode: int) -> None:
    was = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", "text", private=private)
    finally:
        os.umask(was)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    real = tmp_path / "versions" / "rules.yml"
    real.write_text("old")
    link = tmp_path / "rules.yml"
    link.symlink_to(real)
    write_whole(link, "new")
    assert (link.is_symlink(), real.read_text()) == (True, "new")


@pytest.mark.parametrize("to_file", [True, False])
def test_standard_output_by_its_name(tmp_path: Path, to_file: bool) -> None:
    code = "from pathlib import Path; from harness.files import write_document as w; print(w(Path('/dev/stdout'), 'x'))"
    if to_file:
        with (tmp_path / "out").open("w") as out:
            subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
        assert Path("/dev/stdout").is_symlink()
        assert os.listdir(tmp_path) == ["out"]
    else:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "xNone\n"


def test_a_document_makes_its_folders_and_says_what_is_wrong(tmp_path: Path) -> None:
    write_document(tmp_path / "a" / "b.md", "caf\u00e9 \udcff")
    assert (tmp_path / "a" / "b.md").read_text() == "caf\u00e9 \\udcff"
    with pytest.raises(InputError, match=r"cannot write .*b.md/c.md: (Not a directory|File exists)"):
        write_document(tmp_path / "a" / "b.md" / "c.md", "")
    with pytest.raises(InputError, match="No space left") as told:
        write_document(Path("/dev/full"), "x", hint="choose another file")
    assert told.value.hint == "choose another file"


def test_nobody_else_writes_beside_and_replaces() -> None:
    """A second writer would have its own answer for links, devices and permissions."""
    package = Path(harness.__file__).parent
    found = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if re.search(
            r"\bos\.replace\(|mkstemp|NamedTemporaryFile|\bimport fcntl|O_EXCL", file.read_text(encoding="utf-8")
        )
    }
    assert found == {"files.py"}
