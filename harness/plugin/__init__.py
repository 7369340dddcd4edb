"""What the pytest plugin is made of, imported only by a session that uses it."""
