"""Images of several colours whose values are grey all the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.volumes.source import Role

TO_GREY = "convert it to grey values, such as 8-bit in Fiji"

TO_IDS = (
    "a label holds numbers: save it as grey values of 8 or 16 bit, each its id, and not in the colours it is shown in "
    "(docs/formats.md has the way from VAST)"
)


def as_grey(colours: npt.NDArray, axis: int, what: str, role: Role) -> npt.NDArray:
    """Return the grey values of an image whose colours are equal everywhere, and whose alpha is opaque.

    Args:
        colours: The image; along `axis` grey and alpha, or red, green and blue, or these and alpha.
        axis: Number of that axis.
        what: The image, for messages.
        role: What it is used as.

    Raises:
        VolumeError: If it is in colour, or transparent somewhere.
    """
    parts = np.moveaxis(colours, axis, 0)
    values = parts if len(parts) in (1, 3) else parts[:-1]
    for other in values[1:]:
        if not np.array_equal(values[0], other):
            at = tuple(int(i) for i in np.argwhere(values[0] != other)[0])
            shown = ", ".join(str(value[at]) for value in values)
            remedy = TO_GREY if role == "image" else TO_IDS
            raise VolumeError(f"{what} is in colour (pixel {at[-2:]} along (y, x) is {shown}); {remedy}")
    if len(parts) in (2, 4):
        opaque = np.iinfo(parts.dtype).max if parts.dtype.kind == "u" else 1
        if not (parts[-1] == opaque).all():
            raise VolumeError(f"{what} is transparent in places; save it without its alpha channel")
    return values[0]
