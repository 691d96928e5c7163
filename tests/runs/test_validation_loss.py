"""What a validation logs does not depend on what lies around the annotated voxels."""

from pathlib import Path

import numpy as np
import pytest
import torch

from connectomics.config import Config, load_configs
from connectomics.screen.console import quiet_libraries
from connectomics.volumes.write import write_volume
from tests.building import data_of, module_of, trainer_of

SHAPE = (6, 30, 34)


def frame_validation(folder: Path, margin: int) -> list[str]:
    """Write the volume for validation with a margin that nobody annotated, and return the settings that name it."""
    rng = np.random.default_rng(3)
    parts = {kind: np.zeros(SHAPE, np.uint8) for kind in ("image", "label", "mask")}
    parts["image"][:] = rng.integers(0, 256, SHAPE)
    parts["label"][2:4, 5:12, 5:12] = 1
    parts["mask"][:] = 1
    for kind, voxels in parts.items():
        framed = np.pad(voxels, ((0, 0), (margin, margin), (margin, margin)))
        write_volume(folder / f"{kind}_{margin}.h5", framed, {"resolution": np.array([40.0, 4.0, 4.0])})
    return [f"data.val.{kind}=[{folder / f'{kind}_{margin}.h5'}]" for kind in parts]


def validate(config: Config, folder: Path, bias: float) -> dict[str, float]:
    """Validate a network that answers everywhere the same."""
    quiet_libraries()
    module, data = module_of(config), data_of(config)
    with torch.no_grad():
        for parameter in module.model.parameters():
            parameter.zero_()
    module.model.register_forward_hook(lambda network, given, logits: torch.zeros_like(logits) + bias)
    trainer = trainer_of(config, folder, folder)
    trainer.validate(module, datamodule=data, verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


@pytest.mark.parametrize("bias", [-100.0, -3.0])
def test_a_network_that_finds_nothing_logs_the_same_loss_whatever_surrounds_the_annotation(
    small: Path, tmp_path: Path, bias: float
) -> None:
    found = []
    for margin, size in ((0, 2), (0, 5), (13, 2), (40, 3)):
        overrides = [*frame_validation(tmp_path, margin), f"data.dataloader.batch_size={size}"]
        found.append(validate(load_configs(small, overrides, "train")["train"], tmp_path / "out", bias))
    share = 2 * 7 * 7 / np.prod(SHAPE)
    probability = 1 / (1 + np.exp(-bias))
    entropy = -share * np.log(probability) - (1 - share) * np.log1p(-probability)
    dice = 1 - 2 * share * probability / (share + probability)
    assert found[0]["val_loss_total"] == pytest.approx(entropy + dice, rel=1e-4)
    for other in found[1:]:
        assert other["val_loss_total"] == pytest.approx(found[0]["val_loss_total"], rel=1e-6)
        assert other["val_jaccard"] == found[0]["val_jaccard"] == 0
