"""Settings for a task of which only the name is given: ``gymnasium:ID``, or ``FILE.py:NAME``."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nrl_ros.base.errors import ConfigError, nearest
from nrl_ros.base.part_files import absolute_name, is_file_name, load_part
from nrl_ros.base.settings import Flat
from nrl_ros.cli import config
from nrl_ros.cli.display import Say
from nrl_ros.cli.one_instance import one_instance
from nrl_ros.cli.runs import check_can_write, write_whole
from nrl_ros.environments.random_steps import Facts, take_random_steps
from nrl_ros.environments.registry import bridge_names
from nrl_ros.experiments.proposal import ALL, GYMNASIUM, Proposal, propose
from nrl_ros.settings.run import RunSettings

# As many steps as are taken, if they do not take longer than this [s].
_STEPS, _LIMIT_S = 500, 10.0
_SAID_EVERY_S = 2.0


def is_new_task(task: str) -> bool:
    """Return True if a name is that of an environment, and not of a file of settings."""
    return ':' in task or is_file_name(task)


def short_name(task: str) -> str:
    """Return a name for files and folders, such as ``LunarLander-v3`` for its id."""
    last = re.split(r'[:/]', task)[-1]
    return re.sub(r'[^A-Za-z0-9_.-]+', '_', last).strip('._-') or 'task'


def given_nodes(task: str) -> dict[str, Flat]:
    """Return the settings that the name of a task stands for: its bridge, and the bridge's options.

    Raises:
        ConfigError: it names no environment.
    """
    environment: Flat = {'agent': _agent(task)}
    if is_file_name(task):
        environment |= _in_file(task)
    else:
        bridge, _, name = task.partition(':')
        if bridge != GYMNASIUM or not name:
            raise ConfigError(_unknown(task, bridge))
        environment |= _gymnasium(name)
    return {'learner': {}, 'neuromodulator': {}, 'environment': environment}


def propose_settings(task: str, settings: RunSettings, say: Say) -> Proposal:
    """Take random steps in one instance of an environment, and choose settings for it.

    Args:
        task: as given.
        settings: with the environment that is tried; all else is not read.
        say: gets texts on what takes long.

    Raises:
        BridgeError: the environment cannot be made, or failed.
    """
    agent = settings.environment.agent
    with one_instance(settings, task, say, say) as environment:
        facts = _random_steps(environment, agent, say)
    return propose(facts, bridge=settings.environment.bridge.name, agent=agent)


def proposed_nodes(task: str, proposal: Proposal) -> dict[str, Flat]:
    """Return the settings of a task's name together with those that were chosen for it."""
    chosen = proposal.nodes()
    return {name: {**given, **chosen[name]} for name, given in given_nodes(task).items()}


def resolved(
    task: str, overrides: tuple[str, ...], forced: Mapping[str, Flat] | None = None
) -> RunSettings:
    """Return checked settings before anything is chosen: of the name and the command line alone."""
    return config.resolve_nodes(given_nodes(task), overrides, forced, source=task)


def write_file(task: str, out: Path | None, say: Say) -> Path:
    """Choose settings for a task, and write them into a new file with a comment on each.

    Args:
        task: name of the environment.
        out: the file; None: the task's short name in the folder that one stands in.
        say: gets texts on what takes long, and what was chosen.

    Raises:
        ConfigError: the file is there already, or the name is that of no environment.
        BridgeError: the environment cannot be made, or failed.
    """
    if not is_new_task(task):
        raise ConfigError(_unknown(task, task))
    path = out or Path(f'{short_name(task)}.yaml')
    if path.exists():
        raise ConfigError(f'{path} is there already: name another file with --out, or remove it')
    check_can_write(path)
    proposal = propose_settings(task, resolved(task, ()), say)
    for line in proposal.lines:
        say(line)
    write_whole(path, file_of_proposal(task, proposal))
    return path


def file_of_proposal(task: str, proposal: Proposal) -> str:
    """Return a parameter file for a task, with a comment on each setting that was chosen."""
    given = {ALL: {}, **given_nodes(task)}
    nodes = {
        node: {**flat, **{one.name: one.value for one in proposal.settings if one.node == node}}
        for node, flat in given.items()
    }
    comments = {(one.node, one.name): one.comment for one in proposal.settings}
    title = f'{short_name(task)}: settings that nrl new chose from random steps of {task}'
    end = 'All settings: nrl params, or docs/parameters.md.'
    return config.commented_file(nodes, comments, head=(title, '', *proposal.lines, '', end))


def _random_steps(environment: Any, agent: str, say: Say) -> Facts:
    last = time.monotonic()

    def told(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SAID_EVERY_S:
            last = time.monotonic()
            say(f'trying the environment: {done} of {total} random steps')

    return take_random_steps(
        environment, agent, steps=_STEPS, limit_s=_LIMIT_S, clock=time.monotonic, told=told
    )


def _agent(task: str) -> str:
    name = re.sub(r'\W+', '_', short_name(task), flags=re.ASCII)[:64]
    return name if name[:1].isalpha() else f'task_{name}'[:64]


def _in_file(task: str) -> Flat:
    """Return the settings for what is in a file: a bridge takes ``instances`` first."""
    part = load_part(task, 'environment')
    try:
        first = next(iter(inspect.signature(part).parameters), '')
    except (TypeError, ValueError):
        first = ''
    name = absolute_name(task)
    if first == 'instances':
        return {'bridge.name': name}
    return {'bridge.name': GYMNASIUM, 'bridge.options.id': name}


def _gymnasium(name: str) -> Flat:
    """Return the settings for an id; a module of the folder that one stands in is noted with it."""
    settings: Flat = {'bridge.name': GYMNASIUM, 'bridge.options.id': name}
    module = name.rpartition(':')[0].partition('.')[0]
    here = Path.cwd()
    if module and ((here / f'{module}.py').is_file() or (here / module).is_dir()):
        settings['bridge.options.folder'] = str(here)
    return settings


def _unknown(task: str, bridge: str) -> str:
    if bridge in bridge_names() and bridge != GYMNASIUM:
        return (
            f'{task!r}: the bridge {bridge!r} needs a file of settings, as config/{bridge}.yaml; '
            f'only {GYMNASIUM}:ID and FILE.py:NAME need none'
        )
    like = '' if bridge == GYMNASIUM else nearest(bridge, [GYMNASIUM])
    return (
        f'unknown task {task!r}{like}; expected {GYMNASIUM}:ID, '
        f'{GYMNASIUM}:MODULE:ID, FILE.py:NAME, or one of `nrl list tasks`'
    )
