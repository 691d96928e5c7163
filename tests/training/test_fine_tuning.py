"""A training can begin with the weights of another one: what fits is taken, what does not is named."""

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from connectomics.config import Config, load_config
from connectomics.config.model import ModelConfig, RSUNetConfig, WeightsConfig
from connectomics.errors import CheckpointError, ConfigError
from connectomics.models import build_model
from connectomics.models.export import export_model
from connectomics.runs.cli import main
from connectomics.training.initial_weights import InitialWeights, find_initial_weights, freeze
from tests.building import module_of
from tests.runs.reading import only_run

State = dict[str, Tensor]


def network(filters: tuple[int, ...] = (4, 8, 8), **changes: object) -> ModelConfig:
    """The settings of a small network."""
    weights = WeightsConfig(**{k: changes.pop(k) for k in ("prefix", "strict") if k in changes})  # type: ignore[arg-type]
    inner = {k: changes.pop(k) for k in ("activation",) if k in changes}
    rsunet = RSUNetConfig(filters=list(filters), down_factors=[(1, 2, 2)] * (len(filters) - 1), **inner)  # type: ignore[arg-type]
    return ModelConfig(rsunet=rsunet, weights=weights, **changes)  # type: ignore[arg-type]


def random_state(config: ModelConfig) -> State:
    """Weights and running statistics of which no two are alike."""
    generator = torch.Generator().manual_seed(3)
    state = build_model(config).state_dict()
    return {k: torch.rand(t.shape, generator=generator) if t.is_floating_point() else t + 5 for k, t in state.items()}


def begun(config: ModelConfig, found: InitialWeights) -> State:
    model = build_model(config)
    found.put_into(model)
    return model.state_dict()


def write(path: Path, state: State, prefix: str = "", key: str | None = None) -> Path:
    named = {prefix + name: tensor for name, tensor in state.items()}
    if path.suffix == ".safetensors":
        safetensors.torch.save_file({name: t.contiguous() for name, t in named.items()}, path)
    else:
        torch.save(named if key is None else {key: named}, path)
    return path


def spoil(export: Path) -> Path:
    (export / "model.json").write_text('{"model": 3}')
    return export


def test_every_kind_of_file_gives_the_weights_that_it_holds(tmp_path: Path) -> None:
    config = network()
    state = random_state(config)
    files = {
        "": [write(tmp_path / "plain.pt", state), write(tmp_path / "w.safetensors", state),
             write(tmp_path / "lightning.ckpt", state, key="state_dict"),
             export_model(tmp_path / "export", state, config, {})],
        "module.model.": [write(tmp_path / "p.pth", {**state}, "module.model."),
                          write(tmp_path / "p.safetensors", state, "module.model.")],
    }  # fmt: skip
    for prefix, paths in files.items():
        for path in paths:
            found = find_initial_weights(network(prefix=prefix), path)
            after = begun(config, found)
            assert after.keys() == state.keys()
            assert all(torch.equal(after[name], state[name]) for name in state), path
            everything = f"{len(state)} of {len(state)} fit"
            assert found.remarks == (f"begins with the weights of {path}: {everything}",)


@pytest.mark.parametrize("filters", [(4, 8), (4, 8, 8, 8)])
def test_levels_are_counted_from_the_finest_where_their_number_differs(
    tmp_path: Path, filters: tuple[int, ...]
) -> None:
    state = random_state(network())
    path = write(tmp_path / "three.pt", state)
    config = network(filters, strict=False)
    after = begun(config, find_initial_weights(config, path))
    mine, theirs = f"ups.{len(filters) - 2}.block.post.1.weight", "ups.1.block.post.1.weight"
    assert torch.equal(after[mine], state[theirs])  # the finest level of both
    assert torch.equal(after["head.1.bias"], state["head.1.bias"])
    with pytest.raises(CheckpointError, match=r"does not fit the network.*strict=false"):
        find_initial_weights(network(filters), path)


def test_other_channels_are_named_and_all_else_is_taken(tmp_path: Path) -> None:
    state = random_state(network())
    path = write(tmp_path / "one.pt", state)
    config = network(in_channels=2, out_channels=3, strict=False)
    found = find_initial_weights(config, path)
    assert len(found.remarks) == 2
    assert "of another shape, left random" in found.remarks[1]
    assert "stem.pre.0.0.weight (2) is (1) there" in found.remarks[1]
    assert "and 3 more" in found.remarks[1]
    left = build_model(config).state_dict().keys() - found.fitting.keys()
    first = {f"stem.pre.0.0.{name}" for name in ("weight", "bias", "running_mean", "running_var")}
    assert left == {"stem.pre.1.weight", "head.1.weight", "head.1.bias"} | first
    with pytest.raises(CheckpointError, match="of another shape"):
        find_initial_weights(replace(config, weights=WeightsConfig()), path)


