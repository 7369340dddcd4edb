"""A session's settings, tools and engine, each made when it is first used and shared by items and fixtures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import pytest

from harness.config import Config, load_config, rule_files, unit_test_files
from harness.errors import EngineError, HarnessError, InputError, near_miss

if TYPE_CHECKING:
    from harness.api.alert_rules import AlertRules
    from harness.engines.base import Engine
    from harness.engines.promtool import Promtool
    from harness.prometheus import ServerSettings
    from harness.replay import EndlessSlotWriter
    from harness.toolchain import Toolchain

_Made = TypeVar("_Made")


class ProjectSession:
    """What `--alert-…`, pytest's own configuration and [tool.alert-harness] say, in this order."""

    def __init__(self, config: pytest.Config) -> None:
        self.pytest = config
        self._engine: Engine | None = None
        self._writer: EndlessSlotWriter | None = None
        self._written = False
        self._made: dict[str, object] = {}
        self._failed: dict[str, HarnessError] = {}

    @cached_property
    def config(self) -> Config:
        return load_config(self.pytest.rootpath)

    @property
    def in_worker(self) -> bool:
        """Whether this process is one of pytest-xdist's workers, which knows only some of the items to come."""
        return hasattr(self.pytest, "workerinput")

    # -- paths ---------------------------------------------------------------------------------------------------

    def given(self, name: str) -> tuple[Sequence[str], Path] | None:
        """What was set for `rules`, `contracts` or `tests` in pytest, and the folder that it is relative to."""
        chosen: Sequence[str] = self.pytest.getoption(f"alert_{name}") or ()
        if chosen:
            return chosen, self.pytest.invocation_params.dir
        chosen = self.pytest.getini(f"alert_{name}")
        if chosen:
            return chosen, self.pytest.inipath.parent if self.pytest.inipath else self.pytest.rootpath
        return None

    def rule_paths(self) -> list[Path]:
        patterns, folder = self.given("rules") or (self.config.rules, self.config.folder)
        return rule_files(patterns, folder)

    def contract_paths(self) -> list[Path]:
        """The contracts that were named; without a word on them, a folder `contracts` beside the rules."""
        if given := self.given("contracts"):
            return rule_files(*given)
        if self.config.file is not None or self.given("rules") is None:
            return rule_files(self.config.contracts, self.config.folder)
        beside = sorted({path.parent / "contracts" for path in self.rule_paths()})
        found = [folder for folder in beside if folder.is_dir()]
        if not found:
            raise InputError(
                "no contracts: it is not said what the alerts are meant to do",
                hint="name them with --alert-contracts, or put them into a folder `contracts` beside the rules",
            )
        return rule_files([str(folder) for folder in found], Path())

    def test_paths(self) -> list[Path]:
        """The promtool unit tests that were named; else the configured ones, and those among the rules, if any."""
        if given := self.given("tests"):
            return unit_test_files(*given)
        found: dict[Path, None] = {}
        patterns, folder = self.given("rules") or ((), Path())
        for pattern in patterns:
            if (folder / pattern).is_dir():
                found.update(dict.fromkeys(_if_any(pattern, folder)))
        for pattern in self.config.tests:
            if (self.config.folder / pattern).exists() or self.config.file is not None:
                found.update(dict.fromkeys(_if_any(pattern, self.config.folder)))
        return list(found)

    # -- tools ---------------------------------------------------------------------------------------------------

    def alert_rules(self) -> AlertRules:
        from harness.api.alert_rules import AlertRules

        def load() -> AlertRules:
            return AlertRules.load(self.rule_paths(), self.contract_paths(), self.server)

        return self._once("alert_rules", load)

    @cached_property
    def toolchain(self) -> Toolchain:
        from harness.commands.project import toolchain

        return toolchain(self.config)

    @property
    def server(self) -> ServerSettings:
        """Prometheus' own settings."""
        from harness.commands.project import server_of, url_of

        return self._once("server", lambda: server_of(self.config, self._kind, url_of(self.config, None)))

    @property
    def promtool(self) -> Promtool:

        from harness.commands.project import promtool_for

        def make() -> Promtool:
            try:
                server = self.server
            except EngineError:  # unit tests need no server behind a URL
                server = self.config.server()
            return promtool_for(self.toolchain, server)

        return self._once("promtool", make)

    @property
    def engine(self) -> Engine:
        """The session's one engine; EngineError, the same each time, if there is none."""
        self._engine = self._once("engine", self._open)
        return self._engine

    def _open(self) -> Engine:
        from harness.commands.project import url_of
        from harness.engines import KINDS, open_engine
        from harness.engines.private import sweep

        kind = self._kind
        if kind not in KINDS:
            hint = f"expected one of: {', '.join(KINDS)}"
            raise InputError(f"unknown engine `{kind}`{near_miss(kind, KINDS)}", hint=hint)
        sweep()
        return open_engine(
            kind,
            prometheus=lambda: self.toolchain.find("prometheus").path,
            image=self.config.image,
            url=url_of(self.config, None),
            server=self.server,
        )

    @property
    def _kind(self) -> str:
        chosen = self.pytest.getoption("alert_engine") or self.pytest.getini("alert_engine")
        return str(chosen or self.config.engine)

    def blank_engine(self) -> Engine:
        """The engine without any samples: a proof begins its own time line."""
        if self._written:
            self.engine.reset()
        self._written = True
        if self._writer is not None:
            self._writer.lose()
        return self.engine

    @property
    def slots(self) -> EndlessSlotWriter:
        """The engine's time line, of which every test takes a stretch of its own, so none needs a fresh start."""
        from harness.replay import EndlessSlotWriter

        if self._writer is None:
            self._writer = EndlessSlotWriter(self.blank_engine())
        return self._writer

    def _once(self, name: str, make: Callable[[], _Made]) -> _Made:
        """Make it, or fail as the first time: what is missing once is not looked for again by every item."""
        if name in self._failed:
            raise self._failed[name]
        if name not in self._made:
            try:
                self._made[name] = make()
            except HarnessError as err:
                self._failed[name] = err
                raise
        return cast(_Made, self._made[name])

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def _if_any(pattern: str, folder: Path) -> list[Path]:
    try:
        return unit_test_files([pattern], folder)
    except InputError:
        return []  # unit tests that nobody asked for by name may be absent
