"""Which devices a run takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from connectomics.config.system import SystemConfig
from connectomics.errors import ConfigError, DeviceError


@dataclass(frozen=True, slots=True)
class Devices:
    """What Lightning is asked for."""

    accelerator: str
    count: int


def choose_devices(config: SystemConfig) -> Devices:
    """Return the GPUs that the settings ask for; the CPU when they ask for none, or for all and there is none.

    Raises:
        DeviceError: If the settings ask for more GPUs than there are.
    """
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if config.num_gpus > present:
        raise DeviceError(
            f"system.num_gpus is {config.num_gpus}, but this machine has {present}; "
            "set it to -1 to take what is there, or to 0 for the CPU"
        )
    wanted = present if config.num_gpus == -1 else config.num_gpus
    if wanted > 0:
        return Devices("gpu", wanted)
    return Devices("cpu", config.num_processes)


def require_precision(devices: Devices, precision: str, key: str) -> None:
    """Refuse arithmetic that the devices do not have.

    Raises:
        ConfigError: With the setting `key`, and what to take instead.
    """
    if precision == "16-mixed" and devices.accelerator == "cpu":
        raise ConfigError(f"{key} is '16-mixed', which needs a GPU; on the CPU take 'bf16-mixed' or '32-true'")
