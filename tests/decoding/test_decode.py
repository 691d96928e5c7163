import numpy as np
import pytest

from connectomics.config.decoding import DecodingConfig
from connectomics.decoding import decode
from connectomics.errors import ConfigError


def test_a_probability_at_the_threshold_is_a_cleft() -> None:
    probability = np.array([[[[0.0, 0.29999, 0.3, 1.0]]]], np.float32)
    mask = decode(probability, DecodingConfig(threshold=0.3))
    assert mask.tolist() == [[[0, 0, 1, 1]]]
    assert mask.dtype == np.uint8


def test_the_mask_is_that_of_the_first_channel() -> None:
    probability = np.stack([np.full((2, 3, 4), 0.2), np.full((2, 3, 4), 0.9)]).astype(np.float32)
    assert not decode(probability, DecodingConfig()).any()


def test_an_unknown_decoder_is_named_with_the_close_match() -> None:
    with pytest.raises(ConfigError, match="did you mean 'threshold'"):
        decode(np.zeros((1, 1, 1, 1), np.float32), DecodingConfig(name="treshold"))
