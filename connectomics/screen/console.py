"""What a run says on the screen; of several processes only the first one writes."""

from __future__ import annotations

import logging
import os
import sys
import warnings

from rich.console import Console

from connectomics.errors import printable

WIDTH_OF_A_FILE = 140
"""Width of a line, in characters, where the output goes to a file."""


def is_first_process() -> bool:
    """Return whether this process speaks for all processes of the run."""
    return later_rank() is None


def later_rank() -> str | None:
    """Return the variable by which this process is not the first one of its run, and its value; None for the first."""
    ranks = ((name, os.environ.get(name, "")) for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))
    return next((f"{name}={rank}" for name, rank in ranks if rank not in ("", "0")), None)


def console() -> Console:
    """Return the screen, which stays silent in all processes but the first."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_FILE
    return Console(file=sys.stdout, width=width, highlight=False, soft_wrap=True, quiet=not is_first_process())


def say(text: str) -> None:
    """Print one line."""
    console().print(printable(text), markup=False)


def quiet_libraries() -> None:
    """Silence what Lightning reports about itself, and advice of it that does not fit here."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    advice = (
        ".*does not have many workers.*",  # system.num_workers says how many, and 0 is a choice
        ".*is smaller than the logging interval.*",
        ".*Checkpoint directory .* exists and is not empty.*",  # a resumed run writes where it was
        ".*GPU available but not used.*",
        ".*The `srun` command is available.*",  # on a cluster, too, one may train without it
        ".*recommended to use .*sync_dist=True.*",  # numbers are those of all processes before they are logged
        ".*exists and is not empty.*",
        ".*module\\(s\\) in eval mode at the start of training.*",  # frozen parts are
        ".*Starting from v1.9.0, `tensorboardX`.*",
        ".*isinstance\\(treespec, LeafSpec\\).*",
    )
    for message in advice:
        warnings.filterwarnings("ignore", message=message)
