"""What `--init` is asked for, and its volumes; no torch, so that a slip is told at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from connectomics.config.data import VolumesConfig
from connectomics.errors import UserError
from connectomics.geometry import Spacing
from connectomics.planning.settings_file import Named
from connectomics.volumes.labelled import LabelledSource, absolute_location, open_labelled
from connectomics.volumes.read import name_of


@dataclass(frozen=True, slots=True)
class Wish:
    """What `--init` is asked for."""

    images: tuple[str, ...]
    labels: tuple[str, ...] = ()
    """Labels of the first images, in the same order."""
    masks: tuple[str, ...] = ()
    resolution: Spacing | None = None
    """Voxel size along (z, y, x), in nm, of files that state none."""
    out: Path | None = None
    hours: float | None = None

    @property
    def title(self) -> str:
        """Name of the experiment: that of the first image."""
        return name_of(self.images[0]).removeprefix("im_")

    @property
    def target(self) -> Path:
        """The file that is written."""
        return self.out or Path(f"{self.title}.yaml")

    @property
    def files(self) -> Named:
        """The files, by absolute path."""
        paths = self.images, self.labels, self.masks
        images, labels, masks = (tuple(absolute_location(path) for path in kind) for kind in paths)
        return Named(images, labels, masks, self.resolution)


@dataclass(frozen=True, slots=True)
class WishedVolumes:
    """The volumes of a wish."""

    labelled: tuple[LabelledSource, ...]
    """Those that are annotated."""
    others: tuple[LabelledSource, ...]


def open_wished(wish: Wish) -> WishedVolumes:
    """Open the volumes; no voxel is read.

    Raises:
        UserError: If a volume cannot be used, files do not belong together, or what is to be written is there already.
    """
    count = len(wish.labels)
    if count > len(wish.images):
        raise UserError(f"--label names {count} files, --init {len(wish.images)}: each label belongs to an image")
    if wish.masks and len(wish.masks) != count:
        raise UserError(f"--mask names {len(wish.masks)} files, --label {count}: name one for each, or none")
    if wish.target.exists():
        raise UserError(f"{wish.target} is there already, and is not replaced; name another file with --out")
    with_label = VolumesConfig(
        image=list(wish.images[:count]), label=list(wish.labels), mask=list(wish.masks), resolution=wish.resolution
    )
    without = VolumesConfig(image=list(wish.images[count:]), resolution=wish.resolution)
    labelled = open_labelled(with_label, "--init", 1, need_label=True) if count else []
    others = open_labelled(without, "--init", 1, need_label=False) if without.image else []
    return WishedVolumes(tuple(labelled), tuple(others))
