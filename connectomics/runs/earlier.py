"""Results that a later command would have replaced are kept in `results/earlier/<time>/`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, final

from connectomics.errors import UserError, VolumeError
from connectomics.runs.folder import RunFolder
from connectomics.screen.console import say
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.stage import read_fingerprint
from connectomics.volumes.write import WRITERS

MADE_FROM = "made_from"
"""Attribute of a mask or of instances, and key of a stamp, that identifies what the file was made from."""


def digest(*parts: Any) -> str:
    """Return a short word for plain values: equal for equal ones."""
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


@final
class Keeper:
    """Moves finished results out of the way of new ones; those of one command go into one folder."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._folder: Path | None = None

    def make_way(self, name: str, prediction: Mapping[str, str], mask: str, scores: str) -> None:
        """Move the files of a volume, from the first one on that was made from something else.

        A mask was made from its prediction, everything else from both; so they go together.

        Args:
            name: Name of the volume.
            prediction: The fingerprint of the prediction that is about to be made.
            mask: What the mask is about to be made from.
            scores: What the scores and the instances are about to be made from.
        """
        run, suffixes = self._run, [suffix for suffix, _ in WRITERS.values()]
        predictions = [path for suffix in suffixes if (path := run.prediction(name, suffix)).exists()]
        masks = [path for suffix in suffixes if (path := run.mask(name, suffix)).exists()]
        instances = [path for suffix in suffixes if (path := run.instances(name, suffix)).exists()]
        tables = [run.synapses(name), run.annotated(name)]
        tables += [path.with_suffix(".parquet") for path in tables]
        rest = [run.scores(name), run.picture(name), *tables, *instances]
        if any(not _is_prediction_of(path, prediction) for path in predictions):
            self.keep([*predictions, *masks, *rest])
        elif any(_attribute(path) != mask for path in masks):
            self.keep([*masks, *rest])
        elif any(_attribute(path) != scores for path in instances) or (
            run.scores(name).exists() and stamp_of(run.scores(name)).get(MADE_FROM) != scores
        ):
            self.keep(rest)

    def keep(self, files: Iterable[Path]) -> None:
        """Move the files that exist, and say where they are when the first one goes.

        Raises:
            UserError: If they cannot be moved.
        """
        try:
            for file in files:
                if file.exists():
                    os.replace(file, self._place() / file.name)
        except OSError as error:
            raise UserError(f"{self._run.earlier} cannot be written: {error.strerror or error}") from error

    def _place(self) -> Path:
        if self._folder is None:
            stamp = time.strftime("%Y%m%d_%H%M%S")
            again = (self._run.earlier / (stamp if i == 1 else f"{stamp}.{i}") for i in range(1, 1000))
            self._folder = next(folder for folder in again if not folder.exists())
            self._folder.mkdir(parents=True)
            say(f"what other settings, weights or images had given is kept in {self._folder}")
        return self._folder


def stamp_of(path: Path) -> Mapping[str, Any]:
    """Return the stamp of a file of scores; nothing where there is none that can be read."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["stamp"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _is_prediction_of(path: Path, fingerprint: Mapping[str, str]) -> bool:
    made = read_fingerprint(path)
    return made is not None and made.depends_on == dict(fingerprint)


def _attribute(path: Path) -> Any:
    try:
        return read_attributes(path).get(MADE_FROM)
    except VolumeError:
        return None
