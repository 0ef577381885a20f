"""Optimisers, one in each file: from an estimated gradient to a weight change.

Each of them uses only what a layer or synapse knows itself. ``totals`` are ``c_l sum_i delta_i
e_l,i``, one matrix [out, in] for each layer; the weights climb.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from nrl_ros.base.registry import Registry
from nrl_ros.learning.optimisers.adam import Adam
from nrl_ros.learning.optimisers.amsgrad import AmsGrad
from nrl_ros.learning.optimisers.base import Optimiser
from nrl_ros.learning.optimisers.gradient_ascent import GradientAscent
from nrl_ros.learning.optimisers.layer_normalised import LayerNormalised

# Keys are the names in settings. A new optimiser is one more file and one more line here.
OPTIMISERS: Registry[Optimiser] = Registry(
    'optimiser',
    'nrl_ros.optimisers',
    {
        'sgd': GradientAscent,
        'layer_normalised': LayerNormalised,
        'adam': Adam,
        'amsgrad': AmsGrad,
    },
    parts=('step', 'state'),
)
OptimiserName = Annotated[str, AfterValidator(OPTIMISERS.known)]

__all__ = [
    'OPTIMISERS',
    'Adam',
    'AmsGrad',
    'GradientAscent',
    'LayerNormalised',
    'Optimiser',
    'OptimiserName',
]
