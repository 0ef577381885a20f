"""What ``nrl arm`` refuses before it starts anything, the files it writes, and its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nrl_ros.base.errors import BridgeError, NrlError
from nrl_ros.base.settings import dotted, load
from nrl_ros.cli import config, topic_model
from nrl_ros.cli.arm import (
    check_options,
    make_plan,
    start_from,
)
from nrl_ros.cli.options import ArmOptions
from nrl_ros.monitor.arm_figures import ArmFigures
from nrl_ros.monitor.progress import Progress
from nrl_ros.robots.arm.episode import ReachEpisodes
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.settings.arm_driver import ArmDriverNodeSettings
from nrl_ros.settings.safety import SafetyNodeSettings, WatchdogNodeSettings
from nrl_ros.storage.checkpoint import write_checkpoint

pytest.importorskip('mujoco')

FROM_TOPIC = 'name: own\nmodel: robot_description\njoints: [a]\n'


def described(folder: Path, text: str) -> Path:
    path = folder / 'own.yaml'
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'robot': 'ur6'}, "unknown task 'ur6', did you mean 'ur5e'"),
        (
            {'robot': 'cartpole'},
            "cartpole.yaml: the task's bridge is 'gymnasium', expected one of an arm",
        ),
        ({'robot': 'own.yaml'}, "--robot takes the name .* 'own.yaml': --robot-file takes"),
        ({'config': 'ur6'}, "unknown task 'ur6', did you mean 'ur5e'"),
        ({'config': 'nowhere.yaml'}, 'cannot read .*nowhere.yaml'),
        ({'overrides': ('safety.dry=true',)}, "--set safety: unknown parameter 'dry'"),
        ({'overrides': ('arm_driver.plant=clay',)}, "--set arm_driver: .*'clay'"),
        ({'overrides': ('drive.plant=mujoco',)}, "unknown node 'drive', did you mean 'arm_driver'"),
        ({'overrides': ('safety.robot=fr3',)}, 'name it by --robot or --robot-file'),
        ({'speed_share': 0.0}, r'--speed-share must be in \(0, 1\], received 0.0'),
        ({'speed_share': 1.5}, r'--speed-share must be in \(0, 1\], received 1.5'),
        ({'load': Path('nowhere')}, '--load: nowhere is no checkpoint, no folder of them'),
        ({'robot_file': Path('nowhere.yaml')}, 'cannot read .*nowhere.yaml'),
        ({'overrides': ('learner.sed=3',)}, 'learner: .*sed'),
        (
            {'overrides': ('environment.bridge.options.homing.wait=true',)},
            "bridge 'ros2_control_arm': unknown option 'homing.wait'",
        ),
        (
            {'overrides': ('environment.bridge.options.homing.timeout_s=-1',)},
            'homing.timeout_s.*greater than 0',
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(options: dict[str, Any], said: str) -> None:
    with pytest.raises(NrlError, match=said):
        check_options(ArmOptions(**options))


def saved(folder: Path, manifest: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / 'learner_00000001.nrl'
    write_checkpoint(path, 'learner', {'manifest': manifest})
    return path


def test_a_policy_that_cannot_be_read_is_not_started_without(tmp_path: Path) -> None:
    path = saved(tmp_path / 'saved', '')
    check_options(ArmOptions(load=path))
    path.write_bytes(path.read_bytes()[:-3])
    for load_from in (path, path.parent):
        with pytest.raises(NrlError, match='no checkpoint that can be read: .*cut off'):
            check_options(ArmOptions(load=load_from))


def test_a_policy_of_another_arm_is_not_started(tmp_path: Path) -> None:
    options = ArmOptions(robot='ur5e')
    settings = check_options(options)
    task = ReachSettings.model_validate(dict(settings.environment.bridge.options))
    manifest = ReachEpisodes(load_robot('ur5e'), task, 1).spec.manifest
    check_options(ArmOptions(robot='ur5e', load=saved(tmp_path, manifest)))
    # At a tenth of the speed it is still the same one.
    check_options(ArmOptions(robot='ur5e', load=saved(tmp_path, manifest), speed_share=0.1))
    other = saved(tmp_path, manifest.replace('1 rad/s', '3.14 rad/s', 1))
    with pytest.raises(NrlError, match="3.14 rad/s', this arm has 'shoulder_pan_joint: .* 1 rad/s"):
        check_options(ArmOptions(robot='ur5e', load=other))


@pytest.mark.parametrize(
    ('group', 'said'),
    [
        ('watchdog: {state_timeout_s: 0.001}', 'watchdog.state_timeout_s must be longer than the'),
        ('watchdog: {tracking_error_rad: .inf}', r'tracking_error_rad: .* finite .* inf\)$'),
        ('limits: {velocity_rad_s: [.nan]}', r'velocity_rad_s.0: .* finite .* nan\)$'),
        ('control: {rate_hz: .inf}', r'rate_hz: .* finite .* inf\)$'),
    ],
)
def test_times_and_errors_that_watch_nothing_are_refused(
    tmp_path: Path, group: str, said: str
) -> None:
    path = described(tmp_path, f'name: own\nmodel: planar\n{group}\n')
    with pytest.raises(NrlError, match=said):
        check_options(ArmOptions(robot_file=path))


def test_a_rehearsal_without_the_drivers_model_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(topic: str) -> str:
        raise BridgeError(f'nothing on {topic}: name a URDF or MJCF file as model')

    monkeypatch.setattr(topic_model, '_fetch', nothing)
    path = described(tmp_path, FROM_TOPIC)
    with pytest.raises(NrlError, match='name a URDF or MJCF file as model'):
        check_options(ArmOptions(robot_file=path))
    check_options(ArmOptions(robot_file=path, real=True))


def test_a_wrong_description_is_refused(tmp_path: Path) -> None:
    path = described(tmp_path, 'name: own\nmodel: planar\nlimits: {velocity: [0.1]}\n')
    with pytest.raises(NrlError, match=r'limits\.velocity'):
        check_options(ArmOptions(robot_file=path))


def test_nothing_is_left_behind_by_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(NrlError):
        make_plan(ArmOptions(robot='ur5e', load=tmp_path / 'none', root=tmp_path / 'runs'))
    assert not list(tmp_path.iterdir())


def test_the_files_say_what_was_asked_for(tmp_path: Path) -> None:
    """Each section is valid for its node, and the task by itself is still the simulated one."""
    options = ArmOptions(
        robot='planar',
        speed_share=0.25,
        dry_run=True,
        evaluate=True,
        episodes=7,
        overrides=('environment.bridge.options.homing.wait_for_go=true',),
        root=tmp_path,
    )
    plan = make_plan(options)
    assert plan.run.folder.name.startswith('arm-planar-')
    data = yaml.safe_load(plan.params[1].read_text())
    flat = {key.rpartition('/')[2]: dotted(value['ros__parameters']) for key, value in data.items()}
    safety = load(SafetyNodeSettings, flat['safety'], source='safety')
    assert (safety.robot, safety.speed_share, safety.dry_run) == ('planar', 0.25, True)
    assert load(ArmDriverNodeSettings, flat['arm_driver'], source='driver').robot == 'planar'
    simulated = config.resolve(plan.params[0])
    assert simulated.environment.bridge.name == 'arm'
    assert simulated.learner.checkpoint.folder == str(plan.run.checkpoints)
    nodes = config.read_config(plan.params[0])
    for name in nodes:
        nodes[name] |= flat[name]
    arm = config.check(nodes, source='both files')
    assert arm.environment.bridge.name == 'ros2_control_arm'
    assert (arm.environment.mode, arm.environment.stop.episodes) == ('realtime', 7)
    assert arm.environment.progress_period_s == 0.0  # `nrl arm` has a display of its own
    assert arm.environment.bridge.options['homing'] == {'wait_for_go': True}
    assert arm.learner.evaluate


def told(plan: Any) -> dict[str, dict[str, Any]]:
    """What the nodes of a plan are told, by node: the later file wins."""
    nodes: dict[str, dict[str, Any]] = {}
    for path in plan.params:
        for key, value in yaml.safe_load(path.read_text()).items():
            nodes.setdefault(key.rpartition('/')[2], {}).update(dotted(value['ros__parameters']))
    return nodes


def test_settings_of_the_command_line_reach_every_node(tmp_path: Path) -> None:
    options = ArmOptions(
        robot='planar',
        speed_share=0.5,
        overrides=(
            'arm_driver.plant=mujoco',
            'arm_driver.realtime_priority=0',
            'safety.status_period_s=0.25',
            'safety.speed_share=0.25',
            'environment.stop.episodes=3',
            'environment.bridge.options.goals.serve=never',
            'learner.evaluate=true',
            'learner.plasticity.learning_rate=0.5',
        ),
        out=tmp_path / 'run',
    )
    plan = make_plan(options)
    nodes = told(plan)
    driver = load(ArmDriverNodeSettings, nodes['arm_driver'], source='driver')
    assert (driver.plant, driver.realtime_priority, driver.robot) == ('mujoco', 0, 'planar')
    safety = load(SafetyNodeSettings, nodes['safety'], source='safety')
    # The stricter share counts, for whoever brings the arm to rest too.
    assert (safety.status_period_s, safety.speed_share, plan.speed_share) == (0.25, 0.25, 0.25)
    arm = config.check({name: nodes[name] for name in config.MODELS}, source='all')
    assert arm.environment.stop.episodes == 3 and arm.learner.evaluate
    assert plan.settings.environment.stop.episodes == 3
    assert arm.environment.bridge.options['goals'] == {'serve': 'never'}
    # A checkpoint carries its own rate, which is not what was asked for.
    assert arm.learner.checkpoint.keep_settings
    assert arm.environment.bridge.name == 'ros2_control_arm'


def test_a_run_that_is_loaded_gives_robot_task_and_settings(tmp_path: Path) -> None:
    """Also those that were given by --set then; what is its own stays its own."""
    text = (config.find_config('planar').parent / 'robots/planar.yaml').read_text()
    own = described(tmp_path, text.replace('name: planar', 'name: own'))
    wide = 'learner.network.hidden_sizes=[7, 7]'
    first = make_plan(
        ArmOptions(robot_file=own, config='planar', overrides=(wide,), out=tmp_path / 'first')
    )
    with first.start as start:
        start.begin()
    manifest = ReachEpisodes(
        load_robot(str(own)),
        ReachSettings.model_validate(dict(first.settings.environment.bridge.options)),
        1,
    ).spec.manifest
    saved(first.run.checkpoints, manifest)
    again = make_plan(ArmOptions(load=first.run.folder, out=tmp_path / 'again'))
    assert again.robot == str(own)
    learner, environment = again.settings.learner, again.settings.environment
    assert learner.network.hidden_sizes == (7, 7)
    nodes = told(again)
    assert nodes['learner']['checkpoint.folder'] == str(again.run.checkpoints)
    assert nodes['learner']['checkpoint.load'] == str(
        first.run.checkpoints / 'learner_00000001.nrl'
    )
    assert environment.checkpoint.folder == '' and not learner.checkpoint.keep_settings
    # What is named counts more: another robot, another task.
    other = make_plan(ArmOptions(load=first.run.folder, robot='planar', root=tmp_path / 'a'))
    assert other.robot == 'planar' and other.settings.learner.network.hidden_sizes == (7, 7)
    task = check_options(ArmOptions(load=first.run.checkpoints, config='planar', robot_file=own))
    assert task.learner.network.hidden_sizes != (7, 7)


@pytest.mark.parametrize('robot', ['ur5e', 'fr3', 'planar'])
def test_an_arm_learns_from_nothing_by_settings_of_its_own(tmp_path: Path, robot: str) -> None:
    """And going on with what it has learned needs none of them again, and does not end at once."""
    own = config.resolve(config.find_config(robot))
    first = make_plan(ArmOptions(robot=robot, from_nothing=True, out=tmp_path / 'first'))
    nodes = told(first)
    arm = config.check({name: nodes[name] for name in config.MODELS}, source='all')
    options = arm.environment.bridge.options
    assert arm.learner.plasticity.samples > own.learner.plasticity.samples
    assert arm.learner.plasticity.averaging and options['episode']['home_every'] == 0
    assert options['target'] == own.environment.bridge.options['target']
    assert arm.environment.stop.learned.share > 0.5
    with first.start as start:
        start.begin()
    manifest = ReachEpisodes(load_robot(robot), ReachSettings.model_validate(dict(options)), 1)
    saved(first.run.checkpoints, manifest.spec.manifest)
    again = make_plan(ArmOptions(load=first.run.folder, out=tmp_path / 'again'))
    assert again.settings.learner.plasticity == arm.learner.plasticity
    going = again.settings.environment
    assert going.bridge.options['observation'] == options['observation']
    assert going.stop.learned.share == told(again)['environment']['stop.learned.share'] == 0.0


@pytest.mark.parametrize('given', [{'load': Path('nowhere')}, {'evaluate': True}])
def test_nothing_that_was_learned_goes_with_learning_from_nothing(given: dict[str, Any]) -> None:
    with pytest.raises(NrlError, match='--from-nothing begins with a network that knows nothing'):
        check_options(ArmOptions(robot='planar', from_nothing=True, **given))


def test_steps_that_an_earlier_run_counted_are_not_counted_again() -> None:
    progress = Progress()
    progress.counters['learner'] = {'limited_steps': 70, 'unapplied_steps': 4}
    progress.restored['learner'] = {'limited_steps': 60}
    assert progress.since_start('learner') == {'limited_steps': 10, 'unapplied_steps': 4}
    assert progress.since_start('environment') == {}


def test_a_task_may_be_a_file_that_names_its_robot(tmp_path: Path) -> None:
    path = tmp_path / 'mine.yaml'
    text = config.find_config('planar').read_text()
    path.write_text(text.replace('steps: ', 'home_every: 3, steps: ', 1))
    plan = make_plan(ArmOptions(config=str(path), root=tmp_path))
    assert plan.run.folder.name.startswith('arm-mine-') and plan.robot == 'planar'
    assert plan.settings.environment.bridge.options['episode']['home_every'] == 3


@pytest.mark.parametrize('realtime', [True, False])
def test_the_watchdog_of_a_composed_arm_comes_before_what_may_hang(
    tmp_path: Path, realtime: bool
) -> None:
    options = ArmOptions(
        robot='planar', compose=True, speed_share=0.5, realtime=realtime, out=tmp_path / 'run'
    )
    given = yaml.safe_load(make_plan(options).params[1].read_text())
    flat = {key.rpartition('/')[2]: value['ros__parameters'] for key, value in given.items()}
    watchdog = load(WatchdogNodeSettings, flat['watchdog'], source='watchdog')
    safety = load(SafetyNodeSettings, flat['safety'], source='safety')
    assert (watchdog.robot, watchdog.speed_share) == (safety.robot, safety.speed_share)
    assert (watchdog.realtime_priority > safety.realtime_priority) is realtime


@pytest.mark.parametrize('realtime', [True, False])
def test_what_commands_comes_before_what_learns_or_nothing_before_anything(
    tmp_path: Path, realtime: bool
) -> None:
    plan = make_plan(ArmOptions(robot='planar', realtime=realtime, out=tmp_path / 'run'))
    given = yaml.safe_load(plan.params[1].read_text())
    flat = {key.rpartition('/')[2]: value['ros__parameters'] for key, value in given.items()}
    driver, safety = (
        load(model, flat[name], source=name).realtime_priority
        for name, model in (('arm_driver', ArmDriverNodeSettings), ('safety', SafetyNodeSettings))
    )
    environment, learner = (flat[name]['realtime_priority'] for name in ('environment', 'learner'))
    if realtime:
        assert 98 >= driver > safety > environment > learner > 0
    else:
        assert (driver, safety, environment, learner) == (0, 0, 0, 0)
    assert 'realtime_priority' not in flat['neuromodulator']


def test_a_run_folder_stands_for_its_newest_checkpoint(tmp_path: Path) -> None:
    plan = make_plan(ArmOptions(robot='planar', out=tmp_path / 'run'))
    with plan.start as start:
        start.begin()
    with pytest.raises(NrlError, match='nothing to load'):
        start_from(ArmOptions(robot='planar', load=plan.run.folder))
    with pytest.raises(NrlError, match='no folder of them'):
        start_from(ArmOptions(robot='planar', load=plan.run.checkpoints))
    (plan.run.checkpoints / 'learner_00000003.nrl').touch()
    folder = start_from(ArmOptions(robot='planar', load=plan.run.checkpoints))
    assert folder == str(plan.run.checkpoints)


def test_success_is_counted_over_the_last_twenty_episodes() -> None:
    figures = ArmFigures()
    assert figures.summary()['figures'] == {}
    metres = np.array([0.5] * 10 + [0.03] * 15 + [0.01] * 5)
    within = {'is_within_5_cm': metres < 0.05, 'is_within_2_cm': metres < 0.02}
    figures.recent.add({'final_distance_m': metres} | within)
    assert figures.summary()['figures']['is_within_2_cm'] == 0.25
    assert figures.summary()['final_distances_m'] == [0.03] * 15 + [0.01] * 5
    figures.counters = {'limited_steps': 3, 'steps': 99}
    figures.mode, figures.moves, figures.episodes = 'following', 'acts', 30
    line = figures.line()
    assert line.startswith('following: acts  episodes 30  ended at 1.0, 1.0, 1.0 cm')
    assert 'within 5 cm 100 %  within 2 cm 25 %  limited steps 3' in line
    assert '99' not in line
    figures.mode, figures.why = 'STOPPED', 'stale'
    assert figures.line().startswith('STOPPED  episodes')


def test_a_run_whose_last_episode_was_aborted_is_not_finished() -> None:
    figures = ArmFigures()
    figures.hear_episodes([False, True])
    assert (figures.episodes, figures.aborted) == (2, 1)
    assert 'the last episode was aborted' in figures.problem()
    figures.hear_safety('STOPPED', 'service ~/stop', stopped=True)
    assert figures.problem() == 'the arm is stopped: STOPPED: service ~/stop'
    # Cleared, and an episode came to its end: what was before does not matter.
    figures.hear_safety('following', '', stopped=False)
    assert figures.problem() == 'the last episode was aborted; STOPPED: service ~/stop'
    figures.hear_episodes([False])
    assert figures.problem() == '' and figures.aborted == 1
    figures.hear_episodes([])
    assert figures.problem() == ''


def test_learning_is_guarded_on_a_real_arm_unless_it_is_switched_off() -> None:
    off = 'learner.guard.enabled=false'
    assert check_options(ArmOptions(robot='planar', real=True)).learner.guard.enabled
    assert not check_options(ArmOptions(robot='planar')).learner.guard.enabled
    real = check_options(ArmOptions(robot='planar', real=True, overrides=(off,)))
    assert not real.learner.guard.enabled
