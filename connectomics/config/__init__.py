"""Floor 1: typed settings. Needs neither torch nor numpy, so that a typo is reported in a fraction of a second."""

from connectomics.config.load import (
    as_plain,
    dump_config,
    dump_stages,
    fold_settings,
    load_config,
    load_configs,
    load_tuned,
)
from connectomics.config.schema import STAGES, Config

__all__ = [
    "STAGES",
    "Config",
    "as_plain",
    "dump_config",
    "dump_stages",
    "fold_settings",
    "load_config",
    "load_configs",
    "load_tuned",
]
