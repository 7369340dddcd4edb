"""What tests share: the real binaries, a running engine, and what to do where there is no container engine."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from harness.engines.base import Engine
from harness.engines.process import ProcessEngine
from harness.toolchain import Toolchain, probe_container_engine
from tests.distribution import BySharedFixtures, long_ones_first
from tests.limits import children_obey_signals, limit
from tests.needs import binary_of, refuse_to_skip
from tests.selection import mark_quick, sample

ROOT = Path(__file__).resolve().parent.parent


# On a busy machine one example may take long; what never ends meets pytest's limit.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")


def pytest_configure() -> None:
    children_obey_signals()


@pytest.hookimpl(optionalhook=True)  # of xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> BySharedFixtures:
    config.option.loadscopereorder = False  # the order is ours
    return BySharedFixtures(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    sample(items)  # before `-m` looks at marks
    mark_quick(items)
    limit(items)
    yield
    long_ones_first(items)  # after they were shuffled


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    return Toolchain()


@pytest.fixture(scope="session")
def prometheus_path(toolchain: Toolchain) -> Path:
    """The Prometheus under test; ALERT_HARNESS_PROMETHEUS names another."""
    return toolchain.find("prometheus").path


@pytest.fixture(scope="session")
def promtool_path(toolchain: Toolchain) -> Path:
    """The promtool under test; ALERT_HARNESS_PROMTOOL names another."""
    return toolchain.find("promtool").path


@pytest.fixture(scope="session")
def shared_engine(prometheus_path: Path) -> Iterator[Engine]:
    """One process engine for tests that only need distinct metric names."""
    with ProcessEngine(prometheus_path) as engine:
        yield engine


@pytest.fixture(scope="module")
def module_engine(prometheus_path: Path) -> Iterator[Engine]:
    """One process engine for the tests of a file, each of which makes it empty first."""
    with ProcessEngine(prometheus_path) as engine:
        yield engine


@pytest.fixture
def engine(prometheus_path: Path) -> Iterator[Engine]:
    """An empty process engine of the test's own."""
    with ProcessEngine(prometheus_path) as engine:
        yield engine


@pytest.fixture(scope="session")
def need_docker() -> None:
    """Skips, or fails where ALERT_HARNESS_REQUIRE_DOCKER=1, if no container engine answers."""
    found = probe_container_engine()
    if not found.found:
        refuse_to_skip(f"no container engine: {found.problem}")


@pytest.fixture(scope="session", params=["2.53", "3.5"])
def each_promtool(request: pytest.FixtureRequest) -> Path:
    """promtool of both versions, one after the other."""
    return binary_of("promtool", request.param)


@pytest.fixture(scope="session")
def image_builder() -> ModuleType:
    """ci/build_image.py as a module."""
    spec = importlib.util.spec_from_file_location("build_image", ROOT / "ci" / "build_image.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def image(need_docker: None, image_builder: ModuleType, prometheus_path: Path) -> str:
    """An image that is here without a registry: ALERT_HARNESS_IMAGE, else one built from the binary under test."""
    named = os.environ.get("ALERT_HARNESS_IMAGE")
    return named or str(image_builder.build(prometheus_path))
