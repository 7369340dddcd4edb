# Two commands do everything: `make verify` and `make test`. Both set up .venv by themselves.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.PHONY: help setup verify quick test test-slow test-system dashboards lint bench clean

help:  ## what there is
	@sed -n 's/^\([a-z-]*\):.*##/  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

$(STAMP): pyproject.toml fixtures/streaming/pyproject.toml ci/venv.sh
	sh ci/venv.sh $(VENV)
	@touch $@

setup: $(STAMP)  ## make .venv with everything in it

verify: $(STAMP)  ## the main job: check, test and prove the alert rules
	$(BIN)/alert-harness verify

quick: $(STAMP)  ## the tests that need no server, within a minute
	$(BIN)/python -m pytest -n $(WORKERS) -m quick $(ARGS)

test: $(STAMP) lint  ## every test that takes no minutes
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not system" $(ARGS)

test-system: $(STAMP)  ## the whole stack with every scenario, as processes and containers; browsers; killed runs
	$(BIN)/python -m pytest -m "system and not slow" $(ARGS)  # one at a time: they run by real clocks

test-slow: $(STAMP)  ## the tests that take minutes: thousands of examples, real downloads
	$(BIN)/python -m pytest -m slow $(ARGS)

dashboards: $(STAMP)  ## write the Grafana dashboards anew, after a change of rules, contracts or their builder
	$(BIN)/python -m fixtures.dashboards

lint: $(STAMP)  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## the ratios that the docs quote
	$(BIN)/python tests/benchmarks/bench_engine.py
	$(BIN)/python tests/benchmarks/bench_prove.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable './fixtures/streaming[bench]'
	$(BIN)/python tests/benchmarks/bench_service.py
	$(BIN)/python tests/benchmarks/bench_workers.py

clean:  ## remove what make made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
