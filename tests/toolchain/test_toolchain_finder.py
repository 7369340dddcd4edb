"""The order of sources, versions, settings, and the cache."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EngineError, InputError
from harness.toolchain import TOOLS, Toolchain
from harness.toolchain import probe as probe_module
from harness.toolchain.tools import matches_prefix, parse_version, parse_version_output
from tests.toolchain.toolchain_fakes import Machine, ReleaseHost, put


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "prometheus, version 3.5.3+ds1 (branch: debian/sid, revision: 3.5.3+ds1-6)\n  go version: go1.27.1\n",
            (3, 5, 3),
        ),
        ("promtool, version 2.53.3 (branch: HEAD, revision: 0)", (2, 53, 3)),
        ("warning: something\nalertmanager, version 0.33.1 (branch: HEAD)", (0, 33, 1)),
        ("prometheus, version v3.5.0-rc.1 (branch: HEAD)", (3, 5, 0)),
        ("node_exporter, version 1.9 (branch: HEAD)", (1, 9, 0)),
        ("prometheus, version  (branch: , revision: )", None),
        ("bash: no such thing", None),
        ("", None),
    ],
)
def test_the_version_is_read_from_what_the_tool_prints(output: str, expected: tuple[int, int, int] | None) -> None:
    found = parse_version_output(output)
    assert (parse_version(found[1]) if found else None) == expected


@pytest.mark.parametrize(
    ("version", "prefix", "matches"),
    [
        ((3, 5, 3), "", True),
        ((3, 5, 3), "3", True),
        ((3, 5, 3), "3.5", True),
        ((3, 5, 3), "3.5.3", True),
        ((3, 50, 0), "3.5", False),
        ((3, 5, 30), "3.5.3", False),
        ((2, 53, 3), "3", False),
    ],
)
def test_a_prefix_counts_numbers_not_characters(version: tuple[int, int, int], prefix: str, matches: bool) -> None:
    assert matches_prefix(version, prefix) is matches


def test_every_tool_knows_its_facts() -> None:
    assert list(TOOLS) == ["promtool", "prometheus", "alertmanager", "amtool", "node_exporter"]
    for name, tool in TOOLS.items():
        assert tool.name == tool.executables[0] == name
        assert tool.project.releases
        assert all(parse_version(release) >= tool.minimum for release in tool.project.releases)  # type: ignore[operator]
        assert tool.older_lacks
        assert tool.purpose
    assert "prometheus-alertmanager" in TOOLS["alertmanager"].executables
    assert "prometheus-node-exporter" in TOOLS["node_exporter"].executables


def test_path_comes_before_cache_and_release(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add()
    path = put(machine.bin, "promtool", "2.54.1")
    tool = machine.toolchain().find("promtool")
    assert (tool.path, tool.version, tool.version_text, tool.origin) == (path, (2, 54, 1), "2.54.1", "PATH")
    assert release_host.asked == []


def test_debians_names_and_standard_error_are_understood(machine: Machine) -> None:
    path = put(machine.bin, "prometheus-alertmanager", "0.25.0", program="alertmanager", stream=2)
    assert machine.toolchain().find("alertmanager").path == path
    node_exporter = put(machine.bin, "prometheus-node-exporter", "1.5.0", program="node_exporter")
    assert machine.toolchain().find("node_exporter").path == node_exporter


def test_an_old_one_on_path_is_passed_over_with_what_it_lacks(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add()
    old = put(machine.bin, "promtool", "2.42.0")
    toolchain = machine.toolchain()
    tool = toolchain.find("promtool")
    assert (tool.version, tool.origin) == ((3, 5, 3), "release")
    assert [str(attempt) for attempt in toolchain.tried("promtool")][:2] == [
        "setting  ALERT_HARNESS_PROMTOOL is not set",
        f"PATH     {old} is 2.42.0: needs 2.53 or newer, versions before 2.53 lack `query_offset` in rule groups, "
        "and those before 2.42 `keep_firing_for`",
    ]


def test_sloppy_paths_are_searched_to_the_end(machine: Machine, tmp_path: Path) -> None:
    put(machine.bin, "promtool", "2.40.0")
    good = put(tmp_path / "second", "promtool", "3.5.3")
    (tmp_path / "third").mkdir()
    (tmp_path / "third/promtool").mkdir()  # a folder of that name
    (tmp_path / "fourth").mkdir()
    (tmp_path / "fourth/promtool").write_text("not executable")
    folders = ["", ".", "/nonexistent", tmp_path / "third", tmp_path / "fourth", machine.bin, tmp_path / "second"]
    path = os.pathsep.join(str(folder) for folder in [*folders, *folders])
    assert machine.toolchain(PATH=path).find("promtool").path == good


def test_the_current_folder_is_never_searched(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "checkout", "promtool", "3.5.3")
    monkeypatch.chdir(tmp_path / "checkout")
    assert machine.toolchain(PATH=f":.:{machine.bin}", offline=True).locate("promtool") is None


def test_setting_wins_over_environment_wins_over_path(machine: Machine, tmp_path: Path) -> None:
    put(machine.bin, "promtool", "3.5.3")
    by_environment = put(tmp_path / "env", "promtool", "3.4.0")
    explicit = put(tmp_path / "explicit", "promtool", "3.3.0")
    setting: dict[str, Any] = {"ALERT_HARNESS_PROMTOOL": str(by_environment)}
    assert machine.toolchain(**setting).find("promtool").path == by_environment
    tool = machine.toolchain({"promtool": explicit}, **setting).find("promtool")
    assert (tool.path, tool.origin) == (explicit, "setting")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder, not an executable"),
        (lambda path: path.write_text("text"), "is not executable"),
        (lambda path: put(path.parent, path.name, "2.40.0", program="promtool"), "is 2.40.0: needs 2.53 or newer"),
        (lambda path: put(path.parent, path.name, "3.5.3", program="prometheus"), "is prometheus, not promtool"),
        (lambda path: put(path.parent, path.name, "", program="promtool"), "states no version"),
        (lambda path: (path.write_bytes(b"\x7fELF garbage"), path.chmod(0o755)), "does not run: it is no program"),
    ],
)
def test_a_wrong_setting_is_an_error_and_nothing_else_is_taken(
    machine: Machine, release_host: ReleaseHost, tmp_path: Path, make: object, complaint: str
) -> None:
    release_host.add()
    put(machine.bin, "promtool", "3.5.3")
    path = tmp_path / "given"
    make(path)  # type: ignore[operator]
    toolchain = machine.toolchain(ALERT_HARNESS_PROMTOOL=str(path))
    assert toolchain.locate("promtool") is None
    with pytest.raises(EngineError) as caught:
        toolchain.find("promtool")
    assert f"setting  ALERT_HARNESS_PROMTOOL: {path} {complaint}" in str(caught.value)
    assert "make ALERT_HARNESS_PROMTOOL name an executable promtool (2.53 or newer), or remove it" in str(caught.value)
    assert caught.value.exit_code == 3
    assert release_host.asked == []


def test_a_version_prefix_passes_others_over_for_both_tools(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add(version="2.53.5")
    put(machine.bin, "promtool", "3.5.3")
    put(machine.bin, "prometheus", "3.5.3")
    toolchain = machine.toolchain(ALERT_HARNESS_PROMETHEUS_VERSION="2.53")
    assert toolchain.find("promtool").version == (2, 53, 5)
    assert toolchain.find("prometheus").version == (2, 53, 5)
    assert f"{machine.bin}/promtool is 3.5.3: wanted 2.53" in str(toolchain.tried("promtool")[1])
    assert len(release_host.archives_asked()) == 1
    # Both versions live side by side, and each run finds its own.
    release_host.add()
    assert machine.toolchain(PATH="/nonexistent", ALERT_HARNESS_PROMETHEUS_VERSION="3.5").find("promtool").version == (
        3,
        5,
        3,
    )
    again = machine.toolchain(PATH="/nonexistent", ALERT_HARNESS_PROMETHEUS_VERSION="2.53", offline=True)
    assert (again.find("promtool").version, again.find("promtool").origin) == ((2, 53, 5), "cache")
    newest = machine.toolchain(PATH="/nonexistent", offline=True)
    assert newest.find("promtool").version == (3, 5, 3)


def test_a_prefix_that_no_pinned_release_has(machine: Machine) -> None:
    toolchain = machine.toolchain(ALERT_HARNESS_PROMETHEUS_VERSION="3.6")
    with pytest.raises(EngineError) as caught:
        toolchain.find("promtool")
    assert "no usable promtool (3.6):" in str(caught.value)
    assert "no release pinned for prometheus 3.6 (pinned: 3.5.3, 2.53.5); ask for a whole version such as 3.6.0" in str(
        caught.value
    )


def test_missing_everything_lists_every_source_and_what_to_do(machine: Machine) -> None:
    with pytest.raises(EngineError) as caught:
        machine.toolchain().find("promtool")
    assert str(caught.value).splitlines() == [
        "no usable promtool (2.53 or newer):",
        "  setting  ALERT_HARNESS_PROMTOOL is not set",
        "  PATH     no promtool in its 1 folder",
        f"  cache    none in {machine.cache}/tools",
        "  release  prometheus v3.5.3 on 127.0.0.1: no such release (HTTP 404)",
        "  debian   Plan 9 is neither Debian nor Ubuntu",
        "  what to do: install promtool 2.53 or newer and put it on PATH, "
        "or name it: ALERT_HARNESS_PROMTOOL=/path/to/promtool",
    ]


def test_offline_asks_nobody(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add()
    with pytest.raises(EngineError) as caught:
        machine.toolchain(ALERT_HARNESS_OFFLINE="1").find("prometheus")
    assert "release  not asked: offline" in str(caught.value)
    assert "debian   not asked: offline" in str(caught.value)
    assert f"or go online once to have it fetched into {machine.cache}" in str(caught.value)
    assert release_host.asked == []


def test_locate_never_fetches(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add()
    toolchain = machine.toolchain()
    assert toolchain.locate("prometheus") is None
    assert [attempt.source for attempt in toolchain.tried("prometheus")] == ["setting", "PATH", "cache"]
    assert release_host.asked == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ALERT_HARNESS_PROMETHEUS_VERSION": "latest"}, "ALERT_HARNESS_PROMETHEUS_VERSION: `latest` is no version"),
        ({"ALERT_HARNESS_OFFLINE": "perhaps"}, "ALERT_HARNESS_OFFLINE: `perhaps` is neither yes nor no"),
    ],
)
def test_settings_that_mean_nothing_are_refused(machine: Machine, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        machine.toolchain(**settings)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_unknown_names_are_refused_with_the_near_miss(machine: Machine) -> None:
    with pytest.raises(InputError, match=r"unknown tool `promtol` \(did you mean `promtool`\?\)"):
        machine.toolchain().find("promtol")
    with pytest.raises(InputError, match=r"unknown tool `promethius` \(did you mean `prometheus`\?\)"):
        machine.toolchain({"promethius": Path("/x")})
    with pytest.raises(InputError, match=r"unknown tool `amtol` in versions"):
        Toolchain(versions={"amtol": "1"}, environ={})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"ALERT_HARNESS_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/alert-harness"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/c"}, "/c/.cache/alert-harness"),
        ({"HOME": "/c"}, "/c/.cache/alert-harness"),
    ],
)
def test_the_cache_folder(environ: dict[str, str], expected: str) -> None:
    assert str(Toolchain(environ=environ).cache_dir) == expected


def test_without_a_home_the_cache_still_has_a_place() -> None:
    assert str(Toolchain(environ={}).cache_dir).endswith(f"/alert-harness-{os.getuid()}")


# -- remembering ---------------------------------------------------------------------------------------------------


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every executable that is asked for its version."""
    asked: list[str] = []
    original = probe_module._run_version

    def counted(path: Path) -> str:
        asked.append(path.name)
        return original(path)

    monkeypatch.setattr(probe_module, "_run_version", counted)
    return asked


