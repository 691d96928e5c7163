"""The challenge's files by name, with the digests that are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OFFICIAL = "https://cremi.org/static/data/"
RHOANA = "http://rhoana.rc.fas.harvard.edu/dataset/"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that can be downloaded."""

    name: str
    base: str
    """Address that the name is appended to."""
    sha256: str | None = None
    """Digest that the file must have; None where none is known."""
    folder: str | None = None
    """Folder that an archive is unpacked into; None for a file that is not an archive."""
    wanted: tuple[str, ...] = ()
    """Patterns of the files of an archive that are unpacked: the last parts of their names, wherever they lie in it."""


_DIGESTS = {
    "sample_A_20160501.hdf": "4c563d1b78acb2bcfb3ea958b6fe1533422f7f4a19f3e05b600bfa11430b510d",
    "sample_B_20160501.hdf": "887e85521e00deead18c94a21ad71f278d88a5214c7edeed943130a1f4bb48b8",
    "sample_C_20160501.hdf": "2874496f224d222ebc29d0e4753e8c458093e1d37bc53acd1b69b19ed1ae7052",
    "sample_A_padded_20160501.hdf": "c95dc4497ce0f0e7b70507c7253230fda95325ee91ea0d3253c9ef94b197050a",
    "sample_B_padded_20160501.hdf": "22917a25092d0b80175012c152da33e1a1d82e049c4a96dc747145d5ca5d1b87",
    "sample_C_padded_20160501.hdf": "aba27b165ef005d5fbebe0e3f8775ac903cf273b7e20381dff664d45065a3314",
}

_TEST = [f"sample_{sample}{padded}_20160601.hdf" for padded in ("", "_padded") for sample in ("A+", "B+", "C+")]

FILES: Mapping[str, RemoteFile] = {
    **{name: RemoteFile(name, OFFICIAL, digest) for name, digest in _DIGESTS.items()},
    **{name: RemoteFile(name, OFFICIAL) for name in _TEST},
    "cremi.zip": RemoteFile("cremi.zip", RHOANA, folder="corrected", wanted=("im_*.h5", "syn_*.h5")),
    "jwr15_synapse.zip": RemoteFile(
        "jwr15_synapse.zip", RHOANA, folder="jwr15", wanted=("vol*/im_*.h5", "vol*/syn_*.h5")
    ),
}
"""Every known file, by name."""

SETS: Mapping[str, tuple[str, ...]] = {
    "train": tuple(f"sample_{sample}_padded_20160501.hdf" for sample in "ABC"),
    "test": tuple(_TEST[3:]),
    "corrected": ("cremi.zip",),
    "em_r50": ("jwr15_synapse.zip",),
    **{name: (name,) for name in FILES},
}
"""What `download` can be asked for."""


def short_name(stem: str) -> str:
    """Return what a volume is called in `im_<...>.h5`: A+ for sample_A+_padded_20160601, else the stem without im_."""
    parts = stem.split("_")
    return parts[1] if len(parts) > 2 and parts[0] == "sample" and parts[-1].isdigit() else stem.removeprefix("im_")


def official_name(name: str) -> str:
    """Return the challenge's own name for a file, padded or not: sample_A+_20160601.hdf."""
    stem = name.rpartition(".")[0] or name
    return f"{stem.replace('_padded', '')}.hdf"
