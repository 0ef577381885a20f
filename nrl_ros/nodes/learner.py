"""The learner node: acts on states, and learns from broadcast reward-prediction errors."""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from nrl_ros.base.errors import CheckpointError, NrlError, ProtocolError
from nrl_ros.base.records import ActionBatch, AgentInfo
from nrl_ros.learning.learner import Learner
from nrl_ros.nodes.rpe_source import RpeSource
from nrl_ros.nodes.saving import not_saved, open_series, prune
from nrl_ros.ros import conversion, graph, hearing, names, qos
from nrl_ros.ros.interfaces import (
    Action,
    EnvInfo,
    EnvState,
    GetLearnerState,
    LearnerStatus,
    LoadCheckpoint,
    Neuromodulation,
    SaveCheckpoint,
)
from nrl_ros.ros.lifecycle import NrlNode, draw_identity
from nrl_ros.ros.lifecycle import main as run_node
from nrl_ros.ros.round_trip import AwaitedAnswers
from nrl_ros.ros.sender import Sender
from nrl_ros.settings.learner import LearnerNodeSettings
from nrl_ros.storage.checkpoint import (
    NUMBERED,
    check_number,
    find_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from nrl_ros.storage.files import path_below, shown
from nrl_ros.storage.series import CheckpointSeries

# Weights with a larger norm have diverged; policies that work have norms of 3 to 30.
_DIVERGED = 1e4
# An agent that was given an action within this time keeps its name [s].
_AT_WORK_S = 2.0
# So many agents are logged when they join; the status lists all of them.
_JOINS_SAID = 100
# After so many refused states in a row, the next state of an agent is taken as its first one.
_REFUSED_IN_A_ROW = 3


class LearnerNode(NrlNode[LearnerNodeSettings]):
    """Subscribes to ``env_info``, ``state``, ``neuromodulation``; publishes ``action``."""

    def __init__(self, **options: Any) -> None:
        self._core: Learner | None = None
        super().__init__(names.LEARNER, LearnerNodeSettings, **options)
        self._series: CheckpointSeries | None = None
        self._checkpoint_number = 0
        self._save_due = False
        self._busy_s = 0.0
        # When each agent was last given an action.
        self._answered_at: dict[str, float] = {}
        # How many states of each agent were refused since then.
        self._refused: dict[str, int] = {}
        self._joined = 0

    # ----------------------------------------------------------- lifecycle

    def configure(self) -> None:
        """Build the core and the topics, and load a checkpoint if one is named."""
        settings = self.settings
        self._core = Learner(settings, settings.limits)
        self._source = RpeSource(self, settings.credit.rpe_timeout_s)
        self._core.identity = draw_identity()
        self._awaited = AwaitedAnswers(settings.credit.rpe_timeout_s)
        self._series = open_series(self, settings.checkpoint, names.LEARNER, names.LEARNER)
        if settings.checkpoint.load and not self._load(Path(settings.checkpoint.load)):
            self.get_logger().info(f'no checkpoint in {settings.checkpoint.load} yet: starts anew')
        self._core.evaluating = settings.evaluate
        self._action = self.publisher(Action, names.ACTION, qos.step())
        self._status = self.publisher(LearnerStatus, names.LEARNER_STATUS, qos.latched())
        self.subscription(EnvInfo, names.ENV_INFO, qos.latched(64), self._on_info, inactive=True)
        self.subscription(
            Neuromodulation,
            names.NEUROMODULATION,
            qos.event(),
            self._on_neuromodulation,
            raw=True,
            with_sender=True,
        )
        self.subscription(EnvState, names.STATE, qos.step(), self._on_state, raw=True)
        self.service(SaveCheckpoint, names.SAVE_CHECKPOINT, self._on_save)
        self.service(LoadCheckpoint, names.LOAD_CHECKPOINT, self._on_load)
        self.service(SetBool, names.FREEZE, self._on_freeze)
        self.service(SetBool, names.EVALUATE, self._on_evaluate)
        self.service(GetLearnerState, names.GET_STATE, self._on_get_state)
        self._last_status = (time.monotonic(), 0.0, 0)
        self._last_save = time.monotonic()
        self.periodic(settings.status_period_s, self._publish_status)
        self.periodic(min(settings.credit.rpe_timeout_s / 4.0, 0.5), self._watch)

    def settings_changed(self, settings: LearnerNodeSettings) -> None:
        """Apply changed learning rate, noise and mode."""
        if self._core is None:
            return
        self._core.set_learning_rate(settings.plasticity.learning_rate)
        self._core.set_sigma(settings.noise.sigma)
        if settings.evaluate != self.settings.evaluate:
            self._core.evaluating = settings.evaluate
            self._release_pending()

    def deactivate(self) -> None:
        """Save what was learned, and publish the last figures."""
        assert self._core is not None
        if self._series is not None and self._core.states:
            data = self._data(self._next_number())
            try:
                path = self._series.write(self._checkpoint_number, data)
            except NrlError as error:
                not_saved(self, 'policy', names.LEARNER, data, error)
            else:
                self.get_logger().info(f'saved {path}')
                prune(self, self._series)
        self._publish_status()

    def cleanup(self) -> None:
        """Forget what was learned, which has been saved by now if it was to be kept."""
        self._core = self._series = None
        self._answered_at.clear()
        self._refused.clear()
        self._save_due = False

    def idle(self) -> None:
        """Draw noise in advance."""
        if self._core is not None and self.active:
            self._core.prepare()

    # -------------------------------------------------------------- topics

    def _on_info(self, message: EnvInfo) -> None:
        assert self._core is not None
        info = conversion.info_from_msg(message)
        known = self._core.roster.infos.get(info.agent)
        if info.active:
            if known is not None and known.session != info.session:
                self._refuse_a_second_one(info)
            if not self._core.roster.introduce(info):
                # An environment introduces itself again if it was not answered for a while.
                return
            self._awaited.forget(info.agent)
            self._joined += 1
            if self._joined <= _JOINS_SAID:
                self.get_logger().info(
                    f'agent {info.agent!r} joined: {info.spec.instances} instances, '
                    f'{info.spec.observation_size} observations, '
                    f'{info.spec.action.kind.name.lower()} actions {info.spec.action.sizes}'
                )
            return
        if known is not None and known.session == info.session:
            released = self._core.leave(info.agent)
            self._awaited.forget(info.agent)
            self.get_logger().info(f'agent {info.agent!r} left, {released} open windows released')

    def _refuse_a_second_one(self, info: AgentInfo) -> None:
        """Refuse a second environment of one name while the first one is being answered.

        Raises:
            ProtocolError: another environment takes the name of one that is at work.
        """
        if time.monotonic() - self._answered_at.get(info.agent, -math.inf) > _AT_WORK_S:
            return
        self.counters['foreign_infos'] += 1
        who = graph.named(graph.publishers(self, names.ENV_INFO))
        raise ProtocolError(
            f'a second environment introduces itself as agent {info.agent!r}, with session '
            f'{info.session:#x}, while the first one is at work; the first one stays; publishers: '
            f'{who}; set another agent for one of them, or start it in another namespace'
        )

    def _on_state(self, data: bytes) -> None:
        assert self._core is not None
        start = time.perf_counter()
        state = conversion.state_from_wire(data)
        try:
            again = self._core.observe(state)
        except NrlError:
            if state.agent in self._answered_at:
                self._refused[state.agent] = self._refused.get(state.agent, 0) + 1
            raise
        if again is not None:
            self._answer(again)
        elif not self._act_if_it_may(state.agent) and self._core.awaiting(state.agent) is not None:
            self._awaited.ask(state.agent, state.sequence, time.monotonic())
        self._busy_s += time.perf_counter() - start

    def _on_neuromodulation(self, data: bytes, publisher: hearing.Sender) -> None:
        assert self._core is not None
        start = time.perf_counter()
        rpe = conversion.rpe_from_wire(data)
        now, sender = time.monotonic(), Sender(rpe.neuromodulator, publisher.gid)
        if not self._source.admits(sender, now, len(rpe.instance)):
            return
        if self._core.reinforce(rpe):
            self._source.heard(sender)
            self._awaited.answered(rpe.agent, rpe.sequence, now)
        self._act_if_it_may(rpe.agent)
        self._busy_s += time.perf_counter() - start

    def _act_if_it_may(self, agent: str) -> bool:
        """Act upon what an agent has learned from; return whether its state waited for that only.

        A checkpoint that is due is saved in between, when no step is half done; its number tells
        the environment to save its own beside it.
        """
        assert self._core is not None
        if not self._core.may_act(agent):
            return False
        self._answer(self._core.act(agent, self._save_if_due()))
        return True

    def _answer(self, action: ActionBatch) -> None:
        self._action.publish(conversion.action_to_wire(action))
        self._answered_at[action.agent] = time.monotonic()
        if self._refused:
            self._refused.pop(action.agent, None)
        self._awaited.done(action.agent)

    def _watch(self) -> None:
        """Release windows whose RPEs do not come, and decide when to save."""
        assert self._core is not None
        now, settings = time.monotonic(), self.settings
        if self._core.awaits_rpes:
            self._source.owes(now)
        for agent, refused in list(self._refused.items()):
            if refused >= _REFUSED_IN_A_ROW and now - self._answered_at[agent] > _AT_WORK_S:
                self._start_over(agent)
        for agent in self._awaited.late(now):
            self._awaited.done(agent)
            self._core.release_waiting(agent)
            limit_s = self._awaited.limit_s(agent)
            if self._act_if_it_may(agent):
                self.get_logger().warning(
                    f'agent {agent!r}: no reward-prediction error within {limit_s:.3g} s, its '
                    'windows are released without learning; is the neuromodulator running?'
                )
        checkpoint = settings.checkpoint
        if checkpoint.folder and 0.0 < checkpoint.period_s <= now - self._last_save:
            self._save_due = True
            self._last_save = now

    def _start_over(self, agent: str) -> None:
        """Take the next state of an agent as its first one, after all its states were refused."""
        assert self._core is not None
        del self._refused[agent]
        self.counters['agents_started_over'] += 1
        released = self._core.roster.start_over(agent)
        self.get_logger().error(
            f'agent {agent!r}: every state of the last {_AT_WORK_S:.0f} s was refused, perhaps '
            'since another node sent a state with a later number: its next state is taken as the '
            f'first one, and {released} open windows are released; publishers of states: '
            f'{graph.named(graph.publishers(self, names.STATE))}'
        )

    # ---------------------------------------------------------- checkpoints

    def _next_number(self) -> int:
        assert self._series is not None
        self._checkpoint_number = self._series.next_number(self._checkpoint_number)
        return self._checkpoint_number

    def _data(self, number: int) -> dict[str, Any]:
        assert self._core is not None
        return self._core.snapshot() | {'number': number}

    def _save_if_due(self) -> int:
        """Save if it is time to; return the number of the checkpoint, 0: none."""
        if not self._save_due:
            return 0
        self._save_due = False
        try:
            self._save_numbered()
        except NrlError as error:
            self.get_logger().error(f'checkpoint not written: {error}')
            return 0
        return self._checkpoint_number

    def _save_numbered(self) -> Path:
        if self._series is None:
            raise CheckpointError('no path given and checkpoint.folder is not set')
        number = self._next_number()
        path = self._series.write(number, self._data(number))
        prune(self, self._series)
        return path

    def _save_named(self, text: str) -> Path:
        """Save to a path that a client has asked for, if the settings allow it."""
        path = self._allowed(text)
        if NUMBERED.fullmatch(path.name):
            raise CheckpointError(
                f'path {shown(text)}: numbered names are given by the learner itself; give no '
                'path, or another name'
            )
        write_checkpoint(path, names.LEARNER, self._data(self._checkpoint_number))
        return path

    def _allowed(self, text: str) -> Path:
        checkpoint = self.settings.checkpoint
        return path_below(text, checkpoint.folder, anywhere=checkpoint.anywhere)

    def _load(self, path: Path) -> Path | None:
        """Load a file, or the newest readable one of a folder; return None if it has none."""
        assert self._core is not None
        file = find_checkpoint(path, 'learner', self._skipped)
        if file is None:
            return None
        data = read_checkpoint(file, 'learner')
        number = check_number(data.get('number'))
        self._core.restore(data, keep_settings=self.settings.checkpoint.keep_settings)
        self._show_settings_in_force()
        self._checkpoint_number = max(self._checkpoint_number, number)
        if self._series is not None:
            self._series.continue_from(file)
        self.get_logger().info(f'continues from {file}: {self._core.steps} steps so far')
        return file

    def _show_settings_in_force(self) -> None:
        """Set the parameters to the values that came with a checkpoint."""
        assert self._core is not None
        found = {
            'plasticity.learning_rate': self._core.settings.plasticity.learning_rate,
            'noise.sigma': self._core.settings.noise.sigma,
        }
        for name, value in found.items():
            before = self.get_parameter(name).value
            if value != before:
                self.set_parameters([Parameter(name, value=value)])
                self.get_logger().warning(
                    f'{name} is {value} as in the checkpoint, not {before} as in the parameters; '
                    'to have these instead, set it now, or start with checkpoint.keep_settings'
                )

    def _skipped(self, _path: Path, error: CheckpointError) -> None:
        self.get_logger().warning(f'skipped: {error}')

    # ------------------------------------------------------------- services

    def _on_save(
        self, request: SaveCheckpoint.Request, response: SaveCheckpoint.Response
    ) -> SaveCheckpoint.Response:
        try:
            path = self._save_named(request.path) if request.path else self._save_numbered()
            response.success, response.message = True, str(path)
        except NrlError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_load(
        self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response
    ) -> LoadCheckpoint.Response:
        try:
            path = self._allowed(request.path)
            file = self._load(path)
            if file is None:
                raise CheckpointError(f'there is no checkpoint in {path}')
            response.success, response.message = True, f'loaded {file}'
        except NrlError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_freeze(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        assert self._core is not None
        self._core.frozen = request.data
        self._release_pending()
        response.success = True
        response.message = 'frozen' if request.data else 'learning'
        return response

    def _on_evaluate(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        # The parameter is set, and not the core itself, so that both always agree.
        result = self.set_parameters([Parameter('evaluate', value=request.data)])[0]
        response.success = result.successful
        response.message = result.reason or (
            'greedy, without noise or learning' if request.data else 'learning'
        )
        return response

    def _release_pending(self) -> None:
        """Release states that wait for RPEs, since the learner does not learn now."""
        assert self._core is not None
        for agent in self._core.roster.infos:
            self._core.release_waiting(agent)
            self._act_if_it_may(agent)

    def _on_get_state(
        self, _request: GetLearnerState.Request, response: GetLearnerState.Response
    ) -> GetLearnerState.Response:
        response.status = self._make_status()
        response.settings = yaml.safe_dump(self.settings.model_dump(mode='json'), sort_keys=False)
        return response

    # --------------------------------------------------------------- status

    def _make_status(self) -> LearnerStatus:
        assert self._core is not None
        core = self._core
        now = time.monotonic()
        then, rpe_sum, learned = self._last_status
        windows = core.windows_learned - learned
        mean_rpe = (core.absolute_rpe_sum - rpe_sum) / windows if windows else math.nan
        counters = core.counters + self.counters
        message = LearnerStatus(
            states=core.states,
            steps=core.steps,
            updates=core.updates,
            windows_learned=core.windows_learned,
            windows_open=core.windows_open,
            frozen=core.frozen,
            evaluating=core.evaluating,
            learning_rate=core.settings.plasticity.learning_rate,
            noise_sigma=core.settings.noise.sigma,
            mean_absolute_rpe=mean_rpe,
            weight_norm=core.weight_norm,
            neuromodulator=self._source.identity,
            busy_share=float(np.clip(self._busy_s / max(now - then, 1e-9), 0.0, 1.0)),
            agent=list(core.roster.infos),
            counter_name=list(counters),
            counter_value=list(counters.values()),
        )
        conversion.set_stamp(message.header.stamp, self.now_ns())
        return message

    def _publish_status(self) -> None:
        assert self._core is not None
        message = self._make_status()
        self._status.publish(message)
        if not message.weight_norm < _DIVERGED:
            self.say_seldom(
                'diverged',
                f'the weights have grown to a norm of {message.weight_norm:.3g}: they diverge; '
                'lower plasticity.learning_rate or, where rewards are large, set rpe.scale of the '
                'neuromodulator to absolute_reward, and load an earlier checkpoint',
            )
        self._busy_s = 0.0
        core = self._core
        self._last_status = (time.monotonic(), core.absolute_rpe_sum, core.windows_learned)


def main() -> int:
    """Run the node."""
    return run_node(LearnerNode)


if __name__ == '__main__':
    raise SystemExit(main())
