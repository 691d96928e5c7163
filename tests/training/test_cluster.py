"""Who starts the processes of a training, and what is told when that does not fit the settings."""

import os

import pytest

from connectomics.errors import DeviceError
from connectomics.training.cluster import join_processes, require_processes
from connectomics.training.devices import Devices

BATCH = {"SLURM_JOB_ID": "77", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
"""What SLURM tells the script of a job, and the tasks of a step as well."""

CPU, GPU = Devices("cpu", 2), Devices("gpu", 2)


def step(tasks: int, nodes: int = 1) -> dict[str, str]:
    """Return what srun tells its first task."""
    counts = {"SLURM_NTASKS": tasks, "SLURM_STEP_NUM_TASKS": tasks, "SLURM_STEP_NUM_NODES": nodes, "SLURM_STEP_ID": 3}
    return {**BATCH, **{name: str(value) for name, value in counts.items()}}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("SLURM_", "OMPI_", "MASTER_")) or name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK"):
            monkeypatch.delenv(name)


def tell(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("variables", "devices", "message"),
    [
        ({**BATCH, "SLURM_NTASKS": "2"}, CPU, "SLURM_NTASKS is 2, but srun did not start this program"),
        (step(3), CPU, r"STEP_NUM_TASKS says .* started 3 times, but 2 process.* set system.num_processes to"),
        (step(2), Devices("gpu", 1), r"2 times, but 1 .* system.num_gpus .* \(--gpus-per-node instead of"),
        (step(2, nodes=2), GPU, "srun started this program on 2 machines.* ask SLURM for --nodes=1"),
        ({"WORLD_SIZE": "4", "RANK": "0"}, GPU, "WORLD_SIZE says that this program was started 4 times"),
        ({**step(1), "WORLD_SIZE": "3", "RANK": "0"}, GPU, "WORLD_SIZE says that this program was started 3 times"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, CPU, "mpirun started this program 2 times"),
    ],
)
def test_processes_that_do_not_fit_the_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], devices: Devices, message: str
) -> None:
    tell(monkeypatch, variables)
    with pytest.raises(DeviceError, match=message) as refused:
        require_processes(devices)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("variables", "started_by_another"),
    [
        ({}, False),
        (BATCH, False),
        ({**BATCH, "SLURM_NTASKS": "1"}, False),
        (step(1), False),
        (step(2), True),
        ({**step(1), "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}, True),
    ],
)
def test_one_task_starts_the_others_and_several_find_one_another(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], started_by_another: bool
) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    tell(monkeypatch, variables)
    require_processes(CPU)
    assert join_processes().creates_processes_externally == started_by_another


def test_the_tasks_of_a_step_meet_at_one_port_and_those_of_another_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = []
    for number, rank in (("0", "0"), ("0", "1"), ("1", "0")):
        with monkeypatch.context() as task:
            for name in ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE"):
                task.setenv(name, "")
                task.delenv(name)
            tell(task, {**step(2), "SLURM_STEP_ID": number, "SLURM_LOCALID": rank})
            environment = join_processes()
            assert (environment.local_rank(), os.environ["WORLD_SIZE"]) == (int(rank), "2")
            ports.append(environment.main_port)
    assert ports[0] == ports[1] != ports[2]
