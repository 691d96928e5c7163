"""The page compares with the ids that the metrics compare with."""

import numpy as np

from connectomics.config.decoding import DecodingConfig
from connectomics.decoding import DECODERS
from connectomics.runs.report import as_numbered
from connectomics.volumes.source import ArraySource

SPACING = (40.0, 8.0, 8.0)


def classes_of_two_synapses() -> np.ndarray:
    classes = np.zeros((3, 40, 60), np.uint8)
    for left in (5, 40):
        classes[:, 10:30, left : left + 5], classes[:, 10:30, left + 5 : left + 10] = 1, 2
    return classes


def test_a_label_of_classes_is_shown_with_its_synapses_numbered() -> None:
    label = ArraySource.of(classes_of_two_synapses(), SPACING)
    shown = as_numbered(label, DECODERS["polarity2instance"], DecodingConfig(name="polarity2instance"))
    ids = shown.read_all()[0]
    assert np.unique(ids).tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(np.where(ids > 0, 2 - ids % 2, 0), classes_of_two_synapses())
    assert shown.info.spacing_nm == SPACING


def test_a_label_of_clefts_is_shown_from_its_file() -> None:
    label = ArraySource.of(classes_of_two_synapses(), SPACING)
    assert as_numbered(label, DECODERS["threshold"], DecodingConfig()) is label
