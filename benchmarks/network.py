"""How fast the network is against the same network written plainly: training steps and forward passes, in one run.

    python benchmarks/network.py --patch 18 128 128 --repeats 5 [--device cuda] [--filters 32 64 96 128 160]

The variants take turns, so that a machine whose speed drifts is fair to all; the figures are medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.plain_rsunet import PlainRSUNet
from connectomics.config.model import LossConfig, ModelConfig, RSUNetConfig
from connectomics.losses import Criterion
from connectomics.models import build_model
from connectomics.models.build import MEMORY_FORMATS, choose_memory_format
from connectomics.models.fold import fold_batch_norm


class Variant:
    """One way to run the network."""

    def __init__(self, name: str, model: nn.Module, image: Tensor, bf16: bool) -> None:
        self.name, self.model, self.image, self.bf16 = name, model, image, bf16
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        self.criterion = Criterion(LossConfig(), 1, 1).to(image.device)
        self.label = (torch.rand_like(image) > 0.98).float()
        self.valid = torch.ones_like(image)
        self.seconds: list[float] = []

    def train(self) -> None:
        """Do one training step."""
        self.model.train()
        with torch.autocast(self.image.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.model(self.image)
        loss = sum(self.criterion(logits, self.label, self.valid).values())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    @torch.inference_mode()
    def predict(self) -> None:
        """Do one forward pass."""
        self.model.eval()
        with torch.autocast(self.image.device.type, torch.bfloat16, enabled=self.bf16):
            self.model(self.image)


def build_variants(args: argparse.Namespace) -> list[Variant]:
    """Build every variant with the same weights."""
    torch.manual_seed(0)
    settings = RSUNetConfig(filters=args.filters, down_factors=[(1, 2, 2)] * (len(args.filters) - 1))
    image = torch.rand(args.batch, 1, *args.patch, device=args.device)
    reference = build_model(ModelConfig(rsunet=settings))
    variants = []
    for name, bf16 in (("plain fp32", False), ("plain bf16", True)):
        plain = PlainRSUNet(1, 1, settings).to(args.device)
        plain.load_state_dict(reference.state_dict())
        variants.append(Variant(name, plain, image, bf16))
    ours: dict[str, ModelConfig] = {name: ModelConfig(rsunet=settings, memory_format=name) for name in MEMORY_FORMATS}
    ours["input_pooling 1 2 2"] = ModelConfig(rsunet=replace(settings, input_pooling=(1, 2, 2)))
    for name, config in ours.items():
        model = build_model(config, image.is_cuda).to(args.device)
        model.load_state_dict(reference.state_dict())
        laid_out = image.contiguous(memory_format=choose_memory_format(config, image.is_cuda))
        variants.append(Variant(f"ours bf16 {name}", model, laid_out, True))
    return variants


def fold(variant: Variant) -> Variant:
    """Return the variant as test mode runs it, for forward passes only."""
    return Variant(f"{variant.name} folded", fold_batch_norm(variant.model), variant.image, variant.bf16)


def measure(variants: list[Variant], step: Callable[[Variant], None], args: argparse.Namespace) -> None:
    """Time `step` of each variant in turn, after one warm-up; with one thread, CPU seconds."""
    clock = time.process_time if args.threads == 1 else time.perf_counter
    for variant in variants:
        variant.seconds = []
    for repeat in range(args.repeats + 1):
        for variant in variants:
            begun = clock()
            step(variant)
            if args.device != "cpu":
                torch.cuda.synchronize()
            if repeat > 0:
                variant.seconds.append(clock() - begun)


def main() -> None:
    """Print one table for training steps and one for forward passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patch", type=int, nargs=3, default=[18, 128, 128])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--filters", type=int, nargs="+", default=[32, 64, 96, 128, 160])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of the CPU; with 1, CPU seconds are counted: for a machine in use")
    parser.add_argument("--forward-only", action="store_true", help="leave the training steps out")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    variants = build_variants(args)
    if not args.forward_only:
        show("training step", variants, Variant.train, args)
    show("forward pass", [*variants, *(fold(one) for one in variants[2:])], Variant.predict, args)


def show(title: str, variants: list[Variant], step: Callable[[Variant], None], args: argparse.Namespace) -> None:
    """Measure and print one table."""
    measure(variants, step, args)
    print(f"{title}, {args.batch} x {args.patch}, {args.device}, {torch.get_num_threads()} threads, seconds, "
          f"median of {args.repeats}; how often faster than plain fp32 and plain bf16")  # fmt: skip
    fp32, bf16 = (statistics.median(variant.seconds) for variant in variants[:2])
    for variant in variants:
        median = statistics.median(variant.seconds)
        print(f"  {variant.name:36s} {median:8.3f}  {fp32 / median:5.2f}  {bf16 / median:5.2f}")


if __name__ == "__main__":
    main()
