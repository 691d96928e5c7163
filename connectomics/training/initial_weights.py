"""Fine-tuning: the weights of another training to begin with, and what of them fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from connectomics.config.model import ModelConfig
from connectomics.errors import CheckpointError, ConfigError
from connectomics.lookup import suggest
from connectomics.models import build_model, pick_architecture, shaping_settings
from connectomics.training.weights_file import SavedWeights, read_weights

MOST_NAMED = 4
"""How many weights of a kind are named one by one."""

SEEN_BY_SHAPE = ("in_channels", "out_channels")
"""Settings whose change shows in the shape of weights."""


@dataclass(frozen=True, slots=True, eq=False)
class InitialWeights:
    """The weights that a network begins with."""

    fitting: Mapping[str, Tensor]
    """Those of the file that the network has too, by its names, of the same shape."""
    remarks: tuple[str, ...]
    """What fits and what does not, in sentences."""

    def put_into(self, network: nn.Module) -> None:
        """Give a network these weights; it keeps its own where there are none."""
        network.load_state_dict(self.fitting, strict=False)


def find_initial_weights(config: ModelConfig, path: Path) -> InitialWeights:
    """Compare the weights of a file with the network of the settings.

    The levels of an rsunet are counted from the finest: where the file has more or fewer, those that both have fit.

    Args:
        config: The network, and how strictly the file must fit it.
        path: See `read_weights`.

    Raises:
        CheckpointError: If the file holds no weights, none that fit, or, where `strict`, anything that does not fit.
    """
    saved = read_weights(path, config.weights.prefix)
    own = build_model(config).state_dict()
    weights = pick_architecture(config).renumber(saved.weights, config)
    fitting = {name: tensor for name, tensor in weights.items() if name in own and tensor.shape == own[name].shape}
    if not fitting:
        raise CheckpointError(
            f"model.weights.file is {path}; none of its {len(weights)} weights fits the network: its first is "
            f"{next(iter(weights))!r}, the network's {next(iter(own))!r}; model.weights.prefix is what stands before"
        )
    if bad := [name for name, tensor in fitting.items() if not bool(tensor.isfinite().all())]:
        raise CheckpointError(f"model.weights.file is {path}; its {bad[0]} is not finite: take an earlier checkpoint")
    other = [f"{name} {_shape(own[name])} is {_shape(weights[name])} there"
             for name in own if name in weights and name not in fitting]  # fmt: skip
    lines = [
        *_other_settings(saved, config),
        *_named("of another shape, left random", other),
        *_named("not in the file, left random", [name for name in own if name not in weights]),
        *_named("in the file only, left out", [name for name in weights if name not in own]),
    ]
    if config.weights.strict and lines:
        raise CheckpointError(
            f"model.weights.file is {path}, which does not fit the network: {'; '.join(lines)}. "
            "Set model.weights.strict=false to begin with what fits"
        )
    told = f"begins with the {saved.kind} of {path}: {len(fitting)} of {len(own)} fit"
    return InitialWeights(fitting, (told, *lines))


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(str(n) for n in tensor.shape)})"


def _named(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    rest = f", and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return [f"{what}: {', '.join(names[:MOST_NAMED])}{rest}"]


def _other_settings(saved: SavedWeights, config: ModelConfig) -> list[str]:
    """Return what the network was trained with that gives other meaning to weights of the same shape."""
    if saved.model is None:
        return []
    default, trained, wanted = (
        shaping_settings(model) for model in (asdict(ModelConfig()), saved.model, asdict(config))
    )
    before = {key: _plain(trained.get(key, default.get(key))) for key in wanted}
    differ = [key for key in wanted if before[key] != _plain(wanted[key]) and key not in SEEN_BY_SHAPE]
    return [f"trained with model.{key}={before[key]}, the settings say {_plain(wanted[key])}" for key in differ]


def _plain(value: Any) -> Any:
    """Return a value with lists in place of tuples, as files hold it."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def freeze(network: nn.Module, parts: Sequence[str]) -> None:
    """Let no gradient reach some parts of a network, for good; see `hold_frozen` for their running statistics.

    Raises:
        ConfigError: If the network has no such part, or nothing is left to learn.
    """
    names = [name for name, _ in network.named_modules() if name]
    for part in parts:
        if part not in names:
            tops = [name for name, _ in network.named_children()]
            raise ConfigError(
                f"model.weights.freeze names {part!r}, which the network has not{suggest(part, names)}; its parts are "
                f"{', '.join(tops)}"
            )
        network.get_submodule(part).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError("model.weights.freeze leaves nothing to learn; name fewer parts")


def hold_frozen(network: nn.Module, parts: Sequence[str]) -> None:
    """Put frozen parts into evaluation, so that their running statistics stay as they are."""
    for part in parts:
        network.get_submodule(part).eval()
