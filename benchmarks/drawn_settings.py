"""Draw settings at random: each is accepted or refused in a line, and what is accepted tries a step and a window.

python -m benchmarks.drawn_settings --settings 3000 --runs 200 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import yaml

from connectomics.config import Config, as_plain, load_configs
from connectomics.errors import UserError
from connectomics.phantom import make_phantom
from connectomics.runs.cli import main as run
from connectomics.volumes.write import write_volume

NUMBERS = [-1, 0, 1, 2, 3, 4, 8, 16, 18, 100, 0.5, 0.1, 1e-3, 1.5, -0.5, 1e9, 1e30, float("inf"), float("nan")]
ODD = ["", "none", "true", "a b", "../x", "\x1b[31m", "ü", "[", "${system.seed}", "${nowhere}", "0:1", ":"]
LEFT_ALONE = (
    "data.train",
    "data.val",
    "data.test",
    "save_path",
    "experiment_name",
    "model.weights",
    "monitor.logging.loggers",
    "system.num_processes",
    "system.num_workers",
)
"""Settings that name files, programs and processes, which this draws nothing for."""

SMALL: dict[str, Any] = {
    "system": {"num_gpus": 0, "num_workers": 0},
    "model": {"rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}},
    "data": {"dataloader": {"patch_size": [4, 16, 16], "batch_size": 2}, "data_transform": {"pad_size": [0, 2, 2]}},
    "inference": {"precision": "32-true", "window": {"window_size": [4, 16, 16], "sw_batch_size": 2}},
    "optimization": {"max_steps": 2, "n_steps_per_epoch": 2, "precision": "32-true"},
}


def leaves(schema: type, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield full key, type and default of every setting that holds a value."""
    hints = get_type_hints(schema)
    for field in fields(schema):
        hint, full = hints[field.name], f"{key}.{field.name}".lstrip(".")
        inner = next((h for h in (hint, *get_args(hint)) if is_dataclass(h)), None)
        if isinstance(inner, type) and get_origin(hint) is not list:
            yield from leaves(inner, full)
        elif not full.startswith(LEFT_ALONE):
            yield full, hint, as_plain(schema())[field.name]


def draw(hint: Any, default: Any, rng: random.Random) -> Any:
    """Return a value: mostly one of the setting's type, sometimes anything."""
    if rng.random() < 0.15:
        return rng.choice([*NUMBERS, *ODD, None, [], {}, [1, 2], {"a": 1}])
    words = [word for h in (hint, *get_args(hint)) if get_origin(h) is Literal for word in get_args(h)]
    if words:
        return rng.choice(words)
    if isinstance(default, bool):
        return rng.choice([True, False])
    if isinstance(default, int | float):
        return (
            rng.choice([default, default * 2, default / 2, *NUMBERS]) if rng.random() < 0.5 else type(default)(default)
        )
    if isinstance(default, list | tuple) and default and isinstance(default[0], int | float):
        return [rng.choice([one, *NUMBERS[:9]]) for one in default]
    return rng.choice([default, None, *ODD]) if isinstance(default, str | None) else default


def drawn(rng: random.Random, known: Sequence[tuple[str, Any, Any]]) -> dict[str, Any]:
    """Return a few settings, nested as in a file."""
    tree: dict[str, Any] = {}
    for key, hint, default in rng.sample(list(known), rng.choice([1, 1, 2, 3, 5])):
        node = tree
        *above, last = key.split(".")
        for name in above:
            node = node.setdefault(name, {})
        node[last] = draw(hint, default, rng)
    return tree


def make_volumes(folder: Path) -> dict[str, Any]:
    """Write a small phantom, and return the sections that name it."""
    phantom = make_phantom((8, 40, 44), np.random.default_rng(0), synapses_per_um3=60.0)
    size = {"resolution": np.array(phantom.spacing_nm)}
    write_volume(folder / "im.h5", phantom.image, size)
    write_volume(folder / "syn.h5", phantom.label, size)
    named = {"image": [str(folder / "im.h5")], "label": [str(folder / "syn.h5")]}
    return {"train": named, "val": named, "test": named}


def merged(below: Any, above: Any) -> Any:
    """Return two trees as one; the second wins."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: merged(below[key], value) if key in below else value for key, value in above.items()}


def attempt(path: Path, mode: str, checkpoint: Path | None) -> str:
    """Try one batch or a window, and return what came of it."""
    arguments = ["--config", str(path), "--mode", mode, "--fast-dev-run", "1"]
    arguments += [] if checkpoint is None else ["--checkpoint", str(checkpoint)]
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
            status = run(arguments)
    except Exception as error:  # what this looks for
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {where.filename}:{where.lineno}: {error}"
    return {0: "went through", 2: "refused"}.get(status, f"status {status}")


def main() -> int:
    """Draw, load, run some of what was accepted, and print the counts; status 1 if anything else came of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=int, default=300)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, known, begun = random.Random(args.seed), list(leaves(Config)), time.monotonic()
    loaded, steps, windows, odd = Counter[str](), Counter[str](), Counter[str](), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = SMALL | {"data": SMALL["data"] | make_volumes(folder), "save_path": str(folder / "runs")}
        path = folder / "drawn.yaml"
        path.write_text(yaml.safe_dump(base), encoding="utf-8")
        run(["--config", str(path)])
        checkpoint = next((folder / "runs").iterdir())
        for number in range(args.settings):
            tree = drawn(rng, known)
            path.write_text(yaml.safe_dump(merged(base, tree), allow_unicode=True), encoding="utf-8")
            try:
                load_configs(path)
            except UserError as error:
                loaded["refused" if "\n" not in str(error) else "refused in several lines"] += 1
                continue
            except Exception as error:  # what this looks for
                odd.append((number, tree, f"{type(error).__name__}: {error}"))
                continue
            loaded["accepted"] += 1
            if sum(steps.values()) < args.runs:
                for outcomes, mode, weights in ((steps, "train", None), (windows, "test", checkpoint)):
                    outcome = attempt(path, mode, weights)
                    outcomes[outcome if outcome in ("went through", "refused") else "other"] += 1
                    if outcome not in ("went through", "refused"):
                        odd.append((number, tree, f"{mode}: {outcome}"))
    print(f"{dict(loaded)}; steps: {dict(steps)}; windows: {dict(windows)}; {time.monotonic() - begun:.0f} s")
    for number, tree, outcome in odd:
        print(f"{number}: {outcome}\n    {tree}")
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main())
