"""Floor 4: tables and pictures of a result."""
