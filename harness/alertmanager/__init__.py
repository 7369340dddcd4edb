"""Alertmanager's configuration as the user wrote it: checked by amtool, its routes, receivers and inhibition rules."""
