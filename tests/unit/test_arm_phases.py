"""What a real arm does at present: waits, drives home, asks, runs; time is an argument."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import BridgeError
from nrl_ros.base.settings import load
from nrl_ros.robots.arm.phases import ArmPhases, Names, Phase, PhaseStep, Task
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.safety.records import Mode

ROBOT = load_robot('planar')
PERIOD = 0.04
NAMES = Names('joint_states', 'safety_state', 'safety_status')
FAST = {'homing.speed_share': 1.0}


class Cell:
    """Phases with a clock, an arm that does as it is told, and a safety node that is in order."""

    def __init__(self, **options: Any) -> None:
        flat = {name.replace('__', '.'): value for name, value in options.items()}
        settings = load(ReachSettings, {'robot': 'planar', **FAST, **flat}, source='test')
        self.phases = ArmPhases(ROBOT, settings, PERIOD, NAMES)
        self.now = 50.0
        self.position = ROBOT.home.copy()
        self.mode, self.cause, self.dry_run = Mode.HOLDING, 0, False
        self.by_hand = False
        # What is heard in each period; how often the safety node has ticked.
        self.hears, self.ticks, self.obeys = {'joints', 'safety', 'status'}, 0, True
        self.wrong = self.waits_for = ''
        # Where the episodes stand: the number, steps of it, whether one runs.
        self.episode, self.steps, self.between, self.aimed = 0, 0, True, True
        self.length = 5
        self.goal = self.rests = False
        self.interrupted = 0

    def hear(self) -> None:
        if 'joints' in self.hears:
            self.phases.hear_joints(self.now, self.position.copy(), np.zeros(2))
        if 'safety' in self.hears:
            self.phases.hear_safety(
                self.now, self.mode, self.cause, dry_run=self.dry_run, by_hand=self.by_hand
            )
        if 'status' in self.hears:
            self.ticks += 1
            self.phases.hear_status(self.wrong, self.ticks, self.waits_for)

    def period(self, seconds: float = PERIOD) -> PhaseStep:
        """Let a period pass, as the environment does: hear, decide, move, count."""
        self.now += seconds
        self.hear()
        task = Task(self.episode, self.between, self.aimed, self.goal, self.rests)
        step = self.phases.step(self.now, task)
        if step.velocity is not None:
            self.phases.commanded(step.velocity)
            if self.obeys and not self.dry_run:
                self.position = self.position + step.velocity * seconds
        if step.interrupted:
            self.interrupted += 1
            self.episode, self.between = self.episode + 1, True
        elif step.phase == Phase.RUNNING:
            self.act()
        return step

    def act(self) -> None:
        """Begin an episode, or make a step of it; the arm moves in it."""
        if self.between:
            self.between, self.steps = False, 0
            self.phases.begun()
            return
        self.steps += 1
        self.position = self.position + 0.05
        self.phases.commanded(np.ones(2))
        if self.steps == self.length:
            self.between, self.episode = True, self.episode + 1

    def run(self, periods: int) -> list[Phase]:
        return [self.period().phase for _ in range(periods)]

    def until(self, phase: Phase, most: int = 200) -> list[Phase]:
        """Let periods pass until a phase; return the others before it."""
        seen: list[Phase] = []
        while (now := self.period().phase) != phase:
            seen.append(now)
            assert len(seen) < most, f'{phase} has not come; {self.phases.about()}'
        return seen

    def stop(self) -> None:
        self.mode, self.cause = Mode.STOPPED, 1

    def clear(self) -> None:
        self.mode, self.cause = Mode.HOLDING, 0


def test_an_arm_at_home_begins_at_once() -> None:
    cell = Cell()
    assert cell.period().phase == Phase.RUNNING
    # An arm that is there is told to hold still, once.
    cell = Cell()
    step = cell.period()
    assert step.velocity is not None and not step.velocity.any()
    assert cell.period().velocity is None


def test_an_arm_elsewhere_is_driven_home_before_each_episode_and_only_then() -> None:
    cell = Cell()
    cell.position = ROBOT.home + 0.5
    assert set(cell.until(Phase.RUNNING)) == {Phase.HOMING}
    assert np.abs(cell.position - ROBOT.home).max() < 0.01
    assert cell.phases.homings == 1
    cell.run(cell.length)
    assert set(cell.until(Phase.RUNNING)) == {Phase.HOMING}
    assert cell.phases.homings == 2


@pytest.mark.parametrize(('every', 'homings'), [(1, [0, 1, 2, 3]), (2, [0, 2]), (0, [])])
def test_home_may_come_after_several_episodes(every: int, homings: list[int]) -> None:
    cell = Cell(episode__home_every=every)
    driven = set()
    while cell.episode < 4:
        if cell.period().phase == Phase.HOMING:
            driven.add(cell.episode)
    assert sorted(driven) == [one for one in homings if one]


@pytest.mark.parametrize(
    ('missing', 'said'),
    [
        ('joints', 'no joint states on joint_states'),
        ('safety', 'nothing on safety_state: start the safety node'),
        ('status', 'nothing on safety_status: which robot is limited is not known'),
    ],
)
def test_nothing_moves_before_all_was_heard(missing: str, said: str) -> None:
    cell = Cell()
    cell.position = ROBOT.home + 0.5
    cell.hears.remove(missing)
    for _ in range(50):
        assert cell.period() == (Phase.WAITING, None, False)
        assert cell.phases.why == said
    cell.hears.add(missing)
    # Nothing was lost, since nothing had moved: no ~/go is asked for.
    assert cell.period().phase == Phase.HOMING


def test_nothing_moves_for_the_safety_node_of_another_robot() -> None:
    cell = Cell()
    cell.wrong = 'the safety node limits robot b, and this environment moves a'
    assert cell.run(10) == [Phase.WAITING] * 10
    assert cell.phases.why == cell.wrong
    assert cell.phases.go() == (
        False,
        'refused: the arm waits for joint states and the safety node',
    )


def test_a_safety_node_that_waits_is_quoted() -> None:
    cell = Cell()
    cell.mode, cell.waits_for = Mode.WAITING, 'no joint state'
    assert cell.run(3) == [Phase.WAITING] * 3
    assert cell.phases.why == 'the safety node waits: no joint state'
    cell.waits_for = ''
    cell.period()
    assert cell.phases.why == 'the safety node waits: its log says for what'
    cell.mode = Mode.HOLDING
    assert cell.period().phase == Phase.RUNNING


def running(**options: Any) -> Cell:
    """A cell in the middle of a long episode."""
    cell = Cell(**options)
    cell.length = 1000
    cell.run(3)
    assert not cell.between
    return cell


def test_a_stop_ends_the_episode_and_a_go_is_needed_after_it() -> None:
    cell = running()
    cell.stop()
    step = cell.period()
    assert step == (Phase.STOPPED, None, True)
    assert cell.period() == (Phase.STOPPED, None, False)
    assert cell.phases.why == 'by the safety node, cause 0x1; its log says more'
    early = 'refused: the arm was stopped by the safety node, cause 0x1; its log says more; '
    assert cell.phases.go() == (False, f'{early}call ~/clear of the safety node first')
    cell.clear()
    assert cell.run(50) == [Phase.STOPPED] * 50
    assert cell.phases.about() == 'was stopped: cleared, waits for ~/go'
    assert cell.phases.go() == (True, 'going')
    assert cell.until(Phase.RUNNING)[-1] == Phase.HOMING
    assert cell.interrupted == 1


def test_a_go_of_before_the_stop_does_not_count() -> None:
    cell = running()
    cell.stop()
    cell.run(2)
    cell.clear()
    cell.period()
    assert cell.phases.go()[0]
    cell.stop()
    cell.period()
    cell.clear()
    assert cell.run(20) == [Phase.STOPPED] * 20


def test_a_stop_while_the_node_is_paused_counts_too() -> None:
    cell = running()
    cell.stop()
    cell.hear()
    cell.clear()
    cell.hear()
    assert cell.period() == (Phase.STOPPED, None, True)
    assert cell.phases.why == 'cleared, waits for ~/go'


def test_without_either_go_it_goes_on_by_itself() -> None:
    cell = running(homing__go_after_stop=False)
    cell.stop()
    assert cell.run(3) == [Phase.STOPPED] * 3
    cell.clear()
    assert cell.period().phase == Phase.HOMING


def test_a_go_may_be_asked_for_before_anything_moves_and_before_each_episode() -> None:
    cell = Cell(homing__wait_for_go=True)
    cell.position = ROBOT.home + 0.5
    for _ in range(20):
        assert cell.period() == (Phase.ASKING, None, False)
    assert cell.phases.about() == 'waits for ~/go: before it first moves'
    assert cell.phases.go()[0]
    cell.until(Phase.ASKING)
    assert np.abs(cell.position - ROBOT.home).max() < 0.01
    assert cell.phases.about() == 'waits for ~/go'
    step = cell.period()
    assert step.velocity is not None and not step.velocity.any()
    assert cell.phases.go()[0]
    cell.until(Phase.RUNNING)
    cell.run(cell.length)
    # The next way home needs none, the next episode does.
    assert cell.until(Phase.ASKING)[-1] == Phase.HOMING
    assert cell.run(20) == [Phase.ASKING] * 20


@pytest.mark.parametrize('missing', ['joints', 'safety'])
def test_a_short_silence_ends_an_episode_and_a_long_one_needs_a_go(missing: str) -> None:
    for silence_s, then in ((0.3, Phase.HOMING), (0.7, Phase.STOPPED)):
        cell = running()
        cell.hears.remove(missing)
        seen = cell.run(round(silence_s / PERIOD))
        assert seen[-1] == Phase.WAITING and cell.interrupted == 1
        cell.hears.add(missing)
        assert cell.period().phase == then
    assert cell.phases.why.startswith('mended: no') and cell.phases.why.endswith('waits for ~/go')


def test_a_node_that_was_held_up_itself_does_not_blame_others() -> None:
    cell = running()
    for _ in range(3):
        # Nothing of what was sent meanwhile has been read yet.
        cell.hears.clear()
        assert cell.period(2.0).phase == Phase.RUNNING
        cell.hears |= {'joints', 'safety', 'status'}
        assert cell.period().phase == Phase.RUNNING
    # Once its periods are those that they should be, a silence is one.
    cell.hears.clear()
    cell.period(2.0)
    assert Phase.WAITING in cell.run(20)


def test_a_safety_node_that_was_started_anew_needs_a_go() -> None:
    cell = running()
    cell.run(20)
    cell.ticks = 0
    assert cell.period().phase == Phase.STOPPED
    assert cell.phases.why == 'the safety node was started anew, waits for ~/go'
    # One that has never moved its arm waits for nobody.
    cell = Cell(target__source='topic')
    cell.aimed, cell.ticks = False, 100
    cell.run(3)
    cell.ticks = 0
    assert cell.period().phase == Phase.AIMING


def test_a_safety_node_that_waits_amid_an_episode_needs_a_go() -> None:
    cell = running()
    cell.mode = Mode.WAITING
    assert cell.period() == (Phase.WAITING, None, True)
    cell.mode = Mode.HOLDING
    assert cell.period().phase == Phase.STOPPED


def test_a_target_is_waited_for_at_home() -> None:
    cell = Cell(target__source='topic', target__topic='goal')
    cell.aimed = False
    assert cell.run(10) == [Phase.AIMING] * 10
    assert cell.phases.about() == 'waits for a target: none has come on goal'
    cell.aimed = True
    assert cell.period().phase == Phase.RUNNING


def test_an_arm_that_does_not_come_home_is_an_error() -> None:
    cell = Cell(homing__timeout_s=2.0)
    cell.position = ROBOT.home + 0.5
    cell.obeys = False
    begun = cell.now
    with pytest.raises(BridgeError, match=r'not at home within 2.0 s: joint1 is at 0.900 rad'):
        cell.until(Phase.RUNNING)
    assert 2.0 < cell.now - begun < 2.2
    assert cell.phases.way.blocked


def test_an_arm_that_stands_beyond_a_wall_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretched along x the tool is at 0.7 m, and the wall that keeps it from home at 0.6 m."""
    room = ROBOT.description.workspace.model_copy(update={'high_m': (0.6, 0.75, 0.5)})
    small = replace(ROBOT, description=ROBOT.description.model_copy(update={'workspace': room}))
    cell = Cell(homing__timeout_s=2.0)
    monkeypatch.setattr(cell.phases, '_robot', small)
    cell.position, cell.obeys = np.zeros(2), False
    with pytest.raises(BridgeError, match=r'there tool is at x 0.700 m, 0.110 m beyond 0.59'):
        cell.until(Phase.RUNNING)


