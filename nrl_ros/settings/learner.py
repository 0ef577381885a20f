"""Settings of the learner node: those of the learner, and what the node adds."""

from __future__ import annotations

from pydantic import Field

from nrl_ros.base.limits import LearnerLimits
from nrl_ros.base.settings import Settings, at_start, live, realtime
from nrl_ros.learning.settings import CreditSettings, LearnerSettings


class CreditGroup(CreditSettings):
    """Credit windows."""

    rpe_timeout_s: float = Field(
        2.0,
        gt=0,
        description='Lockstep: wait this long for the RPE of a closed window, longer only where '
        'RPEs usually take long [s]',
    )


class CheckpointGroup(Settings):
    """Checkpoints of the learner."""

    folder: str = at_start('', 'Where checkpoints are written; empty: none')
    anywhere: bool = at_start(
        False,
        'Let the services save_checkpoint and load_checkpoint take paths outside of the folder too',
    )
    period_s: float = live(60.0, 'Time between checkpoints [s]; 0: only on request', ge=0)
    keep: int = Field(
        5, ge=1, description='Newest checkpoints of this run kept [1]; those of other runs stay'
    )
    load: str = at_start(
        '',
        'Checkpoint to start from, or a folder: its newest one that can be read, if there is one; '
        'empty: start anew',
    )
    keep_settings: bool = Field(
        False,
        description='With load: learning rate and noise as the parameters say, instead of those '
        'in force when the checkpoint was written',
    )


class LearnerNodeSettings(LearnerSettings):
    """Everything the learner node takes."""

    autostart: bool = Field(True, description='Configure and activate without being told to')
    realtime_priority: int = realtime(0)
    evaluate: bool = live(False, 'Act greedily, without noise and without learning')
    status_period_s: float = Field(0.5, gt=0, description='Time between status messages [s]')
    credit: CreditGroup = CreditGroup()
    limits: LearnerLimits = LearnerLimits()
    checkpoint: CheckpointGroup = CheckpointGroup()
