"""What happens to a training patch: the seam `AUGMENTATIONS`, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from connectomics.config.augmentation import AugmentationConfig
from connectomics.data.augment.cut import CutBlur, CutNoise
from connectomics.data.augment.elastic import Elastic
from connectomics.data.augment.flip import Flip
from connectomics.data.augment.geometric import GeometricStep, Geometry
from connectomics.data.augment.grey_values import Intensity
from connectomics.data.augment.image_step import ImageStep
from connectomics.data.augment.misalignment import Misalignment
from connectomics.data.augment.missing import MissingParts, MissingSection
from connectomics.data.augment.motion_blur import MotionBlur
from connectomics.data.augment.rotate import Rotate
from connectomics.data.augment.whole_sections import Defocus, SectionBrightness
from connectomics.data.augment.zoom import Zoom
from connectomics.data.patch import Patch
from connectomics.geometry import ZYX
from connectomics.lookup import pick

Step = GeometricStep | ImageStep

AUGMENTATIONS: Mapping[str, Callable[..., Step]] = {
    "flip": Flip,
    "rotate": Rotate,
    "zoom": Zoom,
    "elastic": Elastic,
    "misalignment": Misalignment,
    "missing_section": MissingSection,
    "missing_parts": MissingParts,
    "motion_blur": MotionBlur,
    "defocus": Defocus,
    "cut_noise": CutNoise,
    "cut_blur": CutBlur,
    "section_brightness": SectionBrightness,
    "intensity": Intensity,
}
"""Sections of `data.augmentation` to what they build; the settings of a section are its arguments."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The steps that are enabled: those that move voxels come first, then those that change the image."""

    geometric: tuple[GeometricStep, ...] = ()
    image: tuple[ImageStep, ...] = ()

    def draw_geometry(self, shape: ZYX, rng: np.random.Generator) -> Geometry:
        """Draw which voxel each of a patch of `shape` shows."""
        geometry = Geometry(shape)
        for step in self.geometric:
            geometry = step(geometry, rng)
        return geometry

    def change_image(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Apply the steps that leave the target as it is."""
        for step in self.image:
            patch = step(patch, rng)
        return patch


def build_augmentation(config: AugmentationConfig) -> Augmentation:
    """Build the enabled steps of `data.augmentation`."""
    sections = asdict(config)
    enabled = [name for name in AUGMENTATIONS if sections[name].pop("enabled")]
    steps = [pick(AUGMENTATIONS, name, "data.augmentation")(**sections[name]) for name in enabled]
    return Augmentation(
        tuple(step for step in steps if isinstance(step, GeometricStep)),
        tuple(step for step in steps if isinstance(step, ImageStep)),
    )
