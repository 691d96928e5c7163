"""Which volumes tune mode looks at; found without torch, so that a missing file is told at once."""

from __future__ import annotations

from collections.abc import Mapping

from connectomics.config import Config
from connectomics.config.data import VolumesConfig


def tuning_volumes(configs: Mapping[str, Config]) -> tuple[VolumesConfig, str]:
    """Return the volumes to tune on, and the key that names them: those of tune mode, else those of training."""
    own, of_training = configs["tune"].data.val, configs["train"].data.val
    return (of_training, "train.data.val") if not own.image and of_training.image else (own, "data.val")
