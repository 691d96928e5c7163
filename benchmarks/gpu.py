"""All that is to be known of a GPU, in one command that ends in time: for a machine that can be had for minutes.

    python benchmarks/gpu.py --minutes 9 --out DIR [--data FOLDER]     # one GPU; FOLDER has im_*train*.h5, syn_*, val
    python benchmarks/gpu.py --device cpu --tiny                       # the same in miniature, in about a minute

Five stages: (a) is it right, (b) the training step, (c) the loader, (d) inference and test mode, (e) a real training.
Every row is written as soon as it is known, to `gpu.json` and `gpu.md`; a stage that fails says why, and the next goes
on. The status is 1 if a stage failed or something checked is not good.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.gpu_stages.bench import FULL, TINY, Bench, Report, Row
from benchmarks.gpu_stages.correct import check
from benchmarks.gpu_stages.loading import load
from benchmarks.gpu_stages.predicting import predict
from benchmarks.gpu_stages.real import learn
from benchmarks.gpu_stages.steps import time_steps
from connectomics.config.system import SystemConfig
from connectomics.files import write_text
from connectomics.training.devices import begin_on, choose_devices

STAGES: dict[str, tuple[Callable[[Bench, Report], None], float]] = {
    "a: is it right": (check, 0.2),
    "b: training step": (time_steps, 0.25),
    "c: loader": (load, 0.12),
    "d: inference": (predict, 0.28),
    "e: training": (learn, 0.15),
}
"""Each stage, and its share of the time; what one leaves over goes to those after it."""


class OutOfTime(BaseException):
    """A stage took longer than it may; not an `Exception`, so that nothing on the way answers it."""


class Results:
    """The tables of all stages, on disk after every row."""

    def __init__(self, out: Path, about: str) -> None:
        self._out, self._about = out, about
        self.stages: dict[str, dict[str, Any]] = {}

    def begin(self, stage: str) -> Report:
        """Return what takes the rows of a stage."""
        self.stages[stage] = {"rows": [], "seconds": None, "error": None}

        def report(row: Row) -> None:
            self.stages[stage]["rows"].append(row)
            print(f"{stage[0]}: " + ", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            self.write()

        return report

    def end(self, stage: str, seconds: float, error: str | None) -> None:
        """Note how a stage ended."""
        self.stages[stage] |= {"seconds": round(seconds, 1), "error": error}
        print(f"{stage}: {seconds:.1f} s" + (f"; {error}" if error else ""), flush=True)
        self.write()

    def write(self) -> None:
        """Write both files, whole."""
        whole = {"about": self._about, "stages": self.stages}
        write_text(self._out / "gpu.json", json.dumps(whole, indent=2, default=str) + "\n")
        write_text(self._out / "gpu.md", f"# {self._about}\n" + "".join(map(_table, self.stages, self.stages.values())))

    @property
    def is_good(self) -> bool:
        """Whether no stage failed and nothing that was checked is wrong."""
        rows = [row for stage in self.stages.values() for row in stage["rows"]]
        return all(s["error"] is None for s in self.stages.values()) and all(row.get("good", True) for row in rows)


def _table(name: str, stage: dict[str, Any]) -> str:
    keys = list(dict.fromkeys(key for row in stage["rows"] for key in row))
    lines = [keys, ["---"] * len(keys), *([_cell(row.get(key)) for key in keys] for row in stage["rows"])]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines) if keys else ""
    failed = f"\nFailed: {_cell(stage['error'])}\n" if stage["error"] else ""
    took = "running" if stage["seconds"] is None else f"{stage['seconds']} s"
    return f"\n## {name} ({took})\n\n{table}{failed}"


def _cell(value: object) -> str:
    return "" if value is None else " ".join(str(value).split()).replace("|", "/")


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End what runs inside after so many seconds."""

    def over(signum: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(0.1, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_stage(results: Results, name: str, stage: Callable[[Bench, Report], None], bench: Bench) -> None:
    """Run one stage; what goes wrong is written down, and it ends soon after its deadline at the latest."""
    begun, error = time.monotonic(), None
    report = results.begin(name)
    try:
        with _limited(bench.left + 5):
            stage(bench, report)
    except OutOfTime:
        error = "took longer than it may, and was ended"
    except Exception as failure:  # whatever it is, the stages after it are worth their minutes
        traceback.print_exc()
        error = f"{type(failure).__name__}: {failure}"
    results.end(name, time.monotonic() - begun, error)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="all stages together (default: 9)")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="in miniature: shows that it runs, measures nothing")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "gpu_results")), metavar="DIR")
    parser.add_argument("--data", type=Path, metavar="DIR", help="real volumes for stage e")
    parser.add_argument("--stages", default="abcde", help="only these, such as bd")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stages."""
    args = parse(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        print("error: torch sees no GPU here; --device cpu --tiny tries the script in miniature", file=sys.stderr)
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda", 0) if args.device == "cuda" else torch.device("cpu")
    card = torch.cuda.get_device_name(device) if args.device == "cuda" else "a CPU"
    begin_on(choose_devices(SystemConfig(num_gpus=int(args.device == "cuda"))), "32-true")  # float32 is no TF32
    results = Results(args.out, f"{card}, torch {torch.__version__}{', in miniature' if args.tiny else ''}")
    end, wanted = time.monotonic() + args.minutes * 60, [name for name in STAGES if name[0] in args.stages]
    with tempfile.TemporaryDirectory() as folder:
        for i, name in enumerate(wanted):
            stage, share = STAGES[name]
            left = sum(STAGES[later][1] for later in wanted[i:])
            deadline = time.monotonic() + (end - time.monotonic()) * share / left
            data = None if args.data is None else args.data.resolve()
            bench = Bench(device, TINY if args.tiny else FULL, deadline, Path(folder), data)
            run_stage(results, name, stage, bench)
    print(f"results are in {args.out / 'gpu.md'}")
    return 0 if results.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
