"""The processes of a training, whoever starts them: Lightning, torchrun or srun; all of them on one machine."""

from __future__ import annotations

import os

from pytorch_lightning.plugins.environments import LightningEnvironment

from connectomics.errors import DeviceError
from connectomics.training.devices import Devices

FIRST_PORT, PORTS = 15_000, 17_000
"""Where the tasks of srun meet, by default: a port of this range, below those that systems give away."""


def require_processes(devices: Devices) -> None:
    """Refuse to train where a cluster started another number of processes than share the training.

    They would wait for one another for ever, or each would train by itself without knowing of the others. A single
    task of SLURM is no such number: it starts the other processes itself.

    Raises:
        DeviceError: With both numbers.
    """
    env = os.environ
    key = "system.num_gpus" if devices.accelerator == "gpu" else "system.num_processes"
    if _is_of_torchrun():
        _require_same(int(env["WORLD_SIZE"]), "WORLD_SIZE", devices, key)
    elif _is_of_srun():
        if int(env.get("SLURM_STEP_NUM_NODES", "1")) > 1:
            raise DeviceError(
                f"srun started this program on {env['SLURM_STEP_NUM_NODES']} machines, but a training takes place on "
                "one: ask SLURM for --nodes=1"
            )
        if (tasks := int(env["SLURM_STEP_NUM_TASKS"])) > 1:
            hint = "; every task must see the GPUs of all (--gpus-per-node instead of --gpus-per-task)"
            _require_same(tasks, "SLURM_STEP_NUM_TASKS", devices, key, hint if devices.accelerator == "gpu" else "")
    elif int(env.get("SLURM_NTASKS", "1")) > 1:
        raise DeviceError(
            f"SLURM_NTASKS is {env['SLURM_NTASKS']}, but srun did not start this program: start it with srun, or ask "
            "SLURM for --ntasks=1"
        )
    elif int(env.get("OMPI_COMM_WORLD_SIZE", "1")) > 1:
        raise DeviceError(
            f"mpirun started this program {env['OMPI_COMM_WORLD_SIZE']} times, and no process would know of the "
            "others: start it with srun or torchrun, or once"
        )


def _require_same(started: int, variable: str, devices: Devices, key: str, hint: str = "") -> None:
    if started != devices.count:
        raise DeviceError(
            f"{variable} says that this program was started {started} times, but {devices.count} process(es) share the "
            f"training: start one for each device that it is to use, and set {key} to their number{hint}"
        )


def join_processes() -> LightningEnvironment:
    """Return what tells Lightning which of the processes this one is.

    Tasks of srun are told by the variables that Lightning gives to the processes it starts itself. Its own class for
    SLURM is used nowhere: it would answer signals, write checkpoints and requeue jobs by itself, and refuse
    `--ntasks=2` for `--ntasks-per-node=2`, which is the same here.
    """
    env = os.environ
    if not _is_of_torchrun() and _is_of_srun() and int(env["SLURM_STEP_NUM_TASKS"]) > 1:
        place = int(env["SLURM_JOB_ID"]) * 16 + int(env["SLURM_STEP_ID"])
        env.setdefault("MASTER_ADDR", "127.0.0.1")
        env.setdefault("MASTER_PORT", str(FIRST_PORT + place % PORTS))
        env |= {"LOCAL_RANK": env["SLURM_LOCALID"], "NODE_RANK": "0", "WORLD_SIZE": env["SLURM_STEP_NUM_TASKS"]}
    return LightningEnvironment()


def _is_of_torchrun() -> bool:
    return "WORLD_SIZE" in os.environ and "RANK" in os.environ


def _is_of_srun() -> bool:
    """Return whether srun started this process; what SLURM tells a job's script tells nothing of its processes."""
    return "SLURM_STEP_NUM_TASKS" in os.environ
