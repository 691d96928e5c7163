"""Time, peak memory and accuracy of `cremi.py prepare` and `submit` at the size of CREMI's padded volumes.

    python benchmarks/prepare.py                               # 200 x 3072 x 3072, as the challenge's files are stored
    python benchmarks/prepare.py --shape 60 1024 1024 --jump 70 --drift 300

A synthetic volume whose shifts are known: it drifts, jumps, has three bad sections and a crack. The labels themselves
are taken for the prediction, in float32, so that what is submitted must be the labels. Each command runs in a process
of its own, whose peak memory is told. Linux only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from connectomics.alignment.shift_table import read_table  # noqa: E402
from connectomics.geometry import ZYX, Box  # noqa: E402
from connectomics.volumes.labels import CREMI_BACKGROUND, OUTSIDE  # noqa: E402
from connectomics.volumes.read import open_volume  # noqa: E402
from connectomics.volumes.write import VolumeWriter  # noqa: E402
from tests.tissue import Challenge, write_challenge  # noqa: E402


def run(*arguments: object) -> None:
    """Run a command of `scripts/cremi.py`, and tell its time and its peak memory."""
    begun = time.monotonic()
    process = subprocess.Popen([sys.executable, ROOT / "scripts" / "cremi.py", *map(str, arguments)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    print(
        f"{arguments[0]}: {time.monotonic() - begun:.0f} s, {usage.ru_utime + usage.ru_stime:.0f} s of processor time, "
        f"peak memory {usage.ru_maxrss / 2**20:.2f} GiB",
        flush=True,
    )


def write_case(path: Path, shape: ZYX, jump: int, drift: int) -> Challenge:
    z, y, x = (round(n * share) for n, share in zip(shape, (125 / 200, 1250 / 3072, 1250 / 3072), strict=True))
    start = ((shape[0] - z) // 2, (shape[1] - y) // 2, (shape[2] - x) // 2)
    return write_challenge(
        path, np.random.default_rng(0), shape, (start, (z, y, x)), jump, drift, cell=min(shape[1:]) / 128
    )


def write_prediction(path: Path, out: Path) -> None:
    """Write a prediction that is certain of exactly the labels."""
    label = open_volume(str(out / "syn_A.h5"), "label")
    attributes = {"resolution": np.array(label.info.spacing_nm), "offset": np.array(label.info.offset_nm),
                  "image": f"{out / 'im_A.h5'}:/main", "scale": 1.0}  # fmt: skip
    with VolumeWriter(path, 1, label.shape, np.float32, attributes) as writer:
        for z in range(label.shape[0]):
            writer.write(z, (label.read(Box((z, 0, 0), (z + 1, *label.shape[1:]))) > 0).astype(np.float32))


def judge(challenge: Challenge, out: Path, submitted: Path) -> None:
    """Tell how far the shifts are from the true ones, and whether the labels came back."""
    table = read_table(out / "shifts_A.csv", len(challenge.shifts))
    good = [z for z in range(len(table)) if z not in challenge.bad]
    wrong = (table.shifts - challenge.shifts)[good]
    wrong = np.abs(wrong - np.median(wrong, axis=0).astype(int)).max(1)
    print(f"shifts within 1 pixel: {(wrong <= 1).mean():.1%} of the good sections; the farthest is {wrong.max()} off")
    print(f"bad sections {list(challenge.bad)}, found {table.replaced}")
    with h5py.File(submitted) as file:
        back = file["volumes/labels/clefts"][:] != CREMI_BACKGROUND
    kept = [z for z in range(len(back)) if z + challenge.start[0] not in challenge.bad]
    same = np.array_equal(back[kept], challenge.labels[kept] < OUTSIDE)
    print(f"labels come back in every good section: {same}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(200, 3072, 3072))
    parser.add_argument("--jump", type=int, default=200, help="pixels")
    parser.add_argument("--drift", type=int, default=1000, help="pixels over the stack")
    parser.add_argument("--folder", type=Path, help="where files are kept; default: a temporary one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = args.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        out = folder / "corrected"
        challenge = write_case(folder / "sample_A_padded_20160501.hdf", tuple(args.shape), args.jump, args.drift)
        run("prepare", challenge.path, "--out", out)
        write_prediction(folder / "test_im_A_prediction.h5", out)
        run("submit", folder / "test_im_A_prediction.h5", "--out", folder / "submission", "--min-size", 2)
        judge(challenge, out, folder / "submission" / "sample_A_20160501.hdf")


if __name__ == "__main__":
    main()
