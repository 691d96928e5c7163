from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zarr

from connectomics.config.schema import Config
from connectomics.data.datamodule import VolumesDataModule
from connectomics.data.datasets import Sample
from connectomics.errors import UserError
from connectomics.geometry import ZYX
from tests.building import data_of
from tests.data.conftest import SPACING, enable_all, random_volume, write_h5

MakeConfig = Callable[..., Config]

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


def ready(config: Config) -> VolumesDataModule:
    data = data_of(config)
    data.setup("fit")
    return data


def first_batches(config: Config, count: int = 4) -> list[Sample]:
    return list(islice(ready(config).train_dataloader(), count))


def assert_same(first: list[Sample], second: list[Sample]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        for name in ("image", "label", "valid"):
            torch.testing.assert_close(one[name], other[name], rtol=0, atol=0)


def test_a_batch_holds_image_label_and_valid(make_config: MakeConfig) -> None:
    validation = next(iter(ready(make_config(val=True)).val_dataloader()))
    of_validation = {"spacing_nm": ((2, 3), torch.float32), "number": ((2,), torch.int64)}
    for batch, more in ((first_batches(make_config())[0], {}), (validation, of_validation)):
        assert {name: (tuple(part.shape), part.dtype) for name, part in batch.items()} == {
            "image": ((2, 1, 4, 16, 16), torch.float32),
            "label": ((2, 1, 4, 16, 16), torch.float32),
            "valid": ((2, 1, 4, 16, 16), torch.bool),
            **more,
        }
        assert 0 <= batch["image"].min() < 0.1
        assert 0.9 < batch["image"].max() <= 1


def test_samples_do_not_depend_on_the_number_of_workers(make_config: MakeConfig) -> None:
    config = make_config((10, 40, 50), (8, 30, 70))
    enable_all(config)
    config.data.dataloader.reject_sampling.size_thres, config.data.dataloader.reject_sampling.p = 20, 0.9
    alone = first_batches(config)
    for workers in (1, 3):
        config.system.num_workers = workers
        assert_same(alone, first_batches(config))


def test_the_seed_decides(make_config: MakeConfig) -> None:
    config = make_config()
    first = first_batches(config)[0]
    config.system.seed += 1
    assert not torch.equal(first["image"], first_batches(config)[0]["image"])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
def test_volumes_read_lazily_give_the_same_samples(make_config: MakeConfig, workers: int, pad_mode: str) -> None:
    config = make_config((10, 40, 50), (9, 33, 71), val=True)
    enable_all(config)
    config.data.data_transform.pad_size, config.data.data_transform.pad_mode = (1, 8, 8), pad_mode
    preloaded = first_batches(config), list(ready(config).val_dataloader())
    config.system.num_workers = workers
    dataloader = config.data.dataloader
    dataloader.use_preloaded_cache_train = dataloader.use_preloaded_cache_val = False
    assert_same(preloaded[0], first_batches(config))
    assert_same(preloaded[1], list(ready(config).val_dataloader()))


def test_a_zarr_store_is_read_lazily_by_several_workers(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config()
    from_memory = first_batches(config)
    for kind, voxels in zip(("image", "label"), random_volume((10, 40, 50)), strict=True):
        array = zarr.open_group(str(tmp_path / f"{kind}.zarr"), mode="w").create_array(
            "main", shape=voxels.shape, dtype=voxels.dtype, chunks=(4, 16, 16)
        )
        array[:] = voxels
        array.attrs["resolution"] = list(SPACING)
    config.data.train.image = [str(tmp_path / "image.zarr")]
    config.data.train.label = [str(tmp_path / "label.zarr")]
    config.data.dataloader.use_preloaded_cache_train = False
    config.system.num_workers = 2
    assert_same(from_memory, first_batches(config))


def test_a_mask_keeps_patches_and_the_loss_inside(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config((10, 40, 50))
    mask = np.zeros((10, 40, 50), np.uint8)
    mask[:, :, :30] = 1
    config.data.train.mask = [write_h5(tmp_path / "mask.h5", mask)]
    shares = [float(b["valid"][i].float().mean()) for b in first_batches(config, 5) for i in range(2)]
    assert min(shares) > 0.5
    assert min(shares) < 1


def test_patches_reach_outside_by_the_padding_only(make_config: MakeConfig) -> None:
    config = make_config((4, 18, 18))
    config.data.data_transform.pad_size, config.data.data_transform.pad_mode = (0, 3, 0), "constant"
    outside = [(~b["valid"][i, 0]).all(dim=(0, 2)).sum() for b in first_batches(config, 20) for i in range(2)]
    assert max(outside) == 3
    assert all((b["image"][~b["valid"]] == 0).all() for b in first_batches(config, 20))


def test_validation_covers_its_volumes_once_and_stays_the_same(make_config: MakeConfig) -> None:
    config = make_config((10, 40, 50), (8, 32, 33), val=True)
    enable_all(config)
    loader = ready(config).val_dataloader()
    windows = [image for batch in loader for image in batch["image"]]
    assert len(windows) == 2 * 2 * 3
    image, _ = random_volume((8, 32, 33), seed=1)
    np.testing.assert_allclose(windows[0][0], image[:4, :16, :16] / np.float32(255), atol=1e-6)
    np.testing.assert_allclose(windows[-1][0], image[4:, 16:, 17:] / np.float32(255), atol=1e-6)
    assert_same(list(loader), list(ready(config).val_dataloader()))
    config.data.dataloader.max_val_patches = 5
    assert sum(len(batch["image"]) for batch in ready(config).val_dataloader()) == 5


class OneOfSeveral(SimpleNamespace):
    """Stands for the trainer of one process of several."""

    num_devices = 1


def share(config: Config, rank: int, world_size: int) -> list[Sample]:
    data = ready(config)
    data.trainer = OneOfSeveral(global_rank=rank, world_size=world_size)  # type: ignore[assignment]
    return list(data.val_dataloader())


def write_validation(config: Config, folder: Path, mask: np.ndarray, pad: int = 0) -> None:
    """Make the validation volume one whose label is framed by `pad` voxels that nobody annotated."""
    image, label = (np.pad(one, pad) for one in random_volume((10, 40, 50), seed=1))
    val = config.data.val
    for kind, voxels in (("image", image), ("label", label), ("mask", np.pad(mask, pad))):
        setattr(val, kind, [write_h5(folder / f"val_{kind}_{pad}.h5", voxels)])


@pytest.mark.parametrize("shape", [(10, 40, 50), (3, 16, 33)])
@pytest.mark.parametrize("preload", [True, False])
def test_every_annotated_voxel_of_the_validation_counts_once(
    make_config: MakeConfig, shape: ZYX, preload: bool
) -> None:
    config = make_config((10, 40, 50), shape, val=True)
    config.data.dataloader.use_preloaded_cache_val = preload
    config.data.data_transform.pad_size = (1, 8, 8)
    _, label = random_volume(shape, seed=1)
    batches = list(ready(config).val_dataloader())
    assert sum(int(batch["valid"].sum()) for batch in batches) == label.size
    assert sum(int((batch["label"] * batch["valid"]).sum()) for batch in batches) == (label > 0).sum()


def test_windows_are_chosen_among_those_that_hold_annotated_voxels(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(val=True)
    mask = np.zeros((10, 40, 50), np.uint8)
    mask[2:7, 5:30, 20:] = 1
    for pad in (0, 21):
        write_validation(config, tmp_path, mask, pad)
        for most in (None, 3):
            config.data.dataloader.max_val_patches = most
            counts = [int(part.sum()) for batch in ready(config).val_dataloader() for part in batch["valid"]]
            assert min(counts) > 0
            assert len(counts) == 3 if most else sum(counts) == mask.sum()


def test_a_validation_where_nothing_is_annotated_is_told(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(val=True)
    write_validation(config, tmp_path, np.zeros((10, 40, 50), np.uint8))
    with pytest.raises(UserError, match=r"data\.val: no voxel .* is annotated"):
        ready(config)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5, 40])
def test_processes_share_the_validation_and_count_nothing_twice(make_config: MakeConfig, world_size: int) -> None:
    config = make_config((10, 40, 50), (8, 32, 33), val=True)
    alone = dict(enumerate(image for batch in share(config, 0, 1) for image in batch["image"]))
    shares = [share(config, rank, world_size) for rank in range(world_size)]
    assert len({len(batches) for batches in shares}) == 1
    seen = [
        (int(batch["number"][i]), batch["image"][i], int(batch["valid"][i].sum()))
        for batches in shares for batch in batches for i in range(len(batch["image"]))
    ]  # fmt: skip
    counted = {number: image for number, image, _ in seen if number >= 0}
    assert sorted(number for number, *_ in seen if number >= 0) == sorted(alone)
    assert all(torch.equal(image, alone[number]) for number, image in counted.items())
    assert all((valid > 0) == (number >= 0) for number, _, valid in seen)
    assert sum(valid for *_, valid in seen) == 8 * 32 * 33


def test_weights_of_the_volumes_reach_the_sampler(make_config: MakeConfig) -> None:
    config = make_config((10, 40, 50), (8, 30, 70))
    config.data.dataloader.volume_weights = [0.0, 1.0]
    patches = ready(config).training_patches()
    assert {patches.sampler.draw(np.random.default_rng(n))[0] for n in range(20)} == {1}


def test_a_volume_thinner_than_a_patch_is_padded_for_validation(make_config: MakeConfig) -> None:
    config = make_config((10, 40, 50), (3, 32, 32), val=True)
    config.data.data_transform.pad_size = (1, 0, 0)
    assert len(list(ready(config).val_dataloader())) == 2


def test_without_validation_volumes_there_is_no_loader(make_config: MakeConfig) -> None:
    assert ready(make_config()).val_dataloader() == []


def slips(config: Config) -> Iterator[tuple[str, Callable[[], None]]]:
    data = config.data

    def small() -> None:
        data.dataloader.patch_size = (12, 16, 16)

    def absent() -> None:
        data.train.image = [data.train.image[0].replace("im_0", "im_9")]

    def channels() -> None:
        config.model.in_channels = 2

    def unlabelled() -> None:
        data.train.label = []

    def unknown() -> None:
        data.target.type = "cleftt"

    yield "pad_size.* does not fit: take smaller patches or a larger pad_size", small
    yield "data.train.image.*does not exist; did you mean 'im_0.h5'", absent
    yield "model.in_channels is 2", channels
    yield "data.train.label names no file", unlabelled
    yield "data.target.type is 'cleftt'.*did you mean 'cleft'", unknown


@pytest.mark.parametrize("number", range(5))
def test_a_slip_is_told_in_one_line_before_a_voxel_is_read(make_config: MakeConfig, number: int) -> None:
    config = make_config()
    message, slip = list(slips(config))[number]
    slip()
    with pytest.raises(UserError, match=message) as caught:
        data_of(config)
    assert "\n" not in str(caught.value)


def test_a_threshold_that_nothing_reaches_is_told_when_the_volumes_are_read(make_config: MakeConfig) -> None:
    config = make_config()
    config.data.dataloader.reject_sampling.size_thres, config.data.dataloader.reject_sampling.p = 1000, 0.95
    with pytest.raises(UserError, match=r"the largest count found is [1-9]"):
        data_of(config).setup("fit")
