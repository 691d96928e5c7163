"""A job: everything that test or tune mode needs, assembled once from the settings, and handed on instead of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np

import connectomics
from connectomics.config import Config, as_plain
from connectomics.config.data import ImageTransformConfig, VolumesConfig
from connectomics.config.decoding import DecodingConfig
from connectomics.data.targets import Target, build_target
from connectomics.decoding import Decoder, in_voxels, pick_decoder
from connectomics.errors import CheckpointError, UserError
from connectomics.geometry import Connectivity
from connectomics.inference import SAVED_TYPES, InferencePlan, SavedType, circumstances, concerning, plan_inference
from connectomics.lookup import pick
from connectomics.metrics import METRICS, Metric
from connectomics.metrics.matching import MatchRule
from connectomics.models import shaping_settings
from connectomics.runs.folder import RunFolder, run_of
from connectomics.runs.grey_range import measure_once
from connectomics.runs.network import Member, TrainedNetwork, load_network, weights_in_words
from connectomics.runs.outputs import Outputs
from connectomics.runs.resolution import require_learnt
from connectomics.training.checkpoints import read_checkpoint, require_same_model
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.labelled import LabelledSource, measure_image
from connectomics.volumes.write import WRITERS


@dataclass(frozen=True, slots=True)
class Saving:
    """How predictions and masks are written."""

    type: SavedType
    suffix: str
    """Suffix of the files, which implies their format."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What tune mode tries, and what decides."""

    thresholds: tuple[float, ...]
    """The thresholds to try, ascending."""
    min_sizes: tuple[int, ...] | None
    """The minimum sizes to try, in voxels; None goes by the annotation."""
    metric: str
    """Name of the score that decides."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The minimum sizes, once they are chosen.

        Raises:
            ValueError: If they are not; see `tried_sizes.with_sizes`.
        """
        if self.min_sizes is None:
            raise ValueError("the minimum sizes to try were not chosen")
        return self.min_sizes


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What predicts, decodes and scores some volumes, and where the results go."""

    mode: str
    title: str
    """Name of the experiment."""
    run: RunFolder
    volumes: tuple[LabelledSource, ...]
    section: VolumesConfig
    """The settings that name the volumes, for remarks on masks that may be missing."""
    network: TrainedNetwork
    weights: str
    """Which weights predict, in words."""
    plan: InferencePlan
    preset: str
    saving: Saving | None
    """How results are written; None if nothing is."""
    target: Target
    decoder: Decoder
    decoding: DecodingConfig
    metrics: Mapping[str, Metric]
    """The metrics of test mode, by name; empty for volumes without labels."""
    rule: MatchRule
    """When a predicted and an annotated synapse are the same one."""
    tuning: Tuning
    outputs: Outputs
    """What is written of the objects."""
    restart: bool
    """Whether unfinished predictions with other settings are dropped."""
    concerning: Mapping[str, Any]
    """The settings that a prediction depends on."""
    made_with: Mapping[str, str]
    """Circumstances that change a prediction by rounding at most."""
    stamp: Mapping[str, Any]
    """What the scores depend on, for people to read."""
    _transform: ImageTransformConfig
    is_trial: bool = False
    """Whether nothing is written, since only some windows are tried."""
    _measured: dict[str, IntensityRange] = field(default_factory=dict)

    def intensity(self, volume: LabelledSource) -> IntensityRange:
        """Return which grey values of a volume become 0 and 1; they are measured when first asked for.

        Raises:
            VolumeError: If the image cannot be read, or holds what is no finite number.
        """
        if volume.name not in self._measured:
            if self.saving is None or self.is_trial:
                self._measured[volume.name] = measure_image(volume, self._transform)
            else:
                self._measured[volume.name] = measure_once(self.run.grey_values(volume.name), volume, self._transform)
        return self._measured[volume.name]

    def decoding_of(self, volume: LabelledSource) -> DecodingConfig:
        """Return how a volume is decoded, with the minimum size in its voxels."""
        assert volume.image.info.spacing_nm is not None
        return in_voxels(self.decoding, volume.image.info.spacing_nm)

    def require_disk(self) -> None:
        """Refuse to predict when the results would not fit on the disk.

        Raises:
            UserError: With what is needed and what is free.
        """
        if self.saving is None:
            return
        width = self.saving.type.dtype.itemsize * self.plan.channels
        sizes = [prod(volume.image.shape) for volume in self.volumes]
        # Finished sections wait uncompressed, one volume at a time, until their file is whole.
        labels = np.dtype(self.decoder.dtype).itemsize + 4 * self.outputs.instances
        needed = max(sizes) * width + sum(sizes) * (width + labels)
        folder = self.run.root if self.run.out is None else self.run.out
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise UserError(
                f"the results need up to {needed / 1e9:.1f} GB, {folder} has {free / 1e9:.1f} GB free; make room, or "
                "set --out or inference.save_dtype=uint8"
            )

    @property
    def scores(self) -> bool:
        """Whether the volumes are scored."""
        return bool(self.metrics)

    @property
    def keeps_labels(self) -> bool:
        """Whether the labels of a whole volume are looked at: for scores, or for what is told of each object."""
        return self.scores or self.outputs.need_objects


def build_job(
    mode: str,
    config: Config,
    checkpoints: Sequence[Path],
    volumes: Sequence[LabelledSource],
    section: VolumesConfig,
    out: Path | None = None,
    restart: bool = False,
    fast_dev_run: int = 0,
) -> Job:
    """Assemble the job of test or tune mode.

    Args:
        mode: "test" or "tune".
        config: The settings, checked.
        checkpoints: The trained network, or several whose probabilities are averaged.
        volumes: What is predicted, opened.
        section: The settings that name these volumes.
        out: Where results go instead of into the run of the checkpoint; those of several belong to no run.
        restart: Whether unfinished predictions with other settings are dropped.
        fast_dev_run: Not 0 for a trial that writes nothing.

    Raises:
        UserError: If something that the settings name cannot be used.
    """
    if not checkpoints:
        raise CheckpointError(
            f"--mode {mode} needs --checkpoint: the trained network, such as .../checkpoints/last.ckpt"
        )
    if len(checkpoints) > 1 and out is None and not fast_dev_run:
        raise CheckpointError(
            f"--checkpoint names {len(checkpoints)} networks, and what they find together belongs to the run of none: "
            "say where it goes with --out DIR"
        )
    members, data = [Member(path, read_checkpoint(path)) for path in checkpoints], config.data
    for one in members:
        require_same_model(one.checkpoint, as_plain(config), one.path)
        require_learnt(volumes, one.checkpoint, one.path, data.image_transform.normalize, data.allow_other_resolution)
    network = load_network(config.model, config.inference, config.system, members)
    run = _run_folder(mode, config, checkpoints[0], out, fast_dev_run)
    stamp = _stamp(config, members)
    job = _assemble(mode, config, network, run, stamp, volumes, section, restart)
    if fast_dev_run:
        return replace(job, is_trial=True)
    job.run.require_writable()
    job.require_disk()
    return job


def _assemble(
    mode: str,
    config: Config,
    network: TrainedNetwork,
    run: RunFolder,
    stamp: Mapping[str, Any],
    volumes: Sequence[LabelledSource],
    section: VolumesConfig,
    restart: bool,
) -> Job:
    """Put the trained network and where its results go together with all else that the settings name."""
    plan = network.follow(plan_inference(config.inference, config.data, config.model))
    return Job(
        mode=mode,
        title=config.experiment_name,
        run=run,
        volumes=tuple(volumes),
        section=section,
        network=network,
        weights=weights_in_words(network, config.inference.use_ema, stamp["step"]),
        plan=plan,
        preset=config.inference.preset,
        saving=_saving(config),
        target=build_target(config.data.target),
        decoder=pick_decoder(config.decoding),
        decoding=config.decoding,
        metrics=_metrics(config),
        rule=match_rule(config),
        tuning=_tuning(config),
        outputs=Outputs.of(config.evaluation, config.inference.save_results),
        restart=restart,
        concerning=concerning(
            config.inference, config.data.data_transform, shaping_settings(as_plain(config)["model"])
        ),
        made_with=circumstances(network.lanes[0].device, plan.batch, config.inference.compile),
        stamp=stamp,
        _transform=config.data.image_transform,
    )


def match_rule(config: Config) -> MatchRule:
    """Return when a predicted and an annotated synapse are the same one."""
    evaluation = config.evaluation
    connectivity = cast(Connectivity, evaluation.connectivity)  # the rules of the settings allow no other
    return MatchRule(evaluation.min_iou, evaluation.strict_iou, evaluation.max_distance_nm, connectivity)


def _run_folder(mode: str, config: Config, checkpoint: Path, out: Path | None, fast_dev_run: int) -> RunFolder:
    own = run_of(checkpoint, config.save_path or "", make=not fast_dev_run and out is None)
    return RunFolder(own.root, mode, out)


def _saving(config: Config) -> Saving | None:
    if not config.inference.save_results:
        return None
    return Saving(SAVED_TYPES[config.inference.save_dtype], WRITERS[config.inference.save_backend][0])


def _metrics(config: Config) -> dict[str, Metric]:
    if not config.evaluation.enabled:
        return {}
    return {name: pick(METRICS, name, "evaluation.metrics") for name in config.evaluation.metrics}


def _tuning(config: Config) -> Tuning:
    tuning = config.decoding.tuning
    first, last, step = tuning.thresholds
    thresholds = tuple(round(first + i * step, 9) for i in range(int((last - first) / step + 1e-6) + 1))
    return Tuning(thresholds, None if tuning.min_sizes is None else tuple(tuning.min_sizes), tuning.metric)


def _stamp(config: Config, members: Sequence[Member]) -> dict[str, Any]:
    settings: Mapping[str, Any] = as_plain(config)
    paths, steps = [str(one.path) for one in members], [one.step for one in members]
    alone = len(members) == 1
    return {
        "connectomics": connectomics.__version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "checkpoint": paths[0] if alone else paths,
        "step": steps[0] if alone else steps,
        "inference": settings["inference"],
        "decoding": settings["decoding"],
        "evaluation": settings["evaluation"],
    }
