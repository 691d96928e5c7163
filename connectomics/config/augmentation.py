"""`data.augmentation`: what happens to a training patch, in the order in which it happens."""

from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class FlipConfig:
    """`flip`: mirror the patch along each of some axes independently."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.5
    """Probability of mirroring, for each axis on its own."""
    spatial_axis: list[int] = field(default_factory=lambda: [1, 2])
    """Axes that may be mirrored: 0 is z, 1 is y, 2 is x."""


@dataclass(kw_only=True, slots=True)
class RotateConfig:
    """`rotate`: turn the patch in the section plane, every section alike."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.5
    """Probability for each patch, in [0, 1]."""
    max_angle: float = 90.0
    """The angle is uniform in [-max_angle, max_angle], in degrees."""


@dataclass(kw_only=True, slots=True)
class ZoomConfig:
    """`zoom`: show the patch larger or smaller in the section plane, every section alike."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.3
    """Probability for each patch, in [0, 1]."""
    factor_range: tuple[float, float] = (0.8, 1.25)
    """How many times larger things become; drawn uniformly on a logarithmic scale."""


@dataclass(kw_only=True, slots=True)
class ElasticConfig:
    """`elastic`: a smooth random displacement in the section plane."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.3
    """Probability for each patch, in [0, 1]."""
    sigma_range: tuple[float, float] = (15.0, 30.0)
    """Smoothing length of the displacement field, in pixels; drawn uniformly."""
    magnitude_range: tuple[float, float] = (2.0, 6.0)
    """Root-mean-square displacement, in pixels; drawn uniformly; above half of sigma the tissue could fold."""


@dataclass(kw_only=True, slots=True)
class MisalignmentConfig:
    """`misalignment`: from a section on, the rest of the stack is displaced; or one section slips."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.5
    """Probability for each patch, in [0, 1]."""
    displacement: int = 16
    """Largest displacement along y and along x, in pixels."""
    rotate_ratio: float = 0.0
    """Share of misalignments that are a small rotation instead of a displacement, in [0, 1]."""


@dataclass(kw_only=True, slots=True)
class MissingSectionConfig:
    """`missing_section`: whole inner sections lose their image."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.3
    """Probability for each patch, in [0, 1]."""
    num_sections: int = 2
    """1 to `num_sections` sections are lost."""


@dataclass(kw_only=True, slots=True)
class MissingPartsConfig:
    """`missing_parts`: a band of one section loses its image."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.5
    """Probability for each patch, in [0, 1]."""
    hole_range: tuple[float, float] = (0.1, 0.3)
    """Width of the lost band, as a share of the section's shorter side; drawn uniformly."""


@dataclass(kw_only=True, slots=True)
class MotionBlurConfig:
    """`motion_blur`: sections blurred along one direction, as when the stage moved."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.3
    """Probability for each patch, in [0, 1]."""
    sections: int = 2
    """1 to `sections` sections are blurred."""
    kernel_size: int = 11
    """Length of the line along which a pixel is smeared, in pixels; odd."""


@dataclass(kw_only=True, slots=True)
class DefocusConfig:
    """`defocus`: whole sections blurred evenly, as when the microscope was out of focus."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.3
    """Probability for each patch, in [0, 1]."""
    sections: int = 2
    """1 to `sections` sections are blurred."""
    sigma_range: tuple[float, float] = (0.5, 2.0)
    """Standard deviation of the Gaussian, in pixels; drawn uniformly for each section."""


@dataclass(kw_only=True, slots=True)
class CutNoiseConfig:
    """`cut_noise`: a random box of the patch gets noise."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.5
    """Probability for each patch, in [0, 1]."""
    length_ratio: float = 0.25
    """Extent of the box along each axis, as a share of the patch's, in (0, 1]."""
    noise_scale: float = 0.2
    """The noise is uniform in [-noise_scale, noise_scale], in units of the image's [0, 1]."""


@dataclass(kw_only=True, slots=True)
class CutBlurConfig:
    """`cut_blur`: a random box of the patch loses resolution."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.5
    """Probability for each patch, in [0, 1]."""
    length_ratio: float = 0.25
    """Extent of the box along each axis, as a share of the patch's, in (0, 1]."""
    down_ratio_range: tuple[float, float] = (2.0, 8.0)
    """Factor of the down- and upsampling in the section plane; drawn uniformly."""


@dataclass(kw_only=True, slots=True)
class SectionBrightnessConfig:
    """`section_brightness`: each section brighter or darker by an amount of its own; the image stays in [0, 1]."""

    enabled: bool = False
    """Whether it is used."""
    prob: float = 0.3
    """Probability for each patch, in [0, 1]."""
    offset: float = 0.1
    """The shift of a section is uniform in [-offset, offset]."""


@dataclass(kw_only=True, slots=True)
class IntensityConfig:
    """`intensity`: noise, shift and contrast, each with its own chance; the image stays in [0, 1]."""

    enabled: bool = False
    """Whether it is used."""
    gaussian_noise_prob: float = 0.3
    """Probability of adding noise, for each patch, in [0, 1]."""
    gaussian_noise_std: float = 0.05
    """Standard deviation of the noise, in units of the image's [0, 1]."""
    shift_intensity_prob: float = 0.3
    """Probability of making all of it brighter or darker, for each patch, in [0, 1]."""
    shift_intensity_offset: float = 0.1
    """The shift is uniform in [-offset, offset]."""
    contrast_prob: float = 0.3
    """Probability of changing the contrast, for each patch, in [0, 1]."""
    contrast_range: tuple[float, float] = (0.7, 1.4)
    """The image is raised to a power (gamma) drawn uniformly from this range."""


@dataclass(kw_only=True, slots=True)
class AugmentationConfig:
    """`data.augmentation`: each step has its own `enabled` and its own chance."""

    flip: FlipConfig = field(default_factory=FlipConfig)
    rotate: RotateConfig = field(default_factory=RotateConfig)
    zoom: ZoomConfig = field(default_factory=ZoomConfig)
    elastic: ElasticConfig = field(default_factory=ElasticConfig)
    misalignment: MisalignmentConfig = field(default_factory=MisalignmentConfig)
    missing_section: MissingSectionConfig = field(default_factory=MissingSectionConfig)
    missing_parts: MissingPartsConfig = field(default_factory=MissingPartsConfig)
    motion_blur: MotionBlurConfig = field(default_factory=MotionBlurConfig)
    defocus: DefocusConfig = field(default_factory=DefocusConfig)
    cut_noise: CutNoiseConfig = field(default_factory=CutNoiseConfig)
    cut_blur: CutBlurConfig = field(default_factory=CutBlurConfig)
    section_brightness: SectionBrightnessConfig = field(default_factory=SectionBrightnessConfig)
    intensity: IntensityConfig = field(default_factory=IntensityConfig)
