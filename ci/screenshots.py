"""Pictures of the HTML pages and of the API's documentation, for README and docs; needs Chromium.

    alert-harness verify
    python ci/screenshots.py [--api http://127.0.0.1:8001]

Reads build/report and writes docs/images/{live,scenario,slo}.png, and api.png if the streaming service is named.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "build" / "report"
IMAGES = ROOT / "docs" / "images"


def main(arguments: list[str] | None = None) -> int:
    """Take the pictures; 2 if there is nothing to take them of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--api", metavar="URL", help="a streaming service that runs")
    options = parser.parse_args(arguments)
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    pages = [REPORT / name for name in ("index.html", "slo.html")]
    if browser is None or not all(page.is_file() for page in pages):
        print("error: this needs Chromium, and the pages of `alert-harness verify`", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.html"
        for name, height in (("live", 790), ("scenario", 720)):
            part.write_text(section(pages[0].read_text(encoding="utf-8"), name), encoding="utf-8")
            take(browser, part.as_uri(), IMAGES / f"{name}.png", 1000, height, folder)
    with tempfile.TemporaryDirectory() as folder:
        take(browser, pages[1].as_uri(), IMAGES / "slo.png", 1200, 1500, folder)
        if options.api:
            take(browser, f"{options.api}/docs", IMAGES / "api.png", 1200, 1100, folder)
    return 0


def section(page: str, name: str) -> str:
    """The page with one section alone."""
    found = re.search(rf'<section aria-labelledby="{name}">.*?</section>', page, re.DOTALL)
    if found is None:
        raise SystemExit(f"error: the page has no section {name}")
    return page[: page.index("<header>")] + f"<main>{found[0]}</main></body></html>"


def take(browser: str, address: str, file: Path, width: int, height: int, home: str) -> None:
    """A screenshot of a page as it stands after it has loaded."""
    options = ["--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking"]
    root = ["--no-sandbox"] if sys.platform == "linux" else []  # Chromium refuses its sandbox to root
    command = [browser, *options, *root, f"--user-data-dir={home}", f"--window-size={width},{height}"]
    wait = "--virtual-time-budget=4000"
    subprocess.run([*command, wait, f"--screenshot={file}", address], check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    sys.exit(main())
