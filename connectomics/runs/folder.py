"""Every path that a run writes."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from connectomics.errors import CheckpointError, UserError
from connectomics.screen.console import is_first_process

RUN_VARIABLE = "CONNECTOMICS_RUN"
"""Environment variable by which the first process passes its folder to the processes that it starts."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """`outputs/<experiment_name>/<timestamp>/` and what lies in it."""

    root: Path
    stage: str = "test"
    """The mode that writes the results; their names begin with it."""
    out: Path | None = None
    """Folder of the results, if not `results` in the run."""

    @property
    def config(self) -> Path:
        """The folded settings of the training."""
        return self.root / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """`last.ckpt` and the best ones."""
        return self.root / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """The newest checkpoint."""
        return self.checkpoints / "last.ckpt"

    @property
    def logs(self) -> Path:
        """What TensorBoard shows."""
        return self.root / "logs"

    @property
    def results(self) -> Path:
        """Predictions, masks, scores, pictures."""
        return self.root / "results" if self.out is None else self.out

    def prediction(self, name: str, suffix: str) -> Path:
        """Probabilities of the volume `name`."""
        return self.results / f"{self.stage}_{name}_prediction{suffix}"

    def mask(self, name: str, suffix: str) -> Path:
        """What was decoded of the volume `name`: a mask, or ids of sides."""
        return self.results / f"{self.stage}_{name}_mask{suffix}"

    def synapses(self, name: str) -> Path:
        """Table of what was found in the volume `name`, one object a row."""
        return self.results / f"{self.stage}_{name}_synapses.csv"

    def instances(self, name: str, suffix: str) -> Path:
        """Ids of the objects found in the volume `name`, as its table has them."""
        return self.results / f"{self.stage}_{name}_instances{suffix}"

    def annotated(self, name: str) -> Path:
        """Table of what is annotated in the volume `name`, one object a row, and what became of it."""
        return self.results / f"{self.stage}_{name}_annotated.csv"

    def picture(self, name: str) -> Path:
        """Sections of the volume `name` with what was found outlined."""
        return self.results / f"{self.stage}_{name}.png"

    def scores(self, name: str) -> Path:
        """The scores of the volume `name`."""
        return self.results / f"{self.stage}_{name}_metrics.json"

    def lock(self, name: str) -> Path:
        """What the process that works on the volume `name` holds."""
        return self.results / f".{self.stage}_{name}.lock"

    @property
    def joint_lock(self) -> Path:
        """What the process that writes the files of several volumes holds."""
        return self.results / f".{self.stage}.lock"

    def grey_values(self, name: str) -> Path:
        """Which grey values of the image `name` become 0 and 1, in every mode."""
        return self.results / f".{name}_grey_values.json"

    @property
    def closed(self) -> Path:
        """What the results were made from, once several processes have written all of them."""
        return self.results / f".{self.stage}.closed"

    @property
    def writer_lock(self) -> Path:
        """What the process that trains in this run holds."""
        return self.root / ".lock"

    @property
    def earlier(self) -> Path:
        """Results that later ones took the place of."""
        return self.results / "earlier"

    @property
    def metrics(self) -> Path:
        """The scores of the volumes of the last command."""
        return self.results / "metrics.json"

    @property
    def report(self) -> Path:
        """What became of each object, scores and sections, for a browser."""
        return self.results / "report.html"

    @property
    def sweep(self) -> Path:
        """The scores of all settings that tuning tried."""
        return self.results / "tune.json"

    @property
    def sweep_page(self) -> Path:
        """The same as curves, for a browser."""
        return self.results / "tune.html"

    @property
    def tuned(self) -> Path:
        """The best of these settings."""
        return self.results / "tuned.yaml"

    def require_writable(self) -> None:
        """Make the folder, or say why that cannot be.

        Raises:
            UserError: If nothing can be written there.
        """
        folder, key = (self.root, "save_path") if self.out is None else (self.out, "--out")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".writable.{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(f"{key}: {folder} cannot be written: {error.strerror or error}") from error


def new_run(save_path: str, make: bool = True) -> RunFolder:
    """Make the folder of a run that begins now; all processes of a run get the same one.

    Args:
        save_path: The folder around it.
        make: False for a trial that writes nothing: the folder is only named.

    Raises:
        UserError: If it cannot be made.
    """
    if was_started_by_another():
        return RunFolder(Path(os.environ[RUN_VARIABLE]))
    root = Path(save_path) / _stamp()
    if make and is_first_process():
        root = _make_new(root)
    os.environ[RUN_VARIABLE] = str(root)
    return RunFolder(root)


def was_started_by_another() -> bool:
    """Return whether the first process of the run started this one."""
    return RUN_VARIABLE in os.environ and not is_first_process()


def _make_new(root: Path) -> Path:
    """Make a folder that nobody else made, `root` or the next free `root.2`: two runs never get the same one."""
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        for name in (root.name, *(f"{root.name}.{again}" for again in range(2, 1000))):
            with suppress(FileExistsError):
                (root.parent / name).mkdir()
                return root.parent / name
    except OSError as error:
        raise UserError(f"save_path: {root} cannot be written: {error.strerror or error}") from error
    raise UserError(f"save_path: {root.parent} holds {root.name} a thousand times; give another save_path")


def find_checkpoint(path: Path) -> Path:
    """Return a checkpoint: the newest one where the folder of a run is named.

    Raises:
        CheckpointError: If there is none, or the file can be none.
    """
    if path.is_dir():
        newest = path / "checkpoints" / "last.ckpt"
        if not newest.exists():
            raise CheckpointError(f"--checkpoint {path} is a folder without checkpoints/last.ckpt; name a checkpoint")
        return newest
    if not path.exists():
        raise CheckpointError(f"--checkpoint {path}: no such file")
    if path.suffix in (".yaml", ".yml"):
        raise CheckpointError(f"--checkpoint {path} holds settings; the weights are in checkpoints/last.ckpt of a run")
    return path


def run_of(checkpoint: Path, save_path: str, make: bool = True) -> RunFolder:
    """Return the run that a checkpoint belongs to; one that lies in no run gets a new folder."""
    if checkpoint.parent.name == "checkpoints":
        return RunFolder(checkpoint.parent.parent)
    return new_run(save_path, make)


def _stamp() -> str:
    """Return the time, or the number of the job where a cluster starts each process on its own."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is not None and int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        return f"slurm_{job}"
    return time.strftime("%Y%m%d_%H%M%S")
