"""Options of the bridge 'gymnasium'."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from nrl_ros.base.settings import Settings
from sim_bridge.gymnasium_wrappers import Wrapping, known_wrappers


class GymnasiumOptions(Settings):
    """Options of the bridge 'gymnasium'."""

    id: str = Field(
        description='Id of the environment, as gymnasium.make takes it; MODULE:ID, whose module '
        'registers it; or FILE.py:NAME, a class of gymnasium.Env in a file'
    )
    folder: str = Field(
        '',
        description='Folder where the module of MODULE:ID is, beside those where Python looks; '
        'empty: the one that the process is started in',
    )
    kwargs: dict[str, Any] = Field({}, description="The environment's own arguments")
    max_episode_steps: int = Field(
        0, ge=0, description="Steps after which an episode is truncated; 0: the id's own [1]"
    )
    vectorize: bool = Field(True, description='Use the vector entry point if there is one')
    wrappers: list[Wrapping] = Field(
        [],
        description="Gymnasium's wrappers by name, the innermost first; one with options as "
        '{NAME: {OPTION: VALUE}}',
    )
    render: bool = Field(
        False, description='Make it so that it can be filmed, as `nrl eval --film` does'
    )
    scaling: Literal['none', 'bounds', 'fixed'] = Field(
        'none',
        description='Observations as they are; bounded components to -1..1; or '
        '(observation - offset) * scale',
    )
    offset: list[float] = Field([], description='With fixed: [O] numbers, or one for all; empty: 0')
    scale: list[float] = Field([], description='With fixed: [O] numbers, or one for all; empty: 1')
    action_low: list[float] = Field(
        [], description='Lower action bounds [A], if the environment has none'
    )
    action_high: list[float] = Field(
        [], description='Upper action bounds [A], if the environment has none'
    )
    control_period_s: float = Field(
        0.0, ge=0, description="Period of a step [s]; 0: the environment's own"
    )

    @field_validator('wrappers')
    @classmethod
    def _known(cls, chosen: list[Wrapping]) -> list[Wrapping]:
        known_wrappers(chosen)
        return chosen
