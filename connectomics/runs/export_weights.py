"""`connectomics weights`: a trained network for programs that know neither Lightning nor this package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectomics.config import as_plain, fold_settings
from connectomics.config.data import DataConfig
from connectomics.config.inference import ChannelActivationConfig
from connectomics.errors import UserError
from connectomics.files import user_path
from connectomics.runs.folder import find_checkpoint
from connectomics.screen.console import say

EPILOG = """\
DIR gets
  model.safetensors   the weights, averaged (EMA) ones if the training kept them; --latest takes those of the last step
  model.json          the settings of the network, how grey values are scaled, voxel sizes, patch size, steps
  model.pt2           with --pt2: the whole network as torch.export writes it; torch.export.load needs no code of ours.
                      It maps windows (B, C, Z, Y, X) of the patch's size, grey values in [0, 1], to logits
"""


def export_weights(argv: Sequence[str] | None = None, prog: str = "connectomics weights") -> int:
    """Write the weights of a checkpoint, and return the exit status."""
    args = _parse(argv, prog)
    try:
        path = find_checkpoint(args.checkpoint)
        if args.out.exists() and any(args.out.iterdir()):
            raise UserError(f"--out {args.out} is there already, and is not replaced; name another folder")
        _export(path, args.out, averaged=not args.latest, whole=args.pt2)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _export(path: Path, out: Path, averaged: bool, whole: bool) -> None:
    from connectomics.models.export import export_model, export_program
    from connectomics.training.checkpoints import (
        EMA_KEY,
        LEARNT_AT_KEY,
        SETTINGS_KEY,
        network_weights,
        read_checkpoint,
    )

    saved = read_checkpoint(path)
    config = fold_settings({str(path): saved[SETTINGS_KEY]}, mode="test")["test"]
    averaged = averaged and EMA_KEY in saved
    weights = network_weights(saved, path, averaged)
    known = _how_to_apply(config.data, config.inference.model.channel_activations)
    known |= {"voxel_sizes_nm": saved.get(LEARNT_AT_KEY, []), "averaged": averaged, "step": int(saved["global_step"])}
    export_model(out, weights, config.model, known)
    say(f"{out / 'model.safetensors'}: {len(weights)} tensors; {out / 'model.json'}: how to apply them")
    if whole:
        say(f"tracing the network for {out / 'model.pt2'} ...")
        say(f"{export_program(out, config.data.dataloader.patch_size)}: windows to logits")


def _how_to_apply(data: DataConfig, activations: Sequence[ChannelActivationConfig]) -> dict[str, Any]:
    """Return what goes in, and what the logits mean."""
    return {
        "patch_size": list(data.dataloader.patch_size),
        "image_transform": as_plain(data.image_transform),
        "activations": [as_plain(entry) for entry in activations],
    }


def _parse(argv: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Write a trained network for programs that know neither Lightning nor this package.",
    )  # fmt: skip
    parser.add_argument("checkpoint", type=user_path, help="a .ckpt file, or the folder of a run")
    parser.add_argument("--out", type=user_path, required=True, metavar="DIR", help="a folder that is made")
    parser.add_argument("--latest", action="store_true", help="the weights of the last step, not their average")
    parser.add_argument("--pt2", action="store_true", help="the network itself as well")
    return parser.parse_args(argv)
