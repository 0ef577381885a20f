"""QoS by meaning. Both ends of a topic take the same profile from here."""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy


def step() -> QoSProfile:
    """States and actions: each one counts, a handful may be under way."""
    return QoSProfile(depth=16, reliability=ReliabilityPolicy.RELIABLE)


def sensor() -> QoSProfile:
    """Joint states, as subscribed: only the newest counts, and any publisher fits (REP-2003)."""
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def event() -> QoSProfile:
    """Rewards and reward-prediction errors: few, each one counts, and some may queue up."""
    return QoSProfile(depth=64, reliability=ReliabilityPolicy.RELIABLE)


def latched(depth: int = 1) -> QoSProfile:
    """Facts and status: whoever comes late gets the newest one of each publisher."""
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
