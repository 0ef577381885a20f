"""An environment node: steps a bridge, publishes its states and rewards, and applies actions."""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from nrl_ros.base.errors import BridgeError, ConfigError, NrlError, ProtocolError
from nrl_ros.base.records import ActionBatch, RewardBatch, StateBatch
from nrl_ros.environments.episodes import Advance, Episodes, check_action, safe_action
from nrl_ros.environments.faults import NEVER_ENDS, close_fault, never_ends
from nrl_ros.environments.interfaces import (
    Environment,
    LiveEnvironment,
    Remarking,
    Serving,
)
from nrl_ros.environments.mastery import Mastery
from nrl_ros.environments.registry import make_bridge
from nrl_ros.environments.session import LAST_ANSWER_S, Answer, EnvironmentSession, Stage
from nrl_ros.nodes.environment_people import EnvironmentPeople
from nrl_ros.nodes.environment_presence import EnvironmentPresence
from nrl_ros.nodes.environment_status import EnvironmentReports, ReportPublishers
from nrl_ros.nodes.saving import open_series, prune
from nrl_ros.nodes.state_sender import StateSender
from nrl_ros.robots.arm.description import keep_robot, read_robot, robot_on_topic
from nrl_ros.ros import conversion, leaving, names, qos
from nrl_ros.ros.control_rate import ControlRate
from nrl_ros.ros.description import model_of
from nrl_ros.ros.interfaces import Action, EnvInfo, EnvState, EnvStatus, EpisodeReport, Reward
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.lifecycle import main as run_node
from nrl_ros.ros.namesakes import Namesakes
from nrl_ros.settings.environment import EnvironmentNodeSettings
from nrl_ros.storage.checkpoint import read_checkpoint
from nrl_ros.storage.series import CheckpointSeries

# If no action comes for so long, a warning is logged [s].
_SILENT_S = 5.0
# Lockstep: how often the node checks whether an answer is late [s].
_LOOK_S = 0.02
_ENDING = (Stage.FINISHING, Stage.FINISHED)


