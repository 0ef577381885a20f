"""Settings of the policy network: its kind, its size, and its kind of neurons."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, field_validator

from nrl_ros.base.part_files import absolute_name
from nrl_ros.base.settings import Settings


class NetworkSettings(Settings):
    """Settings of the policy network."""

    kind: Literal['dense', 'torch'] = Field(
        'dense',
        description='dense: layers of neurons, compiled; torch: any torch module, made by '
        'network.factory',
    )
    factory: Annotated[str, AfterValidator(absolute_name)] = Field(
        'dense',
        description='torch: what makes the module: dense, convolutional, recurrent, '
        'spiking, '
        'package.module:function, or ./FILE.py:function',
    )
    initial: str = Field(
        '', description='torch: file with the first weights, a state_dict of the module'
    )
    frozen: tuple[str, ...] = Field(
        (), description='torch: parts of the module that do not learn, by the prefix of their name'
    )
    device: str = Field(
        'cpu',
        pattern=r'^(cpu|cuda(:\d+)?)$',
        description='torch: where the module computes: cpu, cuda, or one of several as cuda:1',
    )
    hidden_sizes: tuple[PositiveInt, ...] = Field(
        (64,),
        description='Neurons of each hidden layer; a factory that has hidden_sizes, bias or leak '
        'is given them [1]',
    )
    bias: bool = Field(False, description='Give each layer one more input that is always 1')
    leak: float = Field(0.1, ge=0, le=1, description='Slope of the LeakyReLU below zero [1]')
    neuron: Annotated[str, AfterValidator(absolute_name)] = Field(
        'rate',
        description='Hidden neurons: rate (LeakyReLU), spiking (leaky integrate-and-fire), or '
        'your own',
    )
    normalise_observations: bool = Field(
        False,
        description='Give the network each observation as standard deviations from the mean of '
        'all that were learned from; mean and deviation are saved with the weights',
    )
    output_scale: float = Field(
        1.0,
        gt=0,
        description='Factor of the first weights of the output layer; 0.01 begins with nearly the '
        'same policy in every state, which explores [1]',
    )
    precision: Literal['float32', 'float64'] = Field('float32', description='Number format')
    weight_bits: int = Field(
        0,
        ge=0,
        le=16,
        description='Weights of so many bits, from 2: an update is rounded to a level at random, '
        'so that its expected value stays; 0: as precision says [1]',
    )
    weight_range: float = Field(
        6.0,
        gt=0,
        description='weight_bits, read_noise: scale of a layer in standard deviations of its '
        'first weights, where its levels end [1]',
    )
    read_noise: float = Field(
        0.0,
        ge=0,
        description='Noise of each weight whenever a pass reads it, as a share of the scale of '
        'its layer [1]',
    )
    update_spread: float = Field(
        0.0,
        ge=0,
        description='Standard deviation of the share that each weight takes of its updates, which '
        'is another one upwards than downwards [1]',
    )
    update_asymmetry: float = Field(
        0.0,
        ge=-1,
        le=1,
        description='Updates upwards are larger by this share, those downwards smaller [1]',
    )
    options: dict[str, Any] = Field(
        {},
        description='Options of the neurons or of the factory, given as network.options.NAME',
    )

    @field_validator('weight_bits')
    @classmethod
    def _some_levels(cls, bits: int) -> int:
        if bits == 1:
            raise ValueError(
                'network.weight_bits is 1, expected 2 to 16, or 0 for weights as precision says: '
                'with one bit there is no level beside 0'
            )
        return bits
