"""Find a tool, or fetch it: explicit setting, PATH, cache, official release, the distribution's package."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import RLock

from harness.errors import EngineError, InputError, near_miss
from harness.files import user_folder
from harness.toolchain.attempts import (
    Attempt,
    HostUnreachable,
    Progress,
    SourceFailed,
    cache_failed,
)
from harness.toolchain.debian import Distribution, fetch_package
from harness.toolchain.probe import VersionMemo
from harness.toolchain.store import CacheEntry, StagedTool, Store
from harness.toolchain.tools import TOOLS, Tool, ToolSpec, Version, matches_prefix, tools_of

_PREFIX = re.compile(r"\d+(\.\d+){0,2}")
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


class Toolchain:
    """Where the tools are on this machine; what was found once is remembered by the object.

    ``explicit`` maps a tool's name to its executable; ``versions`` a tool's or project's name to the version prefix
    (``2.53``, ``3.5.3``) that it must have, where ``prometheus`` counts for promtool too. What is not given is taken
    from ``environ`` (``ALERT_HARNESS_PROMTOOL``, ``…_CACHE``, ``…_OFFLINE``, ``…_PROMETHEUS_VERSION``,
    ``…_RELEASE_URL``). ``machine_root`` is the folder whose ``etc`` tells the distribution and its package sources.

    Raises InputError for a setting that names no tool or is no version.
    """

    def __init__(
        self,
        explicit: Mapping[str, Path] | None = None,
        *,
        cache: Path | None = None,
        offline: bool = False,
        versions: Mapping[str, str] | None = None,
        progress: Callable[[str], None] | None = None,
        environ: Mapping[str, str] | None = None,
        release_url: str | None = None,
        machine_root: Path = Path("/"),
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._explicit = dict(explicit or {})
        self._versions = dict(versions or {})
        projects = {tool.project.name for tool in TOOLS.values()}
        for name in self._explicit:
            _known(name)
        for name in self._versions:
            if name not in TOOLS and name not in projects:
                raise InputError(f"unknown tool `{name}` in versions{near_miss(name, TOOLS)}")
        self.cache_dir = cache or _cache_dir(self._environ)
        self.offline = offline or _flag(self._environ, "ALERT_HARNESS_OFFLINE")
        self._progress: Progress = progress or (lambda message: None)
        self._release_url = release_url or self._environ.get("ALERT_HARNESS_RELEASE_URL") or ""
        self._machine_root = machine_root
        self._store = Store(self.cache_dir / "tools")
        self._memo = VersionMemo(self.cache_dir / "versions.json")
        self._prefixes = {tool.name: self._prefix_of(tool) for tool in TOOLS.values()}
        self._found: dict[str, Tool] = {}
        self._tried: dict[str, list[Attempt]] = {}
        self._unreachable: dict[str, str] = {}
        self._lock = RLock()

    def find(self, name: str, *, check: bool = False) -> Tool:
        """The tool, fetched if need be.

        With ``check`` a cached one must also run, not only be what was put there. Raises EngineError that lists each
        source with the reason why it gave none, InputError for an unknown name.
        """
        known = _known(name)
        with self._lock:
            tool = self.locate(name, check=check)
            if tool is None and self._setting(known) is None:
                tool = self._fetch(known, check)
            if tool is None:
                raise self._not_found(known)
            self._found[name] = tool
            return tool

    def locate(self, name: str, *, check: bool = False) -> Tool | None:
        """The tool as far as it is here already; None if it is not, and :meth:`tried` says why."""
        known = _known(name)
        with self._lock:
            if not check and name in self._found:
                return self._found[name]
            tried: list[Attempt] = []
            self._tried[name] = tried
            if self._setting(known) is not None:
                # Who names an executable means that one: a wrong name is an error, never a reason to take another.
                tool = self._from_setting(known, tried)
            else:
                tried.append(Attempt("setting", f"{known.setting} is not set"))
                tool = self._from_path(known, tried) or self._from_cache(known, tried, check)
            if tool is not None:
                self._found[name] = tool
            return tool

    def tried(self, name: str) -> list[Attempt]:
        """Why each source that was asked for this tool gave none; empty before the first search."""
        return list(self._tried.get(_known(name).name, ()))

    def prefix(self, name: str) -> str:
        """The version prefix that this tool must have, or an empty string."""
        return self._prefixes[_known(name).name]

    def has_setting(self, name: str) -> bool:
        """Whether an executable was named for this tool, so that no other source is asked."""
        return self._setting(_known(name)) is not None

    def what_to_do(self, name: str) -> str:
        """The hint for a tool that was not found."""
        known = _known(name)
        wanted = self._prefixes[name] or f"{known.minimum_text} or newer"
        if (setting := self._setting(known)) is not None:
            source, _ = setting
            return f"make {source} name an executable {name} ({wanted}), or remove it"
        ways = f"install {name} {wanted} and put it on PATH, or name it: {known.setting}=/path/to/{name}"
        if self.offline:
            return f"{ways}; or go online once to have it fetched into {self.cache_dir}"
        return ways

    # -- settings ------------------------------------------------------------------------------------------------

    def _prefix_of(self, known: ToolSpec) -> str:
        names = (known.name, known.project.name)
        given = next((self._versions[name] for name in names if name in self._versions), None)
        source = "versions"
        if given is None:
            variables = [f"ALERT_HARNESS_{name.upper()}_VERSION" for name in names]
            source = next((variable for variable in variables if self._environ.get(variable)), "")
            given = self._environ.get(source, "").strip() if source else ""
        given = given.removeprefix("v")
        if given and not _PREFIX.fullmatch(given):
            raise InputError(
                f"{source}: `{given}` is no version of {known.name}", hint="give one to three numbers: 3, 3.5 or 3.5.3"
            )
        return given

    def _setting(self, known: ToolSpec) -> tuple[str, Path] | None:
        """(where it stands, path) of an explicit setting."""
        if known.name in self._explicit:
            return f"the setting `{known.name}`", self._explicit[known.name]
        value = self._environ.get(known.setting, "")
        return (known.setting, Path(value)) if value else None

    # -- sources -------------------------------------------------------------------------------------------------

    def _from_setting(self, known: ToolSpec, tried: list[Attempt]) -> Tool | None:
        setting = self._setting(known)
        if setting is None:
            return None
        source, given = setting
        path = given.expanduser().absolute()
        try:
            if path.is_dir():
                raise SourceFailed(f"{path} is a folder, not an executable")
            if not path.exists():
                raise SourceFailed(f"{path} does not exist")
            if not os.access(path, os.X_OK):
                raise SourceFailed(f"{path} is not executable")
            return self._accept(known, path, "setting")
        except SourceFailed as err:
            tried.append(Attempt("setting", f"{source}: {err}", rejected=True))
            return None

    def _from_path(self, known: ToolSpec, tried: list[Attempt]) -> Tool | None:
        folders = list(dict.fromkeys(self._environ.get("PATH", os.defpath).split(os.pathsep)))
        # A relative entry would make the answer depend on the current folder, and let a checkout plant a program.
        folders = [folder for folder in folders if os.path.isabs(folder)]
        before = len(tried)
        for folder in folders:
            for executable in known.executables:
                path = os.path.join(folder, executable)
                if not os.path.isfile(path) or not os.access(path, os.X_OK):
                    continue
                try:
                    return self._accept(known, Path(path), "PATH")
                except SourceFailed as err:
                    tried.append(Attempt("PATH", str(err), rejected=True))
        if len(tried) == before:
            count = len(folders)
            tried.append(
                Attempt("PATH", f"no {' or '.join(known.executables)} in its {count} folder{'s' * (count != 1)}")
            )
        return None

    def _accept(self, known: ToolSpec, path: Path, origin: str) -> Tool:
        """The tool at a path if its version will do; raises SourceFailed."""
        version, text = self._memo.probe(known, path)
        if why := self._unfit(known, version):
            raise SourceFailed(f"{path} is {text}: {why}")
        return Tool(known.name, path, version, text, origin)

    def _unfit(self, known: ToolSpec, version: Version) -> str:
        prefix = self._prefixes[known.name]
        if version < known.minimum:
            return f"needs {known.minimum_text} or newer, {known.older_lacks}"
        return "" if matches_prefix(version, prefix) else f"wanted {prefix}"

    def _from_cache(self, known: ToolSpec, tried: list[Attempt], check: bool) -> Tool | None:
        entries = self._store.entries(known, run=check)
        for entry in entries:
            if entry.tool is not None and not self._unfit(known, entry.tool.version):
                return entry.tool
        for entry in entries:
            what = f"{entry.folder} is damaged: {entry.damage}" if entry.tool is None else _unwanted(entry)
            tried.append(Attempt("cache", what, rejected=True))
        if not entries:
            tried.append(Attempt("cache", f"none in {self._store.root}"))
        return None

    def _fetch(self, known: ToolSpec, check: bool) -> Tool | None:
        tried = self._tried[known.name]
        if self.offline:
            tried.append(Attempt("release", "not asked: offline"))
            tried.append(Attempt("debian", "not asked: offline"))
            return None
        with self._store.lock(known.project, self._progress):
            # Another run may have fetched it while we waited for the lock.
            again: list[Attempt] = []
            if (tool := self._from_cache(known, again, check)) is not None:
                return tool
            for entry in self._store.entries(known, run=check):
                if entry.tool is None:
                    self._store.discard(entry)
            return self._fetch_release(known, tried) or self._fetch_package(known, tried)

    def _fetch_release(self, known: ToolSpec, tried: list[Attempt]) -> Tool | None:
        # requests takes 200 ms to import, fifty times what it takes to find a tool that is here.
        from harness.toolchain.releases import OFFICIAL, fetch_release, release_version

        def fetch(staging: Path) -> list[StagedTool]:
            version = release_version(known.project, self._prefixes[known.name])
            base_url = self._release_url or OFFICIAL
            tools = tools_of(known.project)
            return fetch_release(tools, version, self._store.platform, base_url, staging, self._progress)

        return self._fetched(known, "release", fetch, tried)

    def _fetch_package(self, known: ToolSpec, tried: list[Attempt]) -> Tool | None:
        try:
            distribution = Distribution.of_machine(self._machine_root)
        except SourceFailed as err:
            tried.append(Attempt("debian", str(err)))
            return None
        prefix = self._prefixes[known.name]
        for suite in distribution.suites:

            def fetch(staging: Path, suite: str = suite) -> list[StagedTool]:
                return fetch_package(tools_of(known.project), distribution, suite, prefix, staging, self._progress)

            if (tool := self._fetched(known, "debian", fetch, tried)) is not None:
                return tool
            if "debian" in self._unreachable:  # the other suites live on the same mirror
                break
        return None

    def _fetched(
        self, known: ToolSpec, source: str, fetch: Callable[[Path], list[StagedTool]], tried: list[Attempt]
    ) -> Tool | None:
        """Run one source; None with the reason noted if it fails."""
        if source in self._unreachable:
            tried.append(Attempt(source, self._unreachable[source]))
            return None
        try:
            with self._store.staging(known.project) as staging:
                tool = self._store.install(fetch(staging), staging)[known.name]
        except SourceFailed as err:
            tried.append(Attempt(source, str(err)))
            if isinstance(err, HostUnreachable):
                self._unreachable[source] = str(err)
            return None
        except OSError as err:
            raise cache_failed(err, self._store.root) from err
        if why := self._unfit(known, tool.version):
            tried.append(Attempt(source, f"{tool.version_text}: {why}"))
            return None
        return tool

    def _not_found(self, known: ToolSpec) -> EngineError:
        prefix = self._prefixes[known.name]
        lines = "".join(f"\n  {attempt}" for attempt in self._tried[known.name])
        return EngineError(
            f"no usable {known.name} ({prefix or f'{known.minimum_text} or newer'}):{lines}",
            hint=self.what_to_do(known.name),
        )


def _unwanted(entry: CacheEntry) -> str:
    return f"{entry.folder.name} is not the version that is wanted"


def _known(name: str) -> ToolSpec:
    if name not in TOOLS:
        raise InputError(f"unknown tool `{name}`{near_miss(name, TOOLS)}", hint=f"known are: {', '.join(TOOLS)}")
    return TOOLS[name]


def _flag(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "").strip().lower()
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise InputError(f"{name}: `{value}` is neither yes nor no", hint="set it to 1, or remove it")


def _cache_dir(environ: Mapping[str, str]) -> Path:
    """ALERT_HARNESS_CACHE, else alert-harness in the user's cache folder, else in that of temporary files."""
    if value := environ.get("ALERT_HARNESS_CACHE"):
        return Path(value).expanduser().absolute()
    own = user_folder(environ, "XDG_CACHE_HOME", ".cache")
    return own or Path(tempfile.gettempdir()) / f"alert-harness-{os.getuid()}"
