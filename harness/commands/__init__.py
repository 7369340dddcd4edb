"""What the commands do: one use case a file, called by the command line and by whoever else opens a door."""
