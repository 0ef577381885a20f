"""Noise for the neurons: zero mean, unit variance, symmetric, from explicit generators.

The rules need nothing else of a noise: such components have ``E[z zT / |z|^2] = I / N``.
"""

from nrl_ros.learning.noise.generators import agent_generators
from nrl_ros.learning.noise.ornstein_uhlenbeck import OrnsteinUhlenbeck
from nrl_ros.learning.noise.settings import NOISE_SHAPES, NoiseSettings
from nrl_ros.learning.noise.shapes import Independent, NoiseShape
from nrl_ros.learning.noise.stream import NoiseStream

__all__ = [
    'NOISE_SHAPES',
    'Independent',
    'NoiseSettings',
    'NoiseShape',
    'NoiseStream',
    'OrnsteinUhlenbeck',
    'agent_generators',
]
