"""Several hosts on one machine: network namespaces behind a switch that delays and loses packets.

Linux's own ``tc netem`` is missing in many containers. This switch is a program of its own: each
host has one TAP device, and what a host sends comes to the others later, in another order, twice,
or not at all. Nothing stays behind when the program that uses it is killed.

It needs root, the commands ``ip``, ``unshare`` and ``nsenter``, and ``/dev/net/tun``.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import json
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_FRAME_BYTES = 65536
# Frames that are taken from one host before the next one has its turn.
_BATCH = 64
# Who has which address is asked in this way; an odd first byte means many hosts.
_BROADCAST = b'\xff' * 6
_POLL_S = 0.05
_DEVICE = 'eth0'
_TOOLS = ('ip', 'unshare', 'nsenter')


@dataclass(frozen=True)
class Link:
    """How the switch treats each packet.

    Attributes:
        delay_s: on the way from one host to another [s].
        jitter_s: the delay varies by so much up and down, so that packets change their order [s].
        loss: share of packets that do not arrive [1].
        duplicates: share of packets that arrive twice [1].
        multicast: packets to many hosts at once are forwarded; many a Wi-Fi and cloud does not.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    duplicates: float = 0.0
    multicast: bool = True


class VirtualNetwork:
    """Hosts that hear each other through one switch; a context manager.

    Attributes:
        addresses: of each host, in 10.88.0.0/24.

    Args:
        hosts: names, at most 200.
        link: how packets are treated at first.

    Raises:
        RuntimeError: this machine or user cannot have network namespaces; says why.
    """

    def __init__(self, hosts: Sequence[str], link: Link | None = None) -> None:
        refused = why_not()
        if refused:
            raise RuntimeError(refused)
        self.addresses = {name: _address(number) for number, name in enumerate(hosts)}
        self._holders: dict[str, subprocess.Popen[str]] = {}
        self._switch: subprocess.Popen[str] | None = None
        try:
            for name in hosts:
                self._holders[name] = _hold_namespace()
            pids = [str(holder.pid) for holder in self._holders.values()]
            self._switch = _piped([sys.executable, os.path.abspath(__file__), *pids])
            _expect_ready(self._switch)
            self.set_link(link or Link())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> VirtualNetwork:
        """Use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self.close()

    def inside(self, host: str) -> tuple[str, ...]:
        """Return what to put before a command so that it runs on a host."""
        return ('nsenter', f'--net=/proc/{self._holders[host].pid}/ns/net')

    def set_link(self, link: Link) -> None:
        """Treat packets in another way from now on."""
        assert self._switch is not None and self._switch.stdin is not None
        self._switch.stdin.write(json.dumps(asdict(link)) + '\n')
        self._switch.stdin.flush()

    def close(self) -> None:
        """End the switch and the hosts' namespaces; processes that run inside are left alone."""
        for process in [self._switch, *self._holders.values()]:
            if process is not None:
                process.kill()
                process.communicate()
        self._switch = None
        self._holders = {}


def why_not() -> str:
    """Return why there can be no virtual network here; empty if there can be one."""
    if sys.platform != 'linux':
        return f'network namespaces need Linux, this is {sys.platform}'
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f'network namespaces need the commands {", ".join(_TOOLS)}, missing: {missing}'
    if not os.access('/dev/net/tun', os.R_OK | os.W_OK):
        return 'network namespaces need /dev/net/tun, which this user cannot open'
    tried = subprocess.run(['unshare', '--net', 'true'], capture_output=True, text=True)
    if tried.returncode:
        return f'network namespaces are not permitted here: {tried.stderr.strip()}'
    return ''


def _address(number: int) -> str:
    return f'10.88.0.{number + 1}'


def _piped(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _hold_namespace() -> subprocess.Popen[str]:
    """Start a process that keeps a namespace alive until its standard input is closed."""
    holder = _piped(['unshare', '--net', 'sh', '-c', 'echo ready; exec cat'])
    _expect_ready(holder)
    return holder


def _expect_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    if line != 'ready\n':
        raise RuntimeError(f'the virtual network did not start, it said {line!r}')


# ------------------------------------------------------------------- the switch's own process


def _connect(pid: int, number: int) -> int:
    """Give a namespace its network device; returns the switch's end of it."""
    port = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    name = f'nrl{os.getpid()}n{number}'[:15]
    fcntl.ioctl(port, _TUNSETIFF, struct.pack('16sH', name.encode(), _IFF_TAP | _IFF_NO_PI))
    _run('ip', 'link', 'set', name, 'netns', str(pid), 'name', _DEVICE)
    inside = ('nsenter', f'--net=/proc/{pid}/ns/net', 'ip')
    _run(*inside, 'link', 'set', 'lo', 'up')
    _run(*inside, 'addr', 'add', f'{_address(number)}/24', 'dev', _DEVICE)
    _run(*inside, 'link', 'set', _DEVICE, 'txqueuelen', '2000', 'multicast', 'on', 'up')
    _run(*inside, 'route', 'add', '224.0.0.0/4', 'dev', _DEVICE)
    return port


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


class Switch:
    """Learns which address is behind which port, and forwards late, twice, or not at all.

    Args:
        ports: open TAP devices.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self.link = Link()
        self._ports = list(ports)
        self._behind: dict[bytes, int] = {}
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._numbers = itertools.count()

    def take(self, port: int, frame: bytes, now_s: float) -> None:
        """Decide when a frame goes where.

        Args:
            port: where it came from.
            frame: with its Ethernet header.
            now_s: monotonic time [s].
        """
        self._behind[frame[6:12]] = port
        known = self._behind.get(frame[:6])
        link = self.link
        if not link.multicast and frame[0] & 1 and frame[:6] != _BROADCAST:
            return
        for target in [known] if known is not None else self._ports:
            if target == port or random.random() < link.loss:
                continue
            for _ in range(1 + (random.random() < link.duplicates)):
                due_s = now_s + link.delay_s + random.uniform(-1.0, 1.0) * link.jitter_s
                heapq.heappush(self._waiting, (due_s, next(self._numbers), target, frame))

    def give(self, now_s: float) -> float:
        """Hand over what is due.

        Returns:
            How long nothing more is due, at most ``_POLL_S`` [s].
        """
        while self._waiting and self._waiting[0][0] <= now_s:
            _, _, target, frame = heapq.heappop(self._waiting)
            try:
                os.write(target, frame)
            except BlockingIOError:
                # The host does not take its packets: on a real link they would be lost as well.
                continue
        return min(self._waiting[0][0] - now_s, _POLL_S) if self._waiting else _POLL_S

    def run(self) -> None:
        """Forward until standard input is closed; each line there is a new Link."""
        poll: Any = select.epoll()
        for port in [*self._ports, sys.stdin.fileno()]:
            poll.register(port, select.EPOLLIN)
        wait_s = _POLL_S
        while True:
            for port, _ in poll.poll(wait_s):
                if port in self._ports:
                    self._take_batch(port)
                elif line := sys.stdin.readline():
                    self.link = Link(**json.loads(line))
                else:
                    return
            wait_s = self.give(time.monotonic())

    def _take_batch(self, port: int) -> None:
        for _ in range(_BATCH):
            try:
                self.take(port, os.read(port, _FRAME_BYTES), time.monotonic())
            except BlockingIOError:
                return


def _main(pids: Sequence[str]) -> None:
    switch = Switch([_connect(int(pid), number) for number, pid in enumerate(pids)])
    sys.stdout.write('ready\n')
    sys.stdout.flush()
    switch.run()


if __name__ == '__main__':
    _main(sys.argv[1:])
