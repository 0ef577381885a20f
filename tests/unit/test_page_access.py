"""Who may read the live page and who may steer, for every kind of request."""

from __future__ import annotations

import itertools

import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.page import access
from nrl_ros.page.access import Access, Decision, Request, Rights, check_token, is_loopback

TOKEN = 'a-token_of.16+ch'.replace('+', '~')
GIVEN = f'nrl, nrl.token.{TOKEN}'
WRONG = f'nrl, nrl.token.{TOKEN[:-1]}x'

# Headers Host by which a page on the loopback is opened, and those of another name that points to
# it (DNS rebinding), of nothing, or of what is no host at all.
OWN = ('localhost:8642', '127.0.0.1:8642', '[::1]:8642', 'LOCALHOST:9000', '127.0.0.1', '127.8.9.1')
FOREIGN = (
    'evil.example:8642',
    'localhost.evil.example:8642',
    '127.0.0.1.evil.example',
    '',
    '0.0.0.0:8642',
    'localhost:8642,evil.example',
    'localhost:0',
    'localhost:65536',
    'localhost:x',
    '[::1',
    '[x]:1',
    'user@localhost:8642',
    'localhost/',
    ' localhost',
    '169.254.1.1:8642',
    '[fe80::1]:8642',
    '\n',
)


def loopback(token: str = '') -> Access:
    return Access('127.0.0.1', token)


def elsewhere() -> Access:
    return Access('0.0.0.0', TOKEN, ('robot', 'Robot.local', ''))


@pytest.mark.parametrize('host', OWN)
def test_the_loopback_is_opened_by_its_own_names(host: str) -> None:
    own = f'http://{host}'
    for origin in ('', own, own.upper().replace('HTTP', 'http')):
        assert loopback().to_runs(Request(host, origin)) == (Rights.STEER, '')
        assert loopback().to_page(Request(host, origin)) == (Rights.READ, '')


@pytest.mark.parametrize('host', FOREIGN)
def test_a_name_that_is_not_this_machines_opens_nothing(host: str) -> None:
    """Whatever origin it has, and even with the token."""
    for origin, protocols in itertools.product(('', f'http://{host}'), ('', GIVEN)):
        request = Request(host, origin, protocols)
        for door, decide in itertools.product(
            (loopback(), loopback(TOKEN)), ('to_page', 'to_runs')
        ):
            decision = getattr(door, decide)(request)
            assert decision.rights is Rights.NONE
            assert 'no name of this machine' in decision.why


@pytest.mark.parametrize(
    'origin',
    [
        'http://evil.example',
        'http://localhost:9999',
        'http://localhost',
        'null',
        'file://',
        'http://127.0.0.1:8642',
        'https://localhost:8642@evil.example',
        'http://localhost:8642/x',
        'ftp://localhost:8642',
        'http://[',
        'http://localhost:8642,http://localhost:8642',
        'chrome-extension://localhost:8642',
        'localhost:8642',
        ' ',
    ],
)
def test_another_site_opens_nothing(origin: str) -> None:
    for door, protocols in itertools.product((loopback(), elsewhere()), ('', GIVEN)):
        for decide in (door.to_page, door.to_runs):
            decision = decide(Request('localhost:8642', origin, protocols))
            assert decision.rights is Rights.NONE
            assert 'another site' in decision.why


@pytest.mark.parametrize(
    ('host', 'known'),
    [
        ('192.168.1.7:8642', True),
        ('10.0.0.2', True),
        ('[fe80::1]:8642', True),
        ('[2001:db8::1]', True),
        ('robot:8642', True),
        ('ROBOT.local:8642', True),
        ('localhost:8642', True),
        ('127.0.0.1:8642', True),
        ('robots:8642', False),
        ('evil.example:8642', False),
        ('', False),
        ('robot.local.evil.example', False),
    ],
)
def test_beyond_the_loopback_addresses_and_own_names_are_known(host: str, known: bool) -> None:
    """A site that lets its name point here sends that name, and never a bare address."""
    for protocols, rights in (('', Rights.READ), (WRONG, Rights.READ), (GIVEN, Rights.STEER)):
        decision = elsewhere().to_runs(Request(host, f'http://{host}', protocols))
        assert decision.rights is (rights if known else Rights.NONE)


@pytest.mark.parametrize(
    ('protocols', 'steers'),
    [
        (GIVEN, True),
        (f'nrl.token.{TOKEN}', True),
        (f'  nrl.token.{TOKEN} ,nrl', True),
        ('', False),
        ('nrl', False),
        (WRONG, False),
        (f'nrl.token.{TOKEN[:-1]}', False),
        ('nrl.token.', False),
        (f'nrl.token.{TOKEN}x', False),
        (f'nrl.token.{TOKEN.upper()}', False),
        (TOKEN, False),
        (f'{GIVEN}, {WRONG}', False),
        (f'{WRONG}, {GIVEN}', False),
        (f'nrl.token.\u00e4{TOKEN}', False),
    ],
)
@pytest.mark.parametrize('door', [loopback(TOKEN), elsewhere()], ids=['loopback', 'elsewhere'])
def test_only_the_token_steers_where_there_is_one(
    door: Access, protocols: str, steers: bool
) -> None:
    decision = door.to_runs(Request('127.0.0.1:8642', 'http://127.0.0.1:8642', protocols))
    assert decision.rights is (Rights.STEER if steers else Rights.READ)
    assert bool(decision.why) is not steers
    assert TOKEN not in decision.why


def test_the_token_is_compared_in_a_time_that_does_not_depend_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []
    monkeypatch.setattr(
        access.hmac, 'compare_digest', lambda one, other: compared.append((one, other)) or False
    )
    assert elsewhere().to_runs(Request('10.0.0.1', '', GIVEN)).rights is Rights.READ
    assert compared == [(TOKEN.encode(), TOKEN.encode())]


@pytest.mark.parametrize('address', ['0.0.0.0', '192.168.1.7', '::', 'robot', ''])
def test_an_address_beyond_the_loopback_needs_a_token(address: str) -> None:
    with pytest.raises(ConfigError, match='a token is needed'):
        Access(address, '')


@pytest.mark.parametrize('address', ['127.0.0.1', 'localhost', '::1', 'LOCALHOST', '127.0.0.2'])
def test_the_loopback_needs_none(address: str) -> None:
    assert is_loopback(address)
    assert Access(address, '').to_runs(Request('localhost')) == Decision(Rights.STEER, '')


@pytest.mark.parametrize(
    'token', ['', 'short', 'x' * 15, 'x' * 129, 'a token with blanks', 'ä' * 20]
)
def test_a_token_that_is_too_short_or_has_other_characters_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match='16 to 128'):
        check_token(token)


def test_made_tokens_differ_and_may_be_used() -> None:
    made = {access.make_token() for _ in range(100)}
    assert len(made) == 100
    assert all(check_token(token) == token and len(token) >= 32 for token in made)


def test_no_content_comes_from_elsewhere_and_no_site_frames_the_page() -> None:
    policy = dict(
        one.split(' ', 1)
        for one in access.headers('robot:8642')['Content-Security-Policy'].split('; ')
    )
    assert policy['default-src'] == "'none'"
    assert policy['frame-ancestors'] == policy['base-uri'] == policy['form-action'] == "'none'"
    assert policy['script-src'] == policy['style-src'] == policy['img-src'] == "'self'"
    assert policy['connect-src'] == "'self' ws://robot:8642 wss://robot:8642"