def test_a_pause_and_a_dry_run_are_no_time_of_homing() -> None:
    cell = Cell(homing__timeout_s=2.0)
    cell.position = ROBOT.home + 0.5
    cell.obeys = False
    for _ in range(10):
        cell.run(25)
        cell.phases.paused()
    cell = Cell(homing__timeout_s=2.0)
    cell.position = ROBOT.home + 0.5
    cell.dry_run = True
    assert set(cell.run(1000)) == {Phase.HOMING}
    assert cell.phases.homings == 1


def test_an_arm_that_passes_home_has_not_arrived() -> None:
    cell = Cell()
    cell.hears.remove('joints')
    cell.phases.hear_joints(cell.now + PERIOD, ROBOT.home.copy(), np.array([0.0, 0.3]))
    assert cell.period().phase == Phase.HOMING


def test_a_goal_comes_before_episodes_and_homing_and_the_arm_rests_after_it() -> None:
    cell = Cell()
    cell.run(3)
    assert not cell.between
    cell.goal = True
    step = cell.period()
    # The episode that ran is aborted, and nothing drives home before the goal.
    assert (step.phase, step.interrupted, step.velocity) == (Phase.SERVING, True, None)
    assert not cell.period().interrupted and cell.phases.homings == 0
    cell.goal, cell.rests = False, True
    step = cell.period()
    assert step.phase == Phase.RESTING
    assert step.velocity is not None and not step.velocity.any()
    cell.rests = False
    assert Phase.HOMING in cell.until(Phase.RUNNING)


