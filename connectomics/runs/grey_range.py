"""Grey values of an image are measured once, and kept in the run for whoever predicts it later, or beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connectomics.config import as_plain
from connectomics.config.data import ImageTransformConfig
from connectomics.files import hold, write_text
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.labelled import LabelledSource, measure_image
from connectomics.volumes.state import state_of_files

FOR_EVER_S = float("inf")


def measure_once(path: Path, volume: LabelledSource, transform: ImageTransformConfig) -> IntensityRange:
    """Return which grey values of a volume become 0 and 1, measured by the first process that asks for them.

    Args:
        path: Where they are kept.
        volume: The image; when it was changed, it is measured again.
        transform: How they are chosen.

    Raises:
        VolumeError: If the image cannot be read, or holds what is no finite number.
        UserError: If the file cannot be written.
    """
    what = _what_counts(volume, transform)
    with hold(path.with_suffix(".lock"), f"the grey values of {volume.name}", patience_s=FOR_EVER_S):
        known = _read(path, what)
        if known is not None:
            return known
        found = measure_image(volume, transform)
        values = {"low": found.low, "high": found.high, "clips": found.clips}
        write_text(path, json.dumps(what | values, indent=2) + "\n")
        return found


def _what_counts(volume: LabelledSource, transform: ImageTransformConfig) -> dict[str, Any]:
    """Return what the grey values depend on."""
    mask = None if volume.seen_mask is None else state_of_files(volume.seen_mask)
    part = [list(volume.seen.shape), [float(f"{o:.3f}") for o in volume.seen.info.offset_nm]]
    return {"image": state_of_files(volume.seen), "mask": mask, "part": part, "transform": as_plain(transform)}


def _read(path: Path, what: dict[str, Any]) -> IntensityRange | None:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if all(known[name] == value for name, value in what.items()):
            return IntensityRange(float(known["low"]), float(known["high"]), bool(known["clips"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # measured again
    return None
