"""How good burn-rate alerts are: the rules over the incident library."""
