"""Contract against what was measured and what promtool or a receiver was told."""
