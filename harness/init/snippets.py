"""The settings of a new project, and what its CI runs."""

from __future__ import annotations

from collections.abc import Sequence


def settings_text(rules: Sequence[str], contracts: Sequence[str], tests: Sequence[str], prometheus: str) -> str:
    """alert-harness.toml, with paths relative to it; `prometheus` may be empty."""

    def text(name: str) -> str:
        return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def listed(names: Sequence[str]) -> str:
        return f"[{', '.join(map(text, names))}]"

    made = _SETTINGS.format(rules=listed(rules), contracts=listed(contracts), tests=listed(tests))
    own = "  # confirm: Prometheus' own settings, such as evaluation_interval"
    return made + (f"prometheus = {text(prometheus)}{own}\n" if prometheus else "")


_SETTINGS = """\
# What alert-harness works on; paths are relative to this file.
rules = {rules}
contracts = {contracts}
tests = {tests}                      # promtool unit tests, if there are any
report = "build/report"         # the folder of the HTML page
"""

GITHUB = """\
# For GitHub Actions: copy this to .github/workflows/alert-harness.yml.
name: alert rules
on: [push, pull_request]
permissions:
  contents: read
jobs:
  prove:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install alert-harness
      - run: alert-harness verify --annotate github --junit build/junit.xml
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: alert-rules
          path: build/
"""

GITLAB = """\
# For GitLab: `include: {local: ci/alert-harness.gitlab.yml}` in .gitlab-ci.yml.
alert rules:
  image: python:3.12
  script:
    - pip install alert-harness
    - alert-harness verify --annotate gitlab --junit build/junit.xml
  artifacts:
    when: always
    paths: [build/report]
    reports:
      junit: build/junit.xml
      codequality: gl-code-quality-report.json
"""