@pytest.mark.parametrize('lost', ['stop', 'joints', 'safety'])
def test_a_goal_does_not_outlast_what_it_needs(lost: str) -> None:
    cell = Cell()
    cell.period()
    cell.goal = True
    assert cell.period().phase == Phase.SERVING
    cell.between = False
    cell.phases.commanded(np.ones(2))
    if lost == 'stop':
        cell.stop()
    else:
        cell.hears.discard(lost)
    phases = [cell.period() for _ in range(20)]
    after = {step.phase for step in phases} - {Phase.SERVING}
    assert after == {Phase.STOPPED if lost == 'stop' else Phase.WAITING}
    assert sum(step.interrupted for step in phases) == 1
    assert cell.phases.refusal()
    # It is not served again before a person has looked.
    cell.clear()
    cell.hears = {'joints', 'safety', 'status'}
    assert cell.period().phase == Phase.STOPPED
    assert '~/go' in cell.phases.refusal()
    assert cell.phases.go()[0]
    assert cell.period().phase == Phase.SERVING


def test_goals_are_refused_with_a_reason_while_the_arm_may_not_move() -> None:
    cell = Cell()
    assert cell.phases.refusal() == f'the arm {Phase.WAITING.value}'
    cell.period()
    assert cell.phases.refusal() == ''
    cell.stop()
    cell.hear()
    assert cell.phases.refusal().startswith('the arm was stopped by the safety node, cause 0x1')
    cell = Cell()
    cell.dry_run = True
    cell.period()
    assert 'dry' in cell.phases.refusal()
    cell = Cell(homing__wait_for_go=True)
    cell.period()
    assert '~/go' in cell.phases.refusal()
    cell.phases.go()
    cell.until(Phase.ASKING)
    cell.phases.go()
    cell.until(Phase.RUNNING)
    assert 'homing.wait_for_go' in cell.phases.refusal()


