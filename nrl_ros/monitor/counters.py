"""What the counters of the nodes mean, in one line each, for those who see that one is not zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# docs/messages.md says the same of learner, neuromodulator and environment, docs/safety.md names
# those of the safety node.
MEANINGS: dict[str, str] = {
    'duplicate_states': 'a state came again; answered with the same action, learned from once',
    'out_of_order_states': 'a state older than the newest; refused',
    'lost_states': (
        'gaps in `sequence`; whether the step before was applied is not known, so it earns no '
        'credit'
    ),
    'invalid_states': 'wrong shape, not finite, or windows that run backwards; refused',
    'unknown_agent_messages': 'no `env_info` of that agent was seen',
    'departed_agent_messages': (
        'states and RPEs of an environment that has said goodbye meanwhile; dropped without a '
        'warning, since topics overtake each other'
    ),
    'wrong_session_messages': 'sent before a restart',
    'unapplied_steps': (
        'steps whose action was not applied, or before a gap perhaps not; out of the trace'
    ),
    'limited_steps': (
        'steps whose action a limit changed; the policy gets credit for the action that it sent'
    ),
    'intervened_steps': 'steps in which a person acted instead of the learner; out of the trace',
    'foreign_steps': 'steps taken with the action of another learner; out of the trace',
    'late_rpes': 'came after later steps had been recorded; the right trace was used',
    'duplicate_rpes': 'the window was done or its RPE known already; dropped',
    'unknown_window_rpes': 'no such window was ever recorded; dropped',
    'early_rpes': 'for a window that was still open when the reward they answer was sent; dropped',
    'foreign_rpes': (
        'of a second neuromodulator, or of one without an identity; refused, and both are named'
    ),
    'foreign_infos': 'another environment introduces an agent that is at work; the first one stays',
    'agents_started_over': (
        'agents of which every state was refused for 2 s, for example after a forged one with a '
        'later number: their next state was taken as the first'
    ),
    'changed_infos': 'an agent states other sizes than before in the same session; refused',
    'forgotten_agents': (
        'agents that were introduced, sent no state, and were dropped in favour of others '
        '(`limits.agents`)'
    ),
    'invalid_rpes': 'not finite, of unequal length, or of no such instance; refused',
    'ignored_rpes': 'came while frozen or evaluating',
    'released_windows': 'given up: RPE did not come, agent left, learning stopped',
    'aborted_windows': 'their episode was aborted',
    'rejected_updates': 'an overflow; the weights were left alone',
    'guard_restores': 'how often the last good weights were put back ([guard.md](guard.md))',
    'guard_task_changes': (
        'falls that were of the task: the last good weights did not reach their return any more'
    ),
    'guard_dropped_windows': (
        'windows that were open when other weights or another mode began, released without learning'
    ),
    'guard_held_windows': (
        'windows that changed nothing, since the last good weights were checked or waited for a '
        'person'
    ),
    'guard_discarded_updates': 'updates that a person did not approve',
    'rewards': 'turned into an RPE',
    'duplicate_rewards': 'the window was rewarded before; a repeated message gets the same answer',
    'invalid_rewards': 'not finite, or larger than 1e150; that window does not train',
    'unmatched_rewards': (
        'with a critic: the states of the window did not arrive; it does not train'
    ),
    'invalid_messages': 'arrays of unequal length, no such instance, beyond `limits`',
    'late_actions': 'real time: came after their period; not applied',
    'missing_actions': 'real time: periods in which the last action was held',
    'duplicate_actions': 'lockstep: a second answer to one state',
    'foreign_actions': (
        'a second learner answers too; its action is not applied, and the log has an error'
    ),
    'overrun_periods': (
        'real time: control periods that were missed, since the environment or the machine was '
        'too slow'
    ),
    'homings': 'arm: how often it was driven home',
    'homings_blocked': 'arm: how often a limit blocked the straight way home',
    'resent_states': (
        'lockstep: no answer for longer than answers usually take, at first `resend_period_s`'
    ),
    'endless_episodes': (
        'instances whose episodes do not end while rewards wait for their end: nothing is learned'
    ),
    'incompatible_qos': 'events of the middleware',
    'ticks': 'arm: control periods of the safety node',
    'followed': 'arm: periods in which a command was followed',
    'held': 'arm: periods without a fresh command, in which the arm was held',
    'states': 'arm: joint states that have come',
    'states_bad': 'arm: joint states that are malformed or not finite',
    'states_skewed': 'arm: joint states whose stamps are too old or in the future',
    'states_jumped': 'arm: joint states that no speed leads to',
    'states_foreign': 'arm: joint states of a second publisher',
    'states_passed_over': "arm: joint states without the arm's joints, as of a gripper",
    'commands': 'arm: commands that have come',
    'commands_refused': 'arm: commands that are not finite',
    'commands_reordered': 'arm: commands that are old or doubled',
    'commands_ignored': 'arm: commands while the arm was stopped or waited',
    'commands_stale': 'arm: commands that were followed until they were too old',
    'commands_foreign': 'arm: commands of a second commander',
    'commands_mixed': 'arm: commands of another sender in the name of the followed one',
    'commanders': 'arm: publishers of commands',
    'commands_skewed': 'arm: commands whose stamps are too old or in the future',
    'begun_anew': 'arm: delayed before the first motion',
    'limited_velocity': 'arm: periods in which the limit of speed changed the command',
    'limited_acceleration': 'arm: periods in which the limit of acceleration changed the command',
    'limited_position': 'arm: periods in which a limit of position changed the command',
    'limited_workspace': 'arm: periods in which the workspace or the clearance changed the command',
    'limited_nonfinite': 'arm: periods in which a command was not finite',
    'limited_by_hand': 'arm: periods in which a person moved it by hand',
}
# Counters whose names begin so; the rest of the name is a kind of error, or how something ended.
FAMILIES: dict[str, str] = {
    'dropped_': 'messages refused, by the kind of error',
    'goals': 'arm: goals of `reach` that were taken on, and how they ended',
    'stop_': 'arm: how often it was stopped for this reason',
    'repeated_': 'messages that came again',
    'missed_': 'messages that did not come',
}
# What counts in any run that goes well.
_ORDINARY = frozenset(
    (
        'rewards', 'homings', 'goals', 'goals_reached', 'ticks', 'followed', 'held', 'states',
        'commands', 'commanders', 'limited_steps', 'limited_velocity', 'limited_acceleration',
        'states_passed_over', 'limited_position', 'limited_workspace', 'late_rpes',
    )
)  # fmt: skip
_UNKNOWN = 'docs/messages.md does not name it'


class Count(NamedTuple):
    """A counter that is not zero.

    Attributes:
        node: that counts.
        name: of the counter.
        value: how often.
        meaning: in one line.
        ordinary: True if it counts in a run that goes well, too.
    """

    node: str
    name: str
    value: int
    meaning: str
    ordinary: bool


def meaning(name: str) -> str:
    """Return what a counter means, in one line."""
    found = MEANINGS.get(name, '')
    if found:
        return found
    return next((text for start, text in FAMILIES.items() if name.startswith(start)), _UNKNOWN)


def counted(counters: Mapping[str, Mapping[str, int]], most: int) -> list[Count]:
    """Return the counters that are not zero: first those that tell of something unusual.

    Args:
        counters: by node, then by name.
        most: of each node are returned, the largest ones.
    """
    found: list[Count] = []
    for node, values in counters.items():
        there = sorted(((name, value) for name, value in values.items() if value), key=_by_value)
        found += [
            Count(node, name, value, meaning(name), name in _ORDINARY)
            for name, value in there[:most]
        ]
    return sorted(found, key=lambda one: one.ordinary)


def _by_value(one: tuple[str, int]) -> int:
    return -one[1]
