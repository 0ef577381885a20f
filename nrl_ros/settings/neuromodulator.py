"""Settings of the neuromodulator node: those of the neuromodulator, and what the node adds."""

from __future__ import annotations

from pydantic import Field

from nrl_ros.base.limits import Limits
from nrl_ros.base.settings import Settings, at_start, realtime
from nrl_ros.learning.baselines.critic import CriticSettings
from nrl_ros.learning.neuromodulator import RpeSettings


class CriticGroup(CriticSettings):
    """The critic, where the baseline is one."""

    folder: str = at_start(
        '',
        'Where it is saved, as critic.nrl, every minute and at the end; empty: nowhere',
    )


class NeuromodulatorNodeSettings(Settings):
    """Everything the neuromodulator node takes."""

    autostart: bool = Field(True, description='Configure and activate without being told to')
    realtime_priority: int = realtime(0)
    status_period_s: float = Field(0.5, gt=0, description='Time between status messages [s]')
    load: str = at_start(
        '',
        "Learner's checkpoint, or folder of them, to take the baselines from; a critic "
        'is looked for beside it',
    )
    rpe: RpeSettings = RpeSettings()
    critic: CriticGroup = CriticGroup()
    limits: Limits = Limits()
