"""Find synapses in volume electron microscopy; `connectomics/README.md` is the map of the package.

network = connectomics.load("RUN/checkpoints/last.ckpt")
probability = network.predict(image, voxel_size=(40, 4, 4))
synapses = network.find(probability, voxel_size=(40, 4, 4))     # .table, .instances
connectomics.evaluate(probability, label, voxel_size=(40, 4, 4))
connectomics.train("my.yaml", "optimization.max_steps=5000")    # the folder of the run
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectomics.runs.interface import Network, Synapses, evaluate, load, train

__version__ = "0.1.0"

__all__ = ["Network", "Synapses", "__version__", "evaluate", "load", "train"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: torch takes a second and a half."""
    if name not in __all__:
        raise AttributeError(f"module 'connectomics' has no attribute {name!r}")
    from connectomics.runs import interface

    return getattr(interface, name)
