"""What tests read back from a run."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def only_run(folder: Path) -> Path:
    """Return the one run that lies in a folder of runs."""
    (run,) = [path for path in folder.iterdir() if path.is_dir()]
    return run


def scalars(run: Path, tag: str) -> dict[int, float]:
    """Return step and value of what was logged under a tag; a later entry of a step wins."""
    events = EventAccumulator(str(run / "logs"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(tag)}


def tags(run: Path) -> dict[str, list[str]]:
    """Return the tags that were logged, by kind."""
    events = EventAccumulator(str(run / "logs"))
    events.Reload()
    return events.Tags()