def test_a_cached_tool_is_not_run_and_found_in_a_few_ms(
    machine: Machine, release_host: ReleaseHost, runs: list[str]
) -> None:
    release_host.add()
    machine.toolchain().find("prometheus")
    assert sorted(runs) == ["fetched-prometheus", "fetched-promtool"]
    runs.clear()
    started = time.perf_counter()
    tool = machine.toolchain(offline=True).find("prometheus")
    assert time.perf_counter() - started < 0.2  # 1 ms on an idle machine
    assert (tool.origin, tool.version_text) == ("cache", "3.5.3")
    assert runs == []


def test_what_a_binary_on_path_said_is_remembered_until_it_changes(machine: Machine, runs: list[str]) -> None:
    # A script may start anything, so only binaries are remembered: make one that the shell's loader accepts.
    target = machine.bin / "promtool"
    target.write_bytes(Path("/bin/true").read_bytes())
    target.chmod(0o755)
    memo = machine.cache / "versions.json"
    memo.parent.mkdir(parents=True)
    stat = target.stat()
    memo.write_text(json.dumps({os.path.realpath(target): ["promtool", stat.st_size, stat.st_mtime_ns, "3.5.1"]}))
    assert machine.toolchain().find("promtool").version_text == "3.5.1"
    assert runs == []
    os.utime(target, ns=(0, 0))
    assert machine.toolchain(offline=True).locate("promtool") is None
    assert runs == ["promtool"]


