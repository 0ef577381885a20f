"""Protocols of rclpy's classes, which hold for Jazzy and Kilted alike.

Publishers, subscriptions, parameters and futures take a type argument in Kilted and none in Jazzy,
so no annotation with rclpy's own classes is right for both.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from rclpy.duration import Duration

AnySubscription: TypeAlias = Any
AnyFuture: TypeAlias = Any


class AnyParameter(Protocol):
    """A parameter of a node: its name and its value."""

    @property
    def name(self) -> str:
        """The full name."""

    @property
    def value(self) -> Any:
        """The value that it is set to."""


class AnyPublisher(Protocol):
    """Publishes the messages of a topic."""

    def publish(self, message: Any, /) -> None:
        """Send a message, or the bytes of one."""

    def get_subscription_count(self) -> int:
        """Return how many subscriptions it reaches."""

    def wait_for_all_acked(self, timeout: Duration) -> bool:
        """Wait until all that was sent has been acknowledged; return whether it was in time."""
