"""A plan as a short, commented file of settings on top of the tutorial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from connectomics.geometry import Spacing
from connectomics.planning.facts import ImageFacts
from connectomics.planning.machine import Machine
from connectomics.planning.training_plan import BRIEF, LONG, Course, Plan

SHORT = """\
    augmentation: # what a long training needs, a short one has no time for
      misalignment: {enabled: false}
      missing_section: {enabled: false}
      motion_blur: {enabled: false}
"""

HELD_OUT = """\
tune: # finds the threshold on what was held out of training
  data: {val: *held_out}
test: # scores it; for volumes without labels see scripts/predict.py
  data: {test: *held_out}
"""


@dataclass(frozen=True, slots=True)
class Named:
    """The files of a plan, by absolute path."""

    images: tuple[str, ...]
    labels: tuple[str, ...]
    """Labels of the first images; fewer than images where some have none."""
    masks: tuple[str, ...]
    resolution: Spacing | None
    """Voxel size along (z, y, x), in nm, where the files state none."""


def write_settings(
    title: str, plan: Plan, course: Course, files: Named, images: Sequence[ImageFacts], machine: Machine, measured: str
) -> str:
    """Return the text of the file; it names `syn_cremi.yaml` as its base.

    Args:
        title: Name of the experiment.
        plan: What was chosen.
        course: How long the training is.
        files: The volumes.
        images: What they are like.
        machine: What the plan is for.
        measured: What a trial of some steps took.
    """
    parts = [
        _head(title, images, machine, measured),
        _default(plan, machine),
        _train(plan, course, files),
        HELD_OUT,
    ]
    return "\n".join(parts)


def _head(title: str, images: Sequence[ImageFacts], machine: Machine, measured: str) -> str:
    lines = [f"# Settings for {title}, planned for {machine}.", f"# {measured}", "#"]
    for image in images:
        shape = " x ".join(map(str, image.shape))
        size = " x ".join(f"{n:g}" for n in image.spacing_nm)
        lines.append(f"#   {_comment(image.location)}: {shape} voxels of {size} nm, {image.dtype}")
    lines += [
        "#",
        "#   python scripts/main.py --config THIS                                   trains",
        "#   python scripts/main.py --config THIS --mode tune --checkpoint RUN      finds the threshold",
        "#   python scripts/main.py --config THIS --mode test --checkpoint RUN --tuned RUN/results/tuned.yaml",
        "#   python scripts/predict.py RUN ANOTHER_IMAGE                            needs no label",
        "",
        "base: syn_cremi.yaml # all that is not said here",
        f"experiment_name: {_quoted(title)}",
        "",
    ]
    return "\n".join(lines)


def _default(plan: Plan, machine: Machine) -> str:
    why = plan.reasons
    return f"""\
default:
  model:
    rsunet:
      input_pooling: {list(plan.pooling)} # {why["pooling"]}
      filters: {list(plan.filters)} # {why["filters"]}
      down_factors: {[list(f) for f in plan.down_factors]} # {why["levels"]}
      depth_2d: {plan.depth_2d} # so many of the finest levels look within sections alone
  data:
    dataloader:
      patch_size: {list(plan.patch)} # {why["patch"]}
      batch_size: {plan.batch} # {why["batch"]}
      max_val_patches: {256 if machine.has_gpu else 16}
      reject_sampling: {{size_thres: {plan.size_thres}, p: 0.95}} # {why["size_thres"]}
    data_transform: {{pad_size: {list(plan.pad)}, pad_mode: reflect}}
  decoding:
    min_size: {plan.min_size} # voxels; {why["min_size"]}; tune mode tries others
"""


def _train(plan: Plan, course: Course, files: Named) -> str:
    elastic = "      elastic: {enabled: false}\n" if course.max_steps < BRIEF else ""
    short = SHORT + elastic if course.max_steps < LONG else ""
    return f"""\
train:
  data:
    train: &volumes
{_volumes(files)}
      crop: [":-{plan.held_out}", ":", ":"] # {plan.reasons["held_out"]}; null learns from all
    val: &held_out
      <<: *volumes
      crop: ["-{plan.held_out}:", ":", ":"]
{short}  optimization:
    max_steps: {course.max_steps} # what the time allows; the learning rate falls over all of them
    n_steps_per_epoch: {course.n_steps_per_epoch} # steps between two validations
    optimizer: {{lr: {course.lr:g}}}
    scheduler: {{min_lr: {course.min_lr:g}}}
    ema: {{decay: {course.ema_decay:g}, warmup_steps: {course.ema_warmup}}}
"""


def _volumes(files: Named) -> str:
    """Return the lines that name the labelled volumes, or all of them where nothing is annotated yet."""
    images = files.images[: len(files.labels)] or files.images
    resolution = "null # as the files say" if files.resolution is None else f"{[*map(float, files.resolution)]} # nm"
    lines = [
        f"image: {_list(images)}",
        f"label: {_list(files.labels)}" + ("" if files.labels else " # still to be annotated"),
        f"mask: {_list(files.masks)}" + ("" if files.masks else " # all voxels are annotated"),
        f"resolution: {resolution}",
    ]
    return "\n".join(f"      {line}" for line in lines)


def _list(paths: Sequence[str]) -> str:
    return "[" + ", ".join(_quoted(path) for path in paths) + "]"


def _quoted(text: str) -> str:
    """Return a text as YAML reads it back, on one line."""
    return yaml.safe_dump(text, default_style='"', width=float("inf"), allow_unicode=True).strip()


def _comment(text: str) -> str:
    """Return a text that stays on one line."""
    return Path(text).as_posix() if text.isprintable() else repr(text)
