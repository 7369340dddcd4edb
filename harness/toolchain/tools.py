"""The tools we know: what they are called, where they come from, how old they may be.

Facts live on the objects here and nowhere else; a new tool is one more entry of :data:`TOOLS`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

Version = tuple[int, int, int]

# `prometheus, version 3.5.3+ds1 (branch: …`: the form that prometheus/common/version has printed since 2015.
_VERSION_LINE = re.compile(r"^(?P<program>[\w.-]+), version v?(?P<text>\d+\.\d+\S*)", re.MULTILINE)
_NUMBERS = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that was found: an executable of a known version.

    ``origin`` is ``setting``, ``PATH``, ``cache``, ``release`` or ``debian``. ``start_in`` is the working directory
    that it must be started in, if it needs one: Debian's Alertmanager, unpacked without root, finds its templates
    there.
    """

    name: str
    path: Path
    version: Version
    version_text: str
    origin: str
    start_in: Path | None = None


@dataclass(frozen=True, slots=True)
class ReleaseProject:
    """A release project ``prometheus/<name>`` on GitHub; one archive holds all of its tools.

    ``releases`` are the versions we fetch, the default first.
    """

    name: str
    releases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What is known of a tool before any is found.

    ``executables`` are the names it may have on PATH, upstream's first, then Debian's. ``older_lacks`` is a sentence
    on what a version below ``minimum`` cannot do. ``package_data`` is a folder of the Debian package, compiled into the
    executable by its absolute path, which it needs at run time.
    """

    name: str
    executables: tuple[str, ...]
    project: ReleaseProject
    package: str
    minimum: Version
    older_lacks: str
    purpose: str
    needed_by_verify: bool = False
    package_data: str = ""

    @property
    def minimum_text(self) -> str:
        return short_version(self.minimum)

    @property
    def setting(self) -> str:
        """The environment variable that names the executable."""
        return f"ALERT_HARNESS_{self.name.upper()}"


# The long-term support releases; 2.53 is the oldest that we promise to work with, so both are tested.
# Source: the projects' release pages and https://prometheus.io/docs/introduction/release-cycle/
_PROMETHEUS = ReleaseProject("prometheus", ("3.5.3", "2.53.5"))
_ALERTMANAGER = ReleaseProject("alertmanager", ("0.33.1",))
_NODE_EXPORTER = ReleaseProject("node_exporter", ("1.11.1",))

# Source: CHANGELOG.md of each project.
_OLD_PROMETHEUS = "versions before 2.53 lack `query_offset` in rule groups, and those before 2.42 `keep_firing_for`"
_OLD_ALERTMANAGER = "versions before 0.22 lack `matchers` in routes and inhibition rules"
_OLD_NODE_EXPORTER = "versions before 1.0 name several metrics differently from what the rules read"

TOOLS: Mapping[str, ToolSpec] = MappingProxyType(
    {
        tool.name: tool
        for tool in (
            ToolSpec(
                name="promtool",
                executables=("promtool",),
                project=_PROMETHEUS,
                package="promtool",
                minimum=(2, 53, 0),
                older_lacks=_OLD_PROMETHEUS,
                purpose="checks rule files, runs unit tests",
                needed_by_verify=True,
            ),
            ToolSpec(
                name="prometheus",
                executables=("prometheus",),
                project=_PROMETHEUS,
                package="prometheus",
                minimum=(2, 53, 0),
                older_lacks=_OLD_PROMETHEUS,
                purpose="evaluates the rules",
                needed_by_verify=True,
            ),
            ToolSpec(
                name="alertmanager",
                executables=("alertmanager", "prometheus-alertmanager"),
                project=_ALERTMANAGER,
                package="prometheus-alertmanager",
                minimum=(0, 22, 0),
                older_lacks=_OLD_ALERTMANAGER,
                purpose="routes and notifies in live runs",
                package_data="/usr/share/prometheus/alertmanager",
            ),
            ToolSpec(
                name="amtool",
                executables=("amtool",),
                project=_ALERTMANAGER,
                package="prometheus-alertmanager",
                minimum=(0, 22, 0),
                older_lacks=_OLD_ALERTMANAGER,
                purpose="checks Alertmanager's configuration",
            ),
            ToolSpec(
                name="node_exporter",
                executables=("node_exporter", "prometheus-node-exporter"),
                project=_NODE_EXPORTER,
                package="prometheus-node-exporter",
                minimum=(1, 0, 0),
                older_lacks=_OLD_NODE_EXPORTER,
                purpose="the machine's metrics in the stack",
            ),
        )
    }
)


def tools_of(project: ReleaseProject) -> tuple[ToolSpec, ...]:
    """The tools that one fetch of a project brings."""
    return tuple(tool for tool in TOOLS.values() if tool.project is project)


def parse_version(text: str) -> Version | None:
    """``3.5.3+ds1`` -> (3, 5, 3); None if it starts with no version."""
    match = _NUMBERS.match(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def parse_version_output(output: str) -> tuple[str, str] | None:
    """(program, version text) of what ``--version`` printed, or None if it is no such output."""
    match = _VERSION_LINE.search(output)
    return (match["program"], match["text"]) if match else None


def short_version(version: Version) -> str:
    """(2, 53, 0) -> ``2.53``, (2, 53, 1) -> ``2.53.1``."""
    return ".".join(str(n) for n in (version if version[2] else version[:2]))


def matches_prefix(version: Version, prefix: str) -> bool:
    """Whether ``3.5`` or ``3.5.3`` is what the version starts with, number by number (3.50 is no 3.5)."""
    wanted = tuple(int(n) for n in prefix.split(".")) if prefix else ()
    return version[: len(wanted)] == wanted
