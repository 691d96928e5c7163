"""A trial of test or tune mode that writes nothing: some windows of each volume."""

from __future__ import annotations

from connectomics.runs.job import Job
from connectomics.runs.prediction import try_windows
from connectomics.runs.remarks import tell_what_to_know
from connectomics.screen.console import say


def try_volumes(job: Job, windows: int) -> None:
    """Predict a number of windows of each volume, and write nothing."""
    tell_what_to_know(job)
    for volume in job.volumes:
        try_windows(job, volume, windows)
    say(f"{windows} window(s) of each volume went through {job.weights}; nothing was written")
