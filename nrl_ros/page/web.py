"""The web server of the live page: three files, and a WebSocket for each open page.

It runs in a thread of its own beside the node, and passes on texts: what pages ask for goes into a
queue that the node empties, and what the node says goes to the pages. A page that reads too slowly
loses what it has not read, and is told everything anew.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from importlib.resources import files
from itertools import count
from typing import Any, NamedTuple

from aiohttp import WSMsgType, web

from nrl_ros.base.errors import ConfigError
from nrl_ros.page.access import PROTOCOL, Access, Request, Rights, headers

# Pages that may be open at once, texts that wait for a slow one, and characters of a request.
MOST_PAGES, _MOST_WAITING, _LONGEST = 32, 64, 1000
# How often a page shows that it is still there [s].
_HEARTBEAT_S = 20.0
# How long a browser has to take leave [s], and the code that says that the server ends.
_GOODBYE_S, _GOING_AWAY = 0.3, 1001
# How long starting and stopping may take [s].
_PATIENCE_S = 10.0
_FILES = {
    '/': ('index.html', 'text/html'),
    '/page.css': ('page.css', 'text/css'),
    '/page.js': ('page.js', 'text/javascript'),
    '/charts.js': ('charts.js', 'text/javascript'),
    '/arm.js': ('arm.js', 'text/javascript'),
    '/icon.svg': ('icon.svg', 'image/svg+xml'),
}


class Opened(NamedTuple):
    """A page that was opened, or has to be told everything anew.

    Attributes:
        page: its number.
        steers: True if it may steer.
        why: it may not; empty if it may.
    """

    page: int
    steers: bool
    why: str


class Asked(NamedTuple):
    """A request of a page that may steer."""

    page: int
    text: str


class Closed(NamedTuple):
    """A page that was closed."""

    page: int


Event = Opened | Asked | Closed


class _Page:
    """One open page."""

    def __init__(self, opened: Opened, socket: web.WebSocketResponse) -> None:
        self.opened, self.socket = opened, socket
        self.waiting: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        # True from when it was opened, or has lost texts, until it is told everything.
        self.behind = True


class PageServer:
    """Serves the page.

    Args:
        access: decides on each request.
        address: to listen on.
        ports: are tried in this order; 0 is any free one.
        wake: called from the server's thread when an event waits.

    Attributes:
        events: what pages do, for the node.
    """

    def __init__(
        self, access: Access, address: str, ports: tuple[int, ...], wake: Callable[[], None]
    ) -> None:
        self._access, self._address, self._ports, self._wake = access, address, ports, wake
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._pages: dict[int, _Page] = {}
        self._numbers = count(1)
        self._texts = {
            path: ((files('nrl_ros.page') / 'static' / name).read_text('utf-8'), kind)
            for path, (name, kind) in _FILES.items()
        }
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name='page', daemon=True)
        self._runner: web.AppRunner | None = None

    @property
    def is_watched(self) -> bool:
        """True while a page is open."""
        return bool(self._pages)

    def start(self) -> int:
        """Start to listen; return the port.

        Raises:
            ConfigError: no port is free, or the address is none of this machine.
        """
        self._thread.start()
        port: int = self._do(self._listen())
        return port

    def stop(self) -> None:
        """Close all pages and stop listening."""
        if self._thread.is_alive():
            self._do(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_PATIENCE_S)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)

    def tell_all(self, text: str) -> None:
        """Send a text to every page that knows all that came before it."""
        self._loop.call_soon_threadsafe(self._tell_all, text)

    def tell(self, page: int, text: str, *, all_of_it: bool = False) -> None:
        """Send a text to one page.

        Args:
            page: its number; one that was closed meanwhile is passed over.
            text: to send.
            all_of_it: it says everything, so that the page knows what came before.
        """
        self._loop.call_soon_threadsafe(self._tell, page, text, all_of_it)

    # -------------------------------------------------- in the server's thread

    async def _listen(self) -> int:
        app = web.Application(client_max_size=_LONGEST)
        for path in _FILES:
            app.router.add_get(path, self._on_file)
        app.router.add_get('/runs', self._on_runs)
        app.on_response_prepare.append(self._add_headers)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GOODBYE_S)
        await self._runner.setup()
        refused = ''
        for port in self._ports:
            site = web.TCPSite(self._runner, self._address, port)
            try:
                await site.start()
            except OSError as error:
                refused = error.strerror or str(error)
                continue
            return int(self._runner.addresses[0][1])
        ports = ', '.join(map(str, self._ports[:1] + self._ports[-1:]))
        raise ConfigError(
            f'the page cannot listen on {self._address}, ports {ports}: {refused}; set another '
            'address or port'
        )

    async def _close(self) -> None:
        # A browser that does not answer is not waited for.
        goodbyes = [page.socket.close(code=_GOING_AWAY) for page in self._pages.values()]
        await asyncio.gather(*goodbyes, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        for name, value in headers(request.headers.get('Host', '')).items():
            response.headers[name] = value
        response.headers['Server'] = PROTOCOL

    def _asked_by(self, request: web.Request) -> Request:
        def every(name: str) -> str:
            return ','.join(request.headers.getall(name, ()))

        return Request(every('Host'), every('Origin'), every('Sec-WebSocket-Protocol'))

    async def _on_file(self, request: web.Request) -> web.Response:
        decision = self._access.to_page(self._asked_by(request))
        if decision.rights is Rights.NONE:
            return web.Response(status=403, text=decision.why)
        text, kind = self._texts[request.path]
        return web.Response(text=text, content_type=kind)

    async def _on_runs(self, request: web.Request) -> web.StreamResponse:
        decision = self._access.to_runs(self._asked_by(request))
        if decision.rights is Rights.NONE:
            return web.Response(status=403, text=decision.why)
        if len(self._pages) >= MOST_PAGES:
            return web.Response(status=503, text=f'{MOST_PAGES} pages are open already')
        socket = web.WebSocketResponse(
            timeout=_GOODBYE_S,
            protocols=(PROTOCOL,),
            max_msg_size=_LONGEST,
            heartbeat=_HEARTBEAT_S,
            compress=False,
        )
        await socket.prepare(request)
        opened = Opened(next(self._numbers), decision.rights is Rights.STEER, decision.why)
        page = self._pages[opened.page] = _Page(opened, socket)
        self._pass_on(opened)
        writer = asyncio.ensure_future(_write(socket, page))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and opened.steers:
                    self._pass_on(Asked(opened.page, message.data))
        finally:
            writer.cancel()
            del self._pages[opened.page]
            self._pass_on(Closed(opened.page))
        return socket

    def _pass_on(self, event: Event) -> None:
        self.events.put(event)
        self._wake()

    def _tell_all(self, text: str) -> None:
        for page in self._pages.values():
            if not page.behind:
                self._put(page, text)

    def _tell(self, number: int, text: str, all_of_it: bool) -> None:
        page = self._pages.get(number)
        if page is not None:
            page.behind = page.behind and not all_of_it
            self._put(page, text)

    def _put(self, page: _Page, text: str) -> None:
        try:
            page.waiting.put_nowait(text)
        except asyncio.QueueFull:
            while not page.waiting.empty():
                page.waiting.get_nowait()
            page.behind = True
            self._pass_on(page.opened)


async def _write(socket: web.WebSocketResponse, page: _Page) -> None:
    """Send what waits for a page, until it is closed."""
    while not socket.closed:
        await socket.send_str(await page.waiting.get())