def test_an_episode_goes_on_while_a_person_moves_the_arm_by_hand_and_no_other_begins() -> None:
    cell = Cell()
    cell.until(Phase.RUNNING)
    cell.by_hand = True
    assert cell.run(3) == [Phase.RUNNING] * 3
    assert cell.interrupted == 0
    cell.until(Phase.BY_HAND)
    assert cell.interrupted == 0, 'the episode has ended by its own length'
    assert all(cell.period().velocity is None for _ in range(20))
    assert cell.phases.refusal() == 'the arm is moved by hand'
    cell.by_hand = False
    assert Phase.HOMING in cell.until(Phase.RUNNING)


def test_a_way_home_and_a_goal_end_when_a_person_takes_the_arm() -> None:
    """And however long that lasts, it is no time of homing."""
    cell = Cell(homing__timeout_s=2.0)
    cell.position = ROBOT.home + 1.0
    cell.until(Phase.HOMING)
    cell.by_hand = True
    assert set(cell.run(200)) == {Phase.BY_HAND}
    cell.by_hand = False
    cell.until(Phase.RUNNING)
    cell.goal = True
    assert cell.period().phase is Phase.SERVING
    cell.by_hand = True
    assert cell.period().phase is Phase.BY_HAND
    assert cell.interrupted == 1
