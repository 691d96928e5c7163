"""`connectomics`: one command with a word for each thing that the package does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import connectomics
from connectomics.lookup import suggest
from connectomics.runs import cli
from connectomics.runs.cremi import cli as cremi
from connectomics.stopping import signals_answered

Run = Callable[[Sequence[str], str], int]
"""Takes the arguments behind the word, and how the command is called in its usage; returns the exit status."""


@dataclass(frozen=True, slots=True)
class Command:
    """One word."""

    run: Run
    usage: str
    """What follows the word, as an example."""
    help: str


def program() -> int:
    """Run the command of the command line, as the process that it is, and return the exit status."""
    with signals_answered():
        return main()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    word, rest = (given[0], given[1:]) if given else ("", [])
    if word in ("", "-h", "--help"):
        print(_overview())
        return 0 if word else 2
    if word == "--version":
        print(connectomics.__version__)
        return 0
    if word == "--demo":  # as main.py has it
        word = "demo"
    if word not in COMMANDS:
        print(f"error: {word!r} is not a command{suggest(word, COMMANDS)}\n\n{_overview()}", file=sys.stderr)
        return 2
    return COMMANDS[word].run(rest, f"connectomics {word}")


def predict(argv: Sequence[str] | None = None, prog: str = "predict.py") -> int:
    """Find synapses in images with a trained network, and return the exit status."""
    rest = list(sys.argv[1:] if argv is None else argv)
    if not rest or rest[0] in ("-h", "--help"):
        print(PREDICT_USAGE.format(prog=prog))
        return 0 if rest else 2
    return cli.main(["--mode", "predict", "--checkpoint", *rest], prog)


PREDICT_USAGE = """\
usage: {prog} CHECKPOINT... IMAGE... [--out DIR] [--tuned FILE] [--config FILE] [--restart]
       [--shard I/N | --assemble] [key=value ...]

Find synapses in images with a trained network; no label and no file of settings is needed.

  CHECKPOINT     a .ckpt file, or the folder of a run, which stands for its newest one; of several, which need
                 --out, the mean of their probabilities is taken
  IMAGE          HDF5, Zarr, TIFF, ...; its voxel size is what it states, or data.test.resolution=[z,y,x]
  --out DIR      where results go, instead of into the run
  --tuned FILE   threshold and minimum size that --mode tune found
  --config FILE  settings to follow instead of those that the checkpoint was trained with
  --restart      drop an unfinished prediction that other settings began
  --shard I/N    be process I (0, 1, ...) of about N that predict the volumes together; --assemble writes what they made
  key=value      any setting, such as inference.preset=fast or inference.save_dtype=uint8"""


def _demo(argv: Sequence[str], prog: str) -> int:
    return cli.main(["--demo", *argv], prog)


def _init(argv: Sequence[str], prog: str) -> int:
    return cli.main(["--init", *argv] if argv and argv[0] not in ("-h", "--help") else ["--help"], prog)


def _mode(mode: str) -> Run:
    def run(argv: Sequence[str], prog: str) -> int:
        named = argv[:1] if argv and argv[0].endswith((".yaml", ".yml")) else []
        return cli.main(["--mode", mode, *(["--config", *named] if named else []), *argv[len(named) :]], prog)

    return run


def _evaluate(argv: Sequence[str], prog: str) -> int:
    from connectomics.runs.evaluate import evaluate

    return evaluate(argv, prog)


def _weights(argv: Sequence[str], prog: str) -> int:
    from connectomics.runs.export_weights import export_weights

    return export_weights(argv, prog)


def _view(argv: Sequence[str], prog: str) -> int:
    from connectomics.runs.view import view

    return view(argv, prog)


def _export(argv: Sequence[str], prog: str) -> int:
    from connectomics.runs.export_files import export

    return export(argv, prog)


COMMANDS: Mapping[str, Command] = {
    "demo": Command(_demo, "[NAME]", "train and test on a synthetic volume; needs no data"),
    "init": Command(_init, "IMAGE... --label LABEL... --out my.yaml", "plan a training for your own volumes"),
    "train": Command(_mode("train"), "my.yaml", "train a network"),
    "tune": Command(_mode("tune"), "my.yaml --checkpoint RUN", "find the threshold that scores best"),
    "test": Command(_mode("test"), "my.yaml --checkpoint RUN", "predict volumes with labels, and score them"),
    "predict": Command(predict, "RUN IMAGE... --out DIR", "find synapses in volumes without labels"),
    "evaluate": Command(_evaluate, "PREDICTION LABEL", "score the prediction of any tool"),
    "weights": Command(_weights, "RUN --out DIR", "a network for programs without this package"),
    "view": Command(_view, "RUN", "show results in Neuroglancer"),
    "export": Command(_export, "FILE... --as tiff", "results for Fiji, napari, webKnossos, Neuroglancer"),
    "cremi": Command(cremi.main, "download|prepare|submit", "the challenge's files"),
}
"""The words, in the order of the work."""


def _overview() -> str:
    lines = [f"  {word:9} {one.help}\n{'':12}connectomics {word} {one.usage}" for word, one in COMMANDS.items()]
    return "\n".join(
        [
            "usage: connectomics COMMAND ...",
            "",
            "Find synapses in volume electron microscopy.",
            "",
            *lines,
            "",
            "Any setting is key=value, such as system.num_gpus=4; connectomics COMMAND --help says more.",
        ]
    )
