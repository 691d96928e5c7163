"""Which devices a run takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from connectomics.config.system import SystemConfig
from connectomics.errors import ConfigError, DeviceError

FAULTY_CUDNN = (90800, 91500)
"""From which version of cuDNN up to before which one 3-D convolutions of 16 bits are at fault, as torch counts them."""


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
    if precision == "bf16-mixed" and devices.accelerator == "gpu":
        without = [i for i in range(devices.count) if not _computes_bf16(i)]
        if without:
            name = torch.cuda.get_device_name(without[0])
            raise ConfigError(
                f"{key} is 'bf16-mixed', which {name} can only imitate, at a fraction of its speed; take '16-mixed' or "
                "'32-true'"
            )


def require_sync(devices: Devices, synchronised: bool) -> None:
    """Refuse batch norm over several processes on the CPU, for which torch has none.

    Raises:
        ConfigError: With what to do instead.
    """
    if synchronised and devices.accelerator == "cpu" and devices.count > 1:
        raise ConfigError(
            "model.sync_batchnorm is true, which needs GPUs; for several processes on the CPU set it to false, or take "
            "a norm that knows no batches (model.rsunet.norm=group)"
        )


def cannot_compile(key: str, error: Exception) -> DeviceError:
    """Return what to say where a machine cannot compile the network that the setting `key` wants compiled."""
    reason = str(error).strip().splitlines()[0]
    return DeviceError(f"{key} is true, but this machine cannot compile the network ({reason}); set it to false")


def begin_on(devices: Devices, precision: str) -> str | None:
    """Set up the arithmetic of this process, and return what is to be said of its GPUs; None if there is nothing.

    Float32 stays float32: no factor is rounded to the 10 bits of TF32, neither in products nor in convolutions.

    Args:
        devices: What the run takes.
        precision: Its arithmetic, as the settings name it.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    return cudnn_remark() if devices.accelerator == "gpu" and precision != "32-true" else None


def cudnn_remark() -> str | None:
    """Return what is wrong with this cuDNN's 3-D convolutions of 16 bits; None for one without that fault.

    Source:
        pytorch issues 163539 (wrong results) and 166643 (cuDNN left unused, and slow, from torch 2.9 on).
    """
    version = torch.backends.cudnn.version() if torch.cuda.is_available() else None
    if version is None or not FAULTY_CUDNN[0] <= version < FAULTY_CUDNN[1]:
        return None
    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    what = "are not computed by cuDNN and are slow" if (major, minor) >= (2, 9) else "can come out wrong"
    name = f"cuDNN {version // 10000}.{version // 100 % 100}"
    return (
        f"3-D convolutions of 16 bits {what} with {name} and torch {torch.__version__}: install a cuDNN of 9.15 or "
        "later (pip install --upgrade nvidia-cudnn-cu12 or nvidia-cudnn-cu13, whichever is there)"
    )


def _computes_bf16(index: int) -> bool:
    with torch.cuda.device(index):
        return torch.cuda.is_bf16_supported(including_emulation=False)
