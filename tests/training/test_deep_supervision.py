"""Coarser levels of the decoder learn too, while the network trains; what predicts is the finest one alone."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from connectomics.config import load_config
from connectomics.config.model import ModelConfig, RSUNetConfig
from connectomics.errors import ConfigError
from connectomics.models import build_model
from connectomics.models.fold import fold_batch_norm
from connectomics.models.rsunet import RSUNet
from connectomics.runs.cli import main
from tests.building import module_of
from tests.runs.reading import only_run

FACTORS = [(1, 2, 2), (2, 2, 2), (1, 2, 2)]
THREE_LEVELS = "model.rsunet={filters: [4, 8, 8], down_factors: [[1,2,2],[1,2,2]], deep_supervision: 1}"


def network(deep: int, pooled: tuple[int, int, int] = (1, 1, 1)) -> RSUNet:
    torch.manual_seed(0)
    own = RSUNetConfig(filters=[4, 6, 8, 8], down_factors=FACTORS, deep_supervision=deep, input_pooling=pooled)
    model = build_model(ModelConfig(rsunet=own, out_channels=2))
    assert isinstance(model, RSUNet)
    return model


def test_without_it_the_network_is_what_it_was_and_with_it_predicts_the_same() -> None:
    plain, deep = network(0), network(2)
    assert plain.state_dict().keys() == {name for name in deep.state_dict() if not name.startswith("deep_heads.")}
    plain.load_state_dict({name: t for name, t in deep.state_dict().items() if not name.startswith("deep_heads.")})
    image = torch.rand(1, 1, 4, 16, 16)
    for mode in (True, False):
        torch.testing.assert_close(deep.train(mode)(image), plain.train(mode)(image), rtol=0, atol=0)
    folded = fold_batch_norm(deep)
    torch.testing.assert_close(folded(image), deep.eval()(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooled", [(1, 1, 1), (1, 2, 2)])
def test_every_level_predicts_at_the_resolution_of_the_image(pooled: tuple[int, int, int]) -> None:
    image = torch.rand(2, 1, 4, 32, 16)
    model = network(2, pooled)
    levels = model(image, deep=True)
    assert [tuple(logits.shape) for logits in levels] == [(2, 2, 4, 32, 16)] * 3
    seen: list[Tensor] = []
    model.ups[1].register_forward_hook(lambda module, given, features: seen.append(features))  # level 1 of the decoder
    levels = model.eval()(image, deep=True)
    torch.testing.assert_close(levels[1], model.deep_heads[0](seen[0]))


def test_the_loss_is_the_weighted_mean_over_the_levels(small: Path) -> None:
    module = module_of(load_config(small, [THREE_LEVELS]))
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 1, 4, 16, 16, generator=generator)
    batch = {"image": image, "label": (image > 0.7).float(), "valid": image > 0.1}
    terms = module._terms(batch)
    fine, coarse = (module.criterion(one, batch["label"], batch["valid"]) for one in module.model(image, deep=True))
    for name, term in terms.items():
        torch.testing.assert_close(term, fine[name] * 2 / 3 + coarse[name] / 3)


def test_such_a_network_is_trained_goes_on_and_is_tested(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(small), THREE_LEVELS, "optimization.max_steps=3"]) == 0
    assert main(["--config", str(small), THREE_LEVELS, "--resume", "auto"]) == 0
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    weights = torch.load(last, weights_only=True)["state_dict"]
    assert weights["model.deep_heads.0.1.bias"].abs().max() > 0  # it began at 0
    assert main(["--config", str(small), THREE_LEVELS, "--mode", "test", "--checkpoint", str(last)]) == 0
    assert main(["--config", str(small), THREE_LEVELS.replace("supervision: 1", "supervision: 2")]) == 2
    assert "from 0 to the coarser levels of the decoder" in capsys.readouterr().err


def test_the_coarsest_level_has_no_decoder_to_predict_from(small: Path) -> None:
    with pytest.raises(ConfigError, match="two fewer than"):
        load_config(small, ["model.rsunet.deep_supervision=1"])  # of two levels
