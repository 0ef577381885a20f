"""The command ``nrl record``: records a run that goes on already."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import rclpy
from rclpy.node import Node

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli.processes import check_machine, choose_domain, choose_namespace, node_environment
from nrl_ros.cli.recording import free_folder
from nrl_ros.cli.runs import open_run, where_nodes_are
from nrl_ros.nodes.recorder import main
from nrl_ros.ros import names
from nrl_ros.ros.security import initialise, require_support

# Runs that go on are looked for so long [s].
_LOOK_S = 5.0
_AGAIN_S = 0.1
# Those that appear a little later are found too [s].
_MORE_S = 1.0


def record(
    run: Path | None,
    *,
    domain: int | None,
    namespace: str | None,
    out: Path | None,
    topics: Sequence[str],
    checkpoint: bool,
) -> int:
    """Record a run until a signal ends it.

    Args:
        run: folder of a run, which says domain and namespace; None: they are given, or found.
        domain: ROS domain; None: of the run, or of the environment variable.
        namespace: of the run; None: of its folder, or of the only run that goes on.
        out: folder of the recording; None: in the run's folder, or in the present one.
        topics: further topics.
        checkpoint: ask the learner for a checkpoint first, from which a replay begins.

    Returns:
        Exit code.

    Raises:
        NrlError: no run goes on, or several do.
    """
    require_support()
    if run is not None:
        folder = open_run(run).folder
        domain, namespace = where_nodes_are(folder, domain, namespace)
        out = out or free_folder(folder)
    environment = node_environment(choose_domain(domain))
    check_machine(environment)
    os.environ.update(environment)
    found = (
        _the_run() if namespace is None else choose_namespace(namespace, Path(), '', secured=False)
    )
    if run is not None:
        _await_publishers(found.rstrip('/'))
    arguments = ['--ros-args', '-r', f'__ns:={found or "/"}', '-p', f'checkpoint:={checkpoint}']
    if out is not None:
        arguments += ['-p', f'folder:={out}']
    if topics:
        arguments += ['-p', f'topics:={json.dumps(list(topics))}']
    return main(arguments)


@contextmanager
def _looking() -> Iterator[Node]:
    """Make a node that looks at the graph, before the recorder's own is made."""
    initialise([])
    node = rclpy.create_node('recorder_looks', start_parameter_services=False)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _await_publishers(namespace: str) -> None:
    """Wait until somebody publishes in a run's namespace.

    Raises:
        ConfigError: nobody does within the time in which runs are looked for.
    """
    with _looking() as node:
        end = time.monotonic() + _LOOK_S
        while not any(
            name.startswith(f'{namespace}/') and node.count_publishers(name)
            for name, _ in node.get_topic_names_and_types()
            if name not in ('/rosout', '/parameter_events')
        ):
            if time.monotonic() > end:
                raise ConfigError(
                    f'nobody publishes in {namespace or "/"} of ROS domain '
                    f'{os.environ["ROS_DOMAIN_ID"]} within {_LOOK_S:.0f} s: the run has ended or '
                    'has not begun; record while it goes on, or start it with --record'
                )
            time.sleep(_AGAIN_S)


def _the_run() -> str:
    """Return the namespace of the only run that goes on in the domain.

    Raises:
        ConfigError: there is none, or there are several.
    """
    found: set[str] = set()
    with _looking() as node:
        begin = found_at = time.monotonic()
        while time.monotonic() < begin + _LOOK_S:
            before = len(found)
            found |= {
                name.removesuffix(names.LEARNER_STATUS).rstrip('/')
                for name, _ in node.get_topic_names_and_types()
                if name.endswith(f'/{names.LEARNER_STATUS}') and node.count_publishers(name)
            }
            found_at = time.monotonic() if len(found) > before else found_at
            if found and time.monotonic() > found_at + _MORE_S:
                break
            time.sleep(_AGAIN_S)
    if len(found) == 1:
        return found.pop()
    what = f'several do: {", ".join(sorted(one or "/" for one in found))}' if found else 'none does'
    raise ConfigError(
        f'expected one run that goes on in ROS domain {os.environ["ROS_DOMAIN_ID"]}, {what}; name '
        'the folder of the run, or give --domain-id and --namespace'
    )
