"""Settings of the policy network: its size, and its kind of neurons."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt

from nrl_ros.base.part_files import absolute_name
from nrl_ros.base.settings import Settings


class NetworkSettings(Settings):
    """Settings of the policy network."""

    hidden_sizes: tuple[PositiveInt, ...] = Field(
        (64,), description='Neurons of each hidden layer [1]'
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
    options: dict[str, Any] = Field(
        {}, description='Options of the neurons themselves, given as network.options.NAME'
    )
