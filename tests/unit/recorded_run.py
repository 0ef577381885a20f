"""A run in this process, recorded as the nodes and the recorder do it over ROS 2."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from rclpy.serialization import serialize_message

from nrl_ros.base.records import Delivery, RpeBatch
from nrl_ros.base.settings import load
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.neuromodulator import Neuromodulator
from nrl_ros.learning.replay import Did
from nrl_ros.learning.snapshots import weights_digest
from nrl_ros.nodes.learner_order import pieces_of
from nrl_ros.ros import conversion, names
from nrl_ros.ros.interfaces import LearnerStart
from nrl_ros.ros.schemas import schema_of
from nrl_ros.settings.environment import EnvironmentNodeSettings
from nrl_ros.settings.learner import LearnerNodeSettings
from nrl_ros.settings.neuromodulator import NeuromodulatorNodeSettings
from nrl_ros.settings.run import RunSettings
from nrl_ros.storage.bag_metadata import Topic
from nrl_ros.storage.checkpoint import write_checkpoint
from nrl_ros.storage.recording_writer import RecordingWriter

TYPES = {
    names.STATE: 'EnvState',
    names.ACTION: 'Action',
    names.REWARD: 'Reward',
    names.NEUROMODULATION: 'Neuromodulation',
    names.ENV_INFO: 'EnvInfo',
    names.LEARNER_ORDER: 'LearnerOrder',
    names.LEARNER_START: 'LearnerStart',
}
AGENT, IDENTITY, NEUROMODULATOR = 'scripted', 77, 88
SETTINGS = {'seed': 3, 'network.hidden_sizes': [8], 'plasticity.learning_rate': 0.01}


class RecordedRun:
    """Runs and keeps all messages; ``write`` makes a recording of them.

    Args:
        folder: of the run.
        lockstep: the environment waits; otherwise RPEs come ``late`` states later.
        late: in states.
        settings: of the learner.
        start: checkpoint that the learner goes on from; None: none.
        nodes: settings of all three nodes, in place of a scripted environment; None: that one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        lockstep: bool = True,
        late: int = 0,
        settings: dict[str, Any] | None = None,
        start: dict[str, Any] | None = None,
        nodes: RunSettings | None = None,
    ) -> None:
        self.folder = folder
        # Of a run that goes on the environment starts anew.
        self.session = 5 if start is None else 6
        self.settings = (
            load(LearnerNodeSettings, SETTINGS | (settings or {}), source='test')
            if nodes is None
            else nodes.learner
        )
        self.core = Learner(self.settings, self.settings.limits)
        self.core.identity = IDENTITY
        self.messages: list[tuple[str, int, bytes]] = []
        self.entries: list[Any] = []
        self.start_file = ''
        if start is not None:
            self.core.restore(start)
            self.start_file = str(folder / 'checkpoints' / 'learner_00000009.nrl')
            write_checkpoint(Path(self.start_file), 'learner', start)
        neuromodulator = (
            load(NeuromodulatorNodeSettings, {'rpe.rate': 0.5}, source='test')
            if nodes is None
            else nodes.neuromodulator
        )
        self.neuromodulator = Neuromodulator(neuromodulator.rpe, critic=neuromodulator.critic)
        self.neuromodulator.identity = NEUROMODULATOR
        self.bridge: Any = None
        self.episodes = self._episodes(lockstep, None if nodes is None else nodes.environment)
        self.late, self.due = late, list[tuple[int, RpeBatch]]()
        self.count = 0
        self.note(Did.INTRODUCED, session=self.session)
        self.keep(names.ENV_INFO, serialize_message(conversion.info_to_msg(self.episodes.info, 0)))
        self.core.roster.introduce(self.episodes.info)
        self.next = self.episodes.begin(0), None

    def _episodes(self, lockstep: bool, settings: EnvironmentNodeSettings | None) -> Episodes:
        """Make the environment: a scripted one, or that of some settings."""
        if settings is None:
            options = {'lengths': [5, 9], 'endings': ['terminated', 'truncated']}
            bridge, delivery, steps = make_bridge('scripted', 2, options), Delivery.EPISODE, 0
        else:
            given, reward = settings.bridge, settings.reward
            bridge = make_bridge(given.name, given.instances, dict(given.options))
            delivery, steps = reward.core(), reward.steps
        self.bridge = bridge
        return Episodes(
            bridge,
            agent=AGENT,
            session=self.session,
            lockstep=lockstep,
            delivery=delivery,
            delivery_steps=steps,
        )

    def note(self, kind: Did, sequence: int = 0, **more: Any) -> None:
        """Note an entry as ``OrderNotes`` does."""
        fields = {'session': 0, 'value': 0.0, 'text': '', 'detail': ''} | more
        agent = AGENT if fields['session'] else ''
        self.entries.append(
            (int(kind), agent, fields['session'], sequence)
            + (fields['value'], fields['text'], fields['detail'])
        )

    def keep(self, topic: str, data: bytes, number: int = -1) -> None:
        """Keep a message with the sequence number of its state."""
        self.messages.append((topic, number, data))

    def step(self, save: int = 0) -> None:
        """Do what learner and environment do upon one state.

        Args:
            save: number of a checkpoint that is saved when the state is taken, and before the
                learner acts upon it; 0: none.
        """
        state, reward = self.next
        number = state.sequence
        if reward is None:
            self.neuromodulator.observe(state)
        else:
            self.keep(names.REWARD, conversion.reward_to_wire(reward), number)
            self.neuromodulator.observe(state)
            rpe = self.neuromodulator.evaluate(reward)
            assert rpe is not None
            # The recorder has it before the state, the learner after it.
            self.keep(names.NEUROMODULATION, conversion.rpe_to_wire(rpe), number)
            self.due.append((self.count + self.late, rpe))
        self.keep(names.STATE, conversion.state_to_wire(state), number)
        self.note(Did.STATE, number, session=self.session)
        self.core.observe(state)
        if save:
            self.save(save)
        # In real time the learner acts at once.
        action = None if self.core.roster.infos[AGENT].lockstep else self.core.act(AGENT)
        while self.due and self.due[0][0] <= self.count:
            self.hear(self.due.pop(0)[1])
        action = action or self.core.act(AGENT)
        self.keep(names.ACTION, conversion.action_to_wire(action), number)
        advance = self.episodes.advance(action.action)
        self.next = advance.state, advance.reward
        self.count += 1

    def hear(self, rpe: RpeBatch) -> None:
        """Take reward-prediction errors."""
        if not any(entry[0] == Did.NEUROMODULATOR for entry in self.entries):
            self.note(Did.NEUROMODULATOR, NEUROMODULATOR)
        self.note(Did.RPE, rpe.sequence, session=self.session)
        self.core.reinforce(rpe)

    def save(self, number: int) -> dict[str, Any]:
        """Save a checkpoint as the node does between two steps."""
        data = self.core.snapshot() | {'number': number}
        path = self.folder / 'checkpoints' / f'learner_{number:08d}.nrl'
        write_checkpoint(path, 'learner', data)
        self.note(Did.SAVED, text=str(path), detail=weights_digest(data))
        return data

    def steps(self, count: int, save: int = 0) -> RecordedRun:
        """Do so many steps, and save under a number then; 0: do not."""
        for _ in range(count):
            self.step()
        if save:
            self.save(save)
        return self

    def write(
        self,
        *,
        without: Iterable[tuple[str, int]] = (),
        order: bool = True,
        first_entry: int = 0,
        schemas: dict[str, str] | None = None,
        actions_last: bool = False,
    ) -> Path:
        """Write the recording and return its folder.

        Args:
            without: topic and number of messages that are missing.
            order: write what the learner says of its order.
            first_entry: the recording begins with this entry.
            schemas: other definitions of types, by name.
            actions_last: the recorder was held up and received all actions after all else.
        """
        folder = self.folder / 'recording'
        writer = RecordingWriter(folder, {'namespace': '/a'})
        for name, kind in TYPES.items():
            schema = (schemas or {}).get(kind, schema_of(f'nrl_ros/msg/{kind}'))
            writer.add_topic(Topic(f'/a/{name}', f'nrl_ros/msg/{kind}', schema))
        start = LearnerStart(
            learner=IDENTITY,
            settings=yaml.safe_dump(self.settings.model_dump(mode='json')),
            checkpoint=self.start_file,
        )
        at = 1_000_000
        writer.write(f'/a/{names.LEARNER_START}', serialize_message(start), at, at)
        missing = set(without)
        here = [one for one in self.messages if one[:2] not in missing]
        late = [one for one in here if actions_last and one[0] == names.ACTION]
        for topic, _, data in (one for one in here if one not in late):
            at += 1_000_000
            writer.write(f'/a/{topic}', data, at, at)
        for piece in pieces_of(self.entries, IDENTITY, 50) if order else ():
            if piece.first >= first_entry:
                at += 1_000_000
                writer.write(f'/a/{names.LEARNER_ORDER}', serialize_message(piece), at, at)
        for topic, _, data in late:
            at += 1_000_000
            writer.write(f'/a/{topic}', data, at, at)
        writer.close()
        return folder
