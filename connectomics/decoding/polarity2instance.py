"""From probabilities of pre, post and union to numbered synapses, each with its two sides."""

from __future__ import annotations

import cc3d
import cv2
import numpy as np
import numpy.typing as npt

from connectomics.decoding.size import remove_small
from connectomics.geometry import ZYX
from connectomics.sides import POST, PRE

Mask = npt.NDArray[np.bool_]
Sides = npt.NDArray[np.uint8]
"""0 for no synapse, `PRE` or `POST`, (Z, Y, X)."""


def decode_sides(
    probability: npt.NDArray[np.float32], threshold: float, min_size: int, dilation: ZYX
) -> npt.NDArray[np.uint64]:
    """Turn independent probabilities into synapses.

    A side is where its probability and that of the union reach the threshold. Where both sides do, the more probable
    one takes the voxel, the pre-synaptic one when they are equal. What is left of a side in objects that are smaller
    than `min_size` goes.

    Args:
        probability: Probabilities of [pre, post, union], (3, Z, Y, X).
        threshold: Probability from which on a voxel belongs to a class.
        min_size: Voxels that an object of one side has at least.
        dilation: Extent along (z, y, x) of the box that joins the parts of a synapse; see `number_synapses`.

    Returns:
        Ids (Z, Y, X), uint64: 0, or 2k - 1 and 2k for the sides of synapse k.
    """
    pre, post, union = (channel >= np.float32(threshold) for channel in probability)
    more_pre = probability[0] >= probability[1]
    both = pre & post
    pre &= union & (more_pre | ~both)
    post &= union & ~(more_pre & both)
    return number_synapses(_large_sides(pre, post, min_size), union, dilation)


def decode_classes(
    probability: npt.NDArray[np.float32], threshold: float, min_size: int, dilation: ZYX
) -> npt.NDArray[np.uint64]:
    """Turn probabilities of classes that exclude each other into synapses.

    The union is where pre and post together reach the threshold; each of its voxels is of the more probable side.

    Args:
        probability: Probabilities of [background, pre, post], (3, Z, Y, X); the rest is as in `decode_sides`.
    """
    union = probability[1] + probability[2] >= np.float32(threshold)
    more_pre = probability[1] >= probability[2]
    return number_synapses(_large_sides(union & more_pre, union & ~more_pre, min_size), union, dilation)


def number_synapses(sides: Sides, union: Mask, dilation: ZYX) -> npt.NDArray[np.uint64]:
    """Number the synapses: sides that lie in one component of the dilated union are of one synapse.

    The numbers k = 1, 2, ... follow the volume's order, without a gap. A synapse with one side only has one id.

    Args:
        sides: 0, `PRE` or `POST`, (Z, Y, X).
        union: What joins them, same shape; it holds every side.
        dilation: Extent along (z, y, x) of the box by which the union grows before its components, of voxels that
            share a face, are found: [1, 5, 5] is two pixels in the plane, all around.

    Returns:
        Ids (Z, Y, X), uint64: 2k - 1 where synapse k is pre-synaptic, 2k where it is post-synaptic, else 0.
    """
    ids = np.zeros(sides.shape, np.uint64)
    places = np.flatnonzero(sides)
    if not len(places):
        return ids
    components = cc3d.connected_components(_dilated(union, dilation), connectivity=6)
    _, synapse = np.unique(components.reshape(-1)[places], return_inverse=True)  # from 0
    ids.reshape(-1)[places] = 2 * synapse.astype(np.uint64) + sides.reshape(-1)[places]
    return ids


def number_annotated(ids: npt.NDArray[np.unsignedinteger], dilation: ZYX) -> npt.NDArray[np.unsignedinteger]:
    """Return the ids of an annotation; one of classes only, 0, 1 and 2, gets its synapses numbered.

    Of a volume with a single synapse, whose ids are 1 and 2, both readings agree: its sides become one synapse, unless
    they lie so far apart that `dilation` does not join them.

    Args:
        ids: Annotated ids or classes, (Z, Y, X).
        dilation: The same as in `number_synapses`.
    """
    if ids.max(initial=0) > POST:
        return ids
    return number_synapses(ids.astype(np.uint8), ids != 0, dilation)


def _large_sides(pre: Mask, post: Mask, min_size: int) -> Sides:
    """Return the sides without their objects, of voxels that share a face, of fewer than `min_size` voxels."""
    sides = remove_small(pre, min_size, connectivity=6) * np.uint8(PRE)
    sides[remove_small(post, min_size, connectivity=6)] = POST
    return sides


def _dilated(mask: Mask, box: ZYX) -> Mask:
    """Return the voxels that have one of the mask within a box around them."""
    kernel = np.ones(box[1:], np.uint8)
    grown = np.stack([cv2.dilate(section.view(np.uint8), kernel) for section in mask]).view(np.bool_)
    whole = grown.copy() if box[0] > 1 else grown
    for step in range(1, box[0] // 2 + 1):
        whole[step:] |= grown[:-step]
        whole[:-step] |= grown[step:]
    return whole
