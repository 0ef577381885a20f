"""Settings of the noise: its shape, its size, and how it changes."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from nrl_ros.base.registry import Registry
from nrl_ros.base.settings import Settings, live, shared
from nrl_ros.learning.noise import shapes
from nrl_ros.learning.noise.normal_numbers import NormalNumbers
from nrl_ros.learning.noise.ornstein_uhlenbeck import OrnsteinUhlenbeck
from nrl_ros.learning.noise.shapes import Independent, NoiseShape

# Keys are the names in settings. A new noise is one more file and one more line here.
NOISE_SHAPES: Registry[NoiseShape] = Registry(
    'noise',
    'nrl_ros.noise_shapes',
    {
        'gaussian': NormalNumbers,
        'uniform': partial(Independent, shapes.uniform),
        'laplace': partial(Independent, shapes.laplace),
        'binary': partial(Independent, shapes.binary),
        'ornstein_uhlenbeck': OrnsteinUhlenbeck,
    },
    parts=('fill', 'state'),
)
NoiseName = Annotated[str, AfterValidator(NOISE_SHAPES.known)]


class NoiseSettings(Settings):
    """Settings of the noise in the neurons."""

    shape: NoiseName = Field(
        'gaussian', description=f'Shape of the noise: {", ".join(NOISE_SHAPES)}, or your own'
    )
    sigma: float = live(1e-3, 'Standard deviation of the noise [1]', gt=0)
    correlation_steps: float = shared(OrnsteinUhlenbeck, 'correlation_steps')
    sigma_decay: float = Field(
        0.0, ge=0, description='Updates after which the noise has halved [1]; 0: constant'
    )
    silent_growth: float = Field(
        1.0, ge=1, description='Factor of the noise for each window with an RPE of 0; 1: off [1]'
    )
    silent_limit: float = Field(
        1000.0, ge=1, description='Largest factor that silent_growth reaches [1]'
    )
    options: dict[str, Any] = Field(
        {}, description='Options of the noise itself, given as noise.options.NAME'
    )

    @field_validator('options')
    @classmethod
    def _fit(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        shape = info.data.get('shape')
        return options if shape is None else NOISE_SHAPES.check(shape, options, info.data)

    def make(self) -> NoiseShape:
        """Return a new source of this noise."""
        return NOISE_SHAPES.make(self.shape, options=self.options, shared=self.model_dump())
