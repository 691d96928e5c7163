"""Whether a training that was broken off and gone on with is the unbroken one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

KEPT = ("state_dict", "ema", "optimizer_states", "lr_schedulers", "global_step", "epoch")
"""Parts of `last.ckpt` that must be equal to the last bit."""


def differences(ours: Path, theirs: Path) -> list[str]:
    """Return what differs between two runs: weights, averages, optimizer, logged numbers, names of checkpoints."""
    first, second = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (ours, theirs))
    found = [name for part in KEPT for name in _unequal(first[part], second[part], part)]
    one, other = numbers(ours), numbers(theirs)
    for name in sorted(one.keys() | other.keys()):
        steps = {step for step, _ in one.get(name, {}).items() ^ other.get(name, {}).items()}
        found += [f"logged {name} at {sorted(steps)}"] if steps else []
    names = [{path.name for path in (run / "checkpoints").iterdir()} for run in (ours, theirs)]
    return found + [f"file {name}" for name in sorted(names[0] ^ names[1])]


def numbers(run: Path) -> dict[str, dict[int, str]]:
    """Return every number that a run logged, by name and step; the last entry of a step counts."""
    found: dict[str, dict[int, str]] = {}
    for path in sorted((run / "logs").iterdir(), key=lambda path: path.stat().st_mtime_ns):
        events = EventAccumulator(str(path))
        events.Reload()
        for name in events.Tags()["scalars"]:
            found.setdefault(name, {}).update({event.step: repr(event.value) for event in events.Scalars(name)})
    return found


def _unequal(one: Any, other: Any, name: str) -> Iterator[str]:
    """Yield the names of what is not equal, inside of dictionaries and lists as well."""
    if isinstance(one, torch.Tensor):
        if not torch.equal(one, other):
            yield name
    elif isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from _unequal(one[key], other[key], f"{name}.{key}")
    elif isinstance(one, list | tuple) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _unequal(a, b, f"{name}[{i}]")
    elif one != other:
        yield name
