"""What all processes of a training know together; one process alone knows it already."""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Thing = TypeVar("Thing")


def world_size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(part: Tensor) -> Tensor:
    """Return the sum of what each process has, the same on all of them; all have to ask."""
    if world_size() == 1:
        return part
    total = part.detach().clone()
    dist.all_reduce(total)
    return total


def sums_over_ranks(parts: list[Tensor]) -> list[Tensor]:
    """Return the sum of each of several tensors; they travel together."""
    total = sum_over_ranks(torch.cat([part.flatten() for part in parts]))
    pieces = total.split([part.numel() for part in parts])
    return [piece.view_as(part) for piece, part in zip(pieces, parts, strict=True)]


def gather_over_ranks(thing: Thing) -> list[Thing]:
    """Return what each process has, in the order of their ranks; all have to ask."""
    if world_size() == 1:
        return [thing]
    things: list[Thing] = [thing] * world_size()
    dist.all_gather_object(things, thing)
    return things
