"""Commands that speak to a run that goes on: goals, rewards, ends of episodes, approvals."""

from __future__ import annotations

import math
from enum import Enum
from typing import Annotated

import typer
from rich.console import Console

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli.failing import errors as _errors
from nrl_ros.cli.options import Domain

Agent = Annotated[str, typer.Option(help='Name of the environment; default: of the only one')]
Namespace = Annotated[str, typer.Option(help='Of its run; default: of the only one')]


def _check_finite(*values: float) -> None:
    """Refuse what no node takes before one is looked for.

    Raises:
        ConfigError: a value is infinite or not a number.
    """
    for value in values:
        if not math.isfinite(value):
            raise ConfigError(f'expected finite numbers, received {value}')


def reach(
    x: Annotated[float, typer.Argument(help='Target of the tool [m]')],
    y: Annotated[float, typer.Argument()],
    z: Annotated[float, typer.Argument()],
    roll: Annotated[float | None, typer.Argument(help='Its orientation about x [rad]')] = None,
    pitch: Annotated[float | None, typer.Argument(help='then about y')] = None,
    yaw: Annotated[float | None, typer.Argument(help='then about z')] = None,
    frame: Annotated[str, typer.Option(help="Of the target; default: the workspace's")] = '',
    tolerance: Annotated[
        float, typer.Option(help='Distance that counts as reached [m]; 0: as in the task', min=0)
    ] = 0.0,
    limit: Annotated[float, typer.Option(help='Time limit [s]; 0: as in the task', min=0)] = 0.0,
    preempt: Annotated[
        bool, typer.Option('--preempt', help='Take the place of a goal that is being served')
    ] = False,
    learn: Annotated[
        bool, typer.Option('--learn', help='Explore and learn on the way, as in training')
    ] = False,
    namespace: Annotated[
        str, typer.Option(help='Of the arm; default: of the only one that serves goals')
    ] = '',
    domain: Domain = None,
) -> None:
    """Bring the tool of a running arm to a target with what was learned; Ctrl-C cancels."""
    with _errors():
        given = [angle for angle in (roll, pitch, yaw) if angle is not None]
        _check_finite(x, y, z, *given, tolerance, limit)
        if len(given) not in (0, 3):
            raise ConfigError(
                f'expected X Y Z, or X Y Z ROLL PITCH YAW, received {3 + len(given)} numbers'
            )
        from nrl_ros.cli.reach import ReachOptions, run

        options = ReachOptions(
            (x, y, z),
            (given[0], given[1], given[2]) if given else None,
            frame=frame,
            tolerance_m=tolerance,
            time_limit_s=limit,
            preempt=preempt,
            learn=learn,
            namespace=namespace,
            domain=domain,
        )
        raise typer.Exit(run(options, Console()))


def reward(
    value: Annotated[float, typer.Argument(help='The reward, as 1 or -1')],
    agent: Agent = '',
    namespace: Namespace = '',
    domain: Domain = None,
) -> None:
    """Give an environment of a running training a reward, as a person who watches it."""
    with _errors():
        _check_finite(value)
        from nrl_ros.cli import people

        options = people.PeopleOptions(agent, namespace, domain)
        raise typer.Exit(people.reward(options, value, Console()))


class Ended(str, Enum):
    """Outcomes that a person may tell."""

    SUCCESS = 'success'
    FAILURE = 'failure'
    ABORT = 'abort'


def end(
    outcome: Annotated[Ended, typer.Argument(help='How the task ended; an abort teaches nothing')],
    instance: Annotated[
        list[int] | None, typer.Option(help='Index of an instance; several times; default: all')
    ] = None,
    agent: Agent = '',
    namespace: Namespace = '',
    domain: Domain = None,
) -> None:
    """End the running episodes of an environment, as a person who watches it."""
    with _errors():
        from nrl_ros.cli import people

        options = people.PeopleOptions(agent, namespace, domain)
        raise typer.Exit(people.end(options, outcome.value, instance or (), Console()))


def approve(
    reject: Annotated[
        bool, typer.Option('--reject', help='Discard the updates, or let it wait on')
    ] = False,
    namespace: Annotated[
        str, typer.Option(help='Of the learner; default: of the only one that is found')
    ] = '',
    domain: Domain = None,
) -> None:
    """Let a learner act by the updates that wait for approval, or learn again after a fall."""
    with _errors():
        from nrl_ros.cli.approve import run

        raise typer.Exit(run(namespace, domain, Console(), yes=not reject))
