"""The CREMI challenge's files: which there are, how they are fetched, what lies where in them, what is handed in."""
