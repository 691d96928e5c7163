"""`--mode test`: predict, decode, score, report."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from connectomics.errors import VolumeError
from connectomics.files import hold, write_text
from connectomics.metrics import mean_over_volumes
from connectomics.metrics.judged import Judged
from connectomics.reports.page import PageDraft
from connectomics.reports.scores import print_scores
from connectomics.runs.by_slabs import goes_by_slabs, require_memory, test_slabs
from connectomics.runs.earlier import MADE_FROM, Keeper, digest, stamp_of
from connectomics.runs.folder import RunFolder
from connectomics.runs.found_labels import Decoded, decode_volume
from connectomics.runs.job import Job, Saving
from connectomics.runs.prediction import mark_of, peak_memory, predict_sections
from connectomics.runs.remarks import tell_what_to_know
from connectomics.runs.report import (
    add_to_page,
    begin_page,
    page_made_from,
    publish_page,
    write_picture,
    write_plain_picture,
)
from connectomics.runs.score import judge_labels, score_or_say, write_instances, write_synapses
from connectomics.screen.console import console, say
from connectomics.screen.durations import describe_seconds
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.state import state_of_files

PATIENCE_S = 1.0
"""How long to wait for a process that only looks whether somebody is at a volume."""


def test(job: Job) -> RunFolder:
    """Predict the volumes of a job, and score them where labels are.

    Returns:
        The run whose `results/` holds the files.

    Raises:
        UserError: If a file cannot be read or written, or another process works on one of the volumes.
    """
    require_memory(job)
    tell_what_to_know(job)
    by_slabs = any(goes_by_slabs(job, volume) for volume in job.volumes)
    with ExitStack() as stack:
        for volume in job.volumes:
            what = f"{job.run.results}: {job.mode} of {volume.name}"
            stack.enter_context(hold(job.run.lock(volume.name), what, patience_s=PATIENCE_S))
        say(f"predicting {len(job.volumes)} volume(s) {job.weights}")
        keeper = Keeper(job.run)
        draft = stack.enter_context(begin_page(job)) if job.outputs.report and not by_slabs else None
        found = {volume.name: _test_volume(job, volume, keeper, draft) for volume in job.volumes}
        if job.scores or draft is not None:
            with hold(job.run.joint_lock, str(job.run.metrics)):
                _publish(job, found, keeper, draft)
    say(f"results are in {job.run.results}")
    failed = {name: one.failure for name, one in found.items() if one.failure}
    if failed:
        raise VolumeError("; ".join(f"{name} has no scores: {reason}" for name, reason in failed.items()))
    return job.run


@dataclass(frozen=True, slots=True)
class Tested:
    """The outcome of one volume."""

    scores: Mapping[str, Any]
    made_from: str
    """Short digest of what the scores depend on."""
    failure: str
    """Why there are no scores; "" if there are."""


def _test_volume(job: Job, volume: LabelledSource, keeper: Keeper, draft: PageDraft | None) -> Tested:
    """Predict, decode, score and show one volume; the others still get their scores where its label cannot be used."""
    mark, (mask_from, scores_from) = mark_of(job, volume), marks_of(job, volume)
    if job.saving is not None:
        keeper.make_way(volume.name, mark, mask_from, scores_from)
    decoded = _find(job, volume, mask_from)
    if not job.keeps_labels or goes_by_slabs(job, volume):
        return _test_from_files(job, volume, decoded, scores_from)
    judged, failure = _judge(job, volume, decoded)
    scores = score_or_say(job, None if failure else judged.pair, failure) if job.scores else {}
    if job.saving is not None:
        if job.scores:
            _write_scores(job, volume, scores, scores_from)
        _show(job, volume, judged, job.saving, scores_from)
        if draft is not None:
            add_to_page(draft, job, volume, judged, job.saving)
    return Tested(scores, scores_from, failure)


def _test_from_files(job: Job, volume: LabelledSource, decoded: Decoded, scores_from: str) -> Tested:
    """Show a volume whose labels are in files alone, and score it by slabs if that is wanted."""
    scores: Mapping[str, Any] = {}
    failure = ""
    if job.saving is not None:
        write_plain_picture(job, volume, decoded.foreground, job.saving)
        if job.keeps_labels:
            scores, failure = test_slabs(job, volume, job.saving, scores_from)
        if job.scores:
            _write_scores(job, volume, scores, scores_from)
    return Tested(scores, scores_from, failure)


def marks_of(job: Job, volume: LabelledSource) -> tuple[str, str]:
    """Return short digests of what the mask and the scores of a volume depend on."""
    decoding = job.decoding_of(volume)
    mask = digest(mark_of(job, volume), decoding.name, decoding.threshold, decoding.min_size, decoding.dilation)
    truth = [state_of_files(source) for source in (volume.label, volume.mask) if source is not None]
    return mask, digest(mask, truth, list(job.metrics), repr(job.rule))


def _judge(job: Job, volume: LabelledSource, decoded: Decoded) -> tuple[Judged, str]:
    """Return what became of each object of a volume, and why its label cannot be used; "" if it can."""
    alone = replace(volume, label=None)
    if not job.scores:
        return judge_labels(job, alone, decoded.labels), ""
    try:
        return judge_labels(job, volume, decoded.labels), ""
    except VolumeError as error:
        return judge_labels(job, alone, decoded.labels), str(error)


def _find(job: Job, volume: LabelledSource, made_from: str) -> Decoded:
    """Predict and decode a volume into its files; return what was found."""
    begun = time.monotonic()
    was_there = job.saving is not None and job.run.prediction(volume.name, job.saving.suffix).exists()
    with closing(predict_sections(job, volume)) as predicted:
        decoded = decode_volume(job, volume, predicted, made_from)
    seconds, voxels = time.monotonic() - begun, prod(volume.image.shape)
    speed = "" if was_there else f"{voxels / seconds / 1e6:.3g} million voxels/s, "  # reading it again is none
    say(
        f"{volume.name}: {describe_seconds(seconds)}, {speed}peak memory {peak_memory(job.network)}, "
        f"{decoded.foreground.sum() / voxels:.2%} of the voxels are in {job.decoder.noun}"
    )
    return decoded


def _show(job: Job, volume: LabelledSource, judged: Judged, saving: Saving, made_from: str) -> None:
    """Draw sections of a volume, list the objects in it, and write their ids."""
    write_picture(job, volume, judged)
    if job.outputs.instances:
        write_instances(job, volume, judged, saving, made_from)
    if job.outputs.synapses:
        write_synapses(job, volume, judged, saving)


def _write_scores(job: Job, volume: LabelledSource, scores: Mapping[str, Any], made_from: str) -> None:
    """Write the scores of one volume, which stay when other volumes are tested."""
    whole = {"volumes": {volume.name: scores}, "stamp": {**job.stamp, MADE_FROM: made_from}}
    write_text(job.run.scores(volume.name), json.dumps(whole, indent=2, allow_nan=False) + "\n")


def _publish(job: Job, found: Mapping[str, Tested], keeper: Keeper, draft: PageDraft | None) -> None:
    """Write the scores of all volumes and the page, and print the scores."""
    made_from = digest({name: one.made_from for name, one in found.items()})
    if {stamp_of(job.run.metrics).get(MADE_FROM), page_made_from(job.run.report)} - {None, made_from}:
        keeper.keep([job.run.metrics, job.run.report])
    whole = None
    if job.scores:
        scores = {name: one.scores for name, one in found.items()}
        stamp = {**job.stamp, MADE_FROM: made_from}
        whole = {"volumes": scores, "mean": mean_over_volumes(scores), "stamp": stamp}
        write_text(job.run.metrics, json.dumps(whole, indent=2, allow_nan=False) + "\n")
        print_scores(console(), whole, job.decoder.noun)
    if draft is not None:
        publish_page(draft, job, whole, made_from)
