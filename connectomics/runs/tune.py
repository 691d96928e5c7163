"""`--mode tune`: find the threshold and the least size that score best on the validation volumes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from connectomics.config import Config
from connectomics.data.targets import build_target
from connectomics.decoding import pick_decoder
from connectomics.errors import ConfigError, UserError
from connectomics.files import write_text
from connectomics.lookup import pick
from connectomics.metrics import METRICS
from connectomics.reports.durations import describe_seconds
from connectomics.reports.tuning import write_tuning
from connectomics.runs.console import quiet_libraries, say
from connectomics.runs.folder import RunFolder
from connectomics.runs.labels import tell_masks, tell_remarks
from connectomics.runs.sweep import Row, sweep_volume
from connectomics.runs.trained import begin, open_trained, require_checkpoint, try_volumes
from connectomics.runs.tuning_volumes import tuning_volumes
from connectomics.volumes.labelled import open_labelled


def tune(configs: Mapping[str, Config], checkpoint: Path | None, fast_dev_run: int = 0) -> RunFolder:
    """Score the validation volumes with every threshold and least size, and write down the best.

    Args:
        configs: The settings of all modes; volumes are `data.val` of tune mode, else that of training.
        checkpoint: The trained network.
        fast_dev_run: So many windows of each volume, writing nothing; 0 predicts them whole.

    Returns:
        The run whose `results/` holds the files.

    Raises:
        UserError: If something that the settings name cannot be used, or no setting has a score.
    """
    quiet_libraries()
    config, checkpoint = configs["tune"], require_checkpoint(checkpoint, "tune")
    check_deciding(config)
    named, key = tuning_volumes(configs)
    volumes = open_labelled(named, key, config.model.in_channels, need_label=True)
    tell_remarks(volumes, build_target(config.data.target))
    tell_masks([named], volumes)
    trained = open_trained(config, checkpoint, "tune")
    if fast_dev_run:
        try_volumes(trained, volumes, config, fast_dev_run)
        return trained.run
    begin(trained, volumes, config)
    rows: dict[str, list[Row]] = {}
    for volume in volumes:
        begun = time.monotonic()
        rows[volume.name] = sweep_volume(volume, trained, config)
        say(f"{volume.name}: {len(rows[volume.name])} settings, {describe_seconds(time.monotonic() - begun)}")
    _write(rows, trained.stamp(config), config, trained.run)
    return trained.run


def check_deciding(config: Config) -> None:
    """Refuse to let a score decide that is not computed.

    Raises:
        ConfigError: With the setting and the close match.
    """
    name, key = config.decoding.tuning.metric, "decoding.tuning.metric"
    metric = pick(METRICS, name, key)
    if metric.needs_sides and not pick_decoder(config.decoding).classes:
        fitting = ", ".join(other for other, one in METRICS.items() if not one.needs_sides)
        raise ConfigError(f"{key} is {name!r}; with decoding.name={config.decoding.name} it must be one of {fitting}")


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
    """Return the setting that scores best; of several, the one with the least size, then the lowest threshold.

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


def _write(rows: Mapping[str, list[Row]], stamp: Mapping[str, Any], config: Config, run: RunFolder) -> None:
    """Write the scores, the page and the best settings, and say where they are."""
    metric, means = config.decoding.tuning.metric, average(rows)
    whole = {"volumes": rows, "mean": means, "decided_by": metric, "best": None, "stamp": stamp}
    write_text(run.sweep, json.dumps(whole, indent=1, allow_nan=False) + "\n")
    best, lower = choose_best(means, metric), METRICS[metric].lower_is_better
    write_text(run.sweep, json.dumps({**whole, "best": best}, indent=1, allow_nan=False) + "\n")
    write_text(run.sweep_page, write_tuning(config.experiment_name, rows, means, best, metric))
    on = f"{len(means)} settings on {', '.join(rows)}"
    head = f"# The best of {on}: {metric} {best[metric]:.6g} ({'lower' if lower else 'higher'} is better).\n"
    settings = {"decoding": {"threshold": best["threshold"], "min_size": best["min_size"]}}
    write_text(run.tuned, head + yaml.safe_dump(settings, sort_keys=False))
    scores = ", ".join(f"{name} {_written(best[name])}" for name in best if name not in settings["decoding"])
    say(f"best of {on}: threshold {best['threshold']:g}, min_size {best['min_size']}; {scores}")
    tried = sorted({row["threshold"] for row in means})
    if best["threshold"] in (tried[0], tried[-1]) and len(tried) > 1:
        say("that is the end of decoding.tuning.thresholds: beyond it could be a better one")
    say(f"all scores are in {run.sweep}, curves for a browser in {run.sweep_page}")
    say(f"test with these settings: --mode test --checkpoint {stamp['checkpoint']} --tuned {run.tuned}")


def _written(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
