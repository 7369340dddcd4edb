"""The annotations of an OpenSLO `SLO` that mean something here: what OpenSLO itself has no words for."""

ALERTING = "alert-harness/alerting"
"""How alerts are named and labelled: sloth's `alerting` mapping, as YAML text."""
BUDGET_POLICY = "alert-harness/budget-policy"
"""What follows from a spent budget, in words."""
GROUP_BY = "alert-harness/group-by"
"""The labels whose values have a budget each: ``cluster, namespace``."""
SERIES = "alert-harness/series"
"""The series that good and bad events move, for `slo prove` where they cannot be derived from the queries."""
OWN_ANNOTATIONS = (ALERTING, BUDGET_POLICY, SERIES, GROUP_BY)
PREFIX = "alert-harness/"
