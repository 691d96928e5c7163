"""Floor 6: the modes and the command line."""
