"""Settings of the neuromodulator node."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nrl_ros.core.neuromodulator import RpeSettings
from nrl_ros.schema.base import Settings, live


class RpeGroup(Settings):
    """How rewards become reward-prediction errors."""

    rate: float = live(0.66, 'Step of the running-average reward, lambda [1]', gt=0, le=1)
    scale: Literal['none', 'absolute_reward'] = Field(
        'none', description='Divide the RPE by |reward|, where that is not 0'
    )
    order: Literal['before', 'after'] = Field(
        'before', description='Take the RPE before or after the average moves'
    )


class NeuromodulatorNodeSettings(Settings):
    """Everything the neuromodulator node takes."""

    autostart: bool = Field(True, description='Configure and activate without being told to')
    status_period_s: float = Field(0.5, gt=0, description='Time between status messages [s]')
    load: str = Field(
        '', description="Learner's checkpoint, or folder of them, to take the baselines from"
    )
    rpe: RpeGroup = RpeGroup()

    def core(self) -> RpeSettings:
        """The core's settings."""
        return RpeSettings(rate=self.rpe.rate, scale=self.rpe.scale, order=self.rpe.order)
