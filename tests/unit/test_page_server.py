"""The web server of the page with real sockets: who gets in, what is sent, what is forgotten."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip('aiohttp')

import aiohttp

from nrl_ros.base.errors import ConfigError
from nrl_ros.page.access import Access
from nrl_ros.page.web import MOST_PAGES, Asked, Closed, Opened, PageServer

TOKEN = 'a-token-of-16-characters'
PATIENCE_S = 10.0


class Served:
    """A server with a token, and what its pages did."""

    def __init__(self) -> None:
        self.server = PageServer(Access('127.0.0.1', TOKEN), '127.0.0.1', (0,), lambda: None)
        self.port = self.server.start()

    def event(self) -> Any:
        return self.server.events.get(timeout=PATIENCE_S)

    def get(self, path: str, method: str = 'GET', **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=PATIENCE_S)
        connection.request(method, path, headers=headers)
        return connection.getresponse()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.server.stop()


def test_the_page_and_its_parts_come_from_here_alone(served: Served) -> None:
    for path, kind in (
        ('/', 'text/html'), ('/page.css', 'text/css'), ('/page.js', 'text/javascript'),
        ('/charts.js', 'text/javascript'), ('/arm.js', 'text/javascript'),
        ('/icon.svg', 'image/svg+xml'),
    ):  # fmt: skip
        answer = served.get(path)
        text = answer.read().decode()
        assert answer.status == 200 and answer.headers['Content-Type'].startswith(kind)
        assert "default-src 'none'" in answer.headers['Content-Security-Policy']
        assert answer.headers['X-Frame-Options'] == 'DENY'
        assert answer.headers['Cache-Control'] == 'no-store'
        elsewhere = text.replace('http://www.w3.org/2000/svg', '').replace("'https:'", '')
        assert 'http://' not in elsewhere and 'https://' not in elsewhere
        # The policy would refuse them.
        assert 'style="' not in text and ' onclick' not in text and 'eval(' not in text


@pytest.mark.parametrize(
    ('path', 'method', 'headers', 'status'),
    [
        ('/', 'GET', {'Host': 'evil.example'}, 403),
        ('/', 'GET', {'Origin': 'http://evil.example'}, 403),
        ('/runs', 'GET', {'Host': 'evil.example'}, 403),
        ('/page.js', 'GET', {'Host': ''}, 403),
        ('/', 'POST', {}, 405),
        ('/runs', 'POST', {}, 405),
        ('/', 'DELETE', {}, 405),
        ('/runs', 'GET', {}, 400),
        ('/nothing', 'GET', {}, 404),
        ('/../access.py', 'GET', {}, 404),
        ('/static/page.js', 'GET', {}, 404),
        ('/%2e%2e/access.py', 'GET', {}, 404),
    ],
)
def test_nothing_else_is_served(
    served: Served, path: str, method: str, headers: dict[str, str], status: int
) -> None:
    answer = served.get(path, method, **headers)
    assert answer.status == status
    assert "default-src 'none'" in answer.headers['Content-Security-Policy']
    assert 'import' not in answer.read().decode()


def talk(served: Served, talking: Any, *protocols: str, **headers: str) -> Any:
    """Open a WebSocket and talk over it."""

    async def run() -> Any:
        async with aiohttp.ClientSession() as session:
            address = f'http://127.0.0.1:{served.port}/runs'
            async with session.ws_connect(address, protocols=protocols, headers=headers) as socket:
                return await asyncio.wait_for(talking(socket), PATIENCE_S)

    return asyncio.run(run())


async def nothing(_socket: Any) -> None:
    """Say nothing."""


@pytest.mark.parametrize(
    ('protocols', 'steers'),
    [
        (('nrl', f'nrl.token.{TOKEN}'), True),
        (('nrl', 'nrl.token.another'), False),
        (('nrl',), False),
    ],
)
def test_a_page_is_told_everything_and_what_is_new_and_steers_with_the_token(
    served: Served, protocols: tuple[str, ...], steers: bool
) -> None:
    async def talking(socket: Any) -> list[str]:
        opened = await asyncio.to_thread(served.event)
        assert isinstance(opened, Opened) and opened.steers is steers
        # Before it is told everything, news would mean nothing to it.
        served.server.tell_all('too early')
        served.server.tell(opened.page, 'everything', all_of_it=True)
        served.server.tell_all('news')
        await socket.send_str('a wish')
        return [await socket.receive_str() for _ in range(2)]

    assert talk(served, talking, *protocols) == ['everything', 'news']
    events = [served.event()]
    if steers:
        assert isinstance(events[0], Asked) and events[0].text == 'a wish'
        events.append(served.event())
    # What a page asks for that only reads is not even passed on.
    assert isinstance(events[-1], Closed)
    assert not served.server.is_watched


@pytest.mark.parametrize(
    'headers',
    [{'Origin': 'http://evil.example'}, {'Host': 'evil.example'}, {'Origin': 'null'}],
    ids=['another site', 'rebound name', 'no site'],
)
def test_another_site_opens_no_socket_even_with_the_token(
    served: Served, headers: dict[str, str]
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        talk(served, nothing, 'nrl', f'nrl.token.{TOKEN}', **headers)
    assert refused.value.status == 403
    assert served.server.events.empty()


def test_a_page_that_reads_too_slowly_is_told_everything_anew(served: Served) -> None:
    async def talking(_socket: Any) -> tuple[Opened, Any]:
        opened = await asyncio.to_thread(served.event)
        served.server.tell(opened.page, 'everything', all_of_it=True)
        # Nothing is read here meanwhile: what fits neither the system's buffers nor the queue.
        for _ in range(400):
            served.server.tell_all('x' * 100_000)
        return opened, await asyncio.to_thread(served.event)

    opened, again = talk(served, talking, 'nrl')
    assert again == opened


def test_requests_that_are_too_long_close_the_page(served: Served) -> None:
    async def talking(socket: Any) -> Any:
        await socket.send_str(json.dumps('x' * 2_000))
        return (await socket.receive()).type

    assert talk(served, talking, 'nrl', f'nrl.token.{TOKEN}') is aiohttp.WSMsgType.CLOSE


def test_the_number_of_open_pages_is_limited(served: Served) -> None:
    async def run() -> list[int]:
        async with aiohttp.ClientSession() as session:
            address = f'http://127.0.0.1:{served.port}/runs'
            opened: list[Any] = []
            refused: list[int] = []
            for _ in range(MOST_PAGES + 2):
                try:
                    opened.append(await session.ws_connect(address, protocols=('nrl',)))
                except aiohttp.WSServerHandshakeError as error:
                    refused.append(error.status)
            return refused

    assert asyncio.run(run()) == [503, 503]


def test_a_port_that_is_taken_is_passed_over_and_none_is_said(served: Served) -> None:
    def another(*ports: int) -> PageServer:
        return PageServer(Access('127.0.0.1', ''), '127.0.0.1', ports, lambda: None)

    second = another(served.port, 0)
    assert second.start() != served.port
    second.stop()
    third = another(served.port)
    with pytest.raises(ConfigError, match=f'ports {served.port}.*in use'):
        third.start()
    third.stop()
