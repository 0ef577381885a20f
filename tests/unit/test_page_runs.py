"""What the page is told of runs and arms, without ROS: the clock is an argument."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.records import ActionKind, ActionSpace, FinishedEpisodes
from nrl_ros.learning.learner_state import COUNTERS
from nrl_ros.monitor import counters
from nrl_ros.monitor.counters import counted
from nrl_ros.monitor.learning_curve import COLUMNS
from nrl_ros.monitor.series import Series
from nrl_ros.page.action_figures import ActionFigures
from nrl_ros.page.plain import to_json
from nrl_ros.page.run_view import Condition, RunName, RunView
from nrl_ros.page.runs import Runs
from nrl_ros.page.sampling import Sampling
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.scene import Scene

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / 'docs/messages.md').read_text(encoding='utf-8')


def heard(run: RunView, steps: int, returns: list[float], now: float) -> None:
    """An environment and its nodes have reported."""
    run.progress.steps, run.progress.weight_norm = steps, 0.0
    run.progress.add_episodes(steps, returns, [10] * len(returns))
    run.hear_episodes()
    run.hear_status('environment', {'steps': steps}, now)
    run.hear_status('neuromodulator', {'mean_rpe': 0.5}, now)


def ends(steps: int, value: float) -> FinishedEpisodes:
    """One episode that has ended after so many steps."""
    numbers = [np.array([one]) for one in (steps, 0, 0, 5, 1)]
    return FinishedEpisodes('cart', 1, *numbers, np.array([value]), figures={})


# ------------------------------------------------------------------- series


def test_a_series_of_any_length_stays_short_and_keeps_its_course() -> None:
    series = Series(('x',), 64)
    for number in range(100_000):
        series.add((float(number),))
    values = [row[0] for row in series.rows]
    assert 32 <= len(values) < 64
    assert values == sorted(values)
    assert values[-1] > 95_000 and values[0] < 5_000
    assert max(np.diff(values)) == min(np.diff(values))


def test_who_follows_a_series_has_the_same_rows_whenever_he_looks() -> None:
    """Also where rows are thinned out between two looks, as a browser keeps them."""
    series, mine, generation = Series(('x',), 16), [], -1
    chance = np.random.default_rng(1)
    for number in range(500):
        series.add((float(number),))
        if chance.random() < 0.3:
            part = series.since(generation, len(mine))
            mine = [*mine[: part.start], *part.rows]
            generation = part.generation
            assert mine == series.rows


def test_who_takes_over_a_series_tells_only_what_is_new_in_it() -> None:
    """Also where it was thinned out meanwhile, and where it began anew."""
    kept, series = Series(('x', 'y'), 16), Series(('x', 'y'), 64)
    mine: list[Any] = []
    generation, sent = -1, 0
    for number in range(300):
        kept.add((float(number), math.nan))
        series.follow(kept.rows)
        part = series.since(generation, len(mine))
        sent += len(part.rows)
        mine = [*mine[: part.start], *part.rows]
        generation = part.generation
        assert [row[0] for row in mine] == [row[0] for row in kept.rows]
    assert sent < 150, 'rows that were known are told again, although they are as they were'
    kept.clear()
    series.follow(kept.rows)
    assert series.since(generation, len(mine)).rows == []


# -------------------------------------------------------------------- a run


def test_a_page_that_is_opened_late_has_the_whole_curve_and_what_it_says() -> None:
    run = RunView(RunName('', 'arm'), 0.0)
    columns = ('steps', 'return', 'low', 'high', 'length', 'within 5 cm')
    rows = [(float(at), at / 10.0, 0.0, 9.0, 50.0, 0.25) for at in (10, 20, 30)]
    run.hear_curve(columns, rows)
    heard(run, 33, [100.0], 1.0)
    told = run.news(1.0)
    assert told is not None
    seen = told['series']['learning']['rows']
    assert [row[:2] for row in seen] == [(10.0, 1.0), (20.0, 2.0), (30.0, 3.0)]
    assert seen[0][5] == 0.25 and math.isnan(seen[0][6])
    own = told['facts']['own']
    # One episode that was heard says less than a hundred that were not.
    assert (own['mean_return'], own['high'], own['shares']) == (3.0, 9.0, {'within 5 cm': 0.25})
    heard(run, 50, [100.0] * 99, 2.0)
    told = run.news(2.0)
    assert told is not None and told['facts']['own']['mean_return'] == 100.0
    run.begin_session(1, 3.0)
    run.begin_session(2, 3.0)
    assert not run.learning.rows and math.isnan(run.whole(3.0)['facts']['own']['mean_return'])


def test_a_curve_that_is_none_is_refused_in_one_line() -> None:
    pytest.importorskip('rclpy')
    from nrl_ros.base.errors import ConversionError
    from nrl_ros.ros.learning_curve import CurveMessage, curve_from_msg, curve_to_msg

    columns = (*COLUMNS, 'within 5 cm')
    curve = CurveMessage(2**64 - 1, columns, [(1.0, 2.0, 3.0, 4.0, 5.0, math.inf)] * 3)
    assert curve_from_msg(curve_to_msg(curve)) == curve
    assert curve_from_msg(curve_to_msg(curve._replace(rows=[]))).rows == []
    for wrong in (
        {'columns': ('a', 'b')},
        {'columns': columns[1:]},
        {'columns': columns * 20},
        {'session': -1},
        {'rows': [(math.nan,) * 6]},
        {'rows': [(1.0,) * 6] * 5000},
    ):
        with pytest.raises(ConversionError):
            curve_from_msg(curve_to_msg(curve._replace(**wrong)))
    message = curve_to_msg(curve)
    del message.data[-1]
    with pytest.raises(ConversionError, match='17 numbers in 6 columns'):
        curve_from_msg(message)
    message.layout.dim = []
    with pytest.raises(ConversionError, match='expected two'):
        curve_from_msg(message)


def test_an_environment_tells_its_curve_the_more_seldom_the_longer_it_is() -> None:
    pytest.importorskip('rclpy')
    pytest.importorskip('nrl_ros.msg')
    from nrl_ros.nodes.environment_status import CurveReports
    from nrl_ros.ros.learning_curve import curve_from_msg

    class Told:
        def __init__(self) -> None:
            self.messages: list[Any] = []

        def publish(self, message: Any) -> None:
            self.messages.append(message)

    told = Told()
    reports, seen = CurveReports(7, told), []
    for at in range(4000):
        reports.add([ends(at + 1, float(at))])
        reports.publish(0.25 * at)
        seen.append(len(told.messages))
    reports.publish(1000.0, at_once=True)
    curve = curve_from_msg(told.messages[-1])
    assert (curve.session, curve.columns[:5]) == (7, COLUMNS) and 200 <= len(curve.rows) < 400
    assert curve.rows[0][:2] == (1.0, 0.0) and curve.rows[-1][1] == curve.rows[-1][0] - 50.5
    # Once a second at first, and later as often as a row is kept: one in sixteen reports.
    assert 99 <= seen[399] <= 101 and seen[3999] - seen[3600] <= 26
    reports.publish(2000.0, at_once=True)
    assert len(told.messages) - seen[3999] <= 1, 'what has not changed is told again'


def test_only_what_has_changed_is_told_and_all_of_it_to_a_new_page() -> None:
    run = RunView(RunName('/a', 'cart'), 0.0)
    run.news(0.0)
    assert run.news(0.0) is None
    heard(run, 100, [1.0, 3.0], 1.0)
    told = run.news(1.0)
    assert told is not None
    assert told['facts']['environment'] == {'steps': 100}
    assert told['facts']['own']['mean_return'] == 2.0
    assert 'conditions' not in told
    assert told['series']['learning']['rows'][0][:5] == (100, 2.0, 1.0, 3.0, 10.0)
    assert told['series']['signals']['rows'][0][0] == 1.0
    assert math.isnan(told['series']['signals']['rows'][0][5]), 'no network was heard of'
    assert run.news(1.0) is None
    run.hear_condition(Condition('a/learner: plasticity', 1, 'raise noise.sigma', {'snr': '0.1'}))
    told = run.news(1.5)
    assert told is not None and set(told) & {'facts', 'series', 'conditions'} == {'conditions'}
    whole = run.whole(2.0)
    assert whole['series']['learning']['rows'] == run.learning.rows
    assert whole['conditions'][0]['text'] == 'raise noise.sigma'


def test_a_new_session_begins_new_curves() -> None:
    run = RunView(RunName('', 'cart'), 0.0)
    run.begin_session(1, 0.0)
    heard(run, 100, [1.0], 1.0)
    run.begin_session(1, 2.0)
    assert len(run.learning.rows) == 1
    run.begin_session(2, 3.0)
    assert not run.learning.rows and math.isnan(run.progress.mean_return)
    told = run.news(3.0)
    assert told is not None and told['series']['learning']['rows'] == []


def test_the_state_of_a_run_says_what_it_does() -> None:
    run = RunView(RunName('', 'cart'), 0.0)
    assert run.state(1.0) == 'starting'
    heard(run, 100, [1.0], 1.0)
    assert run.state(6.0) == 'running'
    assert run.state(6.1) == 'silent'
    run.hear_status('learner', {}, 7.0)
    run.hear_status('environment', {}, 12.5)
    assert run.state(12.0) == 'running'
    assert run.state(12.6) == 'silent learner', 'as one that was killed'
    run.hear_status('learner', {}, 13.0)
    assert run.state(13.0) == 'running'
    run.progress.left = True
    assert run.state(1.0) == 'has left'
    run.progress.finished = True
    assert run.state(1.0) == 'finished'


def test_latency_is_a_running_mean_of_what_is_known() -> None:
    run = RunView(RunName('', 'cart'), 0.0)
    run.hear_action(np.zeros((1, 1), np.int32), math.nan)
    assert math.isnan(run.latency_ms)
    run.hear_action(np.zeros((1, 1), np.int32), 2.0)
    run.hear_action(np.zeros((1, 1), np.int32), 12.0)
    assert run.latency_ms == pytest.approx(3.0)


def test_a_week_of_reports_and_hostile_ones_stay_bounded() -> None:
    """What is told of a run does not grow with its length, nor with what strangers send."""
    run = RunView(RunName('', 'cart'), 0.0)
    sizes = []
    for number in range(6_000):
        heard(run, number, [float(number)], float(number))
        run.hear_condition(Condition(f'node{number}: x', 1, 'y' * 5_000, {'z' * 500: 'v' * 5_000}))
        run.progress.counters['learner'] = {f'dropped_{one}': one for one in range(number % 500)}
        if number % 1_000 == 999:
            sizes.append(len(to_json(run.whole(float(number)))))
    assert max(sizes) < 400_000
    assert sizes[-1] < 1.5 * sizes[0]


def test_json_has_no_numbers_that_browsers_do_not_read() -> None:
    given = {'a': math.nan, 'b': np.array([1.0, math.inf]), 'c': (np.float64(2), True, None, 'é')}
    assert json.loads(to_json(given)) == {'a': None, 'b': [1.0, None], 'c': [2.0, True, None, 'é']}


# ------------------------------------------------------------------ actions


def test_actions_are_shares_of_choices_or_the_spread_of_numbers() -> None:
    choices = ActionFigures(ActionSpace(ActionKind.DISCRETE, (3,)))
    assert choices.data() is None
    choices.add(np.array([[0], [2], [2], [2]], np.int32))
    assert choices.data() == {'shares': [[0.25, 0.0, 0.75]]}
    numbers = ActionFigures(ActionSpace(ActionKind.CONTINUOUS, (2,), (-1.0, 0.0), (1.0, 2.0)))
    numbers.add(np.array([[0.0, 1.0], [1.0, 1.0]], np.float32))
    found: Any = numbers.data()
    assert found['low'] == (-1.0, 0.0) and found['high'] == (1.0, 2.0)
    assert found['mean'] == [0.5, 1.0] and found['least'] == [0.0, 1.0]


def test_the_newest_actions_count() -> None:
    figures = ActionFigures(ActionSpace(ActionKind.DISCRETE, (2,)))
    for choice, times in ((0, 2_000), (1, 600)):
        figures.add(np.full((times, 1), choice, np.int32))
    assert figures.data() == {'shares': [[0.0, 1.0]]}


def test_fast_loops_are_listened_to_for_a_moment_now_and_then() -> None:
    fast, slow, closed = Sampling(), Sampling(), Sampling()
    times = np.arange(0.0, 100.0, 0.1)
    listens = [fast.wants(now, 5_000.0, watched=True) for now in times]
    assert 0.03 < np.mean(listens) < 0.07
    assert all(slow.wants(now, 125.0, watched=True) for now in times)
    assert not any(closed.wants(now, 1.0, watched=False) for now in times)


# ----------------------------------------------------------------- counters


def test_counters_say_what_they_mean_as_the_documents_do() -> None:
    for name in COUNTERS:
        assert f'| `{name}` |' in DOCS
    rows = re.findall(r'^\| `(\w+)` \| [a-z, ]+ \| (.*) \|$', DOCS, re.MULTILINE)
    said = {name: text for name, text in rows if name in counters.MEANINGS}
    assert len(said) > 35
    assert said == {name: counters.MEANINGS[name] for name in said}
    assert set(COUNTERS) <= set(said)


def test_counters_of_the_safety_node_are_those_that_the_documents_name() -> None:
    page = (ROOT / 'docs/safety.md').read_text(encoding='utf-8').partition('\n## Counters\n')[2]
    named = set(re.findall(r'`([a-z_]+)`', page)) - {'state_topic', 'stop_'}
    assert named == {name for name in named if name in counters.MEANINGS}


def test_what_is_unusual_comes_first_and_zero_is_not_shown() -> None:
    found = counted(
        {'learner': {'late_rpes': 9, 'lost_states': 2, 'invalid_states': 0},
         'environment': {'dropped_ShapeError': 1, 'strange': 3}},
        10,
    )  # fmt: skip
    assert [one.name for one in found] == [
        'lost_states',
        'strange',
        'dropped_ShapeError',
        'late_rpes',
    ]
    assert found[2].meaning == 'messages refused, by the kind of error'
    assert 'docs/messages.md' in found[1].meaning


# ---------------------------------------------------------- several runs, arms


def test_runs_that_are_silent_longest_make_room_for_new_ones() -> None:
    runs = Runs()
    for number in range(200):
        runs.run(f'/n{number}', 'a', float(number)).heard_at = float(number)
        runs.arm(f'/n{number}', float(number))
    assert len(runs.runs) == len(runs.arms) == 48
    assert RunName('/n199', 'a') in runs.runs
    runs.forget(190.0 + 86_400.0)
    assert {name.namespace for name in runs.runs} == {f'/n{number}' for number in range(190, 200)}
    news = runs.news(190.0 + 86_400.0)
    assert news is not None and news['kind'] == 'whole'


def test_an_arm_belongs_to_its_environment_which_may_learn_above_it() -> None:
    runs = Runs()
    for namespace, agent in (('', 'ur5e'), ('/fleet', 'arm_0'), ('/fleet', 'arm_1')):
        runs.run(namespace, agent, 0.0)
    first, second, own = (runs.arm(one, 0.0) for one in ('/fleet/arm_0', '/fleet/arm_1', ''))
    assert runs.run_of(own) == ('', 'ur5e')
    assert runs.run_of(first) is None
    first.hear_moves('acts', 'arm_0')
    second.hear_moves('acts', 'arm_1')
    assert runs.run_of(first) == ('/fleet', 'arm_0')
    assert runs.run_of(second) == ('/fleet', 'arm_1')
    assert runs.run_of(runs.arm('/fleetless', 0.0)) is None


def test_a_condition_goes_to_those_whom_its_node_serves() -> None:
    runs = Runs()
    one, other = runs.run('/a', 'x', 0.0), runs.run('/b', 'x', 0.0)
    arm = runs.arm('/b', 0.0)
    for name in ('a/learner: plasticity', '/b/learner: plasticity', 'b/safety: arm'):
        runs.hear_condition(Condition(name, 1, 'text'))
    runs.hear_condition(Condition('b/environment: arm', 1, 'waits: call ~/go'))
    assert [c['name'] for c in one.conditions.data()] == ['a/learner: plasticity']
    assert [c['name'] for c in other.conditions.data()] == ['/b/learner: plasticity']
    assert len(arm.conditions.data()) == 2
    assert arm.figures.asks == 'waits: call ~/go'


def test_an_arm_is_drawn_where_its_joints_are_with_its_target() -> None:
    runs, robot = Runs(), load_robot('planar')
    arm = runs.arm('', 0.0)
    arm.hear_state(robot.joints, robot.home, np.zeros(0))
    told = arm.whole(0.0)
    assert 'ends' not in told['pose'] and told['shape']['undrawn']
    arm.draw_with(robot)
    target = robot.chain.tool(robot.home[None])[0] + [0.03, 0.0, 0.04]
    arm.hear_target(target)
    arm.hear_state(robot.joints, robot.home, np.zeros(0))
    told = json.loads(to_json(arm.whole(0.0)))
    ends, radius = Scene(robot, robot.home[None], np.zeros((0, 3))).segments(robot.home)
    np.testing.assert_allclose(told['pose']['ends'], ends.ravel(), atol=1e-3)
    assert len(told['shape']['radius']) == len(ends) == len(radius)
    assert told['pose']['distance_m'] == pytest.approx(0.05, abs=1e-4)
    assert told['shape']['joints'] == list(robot.joints)
    # Joints of another arm, or what was not measured, are not drawn.
    arm.hear_state(('other', 'names'), robot.home, np.zeros(0))
    assert 'ends' not in arm.whole(0.0)['pose']
    arm.hear_state(robot.joints, np.full(len(robot.joints), np.nan), np.zeros(0))
    assert 'ends' not in arm.whole(0.0)['pose']
    arm.hear_target(np.full(3, np.nan))
    arm.hear_state(robot.joints, robot.home, np.zeros(0))
    assert 'target' not in arm.whole(0.0)['pose']


def test_a_stop_and_its_reason_are_told_until_the_arm_has_left() -> None:
    runs = Runs()
    arm = runs.arm('', 0.0)
    runs.news(0.0)
    arm.figures.hear_safety('STOPPED', 'joint elbow is 0.2 rad beyond its limit', stopped=True)
    arm.hear_safety(
        {'why': 'joint elbow is 0.2 rad beyond its limit'}, {'stop_out_of_limits': 1}, 1.0
    )
    news = runs.news(1.0)
    assert news is not None
    (told,) = news['arms']
    assert told['status']['stopped'] and told['there']
    assert told['status']['why'] == 'joint elbow is 0.2 rad beyond its limit'
    assert told['counters'][0]['name'] == 'stop_out_of_limits'
    assert runs.news(5.9) is None
    news = runs.news(6.0)
    assert news is not None and news['there'] == {'': False}


def test_episodes_make_the_curve_of_the_panel() -> None:
    """The same figures as `nrl train` shows: one piece of code keeps both."""
    pytest.importorskip('rclpy')
    from nrl_ros.ros.reports import take_episodes

    run = RunView(RunName('', 'cart'), 0.0)
    numbers = [np.array(one) for one in ([5, 9], [0, 1], [0, 0], [5, 4], [1, 3])]
    ends = FinishedEpisodes(
        'cart', 1, *numbers, np.array([2.0, 99.0]), figures={'is_success': np.array([1.0, 0.0])}
    )
    take_episodes(run.progress, ends)
    run.hear_episodes()
    # The second one was aborted.
    assert run.learning.rows[0][:6] == (9, 2.0, 2.0, 2.0, 5.0, 1.0)
