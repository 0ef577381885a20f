"""The best checkpoint is one after which the returns were highest, and a fall is told of."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nrl_ros.cli import best_saver
from nrl_ros.cli.best import keep_best, read_best
from nrl_ros.cli.evaluate import score_of
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.plan import make_plan
from nrl_ros.cli.runs import Run, RunError
from nrl_ros.cli.scores import BEST, START, TRAINED, UNTRAINED, Scores, advice, has_fallen
from nrl_ros.environments.best_window import WINDOW, Window
from nrl_ros.monitor.best_watch import BestWatch
from nrl_ros.monitor.progress import Progress

HIGH, LOW = 210.0, 13.0


def fail(text: str) -> None:
    raise AssertionError(text)


def new_run(tmp_path: Path) -> Run:
    return make_plan(TrainOptions(task='cartpole', out=tmp_path / 'run'), fail).run


class Course:
    """A training whose returns are given window by window, with a learner that saves at once."""

    def __init__(self, watch: BestWatch, every: int = WINDOW) -> None:
        self.watch, self.every = watch, every
        self.now_s, self.steps, self.saved_at = 0.0, 0, 0
        self.kept: list[int] = []

    def window(self, mean: float) -> None:
        """Episodes around a mean, in reports of ten, with ten seconds between."""
        for _ in range(self.every // 10):
            self.steps += 100
            self.now_s += 10.0
            self.watch.add(self.steps, [mean - 1.0, mean + 1.0] * 5)
            if self.watch.take():
                self.kept.append(self.saved_at)
            if self.watch.is_due(self.now_s):
                self.saved_at = self.steps
                self.watch.answered(self.now_s, saved=True)


def scores(policy: str, greedy: float, exploring: float) -> Scores:
    noise = np.linspace(-5.0, 5.0, 50)
    return Scores(policy, score_of(greedy + noise), score_of(exploring + noise))


def test_the_best_checkpoint_is_from_before_the_fall() -> None:
    course = Course(BestWatch())
    for mean in (20.0, 100.0, 200.0, HIGH, HIGH + 5.0, LOW, LOW, LOW):
        course.window(mean)
    assert course.watch.best is not None
    # Its worth is that of the episodes after it, not of those for which it was chosen.
    assert course.watch.best.mean > 190.0
    assert course.watch.best.steps == course.kept[-1] <= 5000
    assert has_fallen(course.watch)


def test_a_candidate_after_which_the_returns_fall_is_not_the_best() -> None:
    course = Course(BestWatch())
    course.window(100.0)
    course.window(LOW)
    course.window(LOW)
    assert course.watch.best is not None
    assert course.watch.best.mean < 20.0


def test_a_run_that_gets_better_has_not_fallen() -> None:
    course = Course(BestWatch())
    for mean in (20.0, 100.0, 200.0, HIGH, HIGH):
        course.window(mean)
    assert not has_fallen(course.watch)
    assert course.watch.first is not None
    assert course.watch.first.mean == pytest.approx(20.0)


def test_a_window_holds_an_episode_of_each_instance() -> None:
    watch = BestWatch(instances=256)
    watch.add(1, [1.0] * 255)
    assert watch.last is None
    watch.add(2, [1.0])
    assert watch.last == Window(2, 1.0, 0.0, 256)


def test_an_arm_has_shorter_windows_and_is_judged_by_something_else_than_returns() -> None:
    progress = Progress(best=BestWatch(window=3))
    progress.add_episodes(75, [10.0, 20.0, 30.0], [25] * 3, [-0.5, -0.1, -0.3])
    assert progress.best.last is not None
    assert progress.best.last.mean == pytest.approx(-0.3)
    assert progress.mean_return == 20.0
    progress.add_episodes(150, [10.0] * 3, [25] * 3)
    assert progress.best.last.mean == 10.0


def test_the_learner_is_asked_seldom_if_it_saves_slowly() -> None:
    watch = BestWatch()
    watch.add(1, [1.0] * WINDOW)
    assert watch.is_due(0.0)
    assert not watch.is_due(1.0), 'a second request before the answer'
    watch.answered(1.0, saved=False)
    assert not watch.is_due(30.0), 'a second of every 33 at most'
    assert watch.is_due(40.0)


def test_a_resumed_run_goes_on_from_the_best_that_it_kept(tmp_path: Path) -> None:
    run, window = new_run(tmp_path), Window(500, 9.0, 1.0, WINDOW)
    assert read_best(run) is None
    with pytest.raises(RunError, match='no best checkpoint'):
        run.best_checkpoint()
    run.candidate.write_bytes(b'a checkpoint')
    keep_best(run, window)
    assert run.best_checkpoint().read_bytes() == b'a checkpoint'
    assert not run.candidate.exists()
    assert read_best(run) == window
    watch = BestWatch(best=read_best(run))
    watch.add(1, [8.0] * WINDOW)
    assert not watch.is_due(0.0)
    (run.checkpoints / 'best.json').write_text('{"steps": 1}', encoding='utf-8')
    assert read_best(run) is None


class Learner:
    """Stands for the learner's service; writes what it is asked to write, unless it cannot."""

    def __init__(self) -> None:
        self.fault, self.asked = '', 0

    def service_is_ready(self) -> bool:
        return True

    def call_async(self, request: Any) -> Any:
        self.asked += 1
        if not self.fault:
            Path(request.path).write_text(str(self.asked), encoding='utf-8')
        response = SimpleNamespace(success=not self.fault, message=self.fault)
        return SimpleNamespace(done=lambda: True, result=lambda: response)


