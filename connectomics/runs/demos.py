"""The demos: their settings, and what their phantoms must be like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from connectomics.geometry import ZYX

FOLDER = Path(__file__).parent
COMMON = FOLDER / "demo.yaml"
"""Settings of every demo, which each demo's own settings override."""


@dataclass(frozen=True, slots=True)
class Demo:
    """One demo."""

    settings: Path
    label: Literal["label", "polarity"]
    """What the network learns of a phantom: its clefts, or the sides of its synapses."""
    legend: str
    """What the colours of the picture mean."""
    density_px: float = 0.0
    """How far the postsynaptic density of its phantoms reaches behind the cleft, in pixels."""
    counted_apart: ZYX = (0, 0, 0)
    """Least number of voxels between two synapses in validation and test volumes, where each one is counted."""

    @property
    def base(self) -> Path | None:
        """Return the file that the settings change, if they are not that file."""
        return None if self.settings == COMMON else COMMON


FOUND = "what became of each synapse, with a legend"

DEMOS: Mapping[str, Demo] = {
    "clefts": Demo(COMMON, label="label", legend=FOUND),
    "polarity": Demo(
        FOLDER / "demo_polarity.yaml",
        label="polarity",
        legend=f"{FOUND}; pre magenta, post cyan",
        density_px=5.0,  # as in asymmetric synapses of cortex: about 40 nm
        counted_apart=(3, 17, 17),  # twice a dilation by up to 5 pixels and one more; 6 for the drift of the sections
    ),
}
"""`--demo NAME` to the demo."""

USUAL = "clefts"
"""The demo that `--demo` runs without a name."""
