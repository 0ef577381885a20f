"""The command ``nrl approve``: takes a person's decision to a guarded learner."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rich.console import Console
from std_srvs.srv import SetBool

from nrl_ros.base.errors import NrlError
from nrl_ros.ros import names
from nrl_ros.ros.middleware import prepare_middleware
from nrl_ros.ros.security import initialise, refused_in_one_line

_SERVICE = names.APPROVE.replace('~', names.LEARNER)
_KIND = 'std_srvs/srv/SetBool'
# Longest wait for the service to be found, and for its answer [s].
_FIND_S, _ANSWER_S = 8.0, 5.0
_SPIN_S = 0.05


def run(namespace: str, domain: int | None, console: Console, *, yes: bool) -> int:
    """Call ``approve`` of a learner, and print its answer.

    Args:
        namespace: of the learner; empty: of the only one that is found.
        domain: ROS domain; None: ROS_DOMAIN_ID.
        console: for the answer.
        yes: approve; otherwise reject.

    Returns:
        Exit code: 0, or 1 if nothing waited for approval.

    Raises:
        NrlError: there is no learner, there are several, or it does not answer.
    """
    if domain is not None:
        os.environ['ROS_DOMAIN_ID'] = str(domain)
    prepare_middleware(udp_only=True)
    initialise([])
    try:
        with refused_in_one_line():
            node = rclpy.create_node(f'approve_{os.getpid()}')
            client: Any = node.create_client(SetBool, _find(node, namespace))
            if not _until(node, client.service_is_ready, _FIND_S):
                raise NrlError(f'{client.srv_name} does not answer: is its node still there?')
            future = client.call_async(SetBool.Request(data=yes))
            if not _until(node, future.done, _ANSWER_S):
                raise NrlError(f'{client.srv_name} does not answer: is its node still there?')
            answer = future.result()
            console.print(answer.message, markup=False, highlight=False, soft_wrap=True)
            return 0 if answer.success else 1
    finally:
        rclpy.try_shutdown()


def _find(node: Any, namespace: str) -> str:
    """Return the name of the service.

    Raises:
        NrlError: there is none, or there are several.
    """
    if namespace:
        return f'/{namespace.strip("/")}/{_SERVICE}'.replace('//', '/')

    def found() -> list[str]:
        known = node.get_service_names_and_types()
        return sorted(n for n, kinds in known if n.endswith(f'/{_SERVICE}') and _KIND in kinds)

    _until(node, lambda: bool(found()), _FIND_S)
    services = found()
    if len(services) == 1:
        return services[0]
    if services:
        raise NrlError(
            f'{len(services)} learners are in this ROS domain ({", ".join(services)}): name one of '
            'their namespaces by --namespace'
        )
    raise NrlError(
        f'no learner is found in ROS domain {os.environ.get("ROS_DOMAIN_ID", "") or "0"}: name '
        'the domain that the run shows at its start by --domain-id'
    )


def _until(node: Any, ready: Callable[[], bool], limit_s: float) -> bool:
    """Spin until a condition holds; return False if the time is up."""
    end = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > end:
            return False
        rclpy.spin_once(node, timeout_sec=_SPIN_S)
    return True
