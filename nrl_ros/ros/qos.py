"""QoS profiles by meaning; both ends of a topic take the same profile from here."""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy


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
