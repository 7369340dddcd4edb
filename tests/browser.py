"""Pages as a real browser meets them; needs Chromium, node and npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.needs import refuse_to_skip

OPEN_PAGE = Path(__file__).resolve().parent / "open_page.mjs"
PACKAGES = ("axe-core@4.10.3", "playwright-core@1.55.0")
HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\"' onmouseover=alert(1) x=\"'`</pre></svg></style><script>alert(2)</script>",
    "\u202egnp.exe \u2066\u05d0\u05d1\u05d2\u2069 \x1b[31m\x00\x07 \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "long" * 2500,
    "=javascript:alert(3)//]]>--><!-- {{ 7*7 }} {% raw %} | [x](javascript:alert(4))",
]
"""Names that mean harm: to a page, an attribute, a terminal, a layout, a spreadsheet, a template."""


def views_of(pages: Mapping[str, str], folder: Path) -> list[dict[str, Any]]:
    """What Chromium saw on the pages, by name, each narrow and dark, wide and light; see open_page.mjs."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        refuse_to_skip("no Chromium for the browser tests")
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    with tempfile.TemporaryDirectory() as home:
        run = subprocess.run(
            ["node", OPEN_PAGE, _npm_modules(), browser, *(folder / f"{name}.html" for name in pages)],
            capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"HOME": home},
        )  # fmt: skip
    assert run.returncode == 0, run.stderr
    views: list[dict[str, Any]] = json.loads(run.stdout)
    for view in views:
        view["name"] = Path(view["file"]).stem
    return views


def _npm_modules() -> Path:
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
