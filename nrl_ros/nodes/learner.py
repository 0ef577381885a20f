"""The learner node: acts on states, and learns from broadcast reward-prediction errors."""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

import time
from pathlib import Path
from typing import Any

import yaml
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from nrl_ros.base.errors import NrlError, ProtocolError
from nrl_ros.base.identity import draw_identity
from nrl_ros.base.records import ActionBatch, AgentInfo
from nrl_ros.learning.attendance import AT_WORK_S, Attendance
from nrl_ros.learning.learner import Learner
from nrl_ros.nodes.guard_reports import GuardReports
from nrl_ros.nodes.learner_checkpoints import LearnerCheckpoints
from nrl_ros.nodes.learner_order import OrderNotes
from nrl_ros.nodes.learner_status import LearnerReports
from nrl_ros.nodes.rpe_source import RpeSource
from nrl_ros.ros import conversion, graph, hearing, names, qos
from nrl_ros.ros.executor import take_waiting
from nrl_ros.ros.interfaces import (
    Action,
    EnvInfo,
    EnvState,
    GetLearnerState,
    LearnerOrder,
    LearnerStatus,
    LoadCheckpoint,
    Neuromodulation,
    SaveCheckpoint,
)
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.lifecycle import main as run_node
from nrl_ros.ros.round_trip import AwaitedAnswers
from nrl_ros.ros.sender import Sender
from nrl_ros.settings.learner import LearnerNodeSettings

# Introductions that wait at most.
_INTRODUCTIONS = 64
# So many agents are logged when they join; the status lists all of them.
_JOINS_SAID = 100


