"""Several processes on one machine (gloo) do what one process with as large batches does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from connectomics.training.checkpoints import is_finite
from connectomics.volumes.write import write_volume
from tests.runs.reading import only_run, scalars, tags
from tests.small_run import write_pair

ROOT = Path(__file__).parents[2]
# Without batch statistics, and with a mean over voxels for a loss, the mean of two gradients is that of both batches.
COMPARABLE = [
    "model.rsunet.norm=instance",
    "model.loss.losses=[{function: WeightedBCEWithLogitsLoss}]",
    "optimization.gradient_clip_val=0",
]


def train(small: Path, folder: Path, *overrides: str) -> Path:
    command = [
        sys.executable,
        "scripts/main.py",
        "--config",
        str(small),
        f"save_path={folder}",
        *COMPARABLE,
        *overrides,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained 6 steps") == 1, "only the first process speaks"
    return only_run(folder)


def test_two_processes_train_what_one_does(small: Path, tmp_path: Path) -> None:
    one = train(small, tmp_path / "one", "data.dataloader.batch_size=2")
    two = train(small, tmp_path / "two", "data.dataloader.batch_size=1", "system.num_processes=2")
    ours, theirs = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (two, one))
    torch.testing.assert_close(ours["state_dict"], theirs["state_dict"], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ours["ema"]["weights"], theirs["ema"]["weights"], rtol=1e-3, atol=1e-4)
    assert list(scalars(two, "val_jaccard")) == list(scalars(one, "val_jaccard"))


SPOILT = """
import math, os, sys
from connectomics.runs.cli import main
from connectomics.training.module import SegmentationModule
usual = SegmentationModule.training_step
def spoilt(self, batch, batch_idx):
    if os.environ.get("LOCAL_RANK") == "1" and self.trainer.global_step >= int(os.environ["SPOILT_FROM"]):
        batch["image"][0, 0, 0, 0, 0] = math.nan
    return usual(self, batch, batch_idx)
SegmentationModule.training_step = spoilt
sys.exit(main())
"""


def test_what_spoils_a_step_of_one_process_is_skipped_by_all(small: Path, tmp_path: Path) -> None:
    script = tmp_path / "spoilt.py"
    script.write_text(SPOILT)
    command = [sys.executable, str(script), "--config", str(small), "system.num_processes=2",
               "optimization.max_steps=40", "optimization.max_skipped_steps=3"]  # fmt: skip
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "SPOILT_FROM": "4"}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert "steps skipped in a row: 3" in done.stderr
    assert "good checkpoint is of step 3: " in done.stderr
    last = torch.load(only_run(small.parent / "runs") / "checkpoints" / "last.ckpt", weights_only=True)
    assert is_finite(last)


# Normalised within a patch, so that it does not matter in which part of a batch a patch lies. Dice is a mean over
# patches, cross-entropy one over annotated voxels, whose number differs from patch to patch.
EXACT = [
    "model.rsunet.norm=group",
    "model.rsunet.num_groups=2",
    "data.data_transform.pad_mode=constant",
    "monitor.logging.scalar.max_cremi_patches=3",
    "monitor.checkpoint.save_every_n_epochs=1",
    "data.dataloader.reject_sampling={size_thres: 5, p: 0.5}",
    "decoding.threshold=0.4",
]


@pytest.fixture(scope="module")
def partly_annotated(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the settings of two volumes for training and one for validation, whose masks leave out a part."""
    folder = tmp_path_factory.mktemp("masked")
    shapes = {"one": (6, 30, 34), "two": (7, 40, 24), "val": (9, 44, 40)}
    masks = []
    for seed, (name, shape) in enumerate(shapes.items()):
        write_pair(folder, name, shape, seed)
        mask = np.random.default_rng(seed).random(shape) < np.linspace(0.2, 1, shape[2])
        mask[5:, 20:] = False
        masks.append(str(folder / f"mask_{name}.h5"))
        write_volume(folder / f"mask_{name}.h5", mask.astype(np.uint8), {"resolution": np.array([40.0, 4.0, 4.0])})
    return [
        *(f"data.train.{kind}=[{folder / f'{short}_one.h5'}, {folder / f'{short}_two.h5'}]"
          for kind, short in (("image", "im"), ("label", "syn"), ("mask", "mask"))),
        *(f"data.val.{kind}=[{folder / f'{short}_val.h5'}]"
          for kind, short in (("image", "im"), ("label", "syn"), ("mask", "mask"))),
    ]  # fmt: skip


