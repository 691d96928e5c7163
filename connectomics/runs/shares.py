"""Several processes predict volumes together: each takes blocks that nobody has, and the last one closes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import ceil

from connectomics.errors import HeldError, UserError, VolumeError
from connectomics.files import write_text
from connectomics.geometry import ZYX, Box
from connectomics.inference import InferencePlan, predict_block
from connectomics.runs.earlier import digest
from connectomics.runs.job import Job, Saving
from connectomics.runs.prediction import block_of, mark_of, stage_of
from connectomics.runs.test import marks_of, test
from connectomics.screen.console import say
from connectomics.screen.window_progress import PredictionProgress
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.sections import cut_plane
from connectomics.volumes.stage import StagedVolume
from connectomics.volumes.state import state_of_files

BLOCKS_EACH = 2
"""How many blocks there are for each process, so that a quick one can take over from a slow one."""

LEAST_WINDOWS = 2
"""How many windows deep a block is at least: each block computes half a window more on either side."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which of several processes this one is."""

    number: int
    """From 0 on; where it begins among the blocks."""
    of: int
    """How many processes there are about; more may come, and fewer finish the work as well."""


def predict_share(job: Job, share: Share) -> None:
    """Predict blocks of a job's volumes until none is left that nobody has; then close the job if all are finished.

    Raises:
        UserError: If results are not saved, or a file cannot be read or written.
    """
    if _is_closed(job):
        say(f"all is done already; results are in {job.run.results}")
        return
    for volume in job.volumes:
        _predict_blocks(job, volume, _require_saving(job), share)
    left = _unfinished(job)
    if left:
        say(f"{left} block(s) are with other processes; the one that finishes last writes the results")
        return
    _close(job)


def assemble(job: Job) -> None:
    """Close a job whose blocks are all finished: write its files, decode, score, report.

    Raises:
        UserError: If blocks are missing, with how many and what to do.
    """
    _require_saving(job)
    left = _unfinished(job)
    if left:
        raise VolumeError(
            f"{left} block(s) of {job.run.results} are not predicted yet; give the command with --shard 0/1 instead of "
            "--assemble to predict what is missing, or wait for the processes that do"
        )
    _close(job)


def depth_of_blocks(plan: InferencePlan, shape: ZYX, share: Share, block: tuple[int, int] | None) -> int:
    """Return how many sections a block has, where it has `block` pixels: so few that each process gets some blocks."""
    if plan.depth is not None:
        return plan.depth
    parts = ceil(BLOCKS_EACH * share.of / len(cut_plane(shape, block)))
    return max(LEAST_WINDOWS * plan.grid(shape).window[0], ceil(shape[0] / parts))


def _require_saving(job: Job) -> Saving:
    if job.saving is None:
        raise UserError("inference.save_results is false; the blocks of several processes meet in files")
    return job.saving


def _predict_blocks(job: Job, volume: LabelledSource, saving: Saving, share: Share) -> None:
    stage = stage_of(job, volume, saving, depth_of_blocks(job.plan, volume.image.shape, share, block_of(job, volume)))
    stage.begin_together()
    if stage.is_finished:
        return
    first = share.number * len(stage.blocks) // share.of
    for block, missing in _claimed(job, volume, stage, stage.blocks[first:] + stage.blocks[:first]):
        before = state_of_files(volume.seen)
        say(f"{volume.name}: block {stage.blocks.index(block) + 1} of {len(stage.blocks)}")
        with PredictionProgress(volume.name, missing.size) as progress:
            predict_block(
                stage.pieces, saving.type, volume.seen, job.intensity(volume), job.plan, job.network.lanes, missing,
                volume.box, progress.update, say,
            )  # fmt: skip
        if state_of_files(volume.seen) != before:
            raise VolumeError(
                f"{volume.image.info.location} was changed while it was predicted; give the command with --restart, "
                "once nothing writes to the file any more"
            )


def _claimed(job: Job, volume: LabelledSource, stage: StagedVolume, blocks: list[Box]) -> Iterator[tuple[Box, Box]]:
    """Yield blocks that nobody has, with what of them is missing, held meanwhile; look again until none is left."""
    found = True
    while found:
        found = False
        for block in blocks:
            if stage.pieces.is_finished(block):
                continue
            with stage.pieces.claim(block, job.run.lock(volume.name)) as missing:
                if missing is not None:
                    found = True
                    yield block, missing


def _unfinished(job: Job) -> int:
    """Return how many blocks are not finished, of all volumes."""
    left = 0
    for volume in job.volumes:
        stage = stage_of(job, volume, _require_saving(job), None)
        stage.look()
        left += 0 if stage.is_finished else sum(not stage.pieces.is_finished(block) for block in stage.blocks)
    return left


def _close(job: Job) -> None:
    """Write the results, unless another process is at it."""
    try:
        test(job)
    except HeldError as held:
        say(f"{held}; that process writes the results")
        return
    write_text(job.run.closed, _made_from(job) + "\n")


def _is_closed(job: Job) -> bool:
    """Return whether the results are those of this job, written to the end."""
    try:
        word = job.run.closed.read_text(encoding="utf-8").strip()
    except OSError:
        return False
    masks = [job.run.mask(volume.name, _require_saving(job).suffix) for volume in job.volumes]
    return word == _made_from(job) and all(mask.exists() for mask in masks) and not _unfinished(job)


def _made_from(job: Job) -> str:
    """Return a short word for all that the results depend on."""
    whole = {volume.name: (mark_of(job, volume), *marks_of(job, volume)) for volume in job.volumes}
    return digest(whole, asdict(job.outputs))
