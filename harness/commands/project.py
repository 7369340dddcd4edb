"""A project as a command finds it: settings and choices, rules and contracts, tools, an engine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.choices.shared import EngineChoices, ProjectChoices
from harness.config import Config, rule_files
from harness.contracts import Contract, load_contracts
from harness.engines import KINDS, open_engine
from harness.engines.base import Engine
from harness.engines.private import sweep
from harness.engines.promtool import Promtool
from harness.errors import HarnessError, InputError, InputErrors, by_place, near_miss, printable
from harness.prometheus import ServerSettings
from harness.proof.checked import check_rule_files
from harness.rules import Loaded, RuleFile, read_rules
from harness.toolchain import Toolchain


@dataclass(frozen=True, slots=True)
class Project:
    """A project's rules and contracts, loaded."""

    files: list[RuleFile]
    contracts: list[Contract]
    server: ServerSettings
    """Prometheus' own settings, with which they were loaded."""
    faults: list[HarnessError] = field(default_factory=list)
    """What is wrong with rules, of which nothing more is said: neither they nor their contracts are in here."""
    complaints: Mapping[int, str] | None = None
    """What promtool says against single alerts, by the id of the rule; None: it was not asked yet."""

    def checked(self, promtool: Promtool) -> Project:
        """The same without the rules that promtool refuses."""
        if self.complaints is not None:
            return self
        checked = check_rule_files(promtool, self.files)
        lost = Loaded(checked.files, checked.faults).lost()
        return Project(
            checked.files,
            [contract for contract in self.contracts if contract.alert.value not in lost],
            self.server,
            by_place([*self.faults, *(fault.error for fault in checked.faults)]),
            checked.complaints,
        )


def load(config: Config, choices: ProjectChoices) -> Project:
    """Load rules and contracts; with `choices.alerts` only these contracts, and no word on other alerts.

    What is wrong with single rules is in the project's `faults`; raised where there is nothing else.
    """
    # A path on the command line is relative to where the user stands, one in the configuration to its own folder.
    check_engine(config, choices)
    here = Path.cwd()
    rules = rule_files(choices.rules, here) if choices.rules else rule_files(config.rules, config.folder)
    found = rule_files(choices.contracts, here) if choices.contracts else _own_contracts(config)
    server = server_of(config, choices.engine or config.engine, url_of(config, choices.url))
    loaded, contracts = read_rules(rules, server), load_contracts(found, server)
    if not loaded.files:
        raise InputErrors(loaded.errors)
    tell_notes(loaded)
    if choices.alerts:
        known = {contract.alert.value for contract in contracts}
        for name in choices.alerts:
            if name not in known:
                raise InputError(
                    f"no contract speaks of an alert `{name}`{near_miss(name, known)}",
                    hint=f"known alerts: {', '.join(sorted(known))}",
                )
        contracts = [contract for contract in contracts if contract.alert.value in choices.alerts]
    lost = loaded.lost()
    contracts = [contract for contract in contracts if contract.alert.value not in lost]
    return Project(loaded.files, contracts, server, loaded.errors)


def tell_notes(loaded: Loaded) -> None:
    """Say, on standard error, what is right but not for Prometheus."""
    for note in loaded.notes:
        print(f"alert-harness: note: {printable(note)}", file=sys.stderr)


def _own_contracts(config: Config) -> list[Path]:
    """Those of the settings. Whoever has no settings has mostly no contracts yet, and is told how to begin."""
    try:
        return rule_files(config.contracts, config.folder)
    except InputError as err:
        if "contracts" in config.places:
            raise
        raise InputError(
            f"there are no contracts: {err.message}",
            hint="let `alert-harness init` begin them, or set `contracts` in [tool.alert-harness]",
        ) from err


def check_engine(config: Config, choices: EngineChoices) -> None:
    """Raise InputError for an engine that there is none of, and for options that mean nothing to the one chosen."""
    kind = choices.engine or config.engine
    if kind not in KINDS:
        span = config.places.get("engine") if choices.engine is None else None
        raise InputError(
            f"unknown engine `{kind}`{near_miss(kind, KINDS)}", span=span, hint=f"expected one of: {', '.join(KINDS)}"
        )
    for option, value, takers in (("--url", choices.url, ("url",)), ("--image", choices.image, ("docker", "auto"))):
        if value is not None and kind not in takers:
            raise InputError(
                f"{option} means nothing to --engine {kind}", hint=f"add --engine {takers[0]}, or leave {option} out"
            )


def toolchain(config: Config) -> Toolchain:
    """The toolchain with the project's settings; fetching is told on standard error."""
    try:
        return Toolchain(
            config.tools,
            versions=config.versions,
            progress=lambda line: print(f"alert-harness: {line}", file=sys.stderr),
        )
    except InputError as err:
        setting = next((s for s in ("versions", "tools") if s in config.places and s.rstrip("s") in err.message), None)
        if setting is None:
            raise
        raise InputError(err.message, span=config.places[setting], hint=err.hint) from err


def promtool_for(tools: Toolchain, server: ServerSettings) -> Promtool:
    """promtool, told the features of the Prometheus for which it speaks."""
    return Promtool(tools.find("promtool").path, features=server.features)


def url_of(config: Config, chosen: str | None) -> str | None:
    """The address of the URL engine."""
    return chosen or config.url or os.environ.get("ALERT_HARNESS_URL")


def server_of(config: Config, kind: str, url: str | None) -> ServerSettings:
    """Prometheus' own settings: the project's, and where it names none those of the URL engine.

    Raises InputError where the URL engine evaluates with others than the project names.
    """
    own = config.server()
    if kind != "url" or not url:
        return own
    from harness.engines.url import UrlEngine

    with UrlEngine(url, read_only=True) as engine:
        return engine.tell_server(own, config.named())


def open_for(config: Config, choices: EngineChoices, tools: Toolchain, server: ServerSettings) -> Engine:
    sweep()  # whatever engine a killed run used, its promtool files lay in the folder for temporary files
    return open_engine(
        choices.engine or config.engine,
        prometheus=lambda: tools.find("prometheus").path,
        image=choices.image or config.image,
        url=url_of(config, choices.url),
        server=server,
    )
