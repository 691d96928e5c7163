"""What `import connectomics` offers: a trained network as an object, scores of arrays, a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from connectomics.config import Config, as_plain, fold_settings, load_configs
from connectomics.data.learning_sources import open_learning
from connectomics.decoding import pick_decoder
from connectomics.errors import CheckpointError, ConfigError, UserError
from connectomics.files import user_path
from connectomics.geometry import Box, Spacing
from connectomics.inference import plan_inference, predict_volume
from connectomics.lookup import pick
from connectomics.metrics import METRICS, LabelPair, score_volume
from connectomics.metrics.judged import list_objects
from connectomics.metrics.matching import MatchRule
from connectomics.reports.found import Found
from connectomics.reports.object_table import TABLES
from connectomics.runs.arguments import settings_for
from connectomics.runs.assemble import check_monitored, check_names
from connectomics.runs.folder import find_checkpoint
from connectomics.runs.job import match_rule
from connectomics.runs.network import Member, TrainedNetwork, load_network
from connectomics.runs.resolution import require_learnt
from connectomics.runs.train import train as run_training
from connectomics.runs.training_job import build_training_job, every_mode
from connectomics.training.checkpoints import SETTINGS_KEY, read_checkpoint, require_same_model
from connectomics.volumes.labelled import LabelledSource, measure_image
from connectomics.volumes.sections import Sections
from connectomics.volumes.source import ArraySource


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """What was found in an array."""

    table: list[dict[str, Any]]
    """A row for each object, as `synapses.csv` has them: `docs/results.md` explains the columns. `pandas.DataFrame`
    takes it as it is."""
    instances: NDArray[np.uint32]
    """Ids of the objects, 0 for none, (Z, Y, X); those of the table."""


@final
class Network:
    """A trained network, ready to predict arrays; `connectomics.load` makes one."""

    def __init__(self, config: Config, network: TrainedNetwork, members: Sequence[Member]) -> None:
        """Take what `load` read."""
        self._config, self._network, self._members = config, network, members
        self._plan = network.follow(plan_inference(config.inference, config.data, config.model))
        self._decoder = pick_decoder(config.decoding)

    def predict(self, image: NDArray, voxel_size: Sequence[float]) -> NDArray[np.float32]:
        """Predict an image, exactly as `--mode predict` does.

        Args:
            image: Grey values of any numeric type, (Z, Y, X), or (C, Z, Y, X) for a network of several channels.
            voxel_size: Along (z, y, x), in nanometres.

        Returns:
            Probabilities, (Z, Y, X), or (C, Z, Y, X) where the network has several outputs.

        Raises:
            UserError: If the array is not such an image, or the network learnt at another voxel size.
        """
        source = ArraySource.of(_as_volume(image), _as_spacing(voxel_size))
        channels, wanted = source.info.channels, self._config.model.in_channels
        if channels != wanted:
            raise UserError(f"the image has {channels} channel(s), the network takes {wanted}")
        volume = LabelledSource("array", source, None, None, source, Box.whole(source.shape))
        data = self._config.data
        scaled, allow = data.image_transform.normalize, data.allow_other_resolution
        for one in self._members:
            require_learnt([volume], one.checkpoint, one.path, scaled, allow)
        probability = np.empty((self._plan.channels, *source.shape), np.float32)
        intensity = measure_image(volume, data.image_transform)
        for sections in predict_volume(source, intensity, self._plan, self._network.lanes):
            probability[(slice(None), *sections.box.slices)] = sections.voxels
        return probability[0] if len(probability) == 1 else probability

    def find(
        self,
        probability: NDArray[np.float32],
        voxel_size: Sequence[float],
        threshold: float | None = None,
        min_size: int | None = None,
    ) -> Synapses:
        """Find the synapses in what `predict` returned.

        Args:
            probability: Probabilities, (Z, Y, X) or (C, Z, Y, X).
            voxel_size: Along (z, y, x), in nanometres.
            threshold: From which probability on a voxel counts; None takes `decoding.threshold` of the settings.
            min_size: From how many voxels on an object counts; None takes that of the settings.

        Returns:
            A row for each object, and the ids of the objects.
        """
        spacing, given = _as_spacing(voxel_size), self._config.decoding
        decoding = replace(
            given,
            threshold=given.threshold if threshold is None else threshold,
            min_size=given.min_size if min_size is None else min_size,
        )
        _require_probability(probability, "probability")
        if not 0 < decoding.threshold < 1 or decoding.min_size < 0:
            raise ConfigError(
                f"threshold is {decoding.threshold}, min_size {decoding.min_size}; a threshold lies between 0 and 1, "
                "a minimum size is at least 0"
            )
        whole = probability[np.newaxis] if probability.ndim == 3 else probability
        if whole.ndim != 4 or len(whole) != self._plan.channels:
            raise UserError(
                f"probability has shape {probability.shape}; this network's has {self._plan.channels} channel(s)"
            )
        labels = self._decoder.decode(whole, decoding)
        judged = list_objects(labels, spacing, bool(self._decoder.classes), match_rule(self._config))
        found = Found(judged, [Sections(0, whole)], self._decoder.foreground, (0.0, 0.0, 0.0), self._decoder.channels)
        rows = pick(TABLES, self._decoder.table, "Decoder.table").rows(found)
        numbers = np.concatenate([[0], judged.both.predicted.numbers]).astype(np.uint32)
        return Synapses([dict(row) for row in rows], numbers[judged.both.predicted_ids])


def load(checkpoint: str | Path | Sequence[str | Path], *settings: str) -> Network:
    """Load a trained network, or several that give the mean of their probabilities.

    Args:
        checkpoint: A .ckpt file, or the folder of a run, which stands for its newest one; or several of them, whose
            networks have the same settings.
        settings: Settings to change, such as "inference.preset=fast" or "system.num_gpus=0".

    Raises:
        UserError: If there is no such checkpoint, or a setting does not exist.
    """
    given = [checkpoint] if isinstance(checkpoint, str | Path) else checkpoint
    if not given:
        raise CheckpointError("checkpoint is empty; name one or several")
    paths = [find_checkpoint(user_path(one)) for one in given]
    members = [Member(path, read_checkpoint(path)) for path in paths]
    first = {str(paths[0]): members[0].checkpoint[SETTINGS_KEY]}
    config = fold_settings(first, settings, "test", before=settings_for([]))["test"]
    for one in members:
        require_same_model(one.checkpoint, as_plain(config), one.path)
    return Network(config, load_network(config.model, config.inference, config.system, members), members)


def evaluate(
    prediction: NDArray,
    label: NDArray,
    voxel_size: Sequence[float],
    *,
    metrics: Sequence[str] = ("cremi_distance", "jaccard", "synapse_detection"),
    threshold: float = 0.5,
    annotated: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """Score a prediction of clefts against a label, as the CREMI challenge does.

    Args:
        prediction: Probabilities (floating point), or a mask or ids (bool or unsigned), (Z, Y, X).
        label: Annotated clefts, 0 for the background, bool or unsigned, same shape.
        voxel_size: Along (z, y, x), in nanometres.
        metrics: Names in `connectomics.metrics.METRICS`.
        threshold: From which probability on a voxel counts.
        annotated: Voxels that count, same shape; None when all of them do.

    Returns:
        Score by name, as `metrics.json` has them; None, and `NAME_undefined` with the reason, where one does not exist.

    Raises:
        ConfigError: If there is no such metric.
        ValueError: If the arrays differ in shape, or are of another type.
    """
    names = [metrics] if isinstance(metrics, str) else metrics
    chosen = [name for name in names if pick(METRICS, name, "metrics")]
    spacing = _as_spacing(voxel_size)
    if prediction.dtype.kind == "f":
        _require_probability(prediction, "prediction")
        found = prediction >= threshold
    else:
        found = _as_ids(prediction, "prediction")
    return score_volume(LabelPair(found, _as_ids(label, "label"), spacing, annotated), chosen, MatchRule())


def train(config: str | Path, *settings: str, checkpoint: str | Path | None = None) -> Path:
    """Train a network, as `--mode train` does.

    With several devices, the program that calls it is started once for each: put the call behind
    `if __name__ == "__main__":`.

    Args:
        config: YAML file of settings, or the name of a tutorial, such as "syn_cremi.yaml".
        settings: Settings to change, such as "optimization.max_steps=1000".
        checkpoint: The checkpoint to go on from.

    Returns:
        The folder of the run, which `load` takes.

    Raises:
        UserError: If something that the settings name cannot be used.
    """
    file = user_path(config)
    configs = load_configs(file, settings, "train")
    own = configs["train"]
    sources = open_learning(own.data, own.model.in_channels)
    check_names(configs)
    check_monitored(own)
    path = None if checkpoint is None else find_checkpoint(user_path(checkpoint))
    return run_training(build_training_job(own, sources, path, modes=every_mode(file, settings, configs))).root


def _as_volume(image: NDArray) -> NDArray:
    if not isinstance(image, np.ndarray) or image.ndim not in (3, 4) or image.dtype.kind not in "buif":
        given = f"{image.dtype} of {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UserError(f"an image is an array (Z, Y, X) or (C, Z, Y, X) of numbers, not {given}")
    return image


def _as_ids(ids: NDArray, name: str) -> NDArray:
    """Return ids as unsigned numbers.

    Raises:
        UserError: If they are no array of whole numbers, or one is negative.
    """
    if not isinstance(ids, np.ndarray) or ids.dtype.kind not in "bui":
        given = ids.dtype if isinstance(ids, np.ndarray) else type(ids).__name__
        raise UserError(f"{name} is {given}; it is an array of ids, or a mask, with 0 for the background")
    if ids.dtype.kind != "i":
        return ids
    if ids.size and ids.min() < 0:
        raise UserError(f"{name} holds {ids.min()}; no id is negative")
    return ids.astype(ids.dtype.name.replace("int", "uint"))


def _require_probability(probability: NDArray, name: str) -> None:
    """Refuse what is no array of probabilities.

    Raises:
        UserError: With what it is.
    """
    if not isinstance(probability, np.ndarray) or probability.dtype.kind != "f":
        given = probability.dtype if isinstance(probability, np.ndarray) else type(probability).__name__
        raise UserError(
            f"{name} is {given}; probabilities are floating point, from 0 to 1: divide whole numbers by their `scale`, "
            "such as 255"
        )
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise UserError(
            f"{name} runs from {probability.min():.4g} to {probability.max():.4g}; probabilities from 0 to 1"
        )


def _as_spacing(voxel_size: Sequence[float]) -> Spacing:
    sizes = np.asarray(voxel_size, dtype=object).ravel().tolist()
    numbers = all(isinstance(size, int | float | np.number) for size in sizes)
    if len(sizes) != 3 or not numbers or not all(0 < float(size) < float("inf") for size in sizes):
        raise ConfigError(f"voxel_size is {voxel_size!r}; it has three positive numbers, along (z, y, x) in nm")
    z, y, x = (float(size) for size in sizes)
    return z, y, x