def test_candidates_are_asked_for_kept_and_cleared(tmp_path: Path) -> None:
    run, learner, watch = new_run(tmp_path), Learner(), BestWatch()
    monitor: Any = SimpleNamespace(create_client=lambda *_: learner)
    saver = best_saver.BestSaver(monitor, watch, run, fail)
    for number, mean in enumerate((5.0, HIGH, HIGH + 5.0, LOW, LOW)):
        watch.add(100 * number, [mean] * WINDOW)
        for now_s in (100.0 * number, 100.0 * number + 50.0):
            saver.look(now_s)
    saver.end()
    assert run.best.read_text(encoding='utf-8') in ('1', '2')
    assert json.loads((run.checkpoints / 'best.json').read_text())['mean'] >= HIGH
    assert not run.candidate.exists()


def test_a_checkpoint_that_cannot_be_kept_is_told_once(tmp_path: Path) -> None:
    run, learner, watch, said = new_run(tmp_path), Learner(), BestWatch(), list[str]()
    learner.fault = 'no space left'
    monitor: Any = SimpleNamespace(create_client=lambda *_: learner)
    saver = best_saver.BestSaver(monitor, watch, run, said.append)
    watch.add(1, [1.0] * WINDOW)
    for number in range(20):
        saver.look(10.0 * number)
        saver.look(10.0 * number + 0.1)
    assert learner.asked > 3
    assert said == ['the best checkpoint is not kept: no space left']


def fallen() -> BestWatch:
    watch = BestWatch(best=Window(1_000, HIGH, 10.0, WINDOW))
    watch.add(2_000, [20.0, 22.0] * 50)
    watch.add(9_000, [LOW - 1.0, LOW + 1.0] * 50)
    return watch


def test_a_run_that_ended_worse_says_where_to_go_on(tmp_path: Path) -> None:
    run, watch = Run(tmp_path / 'a run'), fallen()
    measured = [scores(TRAINED, 20.0, LOW), scores(BEST, 190.0, HIGH)]
    first, second = advice('reaching', run, watch, measured)
    assert 'ended worse than it was: 210.0 from step 1,000 on, 13.0 at its end' in first
    assert f"nrl train reaching --config '{run.config}'" in first
    assert f"--set learner.checkpoint.load='{run.best}'" in first
    assert 'ended worse than it began: 21.0 in its first 100 episodes' in second
    # Without scores the episodes of the training decide.
    assert advice('reaching', run, watch, [])[0] == first
    # A best checkpoint that is no better when both are measured alike is not recommended.
    alike = [scores(TRAINED, 20.0, LOW), scores(BEST, 20.0, LOW)]
    assert not any('than it was' in line for line in advice('reaching', run, watch, alike))


@pytest.mark.parametrize(
    ('policy', 'said'), [(UNTRAINED, 'an untrained policy'), (START, 'what it started from')]
)
def test_a_run_that_ended_worse_than_it_started_says_so(
    tmp_path: Path, policy: str, said: str
) -> None:
    run, watch = Run(tmp_path), BestWatch()
    worse = [scores(policy, 100.0, 90.0), scores(TRAINED, 20.0, 20.0)]
    assert said in ' '.join(advice('reaching', run, watch, worse))
    better = [scores(policy, 20.0, 20.0), scores(TRAINED, 100.0, 90.0)]
    assert advice('reaching', run, watch, better) == []
