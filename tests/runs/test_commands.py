"""`connectomics COMMAND`: a word for each thing, and quick answers to slips."""

import subprocess
import sys
from pathlib import Path

import pytest

import connectomics
from connectomics.runs.commands import COMMANDS, main, predict


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"connectomics {word} " in told for word in COMMANDS)


@pytest.mark.parametrize("word", COMMANDS)
def test_every_command_says_how_it_is_used(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main([word, "--help"])
    except SystemExit as ended:
        status = ended.code
    assert status == 0
    assert f"usage: connectomics {word}" in capsys.readouterr().out


def test_a_slip_is_told_with_the_close_match(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "'trian' is not a command; did you mean 'train'?" in capsys.readouterr().err
    assert main(["train", "nowhere.yaml"]) == 2
    assert "nowhere.yaml: no such file" in capsys.readouterr().err
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == connectomics.__version__


def test_predict_takes_a_checkpoint_and_images(capsys: pytest.CaptureFixture[str]) -> None:
    assert predict([]) == 2
    assert "CHECKPOINT... IMAGE..." in capsys.readouterr().out
    assert predict(["nowhere.ckpt", "--out", "found", "inference.preset=fast"]) == 2
    assert "name one or more images" in capsys.readouterr().err
    assert predict(["nowhere.ckpt", "im.h5"]) == 2
    assert "nowhere.ckpt: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["train", "{settings}", "modle.arch.type=x"], ["predict", "x.ckpt", "im.h5", "modle=1"]]
)
def test_a_typo_is_told_before_torch_is_imported(arguments: list[str]) -> None:
    tutorial = Path(__file__).parents[2] / "tutorials" / "syn_cremi.yaml"
    program = (
        "import sys; from connectomics.runs.commands import main; status = main(sys.argv[1:]); "
        "sys.exit(status if 'torch' not in sys.modules else 99)"
    )
    given = [text.format(settings=tutorial) for text in arguments]
    done = subprocess.run([sys.executable, "-c", program, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "did you mean 'model'?" in done.stderr
