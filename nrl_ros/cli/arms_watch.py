"""Shows all arms of a ROS domain side by side (``nrl arm --watch``); starts and moves nothing."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rich.console import Console
from rich.live import Live
from rich.table import Table

from nrl_ros.base.records import Ending
from nrl_ros.cli.processes import choose_known_domain, node_environment
from nrl_ros.monitor.arm_figures import ArmFigures
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.graph import topics_of
from nrl_ros.ros.hearing import Refusals, Topic, hear
from nrl_ros.ros.interfaces import ArmCommand, EpisodeReport, SafetyStatus
from nrl_ros.ros.reports import MOVES, take_aborted, take_safety
from nrl_ros.ros.security import initialise, refused_in_one_line
from nrl_ros.ros.signals import Signals

_LOOK_S, _SHOW_S = 0.5, 1.0
# An arm whose safety node has been silent for so long has left [s].
_GONE_S = 5.0
_DISTANCE = 'final_distance_m'


class Arm:
    """What is known of one arm.

    Args:
        namespace: of its nodes.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace, self.robot, self.agent = namespace, '', ''
        self.figures = ArmFigures()
        self.heard_at = 0.0

    def cells(self, now: float) -> tuple[str, ...]:
        """Return what is shown of it at a time of the steady clock [s]."""
        figures = self.figures
        mode = figures.mode if now - self.heard_at < _GONE_S else 'has left'
        doing = ': '.join(filter(None, (mode, figures.why or figures.moves)))
        last = figures.recent.recent(_DISTANCE)[-3:]
        shares = figures.recent.shares().items()
        return (
            self.namespace or '/',
            self.robot,
            doing,
            str(figures.episodes),
            ', '.join(f'{100 * one:.1f}' for one in last),
            '  '.join(f'{name} {100 * share:.0f} %' for name, share in shares),
        )


class Found(NamedTuple):
    """Topics of arms in a ROS graph: namespaces of safety nodes, and names of episode topics."""

    arms: frozenset[str]
    episodes: frozenset[str]


def found_in(topics: Iterable[tuple[str, list[str]]]) -> Found:
    """Return where arms and their episodes are, from the names and types of a graph's topics."""
    topics = list(topics)
    arms = topics_of(topics, SafetyStatus, names.SAFETY_STATUS)
    return Found(
        frozenset(name.rpartition('/')[0] for name in arms),
        frozenset(topics_of(topics, EpisodeReport)),
    )


def arm_of(arms: Iterable[Arm], topic: str, agent: str) -> Arm | None:
    """Return the arm of an agent that reports on a topic, None if none is known.

    Two learners may have agents of one name; the arms of each are below its namespace.
    """
    fleet = f'{topic.rpartition("/")[0]}/'
    found = (one for one in arms if one.agent == agent and f'{one.namespace}/'.startswith(fleet))
    return next(found, None)


class ArmsMonitor(Node):
    """Listens to every arm that comes.

    Args:
        options: passed to rclpy's node.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__('arms_monitor', **options)
        self.arms: dict[str, Arm] = {}
        self._heard: set[str] = set()
        self._refusals = Refusals(self, Counter())

    def look(self) -> None:
        """Subscribe to what has come since the last look."""
        found = found_in(self.get_topic_names_and_types())
        for namespace in sorted(found.arms - self.arms.keys()):
            self._add(Arm(namespace))
        for topic in found.episodes - self._heard:
            self._heard.add(topic)
            self._hear(EpisodeReport, topic, qos.event(), partial(self._on_report, topic))

    def _add(self, arm: Arm) -> None:
        self.arms[arm.namespace] = arm

        def on_status(message: SafetyStatus) -> None:
            arm.robot, arm.heard_at = message.robot, time.monotonic()
            take_safety(arm.figures, message)

        def on_command(message: ArmCommand) -> None:
            arm.agent = message.agent
            arm.figures.moves = MOVES.get(message.purpose, '')

        status = f'{arm.namespace}/{names.SAFETY_STATUS}'
        self._hear(SafetyStatus, status, qos.latched(), on_status)
        self._hear(ArmCommand, f'{arm.namespace}/{names.ARM_COMMAND}', qos.sensor(), on_command)

    def _hear(self, kind: type, topic: str, profile: Any, callback: Any) -> None:
        hear(self, Topic(kind, topic, profile), callback, self._refusals)

    def _on_report(self, topic: str, message: EpisodeReport) -> None:
        arm = arm_of(self.arms.values(), topic, message.agent)
        if arm is None:
            return
        ends = conversion.report_from_msg(message)
        take_aborted(arm.figures, ends)
        kept = ends.ending != Ending.ABORTED
        arm.figures.recent.add({name: one[kept] for name, one in ends.figures.items()})


def table(arms: Mapping[str, Arm], now: float) -> Table:
    """Return all arms, one a line."""
    made = Table('arm', 'robot', 'does', 'episodes', 'ended at [cm]', 'of the last 20')
    for namespace in sorted(arms):
        made.add_row(*arms[namespace].cells(now))
    return made


def watch_arms(domain: int | None, console: Console, *, seconds: float = 0.0) -> int:
    """Show all arms of a domain until Ctrl-C, or for a while; return the exit code.

    Args:
        domain: ROS domain; None: that of the environment, or 0.
        console: to write to.
        seconds: how long; 0: until a signal.
    """
    os.environ.update(node_environment(choose_known_domain(domain), udp_only=True))
    with Signals() as signals:
        initialise([])
        try:
            with refused_in_one_line():
                monitor = ArmsMonitor(use_global_arguments=False)
            executor = SingleThreadedExecutor()
            executor.add_node(monitor)
            begun = looked = shown = time.monotonic()
            with Live(console=console, auto_refresh=False) as live:
                while not signals.received and (not seconds or time.monotonic() - begun < seconds):
                    executor.spin_once(timeout_sec=0.1)
                    now = time.monotonic()
                    if now - looked >= _LOOK_S:
                        looked = now
                        monitor.look()
                    if now - shown >= _SHOW_S:
                        shown = now
                        live.update(table(monitor.arms, now), refresh=True)
        finally:
            rclpy.try_shutdown()
    return 0
