"""The distribution's package, by a stand-in for apt and once by the real one."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EngineError
from harness.toolchain import Toolchain
from harness.toolchain.debian import Distribution
from tests.toolchain.toolchain_fakes import Machine, script, tar_gz

URL = "https://user:hunter2@mirror.example/debian/x"
SOURCES = """\
Types: deb
URIs: https://user:hunter2@mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
"""


@dataclass
class FakeApt:
    """apt-get, apt-cache and dpkg-deb of the tests' own; ``folder`` holds what each suite offers."""

    folder: Path

    def offer(self, suite: str, package: str, version: str, files: dict[str, str | bytes]) -> None:
        (self.folder / suite).mkdir(exist_ok=True)
        (self.folder / suite / f"{package}.show").write_text(f"Package: {package}\nVersion: {version}\n\n")
        (self.folder / suite / f"{package}.deb").write_bytes(tar_gz(files))

    def offer_prometheus(self, suite: str, version: str) -> None:
        upstream = version.rsplit("-", 1)[0]
        for tool in ("prometheus", "promtool"):
            self.offer(suite, tool, version, {f"usr/bin/{tool}": script(tool, upstream), "usr/share/doc/x": "y"})

    def fail(self, suite: str, message: str, command: str = "update") -> None:
        (self.folder / f"{suite}.{command}").write_text(message)

    @property
    def log(self) -> list[str]:
        return (self.folder / "log").read_text().splitlines() if (self.folder / "log").exists() else []


