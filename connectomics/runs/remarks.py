"""What a user should know about the volumes and labels of a run before it begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from numpy.typing import NDArray

from connectomics.config.data import VolumesConfig
from connectomics.data.targets import Target
from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.runs.job import Job
from connectomics.screen.console import is_first_process, say
from connectomics.volumes.labelled import OPTIONAL, LabelledSource
from connectomics.volumes.source import VolumeSource

SECTIONS_AT_ONCE = 8
"""How many sections of a label are read at a time."""


def tell_what_to_know(job: Job) -> None:
    """Say what the readers guessed, what is odd about labels, and which volumes have a mask.

    Raises:
        VolumeError: If a label cannot be read, or does not mean what the target asks for.
    """
    tell_remarks(job.volumes, job.target)
    tell_masks([job.section], job.volumes)


def tell_remarks(volumes: Sequence[LabelledSource], target: Target) -> None:
    """Say what the readers guessed, and what is odd about labels.

    Each label is read once, whole, whatever is cropped out of it.

    Args:
        volumes: Volumes of all stages of a run; the same file may occur again.
        target: What the labels are meant as; where it has no remark to make, nothing is read.

    Raises:
        VolumeError: If a label cannot be read, or does not mean what the target asks for.
    """
    for note in dict.fromkeys(note for volume in volumes for note in volume.notes):
        say(note)
    if target.remark is None or not is_first_process():
        return
    labels = {v.whole_label.info.location: v.whole_label for v in volumes if v.whole_label is not None}
    for location, label in labels.items():
        try:
            remark = target.remark(_slabs(label), label.info.layout)
        except VolumeError as error:
            raise VolumeError(f"{location}: {error}") from error
        if remark:
            say(f"{location}: {remark}")


def tell_masks(sections: Sequence[VolumesConfig], volumes: Sequence[LabelledSource]) -> None:
    """Say in one line which volumes have a mask, where masks are optional, and what it means that others have none.

    Args:
        sections: The settings that name the volumes.
        volumes: Volumes of all these sections, opened.
    """
    if not any(location.startswith(OPTIONAL) for section in sections for location in section.mask):
        return
    labelled = [volume for volume in volumes if volume.label is not None]
    masked = list(dict.fromkeys(volume.name for volume in labelled if volume.mask is not None))
    others = list(dict.fromkeys(volume.name for volume in labelled if volume.mask is None))
    told = [f"{', '.join(masked)} with a mask: only voxels that were annotated count"] if masked else []
    if others:
        told.append(
            f"{', '.join(others)} without a mask: all voxels count, and those that nobody annotated count as background"
        )
    if told:
        say("; ".join(told))


def _slabs(label: VolumeSource) -> Iterator[NDArray]:
    return (label.read(box)[0] for box in Box.whole(label.shape).slabs(SECTIONS_AT_ONCE))
