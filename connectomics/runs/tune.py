"""`--mode tune`: find the threshold and the minimum size that score best on the validation volumes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from statistics import fmean

import yaml

from connectomics.errors import UserError
from connectomics.files import hold, write_text, write_whole
from connectomics.metrics import METRICS
from connectomics.reports.tried_sections import TriedSection
from connectomics.reports.tuning import write_tuning
from connectomics.runs.earlier import MADE_FROM, Keeper, digest, stamp_of
from connectomics.runs.folder import RunFolder
from connectomics.runs.job import Job
from connectomics.runs.prediction import mark_of
from connectomics.runs.remarks import tell_what_to_know
from connectomics.runs.tried_settings import Row, sweep_volume
from connectomics.runs.tried_sizes import with_sizes
from connectomics.screen.console import say
from connectomics.screen.durations import describe_seconds
from connectomics.volumes.state import state_of_files


def tune(job: Job) -> RunFolder:
    """Score the volumes of a job with every threshold and minimum size, and write down the best.

    Returns:
        The run whose `results/` holds the files.

    Raises:
        UserError: If a file cannot be read or written, another process works on one of the volumes, or no setting has
            a score.
    """
    tell_what_to_know(job)
    keeper, made_from = Keeper(job.run), list[str]()
    rows, sections = dict[str, list[Row]](), dict[str, list[TriedSection]]()
    with ExitStack() as stack:
        for volume in job.volumes:
            stack.enter_context(hold(job.run.lock(volume.name), f"{job.run.results}: {job.mode} of {volume.name}"))
        job = with_sizes(job)
        say(f"predicting {len(job.volumes)} volume(s) {job.weights}")
        for volume in job.volumes:
            begun, mark = time.monotonic(), mark_of(job, volume)
            if job.saving is not None:
                keeper.make_way(volume.name, mark, "", "")
            rows[volume.name], sections[volume.name] = sweep_volume(job, volume)
            truth = [state_of_files(source) for source in (volume.label, volume.mask) if source is not None]
            made_from.append(digest(volume.name, mark, truth))
            say(f"{volume.name}: {len(rows[volume.name])} settings, {describe_seconds(time.monotonic() - begun)}")
        with hold(job.run.joint_lock, str(job.run.sweep)):
            tried = (job.tuning.thresholds, job.tuning.sizes, job.tuning.metric, list(job.metrics), repr(job.rule))
            _write(job, rows, sections, digest(made_from, tried), keeper)
    return job.run


def average(rows: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Average the scores of several volumes; one that is undefined in a volume is undefined in the mean."""
    means = []
    for same in zip(*rows.values(), strict=True):
        mean = {name: same[0][name] for name in ("threshold", "min_size")}
        for name in same[0].keys() - mean.keys():
            values = [row[name] for row in same]
            mean[name] = None if None in values else fmean(values)
        means.append({name: mean[name] for name in same[0]})
    return means


def choose_best(means: Sequence[Row], metric: str) -> Row:
    """Return the setting that scores best; of several, the one with the minimum size, then the lowest threshold.

    Raises:
        UserError: If none has a score.
    """
    scored = [row for row in means if row[metric] is not None]
    if not scored:
        raise UserError(
            f"{metric} is undefined with every threshold: no voxel of a volume is predicted, or none is annotated; "
            "train longer, lower decoding.tuning.thresholds, or look at the labels of data.val"
        )
    sign = 1 if METRICS[metric].lower_is_better else -1
    return min(scored, key=lambda row: (sign * row[metric], row["min_size"], row["threshold"]))


def _write(
    job: Job,
    rows: Mapping[str, list[Row]],
    sections: Mapping[str, list[TriedSection]],
    made_from: str,
    keeper: Keeper,
) -> None:
    """Write the scores, the page and the best settings, and say where they are."""
    run, metric, means = job.run, job.tuning.metric, average(rows)
    if stamp_of(run.sweep).get(MADE_FROM) != made_from:
        keeper.keep([run.sweep, run.sweep_page, run.tuned])
    stamp = {**job.stamp, MADE_FROM: made_from}
    whole = {"volumes": rows, "mean": means, "decided_by": metric, "best": None, "stamp": stamp}
    write_text(run.sweep, json.dumps(whole, indent=1, allow_nan=False) + "\n")
    best, lower = choose_best(means, metric), METRICS[metric].lower_is_better
    write_text(run.sweep, json.dumps({**whole, "best": best}, indent=1, allow_nan=False) + "\n")
    with write_whole(run.sweep_page) as partial, partial.open("w", encoding="utf-8") as page:
        write_tuning(page, job.title, rows, means, best, metric, sections)
    on = f"{len(means)} settings on {', '.join(rows)}"
    head = f"# The best of {on}: {metric} {best[metric]:.6g} ({'lower' if lower else 'higher'} is better).\n"
    settings = {"decoding": {"threshold": best["threshold"], "min_size": best["min_size"]}}
    if job.decoding.min_size_um3:
        settings["decoding"]["min_size_um3"] = 0.0  # what was tried counts voxels alone
    write_text(run.tuned, head + yaml.safe_dump(settings, sort_keys=False))
    _tell(job, means, best, on)


def _tell(job: Job, means: Sequence[Row], best: Row, on: str) -> None:
    """Say which setting is the best, and what to do with it."""
    scores = ", ".join(f"{name} {_written(best[name])}" for name in best if name not in ("threshold", "min_size"))
    say(f"best of {on}: threshold {best['threshold']:g}, min_size {best['min_size']}; {scores}")
    tried = sorted({row["threshold"] for row in means})
    if best["threshold"] in (tried[0], tried[-1]) and len(tried) > 1:
        say("that is the end of decoding.tuning.thresholds: beyond it could be a better one")
    if not best["synapse_detection"]:
        say(
            "with that setting not one annotated object is found: train longer, look at the labels of data.val, or "
            "choose by another score, decoding.tuning.metric"
        )
    say(f"all scores are in {job.run.sweep}, curves for a browser in {job.run.sweep_page}")
    config = job.run.config if job.run.config.exists() else "..."
    say(
        f"test with these settings: python scripts/main.py --config {config} --mode test "
        f"--checkpoint {_given(job)} --tuned {job.run.tuned}"
    )


def _written(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _given(job: Job) -> str:
    """Return the checkpoints as the command line takes them."""
    given = job.stamp["checkpoint"]
    return " ".join(given) if isinstance(given, list) else str(given)
