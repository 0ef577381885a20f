"""The page node: shows the runs of a ROS domain to browsers, and lets them steer."""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

import os
import socket
import sys
import time
from typing import Any

from nrl_ros.base.errors import NrlError
from nrl_ros.nodes.page_callers import Callers
from nrl_ros.nodes.page_robots import Robots
from nrl_ros.nodes.page_topics import PageTopics
from nrl_ros.page.access import (
    TOKEN_VARIABLE,
    Access,
    address_of,
    check_token,
    is_loopback,
    make_token,
)
from nrl_ros.page.plain import to_json
from nrl_ros.page.ready import require_server
from nrl_ros.page.runs import Runs
from nrl_ros.page.steering import DEEDS, Presses, Wish, read_wish
from nrl_ros.ros import names
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.lifecycle import main as run_node
from nrl_ros.settings.page import PageNodeSettings

_PORTS = 20
# How often the graph is looked at, and topics while no page is open [s].
_LOOK_S, _UNWATCHED_S = 1.0, 0.5


class PageNode(NrlNode[PageNodeSettings]):
    """Listens to all runs of its ROS domain; publishes nothing but what a person asks for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(names.PAGE, PageNodeSettings, **options)

    # ----------------------------------------------------------- lifecycle

    def configure(self) -> None:
        """Start the server and listen."""
        require_server()
        from nrl_ros.page.web import PageServer

        settings = self.settings
        token = _token(settings.listen)
        own = socket.gethostname()
        hosts = (own, f'{own}.local', *(one.strip() for one in settings.hosts.split(',')))
        self._runs, self._presses = Runs(), Presses()
        self._callers = Callers(self, self._answered)
        self._robots = Robots([one.strip() for one in settings.robots.split(',') if one.strip()])
        woken = self.create_guard_condition(self._take_events)
        self.at_take_down(lambda: self.destroy_guard_condition(woken))
        first = settings.port
        ports = tuple(range(first, first + _PORTS)) if first else (0,)
        self._server = PageServer(
            Access(settings.listen, token, hosts), settings.listen, ports, woken.trigger
        )
        self.at_take_down(self._server.stop)
        port = self._server.start()
        self._topics = PageTopics(self, self._runs, settings.within)
        self.at_take_down(self._topics.close)
        self.at_take_down(self._callers.close)
        self._looked_at = self._taken_at = 0.0
        self.periodic(1.0 / settings.rate_hz, self._tick)
        # Not in the log, which goes to a topic, since a token is secret.
        sys.stdout.write(f'page: {address_of(settings.listen, port, token)}\n')
        sys.stdout.flush()

    def cleanup(self) -> None:
        """Forget the runs."""
        self._runs = Runs()

    # ------------------------------------------------------------- telling

    def _tick(self) -> None:
        """Take what the runs have sent, and tell the pages what is new."""
        now, watched = time.monotonic(), self._server.is_watched
        if now - self._looked_at >= _LOOK_S:
            self._looked_at = now
            self._topics.look(watched=watched)
            self._robots.look(self._runs)
            self._callers.keep(self._runs.controls)
            self._runs.forget(now)
        if self._callers.is_busy:
            self._callers.look(now)
        if not watched and now - self._taken_at < _UNWATCHED_S:
            return
        self._taken_at = now
        self._topics.take()
        news = self._runs.news(now)
        if news is not None and watched:
            self._server.tell_all(to_json(news))

    # ------------------------------------------------------------- hearing

    def _take_events(self) -> None:
        """Do what the pages ask for."""
        from nrl_ros.page.web import Asked, Opened

        while not self._server.events.empty():
            event = self._server.events.get()
            if isinstance(event, Asked):
                self._ask(event.page, event.text)
            elif isinstance(event, Opened):
                self._welcome(event.page, event.why, steers=event.steers)
            else:
                self._presses.leave(event.page)

    def _welcome(self, page: int, why: str, *, steers: bool) -> None:
        """Tell a page everything."""
        if not self.settings.steer:
            steers, why = False, 'steering is switched off (steer of the page node)'
        self._topics.look(watched=True)
        whole = self._runs.whole(time.monotonic())
        whole['you'] = {'steers': steers, 'why': why, 'twice': _TWICE}
        self._server.tell(page, to_json(whole), all_of_it=True)

    def _ask(self, page: int, text: str) -> None:
        """Make the request of a page, if it may be carried out."""
        now = time.monotonic()
        try:
            if not self.settings.steer:
                raise NrlError('steering is switched off (steer of the page node)')
            wish = read_wish(text, self._runs.controls)
        except NrlError as error:
            self._server.tell(page, to_json({'kind': 'refused', 'why': str(error)}))
            return
        if self._presses.press(now, page, wish.control, wish.value):
            self._callers.ask(now, page, wish)
        else:
            self._tell_answer(page, wish, 'again', 'press it again: the arm may move then')

    def _answered(self, page: int, wish: Wish, done: bool, text: str) -> None:
        """Pass the answer of a node on to the page, and note it for all of them."""
        self._tell_answer(page, wish, 'done' if done else 'failed', text)
        value = '' if wish.value is None else f' {wish.value}'
        clock = time.strftime('%H:%M:%S')
        self._runs.say(f'{clock} {wish.control.node} {wish.control.do}{value}: {text}')
        self.get_logger().info(f'page asked {wish.control.node}: {wish.control.do}{value}: {text}')

    def _tell_answer(self, page: int, wish: Wish, how: str, text: str) -> None:
        told = {'kind': 'answer', 'id': wish.number, 'how': how, 'text': text}
        self._server.tell(page, to_json(told))


_TWICE = [name for name, deed in DEEDS.items() if deed.twice]


def _token(address: str) -> str:
    """Return the token that steering needs; empty: none, since nobody reaches it from elsewhere.

    Raises:
        ConfigError: the one in the environment is too short, or has wrong characters.
    """
    given = os.environ.get(TOKEN_VARIABLE, '')
    if given:
        return check_token(given)
    return '' if is_loopback(address) else make_token()


def main() -> int:
    """Run the node."""
    # A page that is killed must not block the processes of an arm, as through shared memory.
    return run_node(PageNode, udp_only=True)


if __name__ == '__main__':
    raise SystemExit(main())
