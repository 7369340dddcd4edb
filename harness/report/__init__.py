"""Results as people and machines read them: one writer per file, all fed by the same results."""
