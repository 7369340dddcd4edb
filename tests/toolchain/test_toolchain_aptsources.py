"""Reading apt's source lists as people really write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.toolchain.aptsources import AptSource, machine_sources, parse_deb822, parse_one_line, pick_archive

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = "http://mirror.example/debian"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# deb http://mirror.example/debian bookworm main\n", []),
        ("deb-src http://mirror.example/debian bookworm main", []),
        ("deb http://mirror.example/debian", []),
        (
            "deb http://mirror.example/debian bookworm main contrib # ours\n",
            [AptSource("f", MIRROR, ("bookworm",), ("main", "contrib"))],
        ),
        (
            f"deb [signed-by={KEY}] {MIRROR} trixie main",
            [AptSource("f", MIRROR, ("trixie",), ("main",), (KEY,))],
        ),
        (
            f"  deb\t[ arch=amd64,arm64 signed-by=/a.gpg,/b.gpg ]  {MIRROR}  trixie  main  ",
            [AptSource("f", MIRROR, ("trixie",), ("main",), ("/a.gpg", "/b.gpg"))],
        ),
        (f"deb [signed-by=ABCD1234] {MIRROR} trixie main", [AptSource("f", MIRROR, ("trixie",), ("main",))]),
        ("deb [enabled=no] http://mirror.example/debian bookworm main", []),
        (
            "deb cdrom:[Debian]/ bookworm main\ndeb https://u:p@m.example/d/ bookworm main",
            [
                AptSource("f", "cdrom:[Debian]/", ("bookworm",), ("main",)),
                AptSource("f", "https://u:p@m.example/d/", ("bookworm",), ("main",)),
            ],
        ),
    ],
)
def test_one_line_entries(text: str, expected: list[AptSource]) -> None:
    assert parse_one_line(text, "f") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# Types: deb\n# URIs: http://mirror.example/debian\n", []),
        ("Types: deb-src\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n", []),
        ("Types: deb\nEnabled: no\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n", []),
        (
            f"Types: deb deb-src\n# a remark\nURIs: {MIRROR}\nSuites: trixie trixie-updates\nComponents: main\n"
            f"Signed-By: {KEY}\n",
            [AptSource("f", MIRROR, ("trixie", "trixie-updates"), ("main",), (KEY,))],
        ),
        (
            f"\n\n  \ntypes: deb\nURIS: {MIRROR}\n  http://second.example/debian\nsuites: trixie\n"
            "components:\n main\n\tcontrib\n"
            "Signed-By: /a.gpg,\n /b.gpg\n",
            [
                AptSource("f", MIRROR, ("trixie",), ("main", "contrib"), ("/a.gpg", "/b.gpg")),
                AptSource("f", "http://second.example/debian", ("trixie",), ("main", "contrib"), ("/a.gpg", "/b.gpg")),
            ],
        ),
        (
            f"Types: deb\nURIs: {MIRROR}\nSuites: trixie\nComponents: main\nSigned-By:\n"
            " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----\n",
            [
                AptSource(
                    "f",
                    MIRROR,
                    ("trixie",),
                    ("main",),
                    inline_key="-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBF\n-----END PGP PUBLIC KEY BLOCK-----\n",
                )
            ],
        ),
    ],
)
def test_deb822_entries(text: str, expected: list[AptSource]) -> None:
    assert parse_deb822(text, "f") == expected


def test_only_files_that_apt_reads_count(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text(f"deb {MIRROR} trixie main\n")
    (parts / "a.list").write_text("deb http://a.example/debian trixie main\n")
    (parts / "b.sources").write_text("Types: deb\nURIs: http://b.example/debian\nSuites: trixie\nComponents: main\n")
    (parts / "c.list.disabled").write_text("deb http://c.example/debian trixie main\n")
    (parts / "d.list").mkdir()
    assert [source.uri for source in machine_sources(tmp_path)] == [
        MIRROR,
        "http://a.example/debian",
        "http://b.example/debian",
    ]
    assert machine_sources(tmp_path / "nowhere") == []


def source(uri: str, suites: str, components: str = "main", key: str = "", file: str = "debian.sources") -> AptSource:
    return AptSource(file, uri, tuple(suites.split()), tuple(components.split()), (key,) if key else ())


ARCHIVE = source(MIRROR, "bookworm bookworm-updates", key=KEY)


@pytest.mark.parametrize(
    ("neighbours", "expected"),
    [
        ([], None),
        ([source("http://mirror.example/debian-security", "bookworm-security", key=KEY)], None),
        ([source("http://security.example/", "bookworm", key=KEY)], None),
        ([source(MIRROR, "bookworm-updates")], None),
        ([source("cdrom:[x]/debian", "bookworm")], None),
        ([source("https://vendor.example/node", "nodistro", file="vendor.list")], "https://vendor.example/node"),
        ([source("https://vendor.example/linux/debian", "bookworm", "stable", file="vendor.list"), ARCHIVE], MIRROR),
        ([source("https://vendor.example/apt", "bookworm", key="/vendor.gpg", file="vendor.list"), ARCHIVE], MIRROR),
        ([source("http://mirror.example/debian-security", "bookworm-security", key=KEY), ARCHIVE], MIRROR),
        ([ARCHIVE, source("http://mirror.example/backports", "bookworm-backports", key=KEY)], MIRROR),
        (
            [source("https://proxy.example/apt/remote", "bookworm", file="sources.list")],
            "https://proxy.example/apt/remote",
        ),
        ([source("mirror+file:/etc/apt/mirrors/debian.list", "bookworm")], "mirror+file:/etc/apt/mirrors/debian.list"),
    ],
)
def test_the_main_archive_is_told_from_its_neighbours(neighbours: list[AptSource], expected: str | None) -> None:
    found = pick_archive(neighbours, "debian", "bookworm")
    assert (found.uri if found else None) == expected


def test_ubuntus_ports_archive() -> None:
    ports = source("http://ports.example/ubuntu-ports", "noble noble-updates", "main universe", file="ubuntu.sources")
    vendor = source("https://vendor.example/apt", "noble", file="vendor.list")
    assert pick_archive([vendor, ports], "ubuntu", "noble") == ports
