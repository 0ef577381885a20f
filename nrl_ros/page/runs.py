"""All runs and arms that the page knows, and what it tells the browsers of them; bounded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from nrl_ros.page.arm_view import ArmView
from nrl_ros.page.run_view import Condition, RunName, RunView
from nrl_ros.page.steering import Control

# Environments and arms that are kept; beyond it the one that has been silent longest is forgotten.
_MOST = 48
# What has been said by nodes lately, in answer to a page.
_MOST_SAID = 50
# A run that has left or is silent is forgotten after a day [s].
_FORGET_S = 86_400.0


class _View(Protocol):
    heard_at: float


View = TypeVar('View', bound=_View)


class Runs:
    """What is known of all runs of a ROS domain; times are arguments."""

    def __init__(self) -> None:
        self.runs: dict[RunName, RunView] = {}
        self.arms: dict[str, ArmView] = {}
        self.controls: frozenset[Control] = frozenset()
        self._said: list[str] = []
        self._told: dict[str, Any] = {}
        self._gone = True

    # --------------------------------------------------------------- hearing

    def run(self, namespace: str, agent: str, now: float) -> RunView:
        """Return an environment, known or new."""
        name = RunName(namespace, agent)
        if name not in self.runs:
            self._make_room(self.runs)
            self.runs[name] = RunView(name, now)
            self._gone = True
        return self.runs[name]

    def arm(self, namespace: str, now: float) -> ArmView:
        """Return an arm, known or new."""
        if namespace not in self.arms:
            self._make_room(self.arms)
            self.arms[namespace] = ArmView(namespace, now)
            self._gone = True
        return self.arms[namespace]

    def _make_room(self, views: dict[Any, View]) -> None:
        if len(views) >= _MOST:
            del views[min(views, key=lambda name: views[name].heard_at)]

    def learned_in(self, namespace: str) -> list[RunView]:
        """Return the environments whose learner is in a namespace."""
        return [run for name, run in self.runs.items() if name.namespace == namespace]

    def hear_condition(self, condition: Condition) -> None:
        """Take an item of the diagnostics for all that its node serves."""
        node = f'/{condition.name.lstrip("/").partition(":")[0].strip()}'
        namespace, _, name = node.rpartition('/')
        arm = self.arms.get(namespace)
        if arm is not None and name not in ('learner', 'neuromodulator'):
            arm.hear_condition(condition, asks=name != 'safety' and ': arm' in condition.name)
            return
        for run in self.learned_in(namespace):
            run.hear_condition(condition)

    def offer(self, controls: Iterable[Control]) -> None:
        """Take what the nodes offer now."""
        self.controls = frozenset(controls)

    def say(self, text: str) -> None:
        """Note what a node has answered, for all pages."""
        self._said = [*self._said[1 - _MOST_SAID :], text[:500]]

    def forget(self, now: float) -> None:
        """Forget what has been silent for a day."""
        views: tuple[dict[Any, Any], ...] = (self.runs, self.arms)
        for known in views:
            for name in [one for one, view in known.items() if now - view.heard_at > _FORGET_S]:
                del known[name]
                self._gone = True

    # --------------------------------------------------------------- telling

    def whole(self, now: float) -> dict[str, Any]:
        """Return everything, for a page that has just been opened."""
        return {
            'kind': 'whole',
            'runs': [run.whole(now) for run in self.runs.values()],
            'arms': [self._placed(arm, arm.whole(now)) for arm in self.arms.values()],
            **self._general(now),
        }

    def news(self, now: float) -> dict[str, Any] | None:
        """Return what has changed since the last call; None: nothing."""
        runs = [news for run in self.runs.values() if (news := run.news(now)) is not None]
        arms = [
            self._placed(arm, news)
            for arm in self.arms.values()
            if (news := arm.news(now)) is not None
        ]
        general = self._general(now)
        changed = {name: one for name, one in general.items() if self._told.get(name) != one}
        self._told = general
        if self._gone:
            # Pages that show what is forgotten are told everything anew.
            self._gone = False
            return self.whole(now)
        if not (runs or arms or changed):
            return None
        return {'kind': 'news', 'runs': runs, 'arms': arms, **changed}

    def _placed(self, arm: ArmView, told: dict[str, Any]) -> dict[str, Any]:
        run = self.run_of(arm)
        return told | {'run': '' if run is None else ':'.join(run)}

    def run_of(self, arm: ArmView) -> RunName | None:
        """Return the environment of an arm; its learner may serve others, above its namespace."""
        above = [
            name
            for name in self.runs
            if f'{arm.namespace}/'.startswith(f'{name.namespace}/')
            and (name.agent == arm.agent or (not arm.agent and name.namespace == arm.namespace))
        ]
        return max(above, key=lambda name: len(name.namespace), default=None)

    def _general(self, now: float) -> dict[str, Any]:
        states = {':'.join(name): run.state(now) for name, run in self.runs.items()}
        there = {arm.namespace: arm.is_there(now) for arm in self.arms.values()}
        controls = sorted(self.controls)
        return {'states': states, 'there': there, 'controls': controls, 'said': list(self._said)}
