"""QoS profiles by meaning; both ends of a topic take the same profile from here."""

import os
from copy import copy

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# Set to 1 for nodes whose run is recorded: they keep more for a recorder that is held up.
RECORDED = 'NRL_RECORDED'
# A second of the fastest loops.
_KEPT = 2000


def step() -> QoSProfile:
    """Return the profile of states and actions: each one counts, and a handful may be under way."""
    return QoSProfile(depth=16, reliability=ReliabilityPolicy.RELIABLE)


def sensor() -> QoSProfile:
    """Return the profile for subscribing joint states: the newest counts, any publisher matches.

    Best effort, as REP-2003 asks of subscribers.
    """
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def event() -> QoSProfile:
    """Return the profile of rewards and reward-prediction errors: few, and each one counts."""
    return QoSProfile(depth=64, reliability=ReliabilityPolicy.RELIABLE)


def latched(depth: int = 1) -> QoSProfile:
    """Return the profile of facts and status: late subscribers get the newest messages."""
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def is_recorded() -> bool:
    """Return whether the run of this process is recorded from its begin."""
    return os.environ.get(RECORDED, '') == '1'


def for_recorder(profile: QoSProfile) -> QoSProfile:
    """Return the profile of a publisher on the step path, which keeps more where it is recorded.

    The middleware hands a message over at once, but shared memory has room for a few hundredths of
    a second: where a busy machine holds a recorder up for longer, it asks for what it has missed.
    What every listener has is not kept, so that this takes no memory otherwise.
    """
    if not is_recorded():
        return profile
    deep: QoSProfile = copy(profile)
    deep.depth = max(profile.depth, _KEPT)
    return deep
