"""All settings, in the order of the YAML file."""

from dataclasses import dataclass, field

from connectomics.config.data import DataConfig
from connectomics.config.decoding import DecodingConfig, EvaluationConfig
from connectomics.config.inference import InferenceConfig
from connectomics.config.model import ModelConfig
from connectomics.config.monitor import MonitorConfig
from connectomics.config.optimization import OptimizationConfig
from connectomics.config.system import SystemConfig

STAGES = ("train", "tune", "test")
"""The modes that may have a section of their own in a file; `default` holds for all of them."""


@dataclass(kw_only=True, slots=True)
class Config:
    """Every setting of one mode, folded, typed and checked: plain attributes, nothing to look up."""

    experiment_name: str = "experiment"
    """Name of the folder of the runs, and title of their results."""
    save_path: str | None = None
    """Folder of the runs; null is `outputs/<experiment_name>`."""
    system: SystemConfig = field(default_factory=SystemConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
