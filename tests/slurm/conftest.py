"""A SLURM of one node for the tests: the real scheduler, with sbatch, srun, arrays, signals and requeueing."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

SETTINGS = """\
ClusterName=tests
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobRequeue=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={node} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=500 State=UNKNOWN
PartitionName=main Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing = [name for name in PROGRAMS if shutil.which(name, path=_search_path()) is None]
    reason = None
    if "slurm" not in config.getoption("-m"):
        reason = "takes minutes; run with -m slurm"
    elif missing or os.geteuid() != 0:
        reason = f"needs root and SLURM (apt-get install slurm-wlm munge); missing: {', '.join(missing) or 'root'}"
    for item in items:
        if item.get_closest_marker("slurm") is not None and reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start munge, where it does not run yet, and a scheduler with one node; the variable SLURM_CONF leads to it."""
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    node = socket.gethostname().split(".")[0]
    cores = len(os.sched_getaffinity(0))
    settings = SETTINGS.format(node=node, folder=folder, ports=_free_ports(), cores=max(2, cores))
    (folder / "slurm.conf").write_text(settings)
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        patch.setenv("PATH", _search_path())
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        if subprocess.run(["munge", "-n"], capture_output=True).returncode != 0:
            Path("/run/munge").mkdir(exist_ok=True)
            shutil.chown("/run/munge", "munge", "munge")
            subprocess.run(["su", "-s", "/bin/bash", "munge", "-c", shutil.which("munged") or ""], check=True)
        for daemon in ("slurmctld", "slurmd"):
            process = subprocess.Popen([daemon, "-D"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running.callback(process.wait, 30)
            running.callback(process.terminate)
            time.sleep(1)
        _wait_for_node(folder)
        yield


def _search_path() -> str:
    return os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))


def _free_ports() -> list[int]:
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_for_node(folder: Path) -> None:
    for _ in range(60):
        if "idle" in subprocess.run(["sinfo", "-h"], capture_output=True, text=True).stdout:
            return
        time.sleep(0.5)
    raise AssertionError((folder / "slurmctld.log").read_text()[-3000:])
