"""How objectives stand: events counted from raw samples, budgets, verdicts."""
