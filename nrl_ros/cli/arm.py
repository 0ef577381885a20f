"""The command ``nrl arm``: its options, the files that it gives to the nodes, and what it shows.

Nothing here imports ROS, so that a wrong option is reported even if ROS is missing; ``arm_watch``
runs the nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.base.manifest import first_difference, sides
from nrl_ros.base.settings import load, parse
from nrl_ros.cli import arm_task, config
from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.options import ArmOptions
from nrl_ros.cli.runs import Run, create_run, json_text, newest, open_run, versions
from nrl_ros.cli.start import Start
from nrl_ros.cli.topic_model import ROBOT, fetched_model, kept_robot
from nrl_ros.robots.arm.description import FROM_TOPIC, read_robot
from nrl_ros.robots.arm.episode import ReachEpisodes
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.settings.safety import SafetyNodeSettings
from nrl_ros.storage.checkpoint import read_checkpoint

# Priorities under SCHED_FIFO, below those of the safety node (48) and of the arm's driver (50, as
# ros2_control's own loop; docs/real_arm.md).
PRIORITIES = {'environment': 46, 'learner': 44}


@dataclass(frozen=True)
class ArmPlan:
    """A run of an arm that is ready to start.

    Attributes:
        run: its folder.
        settings: of the nodes in this run.
        params: parameter files, later ones winning.
        start: writes them into the folder once the environment is heard.
        robot: description that the nodes read.
        speed_share: share of the described speeds [1].
        dry_run: nothing is commanded.
    """

    run: Run
    settings: RunSettings
    params: list[Path]
    start: Start
    robot: str
    speed_share: float
    dry_run: bool


def check_options(options: ArmOptions) -> RunSettings:
    """Check everything that needs neither ROS nor a run folder.

    Raises:
        NrlError: a robot, task, checkpoint or setting is wrong.
    """
    if not 0.0 < options.speed_share <= 1.0:
        raise ConfigError(f'--speed-share must be in (0, 1], received {options.speed_share}')
    chosen_task, robot = arm_task.chosen(options), None
    described, share = chosen_task.robot, safety_settings(options, chosen_task.robot).speed_share
    if not (options.real and read_robot(described).model == FROM_TOPIC):
        # A model on a topic is fetched now, before the command joins a domain of its own.
        robot = load_robot(described, xml=fetched_model(described), share=share)
    start = start_from(options)
    settings = arm_task.on_the_arm(
        chosen_task, options, live(options), essential(chosen_task.robot)
    )
    task = parse(
        ReachSettings,
        settings.environment.bridge.options,
        source="bridge 'ros2_control_arm'",
        what='option',
    )
    if start:
        # A model that comes with the driver is compared by the learner.
        expected = ReachEpisodes(robot, task, 1).spec.manifest if robot else ''
        _check_policy(Path(start), expected)
    return settings


def _check_policy(start: Path, expected: str) -> None:
    """Check that the policy to load can be read, and was learned with the same units and scales.

    Raises:
        NrlError: it cannot be read, or was learned with others: it must not move this arm.
    """
    files = [start] if start.is_file() else sorted(start.glob('learner_*'), reverse=True)
    why = ''
    for file in files:
        try:
            learned = str(read_checkpoint(file, 'learner').get('manifest', ''))
        except NrlError as error:
            why = why or str(error)
            continue
        different = first_difference(learned, expected)
        if different:
            raise ConfigError(
                f'--load: {file} was learned with {different[0]!r}, this arm has '
                f'{different[1]!r}{sides(learned, expected)}: name the robot and task that it was '
                'learned with, or train for this one'
            )
        return
    raise ConfigError(f'--load: {start} has no checkpoint that can be read: {why}')


def essential(robot: str) -> dict[str, config.Flat]:
    """Return the settings without which a task is none of one arm."""
    return {
        'environment': {
            'mode': 'realtime',
            'bridge.name': 'ros2_control_arm',
            'bridge.instances': 1,
            ROBOT: robot,
        }
    }


def of_hardware() -> dict[str, config.Flat]:
    """Return the settings by node of an arm of hardware, which one in simulation does not have."""
    return config.read_config(config.find_config('real', 'arm'))


def live(options: ArmOptions) -> dict[str, config.Flat]:
    """Return the settings of one arm in real time; what ``--set`` names comes before them."""
    return {
        'learner': {
            'autostart': True,
            'evaluate': options.evaluate,
            'realtime_priority': PRIORITIES['learner'] if options.realtime else 0,
            **(of_hardware()['learner'] if options.real else {}),
        },
        'neuromodulator': {'autostart': True},
        'environment': {
            'autostart': True,
            'realtime_priority': PRIORITIES['environment'] if options.realtime else 0,
            'stop.steps': 0,
            'stop.episodes': options.episodes,
            'stop.exit': True,
            # A run that goes on with a policy that has learned would end at once.
            **({} if options.from_nothing else {'stop.learned.share': 0.0}),
            'progress_period_s': 0.0,  # This command has its own display.
            **({'bridge.options.goals.serve': 'only'} if options.serve else {}),
        },
    }


def start_from(options: ArmOptions) -> str:
    """Return the checkpoint, or the folder of checkpoints, to continue from; '' if there is none.

    Raises:
        NrlError: there is none where it was looked for.
    """
    path = options.load
    if path is None:
        return ''
    if (path / 'config.yaml').is_file():
        run = open_run(path)
        path = newest(run, config.resolve(run.config).environment.agent).learner
    elif not (path.is_file() or (path.is_dir() and any(path.glob('learner_*')))):
        raise ConfigError(
            f'--load: {path} is no checkpoint, no folder of them (learner_*.nrl), and no run folder'
        )
    return str(path.resolve())


def make_plan(options: ArmOptions) -> ArmPlan:
    """Make the run folder and the files of its start.

    ``config.yaml`` is the simulated task, as ``nrl eval`` and ``nrl train --resume`` read it;
    ``arm.yaml`` holds the settings that make it the task of one arm in real time.

    Raises:
        NrlError: something is wrong; nothing was started.
    """
    settings, load = check_options(options), start_from(options)
    chosen_task = arm_task.chosen(options)
    run = create_run(
        options.root, f'arm-{chosen_task.name}', settings.learner.seed, folder=options.out
    )
    folder, robot = str(run.checkpoints), chosen_task.robot
    if not options.real:
        robot = kept_robot(robot, run.checkpoints)
    task = arm_task.simulated(
        chosen_task,
        options,
        {
            'learner': {'checkpoint.folder': folder},
            'neuromodulator': {'critic.folder': folder},
            'environment': {ROBOT: robot},
        },
    )
    comment = f'Resolved settings of {run.folder.name}, simulated; arm.yaml wins on the arm.'
    texts = {run.config.name: config.to_yaml(task, comment=comment)}
    nodes = arm_task.written(settings, live(options))
    nodes['environment'] |= essential(robot)['environment']
    if load:
        nodes['learner']['checkpoint.load'] = nodes['neuromodulator']['load'] = load
    _, given = arm_task.overrides_of(options)
    plain = {} if options.realtime else {'realtime_priority': 0}
    if options.record:
        # It is told to begin once the recorder hears it.
        nodes['environment']['autostart'] = False
        nodes['recorder'] = given['recorder']
    nodes['arm_driver'] = {'robot': robot, **plain, **given['arm_driver']}
    safety = safety_settings(options, robot)
    nodes['safety'] = {
        **plain,
        **given['safety'],
        'robot': robot,
        'speed_share': safety.speed_share,
        'dry_run': safety.dry_run,
    }
    if options.compose:
        nodes['watchdog'] = {
            **plain,
            **given['watchdog'],
            'robot': robot,
            'speed_share': safety.speed_share,
        }
    comment = 'What nrl arm tells the nodes besides config.yaml.'
    texts['arm.yaml'] = config.parameter_file(nodes, comment=comment)
    start = Start(run, fresh=True)
    params = start.write(texts)
    start.write({'versions.json': json_text(versions())})
    return ArmPlan(run, settings, params, start, robot, safety.speed_share, safety.dry_run)


def safety_settings(options: ArmOptions, robot: str) -> SafetyNodeSettings:
    """Return the settings of the safety node: of ``--set``, and the stricter ones of options.

    Raises:
        ConfigError: one of them is wrong.
    """
    _, given = arm_task.overrides_of(options)
    found = load(SafetyNodeSettings, {**given['safety'], 'robot': robot}, source='--set safety')
    return found.model_copy(
        update={
            'speed_share': min(found.speed_share, options.speed_share),
            'dry_run': found.dry_run or options.dry_run,
        }
    )
