"""The command ``nrl record``: records a run that goes on already."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import rclpy

from nrl_ros.cli.processes import (
    check_machine,
    choose_known_domain,
    choose_namespace,
    node_environment,
)
from nrl_ros.cli.recording import free_folder
from nrl_ros.cli.run_search import Graph, find_run
from nrl_ros.cli.runs import open_run, where_nodes_are
from nrl_ros.nodes.recorder import main
from nrl_ros.ros.security import initialise, require_support


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
        NrlError: no run goes on there, or several do.
    """
    require_support()
    if run is not None:
        folder = open_run(run).folder
        domain, namespace = where_nodes_are(folder, domain, namespace)
        out = out or free_folder(folder)
    domain = choose_known_domain(domain)
    environment = node_environment(domain)
    check_machine(environment)
    os.environ.update(environment)
    if namespace is not None:
        namespace = choose_namespace(namespace, Path(), '', secured=False)
    with _looking() as look:
        found = find_run(look, namespace, f'ROS domain {domain}')
    arguments = ['--ros-args', '-r', f'__ns:={found or "/"}', '-p', f'checkpoint:={checkpoint}']
    if out is not None:
        # Quoted: a folder whose name is a number is none.
        arguments += ['-p', f'folder:={json.dumps(str(out), ensure_ascii=False)}']
    if topics:
        arguments += ['-p', f'topics:={json.dumps(list(topics))}']
    return main(arguments)


@contextmanager
def _looking() -> Iterator[Callable[[], Graph]]:
    """Look at the graph by a node of its own, before the recorder's is made."""
    initialise([])
    node = rclpy.create_node(f'recorder_looks_{os.getpid()}', start_parameter_services=False)

    def look() -> Graph:
        published = [n for n, _ in node.get_topic_names_and_types() if node.count_publishers(n)]
        nodes = {f'{at.rstrip("/")}/{n}' for n, at in node.get_node_names_and_namespaces()}
        return Graph(frozenset(published), frozenset(nodes - {node.get_fully_qualified_name()}))

    try:
        yield look
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