class EnvironmentNode(NrlNode[EnvironmentNodeSettings]):
    """Publishes ``env_info``, ``state``, ``reward``, ``episodes``; subscribes to ``action``.

    In lockstep, a state waits for its action, however long that takes. The state is sent again if
    the answer takes longer than earlier answers took (RoundTrip). In real time, a timer on the
    steady clock steps the environment. An action that comes after its period is counted and not
    applied; instead the last action that came in time is held, and the learner is told so. A live
    environment, such as a robot, is polled in each period, and gets each action at once
    (LiveEnvironment).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(names.ENVIRONMENT, EnvironmentNodeSettings, **options)
        self._bridge: Environment | None = None
        self._live: LiveEnvironment | None = None
        self._series: CheckpointSeries | None = None
        self._lockstep = True
        self._session = EnvironmentSession(
            time.monotonic(), lockstep=True, restored=False, paused=False
        )
        self._namesakes = Namesakes()

    @property
    def paused(self) -> bool:
        """True while nothing is stepped, since a person has asked for that."""
        return self._session.paused

    # ----------------------------------------------------------- lifecycle

    def configure(self) -> None:
        """Make the bridge and the topics."""
        settings = self.settings
        self._series = open_series(
            self, settings.checkpoint, f'environment_{settings.agent}', 'environment'
        )
        self._bridge = make_bridge(settings.bridge.name, settings.bridge.instances, self._options())
        for text in self._bridge.remarks() if isinstance(self._bridge, Remarking) else ():
            self.get_logger().warning(text)
        self._lockstep = settings.mode == 'lockstep'
        self._live = self._bridge if isinstance(self._bridge, LiveEnvironment) else None
        if self._live is not None and self._lockstep:
            raise ConfigError(
                f'bridge {settings.bridge.name!r} runs by itself, it cannot wait for its action: '
                'set mode to realtime'
            )
        self._period_s = settings.control_period_s or self._bridge.spec.control_period_s
        if not self._lockstep and self._period_s <= 0.0:
            raise ConfigError(
                f'control_period_s must be positive in real time: the bridge '
                f'{settings.bridge.name!r} has none of its own'
            )
        info = self.publisher(EnvInfo, names.ENV_INFO, qos.latched())
        self._presence = EnvironmentPresence(self, info, self._namesakes)
        self._state = self.publisher(EnvState, names.STATE, qos.step())
        self._reward = self.publisher(Reward, names.REWARD, qos.event())
        self._report = self.publisher(EpisodeReport, names.EPISODES, qos.event())
        self._status = self.publisher(EnvStatus, names.ENV_STATUS, qos.latched())
        curve = f'{names.LEARNING_CURVE}/{settings.agent}'
        self._curve = self.publisher(Float64MultiArray, curve, qos.latched())
        self.subscription(Action, names.ACTION, qos.step(), self._on_action, raw=True)
        self.subscription(
            EnvInfo, names.ENV_INFO, qos.latched(64), self._presence.hear, inactive=True
        )
        self.service(SetBool, names.PAUSE, self._on_pause)
        self._people = EnvironmentPeople(self, takes_over=self._live is None)
        if self._live is not None:
            self._live.on_configure(self)
        self.periodic(settings.status_period_s, self._publish_status)
        self.periodic(settings.report_period_s, self._publish_report)
        if settings.progress_period_s:
            self.periodic(settings.progress_period_s, self._log_progress)
        self.periodic(settings.resend_period_s, self._watch_answers)
        if self._lockstep:
            self.periodic(min(_LOOK_S, settings.resend_period_s), self._resend)
        else:
            tick = self._tick if self._live is None else self._tick_live
            self._timer = self.periodic(self._period_s, tick)

    def _options(self) -> dict[str, Any]:
        """Return the options of the bridge; a robot's model that is on a topic is waited for."""
        bridge = self.settings.bridge
        robot = robot_on_topic(bridge.name, bridge.options)
        if not robot:
            return dict(bridge.options)
        folder = TemporaryDirectory(prefix='nrl_robot_')
        self.at_take_down(folder.cleanup)
        model = model_of(read_robot(robot))
        return {**bridge.options, 'robot': str(keep_robot(robot, model, Path(folder.name)))}

    def settings_changed(self, settings: EnvironmentNodeSettings) -> None:
        """Apply a changed weight of the rewards of people."""
        if self._bridge is not None:
            self._people.settings_changed(settings)

    def activate(self) -> None:
        """Start a session: reset or restore, introduce the agent, publish the first state."""
        assert self._bridge is not None
        settings = self.settings
        self._mastery = Mastery(settings.stop.learned, self._bridge.spec.metrics)
        self._episodes = Episodes(
            self._bridge,
            agent=settings.agent,
            session=self._presence.new_session(),
            lockstep=self._lockstep,
            delivery=settings.reward.core(),
            delivery_steps=settings.reward.steps,
            rewarded=not settings.human_reward.replace,
        )
        self._people.begin(self._episodes)
        self._session = EnvironmentSession(
            time.monotonic(),
            lockstep=self._lockstep,
            restored=bool(settings.checkpoint.load),
            paused=self._session.paused,
        )
        if settings.checkpoint.load:
            saved = read_checkpoint(Path(settings.checkpoint.load), 'environment')
            state = self._episodes.resume(saved, self.now_ns())
            if self._series is not None:
                self._series.continue_from(Path(settings.checkpoint.load))
        elif self._live is None:
            state = self._episodes.begin(settings.seed, self.now_ns())
        else:
            state = None
        self._applied_learner = 0
        self._sender = StateSender(self._state, self._reward, settings.resend_period_s)
        if not self._lockstep:
            self._timer.reset()
            self._control_rate = ControlRate(self._period_s, time.monotonic())
        self._held = safe_action(self._episodes.info)
        told = ReportPublishers(self._report, self._status, self._curve)
        self._reports = EnvironmentReports(self._episodes, told)
        session = self._session
        self._presence.begin(self._episodes, lambda: session.is_answered)
        if state is not None and self._lockstep:
            self._session.sent(state.sequence)
            self._sender.begin(state, time.monotonic())
        elif state is not None:
            self._send(state)

    def deactivate(self) -> None:
        """End the session: nothing is stepped any more, the learner releases open windows."""
        if self._live is not None:
            self._live.shutdown()
        self._publish_report()
        self._publish_status(active=False)
        # Messages that nobody has received are lost when the process ends.
        self._presence.leave()
        self._reports.wait_until_heard()

    def cleanup(self) -> None:
        """Close the bridge."""
        if self._bridge is not None:
            # An environment that speaks ROS itself may want to end it.
            with leaving.kept(self.context):
                fault = close_fault(self._bridge)
            if fault:
                self.get_logger().warning(fault)
            self._bridge = self._live = None
        self._namesakes.forget()

    # ------------------------------------------------------------- stepping

    def _on_action(self, data: bytes) -> None:
        info = self._episodes.info
        action = conversion.action_from_wire(data, info.spec.action)
        if action.agent != info.agent:
            return
        if action.session != info.session:
            raise ProtocolError(
                f'action of session {action.session:#x}, expected {info.session:#x}: '
                'it was sent before a restart'
            )
        session, now_s = self._session, time.monotonic()
        answer, kept = session.take(action, now_s), session.kept
        if answer is Answer.STALE:
            self.counters['duplicate_actions' if self._lockstep else 'late_actions'] += 1
            self._look_for_a_second_learner(action, self._applied_learner)
            return
        self._sender.answered(now_s)
        if answer is Answer.APPLY:
            self._step(action)
        elif answer is Answer.LAST:
            self._last_answer(action)
        elif kept is not None:
            self._look_for_a_second_learner(action, kept.learner)
        else:
            # The action is checked before it is kept, so that a bad one can never become the action
            # that is held.
            check_action(action.action, info)
            session.kept = action
            if self._live is not None and not session.paused:
                self._live.send(action.action)

    def _look_for_a_second_learner(self, action: ActionBatch, taken: int) -> None:
        """Report a second answer to one state by another learner; the first answer was applied."""
        if taken in (0, action.learner):
            return
        self.counters['foreign_actions'] += 1
        self.say_seldom(
            'two learners',
            f'two learners answer agent {action.agent!r} on '
            f'{self.resolve_topic_name(names.ACTION)}: stop one, or start it in another '
            'namespace; the first answer is taken, and only its learner learns from it',
            error=True,
        )

    def _step(self, action: ActionBatch) -> None:
        """Apply the action of the state that was sent, in lockstep."""
        if action.checkpoint:
            self._save(action.checkpoint)
        self._advance(action.action, learner=action.learner)

    def _advance(
        self, action: NDArray[Any], applied: NDArray[np.uint8] | None = None, learner: int = 0
    ) -> None:
        """Step the bridge and publish the result; a bridge that fails ends the node."""
        action, applied = self._people.mixed(action, applied)
        try:
            advance = self._episodes.advance(
                action, applied=applied, stamp_ns=self.now_ns(), learner=learner
            )
        except BridgeError as error:
            self.fail(f'{error}; this node ends; start it again after that is mended')
            return
        self._applied_learner = learner or self._applied_learner
        self._publish(advance)

    def _tick(self) -> None:
        """Apply the action that has come, or hold the last one, in real time."""
        if not self._begin_period():
            return
        action = self._session.release()
        if action is None:
            self.counters['missing_actions'] += 1
            self._advance(self._held, np.zeros(len(self._held), np.uint8))
        else:
            self._held = action.action
            self._advance(self._held, learner=action.learner)

    def _tick_live(self) -> None:
        """Poll a robot and publish the result of its last action; the next is sent as it comes."""
        assert self._live is not None
        if self._session.stage in _ENDING:
            self._live.hold()
            if isinstance(self._live, Serving):
                self._live.interrupted('the environment has done its episodes')
        if not self._begin_period():
            return
        try:
            going = self._live.poll()
        except BridgeError as error:
            self.fail(f'{error}; this node ends; start it again after that is mended')
            return
        if not going:
            # No state is sent in the meantime, so no action is missing.
            self._session.nobody_is_asked(time.monotonic())
        elif self._session.stage is Stage.NOT_BEGUN:
            self._send(self._episodes.begin(self.settings.seed, self.now_ns()))
        else:
            self._step_live()

    def _step_live(self) -> None:
        assert self._live is not None
        action = self._session.release()
        if action is None:
            self.counters['missing_actions'] += 1
        else:
            self._held = action.action
        applied = self._live.applied()
        self._advance(self._held, applied, 0 if action is None else action.learner)

    def _begin_period(self) -> bool:
        """Count periods that were missed; return True if the environment has to be stepped."""
        if self._session.stage in _ENDING:
            self._watch_last_answer()
            return False
        missed, rescheduled = self._control_rate.begin(time.monotonic())
        if rescheduled:
            self._timer.reset()
        if missed > 0:
            self.counters['overrun_periods'] += missed
            self.say_seldom(
                'overrun',
                f'{missed} control periods of {self._period_s} s were missed: the environment or '
                'the machine is too slow for this period',
            )
        return not (self._session.paused or self.exit_requested)

    def _publish(self, advance: Advance) -> None:
        self._send(advance.state, advance.reward)
        if advance.ends is not None:
            self._reports.ended(advance.ends)
            self._mastery.add(advance.ends)
        stop = self.settings.stop
        episodes = self._episodes
        if (
            (stop.steps and episodes.total_steps >= stop.steps)
            or (stop.episodes and episodes.total_episodes >= stop.episodes)
            or self._mastery.reached
        ):
            self._session.last_sent(time.monotonic())

    def _send(self, state: StateBatch, reward: RewardBatch | None = None) -> None:
        self._session.sent(state.sequence)
        self._sender.send(state, reward, time.monotonic())

    def _resend(self) -> None:
        """Send a state again if its answer is late: a message was lost, or the learner was away."""
        self._watch_last_answer()
        if self._session.asks and self._sender.send_again_if_late(time.monotonic()):
            self.counters['resent_states'] += 1

    def _watch_answers(self) -> None:
        """Introduce this agent again if nobody answers, and log that after a while."""
        session, now_s = self._session, time.monotonic()
        silent_s, usual_s = session.silent_s(now_s), self.settings.resend_period_s
        if not self._lockstep:
            usual_s = max(usual_s, 3.0 * self._period_s)
        heard = self._sender.is_heard
        given_up = session.is_not_taken_up(now_s, heard=heard)
        if not session.asks or silent_s < usual_s:
            return
        if given_up:
            self._episodes.renew(self._presence.new_session())
            self._sender.renew(self._episodes.info.session)
            session.renewed()
            self.get_logger().warning(
                'the learner does not continue the saved session, since it has continued '
                'without it or has not loaded its checkpoint: a new session begins'
            )
        self._presence.introduce()
        if silent_s > max(usual_s, _SILENT_S):
            topic = self.resolve_topic_name(names.STATE)
            why = (
                f'a learner hears {topic} and does not answer: its log says why, for example that '
                'its network was made for other spaces'
                if heard
                else f'nobody hears {topic}: start a learner in this namespace and ROS domain'
            )
            self.say_seldom(
                'silent',
                f'agent {self._episodes.info.agent!r}: no action for {silent_s:.0f} s; {why}',
            )

    def _last_answer(self, action: ActionBatch) -> None:
        """Finish: the learner has learned from everything, so this action is not applied."""
        if self._session.stage is Stage.FINISHED:
            return
        if action.checkpoint:
            self._save(action.checkpoint)
        self._finish()

    def _watch_last_answer(self) -> None:
        if self._session.is_overdue(time.monotonic()):
            self.get_logger().warning(
                f'no answer to the last state within {LAST_ANSWER_S} s; the learner may not have '
                'learned from the windows that it closed'
            )
            self._finish()

    def _finish(self) -> None:
        self._session.finish()
        self._publish_report()
        self._publish_status()
        self.get_logger().info(
            f'done: {self._episodes.total_steps} steps, {self._episodes.total_episodes} episodes'
            + f', learned: {self._mastery.about()}' * self._mastery.reached
        )
        if self.settings.stop.exit:
            self.exit_requested = True

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._live is not None and request.data:
            self._live.hold()
            if isinstance(self._live, Serving):
                self._live.interrupted('the environment was paused')
        response.success = True
        response.message = 'paused' if request.data else 'running'
        action = self._session.set_paused(time.monotonic(), paused=request.data)
        if action is not None:
            self._step(action)
        return response

    # ---------------------------------------------------------- checkpoints

    def _save(self, number: int) -> None:
        """Save the environment under the number of the learner's checkpoint."""
        if self._series is None or not self._episodes.can_be_saved:
            return
        try:
            self._series.write(number, self._episodes.snapshot())
        except NrlError as error:
            self.get_logger().error(f'environment state not written: {error}')
        else:
            prune(self, self._series)

    # --------------------------------------------------------------- status

    def _publish_report(self) -> None:
        self._reports.publish_episodes(self.now_ns())

    def _publish_status(self, *, active: bool = True) -> None:
        episodes = self._episodes
        if not self.counters['endless_episodes'] and never_ends(
            episodes.info.spec,
            steps=episodes.total_steps,
            episodes=episodes.total_episodes,
            delivery=episodes.info.delivery,
        ):
            self.counters['endless_episodes'] = episodes.info.spec.instances
            self.get_logger().warning(NEVER_ENDS)
        self._reports.publish_status(
            self.counters,
            self.now_ns(),
            active=active,
            finished=self._session.stage is Stage.FINISHED,
        )

    def _log_progress(self) -> None:
        line = self._reports.progress(self.counters)
        if line and self._session.stage is not Stage.FINISHED:
            self.get_logger().info(line)


def main() -> int:
    """Run the node."""
    return run_node(EnvironmentNode)


if __name__ == '__main__':
    raise SystemExit(main())