def start(arguments: list[str], script: str = "scripts/main.py", **environment: str) -> subprocess.Popen[str]:
    known = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    return subprocess.Popen(
        [sys.executable, script, *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**known, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def numbers_and_curves(run: Path) -> list[np.ndarray]:
    """Return step and value of every number that was logged, and the curves of precision over recall."""
    events = EventAccumulator(str(run / "logs"))
    events.Reload()
    found = tags(run)
    numbers = [np.array(list(scalars(run, tag).items())) for tag in sorted(found["scalars"])]
    return numbers + [tensor_util.make_ndarray(e.tensor_proto) for tag in found["tensors"] for e in events.Tensors(tag)]


def pictures(run: Path) -> list[np.ndarray]:
    """Return the pictures that were logged, uint8."""
    events = EventAccumulator(str(run / "logs"), size_guidance={"images": 0})
    events.Reload()
    files = [event.encoded_image_string for tag in sorted(tags(run)["images"]) for event in events.Images(tag)]
    return [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR) for file in files]


def test_every_number_is_the_same_on_every_process_however_many_there_are(
    small: Path, tmp_path: Path, partly_annotated: list[str]
) -> None:
    logged, shown, known = {}, {}, []
    for count in (1, 2, 3):
        numbers, runs = tmp_path / f"numbers_{count}", tmp_path / f"runs_{count}"
        numbers.mkdir()
        shares = [f"data.dataloader.batch_size={6 // count}", f"system.num_processes={count}", f"save_path={runs}"]
        arguments = ["--config", str(small), *EXACT, *partly_annotated, *shares]
        finish(start(arguments, "tests/runs/each_rank.py", NUMBERS=str(numbers)))
        known += [json.loads((numbers / f"{rank}.json").read_text()) for rank in range(count)]
        logged[count], shown[count] = numbers_and_curves(only_run(runs)), pictures(only_run(runs))
    assert len(known) == 6
    for numbers in known[1:]:
        assert numbers == pytest.approx(known[0], rel=2e-4, nan_ok=True)
    for ranks in (known[1:3], known[3:]):
        assert all(numbers == ranks[0] for numbers in ranks)
    assert {"train_loss_total_epoch", "val_loss_total", "val_jaccard", "val_cremi_distance"} <= known[0].keys()
    assert known[0]["val_cremi_distance"] > 0
    for count in (2, 3):
        for ours, theirs in zip(logged[count], logged[1], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-5)
        assert len(shown[count]) == 4
        for ours, theirs in zip(shown[count], shown[1], strict=True):
            np.testing.assert_allclose(ours.astype(int), theirs.astype(int), atol=2)


def test_validation_does_not_depend_on_the_batch_size(small: Path, tmp_path: Path, partly_annotated: list[str]) -> None:
    """At the first step the weights are those of the seed; the numbers of a validation are of them."""
    found = []
    for size in (1, 4):
        runs = tmp_path / f"runs_{size}"
        arguments = ["--config", str(small), *EXACT, *partly_annotated, f"data.dataloader.batch_size={size}",
                     f"save_path={runs}", "optimization.optimizer.lr=1e-12", "optimization.scheduler.min_lr=0",
                     "optimization.optimizer.weight_decay=0"]  # fmt: skip
        finish(start(arguments))
        run = only_run(runs)
        found.append([scalars(run, tag) for tag in sorted(tags(run)["scalars"]) if tag.startswith("val_")])
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=1e-5, nan_ok=True)


def test_train_tune_and_test_run_to_the_end_when_they_are_started_twice(small: Path, tmp_path: Path) -> None:
    two = ["system.num_gpus=0", "system.num_processes=2"]
    told = finish(start(["--config", str(small), *two, "data.dataloader.batch_size=1"]))
    assert told.count("trained 6 steps") == 1
    run = only_run(small.parent / "runs")
    last = str(run / "checkpoints" / "last.ckpt")
    results = {}
    for mode in ("tune", "test"):
        arguments = ["--config", str(small), "--mode", mode, "--checkpoint", last, *two]
        finish(start(arguments))
        results[mode] = {path.name: path.stat().st_mtime_ns for path in (run / "results").iterdir()}
        for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):  # started by torchrun, by srun, or by Lightning
            second = start(arguments, **{name: "1", "WORLD_SIZE": "2"})
            assert finish(second) == ""
        after = {path.name: path.stat().st_mtime_ns for path in (run / "results").iterdir()}
        assert after == results[mode]
    assert {"metrics.json", "tuned.yaml"} <= results["test"].keys()


def test_what_a_cluster_starts_otherwise_than_asked_is_one_line(small: Path) -> None:
    process = start(["--config", str(small)], SLURM_JOB_ID="77", SLURM_NTASKS="2", SLURM_PROCID="0")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "SLURM_NTASKS is 2, but srun did not start this program" in err
    assert err.count("\n") == 1
    assert not (small.parent / "runs").exists()


def test_one_task_of_slurm_starts_the_other_processes_itself(small: Path) -> None:
    """What srun tells a task of its own, and what sbatch tells the job's script."""
    for told in ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_ID": "0"}, {}):
        task = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
        folder = small.parent / f"runs_{len(told)}"
        arguments = ["--config", str(small), "system.num_processes=2", f"save_path={folder}"]
        said = finish(start([*arguments, "optimization.max_steps=2"], **task, **told))
        assert "on 2 x cpu" in said
        assert (only_run(folder) / "checkpoints" / "last.ckpt").exists()


def test_tasks_of_srun_share_a_training(small: Path) -> None:
    """`srun --ntasks=2`, as it tells its tasks; `tests/slurm` has the real one."""
    tasks = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "2", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2",
             "SLURM_STEP_NUM_NODES": "1"}  # fmt: skip
    arguments = ["--config", str(small), "system.num_processes=2", "optimization.max_steps=2"]
    both = [start(arguments, **tasks, SLURM_PROCID=rank, SLURM_LOCALID=rank) for rank in "01"]
    assert [finish(process).count("trained 2 steps") for process in both] == [1, 0]
    assert only_run(small.parent / "runs").name == "slurm_77"


def test_a_training_that_torchrun_starts_has_one_folder(small: Path) -> None:
    torchrun = ["--standalone", "--nproc-per-node=2", "scripts/main.py"]
    process = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *torchrun, "--config", str(small), "system.num_processes=2"],
        cwd=ROOT, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert (only_run(small.parent / "runs") / "checkpoints" / "last.ckpt").exists()
