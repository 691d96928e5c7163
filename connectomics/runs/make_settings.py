"""`--init`: look at one's own volumes and the machine, and write the settings of a training."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pytorch_lightning as pl
import torch

from connectomics.config import Config, load_config
from connectomics.data.learning_sources import open_learning
from connectomics.files import write_text
from connectomics.planning.facts import CleftFacts, ImageFacts, look_at_clefts, look_at_image
from connectomics.planning.machine import GIB, Machine, host_memory_gib
from connectomics.planning.oddities import find_oddities
from connectomics.planning.settings_file import write_settings
from connectomics.planning.training_plan import Course, Plan, make_plan, plan_course, spend
from connectomics.planning.wish import Wish, WishedVolumes
from connectomics.runs.training_job import build_data, build_learning
from connectomics.screen.console import quiet_libraries, say
from connectomics.screen.durations import describe_seconds
from connectomics.training.devices import begin_on
from connectomics.training.module import SegmentationModule

TRIED_STEPS = 3
"""Training steps that are timed, after one that is not."""

CPU_HOURS, GPU_HOURS = 1.0, 24.0
"""How long a training is planned to take, where nothing is said."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What some training steps took."""

    seconds: float
    """A step."""
    host_gib: float
    gpu_gib: float | None

    def __str__(self) -> str:
        """Say it in a line."""
        gpu = "" if self.gpu_gib is None else f" and {self.gpu_gib:.1f} GiB of the GPU"
        return (
            f"Measured by {TRIED_STEPS} steps: 1,000 steps take {describe_seconds(1000 * self.seconds)}, with "
            f"{self.host_gib:.1f} GiB of memory{gpu}."
        )


def make_settings(wish: Wish, volumes: WishedVolumes) -> Path:
    """Look at volumes, plan a training, try it, and write its settings.

    Args:
        wish: What is asked for.
        volumes: Its volumes, opened.

    Returns:
        The file.

    Raises:
        UserError: If a volume cannot be used, the file is there already, or cannot be written.
    """
    quiet_libraries()
    labelled = volumes.labelled
    images = [look_at_image(volume.image) for volume in (*labelled, *volumes.others)]
    clefts = [look_at_clefts(volume) for volume in labelled]
    _tell_what_is_there(images, clefts)
    for line in find_oddities(images, clefts):
        say(f"odd: {line}")
    machine = find_machine()
    plan, files = make_plan(images, clefts, machine), wish.files
    hours = wish.hours or (GPU_HOURS if machine.has_gpu else CPU_HOURS)

    def text(plan: Plan, course: Course, measured: str) -> str:
        return write_settings(wish.title, plan, course, files, images, machine, measured)

    trial, course = None, plan_course(1.0, hours)
    measured = "The time of a step was not measured: nothing is annotated yet."
    if labelled:
        say(f"trying {TRIED_STEPS} training steps on {machine} ...")
        trial = _try(text(plan, course, ""))
        plan, seconds = spend(plan, trial.seconds, hours)
        trial = replace(trial, seconds=seconds)
        course, measured = plan_course(seconds, hours), str(trial)
        say(measured)
    write_text(wish.target, text(plan, course, measured))
    _tell_plan(wish.target, plan, course, trial)
    return wish.target


def find_machine() -> Machine:
    """Return what there is to train with."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cards = [torch.cuda.get_device_properties(i) for i in range(count)]
    gpus = tuple((card.name, card.total_memory / GIB) for card in cards)
    return Machine(len(os.sched_getaffinity(0)), host_memory_gib(), gpus)


def _try(text: str) -> Trial:
    """Take some training steps with the settings of a file that is not written yet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trial.yaml"
        write_text(path, text)
        config = load_config(path, ["system.num_workers=0"])
    return _time_steps(config)


def _time_steps(config: Config) -> Trial:
    sources = open_learning(config.data, config.model.in_channels)
    learning = build_learning(config, sources)
    on_gpu = learning.devices.accelerator == "gpu"
    device = torch.device("cuda", 0) if on_gpu else torch.device("cpu")
    begin_on(learning.devices, config.optimization.precision)
    pl.seed_everything(config.system.seed, verbose=False)
    module = SegmentationModule(learning).to(device)
    optimizer = module.configure_optimizers()["optimizer"]
    batches = islice(build_data(config, sources).train_dataloader(), TRIED_STEPS + 1)
    begun = time.monotonic()
    for number, batch in enumerate(batches):
        image, label, valid = (batch[name].to(device) for name in ("image", "label", "valid"))
        with torch.autocast(device.type, torch.bfloat16):
            terms = module.criterion(module(image), label, valid)
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        if on_gpu:
            torch.cuda.synchronize()
        if number == 0:
            begun = time.monotonic()
    seconds = (time.monotonic() - begun) / TRIED_STEPS
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    return Trial(seconds, host, torch.cuda.max_memory_allocated() / GIB if on_gpu else None)


def _tell_what_is_there(images: Sequence[ImageFacts], clefts: Sequence[CleftFacts]) -> None:
    for image in images:
        shape, size = (" x ".join(f"{n:g}" for n in triple) for triple in (image.shape, image.spacing_nm))
        low, _, high = image.grey
        say(f"{image.location}: {shape} voxels of {size} nm, {image.dtype}; grey values mostly {low:g} to {high:g}")
    for one in clefts:
        if one.sizes:
            part = "" if one.whole else " in the middle of the volume"
            say(
                f"{one.location}: {one.share:.2%} of {one.annotated:,} annotated voxels{part} are foreground, in "
                f"{len(one.sizes)} pieces of {one.sizes[0]:,} to {one.sizes[-1]:,} voxels, "
                f"{one.thickness_px:.3g} pixels thick"
            )


def _tell_plan(out: Path, plan: Plan, course: Course, trial: Trial | None) -> None:
    time = "" if trial is None else f" in about {describe_seconds(course.max_steps * trial.seconds / 0.9)}"
    size = " x ".join(map(str, plan.patch))
    say(f"{out}: patches of {size} voxels, {plan.batch} at a time, {course.max_steps:,} steps{time}; look at it, then")
    if trial is not None:
        say(f"  python scripts/main.py --config {out}")
    else:
        say("  annotate some of it, name the label in the file, and give the command again for a plan that knows more")
