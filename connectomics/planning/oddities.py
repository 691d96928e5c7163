"""What looks wrong about somebody's volumes, said before anything is trained on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectomics.errors import VolumeError
from connectomics.planning.facts import CleftFacts, ImageFacts

MOST_FOREGROUND = 0.2
"""Share of the annotated voxels from which on a label is hardly one of synapses: they fill some 1 % of neuropil."""

MOST_EMPTY = 0.1


def find_oddities(images: Sequence[ImageFacts], clefts: Sequence[CleftFacts]) -> list[str]:
    """Return what looks wrong, a sentence for each; the labels belong to the first images.

    Raises:
        VolumeError: If image and label are swapped, or nothing is annotated as foreground: no plan would help.
    """
    _refuse_swapped(images, clefts)
    everything = [label.location for label in clefts if label.share == 1]
    if everything:
        raise VolumeError(f"{', '.join(everything)}: every voxel is foreground; is it an image, or a mask?")
    if clefts and not any(label.sizes for label in clefts):
        raise VolumeError(f"{', '.join(one.location for one in clefts)}: no foreground; nothing can be learnt from it")
    return [*_same_files(images), *_labels(clefts), *_images(images)]


def _same_files(images: Sequence[ImageFacts]) -> Iterator[str]:
    locations = [image.location for image in images]
    for location in dict.fromkeys(one for one in locations if locations.count(one) > 1):
        yield f"{location} is named twice"


def _refuse_swapped(images: Sequence[ImageFacts], clefts: Sequence[CleftFacts]) -> None:
    for image, label in zip(images, clefts, strict=False):
        if image.location == label.location:
            raise VolumeError(f"{image.location} is named both as the image and as its label")
        if label.share > 0.5 and (image.empty > 0.5 or image.values < 8):
            raise VolumeError(
                f"{image.location} looks like a label and {label.location} like an image; they seem to be swapped"
            )


def _labels(clefts: Sequence[CleftFacts]) -> Iterator[str]:
    for label in clefts:
        if not label.sizes:
            yield f"{label.location} has no foreground: nothing can be learnt from it"
        elif label.share > MOST_FOREGROUND:
            yield (
                f"{label.share:.0%} of {label.location} is foreground, where synapses fill some 1 %: is it an image, a "
                "segmentation of cells, or inverted?"
            )


def _images(images: Sequence[ImageFacts]) -> Iterator[str]:
    for image in images:
        if image.values < 8:
            yield f"{image.location} has only {image.values} different grey values: is it a label?"
        elif image.empty > MOST_EMPTY:
            yield f"{image.empty:.0%} of {image.location} is 0: a mask (--mask) keeps empty parts from being learnt"
        if image.blank_sections:
            some = ", ".join(map(str, image.blank_sections[:5])) + ", ..." * (len(image.blank_sections) > 5)
            yield f"{image.location} has sections without any contrast: {some}"
    sizes = {image.spacing_nm for image in images}
    if len(sizes) > 1:
        named = "; ".join(" x ".join(f"{n:g}" for n in size) for size in sorted(sizes))
        yield f"the images have voxels of different sizes ({named} nm): a network learns one"
