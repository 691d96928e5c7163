"""A file that stands on others, and settings that take the value of another one."""

from pathlib import Path

import pytest

from connectomics.config import dump_config, load_config, load_configs
from connectomics.errors import ConfigError


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_file_holds_only_what_differs_from_its_base(tmp_path: Path) -> None:
    write(tmp_path / "lab", "train: {system: {seed: 1, num_workers: 1}}", "lab.yaml")
    write(tmp_path, "base: lab/lab.yaml\ntrain: {system: {num_workers: 2}}", "middle.yaml")
    system = load_config(write(tmp_path, "base: [middle.yaml]\nsystem: {num_gpus: 0}")).system
    assert (system.seed, system.num_workers, system.num_gpus) == (1, 2, 0)


def test_of_several_bases_the_later_wins_and_the_file_over_all(tmp_path: Path) -> None:
    write(tmp_path, "train: {system: {seed: 1, num_workers: 1, num_gpus: 0}}", "a.yaml")
    write(tmp_path, "system: {seed: 2, num_workers: 2}", "b.yaml")
    system = load_config(write(tmp_path, "base: [a.yaml, b.yaml]\nsystem: {seed: 3}")).system
    assert (system.seed, system.num_workers, system.num_gpus) == (3, 2, 0)


def test_the_tutorial_is_a_base_wherever_one_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tutorial = Path("tutorials/syn_cremi.yaml").resolve()
    path = write(tmp_path, f"base: {tutorial}\nexperiment_name: mine")
    monkeypatch.chdir(tmp_path)
    mine, whole = load_config(path), load_config(tutorial)
    assert mine.experiment_name == "mine"
    assert (mine.model, mine.optimization) == (whole.model, whole.optimization)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("base: mine.yaml", "it is its own base"),
        ("base: other.yaml", "it is its own base, by way of"),
        ("base: othr.yaml", "base othr.yaml: no such file; did you mean 'other.yaml'"),
        ("base: 3", "base is 3; it must be a path, or a list of paths"),
        ("base: {a: b}", "it must be a path, or a list of paths"),
        ("default: {base: a.yaml}", "default.base is not a known setting"),
    ],
)
def test_a_base_that_cannot_be_is_told(tmp_path: Path, text: str, says: str) -> None:
    write(tmp_path, "base: mine.yaml", "other.yaml")
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert says.replace("base othr", f"base {tmp_path}/othr") in str(caught.value)


def test_a_reference_takes_the_value_that_the_other_setting_has_in_the_end(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        experiment_name: vnc
        save_path: runs/${experiment_name}/${system.seed}
        inference: {window: {window_size: "${data.dataloader.patch_size}"}}
        monitor: {checkpoint: {save_every_n_epochs: "${optimization.accumulate_grad_batches}"}}
        optimization: {accumulate_grad_batches: "${system.num_processes}"}
        test: {data: {dataloader: {patch_size: [9, 64, 64]}}}
        """,
    )
    configs = load_configs(path, ["data.dataloader.patch_size=[18,128,128]", "default.system.num_processes=3"])
    assert configs["train"].inference.window.window_size == (18, 128, 128)
    assert configs["test"].inference.window.window_size == (9, 64, 64)
    assert configs["train"].monitor.checkpoint.save_every_n_epochs == 3
    assert configs["train"].save_path == "runs/vnc/42"
    assert "${" not in dump_config(configs["train"])


def test_a_reference_on_the_command_line_is_followed_too(tmp_path: Path) -> None:
    path = write(tmp_path, "{}")
    config = load_config(path, ["optimization.n_steps_per_epoch=${optimization.max_steps}", "optimization.max_steps=7"])
    assert config.optimization.n_steps_per_epoch == 7


def test_what_a_reference_brings_is_a_copy(tmp_path: Path) -> None:
    path = write(tmp_path, 'data: {train: {image: [a.h5]}, val: "${data.train}"}')
    config = load_config(path, ["data.train.image.0=b.h5"])
    assert (config.data.train.image, config.data.val.image) == (["b.h5"], ["b.h5"])
    assert config.data.train.image is not config.data.val.image


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('system: {seed: "${system.sed}"}', "system.seed is '${system.sed}'; sed is no setting of system; did you"),
        ('system: {seed: "${system.seed}"}', "leads back to itself"),
        ('system: {seed: "${system.num_gpus}", num_gpus: "${system.seed}"}', "leads back to itself"),
        ('system: "${system}"', "leads back to itself"),
        ('data: {train: "${data}"}', "leads back to itself"),
        ('system: {seed: "${oc.env:HOME}"}', "is no setting"),
        ('system: {seed: "${a${b}}"}', "mine.yaml is not a YAML file of settings"),
        ('system: {seed: "${"}', "mine.yaml is not a YAML file of settings"),
        ('system: {seed: "???"}', "names one other setting"),
        ('experiment_name: "x_${data.dataloader.patch_size}"', "which is no text or number"),
        ('system: {seed: "${experiment_name}"}', "mine.yaml: system.seed, ${experiment_name} of "),
        ('system: {seed: "${optimization.optimizer.lr}"}', "is 0.001; it must be a whole number"),
        ('inference: {window: {window_size: "${data.dataloader.patch_size}"}}\n'
         "data: {dataloader: {patch_size: [18, 250, 256]}}",
         "mine.yaml: data.dataloader.patch_size is [18, 250, 256]; it must be divisible"),
    ],
)  # fmt: skip
def test_a_reference_that_cannot_be_is_told_with_both_places(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


def test_a_complaint_about_a_referred_value_names_both_places(tmp_path: Path) -> None:
    write(tmp_path, "default: {data: {dataloader: {patch_size: [18, 256, 0]}}}", "lab.yaml")
    path = write(tmp_path, 'base: lab.yaml\ninference: {window: {window_size: "${data.dataloader.patch_size}"}}\n'
                           "train: {data: {dataloader: {patch_size: [18, 256, 256]}}}")  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        load_configs(path, mode="train")
    assert "lab.yaml: default.data.dataloader.patch_size" in str(caught.value)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{c}: &{c} [{','.join(['*' + b] * 10)}]" for b, c in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "more than 50000 values"),
        ("a: &a [*a]", "*a stands within itself"),
        ("a: &a {b: {c: *a}}", "*a stands within itself"),
        ("a: " + "[" * 500 + "]" * 500, "more than 40 levels"),
        ("a: " + "{b: " * 500 + "1" + "}" * 500, "more than 40 levels"),
        ("a: " + "9" * 5000, "a number of 5000 characters"),
        ("a: 0." + "9" * 5000, "a number of"),
        ("x" * 2**21, "larger than"),
        ("a: *b", "undefined alias"),
        ("a: \x00", "is not a YAML file of settings"),
    ],
)
def test_a_hostile_file_is_refused_at_once(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert says in str(caught.value)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="is no regular file"):
        load_config(tmp_path / "pipe.yaml")
