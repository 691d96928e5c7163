"""The plan fits the network, the volumes and the machine, whatever they are."""

from dataclasses import replace
from math import prod
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.config import load_config, load_configs
from connectomics.errors import VolumeError
from connectomics.planning.facts import CleftFacts, ImageFacts
from connectomics.planning.machine import Machine
from connectomics.planning.oddities import find_oddities
from connectomics.planning.settings_file import Named, write_settings
from connectomics.planning.training_plan import make_plan, plan_course, spend
from connectomics.runs.assemble import require_divisible

IMAGE = ImageFacts("im.h5:/main", (60, 1200, 1300), (40, 4, 4), "uint8", (20, 120, 220), 0.0, (), 200)
CLEFTS = CleftFacts("syn.h5:/main", 10**8, 0.01, (200, 900, 1000, 1100, 1500, 4000), 9.0, whole=True)
CPU, GPU = Machine(2, 24.0), Machine(16, 128.0, (("H100", 79.0),))


def test_a_cleft_keeps_three_pixels_on_a_cpu_and_four_on_a_gpu() -> None:
    assert make_plan([IMAGE], [CLEFTS], CPU).pooling == (1, 3, 3)
    assert make_plan([IMAGE], [CLEFTS], GPU).pooling == (1, 2, 2)
    assert make_plan([IMAGE], [replace(CLEFTS, thickness_px=4.0)], CPU).pooling == (1, 1, 1)


def test_without_a_label_a_cleft_is_taken_to_be_as_thick_as_usual() -> None:
    assert make_plan([replace(IMAGE, spacing_nm=(40, 12, 12))], [], CPU).pooling == (1, 1, 1)
    assert make_plan([IMAGE], [], CPU).pooling == (1, 3, 3)


def test_sections_much_thicker_than_pixels_are_never_merged() -> None:
    assert {f[0] for f in make_plan([IMAGE], [CLEFTS], GPU).down_factors} == {1}
    isotropic = replace(IMAGE, shape=(600, 600, 600), spacing_nm=(8, 8, 8))
    assert set(make_plan([isotropic], [CLEFTS], GPU).down_factors) == {(2, 2, 2)}


sizes = st.tuples(st.integers(2, 300), st.integers(20, 3000), st.integers(20, 3000))
spacings = st.tuples(st.sampled_from([8.0, 16.0, 30.0, 50.0]), st.sampled_from([3.0, 4.6, 8.0, 16.0]))
thicknesses = st.floats(1, 40)


@settings(max_examples=200, deadline=None)
@given(sizes, spacings, thicknesses, st.sampled_from([CPU, GPU]))
def test_every_plan_fits_the_network_and_the_volume(
    shape: tuple[int, int, int], spacing: tuple[float, float], thickness: float, machine: Machine
) -> None:
    image = replace(IMAGE, shape=shape, spacing_nm=(spacing[0], spacing[1], spacing[1]))
    plan = make_plan([image], [replace(CLEFTS, thickness_px=thickness)], machine)
    assert all(n % f == 0 for n, f in zip(plan.patch, plan.factor, strict=True))
    learnt = (shape[0] - plan.held_out, shape[1], shape[2])
    room = [n + 2 * p for n, p in zip(learnt, plan.pad, strict=True)]
    assert all(n <= extent for n, extent in zip(plan.patch, room, strict=True))
    assert 1 <= plan.batch <= 16
    assert 1 <= plan.size_thres <= prod(plan.patch)
    assert 1 <= plan.held_out <= shape[0] // 2


@pytest.mark.parametrize(("shape", "spacing"), [((60, 900, 1300), (40, 4, 4)), ((3, 70, 20), (50, 5, 5)),
                                                ((300, 300, 300), (8, 8, 8))])  # fmt: skip
@pytest.mark.parametrize("machine", [CPU, GPU])
def test_every_plan_is_a_file_of_settings(
    tmp_path: Path, shape: tuple[int, int, int], spacing: tuple[float, float, float], machine: Machine
) -> None:
    image = replace(IMAGE, shape=shape, spacing_nm=spacing)
    plan = make_plan([image], [CLEFTS], machine)
    files = Named(("/data/im: 'a'.h5",), ("/data/syn.h5",), (), None)
    path = tmp_path / "mine.yaml"
    text = write_settings("mine", plan, plan_course(1.0, 1.0), files, [image], machine, "Not measured.")
    path.write_text(text, encoding="utf-8")
    configs = load_configs(path)
    for config in configs.values():
        require_divisible(config)
    trained = configs["train"]
    assert trained.data.train.image == ["/data/im: 'a'.h5"]
    assert trained.data.dataloader.patch_size == plan.patch
    assert trained.model.rsunet.input_pooling == plan.pooling
    assert trained.data.val.crop == (f"-{plan.held_out}:", ":", ":")
    assert configs["test"].data.test == configs["tune"].data.val == trained.data.val


@pytest.mark.parametrize("seconds", [0.02, 0.1, 1.0, 20.0])
def test_a_training_takes_the_time_that_there_is(seconds: float) -> None:
    course = plan_course(seconds, hours=10.0)
    assert course.max_steps * seconds <= 10 * 3600 or course.max_steps == 300
    assert course.max_steps <= 150_000
    assert course.min_lr < course.lr
    assert 1 / (1 - course.ema_decay) <= max(51, course.max_steps / 10)
    assert course.n_steps_per_epoch <= course.max_steps


def test_little_time_is_spent_on_many_small_steps() -> None:
    plan = replace(make_plan([IMAGE], [CLEFTS], CPU), batch=6)
    assert spend(plan, 1.0, hours=1.0) == (plan, 1.0)
    smaller, seconds = spend(plan, 1.0, hours=0.1)
    assert (smaller.batch, seconds) == (3, 0.5)
    assert spend(plan, 1.0, hours=0.001)[0].batch == 1


def test_swapped_files_end_the_plan_and_odd_ones_are_told() -> None:
    label_like = replace(IMAGE, empty=0.99, values=3)
    with pytest.raises(VolumeError, match="swapped"):
        find_oddities([label_like], [replace(CLEFTS, share=0.99)])
    with pytest.raises(VolumeError, match="no foreground"):
        find_oddities([IMAGE], [replace(CLEFTS, sizes=(), share=0.0)])
    with pytest.raises(VolumeError, match="both as the image and as its label"):
        find_oddities([IMAGE], [replace(CLEFTS, location=IMAGE.location)])
    assert find_oddities([IMAGE], [CLEFTS]) == []
    assert "named twice" in find_oddities([IMAGE, IMAGE], [CLEFTS])[0]
    assert "inverted" in find_oddities([IMAGE], [replace(CLEFTS, share=0.4)])[0]
    assert "without any contrast: 3, 4" in find_oddities([replace(IMAGE, blank_sections=(3, 4))], [CLEFTS])[0]
    other = replace(IMAGE, location="other", spacing_nm=(50, 4, 4))
    assert "a network learns one" in find_oddities([IMAGE, other], [CLEFTS])[0]


def test_a_tutorial_is_a_base_from_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: syn_cremi.yaml\nexperiment_name: mine\n", encoding="utf-8")
    assert load_config(path).optimization.max_steps == 150_000
    (tmp_path / "syn_cremi.yaml").write_text("train: {optimization: {max_steps: 7}}\n", encoding="utf-8")
    assert load_config(path).optimization.max_steps == 7
