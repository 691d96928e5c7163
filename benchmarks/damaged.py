"""Whether damaged files are read or refused in our own words: thousands of them, of every format.

    python benchmarks/damaged.py                       # 3,000 files
    python benchmarks/damaged.py --files 90 --formats v.h5 v.nii --json rows.json

Files are damaged by turned bits, cut off, and blocks of them swapped. A process of its own reads them, which may take
1 GiB of memory beyond what it has after its imports, and 10 s for each file. Counted are exceptions that are not ours,
files that take longer, requests for more memory, programs that a file made run, and ends of the process. The status is
1 if there was any. `--trial NAME NUMBER` does one of them again, in this process, with its traceback.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.damaged_files import HAVE_NAMES, MAKERS, VOXELS, make_damaged, make_whole
from connectomics.config.load import load_configs, load_tuned
from connectomics.errors import UserError
from connectomics.geometry import Box
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import Role, VolumeSource
from connectomics.volumes.state import state_of_files

SECONDS = 10.0
MEMORY = 2**30
MOST_VOXELS = 2**22
"""Of a volume that states more, corners are read, as a prediction or training reads windows."""

CORNER = 48
FAULTS = ("other exception", "longer than 10 s", "more than 1 GiB", "program run", "end of the process")
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
SHORTAGES = ("memory allocation", "to allocate", "not allocate", "t allocate", "out of memory", "enough memory")
"""How libraries say that memory was not to be had."""

PROGRAMS_RUN: list[str] = []


def read_volume(path: Path) -> bool:
    """Read a volume in all the ways that there are, and return whether its voxels are those that were written."""
    found = None
    locations: list[tuple[str, Role]] = [(str(path), "label"), (str(path), "image")]
    if path.name.endswith(HAVE_NAMES):
        locations.append((f"{path}:/main", "image"))
    errors = []
    for location, role in locations:
        try:
            source = open_volume(location, role)
            state_of_files(source)
            found = read_parts(source)
        except UserError as error:
            errors.append(error)
    if path.name.endswith(HAVE_NAMES[:2]):
        with suppress(UserError):
            read_attributes(path)
    if found is None:
        raise errors[0]
    return found.shape == VOXELS.shape and np.array_equal(found, VOXELS)


def read_parts(source: VolumeSource) -> np.ndarray:
    """Return the voxels (Z, Y, X) of the first channel; of a volume that states too many, those of its corners."""
    if source.info.channels * int(np.prod([float(n) for n in source.shape])) <= MOST_VOXELS:
        return source.read_all()[0]
    size = tuple(min(CORNER, n) for n in source.shape)
    for start in ((0, 0, 0), tuple(n - m for n, m in zip(source.shape, size, strict=True))):
        corner = source.read(Box.at(start, size))
    return corner[0]


def read_any(path: Path) -> bool:
    """Read a file of any format; whether it is what was written is known of volumes."""
    if path.suffix == ".ckpt":
        from connectomics.training.checkpoints import network_weights, read_checkpoint  # loads torch, which is slow

        checkpoint = read_checkpoint(path)
        network_weights(checkpoint, path, use_ema=True)
        return True
    if path.suffix == ".yaml":
        with suppress(UserError):
            load_tuned(path)
        load_configs(path)
        return True
    return read_volume(path)


def outcome_of(path: Path) -> str:
    """Read a file, and return in one word what came of it."""
    PROGRAMS_RUN.clear()
    try:
        outcome = "as it was" if read_any(path) else "other voxels"
    except UserError as error:
        outcome = "more than 1 GiB" if asks_for_memory(error) else "refused"
    except Exception as error:
        outcome = "more than 1 GiB" if asks_for_memory(error) else f"other exception: {type(error).__name__}"
    return f"program run: {PROGRAMS_RUN[0]}" if PROGRAMS_RUN else outcome


def asks_for_memory(error: BaseException | None) -> bool:
    """Return whether an exception, or one behind it, is about memory that was not to be had."""
    while error is not None:
        if isinstance(error, MemoryError) or any(words in str(error).lower() for words in SHORTAGES):
            return True
        error = error.__cause__ or error.__context__
    return False


def work(name: str, seed: int, first: int, last: int, folder: Path) -> None:
    """Read the damaged files of one format, and print a line before and after each."""
    said = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where libraries complain
    sys.addaudithook(lambda event, args: PROGRAMS_RUN.append(event) if event in PROGRAMS else None)
    whole = folder / "whole" / name
    read_any(whole)  # what is imported or allocated once is there
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
    for trial in range(first, last):
        make_damaged(whole, folder / name, seed, trial)
        print("begin", file=said, flush=True)
        print(outcome_of(folder / name), file=said, flush=True)


def read_all(name: str, seed: int, files: int, folder: Path) -> Counter[str]:
    """Return how often each outcome came of the damaged files of a format; faults are also printed one by one."""
    counts: Counter[str] = Counter()
    (folder / "whole").mkdir()
    make_whole(folder / "whole", name)
    trial = 0
    while trial < files:
        command = [sys.executable, __file__, "--work", name, str(trial), str(files), str(folder), "--seed", str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            for outcome in outcomes(process):
                counts[outcome.partition(":")[0]] += 1
                if outcome.partition(":")[0] in FAULTS:
                    print(f"  --trial {name} {trial} --seed {seed}: {outcome}", flush=True)
                trial += 1
            process.kill()
    return counts


def outcomes(process: subprocess.Popen[str]) -> Iterator[str]:
    """Yield what the process says of each file; it may say nothing for so long only."""
    assert process.stdout is not None
    begun = False
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(SECONDS if begun else 120):
                yield "longer than 10 s"
                return
            line = process.stdout.readline().strip()
            if not line:
                if begun or process.wait() != 0:
                    yield f"end of the process: status {process.wait()}"
                return
            if line != "begin":
                yield line
            begun = line == "begin"


def main(argv: Sequence[str] | None = None) -> int:
    """Damage and read files of the formats, print a table, and return 1 if there was a fault."""
    args = parse(argv)
    if args.work:
        work(args.work[0], args.seed, int(args.work[1]), int(args.work[2]), Path(args.work[3]))
        return 0
    if args.trial:
        return repeat(args.trial[0], int(args.trial[1]), args.seed)
    rows: dict[str, Counter[str]] = {}
    start = time.monotonic()
    for i, name in enumerate(args.formats):
        share = args.files * (i + 1) // len(args.formats) - args.files * i // len(args.formats)
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = read_all(name, args.seed, share, Path(folder))
        print(f"{name:14} {', '.join(f'{n} {what}' for what, n in sorted(rows[name].items()))}", flush=True)
    total = sum(rows.values(), Counter())
    faults = sum(total[fault] for fault in FAULTS)
    print(f"{total.total()} files in {time.monotonic() - start:.0f} s: {dict(total)}; faults: {faults}")
    if args.json:
        args.json.write_text(json.dumps({name: dict(row) for name, row in rows.items()}, indent=1), encoding="utf-8")
    return 1 if faults else 0


def repeat(name: str, trial: int, seed: int) -> int:
    """Read one damaged file in this process, where an exception shows its traceback."""
    with tempfile.TemporaryDirectory() as folder:
        whole = make_whole(Path(folder), f"{name}")
        path = Path(folder) / "again" / name
        path.parent.mkdir()
        make_damaged(whole, path, seed, trial)
        try:
            print(read_any(path))
        except Exception:
            traceback.print_exc()
            return 1
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=3000, help="how many in all formats together")
    parser.add_argument("--formats", nargs="+", choices=tuple(MAKERS), default=list(MAKERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the counts")
    parser.add_argument("--trial", nargs=2, metavar=("NAME", "NUMBER"), help="read one of them again")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
