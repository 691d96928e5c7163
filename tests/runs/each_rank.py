"""The command line, where every process writes down the numbers that it has at the end of a training."""

import json
import os
import sys
from pathlib import Path

import pytorch_lightning as pl

from connectomics.runs.cli import main
from connectomics.training.validation_scores import ValidationScores


def write_down(self: ValidationScores, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
    numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
    best = trainer.checkpoint_callback
    numbers["best"] = float(best.best_model_score)
    Path(os.environ["NUMBERS"], f"{trainer.global_rank}.json").write_text(json.dumps(numbers))


if __name__ == "__main__":
    ValidationScores.on_train_end = write_down
    sys.exit(main())
