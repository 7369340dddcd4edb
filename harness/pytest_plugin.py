"""The pytest door: options and fixtures; whatever they need is imported when they are used. PYTEST_DONT_REWRITE"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.engines.promtool import Promtool
    from harness.plugin.bench import AlertRules, Prometheus, Replayer
    from harness.plugin.workshop import Workshop

_WORKSHOP: pytest.StashKey[Workshop] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, each also a setting of pytest's own configuration (`alert_rules`, …)."""
    group = parser.getgroup("alert-harness", "Prometheus alert rules")
    for name, text in (
        ("rules", "rule file, folder or glob: one test per alert and aspect (repeatable)"),
        ("contracts", "contract file, folder or glob for --alert-rules (repeatable)"),
        ("tests", "promtool unit-test file, folder or glob: one test per group (repeatable)"),
    ):
        group.addoption(f"--alert-{name}", action="append", metavar="PATH", help=text)
        parser.addini(f"alert_{name}", text, type="linelist", default=[])
    kinds = "process, docker, url or auto, as in `alert-harness prove --engine`"
    group.addoption("--alert-engine", metavar="KIND", help=kinds)
    parser.addini("alert_engine", kinds, default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alert_rules: made by alert-harness from rules, contracts and promtool tests")
    if any(config.getoption(f"alert_{name}") or config.getini(f"alert_{name}") for name in ("rules", "tests")):
        from harness.plugin.items import Door

        config.pluginmanager.register(Door(config, workshop(config)), "alert-harness-items")


def pytest_unconfigure(config: pytest.Config) -> None:
    if _WORKSHOP in config.stash:
        config.stash[_WORKSHOP].close()


def workshop(config: pytest.Config) -> Workshop:
    """The session's settings, tools and engine; nothing in it is started before it is used."""
    if _WORKSHOP not in config.stash:
        from harness.plugin.workshop import Workshop

        config.stash[_WORKSHOP] = Workshop(config)
    return config.stash[_WORKSHOP]


@pytest.fixture(scope="session")
def alert_rules(pytestconfig: pytest.Config) -> AlertRules:
    """The project's rule files and contracts, loaded."""
    from harness.plugin.bench import told_plainly

    with told_plainly():
        return workshop(pytestconfig).alert_rules()


@pytest.fixture(scope="session")
def promtool(pytestconfig: pytest.Config) -> Promtool:
    """promtool: `check_rules(files)`, `test_rules(files)`, `failures(run)`."""
    from harness.plugin.bench import told_plainly

    with told_plainly():
        return workshop(pytestconfig).promtool


@pytest.fixture
def prometheus(pytestconfig: pytest.Config) -> Prometheus:
    """A throwaway Prometheus: load rules, write series, ask. Empty at the beginning of each test."""
    from harness.plugin.bench import Prometheus, told_plainly

    with told_plainly():
        return Prometheus(workshop(pytestconfig).tape)


@pytest.fixture
def replay(prometheus: Prometheus) -> Replayer:
    """`replay(rules, series, until="30m")`: what each alert does, tick by tick."""
    from harness.plugin.bench import Replayer

    return Replayer(prometheus)
