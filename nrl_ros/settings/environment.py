"""Settings of an environment node."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from nrl_ros.base.part_files import absolute_name
from nrl_ros.base.records import Delivery
from nrl_ros.base.settings import Settings, at_start, realtime
from nrl_ros.environments.human_reward import HumanRewardSettings
from nrl_ros.environments.intervention import EndEpisodeSettings, InterventionSettings
from nrl_ros.environments.mastery import MasterySettings
from nrl_ros.settings.presets import WithPreset


def _absolute(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with absolute paths in the names of what lies in files."""
    return {
        key: absolute_name(value) if isinstance(value, str) else value
        for key, value in options.items()
    }


class BridgeGroup(Settings):
    """The environment, and options of its own."""

    name: Annotated[str, AfterValidator(absolute_name)] = Field(
        'gymnasium', description='Bridge, as in the registry: see docs/bridges.md'
    )
    instances: int = Field(1, ge=1, description='Parallel instances of the environment [1]')
    options: Annotated[dict[str, Any], AfterValidator(_absolute)] = Field(
        {}, description='Options of the bridge, given as bridge.options.NAME'
    )


class RewardGroup(Settings):
    """When rewards are delivered."""

    delivery: Literal['every_step', 'every_n_steps', 'episode'] = Field(
        'episode', description='When rewards are handed over; sets the credit windows'
    )
    steps: int = Field(0, ge=0, description='n of every_n_steps, otherwise 0 [1]')

    @model_validator(mode='after')
    def _steps_fit(self) -> RewardGroup:
        if (self.delivery == 'every_n_steps') != (self.steps > 0):
            raise ValueError(
                f'reward.steps must be positive with every_n_steps and 0 otherwise, '
                f'received {self.steps} with {self.delivery}'
            )
        return self

    def core(self) -> Delivery:
        """Return the delivery as the tracker takes it."""
        return Delivery[self.delivery.upper()]


class StopGroup(Settings):
    """When the node has finished."""

    steps: int = Field(0, ge=0, description='Environment steps of all instances; 0: no limit [1]')
    episodes: int = Field(0, ge=0, description='Ended episodes; 0: no limit [1]')
    exit: bool = Field(True, description='End the process when done')
    learned: MasterySettings = MasterySettings()


class EnvironmentCheckpointGroup(Settings):
    """Saved states of the environment, beside the learner's checkpoints."""

    folder: str = at_start('', 'Where states are written; empty: none')
    keep: int = Field(5, ge=1, description='Newest states of this run kept [1]')
    load: str = at_start('', 'State to start from; empty: start anew')


class EnvironmentNodeSettings(WithPreset):
    """Settings of the environment node."""

    node: ClassVar[str] = 'environment'

    autostart: bool = Field(
        True, description='Configure and activate without waiting for a command'
    )
    realtime_priority: int = realtime(0)
    agent: str = Field(
        'agent', pattern=r'^[A-Za-z][A-Za-z0-9_]{0,63}$', description='Name of the agent, unique'
    )
    seed: int = Field(0, ge=0, description='Fixes everything random in the environment')
    session: int = Field(
        0,
        ge=0,
        le=2**62,
        description='Number of the first session, by which whoever started the node knows its '
        'messages; later ones count on from it; 0: drawn',
    )
    mode: Literal['lockstep', 'realtime'] = Field(
        'lockstep', description='Wait for each action, or run at the control period'
    )
    control_period_s: float = Field(
        0.0, ge=0, description="Real time: period of a step [s]; 0: the bridge's own"
    )
    resend_period_s: float = Field(
        0.5,
        gt=0,
        description='Lockstep: send the state again after this long without an action [s]; used '
        'until the time that answers take has been measured',
    )
    status_period_s: float = Field(0.5, gt=0, description='Time between status messages [s]')
    report_period_s: float = Field(0.2, gt=0, description='Time between episode reports [s]')
    progress_period_s: float = Field(
        5.0, ge=0, description='Time between two lines of progress in the log [s]; 0: none'
    )
    bridge: BridgeGroup = BridgeGroup()
    reward: RewardGroup = RewardGroup()
    human_reward: HumanRewardSettings = HumanRewardSettings()
    intervention: InterventionSettings = InterventionSettings()
    end_episode: EndEpisodeSettings = EndEpisodeSettings()
    stop: StopGroup = StopGroup()
    checkpoint: EnvironmentCheckpointGroup = EnvironmentCheckpointGroup()
