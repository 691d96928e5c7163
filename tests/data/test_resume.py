"""Training goes on with the next sample, wherever the checkpoint was taken."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import md5
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from connectomics.config.schema import Config
from connectomics.data.datasets import Sample
from tests.building import data_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*callbacks used to create"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
]

STEPS = 8  # of epochs of 5


class Recorder(pl.LightningModule):
    """Learns next to nothing, and remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen: list[tuple[int, str]] = []

    def training_step(self, batch: Sample, batch_idx: int) -> torch.Tensor:
        self.seen.append((batch_idx, md5(batch["image"].numpy().tobytes()).hexdigest()))
        return self.layer(batch["image"].mean().reshape(1, 1)).sum()

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        assert batch["image"].ndim == 5

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def train(config: Config, saved: ModelCheckpoint, resumed: Path | None = None) -> list[tuple[int, str]]:
    module = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=STEPS, max_epochs=-1, logger=False, callbacks=[saved], enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, num_sanity_val_steps=0,
        limit_val_batches=1 if config.data.val.image else 0,
    )  # fmt: skip
    trainer.fit(module, datamodule=data_of(config), ckpt_path=resumed, weights_only=False)
    return module.seen


@pytest.mark.parametrize("workers", [0, 2])
def test_training_goes_on_behind_the_batches_it_was_trained_on(
    make_config: Callable[..., Config], tmp_path: Path, workers: int
) -> None:
    config = make_config(val=True)
    config.system.num_workers = workers
    every = ModelCheckpoint(tmp_path / "whole", "{step}", every_n_train_steps=1, save_top_k=-1)
    whole = train(config, every)
    assert [index for index, _ in whole] == [0, 1, 2, 3, 4, 0, 1, 2]
    assert len({name for _, name in whole}) == STEPS
    for step in (3, 5, 6):  # within an epoch, after its last batch, after the first of the next
        part = ModelCheckpoint(tmp_path / str(step), "{step}", every_n_train_steps=1, save_top_k=-1)
        assert train(config, part, tmp_path / "whole" / f"step={step}.ckpt") == whole[step:]


@pytest.mark.parametrize(("val", "at_epoch_end"), [(True, True), (True, False), (False, True)])
def test_training_goes_on_with_the_next_epoch(
    make_config: Callable[..., Config], tmp_path: Path, val: bool, at_epoch_end: bool
) -> None:
    config = make_config(val=val)
    a, b = (
        ModelCheckpoint(tmp_path / name, "{step}", save_top_k=-1, save_on_train_epoch_end=at_epoch_end) for name in "ab"
    )
    whole = train(config, a)
    assert train(config, b, tmp_path / "a" / "step=5.ckpt") == whole[5:]