def test_a_setting_that_changes_the_meaning_of_weights_is_named(tmp_path: Path) -> None:
    folder = export_model(tmp_path / "export", random_state(network()), network(), {})
    config = network(activation="relu")
    says = "trained with model.rsunet.activation=elu, the settings say relu"
    with pytest.raises(CheckpointError, match=says):
        find_initial_weights(config, folder)
    loose = network(activation="relu", strict=False)
    assert says in find_initial_weights(loose, folder).remarks[1]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p, s: p / "none.pt", "there is no such file"),
        (lambda p, s: write(p / "a.pt", s, "net."), "none of its .* 'net.stem.* model.weights.prefix is"),
        (lambda p, s: write(p / "a.pt", {"stem.pre.1.weight": s["stem.pre.1.weight"] * float("nan")}), "not finite"),
        (lambda p, s: write(p / "a.pt", {"x": 3}), "neither a checkpoint nor a state dict"),  # type: ignore[dict-item]
        (lambda p, s: write(p / "a.safetensors", s).rename(p / "b.pt"), "holds no weights"),
        (lambda p, s: write(p / "a.pt", s).rename(p / "b.safetensors"), "holds no weights"),
        (lambda p, s: p, "holds no weights"),
        (lambda p, s: spoil(export_model(p, s, network(), {})), r"model\.json beside it does not say which network"),
    ],
)
def test_a_file_that_gives_no_weights_is_named(tmp_path: Path, make: object, says: str) -> None:
    path = make(tmp_path, random_state(network()))  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=says) as error:
        find_initial_weights(network(strict=False), path)
    assert str(path) in str(error.value)


def test_a_prefix_that_no_name_has_is_refused_with_the_first_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", random_state(network()), "net.")
    with pytest.raises(CheckpointError, match=r"model\.weights\.prefix is 'module\.'.* the first one is 'net\.stem"):
        find_initial_weights(network(prefix="module."), path)


def test_parts_that_do_not_exist_cannot_be_frozen_nor_can_everything() -> None:
    model = build_model(network())
    with pytest.raises(ConfigError, match="names 'steam', which the network has not; did you mean 'stem'"):
        freeze(model, ["steam"])
    with pytest.raises(ConfigError, match="leaves nothing to learn"):
        freeze(model, ["stem", "downs", "ups", "head"])


def state_of(path: Path, average: bool = False) -> State:
    saved = torch.load(path, weights_only=True)
    return saved["ema"]["weights"] if average else saved["state_dict"]


@pytest.fixture
def trained(small: Path) -> tuple[Path, Path]:
    """Return the settings, and the folder of the run that trained a network with them."""
    assert main(["--config", str(small)]) == 0
    run = only_run(small.parent / "runs")
    return small, run.rename(small.parent / "first")


TEN_STEPS = ["optimization.max_steps=10", "optimization.n_steps_per_epoch=5", "optimization.ema.decay=0.3"]


def test_frozen_parts_are_bit_equal_after_ten_steps_also_when_resumed(
    trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    small, first = trained
    before = state_of(first / "checkpoints" / "last.ckpt", average=True)
    tuning = [*TEN_STEPS, f"model.weights.file={first}", "model.weights.freeze=[stem, downs]"]
    capsys.readouterr()
    assert main(["--config", str(small), *tuning, "optimization.max_steps=5"]) == 0
    said = capsys.readouterr().out
    assert f"begins with the averaged (EMA) weights of step 6 of {first / 'checkpoints' / 'last.ckpt'}: " in said
    assert "frozen: stem, downs, " in said
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    assert main(["--config", str(small), *tuning, "--checkpoint", str(last)]) == 0
    for average, prefix in ((False, "model."), (True, "")):
        after = state_of(last, average)
        same = {name for name in before if torch.equal(after[prefix + name], before[name])}
        assert {name for name in before if name.startswith(("stem.", "downs."))} <= same
        assert not {name for name in before if name.startswith(("ups.", "head.")) and "weight" in name} & same
    capsys.readouterr()
    thawed = ["--config", str(small), *TEN_STEPS, "optimization.max_steps=12", "--checkpoint", str(last)]
    assert main(thawed) == 2
    assert "model.weights.freeze is []" in capsys.readouterr().err


def test_fine_tuning_begins_with_the_very_weights_and_a_fresh_optimizer(trained: tuple[Path, Path]) -> None:
    small, first = trained
    still = ["optimization.optimizer.lr=1e-30", "optimization.scheduler.min_lr=0.0", "optimization.max_steps=3"]
    assert main(["--config", str(small), f"model.weights.file={first}", *still]) == 0
    before = state_of(first / "checkpoints" / "last.ckpt", average=True)
    saved = torch.load(only_run(small.parent / "runs") / "checkpoints" / "last.ckpt", weights_only=True)
    parameters = [name for name, _ in module_of(load_config(small)).model.named_parameters()]
    assert all(torch.equal(saved["state_dict"][f"model.{name}"], before[name]) for name in parameters)
    assert saved["global_step"] == 3
    assert {float(state["step"]) for state in saved["optimizer_states"][0]["state"].values()} == {3.0}


def test_a_validation_keeps_frozen_parts_in_evaluation(small: Path) -> None:
    config: Config = load_config(small, ["model.weights={file: x, freeze: [stem]}"])
    module = module_of(config)
    for mode in (True, False, True):
        module.train(mode)
        assert not any(part.training for part in module.model.get_submodule("stem").modules())
        assert module.model.get_submodule("head").training is mode


def test_freezing_needs_weights(small: Path) -> None:
    with pytest.raises(ConfigError, match=r"where model\.weights\.file is null"):
        load_config(small, ["model.weights.freeze=[stem]"])
