"""promtool's unit-test files without its false greens: promtool judges, and what its SUCCESS hides is said."""