def test_a_script_is_asked_each_time_for_it_may_be_a_shim(machine: Machine, runs: list[str]) -> None:
    put(machine.bin, "promtool", "3.5.3")
    machine.toolchain().find("promtool")
    machine.toolchain().find("promtool")
    assert runs == ["promtool", "promtool"]


def test_a_spoilt_memo_is_no_trouble(machine: Machine) -> None:
    put(machine.bin, "promtool", "3.5.3")
    machine.cache.mkdir()
    for text in ("", "[1]", '{"x": 1}', "\0"):
        (machine.cache / "versions.json").write_text(text)
        assert machine.toolchain().find("promtool").version == (3, 5, 3)


def test_a_cache_that_cannot_be_written_does_not_matter_for_path(machine: Machine) -> None:
    machine.cache.write_text("a file where the folder should be")
    put(machine.bin, "promtool", "3.5.3")
    assert machine.toolchain().find("promtool").origin == "PATH"


# -- damage --------------------------------------------------------------------------------------------------------


def test_a_copied_cache_with_new_times_is_still_good(machine: Machine, release_host: ReleaseHost) -> None:
    release_host.add()
    tool = machine.toolchain().find("promtool")
    os.utime(tool.path, (1, 1))
    assert machine.toolchain(offline=True).find("promtool").path == tool.path


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda entry: (entry / "promtool").write_text("short"), "5 bytes instead of"),
        (lambda entry: (entry / "promtool").unlink(), "promtool is missing"),
        (lambda entry: (entry / "promtool").chmod(0o644), "not executable"),
        (lambda entry: (entry / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda entry: (entry / "manifest.json").write_text("{"), "unreadable"),
        (
            lambda entry: (entry / "promtool").write_bytes(b"#" * (entry / "promtool").stat().st_size),
            "its content has changed",
        ),
    ],
)
def test_a_damaged_entry_is_named_offline_and_replaced_online(
    machine: Machine, release_host: ReleaseHost, damage: object, complaint: str
) -> None:
    release_host.add()
    entry = machine.toolchain().find("promtool").path.parent
    os.utime(entry / "promtool", (1, 1))
    damage(entry)  # type: ignore[operator]
    offline = machine.toolchain(offline=True)
    with pytest.raises(EngineError) as caught:
        offline.find("promtool")
    assert f"cache    {entry} is damaged: {complaint}" in str(caught.value)
    assert machine.toolchain().find("promtool").origin == "release"
    assert machine.toolchain(offline=True).find("promtool", check=True).origin == "cache"
    assert machine.staging() == []


def test_a_cached_binary_that_does_not_run_is_seen_by_check_and_replaced(
    machine: Machine, release_host: ReleaseHost
) -> None:
    release_host.add()
    tool = machine.toolchain().find("promtool")
    stat = tool.path.stat()
    tool.path.write_bytes(b"#" * stat.st_size)
    os.utime(tool.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    toolchain = machine.toolchain()
    assert toolchain.locate("promtool", check=True) is None
    assert "is damaged:" in str(toolchain.tried("promtool")[-1])
    assert machine.toolchain().find("promtool", check=True).origin == "release"
