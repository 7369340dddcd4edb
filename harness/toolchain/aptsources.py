"""Where this machine gets its packages from: apt's source lists in both of their forms, and the archive among them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)")
_NO = {"no", "false", "without", "off", "disable", "0"}


@dataclass(frozen=True, slots=True)
class AptSource:
    """One enabled entry for binary packages; ``uri`` may carry a password and is never printed.

    ``keyrings`` are the paths of Signed-By, ``inline_key`` the key itself where it stands in the file.
    """

    file: str
    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    keyrings: tuple[str, ...] = ()
    inline_key: str = ""


def machine_sources(etc_apt: Path) -> list[AptSource]:
    """All entries of sources.list and sources.list.d; unreadable files count as empty, as they do for apt."""
    files = [etc_apt / "sources.list"]
    folder = etc_apt / "sources.list.d"
    if folder.is_dir():
        files += sorted(file for file in folder.iterdir() if file.suffix in (".list", ".sources"))
    found: list[AptSource] = []
    for file in files:
        try:
            text = file.read_text("utf-8", "replace")
        except OSError:
            continue
        parse = parse_deb822 if file.suffix == ".sources" else parse_one_line
        found += parse(text, file.name)
    return found


def parse_one_line(text: str, file: str = "sources.list") -> list[AptSource]:
    """``deb [signed-by=/k.gpg] URI suite component…`` lines; comments, deb-src and broken lines are left out."""
    found = []
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.split("#", 1)[0].strip())
        if match is None:
            continue
        options = dict(option.split("=", 1) for option in (match["options"] or "").split() if "=" in option)
        if options.get("enabled", "yes").lower() in _NO:
            continue
        keyrings = tuple(key for key in options.get("signed-by", "").split(",") if key.startswith("/"))
        found.append(
            AptSource(file, match["uri"], (match["suite"],), tuple(match["components"].split()), keyrings=keyrings)
        )
    return found


def parse_deb822(text: str, file: str = "debian.sources") -> list[AptSource]:
    """Stanzas of ``Field: value``, one entry for each URI; disabled stanzas and source packages are left out."""
    found = []
    for fields in _stanzas(text):
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").strip().lower() in _NO:
            continue
        signed_by = fields.get("signed-by", "")
        inline = _inline_key(signed_by) if "-----BEGIN" in signed_by else ""
        keyrings = () if inline else tuple(key for key in signed_by.replace(",", " ").split() if key.startswith("/"))
        suites, components = tuple(fields.get("suites", "").split()), tuple(fields.get("components", "").split())
        found += [AptSource(file, uri, suites, components, keyrings, inline) for uri in fields.get("uris", "").split()]
    return found


def _stanzas(text: str) -> Iterable[dict[str, str]]:
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            if name:
                fields[name] += f"\n{line.strip()}"
        elif ":" in line:
            key, value = line.split(":", 1)
            name = key.strip().lower()
            fields[name] = value.strip()


def _inline_key(value: str) -> str:
    """The key block with deb822's ``.`` for empty lines taken back."""
    lines = ("" if line.strip() == "." else line.strip() for line in value.splitlines())
    return "\n".join(lines).strip() + "\n"


def pick_archive(sources: Iterable[AptSource], family: str, codename: str) -> AptSource | None:
    """The entry of the distribution's main archive, or None.

    Security, update and third-party entries are legal neighbours of it. No list of host names could know a company's
    mirror, so the entry is told by its path, its keyring and its suite; a wrong guess ends at the signature check.
    """
    ranked = [(rank, source) for source in sources if (rank := _rank(source, family, codename)) > 0]
    return max(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _rank(source: AptSource, family: str, codename: str) -> int:
    parts = urlsplit(source.uri)
    path = parts.path.rstrip("/")
    plain = [suite for suite in source.suites if "-" not in suite and "/" not in suite]
    if parts.scheme == "cdrom" or "main" not in source.components or not plain or "security" in source.uri.lower():
        return 0
    return (
        1
        + 4 * any(path.endswith(f"/{name}") for name in (family, f"{family}-ports", f"{family}.list"))
        + 3 * any(f"{family}-archive" in key for key in source.keyrings)
        + 2 * (codename in plain)
        + 1 * (source.file in ("sources.list", f"{family}.sources"))
    )
