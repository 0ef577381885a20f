"""The live page beside a run, and the command ``nrl page``; the page is a node of its own."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli.options import PageOptions, RunOptions
from nrl_ros.cli.processes import (
    MODULES,
    Processes,
    check_machine,
    choose_known_domain,
    exit_text,
    node_environment,
)
from nrl_ros.cli.runs import where_nodes_are
from nrl_ros.page.access import TOKEN_VARIABLE, address_of, check_token, is_loopback, make_token
from nrl_ros.page.ready import require_server
from nrl_ros.robots.arm.description import read_robot
from nrl_ros.ros import names

FIRST_PORT = 8642
_PORTS = 20


class Place(NamedTuple):
    """Place of a page.

    Attributes:
        listen: address that its node listens on.
        port: of it.
        token: that lets a browser steer; empty: everybody on this machine may.
    """

    listen: str
    port: int
    token: str

    @property
    def url(self) -> str:
        """Address for a browser."""
        return address_of(self.listen, self.port, self.token)


def choose_place(listen: str) -> Place:
    """Return where a page can listen, with its token.

    Raises:
        ConfigError: aiohttp is missing, the token in NRL_PAGE_TOKEN is wrong, the address is none
            of this machine, or all ports are taken.
    """
    require_server()
    given = os.environ.get(TOKEN_VARIABLE, '')
    token = check_token(given) if given else '' if is_loopback(listen) else make_token()
    refused = ''
    for port in range(FIRST_PORT, FIRST_PORT + _PORTS):
        try:
            with socket.create_server((listen, port), family=_family(listen)):
                return Place(listen, port, token)
        except OSError as error:
            refused = error.strerror or str(error)
    raise ConfigError(f'--listen {listen}: the page cannot listen there: {refused}')


def _family(listen: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ':' in listen else socket.AF_INET


def arguments(place: Place, within: str = '', robots: Sequence[str] = ()) -> list[str]:
    """Return the ROS arguments of the page node; the token is none of them, since all see those."""
    told = {'listen': place.listen, 'within': within, 'robots': ','.join(robots)}
    texts = [part for name, text in told.items() for part in ('-p', f'{name}:={json.dumps(text)}')]
    return [*texts, '-p', f'port:={place.port}']


@contextmanager
def page_beside(
    options: RunOptions,
    log: Path,
    namespace: str,
    *,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    robots: Sequence[str] = (),
) -> Iterator[None]:
    """Show a run on a page for a ``with`` block, if its options ask for it.

    A page that ends early is told and does not end the run.

    Args:
        options: of the command.
        log: folder of the page's output.
        namespace: of the run, the only one that is shown, with those below it.
        say: prints where the page is.
        warn: prints what went wrong with it.
        robots: paths of descriptions by which arms are drawn.

    Raises:
        ConfigError: of ``choose_place``.
    """
    if not options.shows_page:
        yield
        return
    place = choose_place(options.listen or '127.0.0.1')
    environment = {**os.environ, TOKEN_VARIABLE: place.token}
    page = Processes([], log, namespace=namespace, environment=environment)
    page.start(names.PAGE, *arguments(place, namespace, robots))
    say(f'page: {place.url}')
    try:
        yield
    finally:
        for code in page.ended().values():
            warn(f'the page ended early with {exit_text(code)}:\n{page.last_lines(names.PAGE)}')
        page.stop()


def show(options: PageOptions) -> NoReturn:
    """Replace this process by the page of the runs of a ROS domain, until Ctrl-C.

    Raises:
        NrlError: it cannot be started.
    """
    place = choose_place(options.listen or '127.0.0.1')
    for path in options.robot_file or ():
        read_robot(str(path))
    domain, namespace = where(options)
    environment = node_environment(domain, udp_only=True)
    check_machine(environment)
    robots = [str(path.resolve()) for path in options.robot_file or ()]
    command = [sys.executable, '-m', MODULES[names.PAGE], '--ros-args']
    command += arguments(place, namespace, robots)
    sys.stdout.write(f'shows {namespace or "all runs"} in ROS_DOMAIN_ID={domain}; Ctrl-C ends it\n')
    sys.stdout.flush()
    os.execve(sys.executable, command, {**environment, TOKEN_VARIABLE: place.token})


def where(options: PageOptions) -> tuple[int, str]:
    """Return the ROS domain and the namespace whose runs are shown.

    Raises:
        RunError: the folder is none of a run over ROS.
    """
    domain, namespace = options.domain, options.namespace
    if options.folder is not None:
        domain, namespace = where_nodes_are(options.folder, domain, namespace)
    return choose_known_domain(domain), namespace or ''
