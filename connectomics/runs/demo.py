"""`--demo`: make two synthetic volumes, train on one, predict and score the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from connectomics.config import Config
from connectomics.config.data import VolumesConfig
from connectomics.data.learning_sources import open_learning
from connectomics.errors import ConfigError
from connectomics.geometry import ZYX
from connectomics.phantom import make_phantom
from connectomics.runs.demos import Demo
from connectomics.runs.folder import RunFolder, was_started_by_another
from connectomics.runs.job import build_job
from connectomics.runs.test import test
from connectomics.runs.train import train
from connectomics.runs.training_job import build_training_job
from connectomics.screen.console import is_first_process, say
from connectomics.training.devices import choose_devices
from connectomics.volumes.labelled import open_labelled
from connectomics.volumes.write import write_volume

TRAIN_SHAPE: ZYX = (40, 320, 320)
VAL_SHAPE: ZYX = (12, 192, 192)
TEST_SHAPE: ZYX = (24, 256, 256)

Stage = TypeVar("Stage", bound=VolumesConfig)


def demo(chosen: Demo, configs: Mapping[str, Config]) -> RunFolder:
    """Show the whole journey, from volumes to a score, on phantoms.

    Args:
        chosen: Which demo.
        configs: The settings of training and test; their lists of files are filled in here.

    Returns:
        The folder of the run.

    Raises:
        UserError: If something that the settings name cannot be used.
    """
    for config in configs.values():
        _require_no_volumes(config)
        choose_devices(config.system)
    folder = Path(configs["train"].save_path or "") / "volumes"
    with _phantoms(folder, configs["train"].system.seed, chosen) as made:
        trained = _with_volumes(configs["train"], made)
        run = train(build_training_job(trained, open_learning(trained.data, trained.model.in_channels)))
    if is_first_process():  # the others have trained, and there is nothing left for them to do
        tested = _with_volumes(configs["test"], folder)
        volumes = open_labelled(tested.data.test, "data.test", tested.model.in_channels, tested.evaluation.enabled)
        test(build_job("test", tested, [run.last_checkpoint], volumes, tested.data.test))
        _tell_where(run, chosen)
    return run


@contextmanager
def _phantoms(folder: Path, seed: int, chosen: Demo) -> Iterator[Path]:
    """Write the volumes of a demo, and yield where they are.

    A process that nobody made them for, since a cluster starts all at once, makes its own ones for as long as it
    trains: they are the same, and nobody reads what another one is still writing.
    """
    if was_started_by_another():
        yield folder
    elif is_first_process():
        say(f"making synthetic serial-section EM volumes in {folder}")
        _write_phantoms(folder, seed, chosen)
        yield folder
    else:
        with TemporaryDirectory() as own:
            _write_phantoms(Path(own), seed, chosen)
            yield Path(own)


def _write_phantoms(folder: Path, seed: int, chosen: Demo) -> None:
    shapes = {"train": TRAIN_SHAPE, "val": VAL_SHAPE, "test": TEST_SHAPE}
    for number, (name, shape) in enumerate(shapes.items()):
        _write_phantom(folder, name, shape, seed + number, chosen)


def _require_no_volumes(config: Config) -> None:
    for stage, volumes in (("train", config.data.train), ("val", config.data.val), ("test", config.data.test)):
        for what, files in (("image", volumes.image), ("label", volumes.label), ("mask", volumes.mask)):
            if files:
                raise ConfigError(
                    f"data.{stage}.{what} is {files}; the demo makes its own volumes. For yours take a file, "
                    "such as --config tutorials/syn_cremi.yaml"
                )


def _write_phantom(folder: Path, name: str, shape: ZYX, seed: int, chosen: Demo) -> None:
    apart = (0, 0, 0) if name == "train" else chosen.counted_apart
    phantom = make_phantom(shape, np.random.default_rng(seed), apart=apart, density_px=chosen.density_px)
    label = {"label": phantom.label, "polarity": phantom.polarity}[chosen.label]
    attributes = {"resolution": np.array(phantom.spacing_nm)}
    write_volume(folder / f"im_{name}.h5", phantom.image, attributes)
    write_volume(folder / f"syn_{name}.h5", label, attributes)


def _with_volumes(config: Config, folder: Path) -> Config:
    """Return the settings with the phantoms as their volumes."""
    data = config.data
    train, val, test = (_of(data.train, folder, "train"), _of(data.val, folder, "val"), _of(data.test, folder, "test"))
    return replace(config, data=replace(data, train=train, val=val, test=test))


def _of(stage: Stage, folder: Path, name: str) -> Stage:
    """Return a stage's settings with the phantom of that name as its volume."""
    return replace(stage, image=[str(folder / f"im_{name}.h5")], label=[str(folder / f"syn_{name}.h5")])


def _tell_where(run: RunFolder, chosen: Demo) -> None:
    say("")
    say("the network never saw the volume that it was scored on; look at")
    say(f"  {run.report}   in a browser: scores, sections, every synapse that was missed or invented")
    say(f"  {run.picture('im_test')}   sections, and below them {chosen.legend}")
    say(f"  {run.prediction('im_test', '.h5')}   probabilities, dataset `main`")
    say(f"  {run.mask('im_test', '.h5')}   what was found, dataset `main`")
    say(f"  {run.synapses('im_test')}   each of them: place, size, certainty")
    say(f"  tensorboard --logdir {run.logs}   losses, learning rate, pictures of validation patches")
