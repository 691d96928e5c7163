"""Which files about objects a test writes beside the prediction and the mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from connectomics.config.decoding import EvaluationConfig
from connectomics.reports.parquet import require_pyarrow


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is written; nothing of it where results are not saved."""

    synapses: bool
    """Tables of what was found and annotated."""
    parquet: bool
    """The tables as Parquet as well."""
    instances: bool
    """The ids of the objects."""
    report: bool
    """The page."""
    by_slabs: bool | None
    """Whether objects and scores come from slabs of a volume; None where its labels do not fit into the memory."""

    @classmethod
    def of(cls, evaluation: EvaluationConfig, saved: bool) -> Self:
        """Return what the settings ask for, where results are saved.

        Raises:
            ConfigError: If Parquet is asked for and cannot be written.
        """
        synapses = evaluation.synapses and saved
        if synapses and evaluation.parquet:
            require_pyarrow()
        return cls(
            synapses, synapses and evaluation.parquet, evaluation.instances and saved, evaluation.report and saved,
            evaluation.by_slabs,
        )  # fmt: skip

    @property
    def need_objects(self) -> bool:
        """Whether any of it looks at the objects of a whole volume."""
        return self.synapses or self.instances or self.report
