"""What was measured, said again as promtool unit tests: to confirm it, and to be kept."""
