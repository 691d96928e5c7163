from pathlib import Path

import pytest

from connectomics.config import Config, dump_config, load_config, load_configs
from connectomics.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_later_sources_win(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        system: {seed: 1, num_workers: 1, num_gpus: 0}
        default: {system: {seed: 2, num_workers: 2}}
        test: {system: {seed: 3}}
        """,
    )
    test = load_config(path, ["system.seed=4"], "test").system
    train = load_config(path, [], "train").system
    assert (test.seed, test.num_workers, test.num_gpus) == (4, 2, 0)
    assert (train.seed, train.num_workers, train.num_gpus) == (2, 2, 0)


def test_an_override_without_stage_belongs_to_the_running_mode_only(tmp_path: Path) -> None:
    configs = load_configs(write(tmp_path, "{}"), ["system.seed=7", "test.system.num_workers=3"], "train")
    assert (configs["train"].system.seed, configs["test"].system.seed) == (7, 42)
    assert (configs["train"].system.num_workers, configs["test"].system.num_workers) == (-1, 3)


def test_an_override_without_stage_belongs_to_every_stage_of_a_demo(tmp_path: Path) -> None:
    configs = load_configs(write(tmp_path, "{}"), ["system.seed=7", "test.system.seed=8"], "demo")
    assert (configs["train"].system.seed, configs["test"].system.seed) == (7, 8)


def test_a_file_wins_over_its_base_whatever_the_sections(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("train: {system: {seed: 1, num_workers: 1}}", encoding="utf-8")
    path = write(tmp_path, "default: {system: {seed: 2}}")
    system = load_configs(path, [], "train", tmp_path / "base.yaml")["train"].system
    assert (system.seed, system.num_workers) == (2, 1)


def test_a_slip_in_a_base_names_the_base(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("default: {system: {sed: 1}}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"base\.yaml: default\.system\.sed is not a known setting"):
        load_configs(write(tmp_path, "{}"), [], "train", tmp_path / "base.yaml")


def test_what_is_printed_loads_again(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "model: {rsunet: {filters: [8, 16], down_factors: [[1, 2, 2]]}}"))
    again = load_config(write(tmp_path, dump_config(config)))
    assert again == config


def test_the_runs_lie_in_a_folder_named_after_the_experiment(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "experiment_name: vnc")).save_path == "outputs/vnc"
    assert load_config(write(tmp_path, "{experiment_name: vnc, save_path: elsewhere}")).save_path == "elsewhere"


def test_an_entry_of_a_list_is_set_by_its_number(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "{}"), ["model.loss.losses.1.weight=0.5"])
    assert [term.weight for term in config.model.loss.losses] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("optimizaton.max_steps=3", "command line: optimizaton is not a known setting; did you mean 'optimization'?"),
        ("model.rsunt.filters=[1]", "command line: model.rsunt is not a known setting; did you mean 'rsunet'?"),
        ("model.rsunet.filers=[1]", "command line: model.rsunet.filers is not a known setting; did you mean 'filters'"),
        ("model.rsunet.width=[1]", "command line: model.rsunet.width is not a setting here; the only key for this is "
                                   "model.rsunet.filters"),
        ("model.monai.filters=[1]", "the only key for this is model.rsunet.filters"),
        ("+system.seed=1", "command line: '+system.seed=1': settings cannot be added or removed"),
        ("++system.seed=1", "write 'system.seed=1'"),
        ("~system.seed", "cannot be added or removed"),
        ("system.seed", "not of the form key=value"),
        ("system.seed=1,2", "one run takes one"),
        ("system.seed=abc", "command line: system.seed is 'abc'; it must be a whole number"),
        ("system.seed=1.5", "it must be a whole number"),
        ("system.num_gpus=true", "command line: system.num_gpus is true; it must be a whole number"),
        ("optimization.optimizer.lr=fast", "it must be a number"),
        ("optimization.optimizer.lr=nan", "it must be a number"),
        ("optimization.precision=bf16", "one of 32-true, bf16-mixed, 16-mixed"),
        ("data.dataloader.patch_size=[18,256]", "a list of 3, each a whole number"),
        ("data.dataloader.patch_size=[18,250,256]", "patch_size is [18, 250, 256]; it must be divisible"),
        ("test.inference.window.overlap=1", "command line: test.inference.window.overlap is 1.0"),
        ("data.augmentation.elastic.magnitude_range=[2,9]", "could fold the tissue"),
        ("data.augmentation.motion_blur.kernel_size=10", "an odd number"),
        ("data.train.crop=[a,b,c]", "three slices"),
        ("data.train.label=[a.h5]", "as long as data.train.image"),
        ("model.loss.losses.5.weight=1", "a list of 2; name one by its number"),
        ("model=3", "it is a section"),
        ("system.seed.x=3", "holds a value"),
        ("inference.test_time_augmentation.flip_axes=[3]", "axes among 0 (z), 1 (y), 2 (x)"),
    ],
)  # fmt: skip
def test_a_slip_on_the_command_line_is_named_with_its_remedy(tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, "{}"), [override])
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("default: {model: {rsunet: {filter: [1]}}}", "settings.yaml: default.model.rsunet.filter is not a known"),
        ("train: {optimization: {scheduler: {interval: batch}}}", "train.optimization.scheduler.interval is 'batch'"),
        ("test: {evaluation: {enabled: 3}}", "settings.yaml: test.evaluation.enabled is 3; it must be true or false"),
        ("model: {loss: {losses: [{weight: 2}]}}", "model.loss.losses[0] lacks the setting 'function'"),
        ("model: {loss: {losses: [{function: DiceLoss, wieght: 2}]}}", "did you mean 'weight'?"),
        ('system: {seed: "${x}"}', "settings.yaml: system.seed is '${x}'; x is no setting"),
        ("system: {seed: 1, seed: 2}", "duplicate key"),
        ("system: [1", "is not a YAML file of settings"),
        ("- 1", "must hold sections"),
        ("tests: {}", "settings.yaml: tests is not a known setting"),
        ("default: 3", "settings.yaml: default is 3; it is a section"),
        ("model: {monai: {filters: [1]}}", "the only key for this is model.rsunet.filters"),
    ],
)
def test_a_slip_in_the_file_is_named_with_file_and_full_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert says in str(caught.value)


def test_a_typo_under_test_is_told_before_training(tmp_path: Path) -> None:
    path = write(tmp_path, "test: {inference: {windw: {}}}")
    with pytest.raises(ConfigError, match=r"test\.inference\.windw is not a known setting; did you mean 'window'"):
        load_config(path, mode="train")


def test_a_missing_file_is_told_with_the_close_match(tmp_path: Path) -> None:
    write(tmp_path, "{}")
    with pytest.raises(ConfigError, match=r"no such file; did you mean 'settings\.yaml'"):
        load_config(tmp_path / "setings.yaml")


def test_the_defaults_keep_the_rules(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "{}"))
    assert isinstance(config, Config)