@pytest.fixture
def apt(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApt:
    """A Debian machine whose apt is a stand-in."""
    folder, programs = tmp_path / "apt", tmp_path / "apt-bin"
    folder.mkdir()
    programs.mkdir()
    begin = f"""#!/bin/sh
own=$(dirname "$APT_CONFIG")
suite=$(sed -n 's/^Suites: //p' "$own/private.sources")
echo "$(basename $0) $suite $*" >> {folder}/log
cp "$own/private.sources" "$own/apt.conf" {folder}/
if [ -e {folder}/$suite.$1 ]; then cat {folder}/$suite.$1 >&2; exit 100; fi
"""
    programs_text = {
        "apt-get": begin
        + f'[ "$1" = download ] || exit 0\nshift\nfor p in "$@"; do cp {folder}/$suite/$p.deb . || exit 100; done\n',
        "apt-cache": begin + f'shift 2\nfor p in "$@"; do cat {folder}/$suite/$p.show 2>/dev/null; done\nexit 0\n',
        "apt-config": "#!/bin/sh\ncat <<'END'\n"
        'Acquire::http::Proxy "http://proxy.example:3128";\nDPkg::Post-Invoke "harm";\nEND\n',
        "dpkg-deb": begin + 'mkdir -p "$3" && tar -xzf "$2" -C "$3"\n',
    }
    for name, text in programs_text.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    etc = machine.root / "etc"
    (etc / "os-release").write_text('NAME="Debian GNU/Linux"\nID=debian\nVERSION_CODENAME=bookworm\n')
    (etc / "apt/sources.list.d").mkdir(parents=True)
    (etc / "apt/sources.list.d/debian.sources").write_text(SOURCES)
    keyrings = machine.root / "usr/share/keyrings"
    keyrings.mkdir(parents=True)
    (keyrings / "debian-archive-keyring.gpg").write_bytes(b"keys")
    return FakeApt(folder)


def lines(machine: Machine, name: str = "promtool", **settings: Any) -> list[str]:
    """The Debian lines of the error, after checking that nothing secret or half-made came out."""
    with pytest.raises(EngineError) as caught:
        machine.toolchain(**settings).find(name)
    text = str(caught.value)
    assert "hunter2" not in text
    assert "mirror.example" not in text
    assert machine.staging() == []
    return [line[11:] for line in text.splitlines() if line.startswith("  debian ")]


def test_testing_comes_first_and_stable_is_not_asked(machine: Machine, apt: FakeApt) -> None:
    apt.offer_prometheus("testing", "3.5.3+ds1-6")
    apt.offer_prometheus("stable", "2.53.3+ds1-2")
    toolchain = machine.toolchain()
    tool = toolchain.find("promtool")
    assert (tool.origin, tool.version, tool.version_text) == ("debian", (3, 5, 3), "3.5.3+ds1")
    assert sorted(file.name for file in tool.path.parent.iterdir()) == ["manifest.json", "promtool"]
    assert toolchain.find("prometheus").origin == "cache"
    assert [line.rsplit("/", 1)[0].split(" /")[0] for line in apt.log] == [
        "apt-get testing update",
        "apt-cache testing show --no-all-versions promtool prometheus",
        "apt-get testing download promtool prometheus",
        "dpkg-deb testing -x",
        "dpkg-deb testing -x",
    ]


def test_the_private_configuration(machine: Machine, apt: FakeApt) -> None:
    apt.offer_prometheus("testing", "3.5.3+ds1-6")
    machine.toolchain().find("promtool")
    keyring = machine.root / "usr/share/keyrings/debian-archive-keyring.gpg"
    assert (apt.folder / "private.sources").read_text() == (
        "Types: deb\nURIs: https://user:hunter2@mirror.example/debian\nSuites: testing\nComponents: main\n"
        f"Signed-By: {keyring}\n"
    )
    assert (apt.folder / "private.sources").stat().st_mode & 0o077 == 0
    config = (apt.folder / "apt.conf").read_text()
    for line in (
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::Min-ValidTime "7776000";',
        'Acquire::Languages "none";',
        'Dir::Etc::parts "/dev/null";',
        'Dir::Etc::trustedparts "/dev/null";',
    ):
        assert line in config.splitlines()
    assert "Post-Invoke" not in config
    assert "Check-Valid-Until" not in config


def test_a_failing_testing_does_not_spoil_stable(machine: Machine, apt: FakeApt) -> None:
    apt.fail("testing", "E: Release file for https://user:hunter2@mirror.example/x is expired (invalid since 100d).")
    apt.offer_prometheus("stable", "2.53.3+ds1-2")
    toolchain = machine.toolchain()
    assert toolchain.find("prometheus").version == (2, 53, 3)
    assert str(toolchain.tried("prometheus")[-1]) == (
        "debian   Debian testing: its index is out of date by more than 90 days"
    )


def test_a_version_prefix_chooses_the_suite(machine: Machine, apt: FakeApt) -> None:
    apt.offer_prometheus("testing", "3.5.3+ds1-6")
    apt.offer_prometheus("stable", "2.53.3+ds1-2")
    toolchain = machine.toolchain(ALERT_HARNESS_PROMETHEUS_VERSION="2.53")
    assert toolchain.find("promtool").version == (2, 53, 3)
    assert toolchain.tried("promtool")[-1].detail == "Debian testing has prometheus 3.5.3+ds1, wanted 2.53"
    assert not [line for line in apt.log if line.startswith("apt-get testing download")]


def test_an_old_package_is_not_downloaded(machine: Machine, apt: FakeApt) -> None:
    apt.offer_prometheus("stable", "2.42.0+ds-5")
    assert lines(machine) == [
        "Debian testing has no package promtool",
        "Debian stable has only prometheus 2.42.0+ds: versions before 2.53 lack `query_offset` in rule groups, "
        "and those before 2.42 `keep_firing_for`",
    ]


def test_alertmanager_finds_its_templates_where_they_were_unpacked(machine: Machine, apt: FakeApt) -> None:
    compiled_in = "/usr/share/prometheus/alertmanager/default.tmpl"
    reads = script("alertmanager", "0.33.1") + f'[ "$1" = --version ] || cat {compiled_in}\n'
    apt.offer(
        "testing",
        "prometheus-alertmanager",
        "1:0.33.1-5",
        {
            "usr/bin/prometheus-alertmanager": reads,
            "usr/bin/amtool": script("amtool", "0.33.1"),
            "usr/share/prometheus/alertmanager/default.tmpl": "template",
            "etc/prometheus/alertmanager.yml": "not kept",
        },
    )
    fetched = machine.toolchain().find("alertmanager")
    cached = machine.toolchain(offline=True).find("alertmanager")
    for tool in (fetched, cached):
        assert tool.path.name == "alertmanager"
        assert tool.start_in is not None
        assert [file.name for file in tool.start_in.iterdir()] == ["default.tmpl"]
        shown = subprocess.run([tool.path], cwd=tool.start_in, capture_output=True, text=True, check=True)
        assert shown.stdout.splitlines()[1:] == ["template"]
    assert machine.toolchain(offline=True).find("amtool").start_in is None


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("E: … NO_PUBKEY 0E98404D386FA1D9", "it is signed with a key that the archive keyring here lacks"),
        ("E: … signatures were invalid: BADSIG 0E98404D386FA1D9", "its signature is wrong"),
        (f"E: Failed to fetch {URL}  Hash Sum mismatch", "what the mirror sent does not match the signed index"),
        (
            f"E: The repository '{URL} testing Release' does not have a Release file.",
            "the mirror has no such suite or file",
        ),
        (f"E: Failed to fetch {URL}  401  Unauthorized", "the mirror or a proxy refused access"),
        (f"E: {URL} odd", "apt-get failed: E: <url> odd"),
        ("something else", "apt-get failed: no reason given"),
    ],
)
def test_what_apt_says_becomes_one_line(machine: Machine, apt: FakeApt, said: str, meaning: str) -> None:
    for suite in ("testing", "stable"):
        apt.fail(suite, f"W: chatter\n{said}\n")
    assert lines(machine) == [f"Debian testing: {meaning}", f"Debian stable: {meaning}"]


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (f"E: Failed to fetch {URL}  Could not resolve 'mirror.example'", "the mirror's name could not be resolved"),
        (f"E: Failed to fetch {URL}  Could not connect to mirror.example:80", "no connection to the mirror"),
    ],
)
def test_an_unreachable_mirror_is_asked_once(machine: Machine, apt: FakeApt, said: str, meaning: str) -> None:
    apt.fail("testing", said)
    assert lines(machine) == [f"Debian testing: {meaning}"]
    assert apt.log == ["apt-get testing update"]