class LearnerNode(NrlNode[LearnerNodeSettings]):
    """Subscribes to ``env_info``, ``state``, ``neuromodulation``; publishes ``action``.

    Args:
        saves_beside: write checkpoints in a thread beside the node, which shares its own thread
            with nodes that must not wait for the disk.
        options: as of NrlNode.
    """

    def __init__(self, *, saves_beside: bool = False, **options: Any) -> None:
        self._core: Learner | None = None
        self._saves_beside = saves_beside
        super().__init__(names.LEARNER, LearnerNodeSettings, **options)
        self._joined = 0

    # ----------------------------------------------------------- lifecycle

    def configure(self) -> None:
        """Build the core and the topics, and load a checkpoint if one is named."""
        settings = self.settings
        self._core = Learner(settings, settings.limits)
        self._source = RpeSource(self, settings.credit.rpe_timeout_s)
        self._core.identity = draw_identity()
        self._awaited = AwaitedAnswers(settings.credit.rpe_timeout_s)
        self._attendance = Attendance()
        self._order = OrderNotes(self, self._core.identity)
        self._checkpoints = LearnerCheckpoints(
            self, self._core, self._order.note, beside=self._saves_beside
        )
        load, loaded = settings.checkpoint.load, None
        if load:
            loaded = self._checkpoints.load(Path(load))
            if loaded is None:
                self.get_logger().info(f'no checkpoint in {load} yet: starts anew')
        self._order.begin(
            self._settings_text(),
            '' if loaded is None else str(loaded.resolve()),
            keep_settings=settings.checkpoint.keep_settings,
        )
        self._core.evaluating = settings.evaluate
        self._action = self.publisher(Action, names.ACTION, qos.step())
        status = self.publisher(LearnerStatus, names.LEARNER_STATUS, qos.latched())
        self._reports = LearnerReports(self, self._core, status)
        self._guard = GuardReports(
            self,
            self._core,
            self._reports.diagnostics,
            self._guard_has_changed,
            note=self._order.note,
        )
        self._introductions = self.subscription(
            EnvInfo, names.ENV_INFO, qos.latched(_INTRODUCTIONS), self._on_info, inactive=True
        )
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
        self.periodic(settings.status_period_s, self._publish_status)
        self.periodic(min(settings.credit.rpe_timeout_s / 4.0, 0.5), self._watch)

    def settings_changed(self, settings: LearnerNodeSettings) -> None:
        """Apply changed learning rate, noise and mode."""
        if self._core is None:
            return
        rate, sigma = settings.plasticity.learning_rate, settings.noise.sigma
        self._order.note(LearnerOrder.KIND_LEARNING_RATE, value=rate)
        self._core.set_learning_rate(rate)
        self._order.note(LearnerOrder.KIND_NOISE_SIGMA, value=sigma)
        self._core.set_sigma(sigma)
        if settings.evaluate != self.settings.evaluate:
            self._order.note(LearnerOrder.KIND_EVALUATING, value=settings.evaluate)
            self._core.evaluating = settings.evaluate
            self._release_pending()

    def deactivate(self) -> None:
        """Save what was learned, and publish the last figures."""
        self._checkpoints.save_last()
        self._publish_status()
        self._order.end()

    def cleanup(self) -> None:
        """Forget what was learned, which has been saved by now if it was to be kept."""
        self._core = None

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
            if known != info:
                self._order.info(info)
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
            self._order.info(info)
            released = self._core.leave(info.agent)
            self._awaited.forget(info.agent)
            self.get_logger().info(f'agent {info.agent!r} left, {released} open windows released')

    def _refuse_a_second_one(self, info: AgentInfo) -> None:
        """Refuse a second environment of one name while the first one is being answered.

        Raises:
            ProtocolError: another environment takes the name of one that is at work.
        """
        if not self._attendance.is_at_work(info.agent, time.monotonic()):
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
        served = self._core.served(state.agent)
        if served is None or served.info.session != state.session:
            # States are handled before the introductions that have come with them.
            take_waiting(self._introductions, _INTRODUCTIONS)
        self._order.state(state)
        try:
            again = self._core.observe(state)
        except NrlError:
            self._attendance.refused(state.agent)
            raise
        if again is not None:
            self._answer(again)
        elif not self._act_if_it_may(state.agent) and self._core.awaiting(state.agent) is not None:
            self._awaited.ask(state.agent, state.sequence, time.monotonic())
        self._guard.look()
        self._reports.interval.worked(time.perf_counter() - start)

    def _on_neuromodulation(self, data: bytes, publisher: hearing.Sender) -> None:
        assert self._core is not None
        start = time.perf_counter()
        rpe = conversion.rpe_from_wire(data)
        now, sender = time.monotonic(), Sender(rpe.neuromodulator, publisher.gid)
        if not self._source.admits(sender, now, len(rpe.instance)):
            return
        self._order.rpe(rpe)
        if self._core.reinforce(rpe):
            self._source.heard(sender)
            self._awaited.answered(rpe.agent, rpe.sequence, now)
        self._act_if_it_may(rpe.agent)
        self._guard.look()
        self._reports.interval.worked(time.perf_counter() - start)

    def _act_if_it_may(self, agent: str) -> bool:
        """Act upon an agent's state if it waits for nothing else; return True if that was done.

        A checkpoint that is due is saved before, when no step is half done; its number in the
        action tells the environment to save its own state too.
        """
        assert self._core is not None
        if not self._core.may_act(agent):
            return False
        self._answer(self._core.act(agent, self._checkpoints.save_if_due()))
        return True

    def _answer(self, action: ActionBatch) -> None:
        self._action.publish(conversion.action_to_wire(action))
        self._attendance.answered(action.agent, time.monotonic())
        self._awaited.done(action.agent)

    def _watch(self) -> None:
        """Release windows whose RPEs do not come, and decide when to save."""
        assert self._core is not None
        now = time.monotonic()
        if self._core.awaits_rpes:
            self._source.owes(now)
        for agent in self._attendance.shut_out(now):
            self._start_over(agent)
        for agent in self._awaited.late(now):
            self._awaited.done(agent)
            self._order.note(LearnerOrder.KIND_RELEASED, agent)
            self._core.release_waiting(agent)
            limit_s = self._awaited.limit_s(agent)
            if self._act_if_it_may(agent):
                self.get_logger().warning(
                    f'agent {agent!r}: no reward-prediction error within {limit_s:.3g} s, its '
                    'windows are released without learning; is the neuromodulator running?'
                )
        self._checkpoints.look(now)
        self._order.publish()

    def _start_over(self, agent: str) -> None:
        """Take the next state of an agent as its first one, after all its states were refused."""
        assert self._core is not None
        self.counters['agents_started_over'] += 1
        self._order.note(LearnerOrder.KIND_STARTED_OVER, agent)
        released = self._core.roster.start_over(agent)
        self.get_logger().error(
            f'agent {agent!r}: every state of the last {AT_WORK_S:.0f} s was refused, perhaps '
            'since another node sent a state with a later number: its next state is taken as the '
            f'first one, and {released} open windows are released; publishers of states: '
            f'{graph.named(graph.publishers(self, names.STATE))}'
        )

    # ------------------------------------------------------------- services

    def _on_save(
        self, request: SaveCheckpoint.Request, response: SaveCheckpoint.Response
    ) -> SaveCheckpoint.Response:
        try:
            response.success, response.message = True, str(self._checkpoints.save(request.path))
        except NrlError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_load(
        self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response
    ) -> LoadCheckpoint.Response:
        try:
            file = self._checkpoints.load_asked(request.path)
            response.success, response.message = True, f'loaded {file}'
        except NrlError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_freeze(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        assert self._core is not None
        self._order.note(LearnerOrder.KIND_FROZEN, value=request.data)
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

    def _guard_has_changed(self) -> None:
        """Answer states whose windows the guard has released, and publish the status."""
        assert self._core is not None
        for agent in self._core.roster.infos:
            self._act_if_it_may(agent)
        self._publish_status()

    def _on_get_state(
        self, _request: GetLearnerState.Request, response: GetLearnerState.Response
    ) -> GetLearnerState.Response:
        response.status = self._reports.make(self._source.identity)
        response.settings = self._settings_text()
        return response

    def _settings_text(self) -> str:
        return str(yaml.safe_dump(self.settings.model_dump(mode='json'), sort_keys=False))

    def _publish_status(self) -> None:
        self._reports.publish(self._source.identity)
        self._guard.publish()


def main() -> int:
    """Run the node."""
    return run_node(LearnerNode)


if __name__ == '__main__':
    raise SystemExit(main())
