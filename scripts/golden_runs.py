"""The runs of golden_trace.py in one process. It and golden_ros.py know nrl_ros, nothing else does.

Modules and names may move; then the imports and the names here are mended, and the recorded digests
stay what they are. A digest is made of the numbers that a message carries, in the order and number
format below, and of no name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.config_files import find_config
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning import loop
from nrl_ros.learning.rules import RULES
from nrl_ros.settings.run import check, read_config
from scripts.golden_cases import Case

Array = NDArray[Any]
Numbers = dict[str, Array]
# Takes the stream, the number of the state that a record belongs to, and what the record carries.
Note = Callable[[str, int, Numbers], None]
NoteWeights = Callable[[int, list[Array]], None]

# Fields and number formats of each message, in the order in which they are digested. Left out is
# what is drawn anew in each run (session, learner, neuromodulator), names, stamps, and the numbers
# of checkpoints.
_WINDOW = {'instance': '<u4', 'episode': '<u4', 'step': '<u4', 'window': '<u4'}
_STEP = {'episode': '<u4', 'step': '<u4', 'window': '<u4'}
FIELDS = {
    'states': _STEP | {'phase': 'u1', 'ending': 'u1', 'applied': 'u1', 'observation': '<f4'},
    'actions': _STEP | {'discrete': '<i4', 'continuous': '<f4'},
    'rewards': _WINDOW | {'value': '<f8'},
    'rpes': _WINDOW | {'reward': '<f8', 'baseline': '<f8', 'rpe': '<f8'},
}


def task_names() -> list[str]:
    """Return the names of all task files that run as they are."""
    names = {path.stem for path in find_config('reaching').parent.glob('*.yaml')}
    # A template for an arm of one's own: it has no model until somebody names one. What torch
    # computes for the camera depends on its version and on the processor.
    return sorted(names - {'generic', 'camera'})


def rule_names() -> list[str]:
    """Return the names of all learning rules of this package."""
    return list(RULES)


def settings_by_node(case: Case, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the dotted settings of each node for a case.

    Args:
        case: whose settings.
        extra: further settings by ``NODE.NAME``.
    """
    nodes = read_config(find_config(case.task))
    for name, value in {**case.overrides, **(extra or {})}.items():
        node, _, setting = name.partition('.')
        if setting == 'bridge.name':
            # The options of the file are those of another environment.
            nodes[node] = {
                k: v for k, v in nodes[node].items() if not k.startswith('bridge.options.')
            }
        nodes[node][setting] = value
    return nodes


def numbers(stream: str, record: Any, **replaced: Array) -> Numbers:
    """Return what a record or a message carries, flat and in the message's number formats."""
    return {
        name: np.ascontiguousarray(
            replaced[name] if name in replaced else getattr(record, name), kind
        ).reshape(-1)
        for name, kind in FIELDS[stream].items()
    }


def action_numbers(state: Any, action: Array) -> Numbers:
    """Return what the message of an action that answers a state carries."""
    nothing = np.zeros(0)
    discrete = action.dtype.kind == 'i'
    values = {
        'discrete': action if discrete else nothing,
        'continuous': nothing if discrete else action,
    }
    return numbers('actions', state, **values)


class InProcess(InProcessRun):
    """The three parts of a case in this process, without ROS.

    Args:
        case: whose settings.
    """

    def __init__(self, case: Case) -> None:
        super().__init__(check(settings_by_node(case), source=case.task))

    @property
    def environment_steps(self) -> int:
        """Steps of all instances so far, as ``environment.stop.steps`` counts them."""
        return int(self.episodes.total_steps)

    def weights(self) -> list[Array]:
        """Return copies of the policy's weights, by layer."""
        return [np.array(layer) for layer in self.learner.weights]

    def message_by_message(self, steps: int, note: Note, note_weights: NoteWeights) -> None:
        """Run the cycle one message at a time, which shows everything that travels.

        Args:
            steps: of all instances together; the last state is learned from as well.
            note: takes each record.
            note_weights: takes the weights after each state was learned from.
        """
        self.learner.join(self.episodes.info)
        state, reward = self.episodes.begin(self.settings.environment.seed), None
        for number in range(steps + 1):
            note('states', number, numbers('states', state))
            if reward is not None:
                note('rewards', number, numbers('rewards', reward))
            action, rpe = loop.answer(self.learner, self.neuromodulator, state, reward)
            if rpe is not None:
                note('rpes', number, numbers('rpes', rpe))
            note('actions', number, action_numbers(state, action.action))
            note_weights(number, self.weights())
            if number < steps:
                advance = self.episodes.advance(action.action)
                state, reward = advance.state, advance.reward

    def fused(self, steps: int, note: Note, note_weights: NoteWeights) -> None:
        """Run the same through the loop that trains in one process, which may skip messages.

        Reward-prediction errors are not seen from outside; the weights show what came of them.
        """
        acted: list[Array] = []
        step, begin = self.environment.step, self.episodes.begin
        first: list[Any] = []

        def begin_and_keep(*args: Any, **named: Any) -> Any:
            first.append(begin(*args, **named))
            return first[0]

        def step_and_keep(action: Array) -> Any:
            acted.append(np.array(action))
            return step(action)

        self.environment.step = step_and_keep  # type: ignore[method-assign]
        self.episodes.begin = begin_and_keep  # type: ignore[method-assign]
        state: Any = None
        for number, _ in zip(range(1, steps + 2), self.steps(), strict=False):
            if state is None:
                state = first[0]
                note('states', 0, numbers('states', state))
            # State number - 1 has been learned from, and its action has been taken.
            note_weights(number - 1, self.weights())
            note('actions', number - 1, action_numbers(state, acted[-1]))
            state, reward = self.episodes.newest()
            note('states', number, numbers('states', state))
            if reward is not None:
                note('rewards', number, numbers('rewards', reward))
