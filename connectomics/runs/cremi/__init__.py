"""From the CREMI challenge's files to a submission: download, prepare, submit."""
