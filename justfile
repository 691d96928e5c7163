# Shortcuts for the usual commands; bare `just` lists them.

python := if path_exists(".venv/bin/python") == "true" { ".venv/bin/python" } else { "python3" }

_list:
    @{{just_executable()}} --list --unsorted

# Train: just train tutorials/syn_cremi.yaml system.num_gpus=4
train config *overrides:
    {{python}} scripts/main.py --config {{config}} {{overrides}}

# Predict and score: just test tutorials/syn_cremi.yaml RUN/checkpoints/last.ckpt
test config checkpoint *overrides:
    {{python}} scripts/main.py --config {{config}} --mode test --checkpoint {{checkpoint}} {{overrides}}

# The threshold that scores best on the validation volumes: just tune tutorials/syn_cremi.yaml RUN/checkpoints/last.ckpt
tune config checkpoint *overrides:
    {{python}} scripts/main.py --config {{config}} --mode tune --checkpoint {{checkpoint}} {{overrides}}

# A picture of training patches before and after each augmentation: just preview tutorials/syn_cremi.yaml
preview config *overrides:
    {{python}} scripts/main.py --config {{config}} --preview 6 {{overrides}}

# A whole run on a synthetic volume, without data
demo *overrides:
    {{python}} scripts/main.py --demo {{overrides}}

# Losses and pictures of an experiment's runs: just tensorboard rsunet_cremi_synapse_cleft
tensorboard experiment:
    {{python}} -m tensorboard.main --logdir outputs/{{experiment}}

# CREMI's files: just cremi download; just cremi prepare datasets/sample_*.hdf; just cremi submit RUN/results/*_prediction.h5
cremi *arguments:
    {{python}} scripts/cremi.py {{arguments}}

# A tested run in Neuroglancer: just view outputs/rsunet_cremi_synapse_cleft/TIME; a folder for colleagues: ... --export DIR
view results *options:
    {{python}} scripts/view.py {{results}} {{options}}

# Results for Fiji, napari, webKnossos, Neuroglancer: just export RUN/results/*.h5 --as tiff
export *arguments:
    {{python}} scripts/export.py {{arguments}}

# Thousands of damaged files of every format: read, or refused in one line?
damaged *options:
    {{python}} benchmarks/damaged.py {{options}}

# The documentation as a site, in site/; needs pip install -e ".[docs]"
docs:
    {{python}} -m mkdocs build --strict

# Lint, check the types and test, as CI does
check:
    {{python}} -m ruff check .
    {{python}} -m ruff format --check .
    {{python}} -m mypy
    {{python}} -m pytest -n auto

# Which lines no test runs; a number to look at, not to reach
coverage:
    {{python}} -m pytest -n auto --cov --cov-report=term-missing

# Kill trainings and predictions at random moments, and compare what comes of them
fuzz *arguments:
    {{python}} -m benchmarks.kills {{arguments}}

# Mend what the linter can
fix:
    {{python}} -m ruff check --fix .
    {{python}} -m ruff format .
