"""The runs of golden_trace.py over ROS 2: real nodes, and one that listens."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from nrl_ros.cli.config import parameter_file
from nrl_ros.ros import names
from scripts.golden_cases import Case
from scripts.golden_runs import Note, NoteWeights, numbers, settings_by_node
from tests.ros.harness import TOPICS, Ros, last_checkpoint


def over_ros(
    case: Case, folder: Path, environment_steps: int, note: Note, note_weights: NoteWeights
) -> None:
    """Run the same as real nodes, composed in one process, and listen to their messages.

    States take their way through the listener: otherwise nodes that work faster than it hears would
    leave messages unheard.

    Args:
        case: whose settings.
        folder: for parameter files and checkpoints.
        environment_steps: of all instances after which the environment stops.
        note: takes each message.
        note_weights: takes the weights at the end, under the number of the last state.

    Raises:
        RuntimeError: a message was not heard, so that nothing is proved.
    """
    nodes = settings_by_node(
        case,
        {
            'learner.checkpoint.folder': str(folder / 'checkpoints'),
            'learner.checkpoint.period_s': 0.0,
            'learner.credit.rpe_timeout_s': 20.0,
            'environment.stop.steps': environment_steps,
            'environment.autostart': False,
            'environment.resend_period_s': 0.5,
        },
    )
    path = folder / 'all.yaml'
    path.write_text(parameter_file(nodes))
    ros = Ros(folder)
    try:
        has_critic = nodes['neuromodulator'].get('rpe.baseline') == 'critic'
        heard = _listen(ros, path, 1 + has_critic)
        for stream, messages in heard.items():
            for number in sorted(messages):
                note(stream, number, numbers(stream, messages[number]))
        weights = last_checkpoint(folder / 'checkpoints')['network']['weights']
        note_weights(max(heard['states']), [np.array(layer) for layer in weights])
    finally:
        ros.close()


def _listen(ros: Any, path: Path, hearers: int) -> dict[str, dict[int, Any]]:
    """Run the nodes to their end; return what was heard, by stream and number of the state.

    Args:
        ros: a domain to run in.
        path: parameters of the nodes.
        hearers: nodes that need the states.
    """
    direct = 'state_of_environment'
    topics = {
        'states': direct,
        'actions': names.ACTION,
        'rewards': names.REWARD,
        'rpes': names.NEUROMODULATION,
    }
    probe = ros.probe()
    kind, profile = TOPICS[names.STATE]
    states = probe.node.create_publisher(kind, names.STATE, profile)
    heard: dict[str, dict[int, Any]] = {stream: {} for stream in topics}

    def hear(stream: str, message: Any) -> None:
        # A state that is sent again, and its answer, are counted once.
        heard[stream].setdefault(int(message.sequence), message)
        if stream == 'states':
            states.publish(message)

    for stream, topic in topics.items():
        kind, profile = TOPICS[names.STATE if stream == 'states' else topic]
        probe.node.create_subscription(kind, topic, partial(hear, stream), profile)
    remapping = ('-r', f'environment:{names.STATE}:={direct}')
    app = ros.start('app', None, *remapping, params_file=str(path))
    # What is published before its subscriber is known would be lost.
    probe.until(lambda: states.get_subscription_count() >= hearers, 'those who need states')
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        answer = probe.call('environment', '~/change_state', ChangeState, request)
        assert answer.success, app.output
        probe.until(
            lambda: all(probe.node.count_publishers(topic) for topic in topics.values()), 'all'
        )
    probe.until(lambda: app.process.poll() is not None, 'the end of the run', 120.0)
    assert app.wait() == 0, app.output
    _hear_the_rest(probe, heard)
    for stream in ('states', 'actions'):
        lost = sorted(set(range(max(heard['states']) + 1)) - set(heard[stream]))
        if lost:
            raise RuntimeError(
                f'the listener has lost {len(lost)} {stream}, first that of step {lost[0]}, which '
                'proves nothing; run it again'
            )
    return heard


def _hear_the_rest(probe: Any, heard: dict[str, dict[int, Any]]) -> None:
    """Take what has come and was not handled yet; its senders have ended."""
    count = -1
    while count != sum(map(len, heard.values())):
        count = sum(map(len, heard.values()))
        for _ in range(10):
            probe.executor.spin_once(timeout_sec=0.01)