def test_a_full_disk_stops_at_once(machine: Machine, apt: FakeApt) -> None:
    apt.offer_prometheus("testing", "3.5.3+ds1-6")
    apt.fail("testing", "E: Write error - write (28: No space left on device)", command="download")
    with pytest.raises(EngineError) as caught:
        machine.toolchain().find("promtool")
    assert f"no space left for {machine.cache}/tools; nothing half-written was kept" in str(caught.value)
    assert machine.staging() == []


def test_no_archive_entry_no_keyring_no_apt(machine: Machine, apt: FakeApt, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = machine.root / "etc/apt/sources.list.d/debian.sources"
    sources.write_text("")
    assert lines(machine) == [f"no entry for Debian's main archive in {machine.root}/etc/apt"]
    sources.write_text(SOURCES)
    shutil.rmtree(machine.root / "usr/share/keyrings")
    assert lines(machine) == ["no keyring of Debian's archive on this machine to check signatures with"]
    monkeypatch.setenv("PATH", "/nonexistent")
    assert lines(machine) == ["apt-get is not on PATH"]


@pytest.mark.parametrize(
    ("release", "family", "suites"),
    [
        ("ID=debian\nVERSION_CODENAME=trixie\n", "debian", ("testing", "stable")),
        ("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n", "ubuntu", ("noble", "resolute", "devel")),
        ("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=resolute\n", "ubuntu", ("resolute", "devel")),
        (
            'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n',
            "ubuntu",
            ("noble", "resolute", "devel"),
        ),
    ],
)
def test_which_suites_are_asked(
    machine: Machine, apt: FakeApt, release: str, family: str, suites: tuple[str, ...]
) -> None:
    (machine.root / "etc/os-release").write_text(release)
    (machine.root / "etc/apt/sources.list").write_text(f"deb http://mirror.example/{family} noble main universe\n")
    (machine.root / "usr/share/keyrings/ubuntu-archive-keyring.gpg").write_bytes(b"keys")
    distribution = Distribution.of_machine(machine.root)
    assert (distribution.family, distribution.suites) == (family, suites)


# -- the real thing ------------------------------------------------------------------------------------------------

_NO_NETWORK = (
    "neither Debian nor Ubuntu",
    "not on PATH",
    "no entry for",
    "no keyring",
    "could not be resolved",
    "no connection",
)


def fetched_for_real(tmp_path: Path, name: str, **settings: str) -> Toolchain:
    """A toolchain that found the tool with this machine's own apt; skips with the reason where there is no mirror."""
    environ = {
        "PATH": "/nonexistent",
        "HOME": str(tmp_path),
        "ALERT_HARNESS_CACHE": str(tmp_path / "cache"),
        **settings,
    }
    toolchain = Toolchain(environ=environ, release_url="http://127.0.0.1:9")
    try:
        toolchain.find(name)
    except EngineError:
        reasons = [attempt.detail for attempt in toolchain.tried(name) if attempt.source == "debian"]
        if any(sign in reason for reason in reasons for sign in _NO_NETWORK):
            pytest.skip(f"needs the network: {'; '.join(reasons)}")
        raise
    return toolchain


def test_the_real_package_is_fetched_verified_and_runs(tmp_path: Path) -> None:
    toolchain = fetched_for_real(tmp_path, "node_exporter")
    tool = toolchain.find("node_exporter", check=True)
    assert tool.version >= (1, 0, 0)
    assert sorted(file.name for file in tool.path.parent.iterdir()) == ["manifest.json", "node_exporter"]
    assert not list((tmp_path / "cache/tools").glob(".staging-*"))


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["2.53", "3.5"])
def test_both_long_term_versions_come_from_real_packages(tmp_path: Path, prefix: str) -> None:
    toolchain = fetched_for_real(tmp_path, "promtool", ALERT_HARNESS_PROMETHEUS_VERSION=prefix)
    for name in ("promtool", "prometheus"):
        assert toolchain.find(name, check=True).version_text.startswith(f"{prefix}.")
