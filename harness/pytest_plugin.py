"""The pytest door: options and fixtures; whatever they need is imported when they are used. PYTEST_DONT_REWRITE"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from harness.api.alert_rules import AlertRules
    from harness.plugin.fixtures import PlainPrometheus, PlainPromtool, Replayer
    from harness.plugin.session import ProjectSession

_T = TypeVar("_T")
_SESSION: pytest.StashKey[ProjectSession] = pytest.StashKey()


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

        config.pluginmanager.register(Door(config, project_session(config)), "alert-harness-items")


def pytest_unconfigure(config: pytest.Config) -> None:
    if _SESSION in config.stash:
        config.stash[_SESSION].close()


def project_session(config: pytest.Config) -> ProjectSession:
    """The session's settings, tools and engine; nothing in it is started before it is used."""
    if _SESSION not in config.stash:
        from harness.plugin.session import ProjectSession

        config.stash[_SESSION] = ProjectSession(config)
    return config.stash[_SESSION]


def _plainly(make: Callable[[], _T]) -> _T:
    """What a fixture gives, or a failure in the command line's words."""
    from harness.errors import HarnessError

    try:
        return make()
    except HarnessError as err:
        said = str(err)
    raise pytest.fail.Exception(said, pytrace=False)


@pytest.fixture(scope="session")
def alert_rules(pytestconfig: pytest.Config) -> AlertRules:
    """The project's rule files and contracts, loaded."""
    return _plainly(project_session(pytestconfig).alert_rules)


@pytest.fixture(scope="session")
def promtool(pytestconfig: pytest.Config) -> PlainPromtool:
    """promtool: `check_rules(files)`, `test_rules(files)`, `failures(run)`."""
    from harness.plugin.fixtures import PlainPromtool

    session = project_session(pytestconfig)
    return _plainly(lambda: PlainPromtool(session.promtool.path, features=session.server.features))


@pytest.fixture(scope="session")
def prometheus_factory(pytestconfig: pytest.Config) -> Callable[[], PlainPrometheus]:
    """`prometheus_factory()`: an empty throwaway Prometheus, for tests that need a new one for each example."""
    from harness.plugin.fixtures import PlainPrometheus

    session = project_session(pytestconfig)
    return lambda: _plainly(lambda: PlainPrometheus(session.slots))


@pytest.fixture
def prometheus(prometheus_factory: Callable[[], PlainPrometheus]) -> PlainPrometheus:
    """A throwaway Prometheus: load rules, write series, ask. Empty at the beginning of each test."""
    return prometheus_factory()


@pytest.fixture(scope="session")
def replay(prometheus_factory: Callable[[], PlainPrometheus]) -> Replayer:
    """`replay(rules, series, until="30m")`: what each alert does, tick by tick."""
    from harness.plugin.fixtures import Replayer

    return Replayer(prometheus_factory)
