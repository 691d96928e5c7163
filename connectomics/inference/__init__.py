"""Floor 4: whole-volume inference: windows, blending, views, prediction; a network comes in as a plain function.

    plan = plan_inference(config.inference, config.data, config.model)  # every name is checked here
    lanes = [Lane(forward, device)]                      # windows in [0, 1], (B, C, Z, Y, X) -> logits; one per device
    for sections in predict_volume(image, intensity, plan, lanes, on_progress, on_notice):
        mask[sections.box.slices] = decode(sections.voxels)      # float32 (C, n, Y, X), finished, in order

The network runs in threads of its own: reading, writing and decoding sections costs no time on a GPU. A prediction that
survives a kill goes through a file in the making; the loop sees all sections, those of the killed run first:

    saved = SAVED_TYPES[config.inference.save_dtype]
    settings = concerning(config.inference, config.data.data_transform, network_settings)
    mark = fingerprint(settings, network.state_dict(), image, intensity)
    with StagedVolume(path, plan.channels, image.shape, saved.dtype, attributes, mark, plan.block) as stage:
        if stage.dropped: say(f"starting afresh: {', '.join(stage.dropped)} changed")
        for sections in predict_into(stage, saved, image, intensity, plan, lanes, on_progress, on_notice):
            mask[sections.box.slices] = decode(sections.voxels)  # exactly the values that the file holds
"""

from connectomics.inference.block_choice import choose_block
from connectomics.inference.fingerprint import circumstances, concerning, fingerprint
from connectomics.inference.plan import InferencePlan, plan_inference
from connectomics.inference.predict import OnNotice, OnProgress, predict_volume
from connectomics.inference.rows import Forward, Lane
from connectomics.inference.saved import SAVED_TYPES, SavedType, predict_block, predict_into
from connectomics.volumes.sections import Sections

__all__ = [
    "SAVED_TYPES",
    "Forward",
    "InferencePlan",
    "Lane",
    "OnNotice",
    "OnProgress",
    "SavedType",
    "Sections",
    "choose_block",
    "circumstances",
    "concerning",
    "fingerprint",
    "plan_inference",
    "predict_block",
    "predict_into",
    "predict_volume",
]
