"""Decides who may read the live page and who may steer: pure functions of what a request says.

A browser sends requests for any site that is open in it, so a request that reaches this machine is
not a request of the person in front of it. Three checks keep other sites out:

- ``Host`` must be a name of this machine. A site that lets its own name point to 127.0.0.1 (DNS
  rebinding) still sends that name.
- ``Origin``, which a browser adds to each WebSocket and which no script can change, must be the
  page itself.
- Where the page listens beyond the loopback, only who has the token may steer.

On the loopback no token is needed unless one is set: whoever runs programs on this machine can call
the services of the nodes without the page.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
from urllib.parse import urlsplit

from nrl_ros.base.errors import ConfigError

# Where a token is given. It is no parameter, since anybody in the ROS domain can read those.
TOKEN_VARIABLE = 'NRL_PAGE_TOKEN'  # noqa: S105 - the name of a variable
# What a browser may offer as a WebSocket protocol, and what fits into an address.
_TOKEN = re.compile('[A-Za-z0-9._~-]{16,128}', re.ASCII)
_HOST = re.compile(r'(\[[0-9a-f:.]+\]|[a-z0-9._-]{1,253})(?::([0-9]{1,5}))?', re.ASCII)
# The protocol that the page speaks, and how it brings a token along in the handshake.
PROTOCOL, TOKEN_PROTOCOL = 'nrl', 'nrl.token.'


class Rights(Enum):
    """What a request may do."""

    NONE = 'none'
    READ = 'read'
    STEER = 'steer'


class Decision(NamedTuple):
    """What a request may do, and why not more, in one line; empty if it may do all."""

    rights: Rights
    why: str


@dataclass(frozen=True)
class Request:
    """What a request says of itself; an absent header is empty, one that came twice is both.

    Attributes:
        host: header Host.
        origin: header Origin.
        protocols: header Sec-WebSocket-Protocol.
    """

    host: str
    origin: str = ''
    protocols: str = ''

    @property
    def token(self) -> str:
        """The token that came with a handshake; empty: none."""
        offered = [one.strip() for one in self.protocols.split(',')]
        tokens = [one for one in offered if one.startswith(TOKEN_PROTOCOL)]
        # Two tokens are as none: it is not guessed which one is meant.
        return tokens[0].removeprefix(TOKEN_PROTOCOL) if len(tokens) == 1 else ''


def is_loopback(address: str) -> bool:
    """Return True if an address is reached from this machine alone."""
    if address.lower() == 'localhost':
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def check_token(token: str) -> str:
    """Return a token that a person has chosen.

    Raises:
        ConfigError: it is too short, or has other characters than an address may have.
    """
    if not _TOKEN.fullmatch(token):
        raise ConfigError(
            f'token: expected 16 to 128 letters, digits or . _ ~ -, received {len(token)} '
            'characters; leave it away, and one is made'
        )
    return token


def make_token() -> str:
    """Return a new token of 192 random bits."""
    return secrets.token_urlsafe(24)


def address_of(listen: str, port: int, token: str) -> str:
    """Return the address of a page for a browser; what follows # is never sent by it.

    Args:
        listen: address that the node listens on; of any address, the machine's name is taken.
        port: of the node.
        token: empty: none is needed.
    """
    anywhere = listen in ('0.0.0.0', '::')  # noqa: S104 - compared, not bound
    host = socket.gethostname() if anywhere else f'[{listen}]' if ':' in listen else listen
    return f'http://{host}:{port}/' + (f'#token={token}' if token else '')


class Access:
    """Decides on each request.

    Args:
        address: that the page listens on.
        token: lets its bearer steer; empty: everybody may, which only the loopback allows.
        hosts: names of this machine by which others reach it.

    Raises:
        ConfigError: no token, and the address is reached from elsewhere.
    """

    def __init__(self, address: str, token: str, hosts: Collection[str] = ()) -> None:
        if not token and not is_loopback(address):
            raise ConfigError(f'address {address} is reached from elsewhere: a token is needed')
        self._token = check_token(token).encode() if token else b''
        self._local = is_loopback(address)
        self._hosts = frozenset(name.lower() for name in hosts if name)

    def to_page(self, request: Request) -> Decision:
        """Decide on a request for the page itself, which shows nothing of any run."""
        wrong = self._wrong_host(request.host) or self._wrong_origin(request)
        return Decision(Rights.NONE, wrong) if wrong else Decision(Rights.READ, '')

    def to_runs(self, request: Request) -> Decision:
        """Decide on a WebSocket, which shows the runs and may steer them."""
        found = self.to_page(request)
        if found.rights is Rights.NONE or not self._token:
            return found if found.rights is Rights.NONE else Decision(Rights.STEER, '')
        given = request.token.encode()
        # The comparison takes the same time however much of the token is right.
        if hmac.compare_digest(given, self._token):
            return Decision(Rights.STEER, '')
        what = 'has another token than this page wants' if given else 'has no token'
        return Decision(
            Rights.READ,
            f'this page {what}, so it only reads: open it by the address that its node has printed',
        )

    def _wrong_host(self, host: str) -> str:
        """Return why a Host header is refused; empty if it is a name of this machine."""
        name = _name_of(host)
        if name and (self._is_own(name) or is_loopback(name)):
            return ''
        return (
            f'Host {host[:80]!r} is no name of this machine: open the page by its address, or by '
            'the name that the machine itself has'
        )

    def _is_own(self, name: str) -> bool:
        if self._local:
            return False
        # A site that lets its name point here sends that name, and never a bare address.
        return name in self._hosts or _is_address(name)

    def _wrong_origin(self, request: Request) -> str:
        """Return why an Origin header is refused; empty if there is none, or it is the page's."""
        if not request.origin:
            # No browser: each adds it to a WebSocket.
            return ''
        if _origin_host(request.origin) == request.host.lower():
            return ''
        return f'Origin {request.origin[:80]!r} is another site than this page'


def headers(host: str) -> dict[str, str]:
    """Return the headers of each answer: no content from elsewhere, in no frame, kept nowhere.

    Args:
        host: header Host of the request, which was checked. Some browsers do not count a WebSocket
            as of the page itself, so that it is named.
    """
    policy = {
        'default-src': "'none'",
        'script-src': "'self'",
        'style-src': "'self'",
        'img-src': "'self'",
        'connect-src': f"'self' ws://{host} wss://{host}",
        'base-uri': "'none'",
        'form-action': "'none'",
        'frame-ancestors': "'none'",
    }
    return {
        'Content-Security-Policy': '; '.join(f'{name} {what}' for name, what in policy.items()),
        'X-Content-Type-Options': 'nosniff',
        'X-Frame-Options': 'DENY',
        'Referrer-Policy': 'no-referrer',
        'Cross-Origin-Opener-Policy': 'same-origin',
        'Cross-Origin-Resource-Policy': 'same-origin',
        'Cache-Control': 'no-store',
    }


def _name_of(host: str) -> str:
    """Return the name or address in a Host header in lower case; empty if it is not well formed."""
    found = _HOST.fullmatch(host.lower())
    if found is None or int(found[2] or 1) not in range(1, 65536):
        return ''
    name = found[1]
    if name.startswith('['):
        return name[1:-1] if _is_address(name[1:-1]) else ''
    return name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _origin_host(origin: str) -> str:
    """Return host and port of an origin, as a Host header has them; empty if it is none."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return ''
    bare = not (parts.path or parts.query or parts.fragment or '@' in parts.netloc)
    return parts.netloc if bare and parts.scheme in ('http', 'https') else ''
