"""Puts the tutorials into the built package: `base: syn_cremi.yaml` works without a clone. All else: pyproject.toml."""

from pathlib import Path
from shutil import copy2

from setuptools import setup
from setuptools.command.build_py import build_py


class WithTutorials(build_py):
    """Copies `tutorials/*.yaml` to `connectomics/tutorials/`; an editable install has them where they are."""

    def run(self) -> None:
        """Build the modules, then copy the tutorials."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "connectomics" / "tutorials"
        target.mkdir(parents=True, exist_ok=True)
        for tutorial in sorted(Path(__file__).with_name("tutorials").glob("*.yaml")):
            copy2(tutorial, target)


setup(cmdclass={"build_py": WithTutorials})
