"""Floor 4: whole-volume inference: windows, blending, views, prediction; a network comes in as a plain function.

    plan = plan_inference(config)                        # every name is checked here
    lanes = [Lane(forward, device)]                      # windows in [0, 1], (B, C, Z, Y, X) -> logits; one per device
    for sections in predict_volume(image, intensity, plan, lanes, on_progress):
        writer.write(sections.z, sections.voxels)        # float32 (C, n, Y, X), finished, in order

The network runs in another thread than the loop's body: reading, writing and decoding sections costs no time on a GPU.
"""

from connectomics.inference.fingerprint import fingerprint
from connectomics.inference.plan import InferencePlan, plan_inference
from connectomics.inference.predict import OnProgress, Sections, predict_volume
from connectomics.inference.rows import Forward, Lane
from connectomics.inference.saved import SAVED_TYPES, SavedType, predict_into

__all__ = [
    "SAVED_TYPES",
    "Forward",
    "InferencePlan",
    "Lane",
    "OnProgress",
    "SavedType",
    "Sections",
    "fingerprint",
    "plan_inference",
    "predict_into",
    "predict_volume",
]
