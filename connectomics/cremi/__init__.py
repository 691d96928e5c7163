"""Floor 4: the CREMI challenge's files: which there are, how they are fetched, their layout, what is submitted."""
