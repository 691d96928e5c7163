"""Read a YAML file, fold its sections for a mode, type and check them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from connectomics.config.convert import Origins, convert
from connectomics.config.decoding import DecodingConfig
from connectomics.config.overrides import Assignment, parse_overrides
from connectomics.config.references import resolve_references
from connectomics.config.rules import check
from connectomics.config.schema import STAGES, Config
from connectomics.config.yaml_file import Tree, read_tree, read_with_bases
from connectomics.errors import ConfigError
from connectomics.files import user_path

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def load_config(path: Path, overrides: Sequence[str] = (), mode: str = "train") -> Config:
    """Return the settings of one mode; arguments and errors are those of `load_configs`."""
    return load_configs(path, overrides, mode)[mode]


def load_configs(
    path: Path,
    overrides: Sequence[str] = (),
    mode: str = "train",
    base: Path | None = None,
    tuned: Path | None = None,
    before: Sequence[Assignment] = (),
) -> dict[str, Config]:
    """Return the settings of every mode, folded, typed and checked.

    Later sources win: the schema's defaults, the files that the file names as `base`, the file's top level, its
    `default` section, its section for the mode, and the command line. Then references to other settings are resolved.
    An override without a stage in front (`system.num_gpus=4`) belongs to `mode`;
    `test.data.test.image=[...]` names its own stage.

    Args:
        path: The YAML file.
        overrides: Arguments of the form `key=value`.
        mode: The stage that runs; "demo" runs them all, and an override without a stage belongs to each.
        base: Another YAML file; what `path` sets wins over all of it.
        tuned: A YAML file that `--mode tune` wrote; for `mode`, it wins over the other files.
        before: Settings that win over all files, and that overrides win over.

    Raises:
        ConfigError: If the file cannot be read, a key is unknown, or a value breaks a rule; the message names the
            file or the command line, the full key, the rule, and a close match.
    """
    trees = {name: tree for file in (base, path) if file is not None for name, tree in read_with_bases(file).items()}
    return fold_settings(trees, overrides, mode, tuned, before)


def fold_settings(
    trees: Mapping[str, Tree],
    overrides: Sequence[str] = (),
    mode: str = "train",
    tuned: Path | None = None,
    before: Sequence[Assignment] = (),
) -> dict[str, Config]:
    """Return the settings of every mode from trees of plain values, such as a checkpoint holds, by their names.

    Later trees win. The other arguments and the errors are those of `load_configs`.
    """
    assignments = [*before, *parse_overrides(overrides)]
    if tuned is None:
        return {stage: _fold_stage(trees, assignments, stage, mode) for stage in STAGES}
    last = _read_tuned(tuned)
    with_tuned = {**trees, str(tuned): last}
    return {stage: _fold_stage(with_tuned if stage == mode else trees, assignments, stage, mode) for stage in STAGES}


def load_tuned(path: Path) -> DecodingConfig:
    """Return how the file that `--mode tune` wrote decodes, for use without other settings.

    Raises:
        ConfigError: As `load_configs`, and if the file chooses no threshold.
    """
    tree = _read_tuned(path)
    decoding = _fold_stage({str(path): tree}, (), "test", "test").decoding
    if "threshold" not in (tree.get("decoding") or {}):
        raise ConfigError(f"--tuned {path} holds no decoding.threshold; give the file that tune mode wrote")
    return decoding


def _read_tuned(path: Path) -> Tree:
    """Read what tune mode wrote; it decides how a prediction is decoded, and nothing else."""
    tree = read_tree(path, "--tuned")
    for key in tree:
        if key != "decoding":
            raise ConfigError(f"--tuned {path} sets {key}; only decoding may stand there, as tune mode writes it")
    return tree


def dump_config(config: Config) -> str:
    """Return the settings as YAML that `load_config` reads back."""
    return yaml.safe_dump(_without_tuples(asdict(config)), sort_keys=False, width=100)


def dump_stages(configs: Mapping[str, Config]) -> str:
    """Return the settings of all modes as YAML that `load_configs` reads back.

    Those of training stand at the top; a section for each other mode holds what is different there.
    """
    plain = {stage: as_plain(config) for stage, config in configs.items()}
    whole = plain["train"] | {
        stage: differing for stage in STAGES[1:] if (differing := _differing(plain[stage], plain["train"]))
    }
    return yaml.safe_dump(whole, sort_keys=False, width=100)


def _differing(tree: Tree, common: Tree) -> Tree:
    """Return what a tree holds that another one of the same form does not."""
    found: Tree = {}
    for name, value in tree.items():
        if isinstance(value, dict) and isinstance(common.get(name), dict):
            if below := _differing(value, common[name]):
                found[name] = below
        elif name not in common or value != common[name]:
            found[name] = value
    return found


def as_plain(settings: DataclassInstance) -> Tree:
    """Return settings, or one section of them, as plain mappings, lists and scalars, safe to store in a checkpoint."""
    return _without_tuples(asdict(settings))


def _without_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_tuples(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tuples(item) for item in value]
    return value


def _fold_stage(trees: Mapping[str, Tree], assignments: Sequence[Assignment], stage: str, mode: str) -> Config:
    """Fold, type and check the settings of one stage; files are given by their names, later ones win."""
    folded = as_plain(Config())
    origins = Origins(list(trees)[-1])
    for source, tree in trees.items():
        _fold_file(folded, tree, stage, source, origins)
    for prefix, segments, value in _that_concern(assignments, stage, mode):
        _assign(folded, segments, value, f"command line: {prefix}", origins)
    resolve_references(folded, origins)
    config = convert(Config, folded, "", origins)
    window = config.inference.window
    window.window_size = window.window_size or config.data.dataloader.patch_size
    for key, complaint in check(config):
        raise ConfigError(f"{origins.of(key)} {complaint}")
    return replace(config, save_path=str(user_path(config.save_path or f"outputs/{config.experiment_name}")))


def _fold_file(folded: Tree, tree: Tree, stage: str, source: str, origins: Origins) -> None:
    """Fold one file: its top level, its `default` section, its section for the stage."""
    top = {name: section for name, section in tree.items() if name not in ("default", *STAGES)}
    _merge(folded, top, "", f"{source}: ", origins)
    for name in ("default", stage):
        section = tree.get(name) or {}
        if not isinstance(section, Mapping):
            raise ConfigError(f"{source}: {name} is {section!r}; it is a section and holds settings of its own")
        _merge(folded, section, "", f"{source}: {name}.", origins)


def _that_concern(assignments: Sequence[Assignment], stage: str, mode: str) -> Iterator[tuple[str, list[str], Any]]:
    """Yield stage prefix, key and value of the overrides that hold for `stage` while `mode` runs."""
    runs = mode in (stage, "demo")
    for segments, value in assignments:
        if segments[0] in ("default", *STAGES) and len(segments) > 1:
            if segments[0] in ("default", stage):
                yield f"{segments[0]}.", segments[1:], value
        elif runs:
            yield "", segments, value


def _merge(into: Tree, tree: Mapping[str, Any], key: str, place: str, origins: Origins) -> None:
    """Fold `tree` into `into`: sections are merged, everything else replaces."""
    for name, value in tree.items():
        full = f"{key}.{name}" if key else str(name)
        origins.note(full, f"{place}{full}")
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value, full, place, origins)
        elif isinstance(value, Mapping):
            into[name] = {}
            _merge(into[name], value, full, place, origins)
        elif value is not None or not isinstance(into.get(name), dict):
            into[name] = value


def _assign(tree: Tree, segments: list[str], value: Any, place: str, origins: Origins) -> None:
    """Set one dotted key; a number is the position of an entry of a list."""
    node: Any = tree
    key = ".".join(segments)
    for depth, segment in enumerate(segments[:-1]):
        before = ".".join(segments[: depth + 1])
        if isinstance(node, list):
            node = node[_position(node, segments, depth)]
        else:
            if segment not in node:
                origins.note(before, f"{place}{before}")
            node = node.setdefault(segment, {})
        if not isinstance(node, dict | list):
            raise ConfigError(f"{place}{key} is not a setting; {before} holds a value, no settings of its own")
    if isinstance(node, list):
        node[_position(node, segments, len(segments) - 1)] = value
    else:
        _merge(node, {segments[-1]: value}, ".".join(segments[:-1]), place, origins)
    origins.note(key, f"{place}{key}")


def _position(items: list[Any], segments: Sequence[str], depth: int) -> int:
    if segments[depth].isdigit() and int(segments[depth]) < len(items):
        return int(segments[depth])
    where = ".".join(segments[:depth])
    raise ConfigError(f"command line: {'.'.join(segments)}: {where} is a list of {len(items)}; name one by its number")
