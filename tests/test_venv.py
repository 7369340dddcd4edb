"""ci/venv.sh: .venv is brought up to date, and built anew only where it is of no use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "ci" / "venv.sh"
# A Python that notes what it is asked to install instead of installing it, and makes environments in no time.
PYTHON = f"""\
#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && cat > "$3/bin/pip" <<PIP ;;
#!/bin/sh
echo "pip 24.0 from $PWD/$3/lib/python3/site-packages/pip (python 3)"
PIP
"-m pip") shift 2; echo "$@" >> pip.log ;;
*) exec {sys.executable} "$@" ;;
esac
[ "$1 $2" != "-m venv" ] || chmod +x "$3/bin/pip"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which the script has run once."""
    (tmp_path / "python").write_text(PYTHON, encoding="utf-8")
    (tmp_path / "python").chmod(0o755)
    run(tmp_path)
    (tmp_path / ".venv" / "kept").touch()
    return tmp_path


def run(folder: Path) -> None:
    environ = os.environ | {"PYTHON": str(folder / "python")}
    subprocess.run(["sh", SCRIPT, ".venv"], cwd=folder, env=environ, check=True, timeout=60)


def installed(folder: Path) -> list[str]:
    return (folder / "pip.log").read_text(encoding="utf-8").splitlines()


def test_a_good_one_is_brought_up_to_date(folder: Path) -> None:
    run(folder)
    assert (folder / ".venv" / "kept").exists()
    assert len(installed(folder)) == 2
    assert all(line.startswith("install ") and ".[test,lint]" in line for line in installed(folder))


@pytest.mark.parametrize("what", ["moved", "without python", "without pip", "another Python"])
def test_one_of_no_use_is_built_anew(folder: Path, what: str) -> None:
    venv = folder / ".venv"
    if what == "moved":
        (folder / "elsewhere").mkdir()
        for name in (".venv", "python"):
            shutil.move(folder / name, folder / "elsewhere" / name)
        folder /= "elsewhere"
    elif what == "without python":
        (venv / "bin" / "python").unlink()
    elif what == "without pip":
        (venv / "bin" / "pip").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    else:
        (venv / "bin" / "python").write_text("#!/bin/sh\necho /usr 3.9.2\n", encoding="utf-8")
    run(folder)
    assert not (folder / ".venv" / "kept").exists()
    assert len(installed(folder)) == (1 if what == "moved" else 2)
