"""What the live page costs: the share of one core that its process takes while it is looked at.

A part of observe.py. A training of CartPole and a simulated UR5e at 125 Hz are in the ROS domain,
and a browser's connection reads, at ten updates a second and at one. The share is the time of the
processor that the system counts for the process, over the time on the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console

from nrl_ros.cli.processes import choose_domain, node_environment

# Nodes have found each other, and the robot's model is loaded, after this time [s].
_SETTLE_S = 12.0
_TICKS = os.sysconf('SC_CLK_TCK')


@contextmanager
def running(command: list[str], domain: int, log: Path) -> Iterator[int]:
    """Run a command of this package with its output in a file; give its process number."""
    environment = node_environment(domain)
    with log.open('wb') as output:
        process = subprocess.Popen(
            [sys.executable, '-m', *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60.0)


def processor_s(pid: int) -> float:
    """Return the processor time that a process has taken, with all its threads [s]."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def address_in(log: Path) -> str:
    """Return the address of a page, once its node has printed it."""
    end = time.monotonic() + 30.0
    while time.monotonic() < end:
        found = re.search(r'page: (http://\S+)', log.read_text())
        if found is not None:
            return found[1]
        time.sleep(0.1)
    raise SystemExit(f'the page has not started:\n{log.read_text()}')


async def read(address: str, pid: int, seconds: float) -> dict[str, float]:
    """Read from a page as a browser does; return what its process takes meanwhile."""
    count = size = 0
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f'{address}runs', protocols=('nrl',)) as socket,
    ):
        settled = time.monotonic() + _SETTLE_S
        while time.monotonic() < settled:
            await socket.receive_str()
        begun_s, begun = time.monotonic(), processor_s(pid)
        while time.monotonic() < begun_s + seconds:
            size += len(await socket.receive_str())
            count += 1
        took_s = time.monotonic() - begun_s
        share = (processor_s(pid) - begun) / took_s
    return {
        'core_share': round(share, 4),
        'messages_per_s': round(count / took_s, 2),
        'kilobytes_per_s': round(size / took_s / 1000.0, 1),
    }


def page(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure the live page beside a training and an arm."""
    domain = choose_domain(None)
    train = ['nrl_ros.cli.main', 'train', 'cartpole', '--quiet', '--steps', '0']
    train += ['--episodes', '0', '--compose']
    arm = ['nrl_ros.cli.main', 'arm', '--robot', 'ur5e']
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        for run, command in (('train', train), ('arm', arm)):
            more = ['--domain-id', str(domain), '--out', str(folder / run)]
            stack.enter_context(running([*command, *more], domain, folder / f'{run}.log'))
        for rate in (1.0, 10.0):
            log = folder / f'page_{rate:g}.log'
            node = ['nrl_ros.nodes.page', '--ros-args', '-p', 'port:=0', '-p', f'rate_hz:={rate}']
            with running(node, domain, log) as pid:
                seconds = options.seconds / 4.0
                found[f'at_{rate:g}_hz'] = asyncio.run(read(address_in(log), pid, seconds))
    console.print(f'page: {found}')
    return {'page_core_share': max(one['core_share'] for one in found.values()), 'page': found}
